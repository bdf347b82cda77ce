"""Do classes stand apart? Answers of simple classifiers on rows that they were not fitted to, and the silhouette.

Each classifier is one function behind `CLASSIFIERS`: training vectors and class numbers in, class numbers of other rows
out. `out_of_fold` turns any of them into answers for all rows, each given by a model that never saw the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from separatrix.codes import draw_rows
from separatrix.errors import DataError, choose
from separatrix.geometry.checks import check_count, check_labelled, check_labels, check_matrix, check_same_rows
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.neighbors import METRICS
from separatrix.geometry.probe import fit_probe
from separatrix.geometry.resample import Interval, bootstrap_mean
from separatrix.geometry.rowspace import RowSpace, ShrunkCovariance
from separatrix.geometry.scatter import class_means
from separatrix.recipe.core import Plain

Matrix = NDArray[Any]  # (rows, width)
Ids = NDArray[np.int64]  # (rows,)
# (training vectors, their class numbers, number of classes, vectors of other rows) -> class numbers of these
Classifier = Callable[[Matrix, Ids, int, Matrix], Ids]


def centroid(x: Matrix, y: Ids, classes: int, queries: Matrix) -> Ids:
    """The class whose mean is nearest (Euclidean); a class without rows is never answered.

    >>> centroid(np.array([[0.0], [2.0], [9.0]]), np.array([0, 0, 1]), 2, np.array([[4.0], [6.0]]))
    array([0, 1])
    """
    # Not scikit-learn's NearestCentroid, which needs two classes and warns of columns that are constant within them.
    means, counts = class_means(x, y, classes)
    scores = queries @ means.T - 0.5 * (means**2).sum(axis=1)  # largest where the distance is smallest
    return np.where(counts > 0, scores, -np.inf).argmax(axis=1)


def lda(x: Matrix, y: Ids, classes: int, queries: Matrix, width: int | None = None) -> Ids:
    """Linear discriminant analysis with one pooled covariance, shrunk as Ledoit and Wolf (2004) do.

    `width` is that of the vectors before they were turned into fewer directions.

    >>> lda(np.array([[0.0, 1.0], [0.2, 9.0], [1.0, 8.9], [1.2, 1.1]]), np.array([0, 0, 1, 1]), 2, np.array([[1.1, 3]]))
    array([1])
    """
    space = RowSpace.of(x.astype(np.float64))
    means, counts = class_means(space.coordinates, y, classes)
    covariance = ShrunkCovariance.of(space.coordinates - means[y], width or x.shape[1])
    weight = covariance.solve(means)  # (classes, directions)
    with np.errstate(divide="ignore"):
        prior = np.log(counts / len(y))  # -inf: a class without rows is never answered
    return (queries @ space.widen(weight).T - 0.5 * (means * weight).sum(axis=1) + prior).argmax(axis=1)


def probe(x: Matrix, y: Ids, classes: int, queries: Matrix) -> Ids:
    """Logistic regression on standardised vectors, with penalty 1.

    >>> probe(np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1]), 2, np.array([[2.0], [7.0]]))
    array([0, 1])
    """
    return fit_probe(x, y, classes).scores(queries).argmax(axis=1)


CLASSIFIERS: dict[str, Classifier] = {"centroid": centroid, "lda": lda, "probe": probe}


def out_of_fold(
    classifier: Classifier, x: ArrayLike, y: ArrayLike, classes: int, *, folds: int = 5, seed: int = 0
) -> Ids:
    """The answer for each row by a model fitted to the other folds, (rows,).

    Args:
        classifier: one of `CLASSIFIERS`, or a function like them.
        folds: parts of about equal size and class shares.

    Raises:
        DataError: fewer rows than folds, labels outside the classes.

    >>> out_of_fold(centroid, [[0.0], [1.0], [8.0], [9.0]], [0, 0, 1, 1], 2, folds=2)
    array([0, 0, 1, 1])
    """
    vectors, gold = check_labelled(x, y, classes)
    check_count(folds, "folds", low=2)
    fold, answers = deal_folds(gold, folds, seed=seed), np.empty(len(gold), np.int64)
    for number in range(folds):
        out = fold == number
        answers[out] = classifier(vectors[~out], gold[~out], classes, vectors[out])
    return answers


@dataclass(frozen=True)
class Silhouette(Plain):
    """Mean silhouette of `rows` rows (a seeded sample of them where there are more), with its 95 % interval."""

    value: float
    interval: Interval
    rows: int
    metric: str
    seed: int


def silhouette(
    x: ArrayLike, y: ArrayLike, classes: int, *, metric: str = "euclidean", rows: int = 2000, seed: int = 0
) -> Silhouette:
    """How much nearer a row is to its own class than to the next one (Rousseeuw, 1987), -1 to 1.

    A row that is alone in its class counts 0. A sample keeps the class shares as chance will have them.

    Args:
        y: class (or cluster) numbers (rows,).
        rows: rows compared with each other at most.

    Raises:
        DataError: one class only (in the sample), or as many classes as rows.
        OptionError: unknown metric.

    >>> silhouette([[0.0], [0.1], [9.0], [9.1]], [0, 0, 1, 1], 2).value.__round__(3)
    0.989
    """
    ready = Silhouettes.of(x, metric=metric, rows=rows, seed=seed)
    gold = check_labels(y, classes)
    check_same_rows(ready.all_rows, len(gold), "vectors", "labels")
    values = ready.values(gold)
    return Silhouette(float(values.mean()), bootstrap_mean(values, seed=seed), len(values), metric, seed)


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """Distances made ready for silhouettes of any labels of the same rows; make one with `Silhouettes.of`."""

    distance: NDArray[np.float64]  # (rows, rows)
    chosen: Ids  # (rows,) which rows of those given
    all_rows: int  # how many were given

    @classmethod
    def of(cls, x: ArrayLike, *, metric: str = "euclidean", rows: int = 2000, seed: int = 0) -> Silhouettes:
        """Compare vectors (rows, width) with each other, a seeded sample where there are more than `rows`."""
        from sklearn.metrics import pairwise_distances

        choose(metric, METRICS, "metric")
        check_count(rows, "rows", low=3)
        vectors = check_matrix(x, "vectors")
        chosen = draw_rows(len(vectors), rows, seed)
        distance = pairwise_distances(vectors[chosen].astype(np.float64), metric=metric)
        np.fill_diagonal(distance, 0)
        return cls(distance, chosen, len(vectors))

    def values(self, y: Ids) -> NDArray[np.float64]:
        """Silhouette of each chosen row, from the class numbers of all rows (all rows,).

        Raises:
            DataError: one class only (in the sample), or as many classes as rows.
        """
        ids, counts = silhouette_classes(y[self.chosen])
        members = csr_matrix((np.ones(len(ids)), (ids, np.arange(len(ids)))), shape=(len(counts), len(ids)))
        return silhouette_values((members @ self.distance).T, ids, counts)


def silhouette_classes(labels: Ids) -> tuple[Ids, Ids]:
    """Labels (rows,) as numbers 0, 1, 2 ... that all occur, and the rows of each.

    Raises:
        DataError: one class only, or as many classes as rows: nothing has a silhouette.
    """
    _, ids, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not 2 <= len(counts) < len(ids):
        what = "a silhouette needs two classes, and one of them with two rows"
        raise DataError(what, got=f"{len(counts)} classes")
    return ids, counts


def silhouette_values(sums: NDArray[np.float64], ids: Ids, counts: Ids) -> NDArray[np.float64]:
    """Silhouette of each row (rows,) from its summed distances to the rows of each class, (rows, classes)."""
    own = np.arange(len(ids)), ids
    within = sums[own] / np.maximum(counts[ids] - 1, 1)
    means = sums / counts
    means[own] = np.inf
    other = means.min(axis=1)
    longer = np.where(counts[ids] > 1, np.maximum(within, other), 0)
    return np.divide(other - within, longer, out=np.zeros(len(ids)), where=longer > 0)
