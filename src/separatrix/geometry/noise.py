"""How many labels are wrong, and which: noise and the weights of the judges are fitted together.

A row's given label is its true one with probability 1 - noise, else one of the others. The true one is drawn from the
softmax of the judges' scores, each times a weight. Fitted one after the other, weights would soften until wrong labels
look possible, and hardly any would be left to be wrong; together, a row that every judge is sure about and that has
another label is explained by noise. Hard rows, which judges misread as surely, count too: the noise is an upper
estimate. Of judges that misread more rows than are wrong as a rule it must be beyond chance: the likelihood must exceed
that of softer weights without noise by more than in one of 20 sets that have none, else their own errors explain it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, minimize
from scipy.special import expit, log_softmax, softmax

from separatrix.errors import DataError
from separatrix.geometry.checks import check_labels, check_matrix, check_same_rows

_STARTS = (0.01, 0.1)  # noise that the search begins with
_SUMS = (2.0, 20.0)  # sums of the weights
_USUAL = 0.1  # share of the rows up to which those that judges misread may all be noise, without a test
_CHANCE = 2.71  # twice the log-likelihood that noise gains by chance in one of 20 sets without any
_EQUAL = 0.5  # log-likelihood of all rows that two explanations may differ by to be equal
_LEAST, _HALF = 1e-4, 0.5
_MOST = 50.0  # weight of scores whose spread is 1


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """What judges who never saw the rows say of their labels."""

    noise: float  # estimated share of wrong labels
    weights: Mapping[str, float]  # of each judge's scores
    chances: NDArray[np.float64]  # (rows, classes) of the true class, the given label left aside
    error: NDArray[np.float64]  # (rows,) probability that the label is wrong, (rows + 1) / (rows + 2) at most


def fit_noise(scores: Mapping[str, ArrayLike], labels: ArrayLike, *, least: float = _LEAST) -> LabelNoise:
    """Weights and noise of the highest likelihood.

    Args:
        scores: judge -> log scores (rows, classes) of models that did not see the row; their scale does not matter.
        labels: given class numbers, (rows,).
        least: noise that is assumed at least.

    Raises:
        DataError: no judge, scores that are not finite, a label outside the classes.

    >>> clear = np.repeat(np.eye(2), 50, axis=0)
    >>> given = np.repeat([0, 1], 50)
    >>> given[:4] = 1
    >>> found = fit_noise({"probe": clear}, given)
    >>> round(found.noise, 2), np.flatnonzero(found.error > 0.5).tolist()
    (0.04, [0, 1, 2, 3])
    """
    if not scores:
        raise DataError("no judge of the labels", got="no scores", expected="one or more")
    first = check_matrix(next(iter(scores.values())), "scores")
    gold, classes = check_labels(labels, first.shape[1]), first.shape[1]
    check_same_rows(len(first), len(gold), "scores", "labels")
    kinds = np.stack([_scaled(one, classes) for one in scores.values()])  # (judges, rows, classes)
    here = np.arange(len(gold))

    def loss(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, noise = parts[:-1], expit(parts[-1])
        logs = log_softmax(np.tensordot(weights, kinds, axes=1), axis=1)
        own = np.exp(logs[here, gold])
        given = (1 - noise) * own + noise * (1 - own) / (classes - 1)  # (rows,) likelihood of the label
        slope_own = (1 - noise - noise / (classes - 1)) / given * own / len(gold)
        mean = (np.exp(logs) * kinds).sum(axis=2)  # (judges, rows)
        slopes = ((kinds[:, here, gold] - mean) * slope_own).sum(axis=1)
        slope_noise = ((1 - own) / (classes - 1) - own) / given * noise * (1 - noise) / len(gold)
        return -float(np.log(given).mean()), -np.append(slopes, slope_noise.sum())

    def fit(total: float, start: float, most: float) -> OptimizeResult:
        """From equal weights of this sum and a noise between the least and `most`."""
        begin = np.append(np.full(len(kinds), total / len(kinds)), _logit(start))
        bounds = [(0.0, _MOST)] * len(kinds) + [(_logit(least), _logit(most))]
        return minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds)

    def mixed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return softmax(np.tensordot(weights, kinds, axes=1), axis=1)

    most = _HALF * (classes - 1) / classes
    fits = [fit(total, start, most) for total in _SUMS for start in _STARTS]
    # Where margins are all alike, soft weights explain a wrong label as well as noise does: then it is noise.
    bar = min(one.fun for one in fits) + _EQUAL / len(gold)
    best = max((one.x for one in fits if one.fun <= bar), key=lambda parts: parts[:-1].sum())
    chances = mixed(best[:-1])
    if (chances.argmax(axis=1) != gold).mean() > _USUAL:
        clean = fit(_SUMS[0], least, least)
        if 2 * len(gold) * (clean.fun - min(one.fun for one in fits)) < _CHANCE:
            best, chances = clean.x, mixed(clean.x[:-1])
    weights, noise = best[:-1], float(expit(best[-1]))
    own = chances[here, gold]
    wrong = noise * (1 - own) / (classes - 1)
    error = wrong / np.maximum((1 - noise) * own + wrong, np.finfo(np.float64).tiny)
    error *= (len(gold) + 1) / (len(gold) + 2)  # what never happened in n rows is not impossible
    return LabelNoise(noise, dict(zip(scores, weights.tolist(), strict=True)), chances, error)


def _scaled(scores: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Scores around 0 in each row, of spread 1 over all."""
    x = check_matrix(scores, "scores", width=classes).astype(np.float64)
    x = x - x.mean(axis=1, keepdims=True)
    return x / max(float(x.std()), 1e-12)


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
