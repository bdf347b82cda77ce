"""Two numbers of how unit vectors lie on their sphere (Wang and Isola, 2020, ICML: alignment, uniformity)."""

from __future__ import annotations

import torch
from torch import Tensor


def alignment(vectors: Tensor, y: Tensor) -> float:
    """Mean squared distance of pairs of one class, 0 to 4; 0 when each class is a point. No such pair gives 0.

    Args:
        vectors: unit vectors (rows, width).
        y: class numbers (rows,).

    >>> alignment(torch.eye(2), torch.tensor([0, 0]))
    2.0
    """
    same = (y[:, None] == y[None, :]).triu(1)
    squared = (2 - 2 * vectors @ vectors.T).clamp(min=0)
    return float((squared * same).sum() / same.sum().clamp(min=1))


def uniformity(vectors: Tensor) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs, 0 when all rows are one point; lower is more even, about -4 best.

    >>> round(uniformity(torch.eye(2)), 4)
    -4.0
    """
    if len(vectors) < 2:
        return 0.0
    squared = (2 - 2 * vectors @ vectors.T).clamp(min=0)
    upper = torch.ones_like(squared, dtype=torch.bool).triu(1)
    return float(squared[upper].mul(-2).exp().mean().log())
