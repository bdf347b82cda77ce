"""Labelled texts taken apart for ranking: a sample of large parts, the targets of each part, and the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from separatrix.analysis.rows import classes_by_row, make_task, read_labels
from separatrix.codes import encode
from separatrix.errors import DataError
from separatrix.geometry.baselines import Part
from separatrix.geometry.classes import spread_order, spread_sets
from separatrix.geometry.measures import LabelSetTask, RankedTask
from separatrix.points import Points
from separatrix.recipe.score import RankRecipe
from separatrix.texts import Splits
from separatrix.texts.label_sets import indicator, set_names

DRAWN = {"floats": "drawn", "sets": "two of each label, the others drawn"}


def sampled_parts(splits: Splits, wanted: RankRecipe) -> Splits:
    """The splits with at most `most_rows` rows in each part, drawn with the seed, and a note for each that is larger.

    Each class gives two rows, then its share; of several labels a row, each label gives two and the others are drawn.

    >>> from separatrix.texts import Texts
    >>> texts = Texts.of([str(row) for row in range(9)], ["a"] * 7 + ["b"] * 2)
    >>> few = sampled_parts(Splits(texts, texts, None, ()), RankRecipe(most_rows=4))
    >>> few.train.label.tolist(), few.notes[0]
    (['a', 'a', 'b', 'b'], 'train: 4 of 9 rows, two of each class, then its share (--most-rows 0 reads all)')
    """
    notes, parts = list(splits.notes), dict(splits.parts)
    for name, texts in parts.items():
        if not 0 < wanted.most_rows < len(texts) or texts.label is None:
            continue
        if texts.kind == "floats":
            order = np.random.default_rng([wanted.seed, 13]).permutation(len(texts))
        elif texts.kind == "sets":
            own = sorted({label for labels in texts.label for label in labels})
            order = spread_sets(indicator(texts.label, own), [wanted.seed, 13])
        else:
            order = spread_order(encode(texts.label, by_row=True)[0], [wanted.seed, 13])
        parts[name] = texts.take(np.sort(order[: wanted.most_rows]))
        share = DRAWN.get(str(texts.kind), "two of each class, then its share")
        notes.append(f"{name}: {wanted.most_rows} of {len(texts)} rows, {share} (--most-rows 0 reads all)")
    changed: dict[str, Any] = {**parts, "notes": tuple(notes)}
    return replace(splits, **changed)


def read_targets(splits: Splits) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Class names, and targets of each part; classes are those of the training rows."""
    labels = {name: part.label for name, part in splits.parts.items()}
    if labels["train"] is None:
        raise DataError(f"{splits.train.source} was read without labels", hint="name their column with --label")
    if splits.train.kind == "sets":
        sets = set_names(labels["train"], splits.train.source)
        marks = {
            name: indicator(values, sets, source=splits.parts[name].source)
            for name, values in labels.items()
            if values is not None
        }
        return sets, marks
    names, train = read_labels(labels["train"])
    if names:
        classes = classes_by_row(labels["train"])
        targets = {name: classes.encode(values) for name, values in labels.items() if values is not None}
    else:
        targets = {name: np.asarray(values, dtype=np.float64) for name, values in labels.items() if values is not None}
    return names, {"train": train} | targets


def task_of(targets: np.ndarray, names: tuple[str, ...], wanted: RankRecipe) -> RankedTask:
    """What figures are measured for: classes, several labels a row, or numbers. Raises `DataError`: one class only."""
    if targets.ndim == 2:
        return LabelSetTask(len(names), wanted.seed, wanted.resamples)
    return make_task(targets, names, wanted.seed, wanted.resamples)


def vectors_of(points: Points, targets: Mapping[str, np.ndarray]) -> dict[str, Part]:
    """The rows of each part with their targets."""
    ends = np.cumsum([len(values) for values in targets.values()])
    vectors = np.split(points.values, ends[:-1])
    return {name: Part(part, targets[name]) for name, part in zip(targets, vectors, strict=True)}
