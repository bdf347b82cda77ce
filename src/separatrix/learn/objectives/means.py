"""Objectives over all unordered pairs of a batch, which decide by the nearest class mean: kept for comparison.

Each kind of pair (one class, two classes) has its own mean, so that the number of classes does not set the weight
between the two; the parts say how many pairs of each kind there were. `boids` is the toy that shows the balance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.errors import DataError, ShapeError
from separatrix.learn.objectives import movement
from separatrix.learn.objectives.base import (
    LossBatch,
    LossValue,
    Objective,
    Terms,
    TrainingRows,
    check_centroids,
    check_rows,
    is_weighted,
    of_weights,
)
from separatrix.learn.objectives.metric import cosines, distances, pair_mask, reciprocal
from separatrix.recipe import LossRecipe

# (outputs (rows, width), labels (rows,), options) -> terms
# `weight` (rows,) comes by name, where rows have weights
BatchLoss = Callable[..., LossValue | Terms]
# (outputs, class means (classes, width)) -> scores (rows, classes)
MeanScores = Callable[[Tensor, Tensor], Tensor]


def distance(z: Tensor, y: Tensor, options: LossRecipe, weight: Tensor | None = None) -> LossValue:
    """Pull two rows of one class together by d, push two rows of different classes apart by 1/d.

    attraction * mean over same-class pairs of d + repulsion * mean over other pairs of 1/d

    The slope of d is 1, that of 1/d is 1/d^2: at the distances of a transformer's outputs, 10 and more, the attraction
    is a hundred times the stronger, and everything contracts.

    Raises:
        DataError: if the batch has no pair.

    >>> z, y = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1])
    >>> value = distance(z, y, LossRecipe(loss="distance"))
    >>> {name: round(part.item(), 4) for name, part in value.parts.items()}
    {'same': 1.0, 'different': 0.225, 'same_pairs': 1, 'different_pairs': 2}
    """
    same, different = _pairs(z, y)
    between = distances(z, z)  # (rows, rows)
    return _pair_loss(between, reciprocal(between), (same, different), options, weight)


def cosine(z: Tensor, y: Tensor, options: LossRecipe, weight: Tensor | None = None) -> LossValue:
    """Ask rows of one class for cosine 1, rows of different classes for cosine 0 or less.

    attraction * mean over same-class pairs of 1 - cos + repulsion * mean over other pairs of max(0, cos)

    Plain cos would ask every two classes to be opposite, which three classes cannot be; cut at 0, classes at right
    angles are good enough, and of those there is room for as many as there are dimensions.

    Raises:
        DataError: if the batch has no pair.
    """
    same, different = _pairs(z, y)
    similar = cosines(z, z)  # (rows, rows)
    return _pair_loss(1 - similar, similar.clamp(min=0), (same, different), options, weight)


def near_mean(z: Tensor, means: Tensor) -> Tensor:
    """Negative distances to the class means `(rows, classes)`."""
    return -distances(z, means)


def same_class(y: Tensor) -> tuple[Tensor, Tensor]:
    """Masks `(rows, rows)` of the unordered pairs i < j of one class, and of two classes.

    >>> same, different = same_class(torch.tensor([0, 0, 1]))
    >>> same.nonzero().tolist(), different.nonzero().tolist()
    ([[0, 1]], [[0, 2], [1, 2]])
    """
    same, pairs = y[:, None] == y[None, :], pair_mask(len(y), y.device)  # (rows, rows)
    return same & pairs, ~same & pairs


def boids(positions: Tensor) -> Tensor:
    """A toy without classes: mean d + mean 1/d over all pairs of different points; two points settle at distance 1.

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


def _pair_loss(
    near: Tensor, far: Tensor, masks: tuple[Tensor, Tensor], options: LossRecipe, weight: Tensor | None
) -> LossValue:
    """Means of `near` over the same-class pairs and of `far` over the others; a kind without pairs adds 0.

    A pair weighs the product of its rows' weights: a row twice gives each of its pairs twice (but none with itself).
    """
    same, different = masks
    counts = {"same_pairs": same.sum(), "different_pairs": different.sum()}

    def mean(values: Tensor, mask: Tensor) -> Tensor:
        if weight is None:
            return values[mask].sum() / mask.sum().clamp(min=1)
        each = (weight[:, None] * weight[None, :])[mask]  # (pairs,)
        return (values[mask] * each).sum() / (each.sum() if len(each) else 1)

    terms = {"same": options.attraction * mean(near, same), "different": options.repulsion * mean(far, different)}
    value = LossValue.of(terms)
    return LossValue(value.total, value.parts | counts)


@dataclass(eq=False)
class MeansObjective(Objective):
    """A loss over the batch alone; the mean output of each class, taken anew after every epoch, decides."""

    classes: int
    loss_function: BatchLoss
    score_function: MeanScores = near_mean
    options: LossRecipe = LossRecipe()
    seed: int = 0
    centroids: Tensor | None = None  # (classes, width) the class means
    live: bool = False
    decides: ClassVar[tuple[str, ...]] = ("centroids",)

    def start(self, rows: TrainingRows) -> None:
        """Class means of some training rows."""
        self._rows = rows
        self.centroids = movement.start_centroids("mean", rows, self.classes, self.seed)

    def buffers(self) -> dict[str, Tensor]:
        """The class means."""
        return {} if self.centroids is None else {"centroids": self.centroids}

    def shapes(self, width: int | str) -> dict[str, tuple[int | str, ...]]:
        """Their shapes."""
        return {"centroids": (self.classes, width)}

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss function of the outputs."""
        return LossValue.of(self.loss_function(outputs, batch.labels, self.options, **of_weights(batch)))

    @property
    def takes_weights(self) -> bool:
        """Whether the loss function has an argument for them."""
        return is_weighted(self.loss_function)

    def scores(self, outputs: Tensor, _rows: object = None) -> Tensor:
        """Nearness to the class means `(rows, classes)`."""
        return self.score_function(outputs, check_centroids(outputs, self.centroids, self.classes))

    @torch.no_grad()
    def after_epoch(self) -> None:
        """Take the class means of all training rows."""
        assert self.centroids is not None
        rows = self._rows
        means, _ = movement.class_means(rows.outputs(None), rows.labels, self.classes, rows.weight)
        self.centroids.copy_(means)

    def summary(self) -> dict[str, dict[str, float]]:
        """How far apart the class means are."""
        assert self.centroids is not None
        return {"centroids": movement.spread(self.centroids)}
