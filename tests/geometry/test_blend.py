"""Several blocks as one matrix: a wide noisy block drowns a good narrow one, unless it is weighed."""

import doctest

import numpy as np
import pytest

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry import blend as module
from separatrix.geometry.blend import fit_blend, weightings
from separatrix.geometry.neighbors import knn_predict
from separatrix.recipe.project import PREPARES, BlendRecipe


def drowned(rows=300, seed=0):
    """A good narrow block, and a wide loud one that says nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    good = 3 * np.eye(3)[labels] + rng.normal(size=(rows, 3))
    return {"good": good.astype(np.float32), "loud": (5 * rng.normal(size=(rows, 200))).astype(np.float32)}, labels


def halves(rows=400, seed=0):
    """Two blocks that each tell one half of four classes; only both together tell all."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 4
    left = rng.normal(size=(rows, 2)) + 4 * np.eye(2)[labels % 2]
    right = 50 * (rng.normal(size=(rows, 6)) + 4 * np.eye(6)[labels // 2])
    return {"left": left, "right": right}, labels


def accuracy(x, labels, asked, asked_labels, k=10):
    return (knn_predict(asked, x, labels, k, metric="euclidean").argmax(axis=1) == asked_labels).mean()


def rows_of(blocks, chosen):
    return {name: block[chosen] for name, block in blocks.items()}


def test_examples_hold():
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("prepare", PREPARES)
def test_seed_004_side_by_side_loses_to_the_best_part_and_blended_does_not(prepare):
    blocks, labels = drowned()
    train, test = np.arange(300) < 200, np.arange(300) >= 200
    found = fit_blend(rows_of(blocks, train), labels[train], BlendRecipe(prepare=prepare))
    known, asked = labels[train], labels[test]
    best = accuracy(blocks["good"][train], known, blocks["good"][test], asked)
    beside = np.hstack(list(blocks.values()))
    plain = accuracy(beside[train], known, beside[test], asked)
    blended = accuracy(found.apply(rows_of(blocks, train)), known, found.apply(rows_of(blocks, test)), asked)
    assert best > 0.85
    assert plain < 0.6
    assert blended > plain + 0.2
    if prepare != "unit":  # a row's length is part of what the good block says
        assert blended >= best - 0.02
    assert found.plain < found.chosen.accuracy
    assert found.chosen.accuracy >= max(found.alone.values())


def test_blocks_that_complete_each_other_are_both_kept():
    blocks, labels = halves()
    found = fit_blend(blocks, labels, BlendRecipe(prepare="standardise"))
    assert max(found.alone.values()) < 0.65
    assert found.chosen.accuracy > 0.9
    assert 0.2 < found.weights[0] < 0.8


def test_validation_rows_choose_and_training_rows_vote():
    blocks, labels = drowned()
    train, held = np.arange(300) < 200, np.arange(300) >= 200
    found = fit_blend(
        rows_of(blocks, train), labels[train], BlendRecipe(k=5), validation=(rows_of(blocks, held), labels[held])
    )
    assert found.chosen_on == "100 validation rows against 200 training rows"
    x, y = found.apply(rows_of(blocks, train)), found.apply(rows_of(blocks, held))
    assert found.chosen.accuracy == pytest.approx(accuracy(x, labels[train], y, labels[held], k=5), abs=0.011)


def test_leaving_one_out_equals_the_slow_way():
    blocks, labels = halves(60)
    found = fit_blend(blocks, labels, BlendRecipe(k=3))
    x = found.apply(blocks)
    right = 0
    for row in range(60):
        gap = ((x - x[row]) ** 2).sum(axis=1)
        gap[row] = np.inf
        votes = np.bincount(labels[np.argsort(gap, kind="stable")[:3]], minlength=4)
        right += votes.argmax() == labels[row]
    assert found.chosen.accuracy == pytest.approx(right / 60)


def test_a_sample_of_rows_and_the_order_of_blocks_change_little():
    blocks, labels = drowned()
    whole, drawn = (fit_blend(blocks, labels, BlendRecipe(rows=rows)) for rows in (2000, 150))
    assert "150 training rows" in drawn.chosen_on
    assert abs(drawn.chosen.accuracy - whole.chosen.accuracy) < 0.1
    turned = fit_blend(dict(reversed(blocks.items())), labels)
    assert turned.weights[::-1] == whole.weights


@pytest.mark.parametrize("count", [2, 3, 5, 9, 30])
def test_weightings_are_few_sum_to_one_and_hold_each_block_alone(count):
    found = weightings(count, 10)
    assert len(found) <= 301
    assert all(sum(one) == pytest.approx(1) for one in found)
    assert {tuple(np.eye(count)[n]) for n in range(count)} <= set(found)
    assert any(one == pytest.approx((1 / count,) * count) for one in found)
    assert len(set(found)) == len(found)


def test_bad_input_is_refused_in_one_sentence():
    blocks, labels = drowned(30)
    with pytest.raises(DataError, match="nothing to blend: got good, expected two blocks or more"):
        fit_blend({"good": blocks["good"]}, labels)
    with pytest.raises(DataError, match="one class only: got class 0 in all 30 rows"):
        fit_blend(blocks, np.zeros(30, int))
    with pytest.raises(ShapeError, match="block 'loud' and block 'good' differ in length"):
        fit_blend({**blocks, "loud": blocks["loud"][:9]}, labels)
    with pytest.raises(OptionError, match="--k is larger than the rows to choose from: got 30, expected 29 or fewer"):
        fit_blend(blocks, labels, BlendRecipe(k=30))
    with pytest.raises(DataError, match="block 'loud': row 3 is not finite"):
        fit_blend({**blocks, "loud": np.where(np.arange(30)[:, None] == 3, np.inf, blocks["loud"])}, labels)
    found = fit_blend(blocks, labels)
    with pytest.raises(DataError, match="block 'loud' is missing: got good, expected good, loud"):
        found.apply({"good": blocks["good"]})
    with pytest.raises(ShapeError, match="block 'good' have the wrong width: got 2, expected 3"):
        found.apply({**blocks, "good": blocks["good"][:, :2]})
