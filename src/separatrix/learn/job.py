"""An order for a training, and the second one that `--refit` makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from separatrix import recipe as recipes
from separatrix.learn.task import Score
from separatrix.progress import Report, silent
from separatrix.recipe import TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.store.folder import CHECKPOINT, TRAJECTORY
from separatrix.texts import Texts

REFIT = "refit"

R = TypeVar("R", TrainRecipe, AlignRecipe)


@dataclass(frozen=True, eq=False)
class Job(Generic[R]):
    """The texts, the recipe, where things go and who is told."""

    train: Texts
    validation: Texts
    recipe: R
    score: Score
    folder: Path | None = None
    report: Report = silent
    keep: int | None = None  # epochs after which the tensors are kept; None: those of the best epoch

    @property
    def checkpoint(self) -> Path | None:
        """Where the loop's state is saved."""
        return None if self.folder is None else self.folder / CHECKPOINT

    @property
    def trajectory(self) -> Path | None:
        """Where outputs and centroids are recorded; nothing is told of a second training."""
        return None if self.folder is None or self.keep is not None else self.folder / TRAJECTORY

    def identity(self, weights: str) -> str:
        """What a checkpoint belongs to: this recipe, these weights of the model, these texts."""
        content = [
            [list(texts.text), [] if texts.label is None else list(map(str, texts.label))]
            for texts in (self.train, self.validation)
        ]
        return recipes.digest(recipes.decisive(self.recipe), weights, *content)

    def again(self, epochs: int) -> Job[R]:
        """The same training on training and validation rows together, for as long as validation found best."""
        folder = None if self.folder is None else self.folder / REFIT
        return replace(self, train=self.train.join(self.validation), folder=folder, keep=epochs)

    def said(self, epochs: int) -> str:
        """What is to be told of the second training."""
        rows = len(self.train) + len(self.validation)
        return (
            f"trained once more on all {rows} rows for {epochs} epochs, which validation chose; "
            "figures of the validation rows are those of the training without them"
        )
