"""Adversarial training: a batch is learnt a second time where the vectors of its tokens make it hardest.

After Miyato, Dai and Goodfellow (2017, ICLR), with one step for the whole table of token vectors, so that chunks of a
large batch move alike. The step is measured by the vectors themselves: the same share suits every model and batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from separatrix.learn.objectives.base import LossValue


@contextmanager
def uphill(table: Tensor, share: float) -> Iterator[None]:
    """The table of token vectors moved up its gradient inside the block; afterwards it is the same, bit for bit.

    Rows without gradient (tokens that are not in the batch) stay. A token that decides more moves further.

    Args:
        table: (vocabulary, width), with its gradient; where that is zero, nothing moves.
        share: length of the step, as a share of the length of the vectors (root mean square over the rows that move).

    >>> table = torch.tensor([[3.0, 4.0], [1.0, 0.0]], requires_grad=True)
    >>> table.grad = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> with uphill(table, 0.1):
    ...     print(table.tolist())
    [[3.0, 4.5], [1.0, 0.0]]
    >>> table.tolist()
    [[3.0, 4.0], [1.0, 0.0]]
    """
    assert table.grad is not None
    rows = table.grad.abs().sum(dim=1).nonzero()[:, 0]  # (moved,)
    before, slope = table.detach()[rows], table.grad[rows]  # (moved, width) copies
    scale = share * before.norm() / slope.norm().clamp_min(torch.finfo(slope.dtype).tiny)
    with torch.no_grad():
        table[rows] = before + scale * slope
    try:
        yield
    finally:
        with torch.no_grad():
            table[rows] = before


def and_uphill(run: Callable[[], tuple[Tensor, LossValue]], table: Tensor, share: float) -> tuple[Tensor, LossValue]:
    """Run a batch forward and backward, then once more with the table moved up the gradient that the first run left.

    Args:
        run: forward and backward; adds to the gradients.
        table: of the token vectors, (vocabulary, width).
        share: as `uphill` has it; 0 runs the batch once, and so does a table that is frozen.

    Returns:
        Outputs and loss of the first run; the loss of the second is its part `perturbed`.
    """
    z, value = run()
    if not share or table.grad is None:
        return z, value
    with uphill(table, share):
        _, moved = run()
    return z, LossValue(value.total, value.parts | {"perturbed": moved.total.detach()})
