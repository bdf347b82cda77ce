"""Do clusters know the classes? Each cluster gets a class by majority, or clusters and classes are matched one to one.

The two answer different questions and are never mixed: the majority of many small clusters is always good, down to one
row per cluster, where it is perfect. So beside each accuracy stand the majority class, an interval, and what the same
clusters score on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from separatrix.codes import cross_counts, encode, majority_share
from separatrix.geometry.checks import check_count, check_labels, check_names, check_same_rows
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.nulls import against, cross_tables, permutation_null
from separatrix.geometry.resample import bootstrap_mean, compare_answers
from separatrix.recipe.core import Plain

_RESAMPLES = 1000


@dataclass(frozen=True)
class ClassAssignment(Plain):
    """One way of giving classes to clusters, scored over all rows; noise and clusters without a class are wrong."""

    classes: tuple[int, ...]  # class of each cluster, -1 for none
    accuracy: float
    interval: tuple[float, float]  # 95 %, rows drawn with replacement under this assignment
    null: float  # mean accuracy on shuffled labels
    null_high: float  # its 95th percentile
    p_value: float  # share of shuffles (and this one) that score as high


@dataclass(frozen=True, eq=False)
class Assignment:
    """Clusters against classes."""

    names: tuple[str, ...]
    table: NDArray[np.int64]  # (clusters, classes) rows
    rows: int  # noise included
    majority_class: float  # share of the most frequent class: the baseline
    covered: float  # share of the rows that lie in a cluster
    majority: ClassAssignment
    matched: ClassAssignment  # Hungarian: no class twice

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
        names: name of each class.
        permutations: shuffles of the labels over the rows.

    >>> result = assign([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1], ("no", "yes"))
    >>> result.majority.accuracy, round(result.matched.accuracy, 3), result.matched.classes
    (1.0, 0.667, (0, 1, -1))
    """
    listed = check_names(names)
    check_count(permutations, "permutations")
    gold = check_labels(labels, len(listed))
    groups = np.asarray(clusters)
    check_same_rows(len(groups), len(gold), "clusters", "labels")
    inside = groups >= 0
    parts = int(groups.max(initial=-1)) + 1
    order = first_row_order(gold, len(listed))
    gold = np.argsort(order)[gold]  # numbered by their first rows: ties and shuffles depend on no name
    table = cross_counts(groups + 1, gold, (parts + 1, len(listed)))  # noise is the first row
    rng = np.random.default_rng(seed)
    shuffled = [drawn[1:] for drawn in cross_tables(table, rng, permutations)]
    table = table[1:]
    ways = [
        _score(np.append(order, -1)[classes], hits, [best(one)[1] for one in shuffled], len(gold), rng)
        for best in (_majority, _matching)
        for classes, hits in [best(table)]
    ]
    table = table[:, np.argsort(order)]
    share = majority_share(gold)
    return Assignment(listed, table, len(gold), share, float(inside.mean()), *ways)


def assign_by_split(
    clusters: ArrayLike,
    labels: ArrayLike,
    names: tuple[str, ...],
    split: Any = None,
    *,
    permutations: int = 999,
    seed: int = 0,
) -> dict[str, Any]:
    """As `assign`, as plain data; with parts, training rows name the clusters and the others are scored by that.

    Args:
        clusters, labels, names, permutations, seed: as `assign`.
        split: (rows,) part of each row; without rows of `train` all rows name the clusters.

    Returns:
        What `assign` says of the rows that name, `named_by` (`all` or `train`), and for every other part the same
        figures in `by_split`.

    >>> result = assign_by_split([0, 1, 0, 0], [0, 1, 0, 1], ("no", "yes"), ["train", "train", "test", "test"])
    >>> result["majority"]["accuracy"], result["by_split"]["test"]["majority"]["accuracy"]
    (1.0, 0.5)
    """
    groups, gold = np.asarray(clusters), np.asarray(labels)
    codes, names_of_parts = _parts(split, len(gold))
    first = names_of_parts.index("train") if "train" in names_of_parts else None
    naming = slice(None) if first is None else codes == first
    named = assign(groups[naming], gold[naming], names, permutations=permutations, seed=seed)
    by_split = {}
    for number, name in enumerate(names_of_parts if first is not None else ()):
        if number != first:
            rows = codes == number
            by_split[name] = _held_out(named, groups[rows], gold[rows], permutations, seed).to_dict()
    return named.to_dict() | {"named_by": "all" if first is None else "train", "by_split": by_split}


