"""The shape of a cloud of vectors: how wide, in how many directions, how far classes stand apart, and their collapse.

Every figure here is exact and costs one pass over the rows or one matrix of the smaller of rows and width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.checks import (
    check_distances,
    check_labelled,
    check_labels,
    check_matrix,
    check_no_index,
    check_same_rows,
)
from separatrix.recipe.core import Plain


@dataclass(frozen=True)
class Scatter:
    """Mean squared distance of rows to their class mean (`within`) and of class means to the mean (`between`)."""

    within: float
    between: float

    @property
    def between_share(self) -> float:
        """Share of the variance that lies between the classes, 0 to 1; 0 where nothing varies."""
        total = self.within + self.between
        return self.between / total if total > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**vars(self), "between_share": self.between_share}


def class_means(x: NDArray[Any], y: NDArray[np.int64], classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean of each class (classes, width), zeros where it has no rows, and its rows (classes,).

    >>> means, rows = class_means(np.array([[0.0], [2.0], [5.0]]), np.array([0, 0, 2]), 3)
    >>> means[:, 0].tolist(), rows.tolist()
    ([1.0, 0.0, 5.0], [2, 0, 1])
    """
    counts = np.bincount(y, minlength=classes)
    member = csr_matrix((np.ones(len(y)), (y, np.arange(len(y)))), shape=(classes, len(y)))
    return member @ x.astype(np.float64, copy=False) / np.maximum(counts, 1)[:, None], counts


def scatter(x: ArrayLike, y: ArrayLike, classes: int) -> Scatter:
    """Within and between scatter of classes.

    >>> scatter([[0.0], [2.0], [8.0], [10.0]], [0, 0, 1, 1], 2)
    Scatter(within=1.0, between=16.0)
    """
    vectors, gold = check_labelled(x, y, classes)
    means, counts = class_means(vectors, gold, classes)
    centre = (counts[:, None] * means).sum(axis=0) / len(vectors)
    between = float((counts * ((means - centre) ** 2).sum(axis=1)).sum() / len(vectors))
    within = float(((vectors - means[gold]) ** 2).sum() / len(vectors))
    return Scatter(within, between)


def effective_rank(x: ArrayLike) -> float:
    """How many directions the centred vectors really use: exp of the entropy of their singular values, 1 to width.

    Roy and Vetterli, 2007, "The effective rank". 0 where all rows are equal.

    >>> round(effective_rank([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 6)
    2.0
    """
    vectors = check_matrix(x, "vectors").astype(np.float64)
    centred = vectors - vectors.mean(axis=0)
    small = centred.T @ centred if centred.shape[1] <= centred.shape[0] else centred @ centred.T
    squares = np.clip(np.linalg.eigvalsh(small), 0, None)
    # Subtracting the mean leaves noise of rounding size in every direction.
    floor = (np.finfo(np.float64).eps * float(np.abs(vectors).max())) ** 2 * vectors.size
    values = np.sqrt(squares[squares > max(floor, float(squares.max()) * 1e-14)])
    if len(values) == 0:
        return 0.0
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def anisotropy(x: ArrayLike) -> float:
    """Mean cosine of two different rows: 0 where directions are spread evenly, 1 where all point one way.

    Exact over all pairs, in one pass (Ethayarajh, 2019, samples them). Zero vectors have cosine 0.

    Raises:
        DataError: fewer than two rows.

    >>> round(anisotropy([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), 4)
    0.3333
    """
    vectors = check_matrix(x, "vectors").astype(np.float64)
    rows = len(vectors)
    if rows < 2:
        raise DataError("one row has no pair", got=rows, expected="2 rows or more")
    length = np.linalg.norm(vectors, axis=1)
    directed = length > 0
    total = (vectors[directed] / length[directed, None]).sum(axis=0)
    return float((total @ total - directed.sum()) / (rows * (rows - 1)))


def check_features(x: ArrayLike) -> tuple[NDArray[Any], tuple[str, ...]]:
    """A matrix that can be scored, and warnings about it; a column of row numbers is refused.

    Raises:
        DataError: a column of row numbers, rows that are all equal, a number that is not finite.

    >>> check_features([[1.0, 0.5], [1.0, 0.2]])[1]
    ('1 of 2 columns of the vectors is constant (column 0)',)
    """
    vectors = check_distances(x, "vectors")
    check_no_index(vectors)
    constant = np.flatnonzero(vectors.min(axis=0) == vectors.max(axis=0))
    if len(constant) == vectors.shape[1]:
        raise DataError("vectors are all equal", got=f"{len(vectors)} rows", expected="at least one column that varies")
    if not len(constant):
        return vectors, ()
    verb, more = ("is", "") if len(constant) == 1 else ("are", " and others")
    where = f"(column {constant[0]}{more})"
    return vectors, (f"{len(constant)} of {vectors.shape[1]} columns of the vectors {verb} constant {where}",)


