"""Our side of a whole training: text cache, starts, and the library's own loop, under a clock that can stand still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from studies.common import Clock
from studies.peft_side import Check, look_steps

from separatrix.learn import schedule
from separatrix.learn.callbacks import Callback
from separatrix.learn.job import training_rows
from separatrix.learn.loop import Loop, Training
from separatrix.learn.objectives import OBJECTIVES, Objective
from separatrix.learn.prompt import start_rows
from separatrix.learn.trainables import evaluate
from separatrix.learn.trainables.prompt import PromptTrainable
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.cache import TextCache, build_cache
from separatrix.models.suffix import start_prompt
from separatrix.recipe import TrainRecipe


@dataclass(frozen=True)
class TrainingData:
    """Token ids and class numbers of train and validation."""

    tokens: Mapping[str, Tokens]
    labels: Mapping[str, np.ndarray]
    classes: int


@dataclass(frozen=True)
class SuffixRun:
    """A finished training: seconds of building the cache and of all, and the looks at validation."""

    cache_seconds: float
    seconds: float
    checks: list[Check]
    cache_bytes: int
    place: str


@dataclass
class _Looker(Callback):
    """Looks at validation `looks` times an epoch with the clock standing still."""

    learner: PromptTrainable
    objective: Objective
    labels: np.ndarray
    clock: Clock
    looks: int
    epochs: int
    checks: list[Check] = field(default_factory=list)

    def on_step(self, done: int, total: int, loss: float) -> None:  # noqa: ARG002
        """Stand still while looking; at the end of an epoch, until the loop has looked itself."""
        steps = total // self.epochs
        place = (done - 1) % steps + 1
        if place == steps:
            self.clock.pause()
        elif self.looks > 1 and place in look_steps(steps, self.looks):
            self.clock.pause()
            with torch.no_grad():
                scores = self.objective.scores(evaluate(self.learner, "validation"))
            self._note(done / steps, scores.numpy())
            self.clock.go()

    def on_epoch(self, epoch: int, outputs: torch.Tensor, scores: torch.Tensor) -> None:  # noqa: ARG002
        """Note what the loop found, and run on."""
        self._note(float(epoch), scores.numpy())
        self.clock.go()

    def _note(self, epoch: float, scores: np.ndarray) -> None:
        self.checks.append(Check(self.clock.seconds, epoch, float((scores.argmax(1) == self.labels).mean())))


def train_suffix(
    backbone: Backbone,
    material: TrainingData,
    recipe: TrainRecipe,
    *,
    looks: int = 1,
    folder: Path | None = None,
    clock: Clock | None = None,
) -> SuffixRun:
    """Train a prompt with `centroid_ce` (or another objective with centroids); evaluation is left out of the seconds.

    Args:
        backbone: the frozen model.
        material: the rows.
        recipe: of the training; its model is not read.
        looks: times that validation is looked at in an epoch.
        folder: where a cache on disk goes.
        clock: what counts the seconds; the wall's if absent.
    """
    clock, caches = clock or Clock(), dict[str, TextCache]()
    try:
        clock.go()
        caches["train"] = build_cache(backbone, material.tokens["train"], recipe.text_cache, folder=folder)
        clock.pause()
        built = clock.seconds
        held_out = None if folder is None else folder / "validation"
        caches["validation"] = build_cache(backbone, material.tokens["validation"], recipe.text_cache, folder=held_out)
        clock.go()
        checks = _loop(backbone, material, recipe, caches, _Options(clock, looks))
        clock.pause()
        return SuffixRun(built, clock.seconds, checks, caches["train"].nbytes, caches["train"].location)
    finally:
        for cache in caches.values():
            cache.close()


@dataclass(frozen=True)
class _Options:
    clock: Clock
    looks: int


def _loop(
    backbone: Backbone, material: TrainingData, recipe: TrainRecipe, caches: dict[str, TextCache], options: _Options
) -> list[Check]:
    prompt = start_prompt(recipe.prompt, backbone, caches["train"].shape, seed=recipe.loop.seed)
    learner = PromptTrainable(backbone, recipe, prompt, caches)
    targets = {part: torch.from_numpy(values) for part, values in material.labels.items()}
    rows, loop = start_rows(material.labels["train"], material.classes, recipe.loop.seed), recipe.loop
    objective = OBJECTIVES[recipe.objective.loss].build(recipe, material.classes)
    objective.start(training_rows(learner, targets["train"], rows, 0))

    def score(scores: np.ndarray, gold: np.ndarray) -> dict[str, float]:
        return {"accuracy": float((scores.argmax(1) == gold).mean())}

    order = partial(schedule.batches, learner.lengths("train"), loop.batch_size, loop.seed)
    watcher = _Looker(learner, objective, material.labels["validation"], options.clock, options.looks, loop.epochs)
    Loop(Training(learner, objective, targets, loop, order, material.classes, score), [watcher]).run()
    return watcher.checks
