"""Objectives of aligned vectors against slow loops, closed forms and a second library."""

import math

import numpy as np
import pytest
import torch

from separatrix.errors import ShapeError
from separatrix.learn.objectives.alignment import alignment, uniformity
from separatrix.learn.objectives.bank import Bank, class_cosines
from separatrix.learn.objectives.contrast import ALIGNED, Pairs, cosine_mse, nca, supcon, unit
from separatrix.learn.objectives.pairs import RowVectors, everyone


def batch(rows=12, classes=3, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    y = torch.randint(0, classes, (rows,), generator=generator)
    return z, y


def row_vectors(z, y):
    return RowVectors(unit(z), y, torch.arange(len(y)))


def slow(name, similar, pairs, t):
    """The definitions, written as loops over Python numbers."""
    s, positive, negative = similar.tolist(), pairs.positive.tolist(), pairs.negative.tolist()
    if name == "cosine_mse":
        squares = []
        for line, near, far in zip(s, positive, negative, strict=True):
            for value, same, other in zip(line, near, far, strict=True):
                squares += [(value - 1) ** 2] if same else [value**2] if other else []
        return sum(squares) / len(squares)
    rows = []
    for line, near, far in zip(s, positive, negative, strict=True):
        own = [math.exp(value / t) for value, same in zip(line, near, strict=True) if same]
        others = [math.exp(value / t) for value, other in zip(line, far, strict=True) if other]
        if own and name == "nca":
            rows.append(-math.log(sum(own) / (sum(own) + sum(others))))
        elif own:
            rows.append(-sum(math.log(one / (sum(own) + sum(others))) for one in own) / len(own))
    return sum(rows) / len(rows)


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("seed", range(3))
def test_objective_equals_the_slow_loop(name, seed):
    z, y = batch(seed=seed, classes=2 + 3 * seed)
    one = row_vectors(z, y)
    pairs, similar = everyone(one, one), unit(z) @ unit(z).T
    got = ALIGNED[name](similar, pairs, 0.3)
    assert got.total.item() == pytest.approx(slow(name, similar, pairs, 0.3), rel=1e-9)
    assert got.parts["positive_pairs"] == pairs.positive.sum()


@pytest.mark.parametrize("name", ALIGNED)
def test_gradient_is_that_of_finite_differences(name):
    z, y = batch(6)
    pairs = everyone(row_vectors(z, y), row_vectors(z, y))
    loss = ALIGNED[name]
    assert torch.autograd.gradcheck(
        lambda rows: loss(unit(rows) @ unit(rows).T, pairs, 0.5).total, z.requires_grad_(), atol=1e-6
    )


def test_cosine_mse_is_the_loss_of_the_seed():
    """Seed 004: the sum over ordered pairs of (cos - t)^2, divided by their number."""
    z, y = batch(8)
    terms = []
    for i in range(8):
        for j in range(8):
            if i != j:
                target = 1.0 if y[i] == y[j] else 0.0
                terms.append((torch.cosine_similarity(z[i], z[j], dim=0) - target) ** 2)
    got = cosine_mse(unit(z) @ unit(z).T, everyone(row_vectors(z, y), row_vectors(z, y)))
    assert got.total.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-9)


def test_second_library_has_the_same_supcon_and_nca():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    z, y = batch(16)
    pairs, similar = everyone(row_vectors(z, y), row_vectors(z, y)), unit(z) @ unit(z).T
    theirs = losses.SupConLoss(temperature=0.1)(z, y)
    assert supcon(similar, pairs, 0.1).total.item() == pytest.approx(theirs.item(), rel=1e-6)
    theirs = losses.NCALoss(softmax_scale=10, distance=distances.CosineSimilarity())(z, y)
    assert nca(similar, pairs, 0.1).total.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["nca", "supcon"])
def test_a_row_alone_in_its_class_does_not_count(name):
    z, _ = batch(5)
    alone, without = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1])
    pairs = everyone(row_vectors(z, alone), row_vectors(z, alone))
    got = ALIGNED[name](unit(z) @ unit(z).T, pairs, 0.5)
    assert got.parts["rows_with_positive"] == 4
    rows = ALIGNED[name]((unit(z) @ unit(z).T)[:4], Pairs(pairs.positive[:4], pairs.negative[:4]), 0.5)
    assert got.total.item() == pytest.approx(rows.total.item())
    assert len(without) == 4


@pytest.mark.parametrize("name", ALIGNED)
def test_no_positive_pair_gives_a_number_with_gradient(name):
    z = torch.eye(3, dtype=torch.float64, requires_grad=True)
    one = row_vectors(z, torch.tensor([0, 1, 2]))
    value = ALIGNED[name](one.vectors @ one.vectors.T, everyone(one, one), 0.1)
    value.total.backward()
    assert torch.isfinite(z.grad).all()
    assert value.total.item() == 0.0


def test_nca_over_class_means_is_cross_entropy():
    z, y = batch(9)[0], torch.arange(9) % 3
    means = unit(torch.stack([unit(z)[y == label].mean(0) for label in range(3)]))
    similar = unit(z) @ means.T
    own = torch.nn.functional.one_hot(y, 3).bool()
    expected = torch.nn.functional.cross_entropy(similar / 0.07, y)
    assert nca(similar, Pairs(own, ~own), 0.07).total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_class_cosines_leave_the_own_row_out():
    z, y = batch(10)
    bank = Bank.empty(10, 5, torch.device("cpu"))
    bank.write(torch.arange(10), z.float(), 0)
    got = class_cosines(z.float(), y, torch.arange(10), bank.stored_rows(y), 3)
    near = unit(z).float()
    for row in range(10):
        for label in range(3):
            members = [i for i in range(10) if y[i] == label and i != row]
            mean = near[members].sum(0) if members else torch.zeros(5)
            expected = float(near[row] @ mean / mean.norm().clamp_min(1e-6))
            assert float(got[row, label]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ALIGNED)
def test_masks_of_another_shape_are_refused(name):
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ShapeError, match="do not fit"):
        ALIGNED[name](torch.zeros(2, 2), Pairs(mask, mask), 1.0)


def test_alignment_and_uniformity_equal_loops():
    z, y = batch(7)
    rows, labels = unit(z).numpy(), y.tolist()
    couples = [(i, j) for i in range(7) for j in range(i)]
    far = {pair: float(np.sum((rows[pair[0]] - rows[pair[1]]) ** 2)) for pair in couples}
    same = [far[pair] for pair in couples if labels[pair[0]] == labels[pair[1]]]
    assert alignment(unit(z), y) == pytest.approx(sum(same) / len(same))
    assert uniformity(unit(z)) == pytest.approx(math.log(sum(math.exp(-2 * d) for d in far.values()) / len(far)))


def test_collapse_shows_in_uniformity():
    spread, collapsed = unit(torch.randn(50, 8)), unit(torch.ones(50, 8) + 1e-3 * torch.randn(50, 8))
    assert uniformity(collapsed) > -0.01
    assert uniformity(spread) < -1
