"""Rows made ready for tiles of their distances: put in order, turned, and compared tile by tile.

Rows are put in the order of small cells, so that the tiles around a tile come first. They are turned along their
principal axes: where the leading columns show that no two rows of a pair of tiles can be near, the rest of the product
is saved. A pair whose float32 distance lies within rounding of a radius is measured again in float64 from the rows as
they were given, so that nothing depends on the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import local
from time import monotonic
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError
from separatrix.geometry.kernels import kernels

Ids = NDArray[np.int64]

TILE = 512  # rows and columns of a tile: its distances fit into the cache of a core
_ROUNDING = 1e-5  # of the squared lengths: what a float32 product of two rows may be wrong by, with room
_TINY = float(np.finfo(np.float32).tiny)  # a square below it may be lost altogether
_CELLS, _CELL_ROWS, _PER_CELL = 256, 256, 20  # cells at most; rows a cell; rows of the sample a cell is learned from
_ROUNDS = 4  # of Lloyd: the cells only give an order
_DRAWN = 32  # pairs of tiles that the number of leading columns is chosen on
_SCAN = 12  # reading the distances of a tile costs as much as so many columns of their product
_FEW = 2048  # pairs in doubt that are measured one by one
_STEP = 8  # the number of leading columns is a multiple
_SMALL = 4 * TILE  # rows up to which nothing is put in order first
_SAMPLE = 5000  # rows that the axes are taken from
BLOCK = 8192  # rows read at a time


class OutOfTimeError(DataError):
    """The time limit passed before the clustering was done."""


@dataclass(eq=False)
class TileSpace:
    """Rows in the order of their cells, turned so that leading columns hold most of a distance."""

    given: NDArray[np.float32]  # (rows, width) as they were given: what is measured again
    order: Ids  # (rows,) place in `given` of each row here
    rows: NDArray[np.float32]  # (rows, width) around their median
    squares: NDArray[np.float32]  # (rows,) squared length
    radii: NDArray[np.float64]  # (levels,) ascending
    kernels: Any
    deadline: float | None
    leading: dict[int, tuple[int, NDArray[np.float32]]] = field(default_factory=dict)  # level -> see `leads`
    memory: Any = field(default_factory=local)  # of each thread, for a product

    @classmethod
    def of(cls, x: NDArray[np.float32], radii: NDArray[np.float64], engine: str, deadline: float | None) -> Self:
        """The rows made ready. Distances stay: rows are moved, turned and put in another order."""
        rows = x - np.median(x[:: max(1, len(x) // 101)], axis=0).astype(np.float32)
        order = np.arange(len(x))
        if len(x) > _SMALL:
            rows = _turned(rows)
            order = _cell_order(rows)
            rows = np.ascontiguousarray(rows[order])
        few = engine == "auto" and len(x) <= _SMALL  # loading numba would take longer
        return cls(x, order, rows, squared_lengths(rows), radii, kernels("numpy" if few else engine), deadline)

    @property
    def tile(self) -> int:
        """Rows and columns of a tile."""
        return TILE

    def near(
        self,
        left: Ids,
        right: Ids,
        level: int,
        tags: tuple[Ids, Ids],
        *,
        diagonal: bool = False,
        most: int | None = None,  # noqa: ARG002 - here all pairs are given
    ) -> NearPairs:
        """Pairs of different tags within a radius: their rows, and the level of each.

        Args:
            left: rows (left,).
            right: rows (right,).
            level: of the largest radius that matters.
            tags: a number for each left and each right row; pairs with one number on both sides are left out.
            diagonal: left and right are the same rows; a pair is given once.
            most: so many pairs of each row are enough, those of the lowest levels; None: one pair of each two tags is.
        """
        self.check_time()
        bound = float(self.radii[level]) ** 2
        a, b = _taken(self.rows, left), _taken(self.rows, right)
        x, y, margin = self.squares[left], self.squares[right], self.margin(left, right)
        columns, leading_squares = self.leads(level)
        if columns and not diagonal:
            product = self.product(a[:, :columns], b[:, :columns])
            ends = leading_squares[left], leading_squares[right]
            i, j, _ = self.kernels.near_pairs(product, *ends, np.float32(bound + margin), *tags, False)
            if len(i) <= _FEW:  # each is measured again
                return self._measured(left[i], right[j], np.zeros(len(i), np.float32), np.inf, level)
        product = self.product(a, b)
        i, j, squared = self.kernels.near_pairs(product, x, y, np.float32(bound + margin), *tags, diagonal)
        return self._measured(left[i], right[j], squared, margin, level)

    def check_time(self) -> None:
        """Raise OutOfTimeError after the deadline."""
        if self.deadline is not None and monotonic() > self.deadline:
            raise OutOfTimeError("the time limit passed", hint="raise --cell-seconds, or cluster fewer rows")

    def product(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inner products of a tile, (left, right), in memory that this thread uses again."""
        if not hasattr(self.memory, "tile"):
            self.memory.tile = np.empty(TILE * TILE, np.float32)
        return np.matmul(a, b.T, out=self.memory.tile[: len(a) * len(b)].reshape(len(a), len(b)))

    def margin(self, left: Ids, right: Ids) -> float:
        """What the squared distance of two rows may be wrong by in float32."""
        lengths = self.squares[left].max() + self.squares[right].max()
        return float(_ROUNDING * lengths) + _TINY * self.rows.shape[1]

    def leads(self, level: int) -> tuple[int, NDArray[np.float32]]:
        """How many leading columns are looked at first for a radius (0: none), and their squared lengths (rows,)."""
        if level not in self.leading:
            columns = _leading(self.rows, float(self.radii[level])) if len(self.rows) > _SMALL else 0
            self.leading[level] = columns, squared_lengths(self.rows[:, :columns])
        return self.leading[level]

    def _measured(self, left: Ids, right: Ids, squared: NDArray[np.float32], margin: float, level: int) -> NearPairs:
        if not len(left):
            return NearPairs(left, right, left)
        ends = self.order[left], self.order[right]
        levels = self.kernels.levels(self.given, *ends, squared, self.radii[: level + 1], margin)
        inside = levels <= level
        return NearPairs(left[inside], right[inside], levels[inside])


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of rows, and the level of each."""

    left: Ids  # (pairs,)
    right: Ids  # (pairs,)
    levels: Ids  # (pairs,)


def _taken(rows: NDArray[np.float32], chosen: Ids) -> NDArray[np.float32]:
    """Rows by their numbers; a view where they follow each other."""
    if len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1 and (np.diff(chosen) == 1).all():
        return rows[chosen[0] : chosen[-1] + 1]
    return rows[chosen]


def squared_lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared length of each row, (rows,)."""
    return np.einsum("rw,rw->r", rows, rows)


