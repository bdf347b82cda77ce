"""What the loop is given: who learns, what is asked, who watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from separatrix.learn.losses import Anchors, LossValue, Objective
from separatrix.recipe import TrainRecipe

Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]  # (scores, targets) -> figures of an epoch


class Learner(Protocol):
    """What the loop trains: named tensors in learning-rate groups, and outputs of the rows of a part."""

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """Leaf tensors by group ("prompt", "layers", ...) and name."""
        ...

    def outputs(self, part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Outputs of these rows of "train" or "validation", (rows, width), with gradient.

        A training step gives its number, so that whatever is drawn at random in it can be drawn again.
        """
        ...

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each row of a part."""
        ...


class Lesson(Protocol):
    """What a step is: its rows, and how their loss becomes gradients."""

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of each step of an epoch; as many steps in every epoch."""
        ...

    def backward(self, rows: np.ndarray, step: int, anchors: Anchors) -> tuple[Tensor, LossValue]:
        """Leave gradients in the trained tensors; outputs (rows, width), detached, and the loss."""
        ...

    def figures(self, z: Tensor, y: Tensor, scores: Tensor) -> dict[str, float]:
        """What else is worth a place in the line of an epoch, from validation outputs, targets and scores."""
        ...


class Watcher(Protocol):
    """Sees the training go by (a trajectory on disk, a progress bar); changes nothing."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Called after each step."""
        ...

    def on_rows(self, epoch: int, rows: np.ndarray, gold: np.ndarray) -> None:
        """Probability of the own class for the rows of a training batch."""
        ...

    def on_frame(self, step: int, title: str, anchors: Anchors) -> None:
        """Called at the steps planned for pictures."""
        ...

    def on_epoch(self, epoch: int, outputs: np.ndarray, scores: np.ndarray, anchors: Anchors) -> None:
        """Validation outputs and scores after an epoch, and the anchors that gave the scores."""
        ...

    def on_save(self) -> None:
        """Called just before the loop's state is saved."""
        ...


@dataclass(frozen=True)
class Problem:
    """What is to be learnt: objective, targets, and what stays fixed."""

    objective: Objective
    targets: dict[str, Tensor]  # part -> (rows,) class ids, or numbers standardised on the training rows
    classes: int  # 0 for regression
    score: Score
    words: Tensor | None = None  # (classes,) token ids of the label words


@dataclass(frozen=True)
class Task:
    """Who learns what, and how."""

    learner: Learner
    problem: Problem
    recipe: TrainRecipe
    lesson: Lesson | None = None  # None: the plain one
    keep: int | None = None  # stop after so many epochs and keep what stands there; None: validation chooses
