"""Several labels a row: a threshold for each label, one classifier for each, and how good the sets are.

Labels are decided one by one ("binary relevance"): a label is given where its probability reaches its own threshold,
which validation rows choose by F1. Figures are those of scikit-learn for indicator matrices; a division by zero is 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_matrix, check_names, check_same_rows
from separatrix.geometry.resample import Interval, percentile_interval, share_interval
from separatrix.recipe.core import Plain

FEWEST = 5  # validation rows with a label from which it has a threshold of its own
_BLOCK_CELLS = 4_000_000  # drawn counts held at a time
ALWAYS = 1e4  # logit of a label that all training rows have
_ITERATIONS, _TOLERANCE = 2000, 1e-4  # of a logistic regression


@dataclass(frozen=True)
class LabelScore(Plain):
    """One line of the table of labels: `rows` have it, `predicted` got it."""

    name: str
    threshold: float
    precision: float
    recall: float
    f1: float
    rows: int
    predicted: int


@dataclass(frozen=True, eq=False)
class LabelSetScores(Plain):
    """All figures of one split; fractions, never percent.

    `subset_accuracy` counts rows whose whole set is right. `majority` is the micro-F1 of always answering the set that
    most of these rows have (of sets that are not empty); `interval` is that of the micro-F1.
    """

    rows: int
    micro_f1: float
    macro_f1: float
    subset_accuracy: float
    majority: float
    majority_macro_f1: float
    majority_set: tuple[str, ...]
    labels_per_row: float
    interval: Interval
    macro_f1_interval: Interval
    per_label: tuple[LabelScore, ...]


def check_indicator(matrix: ArrayLike, labels: int, what: str = "labels") -> NDArray[np.int64]:
    """A matrix of 0 and 1, (rows, labels), with one row at least.

    >>> check_indicator([[0, 1]], 2).dtype
    dtype('int64')
    >>> check_indicator([[0, 2]], 2)
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: labels are not marked by 0 and 1: got 2
    """
    array = check_matrix(matrix, what, width=labels)
    if not np.isin(array, (0, 1)).all():
        raise DataError(f"{what} are not marked by 0 and 1", got=array[~np.isin(array, (0, 1))][0])
    return array.astype(np.int64)


def label_f1(hits: NDArray[Any], gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """F1 from counts of any shape; 0 where there is nothing to hit.

    >>> label_f1(np.array([1, 0]), np.array([2, 0]), np.array([1, 0])).round(3)
    array([0.667, 0.   ])
    """
    both = np.asarray(gold) + predicted
    return np.divide(2.0 * hits, both, out=np.zeros(np.shape(both)), where=both > 0)


def label_scores(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    names: Sequence[str],
    *,
    thresholds: Sequence[float] = (),
    seed: int = 0,
    resamples: int = 1000,
) -> LabelSetScores:
    """Score sets of labels against sets of labels.

    Macro-F1 is the mean over all labels, those without rows included, as scikit-learn's. Intervals are percentiles of a
    bootstrap over rows; where every row is right, or none, those of `share_interval`, macro-F1's in proportion.

    Args:
        y_true: gold labels, (rows, labels) of 0 and 1.
        y_pred: answered labels, as many.
        names: one name per label.
        thresholds: of the labels, for the table; 0.5 each without them.
        seed: of the intervals.
        resamples: drawn for them.

    Raises:
        DataError: no rows, or other numbers than 0 and 1.
        ShapeError: shapes that differ.

    >>> scores = label_scores([[1, 0], [1, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]], ["a", "b"])
    >>> round(scores.micro_f1, 4), round(scores.macro_f1, 4), round(scores.subset_accuracy, 4)
    (0.8571, 0.8333, 0.6667)
    >>> scores.majority_set, scores.per_label[1].recall
    (('a',), 0.5)
    """
    listed = check_names(names)
    gold = check_indicator(y_true, len(listed))
    answers = check_indicator(y_pred, len(listed), "predictions")
    check_same_rows(len(gold), len(answers), "labels", "predictions")
    check_count(resamples, "resamples")
    constant = most_frequent_set(gold)
    hits, totals, given = (gold & answers).sum(axis=0), gold.sum(axis=0), answers.sum(axis=0)
    micro, macro = (float(figure) for figure in _figures(hits, totals, given))
    majority, majority_macro = (float(figure) for figure in _figures(totals * constant, totals, len(gold) * constant))
    drawn = _bootstrap(gold, answers, seed, resamples)
    interval, (low, high) = share_interval(drawn[0], micro, len(gold)), percentile_interval(drawn[1], macro)
    precision = np.divide(hits, given, out=np.zeros(len(hits)), where=given > 0)
    recall = np.divide(hits, totals, out=np.zeros(len(hits)), where=totals > 0)
    cuts = list(thresholds) or [0.5] * len(listed)
    columns = (listed, cuts, precision.tolist(), recall.tolist(), label_f1(hits, totals, given).tolist())
    lines = zip(*columns, totals.tolist(), given.tolist(), strict=True)
    return LabelSetScores(
        rows=len(gold),
        micro_f1=micro,
        macro_f1=macro,
        subset_accuracy=float((gold == answers).all(axis=1).mean()),
        majority=majority,
        majority_macro_f1=majority_macro,
        majority_set=tuple(name for name, one in zip(listed, constant.tolist(), strict=True) if one),
        labels_per_row=float(gold.sum(axis=1).mean()),
        interval=interval,
        macro_f1_interval=(min(low, macro * interval[0]) if micro == 1 else low, high),
        per_label=tuple(LabelScore(*line) for line in lines),
    )


def most_frequent_set(gold: NDArray[np.int64], *, empty: bool = False) -> NDArray[np.int64]:
    """The set that most rows have, (labels,), the first one on a tie.

    Args:
        gold: (rows, labels) of 0 and 1.
        empty: whether the empty set may be it; else it is that only where there is no other.

    >>> most_frequent_set(np.array([[1, 0], [1, 1], [1, 1], [0, 0], [0, 0], [0, 0]])).tolist()
    [1, 1]
    """
    some = gold if empty or not gold.any() else gold[gold.any(axis=1)]
    patterns, first, counts = np.unique(some, axis=0, return_index=True, return_counts=True)
    return np.asarray(patterns[np.lexsort((first, -counts))[0]])


def _figures(hits: NDArray[Any], gold: NDArray[Any], given: NDArray[Any]) -> NDArray[np.float64]:
    """Micro- and macro-F1 (2, ...) from the counts of each label (..., labels)."""
    micro = label_f1(hits.sum(axis=-1), gold.sum(axis=-1), given.sum(axis=-1))
    return np.stack([micro, label_f1(hits, gold, given).mean(axis=-1)])


def _bootstrap(gold: NDArray[np.int64], answers: NDArray[np.int64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Micro- and macro-F1 (2, resamples) of drawn rows; rows that are alike are drawn as one cell."""
    labels = gold.shape[1]
    cells, counts = np.unique(np.hstack([gold, answers]), axis=0, return_counts=True)
    own, other = cells[:, :labels].astype(np.float64), cells[:, labels:].astype(np.float64)
    both = own * other
    rng, step = np.random.default_rng(seed), max(1, _BLOCK_CELLS // len(cells))
    drawn = []
    for start in range(0, resamples, step):
        rows = rng.multinomial(len(gold), counts / len(gold), size=min(step, resamples - start))  # (draws, cells)
        counted = rows.astype(np.float64)  # whole numbers, which are exact, and products of floats are fast
        drawn.append(_figures(counted @ both, counted @ own, counted @ other))
    return np.concatenate(drawn, axis=1)


def choose_thresholds(probabilities: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """The threshold of each label, (labels,), that gives validation rows the highest F1.

    A label with fewer than five such rows takes the one threshold that gives all labels together the highest F1.

    Args:
        probabilities: of each label, (rows, labels).
        gold: (rows, labels) of 0 and 1.

    >>> chance = [[0.9, 0.2], [0.6, 0.1], [0.6, 0.1], [0.7, 0.3], [0.8, 0.2], [0.1, 0.1]]
    >>> choose_thresholds(chance, [[1, 1], [1, 0], [1, 0], [1, 1], [1, 1], [0, 0]]).round(2)
    array([0.35, 0.15])
    """
    chance = check_matrix(probabilities, "probabilities").astype(np.float64)
    marks = check_indicator(gold, chance.shape[1])
    check_same_rows(len(chance), len(marks), "probabilities", "labels")
    shared = _best_cut(chance.ravel(), marks.ravel())
    enough = marks.sum(axis=0) >= FEWEST
    return np.array(
        [_best_cut(chance[:, at], marks[:, at]) if one else shared for at, one in enumerate(enough.tolist())]
    )


def _best_cut(chance: NDArray[np.float64], marks: NDArray[np.int64]) -> float:
    """Half way between two probabilities, where F1 is highest; the one nearest to 0.5 of equals."""
    if not marks.any():
        return 0.5
    values, at = np.unique(-chance, return_inverse=True)  # falling
    hits = np.cumsum(np.bincount(at.reshape(-1), weights=marks))
    f1 = label_f1(hits, np.full(len(hits), marks.sum()), np.cumsum(np.bincount(at.reshape(-1))))
    below = np.append(-values[1:], 0.0)
    cuts = (-values + below) / 2
    best = f1 >= f1.max() - 1e-12
    return float(cuts[best][np.abs(cuts[best] - 0.5).argmin()])


def set_merit(scores: ArrayLike, gold: ArrayLike) -> float:
    """Macro-F1 of logits (rows, labels) at the thresholds that suit the same rows best: to choose by, not to report.

    >>> set_merit([[1.0, -1.0], [-1.0, 1.0]], [[1, 0], [0, 1]])
    1.0
    """
    from scipy.special import expit

    chance, marks = expit(np.asarray(scores, np.float64)), np.asarray(gold)
    answers = chance >= choose_thresholds(chance, marks)
    hits = (answers & (marks > 0)).sum(axis=0)
    return float(label_f1(hits, marks.sum(axis=0), answers.sum(axis=0)).mean())


def label_losses(scores: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """Mean binary cross-entropy of each label's logits, (labels,).

    >>> label_losses([[0.0, 100.0]], [[1, 1]]).round(3)
    array([0.693, 0.   ])
    """
    logits = np.asarray(scores, dtype=np.float64)
    return np.asarray((np.logaddexp(0, logits) - logits * np.asarray(gold)).mean(axis=0))


def fit_label_temperature(scores: ArrayLike, gold: ArrayLike) -> float:
    """What divides all labels' logits so that validation rows are likeliest; targets are smoothed as Platt (1999) does.

    >>> round(fit_label_temperature([[2.0], [2.0], [-2.0], [2.0]], [[1], [0], [0], [1]]), 2)
    2.25
    """
    from scipy.optimize import minimize_scalar

    logits, marks = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    spread = float(np.abs(logits).mean())
    if spread == 0:
        return 1.0
    smoothed = marks * (1 - 1 / (len(marks) + 2)) + 0.5 / (len(marks) + 2)
    centre = np.log(spread)
    best = minimize_scalar(
        lambda log: float(label_losses(logits / np.exp(log), smoothed).mean()),
        bounds=(centre - 7, centre + 7), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    return float(np.exp(best.x))


def fit_one_vs_rest(
    x: NDArray[np.floating],
    gold: NDArray[np.int64],
    penalty: float,
    seed: int,
    rows: NDArray[np.float64] | None = None,
) -> tuple[Any, ...]:
    """One logistic regression for each label on prepared vectors: weight (labels, width), bias (labels,), converged.

    A label that all rows have, or none, is always or never given. `rows` are the weights of the rows, of mean 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight, bias, converged = np.zeros((gold.shape[1], x.shape[1])), np.zeros(gold.shape[1]), True
    for label, marks in enumerate(gold.T):
        if marks.min() == marks.max():
            bias[label] = ALWAYS if marks[0] else -ALWAYS
            continue
        model = LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS, tol=_TOLERANCE, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says it instead
            model.fit(x, marks, sample_weight=rows)
        weight[label], bias[label] = model.coef_[0], model.intercept_[0]
        converged = converged and bool(model.n_iter_.max() < _ITERATIONS)
    return weight, bias, converged


def share_scores(shares: ArrayLike, k: int) -> NDArray[np.float64]:
    """Log-odds of shares of k votes, (rows, labels), to which half a vote for and half against were added.

    >>> share_scores([[0.5, 1.0]], 1).round(3)
    array([[0.   , 1.099]])
    """
    part = (np.asarray(shares, np.float64) * k + 0.5) / (k + 1)
    return np.asarray(np.log(part) - np.log1p(-part))
