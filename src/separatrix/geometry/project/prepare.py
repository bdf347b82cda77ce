"""What is done to points before they are compared: fitted to some rows, then applied to any.

A preparation is one function and one entry in `PREPARES`: it takes the fitted rows (rows, width) and returns the
function that prepares rows of that width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.geometry.project.plane import principal, rounding
from separatrix.geometry.rowspace import shrinkage

Matrix = NDArray[Any]  # (rows, width) float32 or float64
Change = Callable[[Matrix], NDArray[np.float32]]

_WIDE = 4096  # of more rows and columns than this, this many rows tell the covariance


def keep(_x: Matrix) -> Change:
    """The points as they are."""
    return lambda points: np.asarray(points, np.float32)


def standardise(x: Matrix) -> Change:
    """Mean 0 and deviation 1 in each column; a column that is constant on the fitted rows becomes 0 there.

    >>> standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[5.0, 6.0]])).tolist()
    [[3.0, 1.0]]
    """
    wide = x.astype(np.float64)
    mean, scale = wide.mean(axis=0), wide.std(axis=0)
    scale[scale <= 1e-7 * np.abs(mean)] = 1.0  # what rounding leaves of a constant
    scale[scale == 0] = 1.0
    return lambda points: ((points - mean) / scale).astype(np.float32)


def unit(_x: Matrix) -> Change:
    """Each row scaled to length 1, so that Euclidean distance orders as the cosine does; a zero row stays.

    >>> unit(np.empty((0, 2)))(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    def change(points: Matrix) -> NDArray[np.float32]:
        length = np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
        return (points / np.where(length > 0, length, 1)).astype(np.float32)

    return change


def whiten(x: Matrix) -> Change:
    """Turn and scale the space so that the (shrunk) covariance of the fitted rows becomes the identity.

    The covariance is drawn towards a multiple of the identity as Ledoit and Wolf (2004) do; without that, fewer rows
    than columns would all come out at the same distance from each other. The inverse root is symmetric, so that a
    column still means what it meant. Where rows and columns are both above 4096, so many rows tell the covariance.

    >>> x = np.random.default_rng(0).normal(size=(5000, 2)) @ np.array([[3.0, 0], [4, 1]])
    >>> np.cov(whiten(x)(x).T).round(1).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    wide = x.astype(np.float64)
    if min(wide.shape) > _WIDE:
        wide = wide[np.linspace(0, len(wide) - 1, _WIDE).astype(int)]
    mean = wide.mean(axis=0)
    centred = wide - mean
    directions, powers = principal(centred, min(wide.shape), 0)
    floor = max(rounding(wide), np.finfo(np.float64).eps * float(powers.max()))
    directions, powers = directions[powers > floor], powers[powers > floor] / len(wide)  # (rank, width), (rank,)
    share, level = shrinkage(centred, powers, wide.shape[1]), float(powers.sum()) / wide.shape[1]
    if not len(powers):
        return lambda points: (points - mean).astype(np.float32)
    # Directions in which the fitted rows do not differ have the shrunk variance alone. Without shrinkage there is
    # nothing to divide by, and they are left out.
    rest = 1 / np.sqrt(share * level) if share > 0 else 0.0
    gain = 1 / np.sqrt((1 - share) * powers + share * level) - rest  # (rank,)

    def change(points: Matrix) -> NDArray[np.float32]:
        moved = points - mean
        return (moved * rest + (moved @ directions.T * gain) @ directions).astype(np.float32)

    return change


PREPARES: dict[str, Callable[[Matrix], Change]] = {
    "none": keep,
    "standardise": standardise,
    "whiten": whiten,
    "unit": unit,
}
