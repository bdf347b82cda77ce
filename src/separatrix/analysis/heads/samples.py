"""Rows for methods that cannot take all of them, without losing what the rows have in common.

Evenly spaced windows of a long draw are windows of different contexts: of 4,200 pairs that share one, 138 of 2,000
windows kept 4. Here a window comes with its neighbours of the same context.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separatrix.points import Points


def sample_contexts(rows: Points, most: int, seed: int) -> NDArray[np.int64]:
    """Rows of whole contexts, at most so many, rising; the contexts are drawn from each shard in turn.

    Every window keeps as many partners of its own context as it has among all rows. A context that does not fit any
    more is passed over; if none fits, one is begun (one window at least).

    Args:
        rows: row table with `window`, `context` and, if it has any, `shard`; every window has all its heads.
        most: rows.
        seed: of the order of the contexts.
    """
    maps = len(rows) // (int(rows.column("window")[-1]) + 1)
    contexts = np.unique(rows.column("context")[::maps], return_inverse=True)[1]  # (windows,)
    room = max(1, most // maps)
    if room >= len(contexts):
        return np.arange(len(rows))
    size, first = np.bincount(contexts), np.unique(contexts, return_index=True)[1]
    shards = rows.column("shard")[::maps][first] if "shard" in rows.table.columns else np.zeros(len(first), np.int64)
    taken: list[int] = []
    for context in _in_turn(shards, size, seed):
        if size[context] <= room:
            taken.append(context)
            room -= int(size[context])
    if taken:
        windows = np.flatnonzero(np.isin(contexts, taken))
    else:
        windows = np.flatnonzero(contexts == int(size.argmin()))[:room]
    return (windows[:, None] * maps + np.arange(maps)).ravel()


def _in_turn(shards: NDArray[np.integer], size: NDArray[np.int64], seed: int) -> list[int]:
    """All contexts, shuffled, so that every shard has about as many windows at every place of the list."""
    generator = np.random.default_rng(seed)
    waiting = {int(shard): list(generator.permutation(np.flatnonzero(shards == shard))) for shard in np.unique(shards)}
    filled = dict.fromkeys(waiting, 0)
    order = []
    while waiting:
        shard = min(waiting, key=lambda each: filled[each])
        context = int(waiting[shard].pop())
        order.append(context)
        filled[shard] += int(size[context])
        if not waiting[shard]:
            del waiting[shard]
    return order
