"""Objectives over all unordered pairs of a batch: kept for comparison, since seeds 000 and 001 report that they fail.

Each kind of pair (one class, two classes) has its own mean, so that the number of classes does not set the weight
between the two; the parts say how many pairs of each kind there were. `boids` is the toy that shows the balance.
"""

from __future__ import annotations

from torch import Tensor

from separatrix.errors import DataError, ShapeError
from separatrix.learn.losses.anchors import Anchors, LossValue, check_centroids, check_rows, total
from separatrix.learn.losses.metric import cosines, distances, pair_mask, reciprocal
from separatrix.recipe import LossRecipe


def distance(z: Tensor, y: Tensor, _anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Pull two rows of one class together by d, push two rows of different classes apart by 1/d.

    attraction * mean over same-class pairs of d + repulsion * mean over other pairs of 1/d

    The slope of d is 1, that of 1/d is 1/d^2: at the distances of a transformer's outputs, 10 and more, the attraction
    is a hundred times the stronger, and everything contracts.

    Raises:
        DataError: if the batch has no pair.

    >>> import torch
    >>> z, y = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1])
    >>> value = distance(z, y, Anchors(), LossRecipe(loss="distance"))
    >>> {name: round(part.item(), 4) for name, part in value.parts.items()}
    {'same': 1.0, 'different': 0.225, 'same_pairs': 1, 'different_pairs': 2}
    """
    same, different = _pairs(z, y)
    between = distances(z, z)  # (rows, rows)
    return _pair_loss(between, reciprocal(between), same, different, recipe)


def cosine(z: Tensor, y: Tensor, _anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Ask rows of one class for cosine 1, rows of different classes for cosine 0 or less.

    attraction * mean over same-class pairs of 1 - cos + repulsion * mean over other pairs of max(0, cos)

    Plain cos would ask every two classes to be opposite, which three classes cannot be; cut at 0, classes at right
    angles are good enough, and of those there is room for as many as there are dimensions.

    Raises:
        DataError: if the batch has no pair.
    """
    same, different = _pairs(z, y)
    similar = cosines(z, z)  # (rows, rows)
    return _pair_loss(1 - similar, similar.clamp(min=0), same, different, recipe)


def near_cosine(z: Tensor, anchors: Anchors, _recipe: LossRecipe) -> Tensor:
    """Cosine similarities to the class means `(rows, classes)`."""
    return cosines(z, check_centroids(z, anchors))


def same_class(y: Tensor) -> tuple[Tensor, Tensor]:
    """Masks `(rows, rows)` of the unordered pairs i < j of one class, and of two classes.

    >>> import torch
    >>> same, different = same_class(torch.tensor([0, 0, 1]))
    >>> same.nonzero().tolist(), different.nonzero().tolist()
    ([[0, 1]], [[0, 2], [1, 2]])
    """
    same, pairs = y[:, None] == y[None, :], pair_mask(len(y), y.device)  # (rows, rows)
    return same & pairs, ~same & pairs


def boids(positions: Tensor) -> Tensor:
    """Toy of seed 001: mean d + mean 1/d over all pairs of different points; two points settle at distance 1.

    >>> import torch
    >>> boids(torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    tensor(2.5000)
    """
    if positions.ndim != 2 or len(positions) < 2:
        raise ShapeError("boids need two points at least", got=tuple(positions.shape), expected="(points, width)")
    between = distances(positions, positions)[pair_mask(len(positions), positions.device)]  # (pairs,)
    return between.mean() + reciprocal(between).mean()


def _pairs(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    check_rows(z, y)
    if len(y) < 2:
        raise DataError("no pairs", got=f"a batch of {len(y)}", expected="2 rows or more", hint="raise --batch-size")
    return same_class(y)


def _pair_loss(near: Tensor, far: Tensor, same: Tensor, different: Tensor, recipe: LossRecipe) -> LossValue:
    """Means of `near` over the same-class pairs and of `far` over the others; a kind without pairs adds 0."""
    counts = {"same_pairs": same.sum(), "different_pairs": different.sum()}
    value = total(
        {
            "same": recipe.attraction * near[same].sum() / counts["same_pairs"].clamp(min=1),
            "different": recipe.repulsion * far[different].sum() / counts["different_pairs"].clamp(min=1),
        }
    )
    return LossValue(value.total, value.parts | counts)
