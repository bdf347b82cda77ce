"""Which labels are likely wrong? Confident learning (Northcutt, Jiang and Chuang, 2021) on out-of-fold probabilities.

A row counts as confidently of a class if its probability of that class reaches the mean that the class's own rows get.
Rows labelled i that are confidently j are counted in the confident joint; brought to the label counts it estimates how
labels and true classes go together, and what lies off its diagonal is the noise. Equal and nearly equal rows always
share a fold: a copy with the same wrong label would otherwise vouch for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from separatrix.codes import cross_counts
from separatrix.errors import DataError
from separatrix.geometry.calibrate import fit_temperature, probabilities
from separatrix.geometry.checks import check_finite, check_labelled, check_labels, check_matrix, check_same_rows
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.evidence import soft_votes
from separatrix.geometry.neighbors import Neighbors, neighbors, unit_rows
from separatrix.geometry.probe import fit_probe, log_loss

_PENALTIES = (300.0, 100.0, 10.0, 1.0)  # of a probe, one of which is chosen
_FALL = 1 / 3  # share of the spread of k distances over which a vote falls to 1 / e
_BLOCK_ROWS = 16_384  # whose neighbors are sought at a time
_SPARE = 20  # neighbors beyond those that are expected to be needed
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


def graph_size(rows: int, k: int, folds: int) -> int:
    """Neighbors of each row among which k of other folds stand nearly always.

    >>> graph_size(1000, 50, 5), graph_size(30, 50, 5)
    (83, 29)
    """
    return min(rows - 1, ceil(k * folds / (folds - 1)) + _SPARE)


def near_groups(
    x: ArrayLike, *, near: float = 0.95, k: int = 10, around: Neighbors | None = None
) -> tuple[Ids, NDArray[np.float32], Ids]:
    """Nearest rows by cosine, and which rows hang together by pairs at or above `near`.

    Args:
        near: cosine from which two rows are near duplicates; of each row its k nearest are looked at.
        around: neighbors of the rows among themselves, where they are known: k or more.

    Returns:
        index (rows, k), cosine (rows, k), group number (rows,).

    >>> near_groups([[1.0, 0.0], [0.0, 1.0], [1.0, 0.01]], k=1)[2].tolist()
    [0, 1, 0]
    """
    vectors = check_matrix(x, "vectors")
    if around is None:
        around = neighbors(vectors, vectors, min(k, len(vectors) - 1), exclude_self=True)
    index, cosine = around.index[:, :k], 1 - around.distance[:, :k]
    first, column = np.nonzero(cosine >= near - _SLACK)
    pairs = (first, index[first, column])
    graph = coo_matrix((np.ones(len(first), bool), pairs), shape=(len(vectors), len(vectors)))
    return index, cosine, connected_components(graph, directed=False)[1].astype(np.int64)


def sampled_neighbors(x: ArrayLike, sample: Ids, k: int) -> Neighbors:
    """The k rows of a sample that are nearest to each row by cosine; a row is no neighbor of its own.

    >>> sampled_neighbors([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], np.array([0, 2]), 1).index.tolist()
    [[2], [0], [0]]
    """
    vectors = check_matrix(x, "vectors")
    if len(sample) == len(vectors):
        return neighbors(vectors, vectors, min(k, len(vectors) - 1), exclude_self=True)
    judges, kept = vectors[sample], min(k, len(sample) - 1)
    index, distance = np.empty((len(vectors), kept), np.int64), np.empty((len(vectors), kept), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):  # the candidates of a block are held, not of all rows
        part = slice(start, min(start + _BLOCK_ROWS, len(vectors)))
        near = neighbors(vectors[part], judges, min(k + 1, len(sample)))
        own = sample[near.index] == np.arange(part.start, part.stop)[:, None]
        first = np.argsort(own, axis=1, kind="stable")[:, :kept]  # itself stands last
        index[part] = sample[np.take_along_axis(near.index, first, axis=1)]
        distance[part] = np.take_along_axis(near.distance, first, axis=1)
    return Neighbors(index, distance)


def of_other_folds(
    x: NDArray, fold: Ids, number: int, k: int, around: Neighbors, voting: NDArray[np.bool_]
) -> Neighbors:
    """The k rows of other folds that are nearest to each row of one fold: of its neighbors, sought where these are few.

    Args:
        x: vectors, (rows, width).
        fold: (rows,) fold of each row.
        number: the fold whose rows are looked at.
        k: neighbors of each row.
        around: neighbors of all rows among those that vote.
        voting: (rows,) whether a row is a neighbor of others.

    >>> x = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [0.0, 1.0]])
    >>> around, every = neighbors(x, x, 2, exclude_self=True), np.ones(4, bool)
    >>> of_other_folds(x, np.array([0, 0, 1, 1]), 1, 1, around, every).index.tolist()
    [[1], [1]]
    """
    own, others = np.flatnonzero(fold == number), np.flatnonzero((fold != number) & voting)
    index, distance = np.empty((len(own), k), np.int64), np.empty((len(own), k), np.float32)
    listed, measured = around.index[own], around.distance[own]
    within = fold[listed] == number  # (rows, neighbors)
    enough = (~within).sum(axis=1) >= k
    if enough.any():
        first = np.argsort(within[enough], axis=1, kind="stable")[:, :k]  # of other folds, nearest first
        index[enough] = np.take_along_axis(listed[enough], first, axis=1)
        distance[enough] = np.take_along_axis(measured[enough], first, axis=1)
    if not enough.all():
        near = neighbors(x[own[~enough]], x[others], k)
        index[~enough], distance[~enough] = others[near.index], near.distance
    return Neighbors(index, distance)


def out_of_fold(
    x: ArrayLike, labels: ArrayLike, fold: Ids, *, classes: int, k: int = 50, around: Neighbors | None = None,
    sample: Ids | None = None,
) -> dict[str, NDArray]:  # fmt: skip
    """Probabilities (rows, classes) of a k-NN and of two linear probes that never saw the row.

    The penalty of the probes is chosen on one fold, one temperature for each judge on all; one probe sees directions
    alone.

    Args:
        fold: (rows,) fold of each row, three or more.
        around: neighbors of the rows among themselves, where they are known: those of other folds among them vote.
        sample: rows that judge the others; all of them if absent.

    Raises:
        DataError: one class only, in all or in the rows of a training part.
    """
    vectors, gold = check_labelled(x, labels, classes)
    scores = {name: np.empty((len(gold), classes)) for name in MODELS}
    every = np.arange(len(gold)) if sample is None else sample
    voting = np.isin(np.arange(len(gold)), every)
    k = min(k, len(every) - int(np.bincount(fold[every]).max()))
    if around is None:
        around = sampled_neighbors(vectors, every, graph_size(len(every), k, int(fold.max()) + 1))
    penalty = _choose_penalty(vectors[every], gold[every], fold[every] == 0, classes)
    for number in range(int(fold.max()) + 1):
        out, known = fold == number, (fold != number) & voting
        scores["knn"][out] = _votes(of_other_folds(vectors, fold, number, k, around, voting), gold, classes)
        for name, model in PROBES.items():
            scores[name][out] = model(vectors[known], gold[known], vectors[out], classes, penalty)
    return {name: probabilities(one, fit_temperature(one, gold)) for name, one in scores.items()}


def learnt_elsewhere(labels: Ids, fold: Ids, sample: Ids) -> NDArray[np.bool_]:
    """Whether the judges of a row have learnt its class, (rows,): rows of other folds that judge have it too.

    Args:
        labels: class numbers, (rows,).
        fold: (rows,) fold of each row.
        sample: rows that judge the others.

    >>> learnt_elsewhere(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0]), np.arange(5)).tolist()
    [True, True, False, False, False]
    """
    counts = cross_counts(fold[sample], labels[sample], (int(fold.max()) + 1, int(labels.max()) + 1))
    return ((counts.sum(axis=0) - counts) > 0)[fold, labels]


def _choose_penalty(x: NDArray, y: Ids, out: NDArray, classes: int) -> float:
    """The penalty of the probes with the lowest log-loss, at its best temperature, on the rows of one fold."""
    losses = {}
    for penalty in _PENALTIES:
        scores = fit_probe(x[~out], y[~out], classes, penalty=penalty).scores(x[out])
        losses[penalty] = log_loss(scores / fit_temperature(scores, y[out]), y[out])
    return min(losses, key=lambda one: losses[one])


def _votes(near: Neighbors, y: Ids, classes: int) -> NDArray[np.float64]:
    """Weights of the nearest by cosine, which fall with the distance as fast as the distances of these spread."""
    spread = float((near.distance[:, -1] - near.distance[:, 0]).mean())
    return soft_votes(near, y, classes, near.index.shape[1], max(spread * _FALL, _SLACK))


def _probe(x: NDArray, y: Ids, rows: NDArray, classes: int, penalty: float) -> NDArray[np.float64]:
    return fit_probe(x, y, classes, penalty=penalty).scores(rows)


def _directions(x: NDArray, y: Ids, rows: NDArray, classes: int, penalty: float) -> NDArray[np.float64]:
    """A probe of vectors of length 1."""
    return fit_probe(unit_rows(x), y, classes, penalty=3 * penalty).scores(unit_rows(rows))


PROBES: dict[str, Callable[..., NDArray[np.float64]]] = {"probe": _probe, "directions": _directions}
MODELS = ("knn", *PROBES)


def among_copies(error: NDArray[np.float64], copies: Ids, labels: Ids) -> NDArray[np.float64]:
    """Probabilities (rows,) that labels are wrong, when of copies with several labels one at least is wrong.

    Args:
        error: of each row by itself.
        copies: number of the text of each row; equal texts have the same.
        labels: class numbers, (rows,).

    >>> among_copies(np.array([0.3, 0.1, 0.1]), np.array([0, 0, 1]), np.array([0, 1, 0])).round(2).tolist()
    [0.81, 0.27, 0.1]
    """
    text = np.unique(copies, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.column_stack([text, labels]), axis=0)  # each text with each of its labels
    disputed = (np.bincount(pairs[:, 0]) > 1)[text]
    all_right = np.exp(np.bincount(text, np.log1p(-np.minimum(error, 1 - _SLACK))))[text]
    return np.where(disputed, np.minimum(error / np.maximum(1 - all_right, np.maximum(error, _SLACK)), 1.0), error)


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
