"""Root-mean-square norms of a frozen model in half the passes over memory, where a gradient goes through them.

Families write the norm out, in a dozen operations forward and backward; its derivative towards what goes in needs three
numbers a row. Whether a module is such a norm is not read off its name: both are run, and where states or gradients
differ the module keeps its own. Without a gradient, or where the weight is trained, its own forward runs as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from separatrix.errors import raise_interrupt

# How far the two may be apart, as a share of the largest number: sums in another order, rounded to the format.
APART = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 3e-3}
PROBED = 4  # rows that both are run on


def root_mean_square(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """States divided by the root of their mean square, times a frozen weight: (..., width) and (width,).

    >>> root_mean_square(torch.tensor([[3.0, 3.0], [0.0, 2.0]]), torch.tensor([1.0, 2.0]), 0.0)
    tensor([[1.0000, 2.0000],
            [0.0000, 2.8284]])
    """
    return _RootMeanSquare.apply(states, weight, eps)


class _RootMeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = states.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        factor = length.square_().div_(states.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(states, weight, factor)
        return (wide * factor).to(states.dtype).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, factor = ctx.saved_tensors
        wide, grad = states.float(), (grad * weight).float()
        # Of x * f with f = (mean of x^2 + eps)^-1/2: f * (g - x * f^2 * mean of g * x).
        along = (grad * wide).sum(-1, keepdim=True).mul_(factor).mul_(factor).div_(-states.shape[-1])
        return grad.addcmul_(wide, along).mul_(factor).to(states.dtype), None, None


class NormForward:
    """The forward of a norm whose weight is frozen."""

    def __init__(self, module: nn.Module, eps: float) -> None:
        self.module, self.eps = module, eps
        self.own: Callable[..., Tensor] = module.forward

    def __call__(self, hidden_states: Tensor, *more: Any, **named: Any) -> Tensor:
        """The normed states, (..., width); by the module itself where it is given more than states, as a gate."""
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        learns = torch.is_grad_enabled() and hidden_states.requires_grad
        if more or named or weight.requires_grad or not learns:
            return self.own(hidden_states, *more, **named)
        return root_mean_square(hidden_states, weight, self.eps)


def fuse_norms(model: nn.Module) -> int:
    """Let the root-mean-square norms of a frozen model run in few passes; returns how many there are."""
    fused = 0
    for module in model.modules():
        eps, weight = getattr(module, "variance_epsilon", None), getattr(module, "weight", None)
        if not isinstance(eps, float) or not isinstance(weight, Tensor) or weight.dim() != 1:
            continue
        forward = NormForward(module, eps)
        if _same(forward.own, forward, weight):
            module.forward = forward
            fused += 1
    return fused


@torch.enable_grad()
def _same(own: Callable[[Tensor], Tensor], fused: Callable[[Tensor], Tensor], weight: Tensor) -> bool:
    """Whether both give some states the same numbers and gradients."""
    shape, generator = (PROBED, len(weight)), torch.Generator().manual_seed(0)
    states, grad = (torch.randn(shape, generator=generator).to(weight) for _ in range(2))
    results = []
    for norm in (own, fused):
        leaf = states.clone().requires_grad_()
        try:
            value = norm(leaf)
            value.backward(grad)
        except Exception as error:  # one that takes other things, and runs by itself
            raise_interrupt(error)
            return False
        results.append((value.detach().float(), torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.float()))
    limit = APART.get(weight.dtype, 0.0)
    return all(
        bool((one - other).abs().max() <= limit * one.abs().max().clamp_min(1e-30))
        for one, other in zip(*results, strict=True)
    )
