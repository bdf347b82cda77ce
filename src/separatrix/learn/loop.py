"""The one training loop: a trainable, an objective, batches, options, callbacks - whatever is learnt.

An epoch: rows in batches; forward, loss, backward, clip, step; the objective updates its tensors; callbacks look on.
After it: validation, one line of metrics, the best tensors kept. The state is saved every so often; a training that was
killed goes on from there and ends with the same bytes (on one machine), because every random choice is a function of
(seed, epoch).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.learn import schedule
from separatrix.learn.callbacks import Callback
from separatrix.learn.guards import check_gradients, check_loss
from separatrix.learn.objectives.base import LossBatch, Objective
from separatrix.learn.state import State
from separatrix.learn.trainables import Trainable, evaluate
from separatrix.recipe import LoopRecipe

Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]  # (scores, targets) -> figures of an epoch
MOST_FRAMES = 120
LOSS_ROWS = 512  # of one validation loss: pair losses look at all pairs of these
# Learning-rate groups with an option of their own; all others take --lr.
RATES = {
    "layers": "layer_lr",
    "centroids": "centroid_lr",
    "head": "head_lr",
    "pooling": "head_lr",
    "adversary": "head_lr",
}


@dataclass(frozen=True, eq=False)
class Training:
    """What is trained, by what, on which rows."""

    trainable: Trainable
    objective: Objective
    targets: dict[str, Tensor]  # part -> (rows,) class numbers, or numbers standardised on the training rows
    recipe: LoopRecipe
    batches: Callable[[int], list[np.ndarray]]  # epoch -> rows of each step; as many steps in every epoch
    classes: int = 0  # 0: numbers are predicted
    score: Score = lambda _scores, _targets: {}  # of validation rows; without any, the last epoch is the best
    keep: int | None = None  # stop after so many epochs and keep what stands there; None: validation chooses
    weight: Tensor | None = None  # (training rows,) above 0; None: all alike

    def __post_init__(self) -> None:
        if self.weight is not None and not self.objective.takes_weights:
            what, expected = "this objective has no weights of rows", "a loss with an argument `weight`"
            raise OptionError(what, expected=expected, hint="leave --weight and --class-weight away")


@dataclass(frozen=True)
class FitResult:
    """The best tensors by name, and the lines of metrics."""

    tensors: dict[str, Tensor]
    metrics: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool


class Loop:
    """One training. `run` is its order; the other methods are its steps. The objective has been started."""

    def __init__(
        self, training: Training, callbacks: Sequence[Callback] = (), *, path: Path | None = None, identity: str = ""
    ) -> None:
        self.training, self.callbacks = training, callbacks
        self.trainable, self.objective, self.recipe = training.trainable, training.objective, training.recipe
        self.path, self.identity = path, identity
        self.steps = self.recipe.epochs * len(training.batches(0))
        self.frames = schedule.frame_steps(self.steps, min(self.recipe.epochs * self.recipe.snapshots, MOST_FRAMES))
        self.groups = self.trainable.groups() | self.objective.parameters()
        self.state = self._start()
        self.saved_at = monotonic()

    def run(self) -> FitResult:
        """Train to the end (or go on from the checkpoint) and return the best tensors."""
        if self.path is not None and self.path.is_file():
            self.state.load(self.path, self.identity)
        progress, recipe = self.state.progress, self.recipe
        if progress.step == 0 and self.frames:
            self._call("on_frame", 0, "start")
        while not progress.done:
            self._epoch()
            stale = progress.epoch - progress.best_epoch
            last = recipe.epochs if self.training.keep is None else self.training.keep
            progress.done = progress.epoch >= last or 0 < recipe.patience <= stale
            self._save()
        return FitResult(self.state.best, progress.metrics, progress.best_epoch, progress.epoch < recipe.epochs)

    def _start(self) -> State:
        options = []
        for name, tensors in self.groups.items():
            rate = getattr(self.recipe, RATES.get(name, "lr"))
            decay = 0.0 if name == "centroids" else self.recipe.weight_decay
            leaves = [tensor.requires_grad_() for tensor in tensors.values()]
            options.append({"params": leaves, "lr": self.recipe.lr if rate is None else rate, "weight_decay": decay})
        optimizer = torch.optim.AdamW(options, fused=True)
        for group in optimizer.param_groups:
            group["top"] = group["lr"]
        trained = {name: tensor for group in self.groups.values() for name, tensor in group.items()}
        return State(trained | self.objective.buffers(), optimizer)

    def _epoch(self) -> None:
        progress = self.state.progress
        order = self.training.batches(progress.epoch)
        for rows in order[progress.index :]:
            self._step(rows)
            progress.index += 1
            self._call("on_step", progress.step, self.steps, progress.loss / progress.rows)
            if progress.step in self.frames:
                self._call("on_frame", progress.step, f"epoch {progress.epoch + progress.index / len(order):.2f}")
            if progress.index < len(order) and monotonic() - self.saved_at >= self.recipe.checkpoint_seconds:
                self._save()
        progress.epoch += 1
        self._close_epoch(len(order))
        progress.index, progress.rows, progress.loss, progress.parts, progress.norm = 0, 0, 0.0, {}, {}

    def _step(self, rows: np.ndarray) -> None:
        progress, optimizer = self.state.progress, self.state.optimizer
        factor = schedule.rate(progress.step, self.steps, self.recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = group["top"] * factor
        batch = self._batch(np.concatenate([rows, self.objective.companions(rows)]), len(rows))
        optimizer.zero_grad(set_to_none=True)
        z, value = self.trainable.backward(batch, lambda outputs: self.objective.loss(outputs, batch))
        loss = value.total.item()
        check_loss(loss, progress.step, self.recipe.lr)
        norms, norm = check_gradients(self.groups, progress.step)
        if 0 < self.recipe.clip < float(norm):
            tensors = [tensor for group in self.groups.values() for tensor in group.values()]
            torch.nn.utils.clip_grads_with_norm_(tensors, self.recipe.clip, norm)
        optimizer.step()
        progress.step += 1
        z, batch = z[: len(rows)], self._batch(rows, len(rows), batch.step)
        self.objective.after_step(z, batch)
        self._count(len(rows), loss, {name: float(part) for name, part in value.parts.items()}, norms)
        self._call("on_batch", progress.step, rows, z, batch.labels)

    def _batch(self, rows: np.ndarray, size: int, step: int | None = None) -> LossBatch:
        targets = self.training.targets["train"]
        index = torch.from_numpy(rows).to(targets.device)
        weight = None if self.training.weight is None else self.training.weight[index]
        return LossBatch(targets[index], index, self.state.progress.step if step is None else step, size, weight)

    def _count(self, rows: int, loss: float, parts: dict[str, float], norms: dict[str, float]) -> None:
        progress = self.state.progress
        progress.rows += rows
        progress.loss += loss * rows
        for name, value in parts.items():
            progress.parts[name] = progress.parts.get(name, 0.0) + value * rows
        for name, value in norms.items():
            progress.norm[name] = progress.norm.get(name, 0.0) + value

    @torch.no_grad()
    def _close_epoch(self, steps: int) -> None:
        progress = self.state.progress
        self.objective.after_epoch()
        line: dict[str, Any] = {
            "epoch": progress.epoch,
            "step": progress.step,
            "loss": progress.loss / progress.rows,
            "parts": {name: value / progress.rows for name, value in progress.parts.items()},
            "lr": max(group["lr"] for group in self.state.optimizer.param_groups),
            "grad_norm": {name: value / steps for name, value in progress.norm.items()},
        }
        if "validation" in self.training.targets:
            line["validation"] = self._validate()
        else:
            progress.best_epoch = progress.epoch
            self.state.remember()
        progress.metrics.append(line | self.objective.summary())
        self._call("on_metrics", progress.metrics[-1])

    def _validate(self) -> dict[str, float]:
        progress, y = self.state.progress, self.training.targets["validation"]
        z = evaluate(self.trainable, "validation")
        loss = validation_loss(self.objective, z, y)
        check_loss(loss, progress.step, self.recipe.lr)
        scores = self.objective.scores(z)
        figures = self.training.score(scores.cpu().numpy(), y.cpu().numpy())
        classes = "accuracy" if "accuracy" in figures else "macro_f1"  # where rows have several labels
        worth = figures[classes] if self.training.classes else -figures["rmse"]
        if (worth, -loss) > progress.best or self.training.keep is not None:
            progress.best, progress.best_epoch = (worth, -loss), progress.epoch
            self.state.remember()
        self._call("on_epoch", progress.epoch, z, scores)
        return {"loss": loss, **figures, **self.objective.figures(z, y, scores)}

    def _save(self) -> None:
        self.saved_at = monotonic()
        if self.path is not None:
            self._call("on_save")
            self.state.save(self.path, self.identity)

    def _call(self, event: str, *values: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(*values)


@torch.no_grad()
def validation_loss(objective: Objective, z: Tensor, y: Tensor) -> float:
    """The loss of outputs (rows, width) in blocks; a row left alone has no pair and joins the block before it."""
    starts = list(range(0, max(1, len(y) - 1), LOSS_ROWS))
    total = 0.0
    for begin, end in zip(starts, [*starts[1:], len(y)], strict=True):
        total += objective.loss(z[begin:end], LossBatch(y[begin:end])).total.item() * (end - begin)
    return total / len(y)
