"""Points taken apart for scoring: labels to targets, `split` to parts, repeats counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from separatrix.errors import DataError
from separatrix.geometry.baselines import Part
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.measures import ClassTask, NumberTask, Task
from separatrix.geometry.rowspace import RowSpace
from separatrix.points import Points
from separatrix.recipe.score import ScoreRecipe
from separatrix.texts import Classes

WHOLE = "all"  # the one part of points that come without parts
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Vectors and targets of each part, and the task."""

    parts: Mapping[str, Part]  # `all`, or `train` and others
    targets: np.ndarray  # (rows,) of all points, in their order
    names: tuple[str, ...]  # class names; empty: numbers are predicted
    task: Task
    warnings: tuple[str, ...]

    @property
    def known(self) -> Part:
        """The rows that are learnt from."""
        return next(iter(self.parts.values()))

    @cached_property
    def narrow(self) -> Split:
        """The same rows in as many directions as there are rows, if these are fewer than columns.

        The mean of the known rows is 0 there, and distances are the same.
        """
        known = self.known.vectors
        if known.shape[1] <= sum(len(part.targets) for part in self.parts.values()):
            return self
        moved = np.concatenate([part.vectors for part in self.parts.values()]).astype(np.float64)
        moved -= known.mean(axis=0, dtype=np.float64)
        ends = np.cumsum([len(part.targets) for part in self.parts.values()])[:-1]
        turned = np.split(RowSpace.of(moved).coordinates, ends)
        named = zip(self.parts.items(), turned, strict=True)
        return replace(self, parts={name: Part(rows, part.targets) for (name, part), rows in named})

    @property
    def others(self) -> dict[str, Part]:
        """The rows that are predicted."""
        return {name: part for name, part in self.parts.items() if part is not self.known}


def split_points(points: Points, recipe: ScoreRecipe) -> Split:
    """Read labels and parts of points.

    Raises:
        DataError: no such column, labels missing, one class only, fewer than k + 1 rows to learn from.
    """
    labels = points.column(recipe.label)
    names, targets = read_labels(labels)
    parts, odd = _parts(points, targets)
    known = next(iter(parts.values()))
    if len(known.targets) <= recipe.k:
        rows = len(known.targets)
        raise DataError("fewer rows than neighbors", got=f"{rows} rows, k = {recipe.k}", expected="k below the rows")
    task = make_task(known.targets, names, recipe.seed, recipe.resamples)
    return Split(parts, targets, names, task, (*odd, *_repeats(points, parts)))


def make_task(targets: np.ndarray, names: tuple[str, ...], seed: int, resamples: int) -> Task:
    """The task, from the targets that are learnt from. Raises `DataError`: one class only."""
    if not names:
        return NumberTask(seed, resamples)
    counts = np.bincount(targets, minlength=len(names))
    if (counts > 0).sum() < 2:
        raise DataError("one class only in the rows to learn from", got=names[int(counts.argmax())])
    return ClassTask(len(names), seed, resamples)


def read_labels(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names with class numbers, or no names and the numbers themselves for labels of floats.

    >>> read_labels(np.array(["b", "a", "b"], dtype=object))
    (('b', 'a'), array([0, 1, 0]))
    >>> read_labels(np.array([0.5, 1.5]))
    ((), array([0.5, 1.5]))
    """
    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(labels))
        if len(wrong):
            raise DataError(f"the label of row {wrong[0]} is missing", got=labels[wrong[0]], expected="a number")
        if (labels == labels[0]).all():
            raise DataError("all labels are the same number", got=labels[0])
        return (), labels.astype(np.float64)
    classes = classes_by_row(labels)
    return classes.names, classes.encode(labels)


def classes_by_row(labels: np.ndarray) -> Classes:
    """The classes of labels (rows,), numbered by their first rows."""
    classes = Classes.of(labels)
    order = first_row_order(classes.encode(labels), len(classes))
    return Classes(tuple(classes.values[number] for number in order))


def _parts(points: Points, targets: np.ndarray) -> tuple[dict[str, Part], list[str]]:
    values = points.values
    split = np.asarray(points.column("split")) if "split" in points.columns else np.empty(0, dtype=object)
    if not (split == "train").any():
        return {WHOLE: Part(values, targets)}, []
    parts = {name: Part(values[split == name], targets[split == name]) for name in PARTS if (split == name).any()}
    left_out = int((~np.isin(split, PARTS)).sum())
    odd = [f"{left_out} rows of other parts than {', '.join(PARTS)} are left out"] if left_out else []
    return parts, odd


def _repeats(points: Points, parts: Mapping[str, Part]) -> list[str]:
    """Rows that stand twice flatter leave-one-out; rows that stand in two parts flatter train-to-test."""
    keys = _keys(points)
    split = points.column("split") if WHOLE not in parts else np.full(len(points), WHOLE, dtype=object)
    first = next(iter(parts))
    known = keys[split == first]
    warnings = []
    twice = len(known) - len(set(known.tolist()))
    if twice:
        warnings.append(f"{twice} of {len(known)} rows of {first} repeat an earlier one: leave-one-out is flattered")
    for name in list(parts)[1:]:
        others = keys[split == name]
        shared = int(np.isin(others, known).sum())
        if shared:
            warnings.append(f"{shared} of {len(others)} rows of {name} stand in {first} as well")
    return warnings


def _keys(points: Points) -> np.ndarray:
    """What makes two rows the same: the text's hash, the text, or the vector itself; (rows,) of plain values."""
    for name in ("text_hash", "text"):
        if name in points.columns:
            return points.column(name).astype(str)
    values = np.ascontiguousarray(points.values)
    lines: Any = values.view(np.dtype((np.void, values.shape[1] * values.itemsize)))[:, 0]
    return np.unique(lines, return_inverse=True)[1]
