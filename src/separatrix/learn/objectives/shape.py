"""How unit vectors lie on their sphere: alignment and uniformity (Wang and Isola, 2020), collapse of their classes."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from separatrix.errors import DataError
from separatrix.geometry.collapse import collapse


def shape_figures(vectors: Tensor, y: Tensor, scores: Tensor) -> dict[str, float]:
    """Alignment, uniformity, and NC1, NC2 and NC4 where two classes have rows and means of their own.

    Args:
        vectors: unit vectors (rows, width).
        y: class numbers (rows,).
        scores: what decides, (rows, classes).

    >>> sorted(shape_figures(torch.eye(2), torch.tensor([0, 1]), torch.eye(2)))
    ['alignment', 'nc1', 'nc2_angle', 'nc2_norm', 'nc4', 'uniformity']
    """
    figures = {"alignment": alignment(vectors, y), "uniformity": uniformity(vectors)}
    with suppress(DataError):  # one class among the rows, or one point for all
        predicted = scores.argmax(1).cpu().numpy()
        shape = collapse(vectors.cpu().numpy(), y.cpu().numpy(), scores.shape[1], predicted=predicted)
        figures |= {name: value for name, value in shape.to_dict().items() if value is not None}
    return figures


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
