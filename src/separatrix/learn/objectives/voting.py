"""How a row is decided within a training by the nearest stored rows as they stand."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.geometry.neighbours import count_votes
from separatrix.learn.objectives.contrast import LOWEST, unit
from separatrix.learn.objectives.pairs import RowVectors

VOTERS = 20  # neighbours that decide within training; how many decide afterwards is chosen
FLOOR = 1e-3  # share of the votes that is spread over all classes, so that no class has probability 0


def neighbour_scores(
    z: Tensor, stored: RowVectors, classes: int, temperature: float, rows: Tensor | None = None
) -> Tensor:
    """Log shares of the votes of the nearest stored rows, (rows, classes); a vote counts exp(cos / temperature).

    Args:
        z: outputs (rows, width).
        stored: who votes.
        classes: number of classes.
        temperature: of the votes.
        rows: places of z in the training part, if they are training rows: no row votes for itself.

    >>> stored = RowVectors(torch.eye(2), torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> neighbour_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1).argmax().item()
    0
    >>> neighbour_scores(torch.tensor([[1.0, 0.1]]), stored, 2, 0.1, torch.tensor([0])).argmax().item()
    1
    """
    similar = unit(z) @ stored.vectors.T  # (rows, stored)
    if rows is not None:
        similar = similar.masked_fill(stored.rows[None, :] == rows[:, None], LOWEST)
    near, index = similar.detach().topk(min(VOTERS, len(stored)), dim=1)  # (rows, voters), nearest first
    weight = ((near - near[:, :1]).double() / temperature).exp() * (near > LOWEST)
    shares = torch.from_numpy(count_votes(stored.y[index].cpu().numpy(), classes, weight.cpu().numpy()))
    return ((1 - FLOOR) * shares + FLOOR / classes).log().to(z)
