"""The one encoder of labels, groups and clusters: values to the numbers 0, 1, 2 ..."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode(values: Any, *, by_row: bool = False) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The number of each row's value (rows,), -1 where it is missing, and the values that occur, (numbers,).

    Numbers follow the sorted values; with `by_row` the first rows of the values, so that no figure depends on a name.

    >>> encode(["b", "a", None, "b"])
    (array([ 1,  0, -1,  1]), array(['a', 'b'], dtype=object))
    >>> encode([5, 3, 5], by_row=True)[0]
    array([0, 1, 0])
    """
    import pandas as pd  # slow to load

    column = values if isinstance(values, pd.Series | np.ndarray) else np.asarray(values)
    codes, names = pd.factorize(column, sort=not by_row)
    return codes.astype(np.int64, copy=False), np.asarray(names)
