"""Means and covariances of all rows, and the plane of largest variance, from one reading (two where it is very wide).

Where the covariance would be too large (more than 8,192 columns) the plane comes from a randomised range finder (Halko,
Martinsson and Tropp, 2011) with one power step: two readings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr

from separatrix.geometry.plane import Plane, with_sign
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation

WIDEST = 8192  # columns up to which the whole covariance is held
_OVERSAMPLING = 16  # directions that the range finder draws beyond those wanted
_NOTHING = float(np.finfo(np.float32).eps)  # share that is rounding


@dataclass(frozen=True, eq=False)
class Moments:
    """Rows, mean, sums of squares or products about it, least and largest number of each column."""

    count: int
    mean: NDArray[np.float64]  # (width,)
    squares: NDArray[np.float64]  # (width,), or (width, width)
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of each column, divided by the rows, (width,)."""
        own = self.squares if self.squares.ndim == 1 else np.diagonal(self.squares)
        return np.maximum(own, 0) / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Divided by the rows, (width, width)."""
        return self.squares / self.count


def moments(source: BlockSource, job: BlockJob, *, full: bool = False, prepare: Preparation | None = None) -> Moments:
    """Moments of all rows: squares of each column, or with `full` the products of all columns.

    >>> moments(BlockSource.of(np.array([[0.0, 1.0], [4.0, 1.0]])), BlockJob()).variance.tolist()
    [4.0, 0.0]
    """
    tasks = [(part, prepare, full) for _, part in parts(source)]
    return join_moments(job.run("moments", kernels.moments, tasks))


def join_moments(partials: Iterable[kernels.Partial]) -> Moments:
    """Moments of several sets of rows as those of all, in float64, one after the other (Chan et al., 1983)."""
    whole: Moments | None = None
    for partial in partials:
        one = Moments(int(partial["count"]), *(partial[name] for name in ("mean", "squares", "low", "high")))
        if whole is None:
            whole = one
            continue
        count, gap = whole.count + one.count, one.mean - whole.mean
        between = np.outer(gap, gap) if one.squares.ndim == 2 else gap * gap
        squares = whole.squares + one.squares + (whole.count * one.count / count) * between
        mean = whole.mean + gap * (one.count / count)
        whole = Moments(count, mean, squares, np.minimum(whole.low, one.low), np.maximum(whole.high, one.high))
    assert whole is not None
    return whole


def fit_plane(
    source: BlockSource, dimensions: int, job: BlockJob, *, prepare: Preparation | None = None, seed: int = 0
) -> Plane:
    """The plane of largest variance of all rows, as `geometry.plane.fit_plane` gives it.

    >>> fit_plane(BlockSource.of(np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])), 2, BlockJob()).axes[0].tolist()
    [1.0, 0.0]
    """
    wide = source.width > WIDEST
    whole = moments(source, job, full=not wide, prepare=prepare)
    largest = float(np.maximum(np.abs(whole.low - whole.mean), np.abs(whole.high - whole.mean)).max())
    if wide:
        directions, powers = _range_finder(source, dimensions, job, prepare, whole, seed)
    else:
        count = min(dimensions, source.width)
        powers, vectors = eigh(whole.squares, subset_by_index=(source.width - count, source.width - 1))
        directions, powers = vectors.T[::-1], powers[::-1]
    # Of squares of the largest number, and of the product that the directions are taken from.
    floor = max(_NOTHING**2 * largest**2 * whole.count, _NOTHING * float(max(powers)))
    axes, explained = np.zeros((dimensions, source.width)), np.zeros(dimensions)
    total = float(whole.variance.sum()) * whole.count
    for axis, (direction, power) in enumerate(zip(directions, powers, strict=True)):
        if power > floor:
            axes[axis], explained[axis] = with_sign(direction), power / total
    return Plane(whole.mean, axes, explained)


def _range_finder(
    source: BlockSource, dimensions: int, job: BlockJob, prepare: Preparation | None, whole: Moments, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions (dimensions, width) and the sum of squares along each, largest first."""
    size = min(dimensions + _OVERSAMPLING, source.width, whole.count)
    axes = np.random.default_rng(seed).standard_normal((size, source.width))
    for name in ("range", "range again"):
        tasks = [(part, prepare, whole.mean, axes) for _, part in parts(source)]
        wide, small = np.zeros((source.width, size)), np.zeros((size, size))
        for partial in job.run(name, kernels.sketch, tasks):
            wide += partial["wide"]
            small += partial["small"]
        if name == "range":
            axes = qr(wide, mode="economic")[0].T
    powers, vectors = np.linalg.eigh(small)
    return (vectors.T @ axes)[::-1][:dimensions], powers[::-1][:dimensions]


def coordinates(
    source: BlockSource, plane: Plane, job: BlockJob, *, prepare: Preparation | None = None
) -> NDArray[np.float32]:
    """Coordinates of all rows in a plane, (rows, dimensions)."""
    tasks = [(part, prepare, plane.mean, plane.axes) for _, part in parts(source)]
    return np.concatenate([partial["coordinates"] for partial in job.run("placing", kernels.project, tasks)])
