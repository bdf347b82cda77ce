"""Labels, groups and clusters as the numbers 0, 1, 2 ...: one encoder, and what is counted and drawn by them."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, ShapeError


def encode(values: Any, *, by_row: bool = False) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The number of each row's value (rows,), -1 where it is missing, and the values that occur, (numbers,).

    Numbers follow the sorted values; with `by_row` the first rows of the values, so that no figure depends on a name.

    >>> encode(["b", "a", None, "b"])
    (array([ 1,  0, -1,  1]), array(['a', 'b'], dtype=object))
    >>> encode([5, 3, 5], by_row=True)[0]
    array([0, 1, 0])
    """
    import pandas as pd  # slow to load

    column = values if isinstance(values, pd.Series | np.ndarray) else np.asarray(values)
    try:
        codes, names = pd.factorize(column, sort=not by_row)
    except TypeError as error:  # lists, say
        raise DataError("the values of a column cannot be told apart", got=shorten(str(error), 60)) from error
    return codes.astype(np.int64, copy=False), np.asarray(names)


def cross_counts(a: NDArray[np.integer], b: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Rows of each pair of numbers, of this shape.

    >>> cross_counts(np.array([0, 1, 1]), np.array([1, 0, 0]), (2, 2)).tolist()
    [[0, 1], [2, 0]]
    """
    return np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape)


def majority_share(codes: NDArray[np.integer]) -> float:
    """The share of the most frequent number: what one answer for all rows reaches.

    >>> majority_share(np.array([0, 2, 2, 2]))
    0.75
    """
    return float(np.bincount(codes).max() / len(codes))


def ranks_in_class(sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Of rows that are sorted by class, the place of each within its class, from 0; `sizes` are the rows of each.

    >>> ranks_in_class(np.array([2, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def rows_of_mask(mask: ArrayLike, rows: int) -> NDArray[np.int64]:
    """Numbers of the rows where a mask, (rows,) bool, is true. Raises `ShapeError`: no mask of these rows."""
    chosen = np.asarray(mask)
    if chosen.dtype != bool or chosen.shape != (rows,):
        raise ShapeError("where needs a mask", got=f"{chosen.dtype} {chosen.shape}", expected=f"bool ({rows},)")
    return np.flatnonzero(chosen)


def draw_rows(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Numbers of at most so many of `count` rows, rising, the same for the same seed; nothing of all rows is held.

    >>> draw_rows(3, 5, 0).tolist(), len(draw_rows(10**9, 5, 0))
    ([0, 1, 2], 5)
    """
    return (
        np.arange(count) if count <= most else np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    )


def draw_some(rows: int, most: int, seed: int | Sequence[int], also: ArrayLike = ()) -> NDArray[np.int64]:
    """At most so many row numbers, sorted, the same for the same seed; `also` names rows that are not left out.

    >>> draw_some(3, 5, 0).tolist(), len(draw_some(30, 5, 0)), 7 in draw_some(30, 5, 0, also=[7])
    ([0, 1, 2], 5, True)
    """
    if rows <= most:
        return np.arange(rows)
    return np.union1d(np.random.default_rng(seed).permutation(rows)[:most], np.asarray(also, dtype=np.int64))
