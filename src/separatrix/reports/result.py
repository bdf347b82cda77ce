"""What a report is made of: plain numbers, texts and arrays, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import ShapeError
from separatrix.reports.rows import PageRows, RowMap
from separatrix.view import row_shares


@dataclass(frozen=True)
class PictureFile:
    """A picture to put into the page: its title and a .png, .gif or .jpg file."""

    title: str
    path: Path


@dataclass(frozen=True, eq=False)
class RunReport:
    """A finished run, ready to be shown.

    Raises:
        ShapeError: the confusion matrix is not square, or names do not fit it.
    """

    title: str  # name of the run
    # What a reader wants to know first (data, model, rows, seconds), as (label, value).
    summary: tuple[tuple[str, object], ...] = ()
    # One mapping per method and split, with any of `method`, `split`, `accuracy`, `interval` (low, high),
    # `macro_f1`, `majority`, `rows`, or `rmse` and `baseline_rmse`; other keys become columns as well. The
    # trained method stands next to its baselines, which were scored on the same rows.
    scores: Sequence[Mapping[str, Any]] = ()
    method: str = "prompt"  # the `method` in `scores` that the verdict is about
    interval: str = "95 % interval"  # what the intervals are, over rows
    per_class: Sequence[Mapping[str, Any]] = ()  # one mapping per class; its keys are the columns
    confusion: np.ndarray | None = None  # (classes, classes) counts, gold by predicted, or None
    names: tuple[str, ...] = ()  # (classes,) class names
    reliability: Mapping[str, Any] = field(default_factory=dict)  # of the part `reliability_part`; empty: not known
    reliability_part: str = ""
    metrics: Sequence[Mapping[str, Any]] = ()  # rows of `metrics.jsonl`
    confusion_part: str = ""  # the split that the confusion matrix counts
    rows: PageRows | None = None  # all rows that were evaluated, and others that a map shows
    maps: Sequence[RowMap] = ()  # where the rows lie
    warnings: tuple[str, ...] = ()  # of the guards; shown first
    recipe: Mapping[str, Any] = field(default_factory=dict)  # all options, nested as in the recipe
    command: str = ""  # that makes it again, without paths
    origin: Sequence[tuple[str, str]] = ()  # seed, versions, hashes
    # What else is true of the run: how the data were split, texts that were cut, duplicates.
    notes: tuple[str, ...] = ()
    pictures: tuple[PictureFile, ...] = ()  # files shown at the end
    race: Mapping[str, Any] | None = None  # of `--method auto`, as `result.json` has it

    def __post_init__(self) -> None:
        if self.confusion is None:
            return
        classes = len(row_shares(self.confusion))
        if len(self.names) != classes:
            raise ShapeError("every class of the confusion matrix needs a name", got=len(self.names), expected=classes)
