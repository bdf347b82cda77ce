"""Scores to probabilities: one temperature, fitted on validation rows, never on test rows.

A temperature changes how sure the answers sound, never which answer is given (Guo et al., 2017, "On calibration of
modern neural networks").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from separatrix.errors import OptionError
from separatrix.geometry.checks import check_finite, check_labels, check_matrix, check_same_rows, check_values

_REACH = float(np.log(1000.0))  # the temperature is sought within 1/1000 to 1000 times the spread of the scores


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
