"""Which vectors suit a task, without training anything: LogME and H-score.

Both read one matrix of the smaller of rows and width, once; a second set of labels (a shuffled one, for the value that
means nothing) costs hardly more. Neither has a natural zero: compare them between vectors of the same
rows, or with their own value under shuffled labels, which `Evidence` and `HScore` give cheaply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.geometry.checks import check_labels, check_matrix, check_same_rows, check_squared
from separatrix.geometry.rowspace import RowSpace, ShrunkCovariance, kept_directions
from separatrix.geometry.scatter import class_means

_GRID = np.linspace(-1.0, 1.0, 33)  # the maximum is sought on a grid that zooms in
_ZOOMS, _HALVINGS = 2, 24  # then there is one maximum in reach, sought where the slope is 0
_DECADES = (-12.0, 8.0)  # precision ratio sought, in powers of ten of the largest eigenvalue
_FLOOR = 1e-14  # residual below this share of the targets' squares is rounding


@dataclass(frozen=True, eq=False)
class Evidence:
    """Vectors made ready for LogME; make one with `Evidence.of`, then ask it for any targets of the same rows.

    The logarithm of maximum evidence per row says how well a Bayesian linear model of the vectors, used as they are,
    explains the targets (You, Liu, Wang and Long, 2021, "LogME"); each class is a 0/1 target. The published fixed point
    looks for the prior's and the noise's precision alpha and beta; here beta is solved for and the evidence is
    maximised over alpha / beta alone, which cannot diverge.

    >>> evidence = Evidence.of([[1.0, 0.1], [0.9, -0.1], [-1.0, 0.1], [-1.1, -0.1]])
    >>> evidence.of_classes([0, 0, 1, 1], 2) > evidence.of_classes([0, 1, 0, 1], 2)
    True
    """

    axes: NDArray[np.float64]  # (rows, directions): left singular vectors
    squares: NDArray[np.float64]  # (directions,): squared singular values

    @classmethod
    def of(cls, x: ArrayLike) -> Evidence:
        """Decompose vectors (rows, width) once."""
        vectors = check_matrix(x, "vectors").astype(np.float64)
        if vectors.shape[1] > vectors.shape[0]:
            squares, left = kept_directions(vectors @ vectors.T)
            return cls(left, squares)
        squares, right = kept_directions(vectors.T @ vectors)
        return cls(vectors @ (right / np.sqrt(squares)), squares)

    def of_classes(self, y: ArrayLike, classes: int) -> float:
        """LogME of class numbers (rows,): the mean over the classes that have rows, each against the rest."""
        gold = check_labels(y, classes)
        check_same_rows(len(self.axes), len(gold), "vectors", "labels")
        present = np.unique(gold)
        return float(self._per_row((gold[:, None] == present).astype(np.float64)).mean())

    def of_numbers(self, y: ArrayLike) -> float:
        """LogME of numbers (rows,)."""
        targets = check_squared(y, "targets")
        check_same_rows(len(self.axes), len(targets), "vectors", "targets")
        return float(self._per_row(targets[:, None])[0])

    def _per_row(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest log evidence per row of each column of targets (rows, columns)."""
        rows, squares = len(targets), self.squares[:, None]
        power = (self.axes.T @ targets) ** 2  # (directions, columns): squared targets along each direction
        total = (targets**2).sum(axis=0)  # (columns,)
        outside = np.maximum(total - power.sum(axis=0), 0)
        floor = np.maximum(_FLOOR * total, np.finfo(np.float64).tiny)
        top = float(self.squares.max()) if len(self.squares) else 1.0
        middle, reach = np.full(targets.shape[1], np.mean(_DECADES)), (_DECADES[1] - _DECADES[0]) / 2
        here = np.arange(targets.shape[1])

        def evidence(decades: NDArray[np.float64]) -> NDArray[np.float64]:  # (grid, columns)
            ratio = top * 10.0 ** decades[:, None]
            misfit = outside + np.einsum("dc,gdc->gc", power, ratio / (ratio + squares))
            log_volume = np.log1p(squares / ratio).sum(axis=1)
            return 0.5 * (rows * (np.log(rows / np.maximum(misfit, floor) / (2 * np.pi)) - 1) - log_volume)

        for _ in range(_ZOOMS):
            decades = np.clip(middle + reach * _GRID[:, None], *_DECADES)
            middle, reach = decades[evidence(decades).argmax(axis=0), here], reach * 4 / len(_GRID)
        low, high = (np.clip(middle + side * reach, *_DECADES) for side in (-1, 1))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            kept = 1 / (1 + squares / (top * 10.0**middle))  # (directions, columns)
            misfit, steeper = outside + (power * kept).sum(axis=0), (power * kept * (1 - kept)).sum(axis=0)
            rises = (1 - kept).sum(axis=0) > np.where(misfit > floor, rows * steeper / np.maximum(misfit, floor), 0)
            low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        return evidence(((low + high) / 2)[None])[0] / rows


@dataclass(frozen=True, eq=False)
class HScore:
    """Centred vectors with their shrunk covariance; make one with `HScore.of`.

    The H-score is trace(inverse covariance @ covariance of the class means) (Bao et al., 2019), with the shrunk
    covariance of Ibrahim, Ponomareva and Mazumder, 2021 ("Newer is not always better"), without which it grows with the
    width. It is 0 where class means are equal and at most classes - 1.

    >>> ready = HScore.of([[1.0, 0.1], [0.9, -0.1], [-1.0, 0.1], [-1.1, -0.1]])
    >>> ready.of_classes([0, 0, 1, 1], 2) > ready.of_classes([0, 1, 0, 1], 2)
    True
    """

    centred: NDArray[np.float64]  # (rows, directions)
    covariance: ShrunkCovariance

    @classmethod
    def of(cls, x: ArrayLike, width: int | None = None) -> HScore:
        """Centre vectors (rows, width) and shrink their covariance; `width` is theirs before they were turned."""
        vectors = check_matrix(x, "vectors").astype(np.float64)
        centred = RowSpace.of(vectors - vectors.mean(axis=0)).coordinates
        return cls(centred, ShrunkCovariance.of(centred, width or vectors.shape[1]))

    def of_classes(self, y: ArrayLike, classes: int) -> float:
        """H-score of class numbers (rows,)."""
        gold = check_labels(y, classes)
        check_same_rows(len(self.centred), len(gold), "vectors", "labels")
        means, counts = class_means(self.centred, gold, classes)
        # trace(C^-1 G) with G = sum of share x mean mean^T: only as many solves as there are classes.
        explained = (means * self.covariance.solve(means)).sum(axis=1)  # (classes,)
        return float((1 - self.covariance.shrinkage) * ((counts / len(gold)) * explained).sum())
