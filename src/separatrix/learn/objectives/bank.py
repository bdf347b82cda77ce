"""What is remembered of rows between steps, and how the nearest of them decide.

It is the last vector of every training row, or of one row of each class. The tensors are changed in place and belong
to the loop's state, so a checkpoint holds them and a resumed training goes on with the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.geometry.neighbors import count_votes
from separatrix.learn.objectives.contrast import LOWEST, unit
from separatrix.learn.objectives.pairs import RowVectors

NEVER = -1


@dataclass(frozen=True, eq=False)
class Bank:
    """The last vector of every training row, of length 1, and the step at which it was written."""

    vectors: Tensor  # (rows, width) float32
    written: Tensor  # (rows,) int64; -1: never

    @classmethod
    def empty(cls, rows: int, width: int, device: torch.device) -> Bank:
        """A bank in which nothing is written yet."""
        written = torch.full((rows,), NEVER, dtype=torch.int64, device=device)
        return cls(torch.zeros(rows, width, device=device), written)

    @property
    def named(self) -> dict[str, Tensor]:
        """The tensors by the names that they have in a checkpoint."""
        return {"bank": self.vectors, "bank_written": self.written}

    def write(self, rows: Tensor, z: Tensor, step: int) -> None:
        """Replace the vectors of these rows by z (rows, width)."""
        self.vectors[rows] = unit(z.detach())
        self.written[rows] = step

    def staleness(self, rows: Tensor, z: Tensor) -> Tensor:
        """1 - cosine of what is stored of these rows with what they are now, as a mean over those ever written."""
        known = self.written[rows] != NEVER
        gap = 1 - (self.vectors[rows] * unit(z.detach())).sum(dim=1)  # (rows,)
        return (gap * known).sum() / known.sum().clamp(min=1)

    def stored_rows(self, y: Tensor, group: Tensor | None = None, weight: Tensor | None = None) -> RowVectors:
        """All rows written so far, with groups and weights where all rows have them."""
        rows = torch.nonzero(self.written != NEVER)[:, 0]
        whole = len(rows) == len(y)
        vectors = self.vectors if whole else self.vectors[rows]
        group, weight = (None if each is None else each[rows] for each in (group, weight))
        return RowVectors(vectors, y[rows], rows, group, weight)


def class_cosines(z: Tensor, y: Tensor, rows: Tensor | None, bank: RowVectors, classes: int) -> Tensor:
    """Cosines of z with the mean direction of each class over a bank, (rows, classes).

    Training rows are left out of their own class's mean; a class of one row then has no direction and cosine 0. Rows of
    the bank that have weights count by them.

    Args:
        z: outputs (rows, width).
        y: their classes (rows,); used with `rows` only.
        rows: their places in the training part, or None for other rows.
        bank: rows of the bank, in order; one that was never written is in no mean.

    >>> bank = RowVectors(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> class_cosines(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), None, bank, 2)
    tensor([[1., 0.]])
    """
    vectors = bank.vectors if bank.weight is None else bank.vectors * bank.weight[:, None]
    sums = torch.zeros(classes, bank.vectors.shape[1], device=z.device).index_add_(0, bank.y, vectors)
    near = unit(z)
    cosines = near @ unit(sums).T
    if rows is None:
        return cosines
    index = torch.searchsorted(bank.rows, rows).clamp(max=len(bank) - 1)  # (rows,) where the bank has them, if it does
    own = vectors[index] * (bank.rows[index] == rows)[:, None]
    others = unit(sums[y] - own)  # (rows, width)
    return cosines.scatter(1, y[:, None], (near * others).sum(dim=1, keepdim=True))


@dataclass(frozen=True, eq=False)
class ClassMemory:
    """The last row of each class that training has seen, and its vector at that time."""

    vectors: Tensor  # (classes, width) float32
    rows: Tensor  # (classes,) int64 places in the training part; -1: none yet

    @classmethod
    def empty(cls, classes: int, width: int, device: torch.device) -> ClassMemory:
        """A memory that has seen nothing."""
        rows = torch.full((classes,), NEVER, dtype=torch.int64, device=device)
        return cls(torch.zeros(classes, width, device=device), rows)

    @property
    def named(self) -> dict[str, Tensor]:
        """The tensors by the names that they have in a checkpoint."""
        return {"memory": self.vectors, "memory_rows": self.rows}

    def write(self, batch: RowVectors) -> None:
        """Keep the last row of each class of the batch."""
        order = torch.arange(len(batch), device=self.rows.device)
        last = torch.full_like(self.rows, NEVER).scatter_reduce_(0, batch.y, order, "amax")  # (classes,)
        present = last != NEVER
        self.rows[present] = batch.rows[last[present]]
        self.vectors[present] = batch.vectors[last[present]].detach().to(self.vectors.dtype)

    def stored_rows(self, group: Tensor | None = None, weight: Tensor | None = None) -> RowVectors:
        """The stored rows with their stale vectors; `group` and `weight` (training rows,) are those of all rows."""
        y = torch.nonzero(self.rows != NEVER)[:, 0]
        rows = self.rows[y]
        group, weight = (None if each is None else each[rows] for each in (group, weight))
        return RowVectors(self.vectors[y], y, rows, group, weight)


VOTERS = 20  # neighbors that decide within training; how many decide afterwards is chosen
FLOOR = 1e-3  # share of the votes that is spread over all classes, so that no class has probability 0


def neighbor_scores(
    z: Tensor, stored: RowVectors, classes: int, temperature: float, rows: Tensor | None = None
) -> Tensor:
    """Log shares of the votes of the nearest stored rows, (rows, classes); a vote counts exp(cos / temperature).

    Args:
        z: outputs (rows, width).
        stored: the rows that vote.
        temperature: of the votes.
        rows: places of z in the training part, if they are training rows: no row votes for itself.

    >>> stored = RowVectors(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> neighbor_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1).argmax().item()
    0
    >>> neighbor_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1, torch.tensor([0])).argmax().item()
    1
    """
    similar = unit(z) @ stored.vectors.T  # (rows, stored)
    if rows is not None:
        similar = similar.masked_fill(stored.rows[None, :] == rows[:, None], LOWEST)
    near, index = similar.detach().topk(min(VOTERS, len(stored)), dim=1)  # (rows, voters), nearest first
    weight = ((near - near[:, :1]).double() / temperature).exp() * (near > LOWEST)
    shares = torch.from_numpy(count_votes(stored.y[index].cpu().numpy(), classes, weight.cpu().numpy()))
    return ((1 - FLOOR) * shares + FLOOR / classes).log().to(z)
