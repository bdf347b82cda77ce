"""Several models' vectors of the same rows as one matrix, each model with the weight that it deserves.

Five models' vectors side by side, unscaled, did worse than the best of them alone: the widest and loudest block
decides the distances. Here each block is prepared by itself, brought to the same mean squared distance, and weighted;
the weights are those whose k nearest neighbors vote best on validation rows, or on the training rows by leaving one
out. A weight of 1 for one block and 0 for the others is always among them, and so are equal weights. Test rows have no
say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.codes import draw_rows
from separatrix.errors import DataError, OptionError
from separatrix.geometry.checks import check_labels, check_matrix, check_same_rows
from separatrix.geometry.neighbors import count_votes
from separatrix.geometry.prepare import PREPARES, Change
from separatrix.recipe.project import BlendRecipe

_MOST = 300  # weightings tried; more blocks are weighed in coarser steps
_USUAL = BlendRecipe()

Blocks = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Weighting:
    """One weighting: share of the neighbors' votes that were right, and how sure they were."""

    weights: tuple[float, ...]  # one a block, summing to 1
    accuracy: float
    own: float  # mean share of the votes for the row's own class; decides between equal accuracies


@dataclass(frozen=True, eq=False)
class Blend:
    """Weights of blocks and how they were found. Made by `fit_blend`; `apply` joins any rows of these blocks."""

    recipe: BlendRecipe
    names: tuple[str, ...]
    weights: tuple[float, ...]
    chosen_on: str
    chosen: Weighting
    alone: Mapping[str, float]  # accuracy of each block alone, on the rows that chose the weights
    plain: float  # that of the blocks side by side as they are
    equal: float  # that of equal weights
    tried: tuple[Weighting, ...] = field(repr=False)
    widths: tuple[int, ...] = field(repr=False)
    changes: tuple[Change, ...] = field(repr=False)
    scales: tuple[float, ...] = field(repr=False)

    def apply(self, blocks: Blocks) -> NDArray[np.float32]:
        """The blocks as one matrix, (rows, sum of the widths); blocks of weight 0 are left out.

        Raises:
            DataError: a block is missing, or a number is not finite.
            ShapeError: a block of another width or number of rows.
        """
        matrices = _checked(blocks, self.names, self.widths)
        parts = [
            change(matrix) * np.float32(scale * weight**0.5)
            for matrix, change, scale, weight in zip(matrices, self.changes, self.scales, self.weights, strict=True)
            if weight > 0
        ]
        return np.hstack(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "prepare": self.recipe.prepare,
            "weights": dict(zip(self.names, self.weights, strict=True)),
            "chosen_on": self.chosen_on,
            "k": self.recipe.k,
            "weightings": len(self.tried),
            "accuracy": self.chosen.accuracy,
            "alone": dict(self.alone),
            "plain": self.plain,
            "equal": self.equal,
        }


def fit_blend(
    blocks: Blocks,
    labels: ArrayLike,
    recipe: BlendRecipe = _USUAL,
    *,
    validation: tuple[Blocks, ArrayLike] | None = None,
) -> Blend:
    """Choose the weights of blocks by the vote of nearest neighbors.

    Squared distances of a weighted blend are weighted sums of the blocks' squared distances, so those are computed once
    and each weighting costs one sum. At most `recipe.rows` training rows (and as many validation rows), drawn with the
    seed, take part.

    Args:
        blocks: name -> (rows, width), training rows.
        recipe: preparation of each block, k, steps of the weights, rows, seed.
        validation: blocks and class numbers of validation rows; without them each training row is left out in turn.

    Raises:
        DataError: one block only, one class only, k above the rows, numbers that are not finite.
        ShapeError: blocks of different rows.

    >>> good, noise = np.array([[0.0], [0], [1], [1]]), np.array([[9.0], [0], [8], [1]])
    >>> blend = fit_blend({"good": good, "noise": noise}, [0, 0, 1, 1], BlendRecipe(k=1, resolution=2))
    >>> blend.weights, blend.plain, blend.chosen.accuracy
    ((1.0, 0.0), 0.0, 1.0)
    """
    names = tuple(blocks)
    if len(names) < 2:
        raise DataError("nothing to blend", got=", ".join(names) or "no block", expected="two blocks or more")
    matrices, y = _matrices(blocks, labels, names)
    if len(np.unique(y)) < 2:
        raise DataError("one class only", got=f"class {y[0]} in all {len(y)} rows", expected="two classes or more")
    widths = tuple(matrix.shape[1] for matrix in matrices)
    changes = tuple(PREPARES[recipe.prepare](matrix) for matrix in matrices)
    spreads = [change(matrix).var(axis=0).sum() for change, matrix in zip(changes, matrices, strict=True)]
    scales = tuple(1 / max(float(np.sqrt(spread)), 1e-30) for spread in spreads)
    known = _Side.of(matrices, y, changes, recipe)
    queries, how = known, f"{len(known.labels)} training rows, each left out in turn"
    if validation is not None:
        queries = _Side.of(*_matrices(*validation, names, widths), changes, recipe)
        how = f"{len(queries.labels)} validation rows against {len(known.labels)} training rows"
    if recipe.k > len(known.labels) - (queries is known):
        expected = f"{len(known.labels) - 1} or fewer"
        raise OptionError("--k is larger than the rows to choose from", got=recipe.k, expected=expected)
    vote = _Vote(queries, known, recipe.k)
    sides = zip(queries.prepared, known.prepared, scales, strict=True)
    far = np.stack([_squared(one * scale, other * scale) for one, other, scale in sides])
    tried = tuple(vote.judge(weights, far) for weights in weightings(len(names), recipe.resolution))
    # Of equals the one that leans on the fewest blocks: a block that adds nothing costs time all the same.
    best = max(tried, key=lambda one: (one.accuracy, one.own, sum(weight**2 for weight in one.weights)))
    alone = {name: vote.judge(tuple(np.eye(len(names))[n]), far).accuracy for n, name in enumerate(names)}
    equal = vote.judge((1 / len(names),) * len(names), far).accuracy
    beside = sum(_squared(one, other) for one, other in zip(queries.plain, known.plain, strict=True))
    plain = vote.judge((1.0,), np.asarray(beside)[None]).accuracy
    return Blend(recipe, names, best.weights, how, best, alone, plain, equal, tried, widths, changes, scales)


