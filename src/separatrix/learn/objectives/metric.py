"""Distances and similarities between rows, safe where two rows meet."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Distances below this count as this in 1/d: coincident points then give a large number, not infinity, and no gradient.
NEAREST = 1e-6


def wide(values: Tensor) -> Tensor:
    """Cast to float32; float64 stays as it is.

    >>> wide(torch.ones(1, dtype=torch.bfloat16)).dtype, wide(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return values if values.dtype == torch.float64 else values.float()


def alike(*tensors: Tensor) -> list[Tensor]:
    """Cast several tensors to one format, the widest among them and float32 at least.

    >>> [t.dtype for t in alike(torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.bfloat16))]
    [torch.float64, torch.float64]
    """
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    return [tensor.to(dtype) for tensor in tensors]


def distances(left: Tensor, right: Tensor) -> Tensor:
    """Euclidean distances `(n, m)` between the rows of `left` `(n, width)` and of `right` `(m, width)`.

    Differences are taken first and squared after. The faster way through a matrix product (which `torch.cdist` takes by
    itself above 25 rows) subtracts large squares from each other: two float32 rows of length 200 that are 0.02 apart
    come out 0 apart, and the gradient is lost just where classes meet. The gradient at distance 0 is 0, not NaN.

    >>> distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    left, right = alike(left, right)
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")


def reciprocal(distance: Tensor) -> Tensor:
    """1/d, with distances below 1e-6 taken as 1e-6 (no infinity, and no gradient there).

    >>> reciprocal(torch.tensor([0.5, 0.0, 1e-9]))
    tensor([2.0000e+00, 1.0000e+06, 1.0000e+06])
    """
    return 1 / distance.clamp(min=NEAREST)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine similarities `(n, m)` between rows; a zero row has cosine 0 with everything.

    >>> cosines(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]]))
    tensor([[1., 0., 0.]])
    """
    one, two = (functional.normalize(rows, dim=1, eps=NEAREST) for rows in alike(left, right))
    return one @ two.T


def pair_mask(rows: int, device: torch.device | None = None) -> Tensor:
    """Mask `(rows, rows)` of the unordered pairs i < j.

    >>> pair_mask(3).nonzero().tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    return torch.ones(rows, rows, dtype=torch.bool, device=device).triu(1)
