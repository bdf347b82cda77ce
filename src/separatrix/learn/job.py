"""A training as it is asked for (and the second one that `--refit` makes of it), and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.geometry.baselines import Baseline
from separatrix.learn.callbacks import ArrayCallback
from separatrix.learn.loop import Fitted, Score
from separatrix.learn.measure import evaluate
from separatrix.learn.objectives.base import Objective, TrainingRows
from separatrix.learn.objectives.word_ranking import WordRanking
from separatrix.learn.trainables import Trainable
from separatrix.learn.trained.saved import Predictor
from separatrix.progress import Progress, silent
from separatrix.recipe import TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.store.folder import CHECKPOINT, TRAJECTORY
from separatrix.texts import Texts

REFIT = "refit"
IN_ONE_GO = Fitted({}, [], 0, stopped_early=False)  # of a model that has no epochs

R = TypeVar("R", TrainRecipe, AlignRecipe)
M = TypeVar("M", bound=Predictor)
# (step, rows, outputs (rows, width), labels (rows,), centroids (classes, width) or None)
BatchFunction = Callable[[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], None]


def training_rows(trainable: Trainable, labels: Tensor, start: np.ndarray, steps: int) -> TrainingRows:
    """The training part as objectives see it when they start."""
    return TrainingRows(lambda rows: evaluate(trainable, "train", rows), labels, start, steps)


@dataclass(frozen=True, eq=False)
class Job(Generic[R]):
    """The texts, the recipe, where things go and who is told."""

    train: Texts
    validation: Texts
    recipe: R
    score: Score
    folder: Path | None = None
    progress: Progress = silent
    keep: int | None = None  # epochs after which the tensors are kept; None: those of the best epoch
    on_batch: BatchFunction | None = None  # gets outputs of every training batch and the centroids, as arrays

    @property
    def checkpoint(self) -> Path | None:
        """Where the loop's state is saved."""
        return None if self.folder is None else self.folder / CHECKPOINT

    @property
    def trajectory(self) -> Path | None:
        """Where outputs and centroids are recorded; nothing is told of a second training."""
        return None if self.folder is None or self.keep is not None else self.folder / TRAJECTORY

    def extra_callbacks(self, objective: Objective) -> tuple[ArrayCallback, ...]:
        """What the caller wants to be called with; a second training is not shown."""
        if self.on_batch is None or self.keep is not None:
            return ()
        return (ArrayCallback(objective, self.on_batch),)

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


@dataclass(frozen=True, eq=False)
class TrainedModel(Generic[M]):
    """What a training gives, whatever its method."""

    model: M
    notes: tuple[str, ...] = ()
    fitted: Fitted = IN_ONE_GO
    # part -> pooling -> (rows, width) of the frozen texts, as far as the training has read them
    vectors: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    judged: M | None = None  # with `refit`: the model that has not seen the validation rows
    words: WordRanking | None = None  # of the model, where its label words were chosen
    baseline: Baseline | None = None  # where the model is what others are compared with: a probe
    facts: Mapping[str, Any] = field(default_factory=dict)  # more for the result, as plain data

    @property
    def judge(self) -> M:
        """The model that answers for the validation rows."""
        return self.judged or self.model
