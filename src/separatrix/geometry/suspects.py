"""Which labels are likely wrong? Confident learning (Northcutt, Jiang and Chuang, 2021) on out-of-fold probabilities.

A row counts as confidently of a class if its probability of that class reaches the mean that the class's own rows get.
Rows labelled i that are confidently j are counted in the confident joint; brought to the label counts it estimates how
labels and true classes go together, and what lies off its diagonal is the noise. Equal and nearly equal rows always
share a fold: a copy with the same wrong label would otherwise vouch for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from separatrix.codes import cross_counts
from separatrix.errors import DataError
from separatrix.geometry.calibrate import fit_temperature, probabilities
from separatrix.geometry.checks import check_finite, check_labelled, check_labels, check_matrix, check_same_rows
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.neighbors import knn_predict, neighbors
from separatrix.geometry.probe import fit_probe

_SLACK = 1e-6  # below the threshold that still counts: the mean of equal numbers is off by rounding

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ConfidentJoint:
    """What the probabilities say about the labels."""

    counts: NDArray[np.int64]  # (label, confident class) rows
    joint: NDArray[np.float64]  # (label, true class) estimated shares, summing to 1
    thresholds: NDArray[np.float64]  # (classes,) mean self-confidence; above 1 for a class without rows
    suggested: NDArray[np.int64]  # (rows,) the confident class; that of the highest probability where there is none
    flagged: NDArray[np.bool_]  # (rows,) confidently of another class than the label
    self_confidence: NDArray[np.float64]  # (rows,) probability of the label
    margin: NDArray[np.float64]  # (rows,) that minus the highest other probability, -1 to 1; low is suspect

    @property
    def noise(self) -> float:
        """Estimated share of wrong labels."""
        return float(1 - self.joint.trace())


def confident_joint(chances: ArrayLike, labels: ArrayLike) -> ConfidentJoint:
    """Count confident rows by label and class; `chances` (rows, classes) are of a model not trained on the row.

    >>> joint = confident_joint([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.85, 0.15]], [0, 0, 1, 1])
    >>> joint.counts.tolist(), joint.flagged.tolist(), joint.noise
    ([[1, 0], [1, 1]], [False, False, False, True], 0.25)
    """
    p = check_matrix(chances, "probabilities").astype(np.float64)
    classes = p.shape[1]
    gold = check_labels(labels, classes)
    check_same_rows(len(p), len(gold), "probabilities", "labels")
    own = p[np.arange(len(p)), gold]
    sizes = np.bincount(gold, minlength=classes)
    sums = np.bincount(gold, own, minlength=classes)
    thresholds = np.divide(sums, sizes, out=np.full(classes, 2.0), where=sizes > 0)
    sure = p >= thresholds - _SLACK
    several = sure.sum(axis=1) > 1
    order = first_row_order(gold, classes)  # of equal probabilities the class that comes first
    highest = order[p[:, order].argmax(axis=1)]
    suggested = np.where(several | ~sure.any(axis=1), highest, sure.argmax(axis=1))
    counted = sure.any(axis=1)
    counts = cross_counts(gold[counted], suggested[counted], (classes, classes))
    others = p.copy()
    others[np.arange(len(p)), gold] = -np.inf
    return ConfidentJoint(
        counts,
        _calibrated(counts, sizes),
        thresholds,
        suggested,
        counted & (suggested != gold),
        own,
        own - others.max(1),
    )


def _calibrated(counts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The counts as shares whose rows have the shares of the labels; a label with no sure row is taken as right."""
    filled = counts.astype(np.float64)
    np.fill_diagonal(filled, np.maximum(counts.diagonal(), 1))
    return filled / filled.sum(axis=1, keepdims=True) * (sizes / sizes.sum())[:, None]


def near_groups(x: ArrayLike, *, near: float = 0.95, k: int = 10) -> tuple[Ids, NDArray[np.float32], Ids]:
    """Nearest rows by cosine, and which rows hang together by pairs at or above `near`.

    Args:
        near: cosine from which two rows are near duplicates; of each row its k nearest are looked at.

    Returns:
        index (rows, k), cosine (rows, k), group number (rows,).

    >>> near_groups([[1.0, 0.0], [0.0, 1.0], [1.0, 0.01]], k=1)[2].tolist()
    [0, 1, 0]
    """
    vectors = check_matrix(x, "vectors")
    around = neighbors(vectors, vectors, min(k, len(vectors) - 1), exclude_self=True)
    cosine = 1 - around.distance
    first, column = np.nonzero(cosine >= near - _SLACK)
    pairs = (first, around.index[first, column])
    graph = coo_matrix((np.ones(len(first), bool), pairs), shape=(len(vectors), len(vectors)))
    return around.index, cosine, connected_components(graph, directed=False)[1].astype(np.int64)


