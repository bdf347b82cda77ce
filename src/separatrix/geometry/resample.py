"""How sure a figure is: rows drawn anew, answers of two models row by row, the spread over several runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.checks import check_count, check_matrix, check_same_rows, check_squared, check_values
from separatrix.recipe.core import Plain

_COVERED = (2.5, 97.5)  # percentiles of a 95 % interval
_TAIL = 0.025
_BLOCK_DRAWS = 4_000_000  # drawn rows held at a time

Interval = tuple[float, float]


def percentile_interval(drawn: ArrayLike, figure: float) -> Interval:
    """95 % interval of a figure from its values in samples; stretched to the figure where it would leave it outside.

    >>> percentile_interval([1.0, 2.0, 3.0], 3.5)
    (1.05, 3.5)
    """
    low, high = np.percentile(np.asarray(drawn), _COVERED)
    return min(float(low), figure), max(float(high), figure)


def share_interval(drawn: ArrayLike, share: float, rows: int) -> Interval:
    """95 % interval of the share of rows that are right, from its values in samples.

    Where all rows are right, or none is, no sample has another share, and the interval would have no width: there its
    end is the share at which so many rows would be alike with a chance of 2.5 % (Clopper and Pearson, 1934).

    >>> np.round([share_interval([1.0, 1.0], 1.0, 54), share_interval([0.0, 0.0], 0.0, 3)], 4).tolist()
    [[0.934, 1.0], [0.0, 0.7076]]
    """
    low, high = percentile_interval(drawn, share)
    alike = _TAIL ** (1 / rows)
    return (min(low, alike) if share == 1 else low), (max(high, 1 - alike) if share == 0 else high)


def draw_rows(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers of bootstrap samples, (samples, rows), in blocks of bounded memory."""
    rng, step = np.random.default_rng(seed), max(1, _BLOCK_DRAWS // rows)
    for start in range(0, check_count(resamples, "resamples"), step):
        yield rng.integers(rows, size=(min(step, resamples - start), rows))


def bootstrap_mean(values: ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Interval:
    """95 % percentile interval of the mean of one number per row.

    Right or wrong answers (0 and 1, or booleans) are drawn as one binomial number, which is the same and costs nothing;
    of booleans it is the interval of a share, `share_interval`.

    >>> bootstrap_mean([1.0, 1.0, 1.0]), bootstrap_mean([True] * 3)[0] < 0.3
    ((1.0, 1.0), True)
    """
    numbers = check_values(np.asarray(values, dtype=np.float64), "values")
    check_count(resamples, "resamples")
    rows, mean = len(numbers), float(numbers.mean())
    if np.isin(numbers, (0, 1)).all():
        means = np.random.default_rng(seed).binomial(rows, mean, size=resamples) / rows
    else:
        means = np.concatenate([numbers[drawn].mean(axis=1) for drawn in draw_rows(rows, resamples, seed)])
    is_share = np.asarray(values).dtype == bool
    return share_interval(means, mean, rows) if is_share else percentile_interval(means, mean)


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

    `per_row` (options, rows) is what each option scores on each row, higher is better.

    Raises:
        DataError: no options, no rows, or a number that is not finite.

    >>> sure = certainty([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    >>> sure.low.tolist(), bool(sure.best[0] > 0.8)
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

    >>> value, (low, high) = bootstrap_r2([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0])
    >>> value, low <= value <= high
    (0.8, True)
    """
    gold, answers = check_squared(y_true, "targets"), check_values(y_pred, "predictions")
    check_same_rows(len(gold), len(answers), "targets", "predictions")
    check_count(resamples, "resamples")
    samples = [_r2(gold[drawn], answers[drawn]) for drawn in draw_rows(len(gold), resamples, seed)]
    value = float(_r2(gold[None], answers[None])[0])
    return value, percentile_interval(np.concatenate(samples), value)


def _r2(gold: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """R2 of each line of (draws, rows)."""
    total = ((gold - gold.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    missed = ((gold - answers) ** 2).sum(axis=1)
    return 1 - np.divide(missed, total, out=np.ones(len(gold)), where=total > 0)


@dataclass(frozen=True)
class PairedDifference(Plain):
    """Accuracy of a less that of b on the same rows, with its 95 % interval and the p-value of McNemar's exact test.

    Only rows on which one is right and the other wrong tell them apart: `a_only` and `b_only` of them.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    a_only: int
    b_only: int
    rows: int


def compare_answers(
    right_a: ArrayLike, right_b: ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> PairedDifference:
    """Compare answers row by row (McNemar, 1947; the exact binomial form), with a paired bootstrap over rows.

    Args:
        right_a, right_b: (rows,) bool, whether a and b are right.

    Raises:
        ShapeError: not as many rows on both sides, or numbers that are no bool.

    >>> pair = compare_answers([True] * 9 + [False], [True] * 4 + [False] * 6)
    >>> pair.difference, pair.a_only, pair.b_only, pair.p_value
    (0.5, 5, 0, 0.0625)
    """
    from scipy.stats import binomtest

    a, b = _flags(right_a, "answers of a"), _flags(right_b, "answers of b")
    check_same_rows(len(a), len(b), "answers of a", "answers of b")
    check_count(resamples, "resamples")
    a_only, b_only, rows = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    decisive = a_only + b_only
    p_value = float(binomtest(a_only, decisive).pvalue) if decisive else 1.0
    # Drawing rows with replacement is drawing the three counts (only a, only b, neither alone) at once.
    shares = np.array([a_only, b_only, rows - decisive]) / rows
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=resamples)
    difference = (a_only - b_only) / rows
    interval = percentile_interval((drawn[:, 0] - drawn[:, 1]) / rows, difference)
    return PairedDifference(difference, interval, p_value, a_only, b_only, rows)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number (Holm, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def _flags(right: ArrayLike, what: str) -> NDArray[np.bool_]:
    flags = np.asarray(right)
    if flags.ndim != 1 or flags.dtype != bool:
        raise ShapeError(f"{what} must say right or wrong", got=f"{flags.dtype} {flags.shape}", expected="bool (rows,)")
    if not len(flags):
        raise DataError(f"{what} have no rows", hint="give at least one row")
    return flags


@dataclass(frozen=True)
class MeanInterval(Plain):
    """Mean over runs with its 95 % t interval; `low` and `high` are None for a single run, which has no spread."""

    mean: float
    low: float | None
    high: float | None
    runs: int


def mean_interval(values: ArrayLike) -> MeanInterval:
    """Mean and 95 % t interval (Student, 1908) of one number per run.

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
    reach = float(stdtrit(runs - 1, _COVERED[1] / 100) * numbers.std(ddof=1) / np.sqrt(runs))
    return MeanInterval(mean, mean - reach, mean + reach, runs)


def paired_p_value(values_a: ArrayLike, values_b: ArrayLike) -> float | None:
    """Two-sided p-value of Student's t test on a - b over runs that share a seed.

    None where it cannot be told: a single run, or differences that are all the same and not 0.

    Raises:
        ShapeError: not as many runs on both sides.

    >>> round(paired_p_value([0.96, 0.97, 0.95], [0.95, 0.95, 0.95]), 3), paired_p_value([1, 2], [1, 2])
    (0.225, 1.0)
    """
    a, b = check_values(values_a, "values of a"), check_values(values_b, "values of b")
    check_same_rows(len(a), len(b), "values of a", "values of b")
    differences = a - b
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return 1.0 if len(differences) > 1 and not differences.any() else None
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(len(differences)))
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


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
