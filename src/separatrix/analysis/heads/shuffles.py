"""Two nulls for labels of heads, both from one table: how often each label falls on each head.

Shuffled inside each window: what a window does to all its maps stays, but every window counts as a draw of its own. A
head that does the same in every window is then counted as often as there are windows, and any model whose heads have
habits beats this null. So a claim about layers or heads has a second one: the places of whole heads are permuted, in
every window alike, and the heads of the model are the draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError
from separatrix.geometry.nulls import Null, against, permutation_null

Counts = NDArray[np.int64]  # (labels, heads)
Statistic = Callable[[Counts], float]


@dataclass(frozen=True, eq=False)
class HeadCounts:
    """Rows of each label on each head, and the same for shuffles inside the windows."""

    observed: Counts  # row 0 is noise, row 1 the first cluster
    shuffled: NDArray[np.int64]  # (shuffles, labels, heads)
    seed: int

    def within(self, statistic: Statistic) -> Null:
        """A figure beside its values when heads change places inside each window."""
        drawn = np.array([statistic(counts) for counts in self.shuffled])
        return against(statistic(self.observed), drawn, int(self.observed.sum()))

    def over_heads(self, statistic: Statistic) -> Null:
        """A figure beside its values when whole heads change places, in every window alike.

        A figure that does not know where a head stands, but only that it is another one, is the same in every shuffle.
        """
        places = np.arange(self.observed.shape[1])
        return permutation_null(
            lambda order: statistic(self.observed[:, order]), places, permutations=len(self.shuffled), seed=self.seed
        )


def head_counts(
    labels: ArrayLike, cells: NDArray[np.int64], windows: NDArray[np.int64], *, permutations: int, seed: int
) -> HeadCounts:
    """Count labels by head, as they are and shuffled inside each window.

    Args:
        labels: (rows,) -1 for noise, 0, 1, 2 ...
        cells: (rows,) the head's number over all layers.
        windows: (rows,) numbers 0, 1, 2 ...; every window has all heads.
        permutations, seed: of the shuffles.

    Raises:
        DataError: windows with different numbers of heads.

    >>> made = head_counts([0, 1, 0, 1], np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), permutations=9, seed=0)
    >>> made.observed.tolist()
    [[0, 0], [2, 0], [0, 2]]
    """
    rows = np.asarray(labels, dtype=np.int64) + 1
    width = int(cells.max()) + 1
    shape = (int(rows.max()) + 1, width)
    sizes = np.bincount(windows)
    if sizes.min() != sizes.max():
        raise DataError("windows have different numbers of heads", expected="every head once in every window")
    boxes = np.argsort(windows, kind="stable").reshape(len(sizes), -1)
    first, places = rows[boxes] * width, cells[boxes]  # (windows, heads)
    generator = np.random.default_rng(seed)
    shuffled = np.empty((permutations, *shape), np.int64)
    for draw in range(permutations):
        shuffled[draw] = _count(first + generator.permuted(places, axis=1), shape)
    return HeadCounts(_count(first + places, shape), shuffled, seed)


def _count(numbers: NDArray[np.int64], shape: tuple[int, int]) -> Counts:
    return np.bincount(numbers.ravel(), minlength=shape[0] * shape[1]).reshape(shape)


def gather(counts: Counts, groups: NDArray[np.int64]) -> Counts:
    """Columns of the same group added up: (labels, heads) -> (labels, groups).

    >>> gather(np.array([[1, 2, 4]]), np.array([0, 1, 0])).tolist()
    [[5, 2]]
    """
    return counts @ np.eye(int(groups.max()) + 1, dtype=np.int64)[groups]