def out_of_fold(x: ArrayLike, labels: ArrayLike, fold: Ids, *, classes: int, k: int = 10) -> dict[str, NDArray]:
    """Probabilities (rows, classes) of a k-NN and of a linear probe that never saw the row.

    The probe's penalty and temperature are chosen on the next fold, which it does not train on either.

    Args:
        fold: (rows,) fold of each row, three or more.

    Raises:
        DataError: one class only, in all or in the rows of a training part; k above the rows of a training part.
    """
    vectors, gold = check_labelled(x, labels, classes)
    count = int(fold.max()) + 1
    chances = {name: np.empty((len(gold), classes)) for name in MODELS}
    for number in range(count):
        out, tuned = fold == number, fold == (number + 1) % count
        for name, model in MODELS.items():
            chances[name][out] = model(vectors, gold, (out, tuned), classes, k)
    return chances


def _knn(x: NDArray, y: Ids, parts: tuple[NDArray, NDArray], classes: int, k: int) -> NDArray[np.float64]:
    """Vote shares of the k nearest by cosine, nearer ones counting more, with one vote for the class shares."""
    out, known = parts[0], y[~parts[0]]
    votes = knn_predict(x[out], x[~out], known, k, classes=classes, weights="distance")
    return (k * votes + np.bincount(known, minlength=classes) / len(known)) / (k + 1)


def _probe(x: NDArray, y: Ids, parts: tuple[NDArray, NDArray], classes: int, _k: int) -> NDArray[np.float64]:
    out, tuned = parts
    train = ~(out | tuned)
    probe = fit_probe(x[train], y[train], classes, validation=(x[tuned], y[tuned]))
    return probabilities(probe.scores(x[out]), fit_temperature(probe.scores(x[tuned]), y[tuned]))


MODELS: dict[str, Callable[..., NDArray[np.float64]]] = {"knn": _knn, "probe": _probe}


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How a training saw each row (Swayamdipta et al., 2020); low confidence and variability: likely mislabelled."""

    confidence: NDArray[np.float64]  # (rows,) mean over the epochs of the probability of the label
    variability: NDArray[np.float64]  # (rows,) its standard deviation
    correctness: NDArray[np.float64]  # (rows,) share of the epochs in which the label came first
    epochs: int


def dynamics(own: ArrayLike, right: ArrayLike | None = None) -> Dynamics:
    """Training dynamics of rows.

    Args:
        own: (epochs, rows) probability of the label after each epoch.
        right: (epochs, rows) whether the label came first. Without it, a probability above one half counts: then the
            label came first for certain, so that the correctness is a lower bound.

    Raises:
        DataError: no epochs, or a number that is not finite.

    >>> course = dynamics([[0.2, 0.6], [0.4, 0.8]])
    >>> course.confidence.round(2).tolist(), course.variability.round(2).tolist(), course.correctness.tolist()
    ([0.3, 0.7], [0.1, 0.1], [0.0, 1.0])
    """
    chance = np.asarray(own, dtype=np.float64)
    if chance.ndim != 2 or 0 in chance.shape:
        raise DataError("no training dynamics", got=f"shape {chance.shape}", expected="(epochs, rows)")
    check_finite(chance.T, "training dynamics")
    first = chance > 0.5 if right is None else np.asarray(right, dtype=bool)
    return Dynamics(chance.mean(axis=0), chance.std(axis=0), first.mean(axis=0), len(chance))


def scored_dynamics(scores: NDArray[np.floating], labels: ArrayLike) -> Dynamics:
    """Training dynamics from the scores of every epoch, (epochs, rows, classes), whose softmax are probabilities.

    >>> scored_dynamics(np.array([[[2.0, 0.0]], [[0.0, 2.0]]]), [0]).correctness.tolist()
    [0.5]
    """
    gold = check_labels(labels, scores.shape[2])
    chances = np.stack([probabilities(epoch) for epoch in scores])  # (epochs, rows, classes)
    return dynamics(chances[:, np.arange(len(gold)), gold], scores.argmax(axis=2) == gold)
