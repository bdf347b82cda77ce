"""The mean silhouette in blocks: exact up to a number of rows, else of a seeded sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError
from separatrix.geometry.resample import bootstrap_mean
from separatrix.geometry.separation import Silhouette
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, ranges
from separatrix.scale.job import BlockJob
from separatrix.scale.sample import draw_rows

EXACT_ROWS = 20_000  # rows that are compared with each other
_QUERIES = 1024  # of a task


def silhouette(
    source: BlockSource, labels: NDArray[np.int64], job: BlockJob, *, rows: int = EXACT_ROWS, seed: int = 0
) -> Silhouette:
    """How much nearer a row is to its own cluster than to the next one (Rousseeuw, 1987), -1 to 1, Euclidean.

    Rows of cluster -1 are left out. `rows` of the result says how many were compared.

    Args:
        source: (rows, width).
        labels: cluster numbers, (rows,).
        job: who computes.
        rows: compared with each other at most.
        seed: of the sample and of the bootstrap.

    Raises:
        DataError: one cluster only, or as many as rows.

    >>> x = BlockSource.of(np.array([[0.0], [0.1], [9.0], [9.1]]))
    >>> silhouette(x, np.array([0, 0, 1, 1]), BlockJob()).value.__round__(3)
    0.989
    """
    inside = np.flatnonzero(labels >= 0)
    chosen = inside[draw_rows(len(inside), rows, seed)]
    names, ids, counts = np.unique(labels[chosen], return_inverse=True, return_counts=True)
    if not 2 <= len(names) < len(chosen):
        what = "a silhouette needs two classes, and one of them with two rows"
        raise DataError(what, got=f"{len(names)} classes")
    x = source.take(chosen)
    x = (x - x.mean(axis=0, dtype=np.float64)).astype(np.float32)
    tasks = [(x[start:stop], x, ids, len(names)) for start, stop in ranges(len(x), _QUERIES)]
    sums = np.concatenate([each["sums"] for each in job.run("silhouette", kernels.distance_sums, tasks)])
    own = np.arange(len(x)), ids
    within = sums[own] / np.maximum(counts[ids] - 1, 1)
    means = sums / counts
    means[own] = np.inf
    other = means.min(axis=1)
    larger = np.maximum(within, other)
    values = np.where((counts[ids] > 1) & (larger > 0), (other - within) / np.where(larger > 0, larger, 1), 0.0)
    return Silhouette(float(values.mean()), bootstrap_mean(values, seed=seed), len(values), "euclidean", seed)
