"""How good are the answers, classes or numbers? No figure stands alone: a baseline and an interval beside each.

Accuracy and macro-F1 depend on the rows only through the confusion matrix, so drawing rows with replacement is the
same as drawing one multinomial sample of its cells. The bootstrap below does that: it costs the same for a hundred rows
and for a hundred million, and it does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix, mean_absolute_error, precision_recall_fscore_support, r2_score

from separatrix.geometry.checks import (
    check_count,
    check_finite,
    check_labels,
    check_matrix,
    check_names,
    check_output_width,
    check_same_rows,
    check_squared,
    check_values,
)
from separatrix.geometry.reliability import check_distributions
from separatrix.geometry.resample import Interval, draw_rows, percentile_interval, share_interval
from separatrix.recipe.core import Plain

_BLOCK_CELLS = 4_000_000  # drawn counts held at a time
_BINS = 15  # of the expected calibration error, as Guo et al. (2017)


@dataclass(frozen=True)
class ClassScore(Plain):
    """One line of the per-class table: `rows` are gold rows, `predicted` the rows that got this answer."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int
    predicted: int


@dataclass(frozen=True, eq=False)
class ClassificationScores(Plain):
    """All figures of one split; fractions, never percent.

    `majority` is the best accuracy that one and the same answer reaches on these rows, `interval` the 95 % bootstrap
    interval of the accuracy. The last three are None without probabilities.
    """

    rows: int
    accuracy: float
    macro_f1: float
    majority: float
    majority_macro_f1: float
    interval: Interval
    macro_f1_interval: Interval
    per_class: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]  # (gold, predicted)
    log_loss: float | None = None
    brier: float | None = None
    expected_calibration_error: float | None = None

    @property
    def above_majority(self) -> bool:
        """Whether the whole interval of the accuracy lies above the baseline."""
        return self.interval[0] > self.majority


def decide(scores: ArrayLike, classes: int) -> NDArray[np.int64]:
    """The class with the highest score (rows, classes) in each row; the first one on a tie.

    The number of classes is given apart from the scores, so that a head of the wrong width is refused.

    Raises:
        ShapeError: the scores do not have one column per class.

    >>> decide([[0.1, 0.9], [2.0, 1.0]], 2)
    array([1, 0])
    """
    array = np.asarray(scores)
    if array.ndim == 1:
        check_output_width(1, classes)
    array = check_matrix(array, "scores")
    check_output_width(array.shape[1], classes)
    return array.argmax(axis=1)


