"""Time to quality on trec coarse: seconds until our side passes the best validation accuracy of PEFT's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from benchmarks.parts.suffix import TrainingData, train_suffix
from studies.common import Clock, append_run, load_set, markdown, read_runs
from studies.peft_side import Check, PeftRecipe, tokenize, train_peft

from separatrix import recipe as recipes
from separatrix.models.load import load_backbone
from separatrix.recipe import TrainRecipe, digest
from separatrix.texts import Classes, Splits

RATES = {"suffix": (3e-3, 1e-2, 3e-2), "peft": (1e-3, 1e-2, 1e-1)}
# The head of PEFT's side has a rate of its own, so that a high rate of the prompt does not spoil it.
PEFT = PeftRecipe(pool="mean", head_lr=1e-2)
LOOKS = 8
CASE = "time to quality (trec coarse)"
TARGET = 20.0
Run = dict[str, Any]


def time_to_quality(data: Path, lines: Path, *, epochs: int = 10, rows: int | None = None) -> tuple[float | None, str]:
    """Do the runs that are missing, and give the ratio of seconds with a table of all runs.

    The ratio is PEFT's seconds to its own best validation accuracy (at the learning rate where that is highest), over
    our seconds until validation accuracy is above it (at our fastest learning rate); None if it never is. Seconds are
    processor seconds, which hardly change when the machine does something else, of building the cache, starting and
    training; looking at validation (on both sides eight times an epoch), tokenizing and loading the model are left out
    on both sides.
    """
    splits = load_set(data, "trec6", 0, rows)
    train = TrainRecipe()
    ours = recipes.replace(train, device="cpu", epochs=epochs)
    theirs = replace(PEFT, tokens=train.prompt.tokens, epochs=epochs, batch_size=train.loop.batch_size)
    plans: list[tuple[str, float, dict[str, Any], Callable[[], list[Check]]]] = []
    for lr in RATES["suffix"]:
        recipe = recipes.replace(ours, lr=lr)
        plans.append(("suffix", lr, recipes.to_dict(recipe), lambda recipe=recipe: _suffix(splits, recipe)))  # type: ignore[misc]
    for lr in RATES["peft"]:
        other = replace(theirs, lr=lr)
        plans.append(("peft", lr, asdict(other), lambda other=other: _peft(splits, other)))  # type: ignore[misc]
    runs = []
    for side, lr, plain, train_side in plans:
        key = digest(side, plain, len(splits.train), LOOKS)
        found = next((run for run in read_runs(lines) if run["key"] == key), None)
        if found is None:
            print(f"time to quality: {side}, learning rate {lr:g}", file=sys.stderr, flush=True)
            looks = [[round(check.seconds, 3), round(check.epoch, 4), check.accuracy] for check in train_side()]
            found = {"key": key, "side": side, "lr": lr, "recipe": plain, "looks": looks}
            append_run(lines, found)
        runs.append(found)
    return judge(runs)


def judge(runs: list[Run]) -> tuple[float | None, str]:
    """The ratio, and a table of the runs.

    >>> ours = {"side": "suffix", "lr": 0.01, "looks": [[1.0, 0.5, 0.7], [2.0, 1.0, 0.9]]}
    >>> theirs = {"side": "peft", "lr": 0.1, "looks": [[10.0, 0.5, 0.6], [30.0, 1.0, 0.8], [50.0, 1.5, 0.8]]}
    >>> judge([ours, theirs])[0]
    15.0
    """
    best = max((best_look(run) for run in runs if run["side"] == "peft"), key=lambda look: look[2])
    rows, passes = [], []
    for run in runs:
        own = best_look(run)
        over = next((look for look in run["looks"] if look[2] > best[2]), None)
        if run["side"] == "suffix" and over is not None:
            passes.append(over[0])
        rows.append(
            {
                "side": run["side"],
                "learning rate": f"{run['lr']:g}",
                "best validation accuracy": f"{own[2]:.4f}",
                "seconds to it": f"{own[0]:.1f}",
                "seconds in all": f"{run['looks'][-1][0]:.1f}",
                f"seconds until above {best[2]:.4f}": "never" if over is None else f"{over[0]:.1f}",
            }
        )
    return (best[0] / min(passes) if passes else None), markdown(rows)


def best_look(run: Run) -> list[float]:
    """The first look with the highest accuracy: [seconds, epoch, accuracy]."""
    return max(run["looks"], key=lambda look: look[2])


def _labels(splits: Splits) -> tuple[Classes, dict[str, np.ndarray]]:
    assert splits.train.label is not None
    assert splits.validation.label is not None
    classes = Classes.of(splits.train.label)
    return classes, {
        "train": classes.encode(splits.train.label),
        "validation": classes.encode(splits.validation.label),
    }


def _suffix(splits: Splits, recipe: TrainRecipe) -> list[Check]:
    classes, labels = _labels(splits)
    backbone = load_backbone(recipe.backbone)
    room = recipe.prompt.tokens
    tokens = {part: backbone.tokenize(splits.parts[part].text, reserve=room) for part in ("train", "validation")}
    return train_suffix(
        backbone, TrainingData(tokens, labels, len(classes)), recipe, looks=LOOKS, clock=Clock(process_time)
    ).checks


def _peft(splits: Splits, recipe: PeftRecipe) -> list[Check]:
    classes, labels = _labels(splits)
    rows = {part: tokenize(splits.parts[part].text, labels[part], recipe) for part in ("train", "validation")}
    return train_peft(
        rows["train"], rows["validation"], len(classes), recipe, seed=0, looks=LOOKS, clock=Clock(process_time)
    ).checks
