"""Rows drawn from a matrix larger than memory: as many whole examples from each shard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import ShapeError
from separatrix.geometry.checks import check_count

Ids = NDArray[np.int64]


def draw_examples(examples: NDArray[np.int64], shard_rows: Sequence[int], most: int, seed: int) -> Ids:
    """Numbers of at most so many rows, rising: about as many from each shard, whole examples only.

    An example belongs to the shard that holds its first row, and all its rows come with it. The share of a shard that
    has too few rows is not given to others: no shard counts more than another. Where a share would hold fewer than
    four of the largest examples, neighboring shards are taken together.

    Args:
        examples: the number of each row's example, (rows,).
        shard_rows: rows of each shard.
        most: rows in all.

    Raises:
        ShapeError: shards of other rows.

    >>> draw_examples(np.arange(8), (4, 4), 8, 0).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    check_count(most, "rows")
    if sum(shard_rows) != len(examples):
        raise ShapeError("shards do not fit the rows", got=f"{sum(shard_rows)} and {len(examples)} rows")
    rng = np.random.default_rng(seed)
    names, first, member, size = np.unique(examples, return_index=True, return_inverse=True, return_counts=True)
    strata = min(len(shard_rows), max(1, most // (4 * int(size.max()))))
    shard = np.searchsorted(np.cumsum(shard_rows), first, side="right") * strata // len(shard_rows)
    share, chosen = most // strata, np.zeros(len(names), bool)
    for number in range(strata):
        own = rng.permutation(np.flatnonzero(shard == number))
        chosen[own[np.cumsum(size[own]) <= share]] = True
    return np.flatnonzero(chosen[member])
