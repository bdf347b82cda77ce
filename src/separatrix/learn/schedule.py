"""Which rows make a step, and how fast it goes: functions of (seed, epoch, step), so a resumed run repeats them."""

from __future__ import annotations

import numpy as np

# Batches whose rows are sorted by length together: little padding, and still a different mix in every epoch.
POOL = 16


def batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """All rows once, in shuffled batches of similar length.

    Args:
        lengths: tokens of each row, (rows,).
        size: rows of a batch; the last of each pool may be smaller, but a row alone joins the batch before it, because
            pair losses need two.
        seed: of the run.
        epoch: counted from 0; every epoch has its own order.

    >>> [batch.tolist() for batch in batches(np.array([3, 1, 2, 9]), 2, seed=0, epoch=0)]
    [[0, 3], [1, 2]]
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    parts: list[np.ndarray] = []
    for start in range(0, len(order), size * POOL):
        pool = order[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        parts += np.split(pool, range(size, len(pool), size))
        if len(parts[-1]) == 1 < size and len(parts) > 1:
            parts[-2:] = [np.concatenate(parts[-2:])]
    return [parts[number] for number in generator.permutation(len(parts))]


def rate(step: int, steps: int, warmup: float) -> float:
    """Factor of every learning rate: rises linearly over the warm-up, then falls linearly to zero.

    >>> [round(rate(step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rise = warmup * steps
    if step < rise:
        return min(1.0, (step + 1) / rise)
    return (steps - step) / max(1.0, steps - rise)


def frame_steps(steps: int, count: int) -> frozenset[int]:
    """The steps after which a picture of the outputs is kept: evenly spread, the last one always.

    >>> sorted(frame_steps(10, 3))
    [3, 7, 10]
    """
    return frozenset(np.linspace(0, steps, count + 1)[1:].round().astype(int).tolist()) if count else frozenset()
