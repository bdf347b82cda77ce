"""Linear baselines on frozen vectors: what a straight border already gives, without a prompt.

A probe standardises the vectors and is then one matrix and one bias, kept as plain arrays.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError
from separatrix.geometry.checks import (
    check_labelled,
    check_labels,
    check_matrix,
    check_same_rows,
    check_squared,
    check_weight,
)
from separatrix.geometry.classes import deal_folds, first_row_order
from separatrix.geometry.label_sets import check_indicator, fit_one_vs_rest, label_losses
from separatrix.geometry.prepare import PIECE_ROWS, standard_scaler
from separatrix.geometry.rowspace import RowSpace

PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)  # tried on validation rows, strong to weak
_ITERATIONS = 2000
_TOLERANCE = 1e-4  # largest entry of the gradient at which the solver stops
_FEWEST = 20  # rows of which some can be held out
_FOLDS, _FOLDED_ROWS = 5, 1000  # of the cross-validation of a penalty
_NEVER = -1e4  # bias of a class without training rows

Validation = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False)
class Probe:
    """scores = (x - mean) / scale @ weight.T + bias."""

    weight: NDArray[np.float64]  # (outputs, width)
    bias: NDArray[np.float64]  # (outputs,)
    mean: NDArray[np.float64]  # (width,) of the training rows
    scale: NDArray[np.float64]  # (width,) standard deviation, 1 where it is 0
    penalty: float  # weight of the squared norm beside the summed loss
    converged: bool

    def scores(self, x: ArrayLike) -> NDArray[np.float64]:
        """Logits (rows, classes) of a classifier, values (rows, 1) of a regression.

        Raises:
            ShapeError: vectors of another width than those of the training.
        """
        vectors = check_matrix(x, "vectors", width=len(self.mean))
        scores = np.empty((len(vectors), len(self.bias)))
        for start in range(0, len(vectors), PIECE_ROWS):
            part = slice(start, start + PIECE_ROWS)
            scores[part] = (vectors[part] - self.mean) / self.scale @ self.weight.T + self.bias
        return scores


def fit_probe(
    x: ArrayLike,
    y: ArrayLike,
    classes: int,
    *,
    seed: int = 0,
    validation: Validation | None = None,
    penalty: float = 1.0,
    weight: ArrayLike | None = None,
) -> Probe:
    """Multinomial logistic regression on standardised vectors.

    The softmax of its scores are its probabilities. A class without training rows is never answered. Where y is
    (rows, labels) of 0 and 1, it is one binary regression for each label, and each score a log-odds.

    Args:
        validation: (vectors, class numbers); the penalty with the lowest log-loss there is kept (the stronger one on a
            tie).
        penalty: without validation rows.
        weight: (rows,) finite and 0 or more; relative, since they are divided by their mean. A row of weight 0 is left
            out.

    Raises:
        DataError: one class only, labels outside the classes, a number that is not finite, weights too far apart.

    >>> probe = fit_probe([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], 2)
    >>> probe.scores([[0.0], [3.0]]).argmax(axis=1), probe.converged
    (array([0, 1]), True)
    """
    if np.ndim(y) == 2:
        return _one_vs_rest(x, y, classes, validation, penalty, seed, weight)
    vectors, gold, weights = _weighing(*check_labelled(x, y, classes), weight)
    if gold.min() == gold.max():
        raise DataError("one class only in the training labels", got=gold[0], expected="two or more classes")
    design = _Design.of(vectors, weights)
    if validation is None:
        return _logistic(design, gold, classes, penalty, seed)
    judged, judged_gold = check_matrix(validation[0], "validation vectors"), check_labels(validation[1], classes)
    check_same_rows(len(judged), len(judged_gold), "validation vectors", "labels")
    probes = [_logistic(design, gold, classes, penalty, seed) for penalty in PENALTIES]
    return min(probes, key=lambda probe: log_loss(probe.scores(judged), judged_gold))


def _one_vs_rest(
    x: ArrayLike,
    y: ArrayLike,
    labels: int,
    validation: Validation | None,
    penalty: float,
    seed: int,
    weight: ArrayLike | None,
) -> Probe:
    """A logistic regression for each label; validation rows choose one penalty for all, by binary cross-entropy."""
    vectors, marks = check_matrix(x, "vectors"), check_indicator(y, labels)
    check_same_rows(len(vectors), len(marks), "vectors", "labels")
    vectors, marks, weights = _weighing(vectors, marks, weight)
    design = _Design.of(vectors, weights)
    probes = []
    for each in (penalty,) if validation is None else PENALTIES:
        slopes, bias, converged = fit_one_vs_rest(design.space.coordinates, marks, each, seed, weights)
        probes.append(Probe(design.space.widen(slopes), bias, design.mean, design.scale, each, converged))
    if validation is None:
        return probes[0]
    judged, gold = check_matrix(validation[0], "validation vectors"), check_indicator(validation[1], labels)
    return min(probes, key=lambda probe: float(label_losses(probe.scores(judged), gold).mean()))


def fit_tuned_probe(
    x: ArrayLike,
    y: ArrayLike,
    classes: int,
    *,
    seed: int = 0,
    validation: Validation | None = None,
    weight: ArrayLike | None = None,
) -> Probe:
    """As `fit_probe`; without validation rows the penalty is chosen by cross-validation, then all rows are used.

    The penalty with the lowest log-loss on rows held out in five folds, class by class, is kept (the stronger one on a
    tie); of more than 1,000 rows a seeded sample is folded. With fewer than 20 rows the penalty is 1.

    Labels that have nothing to do with the vectors want the strongest penalty:

    >>> x = np.random.default_rng(0).normal(size=(60, 30))
    >>> fit_tuned_probe(x, [0, 1] * 30, 2).penalty
    100.0
    """
    vectors, gold, weights = _weighing(*check_labelled(x, y, classes), weight)
    if validation is not None or len(gold) < _FEWEST:
        return fit_probe(vectors, gold, classes, seed=seed, validation=validation, weight=weights)
    rows = np.random.default_rng([seed, 8]).permutation(len(gold))[:_FOLDED_ROWS]
    some, labels, losses = vectors[rows], gold[rows], np.zeros(len(PENALTIES))
    fold = _folds(labels, seed)
    for number in range(_FOLDS):
        out = fold == number
        if out.any() and len(np.unique(labels[~out])) > 1:
            own = None if weights is None else check_weight(weights[rows][~out], int((~out).sum()))
            design = _Design.of(some[~out], own)
            probes = (_logistic(design, labels[~out], classes, penalty, seed) for penalty in PENALTIES)
            losses += [out.sum() * log_loss(probe.scores(some[out]), labels[out]) for probe in probes]
    penalty = PENALTIES[int(losses.argmin())] if losses.any() else 1.0
    return _logistic(_Design.of(vectors, weights), gold, classes, penalty, seed)


def _folds(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each row, (rows,); -1, always known, for the row of a class of one."""
    return np.where(np.bincount(y)[y] == 1, -1, deal_folds(y, _FOLDS, seed=seed))


