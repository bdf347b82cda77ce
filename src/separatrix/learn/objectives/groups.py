"""What is done so that vectors do not tell the group of a row: a publisher, an author, a scanner.

`flipped` turns the labels of the groups about: rows of one group are moved to a right angle. Its
inverse asks rows of different publishers for cosine 1. Gradient reversal (Ganin et al., 2016) trains a linear head to
find the group and turns its gradient round on the way into the encoder; that head lags behind the encoder, and what it
has not found stays. `ridge` solves for the best linear head at every step instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.codes import encode
from separatrix.errors import DataError
from separatrix.learn.objectives.contrast import Pairs, cosine_mse
from separatrix.learn.objectives.pairs import RowVectors, everyone
from separatrix.recipe.align import INVARIANCES
from separatrix.recipe.registry import Registry

RIDGE = 0.01  # beside the mean variance of a direction
RIDGE_ROWS = 8192  # rows that a regression reads at most
EPS = 1e-8
ADVERSARY = ("group_weight", "group_bias")


def flipped(batch: RowVectors) -> Tensor:
    """Mean over pairs of one group of cos^2, which is least at a right angle (flipped labels).

    >>> flipped(RowVectors(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([0, 0])))
    tensor(0.)
    """
    pairs = _by_group(batch)
    return _square(batch, Pairs(torch.zeros_like(pairs.positive), pairs.positive))


def inverse(batch: RowVectors) -> Tensor:
    """Mean over pairs of different groups of (1 - cos)^2: they are pulled together (inverse model).

    >>> inverse(RowVectors(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([0, 1])))
    tensor(1.)
    """
    pairs = _by_group(batch)
    return _square(batch, Pairs(pairs.negative, torch.zeros_like(pairs.positive)))


# Terms that need no head of their own: batch with unit vectors and groups -> scalar.
NUISANCES: Registry[Callable[[RowVectors], Tensor]] = Registry(INVARIANCES, {"flipped": flipped, "inverse": inverse})


def ridge(batch: RowVectors, known: RowVectors) -> Tensor:
    """Share of the groups' variance within classes that a ridge regression on the vectors explains.

    0 means that no linear probe finds the group among rows of one class. The regression is solved anew at each step
    instead of being trained beside the encoder, so the two cannot run after one another; its weights are held fixed,
    and by the envelope theorem the gradient is still that of the share.

    Args:
        batch: rows with gradient, with their groups.
        known: all rows in order, those of the batch as they were.

    >>> groups = torch.tensor([0, 1, 0, 1])
    >>> four = RowVectors(torch.eye(2).repeat(2, 1), torch.zeros(4, dtype=int), torch.arange(4), groups)
    >>> round(ridge(four, four).item(), 3)
    1.0
    """
    here, index = _refreshed(batch, known)
    assert here.group is not None
    mean, z = _class_means(here.vectors, here.y)  # (classes, width), (rows, width)
    _, g = _class_means(functional.one_hot(here.group).to(z.dtype), here.y)  # (rows, groups)
    gram = z.T @ z / len(z)
    gram.diagonal().add_(RIDGE * gram.diagonal().mean() + EPS)
    weight = torch.linalg.solve(gram, z.T @ g / len(z))  # (width, groups)
    predicted = (batch.vectors - mean[batch.y]) @ weight  # (batch, groups)
    explained = (2 * predicted * g[index] - predicted.square()).sum(dim=1).mean()
    return explained / g.square().sum(dim=1).mean().clamp(min=EPS)


def _refreshed(batch: RowVectors, known: RowVectors) -> tuple[RowVectors, Tensor]:
    """The rows known with the batch's vectors as they are now, thinned out if they are many; the batch's places."""
    assert known.group is not None
    rows = batch.rows.contiguous()
    index = torch.searchsorted(known.rows, rows)
    vectors = known.vectors.index_copy(0, index, batch.vectors.detach().to(known.vectors.dtype))
    every = -(-len(known) // RIDGE_ROWS)
    if every == 1:
        return RowVectors(vectors, known.y, known.rows, known.group), index
    chosen = torch.unique(torch.cat([index, torch.arange(0, len(known), every, device=index.device)]))
    thin = RowVectors(vectors[chosen], known.y[chosen], known.rows[chosen], known.group[chosen])
    return thin, torch.searchsorted(thin.rows, rows)


def _class_means(values: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each class (classes, width), and the values without that of their own (rows, width)."""
    sizes = torch.bincount(y)
    sums = torch.zeros(len(sizes), values.shape[1], dtype=values.dtype, device=y.device).index_add_(0, y, values)
    mean = sums / sizes.clamp(min=1)[:, None]
    return mean, values - mean[y]


