"""Checks of the arrays that public functions get: every other module here may then trust its input.

Each check returns the array in the form that the caller computes with, or raises one sentence that names the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.row_weights import mean_weight

_FEWEST = 20  # rows below which an arithmetic progression may be chance
_LOOK = 1000  # rows that rule nearly every column out
_STRAIGHT = 1 - 1e-5  # correlation with the row number that rounding to float16 still leaves
_SMALLEST, _LARGEST = 1e-15, 1e15  # squares and their sums are far from the ends of float32
_LARGEST_SQUARED = 1e100  # of numbers whose squares, and those of worse answers, are summed in float64
_APART = 0.25  # of a step, above which every number would be near a place of an index
_BLOCK_ROWS = 65536  # rows looked at together, so that the check of a large matrix needs little memory


def check_labels(ids: ArrayLike, classes: int, what: str = "labels") -> NDArray[np.int64]:
    """Class numbers as an int64 array (rows,), each in 0 .. classes - 1.

    Raises:
        ShapeError: not one number per row.
        DataError: no rows, not whole numbers, or a number outside the classes (-1 is a missing label).

    >>> check_labels([0, 1, 1], 2)
    array([0, 1, 1])
    >>> check_labels([0, -1], 2)
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: labels: row 1 has no class: got -1, expected 0 to 1
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ShapeError(f"{what} must be one class number per row", got=f"shape {array.shape}", expected="(rows,)")
    if len(array) == 0:
        raise DataError(f"{what} have no rows", hint="give at least one row")
    if array.dtype.kind not in "iu":
        raise DataError(f"{what} are not whole numbers", got=array.dtype, expected=f"integers 0 to {classes - 1}")
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if len(wrong):
        value = int(array[wrong[0]])
        problem = "has no class" if value == -1 else "is outside the classes"
        raise DataError(f"{what}: row {wrong[0]} {problem}", got=value, expected=f"0 to {classes - 1}")
    return array.astype(np.int64, copy=False)


def check_finite(x: ArrayLike, what: str) -> NDArray[Any]:
    """The array itself if it holds no NaN and no infinity, else a DataError that names the first such row.

    >>> check_finite([[0.0, 1.0], [float("nan"), 2.0]], "vectors")
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: vectors: row 1 is not finite: got nan, expected finite numbers
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what} are not real numbers", got=array.dtype, expected="floats")
    if array.dtype.kind != "f":
        return array
    if array.ndim == 0:
        array = array[None]
    for start in range(0, len(array), _BLOCK_ROWS):
        block = array[start : start + _BLOCK_ROWS]
        finite = np.isfinite(block)
        if not finite.all():
            row = int(np.flatnonzero(~finite.reshape(len(block), -1).all(axis=1))[0])
            value = block[row][~finite[row]].ravel()[0] if block.ndim > 1 else block[row]
            raise DataError(f"{what}: row {start + row} is not finite", got=value, expected="finite numbers")
    return array


def check_matrix(x: ArrayLike, what: str, *, width: int | None = None) -> NDArray[Any]:
    """A finite real matrix (rows, width) with at least one row and one column.

    >>> check_matrix([1.0, 2.0], "vectors")
    Traceback (most recent call last):
        ...
    separatrix.errors.ShapeError: vectors must be a matrix: got shape (2,), expected (rows, width)
    """
    array = np.asarray(x)
    if array.ndim != 2:
        raise ShapeError(f"{what} must be a matrix", got=f"shape {array.shape}", expected="(rows, width)")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise DataError(f"{what} are empty", got=f"shape {array.shape}", expected="at least one row and one column")
    if width is not None and array.shape[1] != width:
        raise ShapeError(f"{what} have the wrong width", got=array.shape[1], expected=width)
    return check_finite(array, what)


def check_labelled(x: ArrayLike, y: ArrayLike, classes: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Vectors (rows, width) and their class numbers (rows,), checked as `check_matrix` and `check_labels` do."""
    vectors, gold = check_matrix(x, "vectors"), check_labels(y, classes)
    check_same_rows(len(vectors), len(gold), "vectors", "labels")
    return vectors, gold


