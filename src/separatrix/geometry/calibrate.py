"""Scores to probabilities, fitted on validation rows, never on test rows: how sure answers sound, never which they are.

One temperature (Guo et al., 2017, "On calibration of modern neural networks") is enough for few rows. Where there are
200 or more, a weight and a bias for each class (their vector scaling) and an isotonic curve of the likeliest class's
log-odds are tried beside it by cross-validation; one of them is taken only where its log-loss on rows that it was not
fitted to is lower by more than a standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logit, logsumexp, softmax

from separatrix.errors import OptionError
from separatrix.geometry.checks import check_finite, check_labels, check_matrix, check_same_rows, check_values
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.label_sets import choose_thresholds, fit_label_temperature

_REACH = float(np.log(1000.0))  # the temperature is sought within 1/1000 to 1000 times the spread of the scores

FEWEST = 200  # validation rows from which more than a temperature is tried
_FOLDS = 5
STEP = 1e-6  # by which an answer is above the class that would have come first
OVERTAKE = 1e-9  # the same between probabilities


@dataclass(frozen=True)
class ScoreCalibration:
    """How scores (rows, classes) become probabilities; the class with the highest score keeps the highest probability.

    `weight` and `bias`, one for each class, belong to `vector`: they change the scores over the temperature. `knots`
    belong to `isotonic`: log-odds of the likeliest class before and after, both rising. `thresholds` belong to
    `labels`, where rows have several: each has a probability of its own, and is given where that reaches its threshold.
    """

    method: str = "temperature"
    temperature: float = 1.0
    weight: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    knots: tuple[tuple[float, float], ...] = ()
    thresholds: tuple[float, ...] = ()

    @property
    def sets(self) -> bool:
        """Whether rows have several labels."""
        return self.method == "labels"

    def decide(self, scores: ArrayLike) -> NDArray[np.int64]:
        """Which labels rows get by their scores (rows, labels): 0 and 1.

        >>> ScoreCalibration("labels", thresholds=(0.5, 0.2)).decide([[-1.0, -1.0]])
        array([[0, 1]])
        """
        return (self.probabilities(scores) >= np.array(self.thresholds)).astype(np.int64)

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of scores, (rows, classes).

        >>> ScoreCalibration(temperature=2.0).probabilities([[0.0, 0.0]])
        array([[0.5, 0.5]])
        """
        if not len(np.asarray(scores)):
            return np.asarray(scores, dtype=np.float64)
        if self.sets:
            return np.asarray(expit(check_matrix(scores, "scores").astype(np.float64) / self.temperature))
        if self.method == "vector":
            logits = check_matrix(scores, "scores").astype(np.float64)
            moved = _centred(logits) / self.temperature * np.array(self.weight) + np.array(self.bias)
            return probabilities(hold_answers(moved, logits.argmax(axis=1)))
        chances = probabilities(scores, self.temperature)
        return chances if self.method == "temperature" else self._isotonic(np.asarray(scores, np.float64), chances)

    def _isotonic(self, scores: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The likeliest class moved along the curve (straight on beyond its ends), the others in proportion."""
        before, after = np.array(self.knots).T
        odds = _top_odds(scores / self.temperature)
        within = np.clip(odds, before[0], before[-1])
        here, top = np.arange(len(scores)), scores.argmax(axis=1)
        own = expit(np.interp(within, before, after) + odds - within)
        rest = chances.copy()
        rest[here, top] = 0
        share = rest / np.maximum(rest.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        second = share.max(axis=1)
        own = np.maximum(own, second / (1 + second) + OVERTAKE * (1 + expit(odds)))  # as unsure, but in order
        moved = share * (1 - own)[:, None]
        moved[here, top] = own
        return moved

    def to_dict(self) -> dict[str, Any]:
        """What there is beside the temperature, as plain data; nothing of a temperature alone."""
        if self.method == "temperature":
            return {}
        return {name: value for name, value in asdict(self).items() if value and name != "temperature"}

    @classmethod
    def of(cls, temperature: float, more: Mapping[str, Any] | None = None) -> Self:
        """What `to_dict` gave, beside a temperature."""
        plain = dict(more or {})
        method = plain.pop("method", cls.method)
        parts: dict[str, Any] = {name: tuple(value) for name, value in plain.items()}
        return cls(method, float(temperature), **parts)

    @staticmethod
    def is_plain(value: Any) -> bool:
        """Whether a plain value is what `to_dict` gave: finite numbers, as many of each kind, knots that rise."""
        kinds = {"vector": ("weight", "bias"), "isotonic": ("knots",), "labels": ("thresholds",)}
        if not isinstance(value, Mapping) or value.get("method") not in kinds:
            return False
        names = kinds[value["method"]]
        if {*value} != {"method", *names}:
            return False
        try:
            parts = [np.array(value[name], dtype=np.float64) for name in names]
        except (TypeError, ValueError):
            return False
        if not all(part.size and np.isfinite(part).all() for part in parts):
            return False
        if value["method"] == "vector":
            return all(part.ndim == 1 for part in parts) and len(parts[0]) == len(parts[1])
        if value["method"] == "labels":
            return parts[0].ndim == 1
        knots = parts[0]
        return knots.ndim == 2 and knots.shape[1] == 2 and bool((np.diff(knots, axis=0) > 0).all())


def hold_answers(scores: NDArray[np.float64], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores (rows, classes) in which the answers (rows,) come first: one that does not is put just above the first.

    >>> hold_answers(np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([0, 0])).round(3).tolist()
    [[1.0, 1.0], [2.0, 0.0]]
    """
    held, here, top = scores.copy(), np.arange(len(scores)), scores.max(axis=1)
    level = (scores >= top[:, None]).sum(axis=1) > 1
    behind = (scores[here, answers] < top) | level
    held[here[behind], answers[behind]] = top[behind] + STEP
    return held


def fit_calibration(scores: ArrayLike, y: ArrayLike, *, seed: int = 0) -> ScoreCalibration:
    """The calibration of scores (rows, classes) that suits validation rows with these class numbers best.

    Of several labels a row, y is (rows, labels) of 0 and 1: one temperature, and a threshold for each label.

    Errors are those of `fit_temperature`.

    >>> scores = [[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]
    >>> fit_calibration(scores, [0, 1, 0, 1]).method
    'temperature'
    """
    logits = check_matrix(scores, "scores").astype(np.float64)
    if np.ndim(y) == 2:
        temperature = fit_label_temperature(logits, y)
        cuts = choose_thresholds(expit(logits / temperature), y)
        return ScoreCalibration("labels", temperature, thresholds=tuple(cuts.tolist()))
    gold = check_labels(y, logits.shape[1])
    check_same_rows(len(logits), len(gold), "scores", "labels")
    if len(gold) < FEWEST or (logits.argmax(axis=1) == gold).all():
        return _by_temperature(logits, gold)
    fold = deal_folds(gold, _FOLDS, seed=seed)
    loss = {name: _held_out_loss(fit, logits, gold, fold) for name, fit in CALIBRATIONS.items()}
    gain = {name: loss["temperature"] - each for name, each in loss.items() if name != "temperature"}
    sure = {name: each.mean() - each.std() / np.sqrt(len(each)) for name, each in gain.items()}
    best = max(sure, key=lambda name: sure[name])
    return CALIBRATIONS[best if sure[best] > 0 else "temperature"](logits, gold)


def _held_out_loss(
    fit: Callable[..., ScoreCalibration], logits: NDArray[np.float64], gold: NDArray[np.int64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log-loss of each row (rows,) under what was fitted to the other folds."""
    loss = np.empty(len(gold))
    for number in range(_FOLDS):
        out = np.flatnonzero(fold == number)
        chances = fit(logits[fold != number], gold[fold != number]).probabilities(logits[out])
        loss[out] = -np.log(np.maximum(chances[np.arange(len(out)), gold[out]], np.finfo(np.float64).eps))
    return loss


def _by_temperature(logits: NDArray[np.float64], gold: NDArray[np.int64]) -> ScoreCalibration:
    return ScoreCalibration(temperature=fit_temperature(logits, gold))


def _by_vector(logits: NDArray[np.float64], gold: NDArray[np.int64]) -> ScoreCalibration:
    """Weights and biases of least log-loss, a squared step from 1 and 0 counted as half a row."""
    temperature, classes = fit_temperature(logits, gold), logits.shape[1]
    scaled = _centred(logits) / temperature
    target = np.eye(classes)[gold]

    def loss(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, bias = parts[:classes], parts[classes:]
        logs = log_softmax(scaled * weight + bias, axis=1)
        gap = np.exp(logs) - target
        step = parts - start
        slope = np.concatenate([(gap * scaled).sum(axis=0), gap.sum(axis=0)])
        return float(-(logs * target).sum() + 0.5 * step @ step), slope + step

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    best = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return ScoreCalibration("vector", temperature, tuple(best[:classes].tolist()), tuple(best[classes:].tolist()))


def _centred(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits whose mean over the classes is 0, so that a weight of a class moves it by what is its own."""
    return logits - logits.mean(axis=1, keepdims=True)


def _by_isotonic(logits: NDArray[np.float64], gold: NDArray[np.int64]) -> ScoreCalibration:
    """Blocks of rows of rising confidence, each with its share of right answers (one more row, half right, added)."""
    from sklearn.isotonic import IsotonicRegression

    temperature = fit_temperature(logits, gold)
    odds, right = _top_odds(logits / temperature), (logits.argmax(axis=1) == gold).astype(np.float64)
    level = IsotonicRegression().fit_transform(odds, right)
    block = np.unique(level, return_inverse=True)[1].reshape(-1)
    rows = np.bincount(block)
    before = np.bincount(block, odds) / rows
    after = np.maximum.accumulate(logit((np.bincount(block, right) + 0.5) / (rows + 1)))
    knots = [(before[0], after[0])]
    for pair in zip(before[1:], after[1:], strict=True):
        if pair[0] > knots[-1][0] and pair[1] > knots[-1][1]:
            knots.append(pair)
    return ScoreCalibration("isotonic", temperature, knots=tuple((float(one), float(two)) for one, two in knots))


def _top_odds(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of the likeliest class, (rows,), exact where its probability rounds to 1."""
    here, top = np.arange(len(logits)), logits.argmax(axis=1)
    rest = logits.copy()
    rest[here, top] = -np.inf
    return np.asarray(logits[here, top] - logsumexp(rest, axis=1))


CALIBRATIONS: dict[str, Callable[[NDArray[np.float64], NDArray[np.int64]], ScoreCalibration]] = {
    "temperature": _by_temperature,
    "vector": _by_vector,
    "isotonic": _by_isotonic,
}


def fit_temperature(scores: ArrayLike, y: ArrayLike) -> float:
    """The temperature of logits (rows, classes) that gives the gold classes of validation rows the highest likelihood.

    The likelihood has one maximum in the temperature. It has none when every row is right (0 would be best): then each
    target is smoothed towards the uniform one by K / (rows + K), as Platt (1999) does, so that a few right rows do not
    make every later answer look certain. Scaling the scores scales the temperature; equal scores give 1.0.

    Raises:
        DataError: no rows, a score that is not finite, a label outside the classes.

    >>> scores = [[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]
    >>> temperature = fit_temperature(scores, [0, 1, 0, 1])
    >>> round(temperature, 3), probabilities(scores, temperature).max().round(3)
    (3.641, np.float64(0.75))
    """
    logits = check_matrix(scores, "scores").astype(np.float64)  # (rows, classes)
    gold = check_labels(y, logits.shape[1])
    check_same_rows(len(logits), len(gold), "scores", "labels")
    spread = float(logits.std(axis=1).mean())
    if spread == 0:
        return 1.0
    rows, classes = logits.shape
    here = np.arange(rows)
    own = logits[here, gold]
    rivals = logits.copy()
    rivals[here, gold] = -np.inf
    smoothing = classes / (rows + classes) if (own > rivals.max(axis=1)).all() else 0.0

    def loss(log_temperature: float) -> float:
        logs = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float((1 - smoothing) * logs[here, gold].mean() + smoothing * logs.mean())

    centre = float(np.log(spread))
    best = minimize_scalar(loss, bounds=(centre - _REACH, centre + _REACH), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def probabilities(scores: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of scores / temperature, (rows, classes); safe for scores of any size.

    Raises:
        OptionError: the temperature is not a positive number.

    >>> probabilities([[0.0, 1000.0]], 1.0)
    array([[0., 1.]])
    """
    if not 0 < temperature < np.inf:
        raise OptionError("temperature is out of range", got=temperature, expected="a positive number")
    logits = check_matrix(scores, "scores").astype(np.float64)
    # The shift stands before the division: a large score over a tiny temperature must not overflow.
    with np.errstate(over="ignore"):
        shifted = (logits - logits.max(axis=1, keepdims=True)) / temperature
    return softmax(shifted, axis=1)


def rescore_single_column(outputs: ArrayLike, threshold: float = 0.5) -> NDArray[np.int64]:
    """Classes 0 and 1 of a one-column (regression) output, (rows,) or (rows, 1): 1 above the threshold between the two.

    This mends the evaluation of a model that was trained with one output by mistake (argmax over its one
    column scored 0.4908, this scores 763 / 872 = 0.875). Train with one output per class rather than rely on it.

    Raises:
        ShapeError: more than one column.

    >>> rescore_single_column([[1.272908], [0.038817]])
    array([1, 0])
    """
    check_finite(threshold, "threshold")
    return (check_values(outputs, "outputs") > threshold).astype(np.int64)
