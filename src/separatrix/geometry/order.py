"""Which classes are alike: an order in which neighbors are close, cut into groups, from the means of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import pdist

from separatrix.geometry.checks import check_labels, check_matrix, check_same_rows

GROUPS = 10  # as many as there are colours that stay apart
_EXACT = 400  # classes up to which the order of the leaves is the best one


@dataclass(frozen=True, eq=False)
class ClassGroups:
    """Classes in an order of closeness, and the group of each."""

    order: NDArray[np.int64]  # (classes,) class numbers, alike ones side by side
    group: NDArray[np.int64]  # (classes,) numbers of the groups, 0, 1, ... along the order
    middle: NDArray[np.int64]  # (groups,) the class of each group that is closest to the group's mean


def class_groups(points: ArrayLike, labels: ArrayLike, classes: int, groups: int = GROUPS) -> ClassGroups:
    """Order classes by the closeness of their means: leaves of Ward's tree, whose neighbors are as near as it allows.

    Args:
        points: (rows, width).
        labels: (rows,) class numbers; a class without rows stands at the mean of all.
        classes: how many there are.
        groups: at most so many.

    Source: Ward (1963); order of the leaves: Bar-Joseph, Gifford and Jaakkola (2001).

    >>> two_pairs = class_groups([[0.0], [9.0], [0.1], [9.2]], [0, 1, 2, 3], 4, groups=2)
    >>> two_pairs.order.tolist() in ([0, 2, 1, 3], [2, 0, 1, 3], [3, 1, 2, 0], [1, 3, 2, 0]), len(set(two_pairs.group))
    (True, 2)
    """
    x, y = check_matrix(points, "points"), check_labels(labels, classes)
    check_same_rows(len(x), len(y), "points", "labels")
    means = _means(x.astype(np.float64), y, classes)
    if classes < 3:
        return ClassGroups(np.arange(classes), np.arange(classes), np.arange(classes))
    tree = linkage(pdist(means), "ward", optimal_ordering=classes <= _EXACT)
    order = leaves_list(tree).astype(np.int64)
    cut = fcluster(tree, groups, "maxclust")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(cut[order].tolist()))}
    group = np.array([numbers[name] for name in cut.tolist()])
    middle = np.array([_middle(means, np.flatnonzero(group == one)) for one in numbers.values()])
    return ClassGroups(order, group, middle)


def _means(x: NDArray[np.float64], y: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    sums, counts = np.zeros((classes, x.shape[1])), np.bincount(y, minlength=classes)[:, None]
    np.add.at(sums, y, x)
    return np.where(counts > 0, sums / np.maximum(counts, 1), x.mean(axis=0))


def _middle(means: NDArray[np.float64], own: NDArray[np.int64]) -> int:
    return int(own[np.linalg.norm(means[own] - means[own].mean(axis=0), axis=1).argmin()])
