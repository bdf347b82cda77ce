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
    """The splits without classes that have one training row, or none; or with these as one class. Warnings count them.

    Args:
        splits: with class labels; numbers to predict have no classes, and stay.
        rare: `drop` leaves their rows out of all parts; `merge` labels them "other" (where there are training rows of
            them; else it drops); `refuse` leaves the splits as they are, so that what trains on them refuses them.

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
    few, unseen = sorted(label for label, rows in counts.items() if rows < LEAST), _unseen(splits, counts)
    if not (few or unseen) or len(counts) - len(few) < 2:  # with one class or none left, the refusal says more
        return splits
    if rare == "merge" and few:
        _check_merged(train, few, counts)
    merges = rare == "merge" and bool(few)
    parts: dict[str, Any] = {}
    for name, part in splits.parts.items():
        parts[name] = _merged(part, [*few, *unseen]) if merges else _dropped(part, [*few, *unseen])
    _check_rows(parts, train.source)
    how = f"put together as {MERGED!r}" if merges else "kept out"
    lines = _counted(splits, few, f"with fewer than {LEAST} training rows", how, "in all parts")
    lines += _counted(splits, unseen, "without a training row", how, "of other parts, in no figure" * (not merges))
    parts["train"] = replace(parts["train"], warnings=(*train.warnings, *lines))
    return replace(splits, **parts)


def _unseen(splits: Splits, counts: Counter[Any]) -> list[Any]:
    """Classes of other parts that no training row has.

    None of all where a part has no other rows: it is refused later, by an error that names the nearest class.
    """
    unseen: set[Any] = set()
    for part in splits.parts.values():
        own = set() if part.label is None else {*part.label.tolist()}
        if own and not own & counts.keys():
            return []
        unseen |= own - counts.keys()
    return sorted(unseen)


def _counted(splits: Splits, classes: list[Any], which: str, how: str, where: str) -> list[str]:
    """A warning that counts the rows of these classes, where there are any."""
    if not classes:
        return []
    rows = sum(int(_among(part, classes).sum()) for part in splits.parts.values())
    what = f"{len(classes)} class{'es' if len(classes) > 1 else ''} {which} {'are' if len(classes) > 1 else 'is'} {how}"
    counted = f"{rows} row{'s' if rows > 1 else ''} {where}".strip()
    return [f"{splits.train.name}: {what} ({counted}): {listing([str(label) for label in classes])}"]


def _check_merged(train: Texts, few: list[Any], counts: Counter[Any]) -> None:
    """Refuse to merge what has no names, or is no class together."""
    if train.kind != "names":
        raise OptionError("--rare merge names a class, and here they are integers", hint="type --rare drop")
    if sum(counts[label] for label in few) + counts[MERGED] < LEAST:
        what = f"--rare merge: together they have fewer than {LEAST} training rows"
        raise OptionError(what, got=listing([str(label) for label in few]), hint="type --rare drop")


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
