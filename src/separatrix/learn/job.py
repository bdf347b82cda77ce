"""A training with its options (and the second one that `--refit` makes of it), and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.geometry.baselines import Baseline
from separatrix.learn.callbacks import (
    ArrayCallback,
    BatchFunction,
    Callback,
    MetricsWriter,
    ProgressCallback,
    TrajectoryRecorder,
)
from separatrix.learn.loop import FitResult, Loop, Score, Training
from separatrix.learn.objectives.base import TrainingRows
from separatrix.learn.objectives.word_ranking import WordRanking
from separatrix.learn.trainables import Trainable, evaluate
from separatrix.learn.trained.saved import Predictor
from separatrix.learn.trajectory import Recorder
from separatrix.progress import Progress, silent
from separatrix.recipe import TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.recipe.peft import PeftRecipe
from separatrix.store.folder import CHECKPOINT, METRICS, REFIT, TRAJECTORY
from separatrix.texts import Texts
from separatrix.texts.weights import weighing

IN_ONE_GO = FitResult({}, [], 0, stopped_early=False)  # of a model that has no epochs

R = TypeVar("R", TrainRecipe, AlignRecipe, PeftRecipe)
M = TypeVar("M", bound=Predictor)


def training_rows(
    trainable: Trainable, labels: Tensor, start: np.ndarray, steps: int, weight: Tensor | None = None
) -> TrainingRows:
    """The training part as objectives see it when they start."""
    return TrainingRows(lambda rows: evaluate(trainable, "train", rows), labels, start, steps, weight)


@dataclass(frozen=True, eq=False)
class Job(Generic[R]):
    """The texts, the recipe, the folder of the run, and what progress is reported to."""

    train: Texts
    validation: Texts
    recipe: R
    score: Score
    folder: Path | None = None
    progress: Progress = silent
    keep: int | None = None  # epochs after which the tensors are kept; None: those of the best epoch
    on_batch: BatchFunction | None = None  # gets outputs of every training batch and the centroids, as arrays
    shared_texts: Path | None = None  # folder of text caches that several trainings share
    callbacks: Sequence[Callback] = ()  # that look on beside our own

    def loop(self, training: Training, weights: str, *, train_map: bool = False) -> Loop:
        """The loop of this job; its checkpoint belongs to this recipe, these weights of the model and these texts.

        A second training is not recorded or shown.
        """
        callbacks: list[Callback] = [ProgressCallback(self.progress)]
        trainable, objective = training.trainable, training.objective
        sets = training.targets["train"].ndim == 2  # rows with several labels have no colour on a map
        if self.folder is not None and self.keep is None and not sets:
            rows, loop = (len(self.train), len(self.validation)), self.recipe.loop
            recorder = Recorder(self.folder / TRAJECTORY, *rows, loop.seed, loop.frame_rows)
            callbacks.append(TrajectoryRecorder(trainable, objective, recorder, training.classes, train_map))
            callbacks.append(MetricsWriter(self.folder / METRICS))
        if self.keep is None:
            callbacks += [] if self.on_batch is None else [ArrayCallback(objective, self.on_batch)]
            callbacks += self.callbacks
        path = None if self.folder is None else self.folder / CHECKPOINT
        return Loop(training, callbacks, path=path, identity=self.identity(weights))

    def identity(self, weights: str) -> str:
        """What a checkpoint belongs to: this recipe, these weights of the model, these texts."""
        content = [
            [list(texts.text), [] if texts.label is None else list(map(str, texts.label))]
            for texts in (self.train, self.validation)
        ]
        content += [[texts.weight.tolist()] for texts in (self.train, self.validation) if texts.weight is not None]
        return recipes.digest(recipes.decisive(self.recipe), weights, *content)

    def weight(self, device: torch.device) -> Tensor | None:
        """The weights of the training rows, (rows,), where they have any."""
        weight = self.train.weight
        return None if weight is None else torch.from_numpy(weight.astype(np.float32)).to(device)

    def again(self, epochs: int) -> Job[R]:
        """The same training on training and validation rows together, for as long as validation found best."""
        folder = None if self.folder is None else self.folder / REFIT
        return replace(self, train=weighing(self.train.join(self.validation)), folder=folder, keep=epochs)


@dataclass(frozen=True, eq=False)
class TrainedModel(Generic[M]):
    """What a training gives, whatever its method."""

    model: M
    notes: tuple[str, ...] = ()
    fitted: FitResult = IN_ONE_GO
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


def train_and_refit(
    job: Job[R], train: Callable[[Job[R]], TrainedModel[M]], chosen: tuple[str, ...]
) -> TrainedModel[M]:
    """Train; with `refit` a second time, on the validation rows too, for the epochs that validation found best.

    The attributes of the model in `chosen` stay those that the first training chose on validation.
    """
    first: TrainedModel[M] = train(job)
    if not job.recipe.loop.refit:
        return first
    epochs, rows = first.fitted.best_epoch, len(job.train) + len(job.validation)
    again = train(job.again(epochs))
    note = (
        f"trained once more on all {rows} rows for {epochs} epochs, which validation chose; "
        "figures of the validation rows are those of the training without them"
    )
    model = replace(again.model, **{name: getattr(first.model, name) for name in chosen})  # type: ignore[type-var]
    return replace(first, model=model, judged=first.model, words=again.words, notes=(*first.notes, note))
