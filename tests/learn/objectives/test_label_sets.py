"""Objectives of several labels a row beside slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from separatrix import recipe as recipes
from separatrix.errors import ShapeError
from separatrix.learn.objectives import LossBatch, TrainingRows
from separatrix.learn.objectives.label_sets import LEAST, LabelSetObjective, binary_ce, vote_odds
from separatrix.recipe import LossRecipe
from separatrix.recipe.align import AlignRecipe

OPTIONS = LossRecipe(loss="binary_ce")


def _data(rows: int = 12, width: int = 5, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, width, generator=generator)
    return z, (torch.rand(rows, labels, generator=generator) < 0.4).long()


def _objective(z: torch.Tensor, y: torch.Tensor, **options: object) -> LabelSetObjective:
    objective = LabelSetObjective(recipes.replace(AlignRecipe(), **options), y.shape[1])
    objective.start(TrainingRows(lambda rows: z if rows is None else z[rows], y, np.arange(len(y))))
    return objective


def test_binary_cross_entropy_is_that_of_a_loop() -> None:
    z, y = _data()
    scores = z[:, :3]
    total = 0.0
    for row in range(len(y)):
        for label in range(3):
            chance = 1 / (1 + math.exp(-float(scores[row, label])))
            total -= math.log(chance if y[row, label] else 1 - chance)
    assert binary_ce(scores, y, OPTIONS)["binary_ce"].item() == pytest.approx(total / len(y), rel=1e-5)


def test_soft_votes_are_those_of_a_loop_and_no_row_votes_for_itself() -> None:
    z, y = _data()
    objective = _objective(z, y, temperature=0.3)
    rows = torch.tensor([0, 4, 7])
    loss = objective.loss(z[rows], LossBatch(y[rows], rows)).total
    unit = z / z.norm(dim=1, keepdim=True)
    total = 0.0
    for row in rows.tolist():
        votes = [0.0 if other == row else math.exp(float(unit[row] @ unit[other]) / 0.3) for other in range(len(y))]
        for label in range(3):
            share = sum(vote for vote, marks in zip(votes, y, strict=True) if marks[label]) / sum(votes)
            share = min(max(share, LEAST), 1 - LEAST)
            total -= math.log(share if y[row, label] else 1 - share)
    assert loss.item() == pytest.approx(total / len(rows), rel=1e-4)


def test_training_moves_rows_towards_those_with_the_same_labels() -> None:
    z, y = _data(24)
    objective = _objective(z.clone(), y, temperature=0.3)
    z = z.clone().requires_grad_()
    optimizer, rows = torch.optim.Adam([z], lr=0.05), torch.arange(24)
    losses = []
    for step in range(60):
        value = objective.loss(z, LossBatch(y, rows, step))
        optimizer.zero_grad()
        value.total.backward()
        optimizer.step()
        objective.after_step(z.detach(), LossBatch(y, rows, step))
        losses.append(value.total.item())
    assert losses[-1] < 0.3 * losses[0]
    right = (objective.scores(z.detach(), np.arange(24)) > 0) == (y > 0)
    assert right.float().mean() > 0.95


def test_a_head_decides_where_it_is_asked_to() -> None:
    z, y = _data()
    objective = _objective(z, y, loss="linear", decision="head")
    assert objective.bank is None
    assert set(objective.parameters()) == {"head"}
    value = objective.loss(z, LossBatch(y, torch.arange(len(y))))
    assert value.total.item() == pytest.approx(binary_ce(objective.scores(z), y, OPTIONS)["binary_ce"].item())
    both = _objective(z, y, head_weight=2.0)
    parts = both.loss(z, LossBatch(y, torch.arange(len(y))))
    assert set(parts.parts) == {"votes", "head"}
    assert parts.total.item() == pytest.approx((parts.parts["votes"] + parts.parts["head"]).item())


def test_shapes_and_ends() -> None:
    with pytest.raises(ShapeError, match="scores and labels do not fit"):
        binary_ce(torch.zeros(2, 3), torch.zeros(2), OPTIONS)
    assert torch.isfinite(vote_odds(torch.tensor([[0.0, 1.0]]))).all()