def _turned(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows along the principal axes of a sample, the longest first."""
    sample = rows[:: max(1, len(rows) // _SAMPLE)].astype(np.float64)
    sample -= sample.mean(axis=0)
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
    return np.concatenate([(rows[part] @ axes).astype(np.float32) for part in slices(len(rows), BLOCK)])


def _cell_order(rows: NDArray[np.float32]) -> Ids:
    """The rows cell by cell, in each from the middle outwards; cells of a short k-means on a sample."""
    count = min(_CELLS, len(rows) // _CELL_ROWS)
    rng = np.random.default_rng(0)
    sample = rows[np.sort(rng.choice(len(rows), min(len(rows), _PER_CELL * count), replace=False))]
    middles = sample[rng.choice(len(sample), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, middles)[0]
        sums = np.zeros_like(middles)
        np.add.at(sums, nearest, sample)
        sizes = np.bincount(nearest, minlength=count)
        middles = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], middles).astype(np.float32)
    cell, gap = _nearest(rows, middles)
    return np.lexsort((gap, cell))


def _nearest(rows: NDArray[np.float32], middles: NDArray[np.float32]) -> tuple[Ids, NDArray[np.float32]]:
    """The nearest middle of each row, and a number that grows with the distance to it."""
    cells, gaps = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    half = squared_lengths(middles) / 2
    for part in slices(len(rows), BLOCK):
        score = half - rows[part] @ middles.T
        cells[part] = score.argmin(axis=1)
        gaps[part] = score.min(axis=1) + squared_lengths(rows[part]) / 2
    return cells, gaps


def _leading(rows: NDArray[np.float32], radius: float) -> int:
    """How many leading columns to look at first, so that the least is computed in all; 0 if none save anything.

    Reads pairs of tiles drawn at random; those in which the columns leave more than a few pairs in doubt cost twice.
    """
    width, rng = rows.shape[1], np.random.default_rng(0)
    tiles = row_tiles(np.arange(len(rows) - len(rows) % TILE), TILE)
    drawn = [rng.choice(len(tiles), 2, replace=False) for _ in range(_DRAWN)]
    best, least = 0, 1.0 * (width + _SCAN)
    for columns in {_STEP * -(-width // (_STEP * share)) for share in (16, 8, 4, 2)}:
        first = rows[:, :columns]
        squares = squared_lengths(first)
        crowded = 0
        for i, j in drawn:
            gaps = squares[tiles[i]][:, None] + squares[tiles[j]] - 2 * first[tiles[i]] @ first[tiles[j]].T
            crowded += int((gaps <= radius**2).sum()) > _FEW
        cost = columns + _SCAN + crowded / _DRAWN * (width + _SCAN)
        if cost < least:
            best, least = columns, cost
    return best


def slices(rows: int, size: int) -> Iterator[slice]:
    """Consecutive pieces of so many rows.

    >>> list(slices(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def row_tiles(rows: Ids, size: int) -> list[Ids]:
    """Row numbers in pieces of one tile."""
    return [rows[part] for part in slices(len(rows), size)]
