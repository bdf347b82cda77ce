"""What may look on while a training runs: the base of all callbacks, and those that every training has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from separatrix.learn.objectives.base import Objective
from separatrix.learn.trainables import Trainable, evaluate
from separatrix.learn.trajectory import Recorder
from separatrix.progress import Progress, silent
from separatrix.store.files import read_lines, write_lines


class Callback:
    """Sees a training go by and changes nothing; a method that is not needed stays as it is.

    Tensors are those of the training: copy what is kept.
    """

    def on_batch(self, step: int, rows: np.ndarray, outputs: Tensor, labels: Tensor) -> None:
        """Called after each step.

        Args:
            step: its number, from 1.
            rows: places in the training part, (rows,).
            outputs: that the step was made from, (rows, width).
            labels: class numbers or standardised numbers, (rows,).
        """

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Called after each step with the mean loss of the epoch so far."""

    def on_frame(self, step: int, title: str) -> None:
        """Called at the steps planned for pictures."""

    def on_epoch(self, epoch: int, outputs: Tensor, scores: Tensor) -> None:
        """Called after each epoch with validation outputs (rows, width) and scores (rows, classes)."""

    def on_metrics(self, line: Mapping[str, Any]) -> None:
        """Called after each epoch with its line of `metrics.jsonl`."""

    def on_save(self) -> None:
        """Called just before the loop's state is saved."""


@dataclass(frozen=True)
class ProgressCallback(Callback):
    """Tells how far a training is."""

    progress: Progress = silent

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Report a step."""
        self.progress("training", done, total, f"loss {loss:.3f}")


@dataclass(frozen=True)
class MetricsWriter(Callback):
    """Keeps `metrics.jsonl` as a training goes on, so that another process can look on."""

    path: Path

    def on_metrics(self, line: Mapping[str, Any]) -> None:
        """Write the line behind those of earlier epochs; what came after the checkpoint of a killed process goes."""
        before = read_lines(self.path) if self.path.is_file() and line["epoch"] > 1 else []
        write_lines(self.path, [*(each for each in before if each.get("epoch", 0) < line["epoch"]), line])


@dataclass(frozen=True)
class TrajectoryRecorder(Callback):
    """Writes the trajectory of a training."""

    trainable: Trainable
    objective: Objective
    recorder: Recorder
    classes: int  # 0: numbers are predicted
    train_map: bool  # also keep outputs of some training rows after every epoch

    def on_batch(self, _step: int, rows: np.ndarray, outputs: Tensor, labels: Tensor) -> None:
        """Note the probability of the own class."""
        if self.classes and self.objective.live:
            chance = self.objective.scores(outputs).detach().softmax(1)
            self.recorder.rows(rows, chance.gather(1, labels[:, None])[:, 0].cpu().numpy())

    def on_save(self) -> None:
        """Save these notes beside the loop's state."""
        self.recorder.keep_own()

    def on_frame(self, step: int, title: str) -> None:
        """Keep a picture of the validation outputs."""
        centroids = self.objective.centroids
        shown = None if centroids is None else centroids.detach().float().cpu().numpy()
        self.recorder.frame(step, title, *self._look("validation", self.recorder.frame_rows), shown)

    def on_epoch(self, epoch: int, outputs: Tensor, scores: Tensor) -> None:
        """Keep the validation outputs and scores of an epoch, and a map of training rows."""
        train = self._look("train", self.recorder.map_rows) if self.train_map else None
        self.recorder.epoch(epoch, outputs.cpu().numpy(), scores.cpu().numpy(), train)

    def _look(self, part: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs of these rows, (rows, width), and what is predicted for them."""
        z = evaluate(self.trainable, part, rows)
        scores = self.objective.scores(z, rows if part == "train" else None)
        predicted = scores.argmax(1) if self.classes else scores[:, 0]
        return z.cpu().numpy(), predicted.detach().cpu().numpy()


# (step, rows, outputs (rows, width), labels (rows,), centroids (classes, width) or None)
BatchFunction = Callable[[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], None]


@dataclass(frozen=True)
class ArrayCallback(Callback):
    """Gives a function of the user's the outputs of every training batch and the centroids, as arrays."""

    objective: Objective
    function: BatchFunction

    def on_batch(self, step: int, rows: np.ndarray, outputs: Tensor, labels: Tensor) -> None:
        """Call the function."""
        centroids = self.objective.centroids
        seen = None if centroids is None else centroids.detach().float().cpu().numpy().copy()
        self.function(step, rows, outputs.float().cpu().numpy(), labels.cpu().numpy(), seen)
