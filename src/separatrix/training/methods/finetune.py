"""`--method finetune`: the encoder is trained with a linear head, which decides."""

from __future__ import annotations

from functools import partial

from separatrix.recipe.align import ALIGN_RULES, FINETUNE
from separatrix.recipe.effect import idle
from separatrix.training.methods.align import train
from separatrix.training.methods.base import TrainingMethod

METHOD = TrainingMethod(FINETUNE, train, partial(idle, rules=ALIGN_RULES), fixed={"loss": "linear"})
