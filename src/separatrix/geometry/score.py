"""How good are the answers? No number stands alone: a baseline and an interval beside each figure.

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

from separatrix.errors import DataError
from separatrix.geometry.checks import (
    check_count,
    check_labels,
    check_matrix,
    check_names,
    check_output_width,
    check_same_rows,
)
from separatrix.geometry.regress import RegressionScores, regression
from separatrix.geometry.runs import MeanInterval, mean_interval, paired_difference

__all__ = [
    "ClassScore",
    "ClassificationScores",
    "MeanInterval",
    "RegressionScores",
    "classification",
    "decide",
    "mean_interval",
    "paired_difference",
    "regression",
]

Interval = tuple[float, float]

_COVERED = (2.5, 97.5)  # percentiles of a 95 % interval
_BLOCK_CELLS = 4_000_000  # drawn counts held at a time
_BINS = 15  # of the expected calibration error, as Guo et al. (2017)


@dataclass(frozen=True)
class ClassScore:
    """One line of the per-class table: `rows` are gold rows, `predicted` the rows that got this answer."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int
    predicted: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class ClassificationScores:
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; intervals are [low, high]."""
        plain = dict(vars(self))
        for name in ("interval", "macro_f1_interval"):
            plain[name] = list(plain[name])
        plain["per_class"] = [line.to_dict() for line in self.per_class]
        plain["confusion"] = self.confusion.tolist()
        return plain


def decide(scores: ArrayLike, classes: int) -> NDArray[np.int64]:
    """The class with the highest score in each row; the first one on a tie.

    Args:
        scores: finite numbers (rows, classes), higher is likelier.
        classes: number of classes, given apart from the scores so that a head of the wrong width is refused.

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
    the rare case (macro-F1 of a few rows) that they would leave it outside.

    Args:
        y_true: gold class numbers (rows,).
        y_pred: predicted class numbers (rows,).
        names: one name per class, in the order of the numbers.
        probabilities: (rows, classes), each row summing to 1; adds log-loss, the Brier score summed over classes
            (0 to 2) and the expected calibration error of the given predictions in 15 equal bins (Guo et al., 2017).
        seed: of the bootstrap.
        resamples: bootstrap samples.

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
    confusion = _confusion(gold, predicted, classes)
    constant = _constant_confusion(confusion)
    accuracy, macro_f1 = _figures(confusion)
    majority, majority_macro_f1 = _figures(constant)
    order = _by_counts(confusion)
    interval, macro_f1_interval = _bootstrap(confusion[np.ix_(order, order)], (accuracy, macro_f1), seed, resamples)
    calibration = {} if probabilities is None else _calibration(gold, predicted, probabilities, classes)
    return ClassificationScores(
        rows=len(gold),
        accuracy=accuracy,
        macro_f1=macro_f1,
        majority=majority,
        majority_macro_f1=majority_macro_f1,
        interval=interval,
        macro_f1_interval=macro_f1_interval,
        per_class=_per_class(confusion, listed),
        confusion=confusion,
        **calibration,
    )


def _confusion(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    cells = np.bincount(gold * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)  # (gold, predicted)


def _constant_confusion(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """The confusion matrix of always giving the most frequent class of the same gold rows."""
    gold = confusion.sum(axis=1)
    constant = np.zeros_like(confusion)
    constant[:, gold.argmax()] = gold
    return constant


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


def _f1(hits: NDArray[Any], gold: NDArray[Any], predicted: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """F1 per class (0.0 where undefined) and whether the class is present; any leading axes."""
    present = (gold + predicted) > 0
    return np.divide(2.0 * hits, gold + predicted, out=np.zeros(hits.shape), where=present), present


def _figures(confusion: NDArray[np.int64]) -> tuple[float, float]:
    hits = confusion.diagonal()
    f1, present = _f1(hits, confusion.sum(axis=1), confusion.sum(axis=0))
    return float(hits.sum() / confusion.sum()), float(f1.sum() / present.sum())


def _per_class(confusion: NDArray[np.int64], names: tuple[str, ...]) -> tuple[ClassScore, ...]:
    gold, predicted, hits = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    f1, _ = _f1(hits, gold, predicted)
    lines = []
    for number, name in enumerate(names):
        rows, answers, right = int(gold[number]), int(predicted[number]), int(hits[number])
        precision = right / answers if answers else 0.0
        recall = right / rows if rows else 0.0
        lines.append(ClassScore(name, precision, recall, float(f1[number]), rows, answers))
    return tuple(lines)


def _bootstrap(
    confusion: NDArray[np.int64], figures: tuple[float, float], seed: int, resamples: int
) -> tuple[Interval, Interval]:
    """Percentile intervals of accuracy and macro-F1."""
    rows = int(confusion.sum())
    gold, predicted = np.nonzero(confusion)  # sorted by gold, then by predicted
    share = confusion[gold, predicted] / rows  # (cells,)
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK_CELLS // len(share))
    drawn = [
        _resampled(rng.multinomial(rows, share, size=min(step, resamples - start)), gold, predicted)
        for start in range(0, resamples, step)
    ]
    bounds = np.percentile(np.concatenate(drawn, axis=1), _COVERED, axis=1)  # (2 ends, 2 figures)
    accuracy, macro_f1 = (
        (min(float(low), figure), max(float(high), figure)) for low, high, figure in zip(*bounds, figures, strict=True)
    )
    return accuracy, macro_f1


def _resampled(counts: NDArray[np.int64], gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Accuracy and macro-F1 (2, resamples) of drawn cell counts (resamples, cells)."""
    classes = int(max(gold.max(), predicted.max())) + 1
    size = (len(counts), classes)
    hits, golds, answers = np.zeros(size), np.zeros(size), np.zeros(size)  # (resamples, classes)
    hits[:, gold[gold == predicted]] = counts[:, gold == predicted]
    for totals, key in ((golds, gold), (answers, predicted)):
        order = np.argsort(key, kind="stable")
        found, starts = np.unique(key[order], return_index=True)
        totals[:, found] = np.add.reduceat(counts[:, order], starts, axis=1)
    f1, present = _f1(hits, golds, answers)
    return np.stack([hits.sum(axis=1) / golds.sum(axis=1), f1.sum(axis=1) / present.sum(axis=1)])


def _calibration(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], probabilities: ArrayLike, classes: int
) -> dict[str, float]:
    p = check_matrix(probabilities, "probabilities").astype(np.float64)  # (rows, classes)
    check_output_width(p.shape[1], classes)
    check_same_rows(len(gold), len(p), "labels", "probabilities")
    wrong = np.flatnonzero((np.abs(p.sum(axis=1) - 1) > 1e-3) | (p < 0).any(axis=1))
    if len(wrong):
        raise DataError(
            f"probabilities: row {wrong[0]} is no distribution",
            got=np.round(p[wrong[0]], 4).tolist(),
            expected="numbers from 0 that sum to 1",
        )
    row = np.arange(len(gold))
    confidence, right = p[row, predicted], gold == predicted
    # A bin is [low, high); its share of rows times |accuracy - confidence| is |sum(right) - sum(confidence)| / rows.
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=_BINS)
    missed = (p**2).sum(axis=1) - 2 * p[row, gold] + 1  # squared distance to the one-hot row
    return {
        "log_loss": float(-np.log(np.maximum(p[row, gold], np.finfo(np.float64).eps)).mean()),
        "brier": float(missed.mean()),
        "expected_calibration_error": float(np.abs(gap).sum() / len(gold)),
    }
