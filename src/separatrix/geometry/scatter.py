"""The shape of a cloud of vectors: how wide, in how many directions, how far the classes stand apart.

Every figure here is exact and costs one pass over the rows or one matrix of the smaller of rows and width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from separatrix.errors import DataError
from separatrix.geometry.checks import check_distances, check_labels, check_matrix, check_no_index, check_same_rows


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

    Args:
        x: vectors (rows, width).
        y: class numbers (rows,).
        classes: number of classes.

    Raises:
        DataError, ShapeError: labels outside the classes, lengths that differ, a number that is not finite.

    >>> scatter([[0.0], [2.0], [8.0], [10.0]], [0, 0, 1, 1], 2)
    Scatter(within=1.0, between=16.0)
    """
    vectors, gold = check_matrix(x, "vectors"), check_labels(y, classes)
    check_same_rows(len(vectors), len(gold), "vectors", "labels")
    means, counts = class_means(vectors, gold, classes)
    centre = (counts[:, None] * means).sum(axis=0) / len(vectors)
    between = float((counts * ((means - centre) ** 2).sum(axis=1)).sum() / len(vectors))
    within = float(((vectors - means[gold]) ** 2).sum() / len(vectors))
    return Scatter(within, between)


def effective_rank(x: ArrayLike) -> float:
    """How many directions the centred vectors really use: exp of the entropy of their singular values, 1 to width.

    Roy and Vetterli, 2007, "The effective rank". 0 where all rows are equal.

    Args:
        x: vectors (rows, width).

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

    Args:
        x: vectors (rows, width), two rows or more.

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


def check_features(x: ArrayLike, what: str = "vectors") -> tuple[NDArray[Any], tuple[str, ...]]:
    """A matrix that can be scored, and warnings about it; a column of row numbers is refused.

    Raises:
        DataError: a column of row numbers, rows that are all equal, a number that is not finite.

    >>> check_features([[1.0, 0.5], [1.0, 0.2]])[1]
    ('1 of 2 columns of the vectors is constant (column 0)',)
    """
    vectors = check_distances(x, what)
    check_no_index(vectors)
    constant = np.flatnonzero(vectors.min(axis=0) == vectors.max(axis=0))
    if len(constant) == vectors.shape[1]:
        raise DataError(f"{what} are all equal", got=f"{len(vectors)} rows", expected="at least one column that varies")
    if not len(constant):
        return vectors, ()
    verb, more = ("is", "") if len(constant) == 1 else ("are", " and others")
    where = f"(column {constant[0]}{more})"
    return vectors, (f"{len(constant)} of {vectors.shape[1]} columns of the {what} {verb} constant {where}",)