def classification(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    names: Sequence[str],
    *,
    probabilities: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> ClassificationScores:
    """Score class numbers against class numbers.

    Macro-F1 is the mean over the classes that have gold rows or predictions, as scikit-learn's default; a division by
    zero counts as 0.0. Intervals are percentiles of a bootstrap over rows; they are stretched to the figure itself in
    the rare case (macro-F1 of a few rows) that they would leave it outside. Where all answers are right, or none is,
    they are those of `share_interval`.

    Args:
        names: one name per class, in the order of the numbers.
        probabilities: (rows, classes), each row summing to 1; adds log-loss, the Brier score summed over classes
            (0 to 2) and the expected calibration error of the given predictions in 15 equal bins (Guo et al., 2017).

    Raises:
        DataError: no rows, labels outside the classes, fewer than two classes, impossible probabilities.
        ShapeError: lengths differ, or predictions are scores rather than class numbers.

    >>> scores = classification([0, 0, 1, 1], [0, 1, 1, 1], ["no", "yes"])
    >>> scores.accuracy, scores.majority, scores.per_class[1].precision
    (0.75, 0.5, 0.6666666666666666)
    >>> scores.confusion.tolist()
    [[1, 1], [0, 2]]
    """
    listed = check_names(names)
    classes = len(listed)
    gold = check_labels(y_true, classes)
    predicted = check_labels(y_pred, classes, "predictions")
    check_same_rows(len(gold), len(predicted), "labels", "predictions")
    check_count(resamples, "resamples")
    every = np.arange(classes)
    confusion = confusion_matrix(gold, predicted, labels=every)  # (gold, predicted)
    hits, totals, answers = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    most = every == totals.argmax()  # the most frequent class of the same rows, always answered
    accuracy, macro_f1 = _figures(hits, totals, answers).tolist()
    majority, majority_macro_f1 = _figures(totals * most, totals, len(gold) * most).tolist()
    order = _by_counts(confusion)
    drawn = _bootstrap(confusion[np.ix_(order, order)], seed, resamples)
    # Without its count of the rows: that is of floats where no answer is right.
    shares = precision_recall_fscore_support(gold, predicted, labels=every, zero_division=0.0)[:3]
    lines = zip(listed, *(column.tolist() for column in (*shares, totals, answers)), strict=True)
    return ClassificationScores(
        rows=len(gold),
        accuracy=accuracy,
        macro_f1=macro_f1,
        majority=majority,
        majority_macro_f1=majority_macro_f1,
        interval=share_interval(drawn[0], accuracy, len(gold)),
        macro_f1_interval=share_interval(drawn[1], macro_f1, len(gold)),
        per_class=tuple(ClassScore(*line) for line in lines),
        confusion=confusion,
        **({} if probabilities is None else _calibration(gold, predicted, probabilities, classes)),
    )


def _figures(hits: NDArray[Any], gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Accuracy and macro-F1 from the counts of each class (..., classes)."""
    return np.stack([hits.sum(axis=-1) / gold.sum(axis=-1), mean_f1(hits, gold, predicted)])


def mean_f1(hits: NDArray[Any], gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Macro-F1 from the counts of each class (..., classes), over those that have gold rows or predictions.

    >>> mean_f1(np.array([2, 1, 0]), np.array([2, 2, 0]), np.array([3, 1, 0])).round(4)
    np.float64(0.7333)
    """
    both = gold + predicted
    f1 = np.divide(2.0 * hits, both, out=np.zeros(hits.shape), where=both > 0)
    return np.asarray(f1.sum(axis=-1) / (both > 0).sum(axis=-1))


def _by_counts(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Classes sorted by what they are confused with, (classes,): what is drawn depends on no name and no row's place.

    As graphs are refined: classes of one rank are told apart by the counts and ranks of all others, until none is.
    """
    classes = len(confusion)
    cells = np.unique(confusion * (confusion.max() + 1) + confusion.T, return_inverse=True)[1].reshape(classes, classes)
    rank = np.zeros(classes, np.int64)
    for _ in range(classes):
        lines = np.column_stack([rank, cells.diagonal(), np.sort(cells * classes + rank, axis=1)])
        finer = np.unique(lines, axis=0, return_inverse=True)[1].reshape(-1)
        if finer.max() == rank.max():
            break
        rank = finer
    return np.argsort(rank, kind="stable")


def _bootstrap(confusion: NDArray[np.int64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Accuracy and macro-F1 (2, resamples) of drawn rows."""
    rows = int(confusion.sum())
    gold, predicted = np.nonzero(confusion)  # sorted by gold, then by predicted
    share = confusion[gold, predicted] / rows  # (cells,)
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK_CELLS // len(share))
    sides = [gold, predicted, np.where(gold == predicted, gold, len(confusion))]
    cells, shape = np.arange(len(share)), (len(confusion) + 1, len(share))
    sums = [csr_matrix((np.ones_like(cells), (side, cells)), shape=shape)[:-1] for side in sides]  # (classes, cells)
    drawn = []
    for start in range(0, resamples, step):
        counts = rng.multinomial(rows, share, size=min(step, resamples - start)).T  # (cells, samples)
        totals, answers, hits = ((matrix @ counts).T for matrix in sums)
        drawn.append(_figures(hits, totals, answers))
    return np.concatenate(drawn, axis=1)


def _calibration(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], probabilities: ArrayLike, classes: int
) -> dict[str, float]:
    p = check_matrix(probabilities, "probabilities").astype(np.float64)  # (rows, classes)
    check_output_width(p.shape[1], classes)
    check_same_rows(len(gold), len(p), "labels", "probabilities")
    check_distributions(p)
    row = np.arange(len(gold))
    confidence, right = p[row, predicted], gold == predicted
    # A bin is [low, high); its share of rows times |accuracy - confidence| is |sum(right) - sum(confidence)| / rows.
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(bins, weights=right - confidence, minlength=_BINS)
    missed = (p**2).sum(axis=1) - 2 * p[row, gold] + 1  # squared distance to the one-hot row
    return {
        "log_loss": float(-np.log(np.maximum(p[row, gold], np.finfo(np.float64).eps)).mean()),
        "brier": float(missed.mean()),
        "expected_calibration_error": float(np.abs(gap).sum() / len(gold)),
    }


@dataclass(frozen=True)
class RegressionScores(Plain):
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


def regression(
    y_true: ArrayLike, y_pred: ArrayLike, *, baseline: float | None = None, seed: int = 0, resamples: int = 1000
) -> RegressionScores:
    """Score numbers against numbers.

    Args:
        y_true: gold values (rows,) or (rows, 1).
        y_pred: answers (rows,) or (rows, 1).
        baseline: the mean of the training targets, always answered; without it, the mean of these gold values.

    Raises:
        ShapeError: lengths differ, or more than one column.
        DataError: no rows, a number that is not finite, or gold values too large to be squared.

    >>> scores = regression([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> round(scores.rmse, 4), scores.r2, scores.spearman, round(scores.baseline_rmse, 4)
    (0.5774, 0.5, 1.0, 0.8165)
    """
    gold, answers = check_squared(y_true, "targets"), check_values(y_pred, "predictions")
    check_same_rows(len(gold), len(answers), "targets", "predictions")
    constant = float(gold.mean()) if baseline is None else float(check_finite(baseline, "baseline")[0])
    # Sorted, so that neither the sum nor the bootstrap depends on the order of the rows.
    squared = np.sort((gold - answers) ** 2)
    rmse = float(np.sqrt(squared.mean()))
    varies = np.ptp(gold) > 0 and np.ptp(answers) > 0
    drawn = [np.sqrt(squared[rows].mean(axis=1)) for rows in draw_rows(len(squared), resamples, seed)]
    return RegressionScores(
        rows=len(gold),
        rmse=rmse,
        mae=float(mean_absolute_error(gold, answers)),
        r2=float(r2_score(gold, answers)) if len(gold) > 1 else float(rmse == 0),
        spearman=float(spearmanr(gold, answers).statistic) if varies else None,
        baseline_rmse=float(np.sqrt(((gold - constant) ** 2).mean())),
        interval=percentile_interval(np.concatenate(drawn), rmse),
    )
