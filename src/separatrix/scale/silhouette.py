"""The mean silhouette in blocks: exact up to a number of rows, else of a seeded sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import draw_rows
from separatrix.geometry.resample import bootstrap_mean
from separatrix.geometry.separation import Silhouette, silhouette_classes, silhouette_values
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, ranges
from separatrix.scale.job import BlockJob

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
    ids, counts = silhouette_classes(labels[chosen])
    x = source.take(chosen)
    x = (x - x.mean(axis=0, dtype=np.float64)).astype(np.float32)
    tasks = [(x[start:stop], x, ids, len(counts)) for start, stop in ranges(len(x), _QUERIES)]
    sums = np.concatenate([each["sums"] for each in job.run("silhouette", kernels.distance_sums, tasks)])
    values = silhouette_values(sums, ids, counts)
    return Silhouette(float(values.mean()), bootstrap_mean(values, seed=seed), len(values), "euclidean", seed)