def accuracy_lost(
    assignment: dict[str, Any],
    clusters: ArrayLike,
    labels: ArrayLike,
    decided: ArrayLike,
    split: Any = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """What clusters lose of the accuracy of a decision that was made for the same rows, part by part.

    Args:
        assignment: what `assign_by_split` gave.
        clusters, labels, split: as there.
        decided: (rows,) class numbers that a model decided for, -1 for none of the classes.
        seed: of the intervals.

    Returns:
        For each part `rows`, `own` (accuracy of the decision) and, of each way to give classes to clusters, the
        difference to it, with its interval and McNemar's test.

    >>> clusters, labels = [0, 0, 0, 1], [0, 0, 1, 1]
    >>> lost = accuracy_lost(assign_by_split(clusters, labels, ("no", "yes")), clusters, labels, labels)
    >>> lost["all"]["own"], lost["all"]["majority"]["difference"]
    (1.0, 0.25)
    """
    groups, gold, own = np.asarray(clusters), np.asarray(labels), np.asarray(decided)
    codes, names = _parts(split, len(gold))
    lost = {}
    for part in (assignment["named_by"], *assignment["by_split"]):
        rows = codes == names.index(part) if part in names else np.ones(len(gold), bool)
        right = own[rows] == gold[rows]
        ways = {
            way: compare_answers(
                right, cluster_answers(assignment[way]["classes"], groups[rows]) == gold[rows], seed=seed
            ).to_dict()
            for way in ("majority", "matched")
        }
        lost[part] = {"rows": int(rows.sum()), "own": float(right.mean()), **ways}
    return lost


def cluster_answers(classes: Sequence[int], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each row's cluster, (rows,), by the class of each cluster; -1 of noise and of clusters without one.

    >>> cluster_answers((1, 0), np.array([0, 1, -1, 2]))
    array([ 1,  0, -1, -1])
    """
    unnamed = np.full(max(int(groups.max(initial=-1)) + 1 - len(classes), 0) + 1, -1)  # the last one is for noise, -1
    return np.concatenate([np.array(classes, np.int64), unnamed])[groups]


def _parts(split: Any, rows: int) -> tuple[NDArray[np.int64], list[str]]:
    """The part of each row (rows,) and the names of the parts, in the order of their first rows."""
    if split is None:
        return np.zeros(rows, np.int64), ["all"]
    codes, values = encode(split, by_row=True)
    names = [str(value) for value in values]
    if (missing := np.flatnonzero(codes < 0)).size:
        codes[missing] = len(names)
        names.append(str(np.asarray(split, dtype=object)[missing[0]]))
    return codes, names


def _held_out(
    named: Assignment, groups: NDArray[np.int64], gold: NDArray[np.int64], permutations: int, seed: int
) -> Assignment:
    """The named clusters on other rows: the answers stay, the labels are shuffled for the null."""
    ways = []
    for way in (named.majority, named.matched):
        answers = cluster_answers(way.classes, groups)
        right = answers == gold
        null = permutation_null(partial(_share_right, answers), gold, permutations=permutations, seed=seed)
        low_high = bootstrap_mean(right, seed=seed)
        ways.append(ClassAssignment(way.classes, float(right.mean()), low_high, null.mean, null.high, null.p_value))
    share = majority_share(gold)
    size = max(len(named.table), int(groups.max()) + 1)
    table = cross_counts(groups + 1, gold, (size + 1, len(named.names)))[1:]  # without the first row, noise
    return Assignment(named.names, table, len(gold), share, float((groups >= 0).mean()), *ways)


def _share_right(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float((answers == labels).mean())


def _majority(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    return table.argmax(axis=1), int(table.max(axis=1).sum())


def _matching(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    classes = np.full(len(table), -1, np.int64)
    chosen, answers = linear_sum_assignment(table, maximize=True)
    classes[chosen] = answers
    return classes, int(table[chosen, answers].sum())


def _score(
    classes: NDArray[np.int64], hits: int, drawn: list[int], rows: int, rng: np.random.Generator
) -> ClassAssignment:
    accuracy = hits / rows
    # Rows drawn with replacement are right or wrong: their number is binomial.
    low, high = np.percentile(rng.binomial(rows, accuracy, _RESAMPLES) / rows, (2.5, 97.5))
    null = against(accuracy, np.array(drawn) / rows, rows)
    return ClassAssignment(
        tuple(classes.tolist()), accuracy, (float(low), float(high)), null.mean, null.high, null.p_value
    )
