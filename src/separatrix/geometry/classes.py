"""The order of classes that no name decides: that of their first rows.

Wherever the order of the classes could move a figure (ties, shuffles, folds, the rounding of a solver), classes are
taken in this order, so that renaming them changes nothing. It does depend on the order of the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def first_row_order(y: Ids, classes: int) -> Ids:
    """Class numbers in the order of their first rows, those without rows last, (classes,).

    >>> first_row_order(np.array([2, 0, 2]), 4)
    array([2, 0, 1, 3])
    """
    first = np.full(classes, len(y))
    first[y[::-1]] = np.arange(len(y))[::-1]  # the last assignment, that of the first row, stays
    return np.argsort(first, kind="stable")


def first_row_ranks(y: Ids, classes: int) -> Ids:
    """Place of each class in that order, (classes,): `first_row_ranks(y, classes)[y]` numbers the classes anew.

    >>> first_row_ranks(np.array([2, 0, 2]), 3)
    array([1, 2, 0])
    """
    return np.argsort(first_row_order(y, classes))
