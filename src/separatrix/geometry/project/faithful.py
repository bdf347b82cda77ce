"""How much of the truth a flat picture shows: whether neighbors stay neighbors, and whether labels stay apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.codes import draw_rows
from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_labels, check_matrix, check_same_rows
from separatrix.geometry.neighbors import knn_predict, neighbors
from separatrix.geometry.resample import PairedDifference, compare_answers
from separatrix.geometry.score import classification
from separatrix.recipe.core import Plain

LEAVE_ONE_OUT = "leave one out"
HELD_OUT = "held-out rows against the rows that the map was fitted to"


@dataclass(frozen=True)
class Faithfulness:
    """How far the neighborhoods of a flat picture are the true ones: 1 is perfect.

    `trustworthiness` (Venna and Kaski, 2001) falls when strangers are drawn close; `knn_overlap` is the mean share of
    the k nearest neighbors that are the same in the picture. Both on `rows` rows drawn with `seed`.
    """

    trustworthiness: float
    knn_overlap: float
    k: int
    rows: int
    seed: int


@dataclass(frozen=True)
class VoteAccuracy(Plain):
    """Accuracy of a vote of k neighbors for the label, in the points (`before`) and in their map (`after`).

    Both on the same `rows` rows, counted as `how` says. `majority` is the share of the most frequent class among
    them; intervals are 95 % (bootstrap over rows).
    """

    before: float
    before_interval: tuple[float, float]
    after: float
    after_interval: tuple[float, float]
    majority: float
    k: int
    rows: int
    how: str
    own: float | None = None  # accuracy of a decision that was made for these rows, by a trained model say
    lost: PairedDifference | None = None  # how much of that the vote in the map loses


def faithfulness(points: ArrayLike, flat: ArrayLike, *, k: int = 10, rows: int = 2000, seed: int = 0) -> Faithfulness:
    """Compare the neighborhoods of points (rows, width) with those of their flat picture (rows, 2 or 3).

    Both distances are Euclidean. Of more than `rows` points a seeded sample is compared with itself. Where fewer than
    2 k + 1 points stand, k is lowered to what trustworthiness allows; the result says which k was used.

    Raises:
        DataError: fewer than four points.

    >>> points = np.arange(20.0)[:, None] ** 2
    >>> faithfulness(points, np.hstack([points, points]), k=3)
    Faithfulness(trustworthiness=1.0, knn_overlap=1.0, k=3, rows=20, seed=0)
    """
    from sklearn.manifold import trustworthiness

    check_count(k, "k")
    check_count(rows, "rows", low=4)
    high, low = check_matrix(points, "points"), check_matrix(flat, "flat points")
    check_same_rows(len(high), len(low), "points", "flat points")
    if len(high) < 4:
        raise DataError("too few points to compare neighborhoods", got=len(high), expected="4 or more")
    chosen = draw_rows(len(high), rows, seed)
    high, low, count = high[chosen], low[chosen], len(chosen)
    k = min(k, (count - 1) // 2)
    true, drawn = (neighbors(x, x, k, metric="euclidean", exclude_self=True).index for x in (high, low))
    # A pair (query, neighbor) written as one number, so that shared pairs are shared numbers.
    line = np.arange(count)[:, None] * count
    shared = np.intersect1d((line + true).ravel(), (line + drawn).ravel(), assume_unique=True)
    overlap = len(shared) / (count * k)
    return Faithfulness(float(trustworthiness(high, low, n_neighbors=k)), overlap, k, count, seed)


@dataclass(frozen=True, eq=False)
class MappedRows:
    """Rows that vote or are voted on: their points, their places in the map, their class numbers."""

    points: NDArray[np.float32]  # (rows, width)
    flat: NDArray[np.float32]  # (rows, dimensions)
    labels: NDArray[np.int64]  # (rows,), -1 where there is none
    decided: NDArray[np.int64] | None = None  # (rows,) class numbers that a model decided for

    def labelled(self) -> MappedRows:
        """Those with a label."""
        known = self.labels >= 0
        decided = None if self.decided is None else self.decided[known]
        return MappedRows(self.points[known], self.flat[known], self.labels[known], decided)


def vote_accuracy(queries: MappedRows, voters: MappedRows | None = None, *, k: int = 10, seed: int = 0) -> VoteAccuracy:
    """How well neighbors tell the label before and after flattening.

    Args:
        queries: the rows that are scored.
        voters: the rows that vote; without them, all of `queries` but the row itself.
        k: neighbors; lowered to half the rows of an average class. The result says which k was used.

    Raises:
        DataError: fewer than two classes or rows.

    >>> x = np.array([[0.0, 0], [0, 1], [0, 2], [9, 0], [9, 1], [9, 2]], np.float32)
    >>> votes = vote_accuracy(MappedRows(x, x[:, 1:], np.array([0, 0, 0, 1, 1, 1])), k=1)
    >>> votes.before, votes.after, votes.majority
    (1.0, 0.0, 0.5)
    """
    alone = voters is None
    base = queries if voters is None else voters
    classes = int(max(base.labels.max(initial=0), queries.labels.max(initial=0))) + 1
    known, gold = check_labels(base.labels, classes), check_labels(queries.labels, classes)
    # More neighbors than half a class has rows would let the other classes outvote it wherever it lies.
    k = min(check_count(k, "k"), max(1, len(known) // (2 * classes)), len(known) - alone)
    if classes < 2 or k < 1:
        raise DataError("too few rows or classes for a vote", got=f"{len(known)} rows, {classes} classes")
    names = [str(number) for number in range(classes)]
    scores, answers = [], gold
    for asking, rows in ((queries.points, base.points), (queries.flat, base.flat)):
        votes = knn_predict(asking, rows, known, k, classes=classes, metric="euclidean", exclude_self=alone)
        answers = votes.argmax(axis=1)
        scores.append(classification(gold, answers, names, seed=seed))
    before, after = scores
    how, own, lost = LEAVE_ONE_OUT if alone else HELD_OUT, None, None
    if queries.decided is not None:
        right = queries.decided == gold
        own, lost = float(right.mean()), compare_answers(right, answers == gold, seed=seed)
    return VoteAccuracy(
        before.accuracy, before.interval, after.accuracy, after.interval, before.majority, k, len(gold), how, own, lost
    )
