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


class Gated(Written):
    """A norm that some families give a gate."""

    def forward(self, hidden_states, gate=None):
        return super().forward(hidden_states if gate is None else hidden_states * torch.sigmoid(gate))


def test_a_norm_with_a_gate_keeps_its_own_forward_where_it_has_one():
    """Regression: the forward that took its place had no room for the gate, and the family was refused."""
    module, own = Gated(8), Gated(8)
    assert fuse_norms(nn.ModuleList([module])) == 1
    states, gate = (torch.randn(2, 8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    states.requires_grad_()
    torch.testing.assert_close(module(states, gate), own(states, gate))
    torch.testing.assert_close(module(states, gate=gate), own(states, gate))
    torch.testing.assert_close(module(states), own(states))


class MustBeGated(Written):
    """A norm that fails without its gate, though it may be left out."""

    def forward(self, hidden_states, gate=None):
        return super().forward(hidden_states * torch.sigmoid(gate.to(hidden_states)))


def test_a_norm_that_cannot_do_without_its_gate_is_left_alone():
    """Regression: a family whose norm was tried alone could not be loaded."""
    assert fuse_norms(nn.ModuleList([MustBeGated(8)])) == 0


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
