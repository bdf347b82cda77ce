"""Weights of rows are relative: what counts is how many times another row's weight a row has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError

_FARTHEST = 1e15  # beyond it float64 adds the small weight to the large one without a trace


def mean_weight(weight: NDArray[np.float64], source: str = "") -> float:
    """The mean of weights above 0, (rows,): what weights are divided by, so that a loss does not hang on their scale.

    Args:
        weight: of which one at least is above 0.
        source: named in the error.

    Raises:
        DataError: two of them are further apart than sums of float64 can hold.

    >>> mean_weight(np.array([0.0, 1e300, 3e300]))
    2e+300
    """
    above = weight[weight > 0]
    smallest, largest = float(above.min()), float(above.max())
    if smallest < largest / _FARTHEST:
        raise DataError(
            f"{source}{': ' if source else ''}weights of rows are too far apart",
            got=f"{smallest:g} to {largest:g}",
            expected=f"the largest at most {_FARTHEST:g} times the smallest above 0",
            hint="give rows that hardly count the weight 0",
        )
    exponent = int(np.frexp(largest)[1])  # a power of two changes no digit, and the sum stays in range
    return float(np.ldexp(np.ldexp(above, -exponent).mean(), exponent))
