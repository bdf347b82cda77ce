"""The rows that k-means starts from: a sample in which far rows are as likely as they are costly.

A uniform sample of heavy-tailed rows lacks the few far rows that most of the inertia comes from. Half of this sample is
drawn uniformly, half in proportion to the squared distance from the middle, and each row counts by the inverse of its
chance: a lightweight coreset (Bachem, Lucic and Krause, 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import draw_rows
from separatrix.geometry.cluster import kmeans_centroids
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation

SAMPLE_ROWS = 16_384  # at least
_A_CENTROID = 256  # rows of the sample for each centroid


def sample_rows(k: int) -> int:
    """Rows of the sample that the starts come from."""
    return max(SAMPLE_ROWS, _A_CENTROID * k)


@dataclass(frozen=True, eq=False)
class Starts:
    """Where the starts of any k come from."""

    source: BlockSource
    prepare: Preparation  # brings the middle of the rows to 0
    squares: NDArray[np.float64] | None  # (rows,), of each row's distance from the middle; None: every row is taken
    starts: int
    seed: int

    @classmethod
    def of(
        cls, source: BlockSource, prepare: Preparation, job: BlockJob, ks: Sequence[int], *, starts: int, seed: int
    ) -> Starts:
        """One reading of all rows, where some of them will be drawn for one of these k.

        The middle is the median of a uniform sample: one far row moves a mean away from all others.
        """
        some = prepare.apply(source.take(draw_rows(source.rows, SAMPLE_ROWS, seed)))
        centred = prepare.moved(np.median(some, axis=0).astype(np.float64))
        if source.rows <= sample_rows(min(ks)):
            return cls(source, centred, None, starts, seed)
        tasks = [(part, centred) for _, part in parts(source)]
        lengths = [partial["squares"] for partial in job.run("distances from the middle", kernels.squares, tasks)]
        return cls(source, centred, np.concatenate(lengths), starts, seed)

    def centroids(self, k: int) -> NDArray[np.float64]:
        """The best of several k-means of scikit-learn on the sample, (k, width)."""
        rows, weights = np.arange(self.source.rows), None
        if self.squares is not None and sample_rows(k) < self.source.rows:
            rows, weights = draw_weighted(self.squares, sample_rows(k), self.seed)
        sample = self.prepare.apply(self.source.take(rows))
        return kmeans_centroids(sample, k, starts=self.starts, seed=self.seed, weights=weights)


def draw_weighted(squares: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row numbers, rising, each once, and how many rows each stands for (their sum is about that of all rows).

    One draw falls into each of `count` equal parts of the chances, so that no row is drawn too often.

    >>> rows, weights = draw_weighted(np.array([0.0] * 98 + [50.0, 50.0]), 20, 0)
    >>> rows[-2:].tolist(), weights[-2:].round(1).tolist()
    ([98, 99], [1.0, 1.0])
    """
    rows, total = len(squares), float(squares.sum())
    chance = np.full(rows, 1 / rows) if total == 0 else 0.5 / rows + squares / (2 * total)
    ends = np.cumsum(chance)
    drawn = (np.arange(count) + np.random.default_rng(seed).random(count)) / count * ends[-1]
    chosen, times = np.unique(np.searchsorted(ends, drawn, side="right").clip(max=rows - 1), return_counts=True)
    expected = count * chance[chosen]
    return chosen, np.where(expected < 1, times / expected, 1.0)  # a row that is drawn in any case stands for itself
