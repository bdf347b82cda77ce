"""Who meets whom: six rows, every scheme, and the pair lists that seed 004 describes."""

import numpy as np
import pytest
import torch

from separatrix.errors import DataError, OptionError
from separatrix.learn.objectives.bank import Bank, ClassMemory
from separatrix.learn.objectives.pairs import SCHEMES, RowVectors, across_groups, check_pairs, draw_one, everyone
from separatrix.learn.schedule import balanced, check_classes

# Rows 10 to 15 of a training part; class 2 stands alone in the batch.
Y = torch.tensor([0, 0, 0, 1, 1, 2])
ROWS = torch.arange(10, 16)
BATCH = RowVectors(torch.eye(6), Y, ROWS)
# The memory holds a row of class 0 and one of class 2: rows 3 and 7.
STORED = RowVectors(torch.zeros(2, 6), torch.tensor([0, 2]), torch.tensor([3, 7]))
NOTHING = RowVectors(torch.zeros(0, 6), torch.zeros(0).long(), torch.zeros(0).long())


def listed(compared, kind):
    """Pairs as (row, other row), by their places in the training part."""
    mask = getattr(compared.pairs, kind)
    return {(int(ROWS[i]), int(compared.others.rows[j])) for i, j in mask.nonzero().tolist()}


def ordered(pairs):
    return pairs | {(b, a) for a, b in pairs}


IN_BATCH = ordered({(10, 11), (10, 12), (11, 12), (13, 14)})
ACROSS = {(a, b) for a in range(10, 16) for b in range(10, 16) if Y[a - 10] != Y[b - 10]}
EXPECTED = {
    # batch: class 2 stands alone, so row 15 has no positive pair.
    "batch": (IN_BATCH, ACROSS),
    # memory: at most one positive, the class's stored row; class 1 has none there and takes the batch's.
    "memory": (
        {(10, 3), (11, 3), (12, 3), (15, 7), (13, 14), (14, 13)},
        {(10, 7), (11, 7), (12, 7), (13, 3), (13, 7), (14, 3), (14, 7), (15, 3)},
    ),
    # mixed: the batch first; only row 15 has no positive pair there.
    "mixed": (IN_BATCH | {(15, 7)}, ACROSS),
}
EXPECTED["datapoint"] = EXPECTED["memory"]


@pytest.mark.parametrize("name", EXPECTED)
def test_pair_lists_of_six_rows(name):
    compared = SCHEMES[name](BATCH, STORED)
    assert listed(compared, "positive") == EXPECTED[name][0]
    assert listed(compared, "negative") == EXPECTED[name][1]


def test_all_pairs_are_ordered_so_each_counts_twice():
    compared = SCHEMES["batch"](BATCH, NOTHING)
    assert compared.pairs.positive.sum() == 2 * 4
    assert torch.equal(compared.pairs.positive, compared.pairs.positive.T)


@pytest.mark.parametrize("name", ["memory", "mixed", "datapoint"])
def test_first_step_falls_back_to_the_batch(name):
    compared = SCHEMES[name](BATCH, NOTHING)
    assert (listed(compared, "positive"), listed(compared, "negative")) == (IN_BATCH, ACROSS)


def test_memory_offers_one_positive_and_a_negative_for_each_other_class():
    memory = ClassMemory.empty(3, 6, torch.device("cpu"))
    memory.write(BATCH)
    assert memory.rows.tolist() == [12, 14, 15]  # the last of each class
    later = RowVectors(torch.eye(6), Y, ROWS + 20)
    pairs = SCHEMES["memory"](later, memory.stored_rows()).pairs
    assert pairs.positive.sum(1).tolist() == [1] * 6
    assert pairs.negative.sum(1).tolist() == [2] * 6


def test_bank_meets_every_other_row_of_the_training_part():
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    bank = Bank.empty(6, 2, torch.device("cpu"))
    bank.write(torch.arange(6), torch.randn(6, 2), 0)
    batch = RowVectors(torch.zeros(2, 2), y[[2, 5]], torch.tensor([2, 5]))
    compared = SCHEMES["bank"](batch, bank.stored_rows(y))
    assert compared.pairs.positive.nonzero().tolist() == [[0, 0], [0, 4], [1, 1], [1, 3]]  # never row 2 with itself
    assert compared.pairs.negative.sum() == 6


def test_bank_gives_written_rows_only():
    bank = Bank.empty(4, 2, torch.device("cpu"))
    bank.write(torch.tensor([1, 3]), torch.ones(2, 2), 5)
    assert bank.stored_rows(torch.tensor([7, 8, 9, 6])).y.tolist() == [8, 6]
    assert bank.written.tolist() == [-1, 5, -1, 5]


def test_staleness_is_measured():
    bank = Bank.empty(3, 2, torch.device("cpu"))
    bank.write(torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 0)
    turned = torch.tensor([[0.0, 2.0], [0.0, 3.0], [1.0, 1.0]])  # cosines 0 and 1 with what is stored; one is new
    assert bank.staleness(torch.arange(3), turned).item() == pytest.approx(0.5)
    bank.write(torch.arange(3), turned, 1)
    assert bank.staleness(torch.arange(3), turned).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", SCHEMES)
