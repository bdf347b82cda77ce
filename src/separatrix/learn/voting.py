"""How a row is decided within a training: by the stored rows as they stand, nearest ones or class means.

A training row never has a say in its own decision: the bank holds it, so its own vector would be its nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.geometry.neighbours import count_votes
from separatrix.learn.bank import Bank, class_cosines
from separatrix.learn.losses import Anchors, LossValue, Objective
from separatrix.learn.losses.aligned import LOWEST, unit
from separatrix.learn.pairs import Crowd
from separatrix.recipe import LossRecipe

VOTERS = 20  # neighbours that decide within training; how many decide afterwards is chosen
FLOOR = 1e-3  # share of the votes that is spread over all classes, so that no class has probability 0


@dataclass(frozen=True, eq=False)
class Voters:
    """The training rows of a bank, asked for the class of others."""

    bank: Bank
    y: Tensor  # (train rows,) class numbers
    classes: int
    decision: str  # "knn", or "mean": the nearest class mean
    temperature: float

    def scores(self, z: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """Scores of outputs z (rows, width), one column a class.

        Args:
            z: outputs.
            rows: which training rows they are, so that each is left out of its own decision; None for other rows.
        """
        stored = self.bank.crowd(self.y)
        own = None if rows is None else torch.from_numpy(rows).to(z.device)
        if self.decision == "knn":
            return neighbour_scores(z, stored, self.classes, self.temperature, own)
        labels = torch.zeros(len(z), dtype=torch.int64, device=z.device) if own is None else self.y[own]
        return class_cosines(z, labels, own, stored, self.classes) / self.temperature

    def objective(self, name: str) -> Objective:
        """What the loop validates by."""

        def scores(z: Tensor, _anchors: Anchors, _recipe: LossRecipe) -> Tensor:
            return self.scores(z)

        def loss(z: Tensor, y: Tensor, _anchors: Anchors, _recipe: LossRecipe) -> LossValue:
            value = functional.cross_entropy(self.scores(z), y)
            return LossValue(value, {self.decision: value.detach()})

        return Objective(name, "bank", "classify", loss, scores)


def neighbour_scores(z: Tensor, stored: Crowd, classes: int, temperature: float, rows: Tensor | None = None) -> Tensor:
    """Log shares of the votes of the nearest stored rows, (rows, classes); a vote counts exp(cos / temperature).

    Args:
        z: outputs (rows, width).
        stored: who votes.
        classes: number of classes.
        temperature: of the votes.
        rows: places of z in the training part, if they are training rows: no row votes for itself.

    >>> stored = Crowd(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> neighbour_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1).argmax().item()
    0
    >>> neighbour_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1, torch.tensor([0])).argmax().item()
    1
    """
    similar = unit(z) @ stored.vectors.T  # (rows, stored)
    if rows is not None:
        similar = similar.masked_fill(stored.rows[None, :] == rows[:, None], LOWEST)
    near, place = similar.detach().topk(min(VOTERS, len(stored)), dim=1)  # (rows, voters), nearest first
    weight = ((near - near[:, :1]).double() / temperature).exp() * (near > LOWEST)
    shares = torch.from_numpy(count_votes(stored.y[place].cpu().numpy(), classes, weight.cpu().numpy()))
    return ((1 - FLOOR) * shares + FLOOR / classes).log().to(z)
