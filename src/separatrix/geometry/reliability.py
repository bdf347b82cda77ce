"""Can the probabilities be used? How often answers are right that sound so sure; what leaving unsure ones out gains.

The answer of a row is its likeliest class, its confidence that class's probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_labels, check_matrix, check_output_width, check_same_rows
from separatrix.geometry.resample import Interval, draw_rows, percentile_interval
from separatrix.recipe.core import Plain

BINS, BIN_ROWS = 15, 20  # bins of equal mass; fewer where one would hold less than so many rows
COVERAGES = tuple(round(share, 2) for share in np.arange(1.0, 0.04, -0.05))
_NORMAL = 1.959964  # quantile of a 95 % interval


@dataclass(frozen=True)
class ReliabilityBin(Plain):
    """Rows of similar confidence."""

    rows: int
    confidence: float  # mean
    accuracy: float
    interval: Interval  # 95 %, Wilson


@dataclass(frozen=True)
class Coverage(Plain):
    """What is left when the least sure rows get no answer."""

    coverage: float  # share of rows with an answer
    min_probability: float  # lowest confidence among them
    accuracy: float  # of the answered rows
    interval: Interval  # 95 %, Wilson


@dataclass(frozen=True, eq=False)
class Reliability(Plain):
    """Figures of the probabilities of one split.

    `expected_calibration_error` is the mean over rows of |accuracy - mean confidence| of the row's bin, in bins of
    equal mass; equal confidences share a bin. It is above 0 for perfect probabilities too, the more so the fewer rows:
    `error_if_perfect` is its mean when answers are right exactly as often as they say.
    """

    rows: int
    accuracy: float
    log_loss: float
    brier: float  # summed over classes, 0 to 2
    expected_calibration_error: float
    interval: Interval  # 95 % bootstrap interval of it, over rows
    error_if_perfect: float
    distinct: float  # share of the rows: different confidences
    curve: tuple[ReliabilityBin, ...]  # by rising confidence
    coverage: tuple[Coverage, ...]  # from all rows to few


def reliability(probabilities: ArrayLike, y: ArrayLike, *, seed: int = 0, resamples: int = 200) -> Reliability:
    """Measure probabilities (rows, classes) against class numbers (rows,).

    Raises:
        DataError: no rows, a number that is not finite, labels outside the classes, or a row that is no distribution.
        ShapeError: lengths differ.

    >>> sure = reliability([[0.9, 0.1]] * 90 + [[0.1, 0.9]] * 10, [0] * 90 + [0] * 10)
    >>> round(sure.expected_calibration_error, 3), [(one.coverage, one.accuracy) for one in sure.coverage]
    (0.0, [(1.0, 0.9)])
    """
    p = check_matrix(probabilities, "probabilities").astype(np.float64)
    check_output_width(p.shape[1], p.shape[1])
    gold = check_labels(y, p.shape[1])
    check_same_rows(len(p), len(gold), "probabilities", "labels")
    check_count(resamples, "resamples")
    check_distributions(p)
    here, answers = np.arange(len(p)), p.argmax(axis=1)
    confidence, right = p[here, answers], (answers == gold).astype(np.float64)
    bins = _equal_mass(confidence)
    error = float(_error(bins, confidence, right[None])[0])
    drawn = [_drawn_error(bins, confidence, right, rows) for rows in draw_rows(len(p), resamples, seed)]
    lucky = np.random.default_rng([seed, 1]).random((resamples, len(p))) < confidence
    return Reliability(
        rows=len(p),
        accuracy=float(right.mean()),
        log_loss=float(-np.log(np.maximum(p[here, gold], np.finfo(np.float64).eps)).mean()),
        brier=float(((p**2).sum(axis=1) - 2 * p[here, gold] + 1).mean()),
        expected_calibration_error=error,
        interval=percentile_interval(np.concatenate(drawn), error),
        error_if_perfect=float(_error(bins, confidence, lucky.astype(np.float64)).mean()),
        distinct=len(np.unique(confidence)) / len(p),
        curve=_curve(bins, confidence, right),
        coverage=_coverage(confidence, right),
    )


def check_distributions(p: NDArray[np.float64]) -> None:
    """Raise a `DataError` that names the first row of p (rows, classes) that is no distribution."""
    wrong = np.flatnonzero((np.abs(p.sum(axis=1) - 1) > 1e-3) | (p < 0).any(axis=1))
    if len(wrong):
        what, got = f"probabilities: row {wrong[0]} is no distribution", np.round(p[wrong[0]], 4).tolist()
        raise DataError(what, got=got, expected="numbers from 0 that sum to 1")


def wilson(hits: float, rows: int) -> Interval:
    """95 % interval of a share, after Wilson (1927).

    >>> tuple(round(end, 3) for end in wilson(9, 10))
    (0.596, 0.982)
    """
    share, square = hits / rows, _NORMAL**2
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = _NORMAL / (1 + square / rows) * np.sqrt(share * (1 - share) / rows + square / (4 * rows**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def threshold_of(confidence: ArrayLike, coverage: float) -> float:
    """The lowest confidence that answers at least this share of the rows.

    >>> threshold_of([0.5, 0.9, 0.6, 0.8], 0.5)
    0.8
    """
    falling = np.sort(np.asarray(confidence, dtype=np.float64))[::-1]
    return float(falling[max(1, int(np.ceil(coverage * len(falling) - 1e-9))) - 1])


def _equal_mass(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each row, (rows,), numbered from 0 without gaps by rising confidence."""
    count = int(np.clip(len(confidence) // BIN_ROWS, 1, BINS))
    edges = np.unique(np.quantile(confidence, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, confidence, side="right"), return_inverse=True)[1].reshape(-1)


def _error(bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Calibration errors (samples,) of right answers (samples, rows)."""
    member = np.eye(bins.max() + 1)[bins]  # (rows, bins)
    return np.abs((right - confidence) @ member).sum(axis=1) / len(bins)


def _drawn_error(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Calibration errors (samples,) of drawn rows (samples, rows)."""
    member = np.eye(bins.max() + 1)[bins] * (right - confidence)[:, None]  # (rows, bins)
    times = np.stack([np.bincount(sample, minlength=len(bins)) for sample in rows])  # (samples, rows)
    return np.abs(times @ member).sum(axis=1) / len(bins)


def _curve(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    rows = np.bincount(bins)
    hits, sums = np.bincount(bins, right), np.bincount(bins, confidence)
    return tuple(
        ReliabilityBin(int(count), float(total / count), float(hit / count), wilson(hit, count))
        for count, hit, total in zip(rows, hits, sums, strict=True)
    )


def _coverage(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[Coverage, ...]:
    lines: dict[float, Coverage] = {}
    for share in COVERAGES:
        least = threshold_of(confidence, share)
        answered = confidence >= least
        rows, hits = int(answered.sum()), float(right[answered].sum())
        line = Coverage(rows / len(right), least, hits / rows, wilson(hits, rows))
        lines.setdefault(line.coverage, line)  # equal confidences are answered together
    return tuple(lines.values())
