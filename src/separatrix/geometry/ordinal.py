"""Classes that have an order, such as five grades: how far answers are from the truth, not only how often beside it.

Classes count as ranks 0, 1, 2, ... with steps of one. All figures but Spearman's depend on the rows only through sums
over the confusion matrix, so the bootstrap draws its cells, as that of `score` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from separatrix.geometry.checks import check_count, check_labels, check_same_rows
from separatrix.geometry.resample import Interval, percentile_interval
from separatrix.recipe.core import Plain

_BLOCK_CELLS = 4_000_000  # drawn counts held at a time


@dataclass(frozen=True)
class OrdinalScores(Plain):
    """Figures of one split whose classes have an order; errors are in classes, intervals are 95 % bootstrap ones.

    `majority_error` and `median_error` are the mean absolute errors of one answer for all of these rows: their most
    frequent class (of equally frequent ones the best), and their median class, which no other answer is better than.
    The kappa of such an answer is 0. It is None where all labels and answers are one class, and so is `spearman` where
    labels or answers are.
    """

    rows: int
    mean_absolute_error: float
    interval: Interval
    quadratic_kappa: float | None
    kappa_interval: Interval | None
    spearman: float | None
    majority_error: float
    median_error: float


def ordinal(
    y_true: ArrayLike, y_pred: ArrayLike, classes: int, *, seed: int = 0, resamples: int = 1000
) -> OrdinalScores:
    """Score ranks (rows,) against ranks (rows,), 0 for the lowest class.

    Quadratic weighted kappa (Cohen, 1968) is 1 less the mean squared distance of answers, divided by that of answers
    dealt out to the rows at random; spearman is the correlation of ranks, ties shared.

    Raises:
        DataError: no rows, or ranks outside the classes.
        ShapeError: lengths differ.

    >>> grades = ordinal([0, 1, 2, 2], [0, 2, 2, 1], 3)
    >>> grades.mean_absolute_error, round(grades.quadratic_kappa, 4), round(grades.spearman, 4), grades.median_error
    (0.5, 0.6364, 0.5, 0.75)
    """
    gold, answers = check_labels(y_true, classes), check_labels(y_pred, classes, "predictions")
    check_same_rows(len(gold), len(answers), "labels", "predictions")
    check_count(resamples, "resamples")
    cells, counts = np.unique(np.stack([gold, answers]), axis=1, return_counts=True)  # (2, cells), sorted by rank
    error, kappa = (float(figure[0]) for figure in _figures(cells, counts[None]))
    blocks = [_figures(cells, drawn) for drawn in _drawn(counts, seed, resamples)]
    errors, kappas = (np.concatenate(figure) for figure in zip(*blocks, strict=True))
    known = np.isfinite(kappa)
    varies = np.ptp(gold) > 0 and np.ptp(answers) > 0
    totals = np.bincount(gold, minlength=classes)
    constant = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))) @ totals / len(gold)
    return OrdinalScores(
        rows=len(gold),
        mean_absolute_error=error,
        interval=percentile_interval(errors, error),
        quadratic_kappa=kappa if known else None,
        kappa_interval=percentile_interval(kappas[np.isfinite(kappas)], kappa) if known else None,
        spearman=float(spearmanr(gold, answers).statistic) if varies else None,
        majority_error=float(constant[totals == totals.max()].min()),
        median_error=float(constant.min()),
    )


def _drawn(counts: NDArray[np.int64], seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Counts of the cells when rows are drawn anew, (samples, cells), in blocks of bounded memory."""
    rng, rows, step = np.random.default_rng(seed), int(counts.sum()), max(1, _BLOCK_CELLS // len(counts))
    for start in range(0, resamples, step):
        yield rng.multinomial(rows, counts / rows, size=min(step, resamples - start))


def _figures(cells: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean absolute error and quadratic kappa (samples,), NaN where all are one class.

    `cells` (2, cells) are gold and predicted ranks, `counts` (samples, cells) their rows. What chance would give needs
    no table: the mean of (i - j)^2 over independent i and j is that of i^2 and j^2 less twice the product of the means.
    """
    (gold, answers), rows = cells.astype(np.float64), counts.sum(axis=1)
    missed = rows * (counts @ (gold - answers) ** 2)  # both are whole numbers, so that 0 is 0
    chance = rows * (counts @ (gold**2 + answers**2)) - 2 * (counts @ gold) * (counts @ answers)
    kappa = 1 - np.divide(missed, chance, out=np.full(len(counts), np.nan), where=chance > 0)
    return counts @ np.abs(gold - answers) / rows, kappa
