"""Where class centroids start, how they move, and how far apart they are.

A start is a function of the first outputs; a mover is a rule that takes a state to the next one; a push is the part of
a move that keeps centroids from merging. Each is one function and one entry in `STARTS`, `MOVERS` or `PUSHES`. All are
pure: a state is never changed in place, no gradient flows, and the only randomness is a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, ShapeError, choose
from separatrix.learn.objectives.base import TrainingRows, check_labels
from separatrix.learn.objectives.metric import distances, pair_mask, wide
from separatrix.recipe import CentroidRecipe, train
from separatrix.recipe.registry import Registry

# Two centroids nearer than this have no direction between them that could be trusted.
COINCIDENT = 1e-12


@dataclass(frozen=True)
class CentroidState:
    """Positions `(classes, width)`, velocity `(classes, width)` of `momentum`, and the steps seen so far.

    >>> CentroidState.at(torch.ones(2, 3)).velocity.shape
    torch.Size([2, 3])
    """

    centroids: Tensor
    velocity: Tensor
    step: int = 0

    @classmethod
    def at(cls, centroids: Tensor) -> CentroidState:
        """Begin at rest."""
        centroids = wide(centroids.detach())
        return cls(centroids, torch.zeros_like(centroids))


def class_means(outputs: Tensor, labels: Tensor, classes: int, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Means `(classes, width)` and row counts `(classes,)` per class; a class without rows has mean 0 and count 0.

    With a weight `(rows,)` the means are weighted.

    >>> means, counts = class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 2]), 3)
    >>> means.tolist(), counts.tolist()
    ([[2.0], [0.0], [5.0]], [2, 0, 1])
    """
    check_labels(outputs, labels, classes)
    rows = wide(outputs.detach())
    # A matrix product, not index_add: its sum has the same order each time, on a GPU too.
    member = functional.one_hot(labels.long(), classes).T  # (classes, rows)
    counts = member.sum(1)
    if weight is not None:
        shares = member.to(rows.dtype) * weight.to(rows.dtype)
        return shares @ rows / torch.where(counts > 0, shares.sum(1), 1)[:, None], counts
    return member.to(rows.dtype) @ rows / counts.clamp(min=1)[:, None], counts


def start(name: str, outputs: Tensor, labels: Tensor, classes: int, seed: int) -> Tensor:
    """Give each class its first centroid, `(classes, width)`.

    `random`: standard normal vectors, wherever the outputs are: kept so that its failure
    can be repeated. `first`: the output of the first training row of each class. `mean`: the mean
    output of each class.

    Raises:
        DataError: if a class has no row (not for `random`).

    >>> outputs, labels = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0, 1])
    >>> start("first", outputs, labels, 2, seed=0).tolist(), start("mean", outputs, labels, 2, seed=0).tolist()
    ([[1.0, 0.0], [0.0, 5.0]], [[2.0, 0.0], [0.0, 5.0]])
    """
    check_labels(outputs, labels, classes)
    return STARTS[choose(name, STARTS, "start")](outputs, labels, classes, seed)


def start_centroids(name: str, rows: TrainingRows, classes: int, seed: int) -> Tensor:
    """First centroids `(classes, width)` from the outputs of some training rows, by their weights if there are any."""
    some = torch.from_numpy(rows.start).to(rows.labels.device)
    z, y = rows.outputs(rows.start), rows.labels[some]
    if name == "mean" and rows.weight is not None:
        means, counts = class_means(z, y, classes, rows.weight[some])
        _check_present(counts)
        return means.contiguous()
    return start(name, z, y, classes, seed).contiguous()


def start_random(outputs: Tensor, _labels: Tensor, classes: int, seed: int) -> Tensor:
    """Draw standard normal vectors; drawn on the CPU, so that every device starts from the same ones."""
    drawn = torch.randn(classes, outputs.shape[1], generator=torch.Generator().manual_seed(seed))
    return drawn.to(outputs.device, wide(outputs).dtype)


def start_first(outputs: Tensor, labels: Tensor, classes: int, _seed: int) -> Tensor:
    """Take the output of the first row of each class."""
    member = functional.one_hot(labels.long(), classes)  # (rows, classes)
    _check_present(member.sum(0))
    return wide(outputs.detach()[member.argmax(0)])


def start_mean(outputs: Tensor, labels: Tensor, classes: int, _seed: int) -> Tensor:
    """Take the mean output of each class."""
    means, counts = class_means(outputs, labels, classes)
    _check_present(counts)
    return means


