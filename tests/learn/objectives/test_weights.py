"""A row of weight 2 gives the loss, the gradient and the class means that the row twice gives."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from objective_tensors import Tensors, build
from separatrix.learn.objectives import OBJECTIVES, LossBatch
from separatrix.learn.objectives.bank import class_cosines
from separatrix.learn.objectives.contrast import ALIGNED, Pairs, unit
from separatrix.learn.objectives.movement import class_means
from separatrix.learn.objectives.pairs import RowVectors, draw_one, everyone
from separatrix.recipe import LossRecipe

ROWS, CLASSES, WIDTH = 9, 3, 5
WEIGHT = torch.tensor([1, 3, 2, 1, 1, 2, 1, 1, 4])
PAIRED = ("cosine", "distance")


def outputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64), torch.arange(ROWS) % CLASSES


def objective(name):
    generator = torch.Generator().manual_seed(4)
    draw = {"generator": generator, "dtype": torch.float64}
    tensors = Tensors(
        centroids=torch.randn(CLASSES, WIDTH, **draw),
        weight=torch.randn(1 if name == "mse" else CLASSES, WIDTH, **draw),
        bias=None if name == "token" else torch.randn(1 if name == "mse" else CLASSES, **draw),
        words=torch.tensor([4, 0, 2]),
        classes=CLASSES,
    )
    return build(name, tensors, LossRecipe(loss=name, attraction=1.3, repulsion=0.7))


def gradient(loss, z: Tensor) -> tuple[float, Tensor]:
    leaf = z.clone().requires_grad_()
    total = loss(leaf)
    total.backward()
    return total.item(), leaf.grad


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in (*PAIRED, "binary_ce")])
def test_weighted_loss_is_that_of_repeated_rows(name):
    z, y = outputs()
    one = objective(name)
    assert one.takes_weights
    again = torch.arange(ROWS).repeat_interleave(WEIGHT)
    weighted, own = gradient(lambda rows: one.loss(rows, LossBatch(y, weight=WEIGHT.double())).total, z)
    repeated, other = gradient(lambda rows: one.loss(rows[again], LossBatch(y[again])).total, z)
    assert weighted == pytest.approx(repeated, rel=1e-12)
    assert torch.allclose(own, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_of_a_batch_weigh_the_product_of_their_rows(name):
    """As pairs of repeated rows, but for those of a row with itself."""
    z, y = outputs()
    one = objective(name)
    got = one.loss(z, LossBatch(y, weight=WEIGHT.double())).total.item()
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i in range(ROWS):
        for j in range(i + 1, ROWS):
            same = bool(y[i] == y[j])
            gap = float((z[i] - z[j]).norm())
            cos = float(torch.cosine_similarity(z[i], z[j], dim=0))
            value = (gap if same else 1 / gap) if name == "distance" else (1 - cos if same else max(cos, 0.0))
            times = int(WEIGHT[i] * WEIGHT[j])
            sums[same][0] += times * value
            sums[same][1] += times
    assert got == pytest.approx(1.3 * sums[True][0] / sums[True][1] + 0.7 * sums[False][0] / sums[False][1])


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("stored", [False, True])
def test_weighted_pairs_are_those_of_repeated_rows(name, stored):
    """A row twice is one row of the data twice: it is no partner of itself."""
    z, y = outputs()
    rows = torch.arange(ROWS)
    again = rows.repeat_interleave(WEIGHT)

    def value(vectors, some, weight):
        batch = RowVectors(unit(vectors)[some], y[some], rows[some], None, weight)
        others = RowVectors(unit(z)[some].detach(), y[some], rows[some], None, weight) if stored else batch
        pairs = replace(everyone(batch, others), row_weight=batch.weight, other_weight=others.weight)
        return ALIGNED[name](batch.vectors @ others.vectors.T, pairs, 0.3).total

    weighted, own = gradient(lambda leaf: value(leaf, rows, WEIGHT.double()), z)
    repeated, other = gradient(lambda leaf: value(leaf, again, None), z)
    assert weighted == pytest.approx(repeated, rel=1e-10)
    assert torch.allclose(own, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ALIGNED)
def test_rows_without_a_pair_give_no_nan(name):
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    pairs = Pairs(nothing, nothing, torch.ones(2), torch.ones(2))
    assert ALIGNED[name](torch.zeros(2, 2), pairs, 0.1).total == 0


def test_weighted_class_means_and_cosines_are_those_of_repeated_rows():
    z, y = outputs()
    again = torch.arange(ROWS).repeat_interleave(WEIGHT)
    means, counts = class_means(z, y, CLASSES, WEIGHT.double())
    repeated, _ = class_means(z[again], y[again], CLASSES)
    assert torch.allclose(means, repeated)
    assert counts.tolist() == [3, 3, 3]
    bank = RowVectors(unit(z).float(), y, torch.arange(ROWS), None, WEIGHT.float())
    twice = RowVectors(bank.vectors[again], y[again], again)
    new = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(1))
    got = class_cosines(new, y[:4], None, bank, CLASSES)
    assert torch.allclose(got, class_cosines(new, y[:4], None, twice, CLASSES), atol=1e-6)


def test_one_pair_is_drawn_by_the_weight_of_the_other():
    positive = torch.tensor([[False, True, True, False]]).expand(20_000, 4)
    pairs = Pairs(positive, torch.zeros_like(positive))
    drawn = draw_one(pairs, torch.Generator().manual_seed(0), torch.tensor([9.0, 1.0, 3.0, 9.0]))
    assert drawn.positive.sum(dim=1).eq(1).all()
    assert drawn.positive.float().mean(dim=0).tolist() == pytest.approx([0, 0.25, 0.75, 0], abs=0.015)


def test_a_loss_of_several_labels_a_row_says_that_it_has_no_weights():
    assert not objective("binary_ce").takes_weights
