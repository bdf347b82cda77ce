"""Vectors at the door of a clustering: refused, counted, and brought to one scale if that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, choose
from separatrix.geometry.checks import check_distances, check_no_index
from separatrix.geometry.project.prepare import PREPARES

# Whitening shrinks towards equal variances, so the columns are brought to one scale before it.
STEPS: dict[str, tuple[str, ...]] = {"none": (), "standardise": ("standardise",), "whiten": ("standardise", "whiten")}
_FLAT = 1e-7  # deviation below this share of the largest entry is rounding


@dataclass(frozen=True, eq=False)
class Prepared:
    """Vectors ready to be clustered, and what was done to them."""

    values: NDArray[np.float32]  # (rows, width); as wide as given
    how: str
    constant: int  # columns that say nothing


def prepare(x: ArrayLike, how: str = "none") -> Prepared:
    """Check vectors and bring their columns to one scale.

    `standardise` gives every column mean 0 and deviation 1; `whiten` makes the columns uncorrelated as well (with the
    shrinkage of `geometry.project.prepare`). Constant columns are counted; they become 0.

    Args:
        x: (rows, width).
        how: `none`, `standardise` or `whiten`.

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
    varies = deviation > _FLAT * np.abs(vectors).max(axis=0)
    if not varies.any():
        raise DataError("all rows are the same", got=f"{len(vectors)} equal rows", expected="rows that differ")
    values = np.zeros(vectors.shape, np.float32) if STEPS[how] else vectors
    for step in STEPS[how]:
        kept = vectors[:, varies] if step == STEPS[how][0] else values[:, varies]
        values[:, varies] = PREPARES[step](kept)(kept)
    return Prepared(np.ascontiguousarray(values, dtype=np.float32), how, int((~varies).sum()))