def fit_ridge(
    x: ArrayLike,
    y: ArrayLike,
    *,
    validation: Validation | None = None,
    penalty: float = 1.0,
    weight: ArrayLike | None = None,
) -> Probe:
    """Linear regression with a squared-norm penalty on standardised vectors; one output.

    Penalties and weights are those of `fit_probe`.

    >>> probe = fit_ridge([[0.0], [1.0], [2.0]], [0.0, 2.0, 4.0], validation=([[3.0]], [6.0]))
    >>> probe.penalty, probe.scores([[3.0]]).round(1)
    (0.01, array([[6.]]))
    """
    vectors, gold = check_matrix(x, "vectors"), check_squared(y, "targets")
    check_same_rows(len(vectors), len(gold), "vectors", "targets")
    vectors, gold, weights = _weighing(vectors, gold, weight)
    if validation is None:
        return _ridge(vectors, gold, penalty, weights)
    judged, judged_gold = check_matrix(validation[0], "validation vectors"), check_squared(validation[1], "targets")
    check_same_rows(len(judged), len(judged_gold), "validation vectors", "targets")
    probes = [_ridge(vectors, gold, penalty, weights) for penalty in PENALTIES]
    return min(probes, key=lambda probe: float(((probe.scores(judged)[:, 0] - judged_gold) ** 2).mean()))


def _weighing(
    x: NDArray[Any], y: NDArray[Any], weight: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
    """The rows that weigh something, and their weights, whose mean is 1: a penalty stands beside a sum over rows."""
    weights = check_weight(weight, len(y))
    if weights is None or weights.all():
        return x, y, weights
    rows = weights > 0
    return x[rows], y[rows], weights[rows]


@dataclass(frozen=True, eq=False)
class _Design:
    """Standardised training rows; wide ones in as many directions as there are rows, which changes no solution."""

    space: RowSpace
    mean: NDArray[np.float64]  # (width,)
    scale: NDArray[np.float64]  # (width,)
    weight: NDArray[np.float64] | None = None  # (rows,) above 0, of mean 1

    @classmethod
    def of(cls, x: NDArray[np.floating], weight: NDArray[np.float64] | None = None) -> _Design:
        scaler = standard_scaler(x, weight)
        rows = scaler.transform(x.astype(np.float64), copy=False)  # the one copy of many rows
        return cls(RowSpace.of(rows), scaler.mean_, scaler.scale_, weight)


def _logistic(design: _Design, y: NDArray[np.int64], classes: int, penalty: float, seed: int) -> Probe:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=_ITERATIONS, tol=_TOLERANCE, random_state=seed)
    order = first_row_order(y, classes)  # names of classes must not change how the solver rounds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says it instead
        warnings.filterwarnings("ignore", "The number of unique classes")  # two rows of each look like numbers to it
        model.fit(design.space.coordinates, np.argsort(order)[y], sample_weight=design.weight)
    own = order[model.classes_]
    weight, bias = np.zeros((classes, len(design.mean))), np.full(classes, _NEVER)
    wide = design.space.widen(model.coef_)
    if len(own) == 2:  # one row of weights, the difference of the two classes: half of it for each
        signs = np.array([[-0.5], [0.5]])
        weight[own], bias[own] = signs * wide, signs[:, 0] * model.intercept_
    else:
        weight[own], bias[own] = wide, model.intercept_
    converged = bool(model.n_iter_.max() < _ITERATIONS)
    return Probe(weight, bias, design.mean, design.scale, penalty, converged)


def _ridge(
    x: NDArray[np.floating], y: NDArray[np.float64], penalty: float, weight: NDArray[np.float64] | None
) -> Probe:
    from sklearn.linear_model import Ridge

    scaler = standard_scaler(x, weight)
    rows = scaler.transform(x.astype(np.float64), copy=False)
    model = Ridge(alpha=penalty).fit(rows, y, sample_weight=weight)
    return Probe(model.coef_[None], np.array([model.intercept_]), scaler.mean_, scaler.scale_, penalty, converged=True)


def log_loss(scores: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Mean log-loss of class numbers (rows,) under logits (rows, classes)."""
    from scipy.special import log_softmax

    return -float(log_softmax(scores, axis=1)[np.arange(len(y)), y].mean())
