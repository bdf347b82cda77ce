"""`--method auto`: the methods are raced on held-out rows and the winner is trained (`training.run` sees to it)."""

from __future__ import annotations

from separatrix.recipe.auto import AutoRecipe
from separatrix.training.methods.base import TrainingMethod

METHOD = TrainingMethod(AutoRecipe())
