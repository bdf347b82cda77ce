"""Exact k nearest neighbors in bounded memory, and their vote.

Both metrics become one: the nearest row is the one with the largest inner product of `[query, 1]` and
`[row, -|row|^2 / 2]`, of unit vectors for cosine. So the work is one matrix product, done tile by tile. Vectors that
crowd together far from the origin, as those of most transformers do, are first moved there: their differences would
drown in the rounding of the product. After the first tiles hardly anything beats the k-th best so far; one comparison
finds the few that do, and only they are sorted. The best k and a few more are then measured again from the vectors
themselves, because an inner product in float32 cannot tell near duplicates apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, ShapeError, choose
from separatrix.geometry.checks import check_count, check_distances, check_labels, check_matrix, check_same_rows

METRICS = ("cosine", "euclidean")

SPARE = 8  # candidates kept beyond k, measured again at the end
_CROWD = 4  # a query with more than _CROWD * kept newcomers in a tile is thinned out before it is sorted
_FIRST = 256  # columns of the first tile; each next one is twice as wide, so that few newcomers appear in any of them
_CROWDED = 0.25  # squared length of the middle direction from which directions are said to crowd
TILE_ROWS = 4096  # queries, and rows, that are multiplied at a time
_PIECE = 4096  # rows made ready at a time
TIE = 1e-6  # share that a tie is decided by; also how near two shares must be to be one
_MEASURED = 16_000_000  # numbers gathered at a time when candidates are measured again

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest rows of each query, nearest first; equal distances stand in the order of the rows.

    Where far more than k rows lie at one distance to within float32 rounding, which of them are listed may follow the
    rounding; the distances do not.
    """

    index: NDArray[np.int64]  # (queries, k)
    distance: Matrix  # (queries, k): Euclidean distance, or 1 - cosine


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows made ready: `factor` goes into the matrix product, `plain` is measured again."""

    metric: str
    centre: NDArray[np.float64]  # (width,)
    plain: Matrix  # (rows, width)
    factor: Matrix  # (rows, width + 1); `plain` is a view of it
    unit: Matrix  # (rows,): 0 for a vector without a direction, else 1


def neighbors(
    queries: ArrayLike,
    rows: ArrayLike,
    k: int,
    *,
    metric: str = "cosine",
    exclude_self: bool = False,
    block: int = TILE_ROWS,
) -> Neighbors:
    """The k rows nearest to each query, exactly.

    Beside its result and a float32 copy of the rows it holds about `5 * block ** 2` bytes (four
    times that where the rows are sorted against the queries), whatever the number of rows.
    Distances are computed in float32. A zero vector has cosine distance 1 to everything.

    Args:
        queries: vectors (queries, width).
        rows: vectors (rows, width).
        k: neighbors per query.
        exclude_self: queries are the rows; row i is no neighbor of query i (leave one out).
        block: queries and rows that meet in one tile of the matrix product; it changes memory and speed only.

    Raises:
        DataError: fewer than k rows to choose from, empty input, or a number that is not finite.
        ShapeError: widths differ, or `exclude_self` with other queries than rows.
        OptionError: unknown metric, k or block below 1.

    >>> near = neighbors([[0.0, 0.9]], [[0.0, 1.0], [1.0, 0.0], [0.0, 0.5]], 2, metric="euclidean")
    >>> near.index.tolist(), near.distance.round(3).tolist()
    ([[0, 2]], [[0.10000000149011612, 0.4000000059604645]])
    """
    choose(metric, METRICS, "metric")
    check_count(k, "k")
    check_count(block, "block")
    check = check_matrix if metric == "cosine" else check_distances  # a cosine has no size
    base = check(rows, "rows")
    vectors = base if queries is rows else check(queries, "queries", width=base.shape[1])
    if exclude_self and len(vectors) != len(base):
        raise ShapeError("exclude_self needs the rows as queries", got=f"{len(vectors)} queries, {len(base)} rows")
    choice = len(base) - exclude_self
    if k > choice:
        raise DataError("k is larger than the number of rows to choose from", got=k, expected=f"{choice} or fewer")
    ready = _make_ready(base, metric)
    index = np.empty((len(vectors), k), np.int64)
    distance = np.empty((len(vectors), k), np.float32)
    for start in range(0, len(vectors), block):
        part = slice(start, min(start + block, len(vectors)))
        plain, factor, unit = _transform(vectors[part], ready.metric, ready.centre, query=True)
        candidates = _candidates(factor, ready, min(k + SPARE, choice), block, start if exclude_self else None)
        index[part], distance[part] = _measure(plain, unit, candidates, ready, k)
    return Neighbors(index, distance)


def knn_predict(
    queries: ArrayLike,
    rows: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    classes: int | None = None,
    metric: str = "cosine",
    weights: str = "uniform",
    exclude_self: bool = False,
) -> NDArray[np.float64]:
    """Vote shares of the k nearest rows, (queries, classes); each row sums to 1, and its argmax is the answer.

    Args:
        queries, rows, k, metric, exclude_self: as in `neighbors`.
        labels: class numbers of the rows (rows,).
        classes: number of classes; without it, the largest label + 1.
        weights: as in `vote`.

    Raises:
        DataError, ShapeError, OptionError: as `neighbors`; labels outside the classes or not one per row.

    >>> votes = knn_predict([[0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0], [0.1, 1.0]], [1, 0, 0], 2)
    >>> votes.round(3), votes.argmax()  # the nearer one decides
    (array([[0.5, 0.5]]), np.int64(1))
    """
    choose(weights, WEIGHTS, "weights")
    known = np.asarray(labels)
    if classes is None:
        classes = int(check_labels(known, 2**62).max()) + 1
    known = check_labels(known, classes)
    check_same_rows(len(known), len(np.asarray(rows)), "labels", "rows")
    near = neighbors(queries, rows, k, metric=metric, exclude_self=exclude_self)
    return vote(near, known, classes, k, weights=weights)


def vote(
    near: Neighbors,
    labels: NDArray[np.int64],
    classes: int,
    k: int,
    *,
    weights: str = "uniform",
    temperature: float = 0.07,
) -> NDArray[np.float64]:
    """Vote shares of the first k neighbors, (queries, classes); each row sums to 1, and its argmax is the answer.

    Neighbors are sought once with the largest k, then every smaller k costs one vote. On a tie the nearest neighbor
    of the tied classes decides: its class gets a millionth of the share. So no figure depends on the names of classes.

    Args:
        near: neighbors, at least k of them.
        labels: class numbers of the rows that were searched (rows,).
        weights: `uniform`; `distance`: a vote counts 1 / distance, and neighbors at distance 0 decide alone;
            `softmax`: a vote counts exp(-distance / temperature).
        temperature: of softmax votes.

    >>> vote(Neighbors(np.array([[1, 0]]), np.array([[0.1, 0.5]], np.float32)), np.array([0, 1]), 2, 1)
    array([[0., 1.]])
    >>> vote(Neighbors(np.array([[1, 0]]), np.array([[0.1, 0.5]], np.float32)), np.array([0, 1]), 2, 2).argmax()
    np.int64(1)
    """
    index, distance = near.index[:, :k], near.distance[:, :k].astype(np.float64)
    return count_votes(labels[index], classes, _WEIGHING[weights](distance, temperature))


def vote_for_labels(
    near: Neighbors,
    marks: NDArray[np.int64],
    k: int,
    *,
    weights: str = "uniform",
    temperature: float = 0.07,
) -> NDArray[np.float64]:
    """Share of the votes of the first k neighbors that have each label, (queries, labels), each from 0 to 1.

    Args:
        near: neighbors, at least k of them.
        marks: labels of the rows that were searched, (rows, labels) of 0 and 1.
        k, weights, temperature: as in `vote`.

    >>> near = Neighbors(np.array([[1, 0]]), np.array([[0.1, 0.3]], np.float32))
    >>> vote_for_labels(near, np.array([[0, 1], [1, 1]]), 2, weights="distance").round(2)
    array([[0.75, 1.  ]])
    """
    index, distance = near.index[:, :k], near.distance[:, :k].astype(np.float64)
    weight = _WEIGHING[weights](distance, temperature)
    counts = np.ones(distance.shape) if weight is None else weight.astype(np.float64)
    totals = np.einsum("qk,qkl->ql", counts, marks[index].astype(np.float64))
    return np.asarray(totals / counts.sum(axis=1, keepdims=True))


def count_votes(
    voters: NDArray[np.int64], classes: int, weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Vote shares of class numbers (queries, k), nearest first, each with its weight; ties as in `vote`.

    >>> count_votes(np.array([[2, 0, 0, 2]]), 3).round(3)
    array([[0.5, 0. , 0.5]])
    """
    count = len(voters)
    cells = np.arange(count)[:, None] * classes + voters  # (queries, k)
    flat = None if weight is None else weight.ravel()
    totals = np.bincount(cells.ravel(), weights=flat, minlength=count * classes).reshape(count, classes)
    whole = totals.sum(axis=1, keepdims=True)
    shares = np.divide(totals, whole, out=np.zeros(totals.shape), where=whole > 0)  # 0 where nobody votes
    level = (shares >= shares.max(axis=1, keepdims=True) * (1 - TIE)) & (whole > 0)
    tied = np.flatnonzero(level.sum(axis=1) > 1)
    if len(tied):
        nearest = np.take_along_axis(level[tied], voters[tied], axis=1).argmax(axis=1)  # first voter of a tied class
        shares[tied] *= 1 - TIE
        shares[tied, voters[tied, nearest]] += TIE
    return shares


