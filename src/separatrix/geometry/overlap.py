"""How many of a row's nearest neighbors it keeps when all vectors are changed: rounded, turned, made shorter."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import ShapeError, choose
from separatrix.geometry.checks import check_finite
from separatrix.geometry.neighbors import METRICS, Neighbors, unit_rows

_TIE = 1e-9  # share by which distances of float64 may differ and be one


def kept_share(
    queries: ArrayLike, before: ArrayLike, after: ArrayLike, *, metric: str = "cosine"
) -> NDArray[np.float64]:
    """Share of each query's neighbors after a change that are among its k nearest of before, (queries,).

    Rows at the same distance as the k-th nearest count as kept: which of equal rows is listed says nothing.

    Args:
        queries: vectors as they were, (queries, width).
        before: the k nearest rows of each, as they were, (queries, k, width).
        after: the k rows that are nearest since, as they were before, (queries, k, width).

    Raises:
        ShapeError: the three do not fit together.

    >>> line = np.array([[[1.0], [2.0]]])
    >>> kept_share([[0.0]], line, line + [[0.0], [1.0]], metric="euclidean")
    array([0.5])
    """
    choose(metric, METRICS, "metric")
    x, old, new = (check_finite(one, "vectors").astype(np.float64) for one in (queries, before, after))
    if x.ndim != 2 or old.ndim != 3 or old.shape != new.shape or old.shape[::2] != x.shape:
        got = f"{x.shape}, {old.shape} and {new.shape}"
        raise ShapeError(
            "neighbors do not fit the queries", got=got, expected="(queries, width), twice (queries, k, width)"
        )
    if metric == "cosine":
        x, old, new = (unit_rows(one) for one in (x, old, new))
    limit = _squares(old, x).max(axis=1, keepdims=True)
    return (_squares(new, x) <= limit * (1 + _TIE) + _TIE**2).mean(axis=1)


def without_self(near: Neighbors, own: NDArray[np.int64]) -> Neighbors:
    """The k nearest of k + 1 rows, (queries, k), without the row that a query is; `own` is its number, (queries,)."""
    is_own = near.index == own[:, None]
    is_own[~is_own.any(axis=1), -1] = True  # more rows than k are equal to it
    order = np.argsort(is_own, axis=1, kind="stable")[:, :-1]
    return Neighbors(np.take_along_axis(near.index, order, axis=1), np.take_along_axis(near.distance, order, axis=1))


def _squares(rows: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    gap = rows - x[:, None]
    return np.einsum("qkw,qkw->qk", gap, gap)
