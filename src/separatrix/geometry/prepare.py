"""Vectors at the door of a clustering: refused, counted, and brought to one scale if that is asked for.

A row number that slipped in among the features decides every distance (seed 002: the first principal component came
out as a straight ramp, and a finished k-means had to be thrown away). It is found and refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, OptionError, choose
from separatrix.geometry.checks import check_matrix

_FEWEST = 20  # rows below which an arithmetic progression may be chance
_LOOK = 1000  # rows that rule nearly every column out
_STRAIGHT = 1 - 1e-5  # correlation with the row number that rounding to float16 still leaves
_FLAT = 1e-7  # deviation below this share of the largest entry is rounding


@dataclass(frozen=True, eq=False)
class Prepared:
    """Vectors ready to be clustered, and what was done to them."""

    values: NDArray[np.float32]  # (rows, width); narrower than given if whitened
    how: str
    constant: int  # columns that say nothing


def prepare(x: ArrayLike, how: str = "none") -> Prepared:
    """Check vectors and bring their columns to one scale.

    `standardise` gives every column mean 0 and deviation 1; `whiten` turns them into uncorrelated directions of
    deviation 1, and leaves out those without any. Constant columns are counted; they become 0.

    Args:
        x: (rows, width).
        how: `none`, `standardise` or `whiten`.

    Raises:
        DataError: a number that is not finite (the row is named), a column that is a row number, rows that are all the
            same.
        OptionError: another `how`; `whiten` with no more rows than columns.

    >>> prepare([[0.0, 7.0], [2.0, 7.0]], "standardise").values.tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    vectors = check_matrix(x, "vectors")
    wide = choose(how, PREPARE, "--prepare")
    check_no_index(vectors)
    deviation = vectors.std(axis=0, dtype=np.float64)  # (width,)
    varies = deviation > _FLAT * np.abs(vectors).max(axis=0)
    if not varies.any():
        raise DataError("all rows are the same", got=f"{len(vectors)} equal rows", expected="rows that differ")
    values = PREPARE[wide](vectors, varies)
    return Prepared(np.ascontiguousarray(values, dtype=np.float32), how, int((~varies).sum()))


def check_no_index(x: NDArray[np.floating]) -> None:
    """Refuse a column that numbers the rows: 0, 1, 2 ... in any order, shifted, scaled or rounded.

    Such a column is an arithmetic progression once it is sorted, or a straight line over the rows as they stand. Fewer
    than 20 rows are let through: there it may be chance.

    Raises:
        DataError: the message names the column.

    >>> check_no_index(np.column_stack([np.sin(np.arange(30.0)), np.arange(30.0)[::-1]]))
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: column 1 of the vectors numbers the rows (29 down to 0); leave it out
    """
    rows = len(x)
    if rows < _FEWEST:
        return
    head = x[:_LOOK].astype(np.float64)
    low = x.min(axis=0).astype(np.float64)
    step = (x.max(axis=0) - low) / (rows - 1)
    varies = step > 0
    place = (head - low) / np.where(varies, step, 1)  # where an index would put each row
    slack = max(1e-3, 1e-6 * rows)
    even = varies & (np.abs(place - np.round(place)) < slack).all(axis=0)
    number = np.arange(len(head)) - (len(head) - 1) / 2
    spread = np.linalg.norm(head - head.mean(axis=0), axis=0) * np.linalg.norm(number)
    straight = np.abs(number @ head) > _STRAIGHT * np.where(spread > 0, spread, np.inf)
    for column in np.flatnonzero(even | straight):
        values = x[:, column].astype(np.float64)
        if _is_even(values, slack * step[column]) or _is_straight(values):
            first, last = values[0], values[-1]
            way = "up" if last >= first else "down"
            what = f"column {column} of the vectors numbers the rows ({first:g} {way} to {last:g})"
            raise DataError(what, hint="leave it out")


def _is_even(values: NDArray[np.float64], slack: float) -> bool:
    gaps = np.diff(np.sort(values))
    return bool(np.ptp(gaps) <= 2 * slack)


def _is_straight(values: NDArray[np.float64]) -> bool:
    with np.errstate(invalid="ignore", divide="ignore"):
        return abs(float(np.corrcoef(values, np.arange(len(values)))[0, 1])) > _STRAIGHT


def _none(x: NDArray[np.floating], _varies: NDArray[np.bool_]) -> NDArray[np.floating]:
    return x


def _standardise(x: NDArray[np.floating], varies: NDArray[np.bool_]) -> NDArray[np.floating]:
    mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    return np.where(varies, (x - mean) / np.where(varies, scale, 1.0), 0.0).astype(np.float32)


def _whiten(x: NDArray[np.floating], varies: NDArray[np.bool_]) -> NDArray[np.floating]:
    kept = _standardise(x, varies)[:, varies]
    rows, width = kept.shape
    if rows <= width:
        raise OptionError(
            "--prepare whiten needs more rows than columns",
            got=f"{rows} rows, {width} columns",
            hint="use --prepare standardise",
        )
    powers, axes = np.linalg.eigh(kept.T.astype(np.float64) @ kept / rows)  # variance along each axis, rising
    strong = powers > 1e-6 * powers[-1]
    return kept @ (axes[:, strong] / np.sqrt(powers[strong])).astype(np.float32)


PREPARE = {"none": _none, "standardise": _standardise, "whiten": _whiten}


def check_k(k: int, rows: int) -> None:
    """Refuse more clusters than rows.

    >>> check_k(3, 2)
    Traceback (most recent call last):
        ...
    separatrix.errors.OptionError: more clusters than rows: got k = 3, expected 2 or fewer; pass a smaller --k
    """
    if k > rows:
        raise OptionError(
            "more clusters than rows", got=f"k = {k}", expected=f"{rows} or fewer", hint="pass a smaller --k"
        )
