"""Do clusters know the classes? Each cluster gets a class by majority, or clusters and classes are matched one to one.

The two answer different questions and are never mixed: the majority of many small clusters is always good, down to one
row per cluster, where it is perfect. So beside each accuracy stand the majority class, an interval, and what the same
clusters score on shuffled labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import random_table

from separatrix.geometry.checks import check_count, check_labels, check_names, check_same_rows

_RESAMPLES = 1000


@dataclass(frozen=True)
class Assigned:
    """One way of giving classes to clusters, scored over all rows; noise and clusters without a class are wrong."""

    classes: tuple[int, ...]  # class of each cluster, -1 for none
    accuracy: float
    interval: tuple[float, float]  # 95 %, rows drawn with replacement under this assignment
    null: float  # mean accuracy on shuffled labels
    null_high: float  # its 95th percentile
    p_value: float  # share of shuffles (and this one) that score as high

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**vars(self), "classes": list(self.classes), "interval": list(self.interval)}


@dataclass(frozen=True, eq=False)
class Assignment:
    """Clusters against classes."""

    names: tuple[str, ...]
    table: NDArray[np.int64]  # (clusters, classes) rows
    rows: int  # noise included
    majority_class: float  # share of the most frequent class: the baseline
    covered: float  # share of the rows that lie in a cluster
    majority: Assigned
    matched: Assigned  # Hungarian: no class twice

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "classes": list(self.names),
            "rows": self.rows,
            "majority_baseline": self.majority_class,
            "covered": self.covered,
            "majority": self.majority.to_dict(),
            "matched": self.matched.to_dict(),
        }


def assign(
    clusters: ArrayLike, labels: ArrayLike, names: tuple[str, ...], *, permutations: int = 999, seed: int = 0
) -> Assignment:
    """Give classes to clusters by majority and by Hungarian matching (Kuhn, 1955), and score both.

    Args:
        clusters: (rows,) 0 .. clusters - 1, -1 for noise.
        labels: (rows,) class numbers.
        names: name of each class.
        permutations: shuffles of the labels over the rows.
        seed: of the shuffles and of the interval.

    Raises:
        DataError, ShapeError: labels outside the classes, lengths that differ.

    >>> found = assign([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1], ("no", "yes"))
    >>> found.majority.accuracy, round(found.matched.accuracy, 3), found.matched.classes
    (1.0, 0.667, (0, 1, -1))
    """
    listed = check_names(names)
    check_count(permutations, "permutations")
    gold = check_labels(labels, len(listed))
    groups = np.asarray(clusters)
    check_same_rows(len(groups), len(gold), "clusters", "labels")
    inside = groups >= 0
    parts = int(groups.max(initial=-1)) + 1
    table = _cross(groups[inside], gold[inside], parts, len(listed))
    rng = np.random.default_rng(seed)
    shuffled = _shuffled(groups, gold, (parts, len(listed)), permutations, rng)
    ways = [
        _score(classes, hits, [best(one)[1] for one in shuffled], len(gold), rng)
        for best in (_majority, _matching)
        for classes, hits in [best(table)]
    ]
    share = float(np.bincount(gold).max() / len(gold))
    return Assignment(listed, table, len(gold), share, float(inside.mean()), *ways)


def _cross(groups: NDArray[np.int64], gold: NDArray[np.int64], parts: int, classes: int) -> NDArray[np.int64]:
    return np.bincount(groups * classes + gold, minlength=parts * classes).reshape(parts, classes)


def _shuffled(
    groups: NDArray[np.int64], gold: NDArray[np.int64], shape: tuple[int, int], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Tables of `count` shuffles, (count, clusters, classes): drawn with both margins kept, noise as one more row."""
    if not shape[0]:
        return np.zeros((count, *shape), np.int64)
    sizes = np.bincount(groups + 1, minlength=shape[0] + 1)
    totals = np.bincount(gold, minlength=shape[1])
    return random_table(sizes, totals).rvs(count, random_state=rng)[:, 1:]


def _majority(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    return table.argmax(axis=1), int(table.max(axis=1).sum())


def _matching(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    classes = np.full(len(table), -1, np.int64)
    chosen, answers = linear_sum_assignment(table, maximize=True)
    classes[chosen] = answers
    return classes, int(table[chosen, answers].sum())


def _score(
    classes: NDArray[np.int64], hits: int, null_hits: list[int], rows: int, rng: np.random.Generator
) -> Assigned:
    accuracy = hits / rows
    # Rows drawn with replacement are right or wrong: their number is binomial.
    low, high = np.percentile(rng.binomial(rows, accuracy, _RESAMPLES) / rows, (2.5, 97.5))
    null = np.array(null_hits) / rows
    reached = (1 + int((np.array(null_hits) >= hits).sum())) / (1 + len(null_hits))
    return Assigned(
        tuple(classes.tolist()),
        accuracy,
        (float(low), float(high)),
        float(null.mean()),
        float(np.percentile(null, 95)),
        reached,
    )
