"""A fixed plane to look at, and how much of the truth a flat picture shows.

The plane is fitted once and then places every point of a run, so that pictures of different epochs can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_matrix, check_same_rows
from separatrix.geometry.neighbours import neighbours

_EXACT = 4096  # rows or columns up to which the plane is solved for exactly


@dataclass(frozen=True, eq=False)
class Plane:
    """Principal plane of the points it was fitted to."""

    mean: NDArray[np.float64]  # (width,)
    axes: NDArray[np.float64]  # (2, width): orthonormal, or 0 where the points have no second (or first) direction
    explained: NDArray[np.float64]  # (2,): share of the variance along each axis

    def place(self, points: ArrayLike) -> NDArray[np.float64]:
        """Coordinates (rows, 2) of points (rows, width).

        Raises:
            ShapeError: points of another width than those the plane was fitted to.
        """
        return (check_matrix(points, "points", width=len(self.mean)) - self.mean) @ self.axes.T


@dataclass(frozen=True)
class Faithfulness:
    """How far the neighbourhoods of a flat picture are the true ones: 1 is perfect.

    `trustworthiness` (Venna and Kaski, 2001) falls when strangers are drawn close; `knn_overlap` is the mean share of
    the k nearest neighbours that are the same in the picture. Both on `rows` rows drawn with `seed`.
    """

    trustworthiness: float
    knn_overlap: float
    k: int
    rows: int
    seed: int


def fit_plane(points: ArrayLike, *, seed: int = 0) -> Plane:
    """The plane of largest variance (principal components), with a sign that does not depend on the solver.

    The largest entry of each axis is positive. Exact where rows or width are at most 4096, else a randomised
    decomposition, for which `seed` is used. Constant points give axes of zeros: every point is placed at the origin.

    Args:
        points: (rows, width).

    Raises:
        DataError: no rows, or a number that is not finite.

    >>> plane = fit_plane([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> plane.axes[0], plane.explained.round(3), plane.place([[4.0, 1.0]])
    (array([1., 0.]), array([1., 0.]), array([[2., 0.]]))
    """
    x = check_matrix(points, "points").astype(np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    axes, explained = np.zeros((2, x.shape[1])), np.zeros(2)
    total = float((centred**2).sum())
    # Subtracting the mean leaves noise of rounding size; below that there is no direction to find.
    floor = (np.finfo(np.float64).eps * float(np.abs(x).max())) ** 2 * x.size
    if total > floor:
        for axis, (direction, power) in enumerate(_directions(centred, seed)):
            if power > floor:
                axes[axis], explained[axis] = direction * np.sign(direction[np.abs(direction).argmax()]), power / total
    return Plane(mean, axes, explained)


def _directions(centred: NDArray[np.float64], seed: int) -> list[tuple[NDArray[np.float64], float]]:
    """Up to two unit directions (width,) with the sum of squares along each, largest first."""
    rows, width = centred.shape
    size = min(rows, width)
    top = (max(0, size - 2), size - 1)
    if width == size and size <= _EXACT:
        powers, vectors = eigh(centred.T @ centred, subset_by_index=top)
        directions = vectors.T
    elif size <= _EXACT:  # more columns than rows: the small matrix has the same values
        powers, vectors = eigh(centred @ centred.T, subset_by_index=top)
        directions = vectors.T @ centred
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    else:
        from sklearn.utils.extmath import randomized_svd

        _, values, directions = randomized_svd(centred, 2, random_state=seed)
        return list(zip(directions, (values**2).tolist(), strict=True))
    return list(zip(directions[::-1], powers[::-1].tolist(), strict=True))


def faithfulness(points: ArrayLike, flat: ArrayLike, *, k: int = 10, rows: int = 2000, seed: int = 0) -> Faithfulness:
    """Compare the neighbourhoods of points (rows, width) with those of their flat picture (rows, 2).

    Both distances are Euclidean. Of more than `rows` points a seeded sample is compared with itself. Where fewer than
    2 k + 1 points stand, k is lowered to what trustworthiness allows; the result says which k was used.

    Raises:
        DataError: fewer than four points.
        ShapeError: lengths differ.

    >>> points = np.arange(20.0)[:, None] ** 2
    >>> faithfulness(points, np.hstack([points, points]), k=3)
    Faithfulness(trustworthiness=1.0, knn_overlap=1.0, k=3, rows=20, seed=0)
    """
    from sklearn.manifold import trustworthiness

    check_count(k, "k")
    check_count(rows, "rows", low=4)
    high, low = check_matrix(points, "points"), check_matrix(flat, "flat points")
    check_same_rows(len(high), len(low), "points", "flat points")
    if len(high) < 4:
        raise DataError("too few points to compare neighbourhoods", got=len(high), expected="4 or more")
    if len(high) > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(len(high), rows, replace=False))
        high, low = high[chosen], low[chosen]
    count = len(high)
    k = min(k, (count - 1) // 2)
    true, drawn = (neighbours(x, x, k, metric="euclidean", exclude_self=True).index for x in (high, low))
    # A pair (query, neighbour) written as one number, so that shared pairs are shared numbers.
    line = np.arange(count)[:, None] * count
    shared = np.intersect1d((line + true).ravel(), (line + drawn).ravel(), assume_unique=True)
    overlap = len(shared) / (count * k)
    return Faithfulness(float(trustworthiness(high, low, n_neighbors=k)), overlap, k, count, seed)
