"""Two sets of answers to the same questions: which one is better, and whether that could be chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.checks import check_count, check_same_rows

_COVERED = (2.5, 97.5)  # percentiles of a 95 % interval


@dataclass(frozen=True)
class Paired:
    """Accuracy of a less that of b on the same rows, with its 95 % interval and the p-value of McNemar's exact test.

    Only rows on which one is right and the other wrong tell them apart: `a_only` and `b_only` of them.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    a_only: int
    b_only: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**vars(self), "interval": list(self.interval)}


def compare_answers(right_a: ArrayLike, right_b: ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Paired:
    """Compare answers row by row (McNemar, 1947; the exact binomial form), with a paired bootstrap over rows.

    Args:
        right_a, right_b: (rows,) bool, whether a and b are right.
        seed: of the bootstrap.
        resamples: bootstrap samples.

    Raises:
        DataError: no rows.
        ShapeError: not as many rows on both sides, or numbers that are no bool.

    >>> found = compare_answers([True] * 9 + [False], [True] * 4 + [False] * 6)
    >>> found.difference, found.a_only, found.b_only, found.p_value
    (0.5, 5, 0, 0.0625)
    """
    from scipy.stats import binomtest

    a, b = _flags(right_a, "answers of a"), _flags(right_b, "answers of b")
    check_same_rows(len(a), len(b), "answers of a", "answers of b")
    check_count(resamples, "resamples")
    a_only, b_only, rows = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    told = a_only + b_only
    p_value = float(binomtest(a_only, told).pvalue) if told else 1.0
    # Drawing rows with replacement is drawing the three counts (only a, only b, neither tells) at once.
    counts = np.array([a_only, b_only, rows - told]) / rows
    drawn = np.random.default_rng(seed).multinomial(rows, counts, size=resamples)
    difference = (a_only - b_only) / rows
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / rows, _COVERED)
    return Paired(
        difference, (min(float(low), difference), max(float(high), difference)), p_value, a_only, b_only, rows
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number (Holm, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1)
    return found


def _flags(right: ArrayLike, what: str) -> NDArray[np.bool_]:
    flags = np.asarray(right)
    if flags.ndim != 1 or flags.dtype != bool:
        raise ShapeError(f"{what} must say right or wrong", got=f"{flags.dtype} {flags.shape}", expected="bool (rows,)")
    if not len(flags):
        raise DataError(f"{what} have no rows", hint="give at least one row")
    return flags
