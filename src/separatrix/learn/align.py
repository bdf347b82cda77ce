"""Train an encoder so that rows of one class stand together: class-driven alignment, and plain fine-tuning.

The order of `train_encoder`: load the model, say what of it is trained, start the objective (it fills its bank), loop,
put the best weights back, encode the training rows once more for the index, choose k on validation. Training and
prediction measure by the same cosine.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from separatrix.learn import schedule
from separatrix.learn.job import Job, TrainedModel, train_and_refit, training_rows
from separatrix.learn.loop import FitResult, Training
from separatrix.learn.objectives.alignment import ALONE, AlignObjective
from separatrix.learn.objectives.base import Objective
from separatrix.learn.objectives.groups import group_numbers
from separatrix.learn.objectives.label_sets import LabelSetObjective
from separatrix.learn.targets import Targets, encode
from separatrix.learn.trainables.encoder import EncoderTrainable, check_trained, start_encoder
from separatrix.learn.trained.encoder import AlignModel, check_index, finish_model
from separatrix.models.load import load_backbone
from separatrix.recipe.align import AlignRecipe


def train_encoder(job: Job[AlignRecipe]) -> TrainedModel[AlignModel]:
    """Train an encoder, from texts to the calibrated model.

    With `refit` it is trained a second time, on the validation rows too, which join the index; k, weights and
    temperature stay those that the first training chose.

    Raises:
        DataError: labels or groups that cannot be used.
        OptionError: an option out of range, or one that does not fit the others.
        ModelError: a model that cannot be found or trained.
        StoreError: no room, or a checkpoint of another job in the folder.
    """
    return train_and_refit(job, _train, ("vote", "evidence", "calibration", "note"))


def _train(job: Job[AlignRecipe]) -> TrainedModel[AlignModel]:
    recipe = job.recipe
    check_index(recipe.answers, len(job.train))
    parts = {"train": job.train, "validation": job.validation}
    targets = encode(parts, "classify")
    notes = list[str]()
    if not targets.sets:
        notes = schedule.check_classes(
            targets.values["train"], targets.names, recipe.loop.batch_size, alone=recipe.pairing.pairs == "batch"
        )
    backbone = load_backbone(recipe.backbone)
    tokens = {part: backbone.tokenize(texts.text) for part, texts in parts.items()}
    notes += [f"{part}: {rows.cut} of {len(rows)} texts were cut" for part, rows in tokens.items() if rows.cut]
    notes += [f"{part}: {line}" for part, rows in tokens.items() for line in rows.unread.warnings]
    trainable = EncoderTrainable(start_encoder(backbone, recipe.encoder), tokens, recipe.loop.seed)
    check_trained(trainable.encoder, head=recipe.has_head)
    training, more = start_training(job, trainable, targets)
    fitted = job.loop(training, backbone.source.weights, train_map=True).run()
    best = fitted.tensors
    encoder = trainable.encoder.finished(best)
    vectors = {part: encoder.encode(rows) for part, rows in tokens.items()}
    head = (best["weight"], best["bias"]) if recipe.has_head else None
    model = finish_model(encoder, recipe, targets, vectors, job.train, head, job.score)
    return TrainedModel(model, (*notes, *more, *_alone(fitted), model.note), fitted)


def _alone(fitted: FitResult) -> list[str]:
    """What is worth saying of steps that taught the objective nothing."""
    share = float(np.mean([line["parts"].get(ALONE, 0.0) for line in fitted.metrics]))
    if not share:
        return []
    return [
        f"in {share:.1%} of the steps no row met another of its own class, so the objective learnt nothing of them "
        "(raise --batch-size, or type --pairs bank or --sampler balanced)"
    ]


def start_training(job: Job[AlignRecipe], trainable: EncoderTrainable, targets: Targets) -> tuple[Training, list[str]]:
    """The training with its objective started, and what is worth saying of its groups."""
    recipe, labels, device = job.recipe, targets.values["train"], trainable.encoder.backbone.device
    group, notes = None, list[str]()
    if recipe.needs_groups:
        numbers, notes = group_numbers(job.train.group, labels, job.train.source)
        group = torch.from_numpy(numbers).to(device)
    seen = {part: torch.from_numpy(values).to(device) for part, values in targets.trained.items()}
    objective: Objective = AlignObjective(recipe, len(targets.names), group)
    if targets.sets:
        objective = LabelSetObjective(recipe, len(targets.names))
    order = partial(_batches, recipe, labels, trainable.lengths("train"), group)
    steps = recipe.loop.epochs * len(order(0))
    weight = job.weight(device)
    objective.start(training_rows(trainable, seen["train"], np.arange(len(labels)), steps, weight))
    classes = len(targets.names)
    training = Training(trainable, objective, seen, recipe.loop, order, classes, job.score, job.keep, weight)
    return training, notes


def _batches(
    recipe: AlignRecipe, labels: np.ndarray, lengths: np.ndarray, group: Tensor | None, epoch: int
) -> list[np.ndarray]:
    """All rows in shuffled batches of similar length, or balanced batches."""
    loop, pairing = recipe.loop, recipe.pairing
    if pairing.sampler == "shuffled":
        return schedule.batches(lengths, loop.batch_size, loop.seed, epoch)
    cells = group.cpu().numpy() if pairing.sampler == "cells" and group is not None else None
    return schedule.balanced(labels, loop.batch_size, pairing.class_rows, loop.seed, epoch, cells)
