"""DBSCAN in bounded memory (Ester et al., 1996), tile by tile, with the labels that scikit-learn gives.

Lists of neighbours grow with eps until they are the square of the rows; a published run halted there (eps 0.8
on 561,600 rows). Here a first pass over tiles of the distance matrix counts neighbours, a second one joins cores, a
third gives border rows to clusters; only one tile is held at a time. A pair whose float32 distance lies within
rounding of eps is measured again in float64, so that no label hangs on the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.errors import DataError, OptionError
from separatrix.geometry.checks import check_count

_TILE = 1024  # rows and columns of a tile
_ROUNDING = 1e-5  # of the squared lengths: what a float32 product of two rows may be wrong by, with room
_MEASURED = 4_000_000  # numbers gathered at a time when pairs are measured again


class OutOfTimeError(DataError):
    """The time limit passed before the clustering was done."""


@dataclass(frozen=True, eq=False)
class DensityClusters:
    """Labels and cores of DBSCAN."""

    labels: NDArray[np.int64]  # (rows,), -1 for noise; clusters in the order of their first core
    core: NDArray[np.bool_]  # (rows,)


@dataclass(frozen=True, eq=False)
class _Space:
    """Rows moved to their median (distances stay, products get smaller), and when to give up."""

    rows: NDArray[np.float32]  # (rows, width)
    lengths: NDArray[np.float32]  # (rows,) squared
    eps: float
    deadline: float | None

    def near(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pairs lie within eps, (left, right)."""
        if self.deadline is not None and monotonic() > self.deadline:
            raise OutOfTimeError("the time limit passed", hint="raise --cell-seconds, or cluster fewer rows")
        a, b = self.rows[left], self.rows[right]
        gap = a @ b.T
        gap *= -2
        gap += self.lengths[left][:, None]
        gap += self.lengths[right]
        gap -= self.eps**2
        near = gap <= 0
        unsure = np.abs(gap, out=gap) <= _ROUNDING * (self.lengths[left][:, None] + self.lengths[right])
        first, second = np.nonzero(unsure)
        step = max(1, _MEASURED // a.shape[1])
        for start in range(0, len(first), step):
            i, j = first[start : start + step], second[start : start + step]
            exact = a[i].astype(np.float64) - b[j]
            near[i, j] = np.sqrt((exact**2).sum(axis=1)) <= self.eps
        return near


def dbscan(
    x: NDArray[np.float32],
    eps: float,
    min_samples: int = 10,
    *,
    cores: NDArray[np.bool_] | None = None,
    deadline: float | None = None,
) -> DensityClusters:
    """Clusters of rows that reach each other over cores.

    A core has at least `min_samples` rows within `eps`, itself counted. Clusters are numbered in the order of their
    first core; a border row belongs to the lowest numbered cluster that has a core within eps. These are the labels
    of scikit-learn's DBSCAN.

    Args:
        x: (rows, width) finite.
        eps: radius, Euclidean.
        min_samples: rows within eps that make a core.
        cores: which rows are cores, (rows,), where another library has counted already.
        deadline: reading of `time.monotonic` after which it gives up.

    Raises:
        OptionError: eps is not above 0, or min_samples below 1.
        OutOfTimeError: the deadline passed.

    >>> dbscan(np.float32([[0], [1], [2], [9]]), 1.0, 3).labels
    array([ 0,  0,  0, -1])
    """
    if not 0 < eps < np.inf:
        raise OptionError("eps is out of range", got=eps, expected="a number above 0")
    check_count(min_samples, "min_samples")
    moved = x - np.median(x[:: max(1, len(x) // 101)], axis=0).astype(np.float32)
    space = _Space(moved, np.einsum("rw,rw->r", moved, moved), float(eps), deadline)
    core = _count(space) >= min_samples if cores is None else cores
    labels = np.full(len(x), -1, np.int64)
    inner, outer = np.flatnonzero(core), np.flatnonzero(~core)
    if len(inner):
        labels[inner] = _join(space, inner)
        labels[outer] = _border(space, outer, inner, labels)
    return DensityClusters(labels, core)


def _tiles(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _TILE):
        yield rows[start : start + _TILE]


def _count(space: _Space) -> NDArray[np.int64]:
    """Rows within eps of each row, itself counted."""
    everything = np.arange(len(space.rows))
    counts = np.zeros(len(everything), np.int64)
    for left in _tiles(everything):
        for right in _tiles(everything[left[0] :]):
            near = space.near(left, right)
            counts[left] += near.sum(axis=1)
            if right[0] != left[0]:
                counts[right] += near.sum(axis=0)
    return counts


def _join(space: _Space, inner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cluster number of each core: connected parts, numbered by their first row."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    part = np.arange(len(inner))
    index = np.arange(len(inner))
    for left in _tiles(index):
        for right in _tiles(index[left[0] :]):
            if part[left].min() == part[left].max() == part[right].min() == part[right].max():
                continue  # all of them are one already
            near = space.near(inner[left], inner[right])
            near &= part[left][:, None] != part[right]
            first, second = np.nonzero(near)
            if not len(first):
                continue
            edges = (part[left].astype(np.int32)[first], part[right].astype(np.int32)[second])
            graph = coo_matrix((np.ones(len(first), bool), edges), shape=(len(inner), len(inner)))
            part = connected_components(graph, directed=False)[1][part].astype(np.int64)
    return encode(part, by_row=True)[0]


def _border(
    space: _Space, outer: NDArray[np.int64], inner: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Lowest cluster with a core within eps, or -1, of each row that is no core."""
    none = np.iinfo(np.int64).max
    lowest = np.full(len(outer), none)
    order = inner[np.argsort(labels[inner], kind="stable")]
    for left in _tiles(np.arange(len(outer))):
        for right in _tiles(order):
            near = space.near(outer[left], right)
            # Cores stand in the order of their clusters: the first near one has the lowest number.
            first = np.where(near.any(axis=1), labels[right][near.argmax(axis=1)], none)
            lowest[left] = np.minimum(lowest[left], first)
    return np.where(lowest == none, -1, lowest)