def move(
    state: CentroidState, outputs: Tensor, labels: Tensor, recipe: CentroidRecipe, weight: Tensor | None = None
) -> CentroidState:
    """Take one step; each `recipe.every`-th step moves the centroids by `recipe.mover` and then pushes them apart.

    `fixed` never moves, and is never pushed. `gradient` is moved by the optimiser, here it is pushed only. `ema`:
    c <- c + rate (m - c), with m the mean of the class in these outputs (an exponential moving average).
    `momentum`: v <- friction v + rate (m - c), c <- c + v; a class without rows here glides on by friction v. `mean`:
    c <- m, exact when the outputs are those of all training rows. Else a class without rows stays where it is. A step
    between two moves leaves no trace: the next move sees the outputs of its own step only.

    Args:
        state: where the centroids are.
        outputs: `(rows, width)` of this step's batch, or of all training rows for `mean`.
        labels: `(rows,)` class numbers.
        recipe: mover, rate, friction, every, push and its rule.
        weight: `(rows,)` of the class means.

    >>> state = CentroidState.at(torch.tensor([[0.0], [10.0]]))
    >>> moved = move(state, torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), CentroidRecipe(mover="ema", rate=0.5))
    >>> moved.centroids.tolist(), moved.step
    ([[1.0], [10.0]], 1)
    """
    state = replace(state, step=state.step + 1)
    if recipe.mover == "fixed" or (recipe.mover == "gradient" and not recipe.push) or state.step % recipe.every:
        return state
    centroids, velocity = state.centroids.detach(), state.velocity
    means, counts = class_means(outputs, labels, len(centroids), weight)
    gap = torch.where(counts[:, None] > 0, means - centroids, torch.zeros_like(centroids))  # (classes, width)
    centroids, velocity = MOVERS[choose(recipe.mover, MOVERS, "mover")](centroids, velocity, gap, recipe)
    if recipe.push > 0:
        centroids = centroids + recipe.push * PUSHES[choose(recipe.push_rule, PUSHES, "push rule")](centroids)
    return CentroidState(centroids, velocity, state.step)


def stay(centroids: Tensor, velocity: Tensor, _gap: Tensor, _recipe: CentroidRecipe) -> tuple[Tensor, Tensor]:
    """Stay: nobody moves the centroids, or the optimiser does."""
    return centroids, velocity


def follow(centroids: Tensor, velocity: Tensor, gap: Tensor, recipe: CentroidRecipe) -> tuple[Tensor, Tensor]:
    """Go a share of the way to the class mean."""
    return centroids + recipe.rate * gap, velocity


def swing(centroids: Tensor, velocity: Tensor, gap: Tensor, recipe: CentroidRecipe) -> tuple[Tensor, Tensor]:
    """Accelerate towards the class mean, and keep a share of the velocity."""
    velocity = recipe.friction * velocity + recipe.rate * gap
    return centroids + velocity, velocity


def jump(centroids: Tensor, velocity: Tensor, gap: Tensor, _recipe: CentroidRecipe) -> tuple[Tensor, Tensor]:
    """Go to the class mean."""
    return centroids + gap, velocity


def away(centroids: Tensor) -> Tensor:
    """Directions `(classes, width)` from the other centroids: for each class the mean of unit(own - other).

    The length is 1 for two classes and at most 1 for more: a centroid in the middle of the others is pushed
    by all of them and goes nowhere. Two centroids in one place part along a coordinate axis, the lower class number
    down, the higher up; the axis is that of the lower number, so that several in one place part in different ways.

    >>> away(torch.tensor([[0.0, 0.0], [0.0, 3.0]])).tolist()
    [[0.0, -1.0], [0.0, 1.0]]
    >>> away(torch.zeros(2, 2)).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    classes, width = _shape(centroids)
    difference = centroids[:, None] - centroids[None, :]  # (classes, classes, width)
    length = difference.norm(dim=2)
    together = length <= COINCIDENT
    total = (difference / length.masked_fill(together, torch.inf)[:, :, None]).sum(1)  # (classes, width)
    low, high = (together & pair_mask(classes, centroids.device)).nonzero(as_tuple=True)
    one = total.new_ones(())
    total.index_put_((low, low % width), -one, accumulate=True)
    total.index_put_((high, low % width), one, accumulate=True)
    return total / (classes - 1)


def origin(centroids: Tensor) -> Tensor:
    """Directions `(classes, width)` from the origin, for comparison only: for each class, unit(mean of the others).

    It is wrong: the vector runs from the origin to the others and is added, so each centroid goes towards where the
    others are, seen from the origin. Two close centroids far from the origin get the same push and stay together.

    >>> origin(torch.tensor([[3.0, 4.0], [3.0, 5.0]]))[1].tolist() == torch.tensor([0.6, 0.8]).tolist()
    True
    """
    classes, _ = _shape(centroids)
    others = (centroids.sum(0) - centroids) / (classes - 1)
    return others / others.norm(dim=1, keepdim=True).clamp(min=COINCIDENT)


def spread(centroids: Tensor) -> dict[str, float]:
    """Smallest and mean distance between two centroids.

    >>> spread(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))["min"]
    1.0
    """
    classes, _ = _shape(centroids)
    between = distances(centroids.detach(), centroids.detach())[pair_mask(classes, centroids.device)]
    return {"min": float(between.min()), "mean": float(between.mean())}


Mover = Callable[[Tensor, Tensor, Tensor, CentroidRecipe], tuple[Tensor, Tensor]]

Start = Callable[[Tensor, Tensor, int, int], Tensor]
STARTS: Registry[Start] = Registry(train.STARTS, {"random": start_random, "first": start_first, "mean": start_mean})
MOVERS: Registry[Mover] = Registry(
    train.MOVERS, {"fixed": stay, "gradient": stay, "ema": follow, "momentum": swing, "mean": jump}
)
PUSHES: Registry[Callable[[Tensor], Tensor]] = Registry(train.PUSHES, {"away": away, "origin": origin})


def _check_present(counts: Tensor) -> None:
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise DataError("a class has no row to start its centroid from", got=f"no rows of class {missing[0]}")


def _shape(centroids: Tensor) -> tuple[int, int]:
    if centroids.ndim != 2 or len(centroids) < 2:
        raise ShapeError("two centroids are needed", got=tuple(centroids.shape), expected="(classes, width)")
    return centroids.shape[0], centroids.shape[1]
