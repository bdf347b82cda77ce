"""Norms in few passes: the family's own numbers and gradients, and left alone where they are something else."""

import pytest
import torch
from torch import nn

from separatrix.models.norms import NormForward, fuse_norms, root_mean_square


class Written(nn.Module):
    """The norm as families write it out."""

    def __init__(self, width, shift=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width), requires_grad=False)
        self.variance_epsilon, self.shift = 1e-5, shift

    def forward(self, hidden_states):
        wide = hidden_states.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return (self.weight + self.shift) * wide.to(hidden_states.dtype)


def test_numbers_and_gradients_are_those_of_the_formula():
    module, states = Written(7), torch.randn(3, 2, 7, generator=torch.Generator().manual_seed(1))
    states[0, 0] = 0.0  # a row without length
    one, other = (states.clone().double().requires_grad_(), states.clone().requires_grad_())
    wanted = module.weight.double() * one * torch.rsqrt(one.pow(2).mean(-1, keepdim=True) + 1e-5)
    got = root_mean_square(other, module.weight, 1e-5)
    wanted.square().sum().backward()
    got.square().sum().backward()
    torch.testing.assert_close(got.double(), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(other.grad.double(), one.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_taken_over_and_one_that_adds_to_its_weight_is_not(dtype):
    model = nn.ModuleList([Written(16), Written(16, shift=1.0), nn.LayerNorm(16)]).to(dtype)
    assert fuse_norms(model) == 1
    assert [isinstance(module.forward, NormForward) for module in model] == [True, False, False]


def test_a_weight_that_is_trained_gets_its_gradient():
    module = Written(5)
    fuse_norms(module)
    module.weight.requires_grad_()
    module(torch.randn(2, 5, requires_grad=True)).sum().backward()
    assert module.weight.grad is not None


def test_texts_run_by_the_norm_of_the_family(loaded):
    backbone = loaded("llama")
    fused = [module for module in backbone.model.modules() if isinstance(module.forward, NormForward)]
    assert len(fused) == 7  # two a layer, and the last one
    states = torch.randn(2, 3, backbone.width)
    assert torch.equal(fused[0](states), fused[0].forward.own(states))
