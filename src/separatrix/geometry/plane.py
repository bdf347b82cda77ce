"""The plane (or space) of largest variance: fitted once, it places every point of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from separatrix.geometry.checks import check_count, check_matrix

_EXACT = 4096  # rows or columns up to which directions are solved for exactly
_SHOWN = 50  # directions whose shares are told
_PLACED = 4096  # rows that are placed at once


@dataclass(frozen=True, eq=False)
class Plane:
    """Principal plane of the points it was fitted to."""

    mean: NDArray[np.float64]  # (width,)
    axes: NDArray[np.float64]  # (dimensions, width): orthonormal, or 0 where the points have no such direction
    explained: NDArray[np.float64]  # (dimensions,): share of the variance along each axis

    def place(self, points: ArrayLike) -> NDArray[np.float64]:
        """Coordinates (rows, dimensions) of points (rows, width).

        Raises:
            ShapeError: points of another width than those the plane was fitted to.
        """
        given = check_matrix(points, "points", width=len(self.mean))
        flat = np.empty((len(given), len(self.axes)))
        for start in range(0, len(given), _PLACED):  # centred in float64, which many rows would not fit into
            part = slice(start, start + _PLACED)
            flat[part] = (given[part] - self.mean) @ self.axes.T
        return flat


def fit_plane(points: ArrayLike, *, dimensions: int = 2, seed: int = 0) -> Plane:
    """The plane of largest variance (principal components), with a sign that does not depend on the solver.

    The largest entry of each axis is positive. Exact where rows or width are at most 4096, else a randomised
    decomposition, for which `seed` is used. Constant points give axes of zeros: every point is placed at the origin.

    >>> plane = fit_plane([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> plane.axes[0], plane.explained.round(3), plane.place([[4.0, 1.0]])
    (array([1., 0.]), array([1., 0.]), array([[2., 0.]]))
    """
    centred = check_matrix(points, "points").astype(np.float64)
    mean, floor = centred.mean(axis=0), rounding(centred)
    centred -= mean  # in place: many rows are held once
    axes, explained = np.zeros((check_count(dimensions, "dimensions"), len(mean))), np.zeros(dimensions)
    total = float(np.vdot(centred, centred))
    if total > floor:
        for axis, (direction, power) in enumerate(zip(*principal(centred, dimensions, seed), strict=True)):
            if power > floor:
                axes[axis], explained[axis] = with_sign(direction), power / total
    return Plane(mean, axes, explained)


def with_sign(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """A direction (width,) whose largest entry is positive."""
    return direction * np.sign(direction[np.abs(direction).argmax()])


def variance_shares(points: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Share of the variance along each of the first 50 principal directions (fewer if there are fewer).

    >>> variance_shares([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [1.0, -1.0]]).tolist()
    [0.5, 0.5]
    """
    x = check_matrix(points, "points").astype(np.float64)
    centred = x - x.mean(axis=0)
    total = float((centred**2).sum())
    count = min(_SHOWN, *centred.shape)
    return np.zeros(count) if total <= rounding(x) else principal(centred, count, seed)[1] / total


def rounding(x: NDArray[np.float64]) -> float:
    """Sum of squares that subtracting the mean of x (rows, width) leaves by rounding; below it nothing is found."""
    largest = max(float(x.max()), -float(x.min()))
    return (np.finfo(np.float64).eps * largest) ** 2 * x.size


def principal(centred: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `count` first principal directions of centred rows, and the sum of squares along each, largest first.

    Returns:
        directions (count, width) of unit length (of length 0 where there is none) and powers (count,); fewer where
        rows or width are fewer.
    """
    rows, width = centred.shape
    size = min(rows, width)
    count = min(count, size)
    top = (size - count, size - 1)
    if width == size and size <= _EXACT:
        powers, vectors = eigh(centred.T @ centred, subset_by_index=top)
        directions = vectors.T
    elif size <= _EXACT:  # more columns than rows: the small matrix has the same values
        powers, vectors = eigh(centred @ centred.T, subset_by_index=top)
        directions = vectors.T @ centred
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    else:
        from sklearn.utils.extmath import randomized_svd

        _, values, directions = randomized_svd(centred, count, random_state=seed)
        return directions, values**2
    return directions[::-1], np.maximum(powers[::-1], 0)
