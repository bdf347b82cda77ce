"""Objectives of rows with several labels: binary cross-entropy, one label against the rest, whatever gives the chance.

A linear head gives each label a log-odds. An encoder's stored rows give each label the share of their votes, weighted
by exp(cosine / temperature): the soft form of the vote of neighbours that answers afterwards. With one label a row
that is a row's own term of `nca`, and the terms of the labels that it has not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import ShapeError
from separatrix.learn.objectives.bank import VOTERS, Bank
from separatrix.learn.objectives.base import (
    LossBatch,
    LossValue,
    Objective,
    Terms,
    TrainingRows,
    linear_scores,
    mean_head,
    random_head,
)
from separatrix.learn.objectives.contrast import LOWEST, unit
from separatrix.recipe import LossRecipe
from separatrix.recipe.align import AlignRecipe

LEAST = 1e-4  # no share of votes is nearer to 0 or 1


def binary_ce(scores: Tensor, y: Tensor, _options: LossRecipe) -> Terms:
    """Binary cross-entropy of log-odds (rows, labels) with 0 and 1 (rows, labels), summed over the labels.

    >>> binary_ce(torch.zeros(1, 2), torch.tensor([[0, 1]]), LossRecipe(loss="binary_ce"))
    {'binary_ce': tensor(1.3863)}
    """
    if scores.shape != y.shape:
        got = f"{tuple(scores.shape)} and {tuple(y.shape)}"
        raise ShapeError("scores and labels do not fit", got=got, expected="(rows, labels) both")
    loss = functional.binary_cross_entropy_with_logits(scores, y.to(scores.dtype), reduction="none")
    return {"binary_ce": loss.sum(dim=1).mean()}


def vote_odds(shares: Tensor) -> Tensor:
    """Log-odds of shares of votes, (rows, labels), kept within what float32 holds.

    >>> vote_odds(torch.tensor([[0.5, 1.0]])).round(decimals=2)
    tensor([[0.0000, 9.2100]])
    """
    kept = shares.clamp(LEAST, 1 - LEAST)
    return kept.log() - (1 - kept).log()


@dataclass(eq=False)
class LabelSetObjective(Objective):
    """Soft votes of all training rows for each label, a linear head, or both; the nearest rows or the head predict."""

    recipe: AlignRecipe
    labels: int
    bank: Bank | None = None
    weight: Tensor | None = None  # (labels, width) of the head
    bias: Tensor | None = None
    live: bool = False

    def start(self, rows: TrainingRows) -> None:
        """Fill the bank where votes teach or answer; the head at its start."""
        self._y = rows.labels
        votes = self.recipe.objective.loss != "linear" or self.recipe.answers.decision == "knn"
        z = rows.outputs(None if votes or self.recipe.head_at_means else rows.start[:1])
        if votes:
            self.bank = Bank.empty(len(rows.labels), z.shape[1], z.device)
            self.bank.write(torch.arange(len(rows.labels), device=z.device), z, 0)
        if self.recipe.has_head:
            self.weight, self.bias = random_head(self.labels, z.shape[1], self.recipe.loop.seed, z.device)
            if self.recipe.head_at_means:
                self.weight = mean_head(z, self._y, self.weight)

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """The linear head."""
        if self.weight is None or self.bias is None:
            return {}
        return {"head": {"weight": self.weight, "bias": self.bias}}

    def buffers(self) -> dict[str, Tensor]:
        """The bank."""
        return {} if self.bank is None else self.bank.named

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Votes and head of a training batch; of other rows what decides."""
        options = LossRecipe()
        if batch.rows is None:
            return LossValue.of({"decision": binary_ce(self.scores(outputs), batch.labels, options)["binary_ce"]})
        terms: Terms = {}
        if self.recipe.objective.loss != "linear":
            shares = self._shares(outputs, batch.rows, None)
            terms["votes"] = binary_ce(vote_odds(shares), batch.labels, options)["binary_ce"]
        if self.weight is not None:
            head = binary_ce(linear_scores(outputs, self.weight, self.bias), batch.labels, options)["binary_ce"]
            terms["head"] = head if not terms else self.recipe.answers.head_weight * head
        return LossValue.of(terms)

    def scores(self, outputs: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """Log-odds (rows, labels) of the head, or of the votes of the nearest stored rows; no row votes for itself."""
        if self.recipe.answers.decision == "head" or self.bank is None:
            return linear_scores(outputs, self.weight, self.bias)
        own = None if rows is None else torch.from_numpy(rows).to(outputs.device)
        return vote_odds(self._shares(outputs, own, VOTERS))

    @torch.no_grad()
    def after_step(self, outputs: Tensor, batch: LossBatch) -> None:
        """Remember the vectors of the batch."""
        if self.bank is not None and batch.rows is not None:
            self.bank.write(batch.rows, outputs, batch.step)

    def _shares(self, z: Tensor, rows: Tensor | None, voters: int | None) -> Tensor:
        """Share of the votes for each label, (rows, labels): of all stored rows, or of so many of the nearest."""
        assert self.bank is not None
        similar = unit(z) @ self.bank.vectors.T  # (rows, stored)
        if rows is not None:
            own = torch.arange(len(self.bank.vectors), device=z.device)[None, :] == rows[:, None]
            similar = similar.masked_fill(own, LOWEST)
        if voters is not None and voters < similar.shape[1]:
            similar = similar.masked_fill(similar < similar.topk(voters, dim=1).values[:, -1:], LOWEST)
        return (similar / self.recipe.objective.temperature).softmax(dim=1) @ self._y.to(similar.dtype)