def _closeness(distance: NDArray[np.float64], _temperature: float) -> NDArray[np.float64]:
    same = distance <= 0  # an approximate search may be below 0 by rounding
    near = np.divide(1.0, distance, out=np.zeros(distance.shape), where=~same)
    return np.where(same.any(axis=1, keepdims=True), same, near)


_WEIGHING: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.float64] | None]] = {
    "uniform": lambda _distance, _temperature: None,
    "distance": _closeness,
    # Relative to the nearest row, so that a low temperature cannot make all votes 0.
    "softmax": lambda distance, temperature: np.exp((distance[:, :1] - distance) / temperature),
}
WEIGHTS = tuple(_WEIGHING)


def _make_ready(base: NDArray[Any], metric: str) -> _Rows:
    centre = middle_of(base, metric)
    plain, factor, unit = _transform(base, metric, centre, query=False)
    return _Rows(metric, centre, plain, factor, unit)


def middle_of(base: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """What is taken away from rows (or from their directions) before they are multiplied, (width,)."""
    # Distances do not change when everything moves, but |x|^2 far from the origin would drown them. The middle of an
    # odd number of rows is itself a value of the data, so whole numbers stay whole.
    sample = np.linspace(0, len(base) - 1, min(101, len(base) - (len(base) + 1) % 2)).astype(int)
    few = base[sample].astype(np.float64)
    if metric == "cosine":
        few, _ = _directions(few)
    centre = np.median(few, axis=0)
    if metric == "cosine" and float(centre @ centre) < _CROWDED:
        centre[:] = 0
    return np.asarray(centre, np.float64)


def _directions(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows scaled to length 1, and which of them have a direction."""
    # Scaled by the largest entry first: the square of a very small or large entry may not fit.
    largest = np.abs(x).max(axis=1, keepdims=True)
    directed = largest[:, 0] > 0
    largest[~directed] = 1
    scaled = x / largest
    length = np.sqrt(np.einsum("rw,rw->r", scaled, scaled))
    length[~directed] = 1
    scaled /= length[:, None]
    return scaled, directed


def _transform(
    x: NDArray[Any], metric: str, centre: NDArray[np.float64], *, query: bool
) -> tuple[Matrix, Matrix, Matrix]:
    """Vectors to measure, vectors to multiply, and which of them have a direction (1, else 0)."""
    unit = np.ones(len(x), np.float32)
    factor = np.ones((len(x), x.shape[1] + 1), np.float32)
    plain = factor[:, :-1]  # a view: the rows are held once
    for start in range(0, len(x), _PIECE):
        part = slice(start, start + _PIECE)
        # In float64 until the centre is taken away: what is left of crowded directions is of float32's rounding size.
        moved = x[part].astype(np.float64)
        if metric == "cosine":
            moved, unit[part] = _directions(moved)
        np.subtract(moved, centre, out=moved)
        plain[part] = moved
    if not query:
        # A row without a direction is as far from everything as two directions at a right angle.
        factor[:, -1] = -0.5 * (np.einsum("rw,rw->r", plain, plain) + (1 - unit))
    return plain, factor, unit


def _candidates(factor: Matrix, ready: _Rows, keep: int, block: int, first_self: int | None) -> NDArray[np.int64]:
    """The `keep` rows with the largest inner product, (queries, keep); -1 where a query has fewer."""
    count, total = len(factor), len(ready.factor)
    best = np.full((count, keep), -np.inf, np.float32)
    index = np.full((count, keep), -1, np.int64)
    tile_memory = np.empty(count * min(block, total), np.float32)
    start, width = 0, min(_FIRST, block)
    while start < total:
        stop = min(start + width, total)
        tile = tile_memory[: count * (stop - start)].reshape(count, stop - start)
        np.matmul(factor, ready.factor[start:stop].T, out=tile)
        if first_self is not None:
            own = np.arange(max(first_self, start), min(first_self + count, stop))
            tile[own - first_self, own - start] = -np.inf
        _merge(best, index, tile, start)
        start, width = stop, min(2 * width, block)
    return index


def _merge(best: Matrix, index: NDArray[np.int64], tile: Matrix, start: int) -> None:
    """Take what a tile (queries, columns) adds into the running best, in place.

    Rows come in order and sorting is stable, so of equal products the lower row number stays.
    """
    keep = best.shape[1]
    newcomer = tile > best[:, -1:]
    flat = np.flatnonzero(newcomer)
    crowded = np.flatnonzero(np.bincount(flat // tile.shape[1], minlength=len(tile)) > _CROWD * keep)
    if len(crowded):
        newcomer[crowded] = _largest(tile[crowded], keep)
        flat = np.flatnonzero(newcomer)
    if len(flat) == 0:
        return
    query, column = np.divmod(flat, tile.shape[1])
    touched, begin, size = np.unique(query, return_index=True, return_counts=True)
    line = np.repeat(np.arange(len(touched)), size)
    slot = keep + np.arange(len(flat)) - np.repeat(begin, size)
    merged = np.full((len(touched), keep + size.max()), -np.inf, np.float32)
    merged_index = np.full(merged.shape, -1, np.int64)
    merged[:, :keep], merged_index[:, :keep] = best[touched], index[touched]
    merged[line, slot] = tile.ravel()[flat]
    merged_index[line, slot] = start + column
    order = np.argsort(-merged, axis=1, kind="stable")[:, :keep]
    best[touched] = np.take_along_axis(merged, order, axis=1)
    index[touched] = np.take_along_axis(merged_index, order, axis=1)


def _largest(tile: Matrix, keep: int) -> NDArray[np.bool_]:
    """Mark the `keep` largest entries of each line, the left ones of equals."""
    at = tile.shape[1] - keep
    border = np.partition(tile, at, axis=1)[:, at, None]
    above, level = tile > border, tile == border
    room = keep - above.sum(axis=1, keepdims=True)
    return above | (level & (level.cumsum(axis=1, dtype=np.int32) <= room))


def _measure(
    plain: Matrix, unit: Matrix, candidates: NDArray[np.int64], ready: _Rows, k: int
) -> tuple[NDArray[np.int64], Matrix]:
    """Distances of the candidates from the vectors themselves; the k smallest, lower row number first on a tie."""
    distance = np.empty(candidates.shape, np.float32)  # (queries, kept)
    step = max(1, _MEASURED // (candidates.shape[1] * plain.shape[1]))
    for start in range(0, len(plain), step):
        part = slice(start, start + step)
        gap = ready.plain[candidates[part]]  # (queries, kept, width)
        gap -= plain[part, None]
        squared = np.einsum("qcw,qcw->qc", gap, gap)
        if ready.metric == "euclidean":
            distance[part] = np.sqrt(squared)
        else:  # 1 - cosine is half the squared distance of unit vectors; this form also holds for zero vectors
            distance[part] = 1 - (unit[part, None] + ready.unit[candidates[part]]) / 2 + squared / 2
    distance[candidates < 0] = np.inf
    return nearest_first(candidates, distance, k)


def unit_rows(x: NDArray[Any]) -> NDArray[Any]:
    """Vectors (..., width) of length 1; a zero vector stays zero."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def nearest_first(index: NDArray[np.int64], distance: Matrix, k: int) -> tuple[NDArray[np.int64], Matrix]:
    """The k nearest of those in each line, the lower row number first on a tie."""
    order = np.lexsort((index, distance), axis=1)[:, :k]
    return np.take_along_axis(index, order, axis=1), np.take_along_axis(distance, order, axis=1)
