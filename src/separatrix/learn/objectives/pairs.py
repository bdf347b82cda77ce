"""Which rows are compared with which: the schemes, each with one random pair of a kind or all, without a loop.

`RowVectors` are rows with their vectors, classes and groups. A scheme takes the batch and the stored rows and gives
the others, with two masks: pairs of one class, pairs of two. A row is never its own partner.

batch       others are the batch
memory      one stored vector of each class (stale); a kind of pair that it cannot give comes from the batch
mixed       the batch; a kind of pair that it cannot give comes from the memory
datapoint   as memory, but the stored row is run again, with gradient
bank        the last vectors of all training rows (stale)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from separatrix.errors import DataError
from separatrix.learn.objectives.contrast import Pairs
from separatrix.recipe.align import PAIRS
from separatrix.recipe.registry import Registry


@dataclass(frozen=True, eq=False)
class RowVectors:
    """Rows with what is known of them."""

    vectors: Tensor  # (rows, width)
    y: Tensor  # (rows,) class numbers
    rows: Tensor  # (rows,) places in the training part
    group: Tensor | None = None  # (rows,) group numbers
    weight: Tensor | None = None  # (rows,) above 0; None: all alike

    def __len__(self) -> int:
        return len(self.y)

    def join(self, other: RowVectors) -> RowVectors:
        """These rows, then the others."""
        group = None if self.group is None or other.group is None else torch.cat([self.group, other.group])
        weight = None if self.weight is None or other.weight is None else torch.cat([self.weight, other.weight])
        return RowVectors(
            torch.cat([self.vectors, other.vectors.to(self.vectors.dtype)]),
            torch.cat([self.y, other.y]),
            torch.cat([self.rows, other.rows]),
            group,
            weight,
        )


@dataclass(frozen=True, eq=False)
class PairBatch:
    """The others that the batch is compared with, and the pairs."""

    others: RowVectors
    pairs: Pairs


def everyone(batch: RowVectors, others: RowVectors) -> Pairs:
    """All ordered pairs of a row of the batch with another row.

    >>> six = RowVectors(torch.zeros(3, 1), torch.tensor([0, 0, 1]), torch.tensor([7, 8, 9]))
    >>> everyone(six, six).positive.int().tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    same = batch.y[:, None] == others.y[None, :]  # (rows, others)
    itself = batch.rows[:, None] == others.rows[None, :]
    return Pairs(same & ~itself, ~same & ~itself)


def _memory(batch: RowVectors, stored: RowVectors) -> PairBatch:
    return _prefer(batch, stored, batch)


# (batch, stored rows) -> the others and the pairs; what `stored` holds is the scheme's: see `learn.bank`.
SCHEMES: Registry[Callable[[RowVectors, RowVectors], PairBatch]] = Registry(
    PAIRS,
    {
        "batch": lambda batch, _stored: PairBatch(batch, everyone(batch, batch)),
        "memory": _memory,
        "mixed": lambda batch, stored: _prefer(batch, batch, stored),
        "datapoint": _memory,
        "bank": lambda batch, stored: PairBatch(stored, everyone(batch, stored)),
    },
)


def _prefer(batch: RowVectors, first: RowVectors, second: RowVectors) -> PairBatch:
    """Pairs with `first`; a row that has none of a kind there takes those with `second`."""
    near, far = everyone(batch, first), everyone(batch, second)

    def either(one: Tensor, other: Tensor) -> Tensor:
        return torch.cat([one, other & ~one.any(dim=1, keepdim=True)], dim=1)

    return PairBatch(
        first.join(second), Pairs(either(near.positive, far.positive), either(near.negative, far.negative))
    )


def draw_one(pairs: Pairs, generator: torch.Generator, weight: Tensor | None = None) -> Pairs:
    """One random pair of each kind for each row that has any; the weight of the others, (others,), is its chance."""

    def drawn(mask: Tensor) -> Tensor:
        if not mask.shape[1]:
            return mask
        luck = torch.rand(mask.shape, generator=generator).to(mask.device)
        # The largest u^(1/w) falls on each in proportion to its w (Efraimidis and Spirakis, 2006).
        luck = (luck if weight is None else luck.log() / weight).masked_fill(~mask, -torch.inf)
        one = torch.zeros_like(mask).scatter_(1, luck.argmax(dim=1, keepdim=True), True)
        return one & mask

    return Pairs(drawn(pairs.positive), drawn(pairs.negative))


def across_groups(compared: PairBatch, batch: RowVectors) -> PairBatch:
    """Positives from other groups, negatives from the same group: the class decides, the group cannot.

    A row that has no such pair of a kind keeps those that it had.
    """
    others, pairs = compared.others, compared.pairs
    if batch.group is None or others.group is None:
        raise DataError("pairs across groups need groups", hint="name their column with --group")
    same = batch.group[:, None] == others.group[None, :]  # (rows, others)
    return replace(compared, pairs=Pairs(_where_any(pairs.positive, ~same), _where_any(pairs.negative, same)))


def _where_any(mask: Tensor, condition: Tensor) -> Tensor:
    narrowed = mask & condition
    return torch.where(narrowed.any(dim=1, keepdim=True), narrowed, mask)


def check_pairs(pairs: Pairs, step: int, *, positives: bool = False) -> None:
    """Stop at a step without a single pair, or without one of one class where it is needed: nothing would be learnt.

    Raises:
        DataError: no pair at all, or none of one class although they are needed.
    """
    if not bool(pairs.positive.any() | pairs.negative.any()):
        raise DataError(
            f"step {step} has no pairs",
            got=f"{pairs.positive.shape[0]} rows and {pairs.positive.shape[1]} others",
            expected="at least two different rows",
            hint="raise --batch-size, or type --pairs bank",
        )
    if positives and not bool(pairs.positive.any()):
        raise DataError(
            f"no row of step {step} met another of its own class",
            got=f"{pairs.positive.shape[0]} rows and {pairs.positive.shape[1]} others",
            hint="raise --batch-size, or type --pairs bank or --sampler balanced",
        )