def check_distances(x: ArrayLike, what: str, *, width: int | None = None) -> NDArray[Any]:
    """As `check_matrix`, for distances: the largest number is 0, or from 1e-15 to 1e15, so that squares fit float32.

    >>> check_distances([[1e38]], "vectors")
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: vectors are too large to be squared: got 1e+38, expected 1e-15 to 1e+15; scale them
    """
    array = check_matrix(x, what, width=width)
    check_size(max(abs(float(array.max())), abs(float(array.min()))), what)
    return array


def check_size(largest: float, what: str) -> None:
    """Refuse vectors whose largest number is too large or too small to be squared."""
    if largest > _LARGEST or 0 < largest < _SMALLEST:
        size, bounds = ("large" if largest > 1 else "small"), f"{_SMALLEST:g} to {_LARGEST:g}"
        raise DataError(f"{what} are too {size} to be squared", got=f"{largest:g}", expected=bounds, hint="scale them")


def check_values(y: ArrayLike, what: str) -> NDArray[np.float64]:
    """Finite numbers as a float64 array (rows,); a column (rows, 1) is taken as well.

    >>> check_values([[1], [2]], "targets")
    array([1., 2.])
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{what} must be one number per row", got=f"shape {array.shape}", expected="(rows,)")
    if len(array) == 0:
        raise DataError(f"{what} have no rows", hint="give at least one row")
    return check_finite(array, what).astype(np.float64)


def check_squared(y: ArrayLike, what: str) -> NDArray[np.float64]:
    """As `check_values`, for numbers whose squared errors are summed: from -1e100 to 1e100.

    >>> check_squared([2.0, -1e306], "targets")
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: targets are too large to be squared: got -1e+306 in row 1 (counted from 0), \
expected -1e+100 to 1e+100; divide them by a power of ten
    """
    values = check_values(y, what)
    row = int(np.abs(values).argmax())
    if abs(values[row]) > _LARGEST_SQUARED:
        got, most = f"{values[row]:g} in row {row} (counted from 0)", f"{_LARGEST_SQUARED:g}"
        hint = "divide them by a power of ten"
        raise DataError(f"{what} are too large to be squared", got=got, expected=f"-{most} to {most}", hint=hint)
    return values


def check_weight(weight: ArrayLike | None, rows: int) -> NDArray[np.float64] | None:
    """Weights of rows, (rows,) float64, divided by the mean of those above 0; None stays.

    Raises:
        DataError: not finite, below 0, all 0, or too far apart for a sum of float64.

    >>> check_weight([1, 3, 0], 3)
    array([0.5, 1.5, 0. ])
    """
    if weight is None:
        return None
    values = check_values(weight, "weights")
    check_same_rows(rows, len(values), "rows", "weights")
    if values.min() < 0 or not values.any():
        expected = "numbers of 0 or more, some above 0"
        raise DataError(
            "weights of rows cannot be used", got=f"{values.min():g} to {values.max():g}", expected=expected
        )
    return values / mean_weight(values)


def check_same_rows(rows: int, other: int, what: str, other_what: str) -> None:
    """Raise a ShapeError unless both arrays have as many rows.

    >>> check_same_rows(3, 2, "labels", "predictions")
    Traceback (most recent call last):
        ...
    separatrix.errors.ShapeError: labels and predictions differ in length: got 3 and 2 rows, expected as many
    """
    if rows != other:
        raise ShapeError(
            f"{what} and {other_what} differ in length", got=f"{rows} and {other} rows", expected="as many"
        )


def check_output_width(width: int, classes: int) -> None:
    """Raise a ShapeError unless the output has one column per class (one column scores the share of label 0).

    >>> check_output_width(2, 2)
    """
    if width == classes:
        return
    hint = f"build the head with {classes} outputs (num_labels={classes})"
    if width == 1:
        hint = f"a one-column output is a regression, whose argmax is always class 0; {hint}"
    columns = "1 column" if width == 1 else f"{width} columns"
    raise ShapeError(f"the output has {columns} for {classes} classes", hint=hint)


def check_names(names: Any) -> tuple[str, ...]:
    """The class names, two or more and all different.

    >>> check_names(["yes"])
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: one class only: got 'yes', expected two or more classes
    """
    if isinstance(names, str):
        raise DataError("class names must be a list of names", got=repr(names))
    listed = tuple(str(name) for name in names)
    if len(listed) < 2:
        got = repr(listed[0]) if listed else "no names"
        raise DataError("one class only", got=got, expected="two or more classes")
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise DataError("a class name stands twice", got=repr(twice), expected="different names")
    return listed


def check_count(value: int, what: str, *, low: int = 1) -> int:
    """A whole number not below `low`, else an OptionError.

    >>> check_count(5, "k")
    5
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise OptionError(f"{what} is out of range", got=repr(value), expected=f"a whole number, {low} or more")
    return int(value)


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


