"""The plain lesson: the objective of the outputs of a batch, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from separatrix.learn import schedule
from separatrix.learn.losses import Anchors, LossValue
from separatrix.learn.task import Task


@dataclass(frozen=True)
class PlainLesson:
    """Shuffled batches of similar length, and the loss that the problem's objective has."""

    task: Task

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of each step of an epoch."""
        loop = self.task.recipe.loop
        return schedule.batches(self.task.learner.lengths("train"), loop.batch_size, loop.seed, epoch)

    def backward(self, rows: np.ndarray, step: int, anchors: Anchors) -> tuple[Tensor, LossValue]:
        """Leave gradients in the trained tensors; outputs (rows, width), detached, and the loss."""
        problem = self.task.problem
        targets = problem.targets["train"]
        y = targets[torch.from_numpy(rows).to(targets.device)]
        z = self.task.learner.outputs("train", rows, step)
        value = problem.objective.loss(z, y, anchors, self.task.recipe.objective)
        value.total.backward()
        return z.detach(), value

    def figures(self, _z: Tensor, _y: Tensor, _scores: Tensor) -> dict[str, float]:
        """Nothing more is said of an epoch."""
        return {}
