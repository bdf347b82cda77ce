"""Rows with several labels: cells in, sets of names out; the 0/1 matrix that is learnt; which rows are held out.

A row's labels are a sorted tuple of different names; the empty tuple is a row that has none of them. They come from a
column of lists (Parquet, JSON lines, frames), or from names that a separator joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from separatrix.errors import DataError
from separatrix.texts.characters import is_missing, plain_name
from separatrix.texts.columns import listing

KEPT = 2  # training rows of each label, as of each class
_SIGNS = ",;|/"


def is_set_column(labels: Any) -> bool:
    """Whether a checked column (rows,) holds sets of labels.

    >>> is_set_column(set_column([["a"], []], "q.jsonl")), is_set_column(np.array(["a"], dtype=object))
    (True, False)
    """
    return isinstance(labels, np.ndarray) and len(labels) > 0 and isinstance(labels[0], tuple)


def holds_lists(values: Sequence[Any]) -> bool:
    """Whether raw cells of labels are lists."""
    return any(_is_list(value) for value in values)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset | np.ndarray)


def set_column(values: Sequence[Any], source: str, separator: str | None = None) -> np.ndarray:
    """Sets of labels, (rows,) object array of sorted tuples of names.

    Args:
        values: a list of labels in each cell, or names that `separator` joins; white space around them is dropped.
        source: the name used in errors.
        separator: splits cells that are no lists; an empty one has none of the labels, as an empty list has.

    Raises:
        DataError: without a separator a cell that is no list; a label that is missing or neither name nor whole number.

    >>> set_column(["joy, anger", "joy", ""], "q.csv", ",").tolist()
    [('anger', 'joy'), ('joy',), ()]
    """
    sets = np.empty(len(values), dtype=object)
    known: dict[Any, tuple[str, ...]] = {}
    for row, value in enumerate(values):
        if _is_list(value):
            sets[row] = _names(list(value), row, source)
            continue
        if separator is None:
            what = "no labels" if is_missing(value) else "one name where the other rows have lists"
            hint = "fill it in, remove the row or type --drop-unlabelled; a row with no label at all is an empty list"
            raise DataError(f"{source}: row {row} (counted from 0) has {what}", got=repr(value), hint=hint)
        if is_missing(value):
            value = ""
        if value not in known:
            parts = [part.strip() for part in str(value).split(separator)]
            known[value] = _names([part for part in parts if not is_missing(part)], row, source)
        sets[row] = known[value]
    return sets


def _names(labels: list[Any], row: int, source: str) -> tuple[str, ...]:
    for label in labels:
        if is_missing(label) or isinstance(label, float | np.floating) or _is_list(label):
            head = f"{source}: row {row} (counted from 0) holds a label that is no name"
            raise DataError(head, got=repr(label), expected="names or whole numbers")
    return tuple(sorted({plain_name(str(label)) for label in labels}))


def separator_warnings(sets: np.ndarray, source: str, separator: str | None) -> list[str]:
    """A warning where a separator splits nothing, or seems to split numbers.

    >>> separator_warnings(set_column(["a", "b"], "q.csv", ";"), "q.csv", ";")
    ["q.csv: no label holds the separator ';', so each row has one label"]
    """
    if separator is None:
        return []
    if not any(len(labels) > 1 for labels in sets):
        return [f"{source}: no label holds the separator {separator!r}, so each row has one label"]
    if separator.strip() == "." and all(name.isdecimal() for labels in sets for name in labels):
        return [f"{source}: all labels are numbers, so {separator!r} may have split decimal numbers at their point"]
    return []


def set_names(sets: np.ndarray, source: str = "the labels") -> tuple[str, ...]:
    """The labels that occur, sorted.

    Raises:
        DataError: fewer than two.
    """
    names = sorted({name for labels in set(sets.tolist()) for name in labels})
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(f"{source}: rows with several labels need two different ones or more", got=got)
    return tuple(names)


def indicator(sets: np.ndarray, known: Sequence[str], *, source: str = "the labels") -> np.ndarray:
    """Which labels each row has: (rows, labels) int64 of 0 and 1.

    Raises:
        DataError: a label that is not among those known.

    >>> indicator(set_column([["b"], ["a", "b"], []], "q.jsonl"), ["a", "b"]).tolist()
    [[0, 1], [1, 1], [0, 0]]
    """
    matrix = np.zeros((len(sets), len(known)), dtype=np.int64)
    rows = np.repeat(np.arange(len(sets)), [len(labels) for labels in sets])
    names = [name for labels in sets for name in labels]
    number = {name: at for at, name in enumerate(known)}
    for row, name in zip(rows.tolist(), names, strict=True):
        if name not in number:
            raise _unknown(name, row, known, source)
    matrix[rows, [number[name] for name in names]] = 1
    return matrix


def _unknown(name: str, row: int, known: Sequence[str], source: str) -> DataError:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "the label was never seen in training: remove it"
    head = f"{source}: unknown label in row {row} (counted from 0)"
    return DataError(head, got=repr(name), expected=f"some of {listing(known)}", hint=hint)


def sets_of(matrix: np.ndarray, known: Sequence[str]) -> np.ndarray:
    """The sets of labels of a matrix of 0 and 1, (rows,) object array of tuples.

    >>> sets_of(np.array([[0, 1], [0, 0]]), ["a", "b"]).tolist()
    [('b',), ()]
    """
    sets = np.empty(len(matrix), dtype=object)
    names = np.array(known, dtype=object)
    for row, mask in enumerate(np.asarray(matrix, dtype=bool)):
        sets[row] = tuple(names[mask].tolist())
    return sets


def joined(sets: Sequence[Any], separator: str) -> list[Any]:
    """Sets of labels as one string each; None stays.

    Raises:
        DataError: a label holds the separator, so that nobody could part them again.

    >>> joined([("a", "b"), (), None], ",")
    ['a,b', '', None]
    """
    for name in {name for labels in sets if labels is not None for name in labels}:
        if separator in name:
            hint = "write .parquet or .jsonl, or name another --label-separator"
            raise DataError(f"the label {name!r} holds the separator {separator!r}", hint=hint)
    return [None if labels is None else separator.join(labels) for labels in sets]


def free_separator(sets: Sequence[Any]) -> str:
    """A sign that no label holds, so that joined labels can be parted again: a comma, if it can be.

    >>> free_separator([("a", "b"), ()]), free_separator([("red, green", "blue")])
    (', ', '; ')
    """
    held = "".join({name for labels in sets for name in labels})
    return next((f"{sign} " for sign in _SIGNS if sign not in held), "\n")


def hold_out_sets(matrix: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A random mask that keeps the share of each label: (rows,) bool, True = held out.

    Iterative stratification (Sechidis et al., 2011): the label with fewest rows left is dealt out first, each of its
    rows to the side that lacks more of it. A label keeps two rows for training: one with fewer than three gives none.

    Args:
        matrix: (rows, labels) of 0 and 1.
        share: of the rows to hold out, between 0 and 1.
        seed: the same seed gives the same rows.

    >>> matrix = np.array([[1, 0]] * 8 + [[1, 1]] * 4 + [[0, 1]] * 8)
    >>> matrix[hold_out_sets(matrix, 0.25, seed=0)].sum(axis=0).tolist()
    [3, 3]
    """
    order = np.random.default_rng(seed).permutation(len(matrix))
    present = matrix[order].astype(bool)
    left = present.sum(axis=0)  # rows of each label that are not dealt out
    spare = left - KEPT  # that may still be held out
    wanted = np.clip(np.round(left * share), 0, np.maximum(spare, 0))
    held, free = np.zeros(len(order), dtype=bool), np.ones(len(order), dtype=bool)
    while left.any():
        label = int(np.where(left > 0, left, len(order) + 1).argmin())
        for row in np.flatnonzero(free & present[:, label]).tolist():
            own = present[row]
            lacks = wanted[label] > 0 and wanted[label] * (1 - share) >= (left[label] - wanted[label]) * share
            free[row], held[row] = False, lacks and bool((spare[own] > 0).all())
            left[own] -= 1
            wanted[own] -= held[row]
            spare[own] -= held[row]
    blank = np.flatnonzero(free)  # rows without any label
    held[blank[: round(len(blank) * share)]] = True
    if not held.any():
        held[-1] = True
    mask = np.zeros(len(order), dtype=bool)
    mask[order] = held
    return mask
