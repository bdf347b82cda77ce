"""What is done to vectors before they are compared: fitted to some rows, then applied to any; its input is checked.

A preparation is one function and one entry in `PREPARES`: it takes the fitted rows (rows, width) and returns the
function that prepares rows of that width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, choose
from separatrix.geometry.checks import check_distances, check_no_index
from separatrix.geometry.plane import principal, rounding
from separatrix.geometry.rowspace import shrinkage

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

Matrix = NDArray[Any]  # (rows, width) float32 or float64
Change = Callable[[Matrix], NDArray[np.float32]]

_ROUNDING = 1e-7  # share of the entries below which a deviation is rounding
PIECE_ROWS = 16_384  # rows that are held in float64 at a time, where they are many
_WIDE = 4096  # of more rows and columns than this, this many rows tell the covariance


def keep(_x: Matrix) -> Change:
    """The points as they are."""
    return lambda points: np.asarray(points, np.float32)


def standard_scaler(x: Matrix, weight: NDArray[np.float64] | None = None) -> StandardScaler:
    """scikit-learn's scaler, fitted in float64; a deviation that rounding leaves of a constant column counts as 0.

    Rows count by `weight`, (rows,), whose scale changes nothing.

    >>> standard_scaler(np.full((3, 1), 0.1, np.float32)).scale_.tolist()
    [1.0]
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for start in range(0, len(x), PIECE_ROWS):
        part = slice(start, start + PIECE_ROWS)
        scaler.partial_fit(x[part].astype(np.float64), sample_weight=None if weight is None else weight[part])
    scaler.scale_[scaler.scale_ <= _ROUNDING * np.abs(scaler.mean_)] = 1.0
    return scaler


def standardise(x: Matrix) -> Change:
    """Mean 0 and deviation 1 in each column; a column that is constant on the fitted rows becomes 0 there.

    >>> standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[5.0, 6.0]])).tolist()
    [[3.0, 1.0]]
    """
    scaler = standard_scaler(x)
    return lambda points: scaler.transform(points.astype(np.float64)).astype(np.float32)


def unit(_x: Matrix) -> Change:
    """Each row scaled to length 1, so that Euclidean distance orders as the cosine does; a zero row stays.

    >>> unit(np.empty((0, 2)))(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    from sklearn.preprocessing import normalize

    return lambda points: normalize(points.astype(np.float64)).astype(np.float32)


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
    rest, gain = whitening(powers, share, level)

    def change(points: Matrix) -> NDArray[np.float32]:
        moved = points - mean
        return (moved * rest + (moved @ directions.T * gain) @ directions).astype(np.float32)

    return change


def whitening(powers: NDArray[np.float64], share: float, level: float) -> tuple[float, NDArray[np.float64]]:
    """Factor of all directions, and what is added to it in those of these variances, (rank,).

    Directions in which the fitted rows do not differ have the shrunk variance alone. Without shrinkage there is nothing
    to divide by, and they are left out.
    """
    rest = 1 / np.sqrt(share * level) if share > 0 else 0.0
    return rest, 1 / np.sqrt((1 - share) * powers + share * level) - rest


PREPARES: dict[str, Callable[[Matrix], Change]] = {
    "none": keep,
    "standardise": standardise,
    "whiten": whiten,
    "unit": unit,
}
# Whitening shrinks towards equal variances, so the columns are brought to one scale before it.
STEPS: dict[str, tuple[str, ...]] = {
    "none": (), "standardise": ("standardise",), "whiten": ("standardise", "whiten"), "unit": (),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PreparedVectors:
    """Vectors ready to be clustered, and what was done to them."""

    values: NDArray[np.float32]  # (rows, width); as wide as given
    how: str = "none"
    constant: int = 0  # columns that say nothing


def prepare(x: ArrayLike, how: str = "none") -> PreparedVectors:
    """Check vectors and bring their columns, or rows, to one scale.

    `standardise` gives every column mean 0 and deviation 1; `whiten` makes the columns uncorrelated as well (with the
    shrinkage of `whiten`). Constant columns are counted; they become 0. `unit` gives every row length 1 and leaves no
    column out.

    Args:
        how: `none`, `standardise`, `whiten` or `unit`.

    Raises:
        DataError: a number that is not finite (the row is named), a column that is a row number, rows that are all the
            same.
        OptionError: another `how`.

    >>> prepare([[0.0, 7.0], [2.0, 7.0]], "standardise").values.tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    vectors = check_distances(x, "vectors")
    choose(how, STEPS, "--prepare")
    check_no_index(vectors)
    deviation = vectors.std(axis=0, dtype=np.float64)  # (width,)
    varies = ~constant_below(deviation, np.abs(vectors).max(axis=0))
    if not varies.any():
        raise DataError("all rows are the same", got=f"{len(vectors)} equal rows", expected="rows that differ")
    values = np.zeros(vectors.shape, np.float32) if STEPS[how] else PREPARES[how](vectors)(vectors)
    for step in STEPS[how]:
        columns = (vectors if step == STEPS[how][0] else values)[:, varies]
        values[:, varies] = PREPARES[step](columns)(columns)
    return PreparedVectors(np.ascontiguousarray(values, dtype=np.float32), how, int((~varies).sum()))


def constant_below(deviation: NDArray[np.floating], largest: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which columns are constant: their deviation (width,) is rounding of their largest number (width,)."""
    return ~(deviation > _ROUNDING * largest)


def ready(x: ArrayLike | PreparedVectors) -> PreparedVectors:
    """What `prepare` gave, as it is; other vectors checked."""
    return x if isinstance(x, PreparedVectors) else prepare(x)
