"""One figure of several runs (seeds): its mean and how far that mean can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from separatrix.geometry.checks import check_same_rows, check_values

_UPPER = 0.975  # quantile of a two-sided 95 % interval


@dataclass(frozen=True)
class MeanInterval:
    """Mean over runs with its 95 % t interval; `low` and `high` are None for a single run, which has no spread."""

    mean: float
    low: float | None
    high: float | None
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dict(vars(self))


def mean_interval(values: ArrayLike) -> MeanInterval:
    """Mean and 95 % t interval (Student, 1908) of one number per run.

    Raises:
        DataError: no values, or one that is not finite.

    >>> interval = mean_interval([0.95, 0.96, 0.97])
    >>> round(interval.mean, 4), round(interval.low, 4), round(interval.high, 4), interval.runs
    (0.96, 0.9352, 0.9848, 3)
    >>> mean_interval([0.95])
    MeanInterval(mean=0.95, low=None, high=None, runs=1)
    """
    numbers = check_values(values, "values")
    runs, mean = len(numbers), float(numbers.mean())
    if runs == 1:
        return MeanInterval(mean, None, None, 1)
    reach = float(stdtrit(runs - 1, _UPPER) * numbers.std(ddof=1) / np.sqrt(runs))
    return MeanInterval(mean, mean - reach, mean + reach, runs)


def paired_difference(values_a: ArrayLike, values_b: ArrayLike) -> MeanInterval:
    """Mean of a - b over runs that share a seed, with its 95 % t interval.

    Raises:
        ShapeError: not as many runs on both sides.

    >>> round(paired_difference([0.96, 0.97], [0.95, 0.95]).mean, 4)
    0.015
    """
    a, b = check_values(values_a, "values of a"), check_values(values_b, "values of b")
    check_same_rows(len(a), len(b), "values of a", "values of b")
    return mean_interval(a - b)
