"""Attention of a few learnt tokens over a text that never changes: nothing is computed that the text alone would need.

The text's keys and values come in 16 bits and are widened one layer at a time, forward and again backward, into memory
that the next layer takes over; only the attention weights are kept between the two. No gradient towards the text is
ever formed. Heads that share a key head (grouped queries) are folded into its queries instead of repeating the keys.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Text(NamedTuple):
    """Stored keys and values of one layer, each (rows, key heads, text, head width), in any float format."""

    keys: Tensor
    values: Tensor


def attend_behind(query: Tensor, key: Tensor, value: Tensor, text: Text, mask: Tensor, scale: float) -> Tensor:
    """Scaled dot-product attention over a frozen text and then the tokens' own keys.

    Args:
        query: (rows, heads, tokens, head width).
        key: (rows, key heads, tokens, head width); `heads` is a multiple of `key heads`.
        value: as `key`.
        text: what stands before the tokens.
        mask: (rows, 1, tokens, text + tokens) bool, True where a token may look.
        scale: factor of the products.

    Returns:
        (rows, heads, tokens, head width), with gradients towards query, key and value.
    """
    return _Behind.apply(query, key, value, text.keys, text.values, mask, scale)


class _Behind(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float
    ) -> Tensor:
        folded = _fold(query, key.shape[1])  # (rows, key heads, groups * tokens, head width)
        scores = torch.cat([folded @ _widen(keys, query).mT, folded @ key.mT], dim=-1).float().mul_(scale)
        groups = query.shape[1] // key.shape[1]
        scores.masked_fill_(~mask.repeat(1, 1, groups, 1), -torch.inf)
        weights = scores.softmax(-1).to(query.dtype)  # (rows, key heads, groups * tokens, text + tokens)
        length = keys.shape[2]
        out = weights[..., :length] @ _widen(values, query) + weights[..., length:] @ value
        ctx.save_for_backward(query, key, value, keys, values, weights)
        ctx.scale = scale
        return out.view(query.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, keys, values, weights = ctx.saved_tensors
        folded, grad = _fold(query, key.shape[1]), _fold(grad, key.shape[1])
        length = keys.shape[2]
        through = torch.cat([grad @ _widen(values, query).mT, grad @ value.mT], dim=-1)
        # Derivative of the softmax: p * (g - sum of p * g).
        slope = torch.addcmul(through.mul_(weights), weights, through.sum(-1, keepdim=True), value=-1).mul_(ctx.scale)
        to_query = slope[..., :length] @ _widen(keys, query) + slope[..., length:] @ key
        to_key = slope[..., length:].mT @ folded
        to_value = weights[..., length:].mT @ grad
        return to_query.view(query.shape), to_key, to_value, None, None, None, None


def _fold(heads: Tensor, key_heads: int) -> Tensor:
    """Query heads of one key head side by side: (rows, key heads, groups * tokens, head width)."""
    rows, _, _, width = heads.shape
    return heads.reshape(rows, key_heads, -1, width)


def _widen(stored: Tensor, like: Tensor) -> Tensor:
    """Stored numbers as the model computes, laid out for one matrix product after the other."""
    return torch.empty(stored.shape, dtype=like.dtype, device=like.device).copy_(stored)
