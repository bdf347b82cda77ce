"""Neural collapse (Papyan, Han and Donoho, 2020): do classes shrink to points that stand as far apart as they can.

Four figures, each 0 for a full collapse. They are made for balanced classes; with unequal ones every class still counts
the same (the centre is the mean of the class means), so that a large class cannot hide a small one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.checks import check_labels, check_matrix, check_same_rows
from separatrix.geometry.scatter import class_means
from separatrix.recipe.core import Plain


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
        x: vectors (rows, width).
        y: class numbers (rows,).
        classes: number of classes; those without rows are left out.
        weight: rows of a linear classifier on these very vectors, (classes, width); gives `nc3`.
        predicted: class numbers that a classifier gives to these rows, (rows,); gives `nc4`.

    Raises:
        DataError: fewer than two classes with rows, or two classes with one and the same mean for all.
        ShapeError: lengths or widths differ.

    >>> x = [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]
    >>> shape = collapse(x, [0, 0, 1, 1], 2, weight=[[2.0, 0.0], [-2.0, 0.0]], predicted=[0, 0, 1, 1])
    >>> shape
    Collapse(nc1=0.0, nc2_norm=0.0, nc2_angle=0.0, nc3=0.0, nc4=0.0)
    """
    vectors, gold = check_matrix(x, "vectors"), check_labels(y, classes)
    check_same_rows(len(vectors), len(gold), "vectors", "labels")
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
