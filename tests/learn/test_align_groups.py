"""Groups: what is refused, the three terms of seed 004 and Ganin et al., and what the vectors tell of the group."""

import numpy as np
import pytest
import torch

from separatrix.errors import DataError
from separatrix.learn.losses.aligned import unit
from separatrix.learn.nuisance import Adversary, flipped, group_numbers, inverse, ramp, reverse
from separatrix.learn.pairs import Crowd


def crowd(rows=8, seed=0):
    z = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Crowd(unit(z), torch.arange(rows) % 2, torch.arange(rows), torch.arange(rows) % 3)


@pytest.mark.parametrize(("term", "same", "target"), [(flipped, True, 0.0), (inverse, False, 1.0)])
def test_terms_of_the_seed_equal_loops(term, same, target):
    """Flipped labels: pairs of one group, target 0, nothing else. Inverse: pairs of two groups, target 1."""
    batch = crowd()
    rows = batch.vectors.tolist()
    values = [
        (sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) - target) ** 2
        for i in range(8)
        for j in range(8)
        if i != j and (batch.group[i] == batch.group[j]) == same
    ]
    assert term(batch).item() == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_reversal_turns_the_gradient_of_the_vectors_round_and_not_that_of_the_head():
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    group = torch.tensor([0, 1, 0, 1, 0, 1])
    found = []
    for strength in (None, 0.5):
        head = Adversary(torch.full((2, 4), 0.3) * torch.tensor([[1.0], [-1.0]]), torch.zeros(2))
        head.weight.requires_grad_()
        rows = z.clone().requires_grad_()
        batch = Crowd(rows, group, torch.arange(6), group)
        value = head.loss(batch, 0.5) if strength else torch.nn.functional.cross_entropy(rows @ head.weight.T, group)
        value.backward()
        found.append((rows.grad, head.weight.grad))
    (plain, head), (turned, same) = found
    assert torch.allclose(turned, -0.5 * plain)
    assert torch.allclose(same, head)


def test_reverse_leaves_values():
    z = torch.randn(3)
    assert torch.equal(reverse(z, 1.0), z)
    assert ramp(0, 100) == 0.0
    assert ramp(30, 100) < ramp(60, 100) < 1.0


def test_groups_are_needed():
    with pytest.raises(DataError, match=r"group invariance needs groups.*--group"):
        group_numbers(None, np.array([0, 1]), "q.csv")


def test_one_group_only():
    with pytest.raises(DataError, match="all rows are of one group: got 'x'"):
        group_numbers(np.array(["x", "x"]), np.array([0, 1]), "q.csv")


def test_group_that_is_the_label():
    with pytest.raises(DataError, match="the groups are the classes"):
        group_numbers(np.array(["x", "y", "x"]), np.array([0, 1, 0]), "q.csv")


def test_groups_with_rows_of_one_class_are_told():
    numbers, notes = group_numbers(np.array(["x", "x", "y", "y"]), np.array([0, 1, 1, 1]), "q.csv")
    assert numbers.tolist() == [0, 0, 1, 1]
    assert notes == ["q.csv: 1 of 2 groups have rows of one class only, so there group and class cannot be told apart"]
