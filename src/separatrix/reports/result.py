"""What a report is made of: plain numbers, texts and arrays, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import ShapeError
from separatrix.view import Frames, row_shares


@dataclass(frozen=True)
class PictureFile:
    """A picture to put into the page: its title and a .png, .gif or .jpg file."""

    title: str
    path: Path


@dataclass(frozen=True, eq=False)
class RunReport:
    """A finished run, ready to be shown.

    Args:
        title: name of the run.
        summary: what a reader wants to know first (data, model, rows, seconds), as (label, value).
        scores: one mapping per method and split, with any of `method`, `split`, `accuracy`, `interval` (low, high),
            `macro_f1`, `majority`, `rows`, or `rmse` and `baseline_rmse`; other keys become columns as well. The
            trained method stands next to its baselines, which were scored on the same rows.
        method: the `method` in `scores` that the verdict is about.
        interval: what the intervals are.
        per_class: one mapping per class; its keys are the columns.
        confusion: (classes, classes) counts, gold by predicted, or None.
        names: (classes,) class names.
        metrics: rows of `metrics.jsonl`.
        frames: the training in one plane, or None.
        train_frames: training rows in the same plane, or None.
        warnings: of the guards; shown first.
        recipe: all options, nested as in the recipe.
        notes: what else is true of the run: how the data were split, texts that were cut, duplicates.
        pictures: files shown at the end.

    Raises:
        ShapeError: the confusion matrix is not square, or names do not fit it.
    """

    title: str
    summary: tuple[tuple[str, object], ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    method: str = "prompt"
    interval: str = "95 % bootstrap interval"
    per_class: Sequence[Mapping[str, Any]] = ()
    confusion: np.ndarray | None = None
    names: tuple[str, ...] = ()
    metrics: Sequence[Mapping[str, Any]] = ()
    frames: Frames | None = None
    train_frames: Frames | None = None
    warnings: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pictures: tuple[PictureFile, ...] = ()

    def __post_init__(self) -> None:
        if self.confusion is None:
            return
        classes = len(row_shares(self.confusion))
        if len(self.names) != classes:
            raise ShapeError("every class of the confusion matrix needs a name", got=len(self.names), expected=classes)