def test_one_random_pair_of_each_kind(name):
    compared = SCHEMES[name](BATCH, STORED)
    drawn = [draw_one(compared.pairs, torch.Generator().manual_seed(seed)) for seed in range(40)]
    for one in drawn:
        assert not (one.positive & ~compared.pairs.positive).any()
        assert torch.equal(one.positive.sum(1) > 0, compared.pairs.positive.any(1))
        assert int(one.positive.sum(1).max()) == int(one.negative.sum(1).max()) == 1
    seen = torch.stack([one.negative for one in drawn]).any(0)
    assert torch.equal(seen, compared.pairs.negative)  # each has its chance


def test_one_pair_is_drawn_evenly():
    pairs = everyone(
        RowVectors(torch.zeros(1, 1), torch.tensor([0]), torch.tensor([9])), RowVectors(*[torch.zeros(4)] * 3)
    )
    counts = sum(draw_one(pairs, torch.Generator().manual_seed(seed)).positive.long() for seed in range(400))
    assert counts.min() > 60  # 100 expected


def test_across_groups_asks_for_other_groups_and_the_same_group():
    y, group = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([5, 5, 6, 5, 5])
    batch = RowVectors(torch.eye(5), y, torch.arange(5), group)
    pairs = across_groups(SCHEMES["batch"](batch, NOTHING), batch).pairs
    assert pairs.positive.nonzero().tolist() == [
        [0, 2],
        [1, 2],
        [2, 0],
        [2, 1],
        [3, 4],
        [4, 3],
    ]  # class 1: group 5 only
    assert pairs.negative[0].tolist() == [False, False, False, True, True]
    assert pairs.negative[2].tolist() == [False, False, False, True, True]  # nobody else in group 6: as before


def test_across_groups_needs_groups():
    with pytest.raises(DataError, match="need groups"):
        across_groups(SCHEMES["batch"](BATCH, NOTHING), BATCH)


def test_a_step_without_pairs_is_refused():
    alone = RowVectors(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([4]))
    with pytest.raises(DataError, match=r"step 3 has no pairs: got 1 rows and 1 others.*--batch-size"):
        check_pairs(everyone(alone, alone), 3)


def test_balanced_batches_hold_partners_where_random_ones_do_not():
    """50 classes, batches of 32: a random batch leaves many rows alone; a balanced one leaves none."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 40))

    def share(batches):
        return np.mean([(np.bincount(y[rows])[y[rows]] > 1).mean() for rows in batches])

    order = np.random.default_rng(1).permutation(len(y))
    assert share(np.split(order, range(32, len(y), 32))) < 0.6
    assert share(balanced(y, 32, 4, seed=0, epoch=0)) == 1.0


def test_balanced_batches_are_seeded_and_have_no_row_twice():
    y = np.array([0] * 90 + [1] * 7 + [2] * 2)
    first, again, later = (balanced(y, 12, 4, seed=3, epoch=epoch) for epoch in (0, 0, 1))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in later]
    assert all(len(np.unique(rows)) == len(rows) for rows in first)
    assert len(first) == 9
    assert set(np.concatenate([*first, *later])) >= set(range(90, 99))  # every row of the rare classes


def test_groups_of_a_class_are_alike_and_so_are_classes_with_many_and_few_groups():
    """Class 0 has twelve groups, one with half of its rows; class 1 has two: in the batches none of it shows."""
    y = np.repeat([0, 1], 240)
    group = np.concatenate([np.repeat(np.arange(12), [129] + [11] * 10 + [1]), np.repeat([20, 21], [200, 40])])
    batches = [rows for epoch in range(30) for rows in balanced(y, 32, 4, seed=0, epoch=epoch, group=group)]
    rows = np.concatenate(batches)
    assert np.mean(y[rows]) == pytest.approx(0.5, abs=0.02)
    assert (group[rows] == 0).sum() == pytest.approx((group[rows] == 5).sum(), rel=0.15)
    assert (group[rows] == 20).sum() == pytest.approx((group[rows] == 21).sum(), rel=0.05)
    assert all(len(np.unique(rows)) == len(rows) for rows in batches)


def test_balanced_batch_smaller_than_two_classes_is_refused():
    with pytest.raises(OptionError, match=r"no room for two classes.*8 or more"):
        balanced(np.array([0, 1] * 5), 7, 4, seed=0, epoch=0)


def test_classes_are_looked_at_before_pairs_are_made():
    with pytest.raises(DataError, match="every class has one row"):
        check_classes(np.arange(3), ("a", "b", "c"), 32, alone=False)
    said = check_classes(np.array([0, 0, 1]), ("a", "b"), 32, alone=True)
    assert said == ["the class 'b' has one row, so it has no pair of its own"]
    (small,) = check_classes(np.repeat(np.arange(5), 2), tuple("abcde"), 4, alone=True)
    assert "a batch of 4 rows cannot hold all 5 classes" in small