def check_no_index(x: NDArray[np.floating]) -> None:
    """Refuse a column that numbers the rows: 0, 1, 2 ... in any order, shifted, scaled or rounded.

    It would decide every distance (the first principal component came out as a straight ramp, and a finished
    k-means had to be thrown away). Such a column is an arithmetic progression once it is sorted, or a straight line
    over the rows as they stand. Fewer than 20 rows are let through: there it may be chance.

    Raises:
        DataError: the message names the column.

    >>> check_no_index(np.column_stack([np.sin(np.arange(30.0)), np.arange(30.0)[::-1]]))
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: column 1 of the vectors numbers the rows (29 down to 0); leave it out
    """
    for column in maybe_index(x[:_LOOK], x.min(axis=0), x.max(axis=0), len(x)):
        check_column(x[:, column], column)


def maybe_index(head: NDArray[Any], low: NDArray[Any], high: NDArray[Any], rows: int) -> list[int]:
    """Columns that `check_column` is to look at, from the first rows and each column's least and largest number."""
    if rows < _FEWEST:
        return []
    first, least = head[:_LOOK].astype(np.float64), low.astype(np.float64)
    step = (high - least) / (rows - 1)
    varies = step > 0
    steps = (first - least) / np.where(varies, step, 1)  # where an index would put each row
    even = varies & (np.abs(steps - np.round(steps)) < min(_slack(rows), _APART)).all(axis=0)
    number = np.arange(len(first)) - (len(first) - 1) / 2
    spread = np.linalg.norm(first - first.mean(axis=0), axis=0) * np.linalg.norm(number)
    straight = np.abs(number @ first) > _STRAIGHT * np.where(spread > 0, spread, np.inf)
    return [int(column) for column in np.flatnonzero(even | straight)]


def check_column(values: NDArray[Any], column: int) -> None:
    """Raise a DataError if a column, (rows,), numbers the rows; see `check_no_index`."""
    values = values.astype(np.float64)
    step = np.ptp(values) / (len(values) - 1)
    if _is_even(values, _slack(len(values)) * step) or _is_straight(values):
        first, last = values[0], values[-1]
        way = "up" if last >= first else "down"
        what = f"column {column} of the vectors numbers the rows ({first:g} {way} to {last:g})"
        raise DataError(what, hint="leave it out")


def _slack(rows: int) -> float:
    return max(1e-3, 1e-6 * rows)


def _is_even(values: NDArray[np.float64], slack: float) -> bool:
    gaps = np.diff(np.sort(values))
    return bool(np.ptp(gaps) <= 2 * slack)


def _is_straight(values: NDArray[np.float64]) -> bool:
    with np.errstate(invalid="ignore", divide="ignore"):
        return abs(float(np.corrcoef(values, np.arange(len(values)))[0, 1])) > _STRAIGHT
