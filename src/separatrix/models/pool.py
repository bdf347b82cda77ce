"""From hidden states of a padded batch to one vector a row: pure functions behind the dictionary `POOLS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def cls(states: Sequence[Tensor], _mask: Tensor) -> Tensor:
    """The first token of the last layer."""
    return states[-1][:, 0]


def last(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The last real token of the last layer."""
    rows = torch.arange(len(mask), device=mask.device)
    return states[-1][rows, mask.sum(dim=1).long() - 1]


def mean(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The mean of the real tokens of the last layer.

    >>> mean([torch.tensor([[[1.0], [3.0], [9.0]]])], torch.tensor([[1, 1, 0]])).tolist()
    [[2.0]]
    """
    return _mean(states[-1], mask)


def layer_mean(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The mean over the real tokens and over all layers, the embeddings left out."""
    return torch.stack([_mean(state, mask) for state in states[1:]]).mean(dim=0)


def highest(states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The largest value of each coordinate over the real tokens of the last layer."""
    return states[-1].masked_fill(~mask.bool()[..., None], -torch.inf).amax(dim=1)


def _mean(state: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(state.dtype)[..., None]  # (rows, tokens, 1)
    return (state * weight).sum(dim=1) / weight.sum(dim=1)


# (states of each layer (rows, tokens, width), the embeddings first; mask (rows, tokens)) -> (rows, width)
POOLS: dict[str, Callable[[Sequence[Tensor], Tensor], Tensor]] = {
    "cls": cls,
    "mean": mean,
    "max": highest,
    "last": last,
    "layer_mean": layer_mean,
}
