"""Classes with too few rows to be learnt: kept out of all parts, put together, or refused; a warning counts them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.recipe.load import RARE
from separatrix.texts.columns import listing
from separatrix.texts.load import Splits
from separatrix.texts.set_checks import without_labels
from separatrix.texts.table import Texts

LEAST = 2  # training rows of a class that can be learnt
MERGED = "other"


def settle_rare(splits: Splits, rare: str = RARE[0]) -> Splits:
    """The splits without classes that have one training row, or with these as one class; a warning counts them.

    Args:
        splits: with class labels; numbers to predict have no classes, and stay.
        rare: `drop` leaves their rows out of all parts; `merge` labels them "other"; `refuse` leaves the splits as they
            are, so that what trains on them refuses them.

    Raises:
        DataError: a part has no other rows than these.
        OptionError: `merge`, where classes are integers, or so few that they are no class together.

    >>> texts = Texts.of(["u", "v", "w", "x", "y"], ["a", "a", "b", "b", "c"], source="q.csv")
    >>> kept = settle_rare(Splits(texts, texts, None, ()))
    >>> len(kept.train), kept.train.warnings
    (4, ('q.csv: 1 class with fewer than 2 training rows is kept out (2 rows in all parts): c',))
    """
    train = splits.train
    if train.kind == "sets":
        return _settle_sets(splits, rare)
    if rare == "refuse" or train.label is None or train.kind == "floats":
        return splits
    counts = Counter(train.label.tolist())
    few = sorted(label for label, rows in counts.items() if rows < LEAST)
    if not few or len(counts) - len(few) < 2:  # with one class or none left, the refusal says more
        return splits
    rows = sum(int(_among(part, few).sum()) for part in splits.parts.values())
    many = len(few) > 1
    what = f"{len(few)} class{'es' if many else ''} with fewer than {LEAST} training rows {'are' if many else 'is'}"
    how = "kept out" if rare == "drop" else f"put together as {MERGED!r}"
    line = f"{train.name}: {what} {how} ({rows} rows in all parts): {listing([str(label) for label in few])}"
    if rare == "merge":
        if train.kind != "names":
            raise OptionError("--rare merge names a class, and here they are integers", hint="type --rare drop")
        if sum(counts[label] for label in few) + counts[MERGED] < LEAST:
            what = f"--rare merge: together they have fewer than {LEAST} training rows"
            raise OptionError(what, got=listing([str(label) for label in few]), hint="type --rare drop")
    parts = {
        name: _merged(part, few) if rare == "merge" else _dropped(part, few) for name, part in splits.parts.items()
    }
    _check_rows(parts, train.source)
    parts["train"] = replace(parts["train"], warnings=(*train.warnings, line))
    changed: dict[str, Any] = dict(parts)
    return replace(splits, **changed)


def _check_rows(parts: dict[str, Texts], source: str) -> None:
    """Refuse a part of which no row is left."""
    empty = next((name for name, part in parts.items() if not len(part)), None)
    if empty is not None:
        what = f"{source}: no row of {empty} is left without the classes that have fewer than {LEAST} training rows"
        raise DataError(what, hint="add rows of these classes, or type --rare merge")


def _settle_sets(splits: Splits, rare: str) -> Splits:
    """Labels with one training row are taken off their rows, which stay."""
    train = splits.train
    assert train.label is not None
    if rare == "merge":
        raise OptionError("--rare merge is for one label a row", hint="type --rare drop, or refuse")
    counts = Counter(name for labels in train.label.tolist() for name in labels)
    known = {name for part in splits.parts.values() if part.kind == "sets" for row in part.label for name in row}  # type: ignore[union-attr]
    few = sorted(name for name in known if counts[name] < LEAST)
    if rare == "refuse" or not few or len(known) - len(few) < 2:
        return splits
    verb = "label with fewer than 2 training rows is" if len(few) == 1 else "labels with fewer than 2 training rows are"
    line = f"{train.name}: {len(few)} {verb} left out, their rows stay: {listing(few)}"
    parts: dict[str, Any] = {name: without_labels(part, few) for name, part in splits.parts.items()}
    parts["train"] = replace(parts["train"], warnings=(*train.warnings, line))
    return replace(splits, **parts)


def _among(part: Texts, few: list[object]) -> np.ndarray:
    return np.array([label in few for label in part.label.tolist()] if part.label is not None else [False] * len(part))


def _dropped(part: Texts, few: list[object]) -> Texts:
    return part.take(np.flatnonzero(~_among(part, few)))


def _merged(part: Texts, few: list[object]) -> Texts:
    return part if part.label is None else replace(part, label=np.where(_among(part, few), MERGED, part.label))
