"""The order of classes that no name decides, that of their first rows; and folds in which each class has its share.

Wherever the order of the classes could move a figure (ties, shuffles, folds, the rounding of a solver), classes are
taken in this order, so that renaming them changes nothing. It does depend on the order of the rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import ranks_in_class
from separatrix.errors import DataError

Ids = NDArray[np.int64]
KEPT = 2  # rows of each class in every prefix of `spread_order`


def first_row_order(y: Ids, classes: int) -> Ids:
    """Class numbers in the order of their first rows, those without rows last, (classes,).

    >>> first_row_order(np.array([2, 0, 2]), 4)
    array([2, 0, 1, 3])
    """
    first = np.full(classes, len(y))
    first[y[::-1]] = np.arange(len(y))[::-1]  # the last assignment, that of the first row, stays
    return np.argsort(first, kind="stable")


def deal_folds(y: Ids, folds: int, *, groups: Ids | None = None, seed: int = 0) -> Ids:
    """Fold of each row, (rows,): rows of one group stay together, each class is spread as evenly as it goes.

    Groups are numbers (rows,); without them each row is a group of its own.

    The draw is that of scikit-learn's `StratifiedKFold` over the first row of each group, which does not depend on the
    names of classes; where every class has fewer rows than there are folds, which it refuses, rows are dealt in turn.

    Raises:
        DataError: fewer groups than folds.

    >>> np.bincount(deal_folds(np.array([0, 0, 0, 1, 1, 1]), 3)).tolist()
    [2, 2, 2]
    """
    from sklearn.model_selection import StratifiedKFold

    _, first, member = np.unique(
        np.arange(len(y)) if groups is None else groups, return_index=True, return_inverse=True
    )
    if len(first) < folds:
        raise DataError("fewer rows than folds", got=f"{len(first)} distinct rows", expected=f"{folds} or more")
    labels = y[first]
    if np.bincount(labels).max() < folds:
        return _dealt_in_turn(labels, folds, seed)[member]
    fold = np.empty(len(first), np.int64)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of classes with fewer rows than folds
        for number, (_, part) in enumerate(
            StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
        ):
            fold[part] = number
    return fold[member]


def _dealt_in_turn(y: Ids, folds: int, seed: int) -> Ids:
    """Fold of each row, (rows,): class by class, each going on where the one before ended, so that folds are even."""
    drawn = np.random.default_rng(seed).permutation(len(y))
    turn = np.argsort(first_row_order(y, int(y.max()) + 1))  # (classes,) when each has its turn; no name decides it
    fold = np.empty(len(y), np.int64)
    fold[drawn[np.argsort(turn[y[drawn]], kind="stable")]] = np.arange(len(y)) % folds
    return fold


def spread_order(y: Ids, seed: Sequence[int]) -> Ids:
    """An order of rows, (rows,), whose every prefix has two rows of each class and then the shares of the classes.

    >>> order = spread_order(np.array([0] * 8 + [1] * 4), [0])
    >>> np.bincount(np.array([0] * 8 + [1] * 4)[order[:6]]).tolist()
    [4, 2]
    """
    drawn = np.random.default_rng(seed).permutation(len(y))
    by_class = drawn[np.argsort(y[drawn], kind="stable")]
    sizes = np.bincount(y)
    rank = ranks_in_class(sizes)
    share = (rank + 0.5) / np.repeat(sizes, sizes)
    return by_class[np.lexsort((np.arange(len(share)), np.where(rank < KEPT, -1.0, share)))]


def spread_sets(marks: NDArray[np.int64], seed: Sequence[int]) -> Ids:
    """An order of rows with several labels, (rows,), that begins with two rows of each label; the others are drawn.

    Args:
        marks: (rows, labels) of 0 and 1.
        seed: of the draw.

    >>> order = spread_sets(np.array([[1, 0]] * 8 + [[1, 1]] * 2), [0])
    >>> sorted(order[:4].tolist())[-2:]
    [8, 9]
    """
    drawn = np.random.default_rng(seed).permutation(len(marks))
    first = [drawn[np.flatnonzero(column)[:KEPT]] for column in marks[drawn].T]
    early = np.isin(drawn, np.concatenate([np.empty(0, np.int64), *first]))
    return drawn[np.argsort(~early, kind="stable")]
