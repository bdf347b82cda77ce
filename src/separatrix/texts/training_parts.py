"""The parts of labelled texts that a training reads: rare classes settled, some rows of each, rows of seen groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from separatrix.recipe.core import checked
from separatrix.recipe.load import RARE, VALIDATION
from separatrix.texts.load import SPLITTING, Splits, given_splits
from separatrix.texts.rare import settle_rare
from separatrix.texts.set_checks import joined_labels
from separatrix.texts.table import Texts, few, refuse_equal

READING = SPLITTING | {"per_class", "rare", "weight"}


def training_splits(
    data: Any, reading: Mapping[str, Any], options: Collection[str] = (), *, seed: int, numbers: bool = False
) -> Splits:
    """The parts to train on and to evaluate, read if they are not yet; an option without effect is refused.

    Args:
        data: `Splits` as they are, or anything that `load_splits` reads.
        reading: those of `READING`, by name.
        options: other options of the verb, for the message about one that splits have no use for.
        seed: of the parts.
        numbers: whether labels are numbers to predict, which are no classes.
    """
    if isinstance(data, Splits):
        refuse_equal(data.train)
        return given_splits(data, reading, options)
    own = dict(reading)
    per_class, rare = own.pop("per_class", None), checked("rare", own.pop("rare", RARE[0]), str, choices=RARE)
    by = own.pop("by", None) or ("rows" if numbers else "label")
    splits = given_splits(data, own | {"by": by}, seed=seed)
    refuse_equal(splits.train)
    splits = splits if numbers else settle_rare(_with_warning(splits), rare)
    if by == "group":
        splits = splits.with_seen(own.get("validation", VALIDATION), seed)
    if per_class is None:
        return splits
    train = few(splits.train, checked("per_class", per_class, int, low=1), seed)
    note = f"train: {len(train)} of {len(splits.train)} rows, at most {per_class} of each class"
    splits = replace(splits, train=train, notes=(*splits.notes, note), limited=True)
    return splits if splits.seen is None else _of_trained_groups(splits, splits.seen)


def _of_trained_groups(splits: Splits, seen: Texts) -> Splits:
    """The same, with those rows of "seen" whose group still has training rows."""
    if seen.group is None or splits.train.group is None:
        return splits
    rows = np.isin(seen.group.astype(str), splits.train.group.astype(str))
    if rows.all():
        return splits
    note = f"seen: {rows.sum()} of {len(rows)} rows, of groups that these training rows have"
    return replace(splits, seen=seen.where(rows) if rows.any() else None, notes=(*splits.notes, note))


def _with_warning(splits: Splits) -> Splits:
    """The same splits, with a warning where several labels a row seem to be written as one."""
    train = splits.train
    return replace(splits, train=replace(train, warnings=(*train.warnings, *joined_labels(train))))
