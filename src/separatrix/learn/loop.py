"""The one training loop: prompt, head, centroids or an encoder, whatever is learnt.

An epoch: rows in shuffled batches of similar length; forward, loss, backward, clip, step; centroids move by their rule;
now and then a picture of the outputs. After it: validation, one line of metrics, the best tensors kept. The state is
saved every so often; a training that was killed goes on from there and ends with the same bytes, because every
random choice is a function of (seed, epoch).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separatrix.learn import schedule
from separatrix.learn.centroids import CentroidState, class_means, move
from separatrix.learn.guards import check_gradients, check_loss
from separatrix.learn.lesson import PlainLesson
from separatrix.learn.losses import Anchors
from separatrix.learn.measure import centroid_line, evaluate, validation_loss
from separatrix.learn.state import State
from separatrix.learn.task import Task, Watcher


@dataclass(frozen=True)
class Fitted:
    """The best tensors by name, and the lines of metrics."""

    tensors: dict[str, Tensor]
    metrics: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool


class Loop:
    """One training. `run` is the whole story; the other methods are its sentences."""

    def __init__(
        self, task: Task, held: dict[str, Tensor], watcher: Watcher, *, path: Path | None = None, identity: str = ""
    ) -> None:
        self.task, self.watcher = task, watcher
        self.learner, self.problem, self.recipe = task.learner, task.problem, task.recipe
        self.held = held  # "centroids", "weight", "bias" where the objective has them
        self.path, self.identity = path, identity
        recipe = task.recipe
        self.lesson = task.lesson or PlainLesson(task)
        self.steps = recipe.loop.epochs * len(self.lesson.batches(0))
        self.frames = schedule.frame_steps(self.steps, min(recipe.loop.epochs * recipe.loop.snapshots, 120))
        self.groups = self._groups()
        self.state = self._start()
        self.saved_at = monotonic()

    def run(self) -> Fitted:
        """Train to the end (or go on from the checkpoint) and return the best tensors."""
        if self.path is not None and self.path.is_file():
            self.state.load(self.path, self.identity)
        progress, loop = self.state.progress, self.recipe.loop
        if progress.step == 0 and self.frames:
            self.watcher.on_frame(0, "start", self.anchors())
        while not progress.done:
            self._epoch()
            stale = progress.epoch - progress.best_epoch
            last = loop.epochs if self.task.keep is None else self.task.keep
            progress.done = progress.epoch >= last or 0 < loop.patience <= stale
            self._save()
        return Fitted(self.state.best, progress.metrics, progress.best_epoch, progress.epoch < loop.epochs)

    def anchors(self, tensors: dict[str, Tensor] | None = None) -> Anchors:
        """The anchors as they stand (or as they stand in `tensors`)."""
        held = self.state.tensors if tensors is None else tensors
        words, classes = self.problem.words, self.problem.classes or None
        return Anchors(held.get("centroids"), held.get("weight"), held.get("bias"), words, classes)

    def _groups(self) -> dict[str, dict[str, Tensor]]:
        groups = dict(self.learner.groups())
        held = self.held
        if "weight" in held:
            groups["head"] = {"weight": held["weight"], "bias": held["bias"]}
        if self.problem.objective.needs == "centroids" and self.recipe.centroids.mover == "gradient":
            groups["centroids"] = {"centroids": held["centroids"]}
        return groups

    def _start(self) -> State:
        loop = self.recipe.loop
        rates = {"layers": loop.layer_lr, "centroids": loop.centroid_lr}
        rates |= dict.fromkeys(("head", "pooling", "adversary"), loop.head_lr)
        options = []
        for name, tensors in self.groups.items():
            own, leaves = rates.get(name), [tensor.requires_grad_() for tensor in tensors.values()]
            decay = 0.0 if name == "centroids" else loop.weight_decay
            options.append({"params": leaves, "lr": loop.lr if own is None else own, "weight_decay": decay})
        optimiser = torch.optim.AdamW(options, fused=True)
        for group in optimiser.param_groups:
            group["top"] = group["lr"]
        tensors = {name: tensor for group in self.groups.values() for name, tensor in group.items()}
        state = State(tensors | self.held, optimiser)
        if "centroids" in self.held:
            centroids = self.held["centroids"].detach()
            state.extra = {
                "velocity": torch.zeros_like(centroids),
                "origin": centroids.clone(),
                "path": torch.zeros(len(centroids), device=centroids.device),
            }
        return state

    def _epoch(self) -> None:
        progress, loop = self.state.progress, self.recipe.loop
        order = self.lesson.batches(progress.epoch)
        for rows in order[progress.index :]:
            self._step(rows)
            progress.index += 1
            self.watcher.on_step(progress.step, self.steps, progress.loss / progress.rows)
            if progress.step in self.frames:
                title = f"epoch {progress.epoch + progress.index / len(order):.2f}"
                self.watcher.on_frame(progress.step, title, self.anchors())
            if progress.index < len(order) and monotonic() - self.saved_at >= loop.checkpoint_seconds:
                self._save()
        progress.epoch += 1
        self._close_epoch(len(order))
        progress.index, progress.rows, progress.loss, progress.parts, progress.norm = 0, 0, 0.0, {}, {}

    def _step(self, rows: np.ndarray) -> None:
        progress, optimiser = self.state.progress, self.state.optimiser
        factor = schedule.rate(progress.step, self.steps, self.recipe.loop.warmup)
        for group in optimiser.param_groups:
            group["lr"] = group["top"] * factor
        targets = self.problem.targets["train"]
        y = targets[torch.from_numpy(rows).to(targets.device)]
        optimiser.zero_grad(set_to_none=True)
        z, value = self.lesson.backward(rows, progress.step, self.anchors())
        loss = value.total.item()
        check_loss(loss, progress.step, self.recipe.loop.lr)
        norms = check_gradients(self.groups, progress.step)
        if self.recipe.loop.clip:
            tensors = [tensor for group in self.groups.values() for tensor in group.values()]
            torch.nn.utils.clip_grad_norm_(tensors, self.recipe.loop.clip)
        optimiser.step()
        progress.step += 1
        self._move(z, y)
        self._count(len(rows), loss, {name: float(part) for name, part in value.parts.items()}, norms)
        if self.problem.classes and self.problem.objective.needs not in ("means", "bank"):
            self._watch_rows(rows, z, y)

    def _watch_rows(self, rows: np.ndarray, z: Tensor, y: Tensor) -> None:
        with torch.no_grad():
            chance = self.problem.objective.scores(z, self.anchors(), self.recipe.objective).softmax(1)
        self.watcher.on_rows(self.state.progress.epoch, rows, chance.gather(1, y[:, None])[:, 0].cpu().numpy())

    def _count(self, rows: int, loss: float, parts: dict[str, float], norms: dict[str, float]) -> None:
        progress = self.state.progress
        progress.rows += rows
        progress.loss += loss * rows
        for name, value in parts.items():
            progress.parts[name] = progress.parts.get(name, 0.0) + value * rows
        for name, value in norms.items():
            progress.norm[name] = progress.norm.get(name, 0.0) + value

    @torch.no_grad()
    def _move(self, z: Tensor, y: Tensor) -> None:
        """Move the centroids by their rule, and note how far they went."""
        if self.problem.objective.needs != "centroids":
            return
        recipe, progress, extra = self.recipe.centroids, self.state.progress, self.state.extra
        centroids = self.state.tensors["centroids"]
        before = extra.get("last", extra["origin"])
        due = (progress.moves + 1) % recipe.every == 0
        if recipe.mover == "mean" and due:
            z, y = evaluate(self.learner, "train"), self.problem.targets["train"]
        moved = move(CentroidState(centroids.detach(), extra["velocity"], progress.moves), z, y, recipe)
        progress.moves += 1
        centroids.copy_(moved.centroids)
        extra["velocity"] = moved.velocity
        extra["path"] = extra["path"] + (centroids - before).norm(dim=1)
        extra["last"] = centroids.detach().clone()

    @torch.no_grad()
    def _close_epoch(self, steps: int) -> None:
        progress, problem = self.state.progress, self.problem
        if problem.objective.needs == "means":
            z = evaluate(self.learner, "train")
            means, _ = class_means(z, problem.targets["train"], problem.classes)
            self.state.tensors["centroids"].copy_(means)
        line: dict[str, Any] = {
            "epoch": progress.epoch,
            "step": progress.step,
            "loss": progress.loss / progress.rows,
            "parts": {name: value / progress.rows for name, value in progress.parts.items()},
            "lr": max(group["lr"] for group in self.state.optimiser.param_groups),
            "grad_norm": {name: value / steps for name, value in progress.norm.items()},
        }
        line["validation"] = self._validate()
        if "centroids" in self.state.tensors and problem.classes > 1:
            extra = self.state.extra if problem.objective.needs == "centroids" else {}
            centroids = self.state.tensors["centroids"].detach()
            line["centroids"] = centroid_line(centroids, extra.get("origin"), extra.get("path"))
        progress.metrics.append(line)

    def _validate(self) -> dict[str, float]:
        progress, problem = self.state.progress, self.problem
        z, y = evaluate(self.learner, "validation"), problem.targets["validation"]
        loss = validation_loss(self.task, z, y, self.anchors())
        check_loss(loss, progress.step, self.recipe.loop.lr)
        scores = problem.objective.scores(z, self.anchors(), self.recipe.objective)
        found = problem.score(scores.cpu().numpy(), y.cpu().numpy())
        key = found["accuracy"] if problem.classes else -found["rmse"]
        if (key, -loss) > progress.best or self.task.keep is not None:
            progress.best, progress.best_epoch = (key, -loss), progress.epoch
            self.state.remember()
        self.watcher.on_epoch(progress.epoch, z.cpu().numpy(), scores.cpu().numpy(), self.anchors())
        return {"loss": loss, **found, **self.lesson.figures(z, y, scores)}

    def _save(self) -> None:
        self.saved_at = monotonic()
        if self.path is not None:
            self.watcher.on_save()
            self.state.save(self.path, self.identity)
