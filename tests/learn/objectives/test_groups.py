"""Groups: what is refused, the three terms of seed 004 and Ganin et al., and what the vectors tell of the group."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from separatrix.errors import DataError
from separatrix.learn.objectives import groups
from separatrix.learn.objectives.contrast import unit
from separatrix.learn.objectives.groups import RIDGE, Adversary, flipped, group_numbers, inverse, ramp, reverse, ridge
from separatrix.learn.objectives.pairs import RowVectors


def row_vectors(rows=8, seed=0):
    z = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return RowVectors(unit(z), torch.arange(rows) % 2, torch.arange(rows), torch.arange(rows) % 3)


@pytest.mark.parametrize(("term", "same", "target"), [(flipped, True, 0.0), (inverse, False, 1.0)])
def test_terms_of_the_seed_equal_loops(term, same, target):
    """Flipped labels: pairs of one group, target 0, nothing else. Inverse: pairs of two groups, target 1."""
    batch = row_vectors()
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
        batch = RowVectors(rows, group, torch.arange(6), group)
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


def regression(batch):
    """What scikit-learn's ridge finds of the groups, class means taken out of both sides; its weights and R^2."""
    z, y = batch.vectors.detach().numpy(), batch.y.numpy()
    g = np.eye(3)[batch.group.numpy()]
    for label in (0, 1):
        z = z - np.where(y[:, None] == label, z[y == label].mean(axis=0), 0.0)
        g = g - np.where(y[:, None] == label, g[y == label].mean(axis=0), 0.0)
    found = Ridge(alpha=RIDGE * np.square(z).mean() * len(z), fit_intercept=False).fit(z, g)
    return z, g, found.coef_.T, r2_score(g, found.predict(z), multioutput="variance_weighted", force_finite=False)


def test_ridge_is_the_share_that_a_ridge_regression_explains():
    batch = row_vectors(40)
    *_, share = regression(batch)
    assert ridge(batch, batch).item() == pytest.approx(share, abs=1e-6)


def test_the_gradient_of_ridge_is_that_of_the_share_itself():
    """Finite differences through a regression that is solved anew; the ridge so small that it plays no part."""
    batch = row_vectors(40)
    z = batch.vectors.clone().requires_grad_()
    ridge(RowVectors(z, batch.y, batch.rows, batch.group), batch).backward()
    step = torch.zeros_like(z)
    step[3, 1] = 1e-4
    values = [
        regression(RowVectors(batch.vectors + sign * step, batch.y, batch.rows, batch.group))[-1]
        for sign in (1.0, -1.0)
    ]
    assert z.grad[3, 1].item() == pytest.approx((values[0] - values[1]) / 2e-4, rel=0.05)


def test_ridge_of_a_part_of_the_rows_reads_the_others_from_the_bank():
    """The mean over batches of the same rows is the share of all of them; the batch's own vectors are the new ones."""
    whole = row_vectors(40)
    stale = RowVectors(torch.zeros_like(whole.vectors), whole.y, whole.rows, whole.group)
    parts = [
        RowVectors(whole.vectors[at], whole.y[at], whole.rows[at], whole.group[at]) for at in torch.arange(40).split(10)
    ]
    mean = sum(ridge(part, whole).item() for part in parts) / 4
    assert mean == pytest.approx(ridge(whole, whole).item(), abs=1e-9)
    assert ridge(whole, stale).item() == pytest.approx(ridge(whole, whole).item(), abs=1e-9)


def test_ridge_thins_out_many_rows_but_never_the_batch(monkeypatch):
    whole = row_vectors(60)
    odd = RowVectors(whole.vectors[1::2], whole.y[1::2], whole.rows[1::2], whole.group[1::2])
    monkeypatch.setattr(groups, "RIDGE_ROWS", 20)
    here, place = groups._refreshed(odd, whole)
    assert len(here) == 40  # every third of 60 rows, and the 30 of the batch, half of them the same
    assert torch.equal(here.rows[place], odd.rows)
    assert torch.equal(here.vectors[place], odd.vectors)
    assert 0 < ridge(odd, whole).item() <= 1


def test_vectors_without_a_group_in_them_cost_nothing():
    """Each class has the same vectors in both groups: no probe finds the group, and there is nothing to push."""
    z = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)).repeat(2, 1).requires_grad_()
    y, group = torch.arange(20) % 2, torch.arange(20) // 10
    batch = RowVectors(z, y, torch.arange(20), group)
    value = ridge(batch, RowVectors(z.detach(), y, torch.arange(20), group))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert z.grad.abs().max() < 1e-5


def test_groups_are_needed():
    with pytest.raises(DataError, match=r"group invariance .*needs groups.*--group"):
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
