"""Objectives without classes: answer spans, and two views of one thing. Nothing is decided by them within training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import ShapeError
from separatrix.learn.objectives.base import LossBatch, LossValue, Objective

OFF_DIAGONAL = 5e-3  # the paper's lambda


class SpanObjective(Objective):
    """Mean of the cross-entropies of the first and the last token of an answer."""

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss of scores (rows, tokens, 2) with the right tokens (rows, 2).

        >>> SpanObjective().loss(torch.zeros(1, 4, 2), LossBatch(torch.tensor([[1, 3]]))).total.exp()
        tensor(4.)
        """
        return LossValue.of({"cross_entropy": functional.cross_entropy(outputs, batch.labels)})


class BarlowObjective(Objective):
    """Barlow Twins: two views of a row say the same, and no two columns do (Zbontar et al. 2021)."""

    def loss(self, outputs: Tensor, _batch: LossBatch) -> LossValue:
        """The loss of both views (rows, 2, width)."""
        return LossValue.of({"barlow": barlow_loss(*outputs.unbind(dim=1))})


def barlow_loss(one: Tensor, other: Tensor) -> Tensor:
    """Squared distance of the two views' cross-correlation from the identity (Zbontar et al. 2021, equation 1).

    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(float(barlow_loss(z, z)), 4)
    0.0
    """
    if one.shape != other.shape or len(one) < 2:
        raise ShapeError("two views need equal shapes", got=f"{tuple(one.shape)} and {tuple(other.shape)}")
    a, b = ((view - view.mean(0)) / view.std(0, unbiased=False).clamp(min=1e-5) for view in (one, other))
    correlation = a.T @ b / len(a)
    diagonal = torch.diagonal(correlation)
    rest = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + OFF_DIAGONAL * rest
