"""What each row counts in training: a column of weights, weights of classes, or both multiplied.

A loss is then a weighted mean, and a row of weight 2 counts as two of weight 1. Weights are relative: they are divided
by their mean over the training rows. Rows of weight 0 are not learnt from. Figures, baselines and votes of neighbors
count rows, whatever these weigh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import isfinite
from typing import Any

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.row_weights import mean_weight
from separatrix.texts.characters import plain_name
from separatrix.texts.columns import listing
from separatrix.texts.load import Splits
from separatrix.texts.table import Texts

BALANCED = "balanced"


def weigh(splits: Splits, class_weight: Sequence[str] | None) -> Splits:
    """The splits with a weight for each training and validation row; as they are where none is given.

    Validation rows have one because a second training (`refit`) learns from them too: where none is given, that of the
    average training row. Training rows of weight 0 are left out, and a note counts them. The mean of the others is 1.

    Args:
        splits: whose texts may have weights of their own.
        class_weight: `balanced`, or `class=weight` for some classes; the others have weight 1.

    Raises:
        DataError: all rows of a class have weight 0; a class that is not there; weights too far apart.
        OptionError: a weight of a class that is no number above 0.

    >>> texts = Texts.of(["a", "b", "c", "d"], ["x", "x", "x", "y"])
    >>> weigh(Splits(texts, texts, None, ()), ("balanced",)).train.weight.round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    train, validation = splits.train, splits.validation
    if class_weight is None and train.weight is None:
        return splits
    own = _weights(train)
    _refuse_without_weight(train, own)
    notes = list(splits.notes)
    train, validation = _relative(train, validation)
    if class_weight is not None:
        by_class = class_weights(train, _weights(train), class_weight)
        train, validation = _relative(_times(train, by_class), _times(validation, by_class))
        shown = [f"{label} {value:.3g}" for label, value in by_class.items()]
        notes.append(f"weights of the classes in training: {listing(shown)}")
    if splits.train.weight is not None:
        span = f"{own.min():.3g} to {own.max():.3g}"
        kept = train.where(own > 0)
        left = f"; {len(train) - len(kept)} rows of weight 0 are not learnt from" if len(kept) < len(train) else ""
        notes.append(f"weights of the training rows: {span}{left}")
        train = kept
    notes.append("scores, baselines and votes of neighbors count every row alike")
    return replace(splits, train=train, validation=validation, notes=tuple(notes))


def weights_of(texts: Texts, class_weight: Sequence[str] | None) -> np.ndarray | None:
    """What each row counts, (rows,): its own weight times that of its class, to their mean; None: all alike.

    Args:
        texts: rows with class labels.
        class_weight: as in `weigh`, whose errors these are.

    >>> weights_of(Texts.of(["a", "b", "c"], ["x", "x", "y"], weight=[1, 2, 1]), ("y=3",)).tolist()
    [0.5, 1.0, 1.5]
    """
    if class_weight is None:
        return texts.weight
    _refuse_without_weight(texts, _weights(texts))
    (texts,) = _relative(texts)
    (texts,) = _relative(_times(texts, class_weights(texts, _weights(texts), class_weight)))
    return texts.weight


def weighing(texts: Texts) -> Texts:
    """The rows that weigh something.

    >>> weighing(Texts.of(["a", "b"], weight=[0, 2])).text
    ('b',)
    """
    return texts if texts.weight is None or texts.weight.all() else texts.where(texts.weight > 0)


def class_weights(texts: Texts, own: np.ndarray, wanted: Sequence[str]) -> dict[Any, float]:
    """The weight of each class, in sorted order.

    Args:
        texts: rows with class labels.
        own: (rows,) weights that the rows have already; `balanced` makes the classes weigh alike with them.
        wanted: `balanced`, or `class=weight` for some classes.

    >>> class_weights(Texts.of(["a", "b", "c"], [0, 0, 1]), np.ones(3), ["1=4"])
    {0: 1.0, 1: 4.0}
    """
    if texts.label is None or texts.kind == "floats":
        raise DataError(f"{texts.source}: class weights need classes", hint="leave --class-weight away")
    labels = texts.label
    classes = sorted(set(labels.tolist()))
    if tuple(wanted) == (BALANCED,):
        totals = {label: float(own[labels == label].sum()) for label in classes}
        return {label: sum(totals.values()) / (len(classes) * total) for label, total in totals.items()}
    named = {str(label): label for label in classes}
    given: dict[Any, float] = {}
    for entry in wanted:
        given_name, equals, number = entry.rpartition("=")
        name = plain_name(given_name)
        if not equals:
            got, expected = repr(entry), f"{BALANCED} alone, class=weight for some classes, or a .json file"
            raise OptionError("--class-weight cannot be this", got=got, expected=expected)
        if name not in named:
            near = get_close_matches(name, named, n=1)
            hint = f"did you mean {near[0]!r}?" if near else None
            what = f"{texts.source}: --class-weight names a class that is not there"
            raise DataError(what, got=repr(name), expected=f"one of {listing(list(named))}", hint=hint)
        if named[name] in given:
            raise OptionError("--class-weight names a class twice", got=repr(name), hint="give it one weight")
        given[named[name]] = _number(name, number)
    return dict.fromkeys(classes, 1.0) | given


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value <= 0:
        raise OptionError(f"--class-weight of {name!r} is out of range", got=repr(text), expected="a number above 0")
    return value


def _weights(texts: Texts) -> np.ndarray:
    return np.ones(len(texts)) if texts.weight is None else texts.weight


def _relative(train: Texts, *others: Texts) -> list[Texts]:
    """Tables whose weights are divided by the mean of the training rows'; rows without one get that mean."""
    mean = mean_weight(_weights(train), train.source)
    filled = [replace(each, weight=np.full(len(each), mean) if each.weight is None else each.weight) for each in others]
    mean_weight(np.concatenate([_weights(each) for each in (train, *filled)]), train.source)  # refuses those far apart
    return [replace(each, weight=_weights(each) / mean) for each in (train, *filled)]


def _times(texts: Texts, by_class: Mapping[Any, float]) -> Texts:
    if texts.label is None:
        return texts
    factors = np.array([by_class.get(label, 1.0) for label in texts.label.tolist()])
    return replace(texts, weight=factors if texts.weight is None else factors * texts.weight)


def _refuse_without_weight(texts: Texts, own: np.ndarray) -> None:
    """Refuse a class, or all rows, that nothing could be learnt of."""
    if not own.any():
        raise DataError(f"{texts.source}: all training rows have weight 0")
    if texts.label is None or texts.kind == "floats":
        return
    weighing = set(texts.label[own > 0].tolist())
    if gone := sorted(set(texts.label.tolist()) - weighing):
        row = int(np.flatnonzero(texts.label == gone[0])[0])
        raise DataError(
            f"{texts.source}: all training rows of the class {gone[0]!r} have weight 0",
            got=f"row {texts.id[row]} (counted from 0) and the others of it",
            hint="give one of its rows a weight, or remove the class",
        )