def weightings(blocks: int, resolution: int) -> list[tuple[float, ...]]:
    """Weights that sum to 1, in equal steps: at most 300 of them, then equal weights if those are not among them.

    >>> weightings(2, 2)
    [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    """
    while resolution > 1 and comb(resolution + blocks - 1, blocks - 1) > _MOST:
        resolution -= 1
    weights = []
    for bars in combinations(range(resolution + blocks - 1), blocks - 1):  # stars and bars
        ends = (-1, *bars, resolution + blocks - 1)
        weights.append(tuple((ends[n + 1] - ends[n] - 1) / resolution for n in range(blocks)))
    equal = (1 / blocks,) * blocks
    return weights if resolution % blocks == 0 else [*weights, equal]


@dataclass(frozen=True, eq=False)
class _Side:
    """Rows that vote or are voted on."""

    prepared: Sequence[NDArray[np.float32]]
    plain: Sequence[NDArray[Any]]
    labels: NDArray[np.int64]

    @classmethod
    def of(
        cls, matrices: Sequence[NDArray[Any]], labels: NDArray[np.int64], changes: Sequence[Change], recipe: BlendRecipe
    ) -> _Side:
        """At most `recipe.rows` rows, drawn with the seed."""
        rows = draw_rows(len(labels), recipe.rows, recipe.seed)
        plain = [matrix[rows] for matrix in matrices]
        return cls([change(part) for change, part in zip(changes, plain, strict=True)], plain, labels[rows])


@dataclass(frozen=True, eq=False)
class _Vote:
    """k neighbors among `known` vote on each row of `queries`; a row never on itself."""

    queries: _Side
    known: _Side
    k: int

    def judge(self, weights: tuple[float, ...], far: NDArray[np.float32]) -> Weighting:
        """Votes with these weights; far (blocks, queries, known)."""
        distance = np.tensordot(np.array(weights, np.float32), far, axes=1)  # (queries, known)
        if self.queries is self.known:
            np.fill_diagonal(distance, np.inf)
        near = np.argpartition(distance, self.k - 1, axis=1)[:, : self.k]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)  # nearest first
        classes = int(max(self.known.labels.max(), self.queries.labels.max())) + 1
        votes = count_votes(self.known.labels[near], classes)
        right = votes.argmax(axis=1) == self.queries.labels
        own = votes[np.arange(len(near)), self.queries.labels]
        return Weighting(tuple(float(weight) for weight in weights), float(right.mean()), float(own.mean()))


def _squared(queries: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(queries, rows, metric="sqeuclidean").astype(np.float32)


def _matrices(
    blocks: Blocks, labels: ArrayLike, names: tuple[str, ...], widths: Sequence[int | None] = ()
) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
    """The matrices of blocks and the class numbers of their rows, checked."""
    matrices, y = _checked(blocks, names, widths), check_labels(labels, 2**31)
    check_same_rows(len(y), len(matrices[0]), "labels", "blocks")
    return matrices, y


def _checked(blocks: Blocks, names: tuple[str, ...], widths: Sequence[int | None] = ()) -> list[NDArray[Any]]:
    missing = [name for name in names if name not in blocks]
    if missing:
        raise DataError(f"block {missing[0]!r} is missing", got=", ".join(blocks), expected=", ".join(names))
    pairs = zip(names, widths or (None,) * len(names), strict=True)
    matrices = [check_matrix(blocks[name], f"block {name!r}", width=width) for name, width in pairs]
    for name, matrix in zip(names, matrices, strict=True):
        check_same_rows(len(matrix), len(matrices[0]), f"block {name!r}", f"block {names[0]!r}")
    return matrices
