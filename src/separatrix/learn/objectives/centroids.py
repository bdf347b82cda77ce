"""Objectives that compare each output with one centroid per class.

d is the Euclidean distance, c_k the centroid of class k. All three decide by the nearest centroid. Where centroids
start, how they move and what keeps them apart is in `movement`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.learn.objectives import movement
from separatrix.learn.objectives.base import (
    LossBatch,
    LossValue,
    Objective,
    Terms,
    TrainingRows,
    check_centroids,
    check_labels,
    cross_entropy,
    is_weighted,
    of_weights,
    weighted_mean,
)
from separatrix.learn.objectives.metric import distances, pair_mask, reciprocal
from separatrix.recipe import CentroidRecipe, LossRecipe

# (outputs (rows, width), labels (rows,), centroids (classes, width), options) -> terms
# `weight` (rows,) comes by name, where rows have weights
CentroidLoss = Callable[..., LossValue | Terms]
# (outputs, centroids, options) -> scores (rows, classes)
CentroidScores = Callable[[Tensor, Tensor, LossRecipe], Tensor]


def centroid(z: Tensor, y: Tensor, centroids: Tensor, options: LossRecipe, weight: Tensor | None = None) -> Terms:
    """Attraction to the own centroid, and 1/distance between centroids.

    attraction * mean d(z, c_y) + repulsion * mean over unordered pairs of classes of 1/d(c_j, c_k)

    The repulsion moves centroids only: with fixed centroids it is a constant.

    >>> z, y = torch.tensor([[0.0, 3.0], [4.0, 1.0]]), torch.tensor([0, 1])
    >>> terms = centroid(z, y, torch.tensor([[0.0, 0.0], [4.0, 0.0]]), LossRecipe(loss="centroid"))
    >>> LossValue.of(terms).total
    tensor(2.2500)
    """
    labels = check_labels(z, y, len(centroids))
    own = distances(z, centroids).gather(1, labels[:, None])  # (rows, 1)
    between = distances(centroids, centroids)[pair_mask(len(centroids), centroids.device)]  # (pairs of classes,)
    near = weighted_mean(own[:, 0], weight)
    return {"attraction": options.attraction * near, "repulsion": options.repulsion * reciprocal(between).mean()}


def attract_repel(z: Tensor, y: Tensor, centroids: Tensor, options: LossRecipe, weight: Tensor | None = None) -> Terms:
    """Attraction to the own centroid, and 1/distance to every other one.

    attraction * mean d(z, c_y) + mean over rows and over the other classes of repulsion / d(z, c_other)

    >>> z, y = torch.tensor([[0.0, 3.0], [4.0, 2.0]]), torch.tensor([0, 1])
    >>> options = LossRecipe(loss="attract_repel", attraction=2.0)
    >>> attract_repel(z, y, torch.tensor([[0.0, 0.0], [4.0, 0.0]]), options)["attraction"]
    tensor(5.)
    """
    labels = check_labels(z, y, len(centroids))
    far = distances(z, centroids)  # (rows, classes)
    own = functional.one_hot(labels, len(centroids)).bool()  # (rows, classes)
    each = None if weight is None else weight.repeat_interleave(len(centroids) - 1)
    return {
        "attraction": options.attraction * weighted_mean(far[own], weight),
        "repulsion": options.repulsion * weighted_mean(reciprocal(far[~own]), each),
    }


def centroid_ce(z: Tensor, y: Tensor, centroids: Tensor, options: LossRecipe, weight: Tensor | None = None) -> Terms:
    """Cross-entropy over -d(z, c_k) / temperature: the default.

    >>> centroids = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    >>> centroid_ce(torch.tensor([[2.0, 5.0]]), torch.tensor([1]), centroids, LossRecipe())["cross_entropy"].exp()
    tensor(2.)
    """
    return {"cross_entropy": cross_entropy(near_centroid_scaled(z, centroids, options), y, weight).total}


def near_centroid(z: Tensor, centroids: Tensor, _options: LossRecipe) -> Tensor:
    """Negative distances to the centroids `(rows, classes)`."""
    return -distances(z, centroids)


def near_centroid_scaled(z: Tensor, centroids: Tensor, options: LossRecipe) -> Tensor:
    """Negative distances to the centroids / temperature `(rows, classes)`."""
    return near_centroid(z, centroids, options) / options.temperature


@dataclass(eq=False)
class CentroidObjective(Objective):
    """A loss over centroids, and the centroids: where they start, how they move, how far they went."""

    classes: int
    loss_function: CentroidLoss
    score_function: CentroidScores = near_centroid
    options: LossRecipe = LossRecipe()
    rule: CentroidRecipe = CentroidRecipe()
    seed: int = 0
    centroids: Tensor | None = None
    decides: ClassVar[tuple[str, ...]] = ("centroids",)

    def start(self, rows: TrainingRows) -> None:
        """Centroids from outputs of some training rows."""
        self.begin(movement.start_centroids(self.rule.start, rows, self.classes, self.seed), rows)

    def begin(self, centroids: Tensor, rows: TrainingRows | None = None) -> None:
        """Stand at these centroids, at rest."""
        self.centroids, self._rows = centroids, rows
        still = centroids.detach()
        self._velocity, self._origin, self._last = torch.zeros_like(still), still.clone(), still.clone()
        self._path = torch.zeros(len(still), device=still.device)  # (classes,) length of the way so far
        self._moves = torch.zeros((), dtype=torch.int64)

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """The centroids, where the optimiser moves them."""
        return {"centroids": self._named()} if self.rule.mover == "gradient" else {}

    def buffers(self) -> dict[str, Tensor]:
        """The centroids where a rule moves them; their velocity and way."""
        way = {"velocity": self._velocity, "origin": self._origin, "last": self._last, "path": self._path}
        return (self._named() if self.rule.mover != "gradient" else {}) | way | {"moves": self._moves}

    def _named(self) -> dict[str, Tensor]:
        assert self.centroids is not None
        return {"centroids": self.centroids}

    def shapes(self, width: int | str) -> dict[str, tuple[int | str, ...]]:
        """Their shapes."""
        return {"centroids": (self.classes, width)}

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss function of the outputs and the centroids as they stand."""
        centroids = check_centroids(outputs, self.centroids, self.classes)
        return LossValue.of(self.loss_function(outputs, batch.labels, centroids, self.options, **of_weights(batch)))

    @property
    def takes_weights(self) -> bool:
        """Whether the loss function has an argument for them."""
        return is_weighted(self.loss_function)

    def scores(self, outputs: Tensor, _rows: object = None) -> Tensor:
        """Nearness to the centroids `(rows, classes)`."""
        return self.score_function(outputs, check_centroids(outputs, self.centroids, self.classes), self.options)

    @torch.no_grad()
    def after_step(self, outputs: Tensor, batch: LossBatch) -> None:
        """Move the centroids by their rule, and note how far they went."""
        assert self.centroids is not None
        moves, labels, weight = int(self._moves), batch.labels, batch.weight
        if self.rule.mover == "mean" and (moves + 1) % self.rule.every == 0:
            assert self._rows is not None
            outputs, labels, weight = self._rows.outputs(None), self._rows.labels, self._rows.weight
        state = movement.CentroidState(self.centroids.detach(), self._velocity, moves)
        moved = movement.move(state, outputs, labels, self.rule, weight)
        self.centroids.copy_(moved.centroids)
        self._velocity.copy_(moved.velocity)
        self._moves += 1
        self._path += (self.centroids - self._last).norm(dim=1)
        self._last.copy_(self.centroids)

    def summary(self) -> dict[str, dict[str, float]]:
        """How far apart the centroids are, how far they went, and how straight, as class means.

        `moved` is the distance from the start, `path` the length of the way, `oscillation` 1 - moved / path.
        """
        assert self.centroids is not None
        net = (self.centroids.detach() - self._origin).norm(dim=1)  # (classes,)
        # A centroid that never moved went straight.
        astray = torch.where(self._path > 0, 1 - net / self._path.clamp_min(1e-12), torch.zeros_like(self._path))
        line = movement.spread(self.centroids.detach())
        way = {"moved": net.mean(), "path": self._path.mean(), "oscillation": astray.clamp(0, 1).mean()}
        return {"centroids": line | {name: float(value) for name, value in way.items()}}
