"""`--method peft`: PEFT's prompt tuning, a prompt before the text with a linear head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from separatrix.recipe import effect, option_names
from separatrix.recipe.peft import PeftRecipe
from separatrix.training.methods.align import frozen_vectors
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets
    from separatrix.learn.trained.peft import PeftModel

IDLE = ("layer_lr", "centroid_lr")


def train(request: TrainingRequest, _targets: Targets, score: Score) -> TrainedModel[PeftModel]:
    """Train a prompt before the text; vectors of the texts without it come along, for the baselines."""
    from separatrix.learn.peft import train_peft

    trained = train_peft(request.job(score))
    return replace(trained, vectors=frozen_vectors(request)) if request.compare else trained


def idle(recipe: PeftRecipe, given: Iterable[str]) -> list[tuple[str, str]]:
    """There are no layers or centroids with a rate of their own."""
    unused = [(name, "") for name in option_names(recipe) if name in {*IDLE} & {*given}]
    return unused + effect.idle(recipe, given, (effect.FILM,))


METHOD = TrainingMethod(PeftRecipe(), train, idle, fixed={"loss": "linear"})