@dataclass(frozen=True)
class Collapse(Plain):
    """`nc3` and `nc4` compare with a classifier and are None without one."""

    nc1: float  # trace(within covariance @ pinv(between covariance)) / classes
    nc2_norm: float  # spread of the lengths of the centred class means, relative to their mean
    nc2_angle: float  # mean |cosine + 1 / (classes - 1)| of two centred class means
    nc3: float | None  # squared distance of classifier and class means, each scaled to length 1
    nc4: float | None  # share of rows that classifier and nearest class mean answer differently


def collapse(
    x: ArrayLike, y: ArrayLike, classes: int, *, weight: ArrayLike | None = None, predicted: ArrayLike | None = None
) -> Collapse:
    """NC1 to NC4 of vectors with labels.

    Args:
        classes: number of classes; those without rows are left out.
        weight: rows of a linear classifier on these very vectors, (classes, width); gives `nc3`.
        predicted: class numbers that a classifier gives to these rows, (rows,); gives `nc4`.

    Raises:
        DataError: fewer than two classes with rows, or two classes with one and the same mean for all.

    >>> x = [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]
    >>> shape = collapse(x, [0, 0, 1, 1], 2, weight=[[2.0, 0.0], [-2.0, 0.0]], predicted=[0, 0, 1, 1])
    >>> shape
    Collapse(nc1=0.0, nc2_norm=0.0, nc2_angle=0.0, nc3=0.0, nc4=0.0)
    """
    vectors, gold = check_labelled(x, y, classes)
    means, counts = class_means(vectors, gold, classes)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise DataError("collapse needs two classes with rows", got=len(present), expected="2 or more")
    arms = means[present] - means[present].mean(axis=0)  # (present classes, width)
    lengths = np.linalg.norm(arms, axis=1)
    if not lengths.any():
        raise DataError("all class means are one and the same point", hint="these vectors do not depend on the class")
    return Collapse(
        nc1=_nc1(vectors, gold, means, arms),
        nc2_norm=float(lengths.std() / lengths.mean()),
        nc2_angle=_nc2_angle(arms, lengths),
        nc3=None if weight is None else _nc3(arms, weight, classes, present),
        nc4=None if predicted is None else _nc4(vectors, means, present, predicted, classes),
    )


def _nc1(
    vectors: NDArray[Any], gold: NDArray[np.int64], means: NDArray[np.float64], arms: NDArray[np.float64]
) -> float:
    """The pseudo-inverse is taken in the few directions of the class means; the width x width matrices never exist."""
    _, values, directions = np.linalg.svd(arms / np.sqrt(len(arms)), full_matrices=False)
    # Centred means have a direction less than there are classes; what else is small is rounding of means far from 0.
    size = max(values.max(), np.linalg.norm(means, axis=1).max())
    varying = values > size * np.finfo(np.float64).eps * max(arms.shape)
    varying[len(arms) - 1 :] = False
    axes = directions[varying].T
    spread = ((vectors @ axes - (means @ axes)[gold]) ** 2).mean(axis=0)  # within variance along each direction
    return float((spread / values[varying] ** 2).sum() / len(arms))


def _nc2_angle(arms: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    unit = arms / np.where(lengths > 0, lengths, 1)[:, None]
    cosines = (unit @ unit.T)[np.triu_indices(len(arms), 1)]
    return float(np.abs(cosines + 1 / (len(arms) - 1)).mean())


def _nc3(arms: NDArray[np.float64], weight: ArrayLike, classes: int, present: NDArray[Any]) -> float:
    rows = check_matrix(weight, "weight", width=arms.shape[1])
    if len(rows) != classes:
        raise ShapeError("weight needs one row per class", got=len(rows), expected=classes)
    own = rows[present] - rows[present].mean(axis=0)  # a shift of all rows changes no answer
    size = np.linalg.norm(own)
    if size == 0:
        return 1.0
    return float(((own / size - arms / np.linalg.norm(arms)) ** 2).sum())


def _nc4(
    vectors: NDArray[Any], means: NDArray[np.float64], present: NDArray[Any], predicted: ArrayLike, classes: int
) -> float:
    answers = check_labels(predicted, classes, "predictions")
    check_same_rows(len(vectors), len(answers), "vectors", "predictions")
    near = means[present]
    # |x - m|^2 without |x|^2, which is the same for every class.
    nearest = present[(-2 * vectors @ near.T + (near**2).sum(axis=1)).argmin(axis=1)]
    return float((nearest != answers).mean())
