"""How sure a mean over rows is, and how sure a choice among options is: both by drawing the rows anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.geometry.checks import check_count, check_matrix, check_same_rows, check_values

_COVERED = (2.5, 97.5)  # percentiles of a 95 % interval
_BLOCK_DRAWS = 4_000_000  # drawn rows held at a time

Interval = tuple[float, float]


def bootstrap_mean(values: ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Interval:
    """95 % percentile interval of the mean of one number per row.

    Right or wrong answers (0 and 1, or booleans) are drawn as one binomial number, which is the same and costs nothing.

    Raises:
        DataError: no values, or one that is not finite.

    >>> bootstrap_mean([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    numbers = check_values(np.asarray(values, dtype=np.float64), "values")
    check_count(resamples, "resamples")
    rows, mean, rng = len(numbers), float(numbers.mean()), np.random.default_rng(seed)
    if np.isin(numbers, (0, 1)).all():
        means = rng.binomial(rows, mean, size=resamples) / rows
    else:
        step = max(1, _BLOCK_DRAWS // rows)
        starts = range(0, resamples, step)
        sizes = [(min(step, resamples - start), rows) for start in starts]
        means = np.concatenate([numbers[rng.integers(rows, size=size)].mean(axis=1) for size in sizes])
    low, high = np.percentile(means, _COVERED)
    return min(float(low), mean), max(float(high), mean)


@dataclass(frozen=True, eq=False)
class Certainty:
    """How sure the order of options is, over bootstrap samples of the rows they were measured on.

    Ranks count from 1, the best; options that are equal share the better rank. `best` sums to 1.
    """

    low: NDArray[np.int64]  # (options,) best rank within the 95 % interval
    high: NDArray[np.int64]  # (options,) worst rank within it
    best: NDArray[np.float64]  # (options,) share of the samples in which the option is the best, ties shared


def certainty(per_row: ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Certainty:
    """Draw rows anew, the same ones for every option, and see which option has the highest mean.

    Args:
        per_row: what each option scores on each row, (options, rows), higher is better.
        seed: of the draws.
        resamples: bootstrap samples.

    Raises:
        DataError: no options, no rows, or a number that is not finite.

    >>> found = certainty([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    >>> found.low.tolist(), bool(found.best[0] > 0.8)
    ([1, 1], True)
    """
    scores = check_matrix(per_row, "scores of the options").astype(np.float64)
    check_count(resamples, "resamples")
    options, rows = scores.shape
    rng = np.random.default_rng(seed)
    ranks, best = np.empty((resamples, options), np.int64), np.zeros(options)
    step = max(1, _BLOCK_DRAWS // rows)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=stop - start)  # (draws, rows)
        # Rounded, so that options with the same rows right are equal whatever the order of the sum.
        means = np.round(counts @ scores.T / rows, 12)  # (draws, options)
        ranks[start:stop] = (means[:, None, :] > means[:, :, None]).sum(axis=2) + 1
        first = ranks[start:stop] == 1
        best += (first / first.sum(axis=1, keepdims=True)).sum(axis=0)
    low, high = np.percentile(ranks, _COVERED, axis=0, method="nearest")
    return Certainty(low.astype(np.int64), high.astype(np.int64), best / resamples)


def bootstrap_r2(
    y_true: ArrayLike, y_pred: ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> tuple[float, Interval]:
    """R2 = 1 - residual / total of numbers (rows,), and its 95 % percentile interval over drawn rows.

    The mean that R2 compares with is drawn anew with the rows. Constant targets give 0.

    Raises:
        DataError, ShapeError: as `regress.regression`.

    >>> value, (low, high) = bootstrap_r2([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0])
    >>> value, low <= value <= high
    (0.8, True)
    """
    gold, answers = check_values(y_true, "targets"), check_values(y_pred, "predictions")
    check_same_rows(len(gold), len(answers), "targets", "predictions")
    check_count(resamples, "resamples")
    rows, rng = len(gold), np.random.default_rng(seed)
    step = max(1, _BLOCK_DRAWS // rows)
    values = [_r2(gold[None], answers[None])]
    for start in range(0, resamples, step):
        drawn = rng.integers(rows, size=(min(step, resamples - start), rows))
        values.append(_r2(gold[drawn], answers[drawn]))
    value = float(values[0][0])
    low, high = np.percentile(np.concatenate(values[1:]), _COVERED)
    return value, (min(float(low), value), max(float(high), value))


def _r2(gold: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """R2 of each line of (draws, rows)."""
    total = ((gold - gold.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    missed = ((gold - answers) ** 2).sum(axis=1)
    return 1 - np.divide(missed, total, out=np.ones(len(gold)), where=total > 0)
