"""Objectives that compare each output with one centroid per class (seed 001, there for two classes).

d is the Euclidean distance, c_k the centroid of class k. All three decide by the nearest centroid.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from separatrix.learn.losses.anchors import Anchors, LossValue, check_centroids, check_labels, cross_entropy, total
from separatrix.learn.losses.metric import distances, pair_mask, reciprocal
from separatrix.recipe import LossRecipe


def centroid(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Attraction to the own centroid, and 1/distance between centroids.

    attraction * mean d(z, c_y) + repulsion * mean over unordered pairs of classes of 1/d(c_j, c_k)

    The repulsion moves centroids only: with fixed centroids it is a constant.

    >>> import torch
    >>> anchors = Anchors(centroids=torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    >>> z, y = torch.tensor([[0.0, 3.0], [4.0, 1.0]]), torch.tensor([0, 1])
    >>> centroid(z, y, anchors, LossRecipe(loss="centroid")).total
    tensor(2.2500)
    """
    centres = check_centroids(z, anchors)
    labels = check_labels(z, y, len(centres))
    own = distances(z, centres).gather(1, labels[:, None])  # (rows, 1)
    between = distances(centres, centres)[pair_mask(len(centres), centres.device)]  # (pairs of classes,)
    return total(
        {
            "attraction": recipe.attraction * own.mean(),
            "repulsion": recipe.repulsion * reciprocal(between).mean(),
        }
    )


def attract_repel(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Attraction to the own centroid, and 1/distance to every other one.

    attraction * mean d(z, c_y) + mean over rows and over the other classes of repulsion / d(z, c_other)

    >>> import torch
    >>> anchors = Anchors(centroids=torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    >>> z, y = torch.tensor([[0.0, 3.0], [4.0, 2.0]]), torch.tensor([0, 1])
    >>> value = attract_repel(z, y, anchors, LossRecipe(loss="attract_repel", attraction=2.0))
    >>> value.parts["attraction"]
    tensor(5.)
    """
    centres = check_centroids(z, anchors)
    labels = check_labels(z, y, len(centres))
    far = distances(z, centres)  # (rows, classes)
    own = functional.one_hot(labels, len(centres)).bool()  # (rows, classes)
    return total(
        {
            "attraction": recipe.attraction * far[own].mean(),
            "repulsion": recipe.repulsion * reciprocal(far[~own]).mean(),
        }
    )


def centroid_ce(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Cross-entropy over -d(z, c_k) / temperature: the best objective of seed 001, and the default.

    >>> import torch
    >>> anchors = Anchors(centroids=torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    >>> centroid_ce(torch.tensor([[2.0, 5.0]]), torch.tensor([1]), anchors, LossRecipe()).total.exp()
    tensor(2.)
    """
    return cross_entropy(near_centroid_scaled(z, anchors, recipe), y)


def near_centroid(z: Tensor, anchors: Anchors, _recipe: LossRecipe) -> Tensor:
    """Negative distances to the centroids `(rows, classes)`."""
    return -distances(z, check_centroids(z, anchors))


def near_centroid_scaled(z: Tensor, anchors: Anchors, recipe: LossRecipe) -> Tensor:
    """Negative distances to the centroids / temperature `(rows, classes)`."""
    return near_centroid(z, anchors, recipe) / recipe.temperature