def _by_group(batch: RowVectors) -> Pairs:
    assert batch.group is not None
    return everyone(
        RowVectors(batch.vectors, batch.group, batch.rows), RowVectors(batch.vectors, batch.group, batch.rows)
    )


def _square(batch: RowVectors, pairs: Pairs) -> Tensor:
    return cosine_mse(batch.vectors @ batch.vectors.T, pairs).total


class _Reverse(torch.autograd.Function):
    """The identity forward; backward the gradient times -strength."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * grads[0], None


def reverse(z: Tensor, strength: float) -> Tensor:
    """Pass z on, and turn its gradient round.

    >>> z = torch.ones(1, requires_grad=True)
    >>> reverse(z, 0.5).sum().backward()
    >>> z.grad
    tensor([-0.5000])
    """
    return _Reverse.apply(z, strength)


def ramp(step: int, steps: int) -> float:
    """Strength of the reversal over the training: from 0 to 1 (Ganin et al., 2016, section 5.2.2).

    >>> ramp(0, 10), round(ramp(10, 10), 4)
    (0.0, 0.9999)
    """
    return float(2 / (1 + np.exp(-10 * step / max(1, steps))) - 1)


@dataclass(frozen=True, eq=False)
class Adversary:
    """A linear head that looks for the group in unit vectors."""

    weight: Tensor  # (groups, width)
    bias: Tensor  # (groups,)

    @classmethod
    def start(cls, groups: int, width: int, device: torch.device) -> Adversary:
        """A head that knows nothing: its first gradients are its own alone."""
        return cls(torch.zeros(groups, width, device=device), torch.zeros(groups, device=device))

    @property
    def named(self) -> dict[str, Tensor]:
        """The tensors by name, for an optimiser group."""
        return dict(zip(ADVERSARY, (self.weight, self.bias), strict=True))

    def loss(self, batch: RowVectors, strength: float) -> Tensor:
        """Cross-entropy of the groups; the batch's vectors get its gradient turned round."""
        assert batch.group is not None
        scores = functional.linear(reverse(batch.vectors, strength), self.weight, self.bias)
        return functional.cross_entropy(scores, batch.group)


def group_numbers(group: np.ndarray | None, y: np.ndarray, source: str) -> tuple[np.ndarray, list[str]]:
    """Groups as numbers (rows,), and what is worth saying of them.

    Raises:
        DataError: no groups, one group only, or a group column that says the same as the label.

    >>> group_numbers(np.array(["x", "y", "x"]), np.array([0, 0, 1]), "q.csv")[0].tolist()
    [0, 1, 0]
    """
    if group is None:
        raise DataError(
            f"{source}: group invariance (or --sampler cells) needs groups", hint="name their column with --group"
        )
    codes, names = encode(group.astype(str))
    if len(names) < 2:
        raise DataError(f"{source}: all rows are of one group", got=repr(str(names[0])), expected="two groups or more")
    table = np.zeros((len(names), int(y.max()) + 1), dtype=np.int64)
    np.add.at(table, (codes, y), 1)
    one_class = (table > 0).sum(axis=1) == 1
    if bool(one_class.all()) and bool(((table > 0).sum(axis=0) <= 1).all()):
        raise DataError(
            f"{source}: the groups are the classes: what is taken from one is taken from the other",
            hint="name another column with --group",
        )
    notes = []
    if bool(one_class.any()):
        notes.append(
            f"{source}: {int(one_class.sum())} of {len(names)} groups have rows of one class only, "
            "so there group and class cannot be told apart"
        )
    return codes, notes
