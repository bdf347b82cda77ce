"""Who is told of a training as it goes by: the progress report, and the trajectory on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from separatrix.learn.losses import Anchors
from separatrix.learn.measure import evaluate
from separatrix.learn.task import Task
from separatrix.learn.trajectory import Recorder
from separatrix.progress import Report, silent

Judge = Callable[[Tensor, np.ndarray], Tensor]  # (outputs, which training rows) -> scores


@dataclass(frozen=True)
class RunWatcher:
    """Writes the trajectory and reports progress."""

    task: Task
    recorder: Recorder
    report: Report = silent
    train_map: bool = False  # also keep outputs of some training rows after every epoch
    judge: Judge | None = None  # of training rows, where they themselves decide: none may vote for itself

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Report a step."""
        self.report("training", done, total, f"loss {loss:.3f}")

    def on_rows(self, _epoch: int, rows: np.ndarray, own: np.ndarray) -> None:
        """Note the probability of the own class."""
        self.recorder.rows(rows, own)

    def on_save(self) -> None:
        """Save these notes beside the loop's state."""
        self.recorder.keep_own()

    def on_frame(self, step: int, title: str, anchors: Anchors) -> None:
        """Keep a picture of the validation outputs."""
        if self.recorder.folder is None:
            return
        self.recorder.frame(step, title, *self._look("validation", self.recorder.frame_rows, anchors), anchors)

    def on_epoch(self, epoch: int, outputs: np.ndarray, scores: np.ndarray, anchors: Anchors) -> None:
        """Keep the validation outputs and scores of an epoch, and a map of training rows."""
        train = None
        if self.train_map and self.recorder.folder is not None:
            train = self._look("train", self.recorder.map_rows, anchors)
        self.recorder.epoch(epoch, outputs, scores, train)

    def _look(self, part: str, rows: np.ndarray, anchors: Anchors) -> tuple[np.ndarray, np.ndarray]:
        """Outputs of these rows, (rows, width), and what is predicted for them."""
        problem = self.task.problem
        z = evaluate(self.task.learner, part, rows)
        if part == "train" and self.judge is not None:
            scores = self.judge(z, rows)
        else:
            scores = problem.objective.scores(z, anchors, self.task.recipe.objective)
        predicted = scores.argmax(1) if problem.classes else scores[:, 0]
        return z.cpu().numpy(), predicted.detach().cpu().numpy()
