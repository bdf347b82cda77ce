"""Exact nearest neighbors of rows on disk: each task meets all blocks, one after the other."""

from __future__ import annotations

import numpy as np

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.neighbors import Neighbors, nearest_first
from separatrix.geometry.neighbors import neighbors as in_memory
from separatrix.scale.blocks import BlockSource, parts, ranges
from separatrix.scale.device_tiles import near_on
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Partial

_QUERIES = 4096  # of a task


def neighbors(
    queries: BlockSource,
    rows: BlockSource,
    k: int,
    job: BlockJob,
    *,
    metric: str = "cosine",
    exclude_self: bool = False,
) -> Neighbors:
    """The k rows nearest to each query, as `geometry.neighbors` gives them, without holding the rows (rows, width).

    Raises:
        DataError: fewer than k rows to choose from.
        ShapeError: widths differ, or `exclude_self` with other queries than rows.

    >>> rows = BlockSource.of(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.5]]))
    >>> neighbors(rows, rows, 1, BlockJob(), metric="euclidean", exclude_self=True).index.tolist()
    [[2], [2], [0]]
    """
    if queries.width != rows.width:
        raise ShapeError("queries have the wrong width", got=queries.width, expected=rows.width)
    if exclude_self and queries.rows != rows.rows:
        raise ShapeError("exclude_self needs the rows as queries", got=f"{queries.rows} queries, {rows.rows} rows")
    choice = rows.rows - exclude_self
    if k > choice:
        raise DataError("k is larger than the number of rows to choose from", got=k, expected=f"{choice} or fewer")
    tasks = [
        (queries.part(start, stop), rows, k, metric, start if exclude_self else -1)
        for start, stop in ranges(queries.rows, _QUERIES)
    ]
    partials = list(job.run("neighbours", nearest_rows, tasks))
    return Neighbors(*(np.concatenate([each[name] for each in partials]) for name in ("index", "distance")))


def nearest_rows(
    queries: BlockSource, rows: BlockSource, k: int, metric: str, first: int, device: str = "cpu"
) -> Partial:
    """Numbers and distances of the k nearest rows of each query, (queries, k); query i is row `first` + i, or none."""
    x, search = queries.read(0, queries.rows), in_memory if device == "cpu" else near_on(device)
    index = np.full((len(x), k), rows.rows, np.int64)
    distance = np.full((len(x), k), np.inf, np.float32)
    for start, part in parts(rows):
        near = search(x, part.read(0, part.rows), min(k + (first >= 0), part.rows), metric=metric)
        numbers, gaps = near.index + start, near.distance.copy()
        if first >= 0:
            gaps[numbers == (first + np.arange(len(x)))[:, None]] = np.inf
        index, distance = nearest_first(np.hstack([index, numbers]), np.hstack([distance, gaps]), k)
    return {"index": index, "distance": distance}
