"""Linear classifiers of all rows from sums, which both have from the same readings: nearest centroid, LDA.

Answers take a reading each. Rows of class -1 are not fitted to; they are answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separatrix.geometry.rowspace import shrinkage_of
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.moments import Moments, join_moments

Ids = NDArray[np.int64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """The class with the largest score `row @ weight.T + bias`; a class without rows is never answered."""

    weight: Matrix  # (classes, width)
    bias: Matrix  # (classes,)

    def answers(self, source: BlockSource, job: BlockJob) -> Ids:
        """The class of each row, (rows,)."""
        tasks = [(part, None, self.weight, self.bias) for _, part in parts(source)]
        return np.concatenate([each["answers"] for each in job.run("answers", kernels.linear, tasks)])


@dataclass(frozen=True, eq=False)
class ClassSums:
    """What both classifiers are made of; make them with `class_sums`."""

    means: Matrix  # (classes, width); 0 of a class without rows
    counts: Ids  # (classes,)
    whole: Moments  # of the rows that have a class, with all products
    fourth: float  # sum over these rows of the fourth power of their distance to their class' mean

    @property
    def within(self) -> Matrix:
        """Products about the mean of each class, (width, width)."""
        gaps = self.means - self.whole.mean
        return self.whole.squares - (gaps * self.counts[:, None]).T @ gaps


def class_sums(source: BlockSource, classes: Ids, count: int, job: BlockJob) -> ClassSums:
    """Sums of rows (rows, width) by class (rows,); a second reading for the shrinkage of the discriminant."""
    own = [(part, classes[start : start + part.rows]) for start, part in parts(source)]
    sums, counts, moments = np.zeros((count, source.width)), np.zeros(count, np.int64), []
    for partial in job.run("class sums", kernels.class_moments, [(part, ids, count) for part, ids in own]):
        sums += partial.pop("sums")
        counts += partial.pop("counts")
        if int(partial["count"]):
            moments.append(partial)
    means = sums / np.maximum(counts, 1)[:, None]
    tasks = [(part, ids, means) for part, ids in own]
    fourth = sum(float(each["fourth"]) for each in job.run("shrinkage", kernels.fourth_within, tasks))
    return ClassSums(means, counts, join_moments(moments), fourth)


def centroid(sums: ClassSums) -> LinearClassifier:
    """The class whose mean is nearest (Euclidean)."""
    return _with_rows(sums, sums.means, -0.5 * (sums.means**2).sum(axis=1))


def lda(sums: ClassSums) -> LinearClassifier:
    """Linear discriminant analysis with one pooled covariance, shrunk as Ledoit and Wolf (2004) do."""
    rows, width = sums.whole.count, sums.means.shape[1]
    values, axes = np.linalg.eigh(sums.within / rows)
    values = np.maximum(values, 0)
    share = shrinkage_of(sums.fourth, rows, values, width)
    squares = (1 - share) * values + share * values.sum() / width
    kept = squares > squares.max() * np.finfo(np.float64).eps * width
    means = sums.means - sums.whole.mean
    weight = means @ axes[:, kept] / squares[kept] @ axes[:, kept].T
    with np.errstate(divide="ignore"):
        prior = np.log(sums.counts / rows)
    return _with_rows(sums, weight, prior - 0.5 * (means * weight).sum(axis=1) - weight @ sums.whole.mean)


def _with_rows(sums: ClassSums, weight: Matrix, bias: Matrix) -> LinearClassifier:
    return LinearClassifier(np.ascontiguousarray(weight), np.where(sums.counts > 0, bias, -np.inf))


LINEAR = {"centroid": centroid, "lda": lda}
