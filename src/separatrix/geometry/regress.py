"""Errors of a regression, beside the error of always answering the training mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.geometry.checks import check_count, check_finite, check_same_rows, check_values

_COVERED = (2.5, 97.5)  # percentiles of a 95 % interval
_BLOCK_DRAWS = 4_000_000  # drawn rows held at a time


@dataclass(frozen=True)
class RegressionScores:
    """All figures of one split, in the unit of the target (`r2` and `spearman` have none).

    `interval` is the 95 % bootstrap interval of `rmse`. `spearman` is None where gold values or answers are constant.
    """

    rows: int
    rmse: float
    mae: float
    r2: float
    spearman: float | None
    baseline_rmse: float
    interval: tuple[float, float]

    @property
    def below_baseline(self) -> bool:
        """Whether the whole interval of the error lies below the baseline."""
        return self.interval[1] < self.baseline_rmse

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the interval is [low, high]."""
        return {**vars(self), "interval": list(self.interval)}


def regression(
    y_true: ArrayLike, y_pred: ArrayLike, *, baseline: float | None = None, seed: int = 0, resamples: int = 1000
) -> RegressionScores:
    """Score numbers against numbers.

    Args:
        y_true: gold values (rows,) or (rows, 1).
        y_pred: answers (rows,) or (rows, 1).
        baseline: the mean of the training targets, always answered; without it, the mean of these gold values.
        seed: of the bootstrap over rows.
        resamples: bootstrap samples.

    Raises:
        DataError: no rows, or a value that is not finite.
        ShapeError: lengths differ, or more than one column.

    >>> scores = regression([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> round(scores.rmse, 4), scores.r2, scores.spearman, round(scores.baseline_rmse, 4)
    (0.5774, 0.5, 1.0, 0.8165)
    """
    gold, answers = check_values(y_true, "targets"), check_values(y_pred, "predictions")
    check_same_rows(len(gold), len(answers), "targets", "predictions")
    check_count(resamples, "resamples")
    constant = float(gold.mean()) if baseline is None else float(check_finite(baseline, "baseline")[0])
    # Sorted, so that neither the sum nor the bootstrap depends on the order of the rows.
    squared = np.sort((gold - answers) ** 2)
    rmse = float(np.sqrt(squared.mean()))
    return RegressionScores(
        rows=len(gold),
        rmse=rmse,
        mae=float(np.sqrt(squared).mean()),
        r2=_r2(gold, squared),
        spearman=_spearman(gold, answers),
        baseline_rmse=float(np.sqrt(((gold - constant) ** 2).mean())),
        interval=_interval(squared, rmse, seed, resamples),
    )


def _r2(gold: NDArray[np.float64], squared: NDArray[np.float64]) -> float:
    """1 - residual / total; for constant gold values 1.0 if every answer is right, else 0.0 (as scikit-learn)."""
    total = ((gold - gold.mean()) ** 2).sum()
    if total == 0:
        return float(squared.sum() == 0)
    return float(1 - squared.sum() / total)


def _spearman(gold: NDArray[np.float64], answers: NDArray[np.float64]) -> float | None:
    a, b = _ranks(gold), _ranks(answers)
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float(np.clip((a * b).sum() / norm, -1, 1)) if norm > 0 else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred ranks; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each distinct value, from 1
    return ranks[inverse] - (len(values) + 1) / 2


def _interval(squared: NDArray[np.float64], rmse: float, seed: int, resamples: int) -> tuple[float, float]:
    rows, rng = len(squared), np.random.default_rng(seed)
    step = max(1, _BLOCK_DRAWS // rows)
    drawn = [
        np.sqrt(squared[rng.integers(rows, size=(min(step, resamples - start), rows))].mean(axis=1))
        for start in range(0, resamples, step)
    ]
    low, high = np.percentile(np.concatenate(drawn), _COVERED)
    return min(float(low), rmse), max(float(high), rmse)
