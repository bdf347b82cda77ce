"""Wide matrices in as many directions as they have rows.

Rows of a matrix span at most as many directions as there are rows. Turned into these, lengths and angles stay, so what
depends on them alone (covariances, discriminants, penalised linear models) costs time and memory bounded by the smaller
of rows and width. Matrices that are no wider than long are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Rows (rows, width) with their coordinates (rows, directions); make one with `RowSpace.of`."""

    rows: Matrix
    coordinates: Matrix
    combine: Matrix | None  # (directions, rows): the axes as combinations of rows; None: the axes are the columns

    @classmethod
    def of(cls, rows: Matrix) -> RowSpace:
        """Turn rows (rows, width) into their own directions if there are fewer of these than columns.

        >>> RowSpace.of(np.zeros((2, 3))).coordinates.tolist()
        [[0.0], [0.0]]
        """
        if rows.shape[1] <= rows.shape[0]:
            return cls(rows, rows, None)
        squares, left = kept_directions(rows @ rows.T)
        if not len(squares):  # rows of zeros: one axis, on which all are 0, for models that need a column
            return cls(rows, np.zeros((len(rows), 1)), np.zeros((1, len(rows))))
        scale = np.sqrt(squares)
        return cls(rows, left * scale, (left / scale).T)

    def widen(self, weight: Matrix) -> Matrix:
        """Vectors in these directions (vectors, directions) as vectors of the full width (vectors, width)."""
        return weight if self.combine is None else weight @ self.combine @ self.rows


def kept_directions(small: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues (directions,) and eigenvectors (size, directions) of a symmetric matrix without its null space.

    >>> kept_directions(np.diag([4.0, 0.0]))[0]
    array([4.])
    """
    squares, axes = np.linalg.eigh(small)
    positive = squares > max(squares.max(), 0.0) * np.finfo(np.float64).eps * len(small)
    return squares[positive], axes[:, positive]


@dataclass(frozen=True, eq=False)
class ShrunkCovariance:
    """Covariance of centred rows, shrunk as Ledoit and Wolf (2004) do; make one with `ShrunkCovariance.of`."""

    squares: Matrix  # (directions,) eigenvalues
    axes: Matrix  # (size, directions)
    shrinkage: float

    @classmethod
    def of(cls, coordinates: Matrix, width: int) -> ShrunkCovariance:
        """From coordinates (rows, size) of centred rows whose full width is `width`."""
        values, axes = np.linalg.eigh(coordinates.T @ coordinates / len(coordinates))
        values = np.maximum(values, 0)
        share = shrinkage(coordinates, values, width)
        squares = (1 - share) * values + share * values.sum() / width
        positive = squares > squares.max() * np.finfo(np.float64).eps * len(squares)
        return cls(squares[positive], axes[:, positive], share)

    def solve(self, vectors: Matrix) -> Matrix:
        """The inverse (in the directions that vary) times vectors (vectors, size)."""
        return vectors @ self.axes / self.squares @ self.axes.T


def shrinkage(centred: Matrix, variances: Matrix, width: int) -> float:
    """Share of the identity in the covariance estimate of Ledoit and Wolf (2004), 0 to 1.

    Args:
        centred: (rows, size) less their mean, turned or not.
        variances: (rank,) of the rows along their principal directions.
        width: columns of the rows as they came.

    >>> shrinkage(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 0.0]), 2)
    0.0
    """
    fourth = float((np.einsum("rw,rw->r", centred, centred) ** 2).sum())
    return shrinkage_of(fourth, len(centred), variances, width)


def shrinkage_of(fourth: float, rows: int, variances: Matrix, width: int) -> float:
    """The same from the sum over rows of the fourth power of their length."""
    square = float((variances**2).sum())
    level = float(variances.sum()) / width
    spread = square - width * level**2
    noise = (fourth / rows - square) / rows
    return 0.0 if spread <= 0 else min(max(noise, 0.0), spread) / spread
