"""How sure is a vote? From how near the neighbors are and how near the class means, not from counts alone.

Votes of k neighbors know k + 1 values; where all agree, rows deep inside a class and rows at its border sound alike.
The evidence for a class is the logarithm of the weight exp(cosine / temperature) of its neighbors, and the cosine with
its mean. It changes how sure an answer is, never the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from separatrix.geometry.calibrate import hold_answers
from separatrix.geometry.neighbors import Neighbors

NEIGHBORS = 50  # that are looked at
_TEMPERATURES = (0.02, 0.05, 0.1, 0.2)
_BESIDE = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # weights of votes beside a head
_START, _MOST = (1.0, 10.0), (20.0, 200.0)  # weights of votes and of means


@dataclass(frozen=True)
class VoteEvidence:
    """Weights of two kinds of nearness, fitted on validation rows."""

    k: int  # neighbors that are looked at
    temperature: float  # divides their cosines
    votes: float  # weight of the neighbors
    means: float  # weight of the cosines with the class means

    def scores(
        self, near: Neighbors, labels: NDArray[np.int64], cosines: NDArray[np.float64], answers: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Log scores (rows, classes), not calibrated, in which the answers come first.

        Args:
            near: neighbors of the rows; those beyond `k` are passed over.
            labels: class numbers of the rows that were searched.
            cosines: with the class means, (rows, classes).
            answers: class numbers that the vote gave, (rows,).

        >>> near = Neighbors(np.array([[0, 1]]), np.array([[0.1, 0.3]], np.float32))
        >>> evidence = VoteEvidence(k=2, temperature=0.1, votes=1.0, means=2.0)
        >>> evidence.scores(near, np.array([0, 1]), np.array([[0.9, 0.7]]), np.array([0])).round(2)
        array([[ 1.87, -0.19]])
        """
        votes = soft_votes(near, labels, cosines.shape[1], self.k, self.temperature)
        return hold_answers(self.votes * votes + self.means * cosines, answers)


def fit_evidence(
    near: Neighbors, labels: NDArray[np.int64], cosines: NDArray[np.float64], gold: NDArray[np.int64]
) -> VoteEvidence:
    """The weights of least log-loss on validation rows.

    Args:
        near: neighbors of the validation rows.
        labels: class numbers of the rows that were searched.
        cosines: of the validation rows with the class means, (rows, classes).
        gold: class numbers of the validation rows.
    """
    k, classes = min(NEIGHBORS, near.index.shape[1]), cosines.shape[1]
    smoothing = classes / (len(gold) + classes)  # or the weights of rows that are all right would grow for ever
    target = (1 - smoothing) * np.eye(classes)[gold] + smoothing / classes
    tried = []
    for temperature in _TEMPERATURES:
        kinds = np.stack([soft_votes(near, labels, classes, k, temperature), cosines])  # (2, rows, classes)

        def loss(weights: NDArray[np.float64], kinds: NDArray[np.float64] = kinds) -> tuple[float, NDArray[np.float64]]:
            logs = log_softmax(np.tensordot(weights, kinds, axes=1), axis=1)
            slope = ((np.exp(logs) - target) * kinds).sum(axis=(1, 2)) / len(gold)
            return -float((logs * target).sum() / len(gold)), slope

        best = minimize(loss, _START, jac=True, method="L-BFGS-B", bounds=[(0, most) for most in _MOST])
        tried.append((float(best.fun), VoteEvidence(k, temperature, *map(float, best.x))))
    return min(tried, key=lambda one: one[0])[1]


def fit_beside(
    head: NDArray[np.float64], near: Neighbors, labels: NDArray[np.int64], gold: NDArray[np.int64]
) -> VoteEvidence:
    """How much the votes count beside a head, and their temperature, so that most validation rows are right.

    Of equally good choices the smallest weight stands: votes that add nothing have weight 0.

    Args:
        head: log probabilities that the head gives the validation rows, (rows, classes).
        near: neighbors of these rows.
        labels: class numbers of the rows that were searched.
        gold: class numbers of the validation rows.
    """
    k = min(NEIGHBORS, near.index.shape[1])
    tried = [
        (float(np.mean(beside(head, near, labels, one).argmax(axis=1) == gold)), one)
        for weight in _BESIDE
        for one in (VoteEvidence(k, temperature, weight, 0.0) for temperature in _TEMPERATURES)
    ]
    return max(tried, key=lambda one: one[0])[1]


def beside(
    head: NDArray[np.float64], near: Neighbors, labels: NDArray[np.int64], evidence: VoteEvidence
) -> NDArray[np.float64]:
    """Log scores of a head and of votes beside it, (rows, classes), not calibrated.

    Args:
        head: log probabilities that the head gives the rows, (rows, classes).
        near: neighbors of the rows; those beyond `evidence.k` are passed over.
        labels: class numbers of the rows that were searched.
        evidence: the weight of the votes; its means do not count.

    >>> near = Neighbors(np.array([[0, 1]]), np.array([[0.1, 0.3]], np.float32))
    >>> evidence = VoteEvidence(k=2, temperature=0.1, votes=0.5, means=0.0)
    >>> int(beside(np.log([[0.4, 0.6]]), near, np.array([1, 0]), evidence).argmax())
    1
    """
    return head + evidence.votes * soft_votes(near, labels, head.shape[1], evidence.k, evidence.temperature)


def soft_votes(
    near: Neighbors, labels: NDArray[np.int64], classes: int, k: int, temperature: float
) -> NDArray[np.float64]:
    """Logarithm of the weight of each class's neighbors, (rows, classes), less that of the nearest neighbor.

    One row as far away as the farthest neighbor is shared by all classes: it stands for what lies beyond.
    """
    distance = near.distance[:, :k].astype(np.float64)
    weight = (distance[:, :1] - distance) / temperature  # (rows, k)
    here = np.arange(len(weight))[:, None]
    sums = np.full((len(weight), classes), 0.0)
    np.add.at(sums, (here, labels[near.index[:, :k]]), np.exp(weight))
    with np.errstate(divide="ignore"):
        logs = np.log(sums)
    beyond = np.broadcast_to(weight[:, -1:] - np.log(classes), logs.shape)
    return np.asarray(logsumexp(np.stack([logs, beyond]), axis=0))
