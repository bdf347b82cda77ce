"""What a figure would be if labels meant nothing: shuffle them, keep the vectors, count how often chance does as well.

Neighbors, distances and decompositions do not depend on labels, so they are computed once and a thousand permutations
cost about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import random_table

from separatrix.codes import draw_rows
from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_distances, check_labels, check_same_rows, check_squared
from separatrix.geometry.neighbors import count_votes
from separatrix.geometry.rowspace import RowSpace
from separatrix.recipe.core import Plain

_MOST_ROWS = 10_000  # rows of a null; more are sampled
CELLS = 8_000_000  # numbers that a block of shuffles may take

Labels = NDArray[Any]
Statistic = Callable[[Labels], Any]
Draw = Callable[[Labels, np.random.Generator, int], Iterator[Labels]]  # labels, generator, how many


@dataclass(frozen=True)
class Null(Plain):
    """A figure beside its values under permuted labels; `p_value` is (1 + as good or better) / (1 + permutations)."""

    observed: float
    mean: float
    high: float  # 95th percentile of the permuted values; the 5th where low is good
    p_value: float
    permutations: int
    rows: int


def over_rows(labels: Labels, generator: np.random.Generator, count: int) -> Iterator[Labels]:
    """Labels over all rows, each draw (rows,); the way to shuffle where nothing stands in common."""
    return (generator.permutation(labels) for _ in range(count))


def within_groups(groups: ArrayLike) -> Draw:
    """Labels inside the groups (rows,) only. Raises `DataError`: every group has one row."""
    numbers = check_labels(groups, 2**62, "the groups to shuffle within")
    order = np.argsort(numbers, kind="stable")
    _, begin, size = np.unique(numbers[order], return_index=True, return_counts=True)
    if size.max() < 2:
        raise DataError("every group has one row, so nothing can be shuffled within them", hint="choose another column")
    blocks = [order[begin[size == s][:, None] + np.arange(s)] for s in np.unique(size) if s > 1]  # (groups, size) each

    def draw(labels: Labels, generator: np.random.Generator, count: int) -> Iterator[Labels]:
        check_same_rows(len(numbers), len(labels), "groups", "rows")
        for _ in range(count):
            mixed = labels.copy()
            for rows in blocks:
                mixed[rows] = generator.permuted(labels[rows], axis=1)
            yield mixed

    return draw


def cross_tables(table: NDArray[np.int64], generator: np.random.Generator, count: int) -> Iterator[NDArray[np.int64]]:
    """Tables (first, second) of two groupings, one of them shuffled over all rows: drawn with both margins kept."""
    margins, step = random_table(table.sum(axis=1), table.sum(axis=0)), max(1, CELLS // table.size)
    for start in range(0, count, step):
        yield from margins.rvs(min(step, count - start), random_state=generator)


def permutation_null(
    statistic: Statistic,
    labels: Labels,
    *,
    draw: Draw = over_rows,
    permutations: int = 1000,
    seed: int = 0,
    block: int = 1,
) -> Null:
    """The null of any figure of labels, higher being better.

    Args:
        statistic: labels (rows,) -> figure; what does not depend on the labels stands ready inside it. With a `block`
            above 1: labels (draws, rows) -> figures (draws,).
        labels: labels or numbers (rows,), or whatever `draw` shuffles.
        draw: how: `over_rows`, `within_groups(...)`; `cross_tables` of a table of two groupings.
        permutations: shuffles; the smallest p-value possible is 1 / (permutations + 1).
        block: most draws that the statistic is given at once.

    Raises:
        DataError: every group has one row.

    >>> found = permutation_null(lambda labels: float(labels[:8].mean()), np.array([1] * 8 + [0] * 8), permutations=99)
    >>> found.observed, found.p_value
    (1.0, 0.01)
    """
    check_count(permutations, "permutations")
    drawn = chain([labels], draw(labels, np.random.default_rng(seed), permutations))
    if block > 1:
        blocks = iter(lambda: list(islice(drawn, block)), [])
        figures = np.concatenate([statistic(np.stack(some)) for some in blocks])
    else:
        figures = np.array([statistic(one) for one in drawn])
    return against(float(figures[0]), figures[1:], len(labels))


def against(observed: float, drawn: NDArray[np.float64], rows: int, *, low: bool = False) -> Null:
    """A figure beside its values under shuffles that were made elsewhere, (shuffles,); `low`: low values are good.

    >>> against(2.0, np.array([1.0, 2.0, 0.0]), 10).p_value
    0.5
    """
    sign = -1 if low else 1
    # A permutation that does equally well may differ from the observed figure in the last bits.
    reached = int((sign * drawn >= sign * observed - 1e-9 * max(1.0, abs(observed))).sum())
    p_value = (1 + reached) / (1 + len(drawn))
    high = float(np.percentile(drawn, 5 if low else 95))
    return Null(float(observed), float(drawn.mean()), high, p_value, len(drawn), rows)


def knn_null(index: NDArray[np.int64], y: ArrayLike, classes: int, *, permutations: int = 1000, seed: int = 0) -> Null:
    """Null of the leave-one-out k-NN accuracy: how often neighbors of shuffled labels share a class.

    `index` (rows, k) has the neighbors of each row without itself, nearest first.

    Of more than 10,000 rows a seeded sample asks; its neighbors are still sought among all rows.

    >>> index = np.array([[1], [0], [3], [2]] * 1)
    >>> knn_null(index, [0, 0, 1, 1], 2, permutations=200).observed
    1.0
    """
    gold = check_labels(y, classes)
    check_same_rows(len(index), len(gold), "neighbors", "labels")
    rows = sampled(len(gold), seed)
    near = index[rows]

    def accuracy(labels: Labels) -> float:
        return float((count_votes(labels[near], classes).argmax(axis=1) == labels[rows]).mean())

    return permutation_null(accuracy, gold, permutations=permutations, seed=seed)


def knn_regression_null(index: NDArray[np.int64], y: ArrayLike, *, permutations: int = 1000, seed: int = 0) -> Null:
    """Null of the R2 of leave-one-out k-NN regression; arguments as `knn_null`, with numbers for classes.

    >>> index = np.array([[1], [0], [3], [2]])
    >>> knn_regression_null(index, [0.0, 0.0, 1.0, 1.0], permutations=200).observed
    1.0
    """
    targets = check_squared(y, "targets")
    check_same_rows(len(index), len(targets), "neighbors", "targets")
    rows = sampled(len(targets), seed)
    near = index[rows]

    def r2(numbers: Labels) -> float:
        gold = numbers[rows]
        total = ((gold - gold.mean()) ** 2).sum()
        return float(1 - ((numbers[near].mean(axis=1) - gold) ** 2).sum() / total) if total > 0 else 0.0

    return permutation_null(r2, targets, permutations=permutations, seed=seed)


def between_null(x: ArrayLike, y: ArrayLike, classes: int, *, permutations: int = 1000, seed: int = 0) -> Null:
    """Null of the share of the variance that lies between the classes (as `Scatter.between_share`).

    Of more than 10,000 rows a seeded sample is used, for the observed share too.

    >>> found = between_null(np.arange(12.0)[:, None], [0] * 6 + [1] * 6, 2, permutations=99)
    >>> round(found.observed, 3), found.p_value < 0.05
    (0.755, True)
    """
    vectors, gold = check_distances(x, "vectors"), check_labels(y, classes)
    check_same_rows(len(vectors), len(gold), "vectors", "labels")
    rows = sampled(len(gold), seed)
    gold, chosen = gold[rows], vectors[rows].astype(np.float64)
    exact = RowSpace.of(chosen - chosen.mean(axis=0)).coordinates
    total, centred = float((exact**2).sum()), exact.astype(np.float32)
    counts = np.bincount(gold, minlength=classes)

    def shares(labels: Labels) -> NDArray[np.float64]:
        return _between(centred, labels, counts) / (total or 1.0)

    block = max(2, CELLS // (max(centred.shape) * classes))
    return permutation_null(shares, gold, permutations=permutations, seed=seed, block=block)


def _between(centred: NDArray[np.float32], labels: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[Any]:
    """Summed squares between the classes for each line of labels (draws, rows): one matrix product for all."""
    draws, rows = labels.shape
    member = np.zeros((draws, len(counts), rows), np.float32)
    np.put_along_axis(member, labels[:, None, :], 1, axis=1)
    sums = (member.reshape(-1, rows) @ centred).reshape(draws, len(counts), -1)
    squares = np.einsum("dcw,dcw->dc", sums, sums, dtype=np.float64)
    return (squares / np.maximum(counts, 1)).sum(axis=1)


def sampled(rows: int, seed: int) -> NDArray[np.int64]:
    """Places of the rows that a null is made of, in order: all, or a seeded 10,000 of them.

    >>> len(sampled(20_000, 0))
    10000
    """
    return draw_rows(rows, _MOST_ROWS, seed)
