"""Hold-outs: disjoint, complete, seeded, stratified within one row, whole groups on one side."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError
from separatrix.texts import Texts, load_splits
from separatrix.texts.load import Splits
from separatrix.texts.split import hold_out_groups, hold_out_rows, hold_out_stratified, text_numbers
from separatrix.texts.training_parts import training_splits

SHARES = st.floats(min_value=0.02, max_value=0.98)
LABELS = st.lists(st.integers(0, 5), min_size=2, max_size=120).map(np.array)


@settings(max_examples=150, deadline=None)
@given(LABELS, SHARES, st.integers(0, 10))
def test_each_class_is_within_one_row_of_its_share_and_keeps_two_training_rows(labels, share, seed):
    largest = np.bincount(labels).max()
    if largest < 2:
        with pytest.raises(DataError, match="no class has two rows"):
            hold_out_stratified(labels, share, seed)
        return
    held = hold_out_stratified(labels, share, seed)
    for label in np.unique(labels):
        rows = labels == label
        given, size = held[rows].sum(), rows.sum()
        assert abs(given - size * share) < 1 or given == max(size - 2, 0)
        assert size - given >= min(size, 2 if held_by_three(labels, held) else 1)
    assert held.any()


def held_by_three(labels, held):
    """Whether a class of three rows or more gave one: then no smaller one had to."""
    return any(held[labels == label].any() for label in np.unique(labels) if (labels == label).sum() > 2)


@settings(max_examples=100, deadline=None)
@given(LABELS, SHARES, st.integers(0, 10))
def test_largest_remainders_agree_with_a_slow_loop(labels, share, seed):
    """How many classes of each size give how many rows; of equally large ones the seed decides which."""
    if np.bincount(labels).max() < 2:
        return
    sizes = {label: int((labels == label).sum()) for label in sorted(set(labels.tolist()))}
    counts = {label: min(int(size * share), size - 1) for label, size in sizes.items()}
    wanted = min(max(int(len(labels) * share + 0.5), 1), len(labels) - 1)
    by_remainder = sorted(sizes, key=lambda label: counts[label] - sizes[label] * share)
    for label in by_remainder:
        room = counts[label] < sizes[label] - 1 and sizes[label] * share > counts[label]
        if sum(counts.values()) < wanted and room:
            counts[label] += 1
    spared = {label: min(count, max(sizes[label] - 2, 0)) for label, count in counts.items()}
    counts = spared if any(spared.values()) else counts
    held = hold_out_stratified(labels, share, seed)
    given = {label: int(held[labels == label].sum()) for label in sizes}
    assert Counter((sizes[label], given[label]) for label in sizes) == Counter(
        (sizes[label], counts[label]) for label in sizes
    )


def recorded(masks):
    """A fingerprint of masks."""
    return hashlib.sha256(b"".join(mask.tobytes() for mask in masks)).hexdigest()[:16]


def planted_labels():
    """Sets whose classes all have rows to spare, and one in which two classes have two rows each."""
    draw = np.random.default_rng(7)
    yield "even", np.repeat([0, 1, 2], [500, 300, 200])
    yield "names", np.array(list("abcd"), dtype=object)[draw.permutation(np.repeat(range(4), [41, 23, 12, 9]))]
    yield "many", draw.permutation(np.arange(600) % 50)
    yield "tens", draw.permutation(np.repeat(np.arange(20), 10))


def test_the_rows_of_a_seed_are_those_of_earlier_versions():
    """Studies depend on them: recorded before classes were left two rows.

    "names", "many" and "tens", where remainders are equal, when the seed came to decide between these.
    """
    found = {
        name: recorded(hold_out_stratified(labels, share, seed) for share in (0.1, 0.2, 0.25, 0.5) for seed in range(4))
        for name, labels in planted_labels()
    }
    assert found == {
        "even": "bdca13d884ed84a8",
        "names": "2f422462754bc83a",
        "many": "3d9ad62d1441c33b",
        "tens": "5b4f8e364eb185dd",
    }
    draw = np.random.default_rng(8)
    groups, classes = np.array([f"g{row // 4}" for row in range(400)], dtype=object), draw.integers(0, 3, 400)
    cases = [(share, seed) for share in (0.1, 0.2, 0.5) for seed in range(4)]
    assert recorded(hold_out_groups(groups, classes, *case) for case in cases) == "1fdb1b83a477807b"
    assert recorded(hold_out_rows(400, *case) for case in cases) == "1cedc767b34bff77"
    mixed = draw.permutation(np.repeat(np.arange(6), [40, 30, 20, 10, 2, 2]))
    assert recorded(hold_out_stratified(mixed, *case)[mixed < 4] for case in cases) == "6dc7863e2aca3896"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.5, 0.9])
def test_a_class_of_two_rows_stays_whole_and_one_of_three_gives_one(share):
    """Regression: one of the two went away, and the training that followed called it a class with one row."""
    labels = np.repeat(["cat", "dog", "fish", "house", "bird"], [20, 20, 2, 2, 3]).astype(object)
    for seed in range(5):
        held = hold_out_stratified(labels, share, seed)
        left = {name: int((~held & (labels == name)).sum()) for name in set(labels)}
        assert left["fish"] == left["house"] == 2
        assert left["bird"] >= 2
        assert min(left.values()) == 2
    assert (hold_out_stratified(labels, 0.5, 0) & (labels == "bird")).sum() == 1


def test_a_group_that_leaves_a_class_one_row_is_passed_over():
    groups = np.array(["x"] * 4 + ["y"] * 4 + ["z"] * 4, dtype=object)
    classes = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0])
    for seed in range(6):  # without x, class 1 has one row; y would do, and so would z
        assert set(groups[hold_out_groups(groups, classes, 0.3, seed)]) <= {"y", "z"}


@settings(max_examples=100, deadline=None)
@given(LABELS, st.data(), SHARES, st.integers(0, 10))
def test_rows_of_one_text_stand_on_one_side_unless_each_text_of_a_class_has_more_than_it_gives(
    labels, data, share, seed
):
    """Regression: copies stood in test and in training, and the test figure was that of memory."""
    draw = st.lists(st.integers(0, len(labels) - 1), min_size=len(labels), max_size=len(labels))
    text = text_numbers([f"t{label} {number}" for label, number in zip(labels, data.draw(draw), strict=True)])
    if max(len(set(text[labels == label])) for label in set(labels.tolist())) < 3:
        return  # nothing is held out, or one of two texts
    held = hold_out_stratified(labels, share, seed, text=text)
    assert held.any()
    for number in set(text[held]) & set(text[~held]):
        own = labels == labels[text == number][0]
        assert np.bincount(text[own])[np.unique(text[own])].min() > (held & own).sum()
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        assert (~held & (labels == label)).sum() >= min(size, 2)


def test_a_copy_with_another_label_leaves_its_class_two_rows():
    labels, text = np.array([0] * 10 + [1, 1]), np.array([*range(10), 3, 7])
    held = [hold_out_stratified(labels, 0.3, seed, text=text) for seed in range(20)]
    assert not any(mask[[3, 7, 10, 11]].any() for mask in held)
    assert all(mask.any() for mask in held)


@pytest.mark.parametrize(("texts", "copies"), [(3, 2), (6, 8)])
def test_rows_with_several_labels_of_which_all_texts_are_repeated_are_held_out_one_by_one(texts, copies):
    """Regression: an IndexError, since no text had few enough rows to be held out."""
    words = [f"text {number}" for number in range(texts)] * copies
    train, held = Texts.of(words, [["a"] if "1" in word else ["a", "b"] for word in words]).split(0.25, 0)
    assert len(train) + len(held) == texts * copies
    assert 0 < len(held) <= texts * copies // 2


def test_without_copies_the_rows_are_those_of_the_seed():
    for _, labels in planted_labels():
        texts = text_numbers([f"text {row}" for row in range(len(labels))])
        for share, seed in ((0.1, 0), (0.25, 3)):
            assert np.array_equal(
                hold_out_stratified(labels, share, seed), hold_out_stratified(labels, share, seed, text=texts)
            )


@pytest.mark.parametrize("by", ["label", "rows"])
@pytest.mark.parametrize("label", [lambda row: "ab"[row % 2], lambda row: row / 2, lambda row: ["a", "b"][: row % 3]])
def test_copies_of_a_text_are_held_out_together_and_counted(label, by):
    once = [f"text {row}" for row in range(60)]
    twice = Texts.of([*once, *map(str.upper, once)], [label(row % 60) for row in range(120)])
    splits = load_splits(twice, by=by)
    parts = {name: {*map(str.lower, part.text)} for name, part in splits.parts.items()}
    assert sum(map(len, parts.values())) == 60
    assert len(splits.test) == 24
    assert "the copies of a text stay on one side: 60 repeated rows)" in splits.notes[0]
    single = load_splits(twice.take(range(60)), by=by)
    assert {*map(str.lower, single.test.text)} == parts["test"]
    assert "copies" not in single.notes[0]


@pytest.mark.parametrize("labels", ["xxyy", [*range(50), *range(50)]])
def test_no_class_is_left_one_row_by_what_is_held_out(labels):
    """Regression: one of two rows went to test, its class was dropped as too rare, and with it all test rows."""
    texts = Texts.of([f"text {row}" for row in range(len(labels))], list(labels))
    with pytest.raises(DataError, match=r"no class has a row to spare for test: got \d+ classes .*; add rows of each"):
        load_splits(texts)
    three = Texts.of([f"text {row}" for row in range(150)], [*range(50)] * 3)
    assert min(np.unique(load_splits(three).train.label, return_counts=True)[1]) == 2


def test_of_many_classes_with_few_rows_the_seed_draws_which_are_held_out():
    """Regression: of 77 classes of 4 rows the last 15 by first rows were never tested, whatever the seed."""
    labels = np.repeat(np.arange(77), 4)
    held = [hold_out_stratified(labels, 0.2, seed) for seed in range(30)]
    assert {int(mask.sum()) for mask in held} == {62}
    given = np.array([np.bincount(labels[mask], minlength=77) for mask in held])
    assert given.max() == 1
    assert given.sum(axis=0).min() > 12  # 24 of 30 expected, standard deviation 2
    assert np.abs(np.corrcoef(given)[np.triu_indices(30, 1)]).max() < 0.5


@pytest.mark.parametrize("names", [(5, 4, 3, 2, 1, 0), (2, 0, 5, 1, 3, 4)])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.45])
def test_renamed_classes_hold_out_the_same_rows(names, share):
    codes = np.random.default_rng(2).permutation(np.repeat(np.arange(6), 9))  # equal remainders
    renamed = np.array(names)[codes]
    assert np.array_equal(hold_out_stratified(codes, share, 0), hold_out_stratified(renamed, share, 0))


def test_exact_shares_are_exact():
    labels = np.repeat(["a", "b", "c"], [500, 300, 200]).astype(object)
    held = hold_out_stratified(labels, 0.1, 0)
    assert [(held & (labels == name)).sum() for name in "abc"] == [50, 30, 20]


def test_the_seed_decides_and_nothing_else():
    labels = np.repeat([0, 1], 50)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    first = hold_out_stratified(labels, 0.2, 3)
    assert np.array_equal(first, hold_out_stratified(labels, 0.2, 3))
    assert not np.array_equal(first, hold_out_stratified(labels, 0.2, 4))
    assert np.array_equal(hold_out_rows(50, 0.2, 3), hold_out_rows(50, 0.2, 3))
    assert not np.array_equal(hold_out_rows(50, 0.2, 3), hold_out_rows(50, 0.2, 4))


def test_every_row_of_a_class_is_drawn_about_equally_often():
    labels = np.repeat([0, 1], 10)
    times = np.sum([hold_out_stratified(labels, 0.5, seed) for seed in range(400)], axis=0)
    assert times.min() > 150
    assert times.max() < 250  # 200 expected, standard deviation 10


@settings(max_examples=150, deadline=None)
@given(st.data(), SHARES, st.integers(0, 10))
def test_groups_stay_whole_and_each_class_keeps_training_rows(data, share, seed):
    rows = data.draw(st.integers(2, 80))
    draw = st.lists(st.integers(0, 6), min_size=rows, max_size=rows)
    groups = np.array([f"g{g}" for g in data.draw(draw)], dtype=object)
    classes = np.array([c % 3 for c in data.draw(draw)])
    totals = [(classes == kind).sum() for kind in range(3)]
    spared = [
        all((classes[groups == g] == k).sum() < totals[k] or not totals[k] for k in range(3)) for g in set(groups)
    ]
    if not any(spared):
        with pytest.raises(DataError, match=r"2 groups or more|holds all rows of some class"):
            hold_out_groups(groups, classes, share, seed)
        return
    held = hold_out_groups(groups, classes, share, seed)
    assert held.any()
    assert not held.all()
    assert not set(groups[held]) & set(groups[~held])
    assert set(classes[held]) <= set(classes[~held])
    assert np.array_equal(held, hold_out_groups(groups, classes, share, seed))


@pytest.mark.parametrize("seed", range(5))
def test_many_small_groups_come_near_to_the_share(seed):
    groups = np.array([f"g{row // 4}" for row in range(1000)], dtype=object)
    assert abs(hold_out_groups(groups, None, 0.2, seed).sum() - 200) <= 4


def test_a_large_group_is_held_out_only_when_there_is_no_other():
    groups = np.array(["big"] * 60 + ["small"] * 40, dtype=object)
    assert set(groups[hold_out_groups(groups, None, 0.1, 0)]) == {"small"}


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(OptionError, match="share to hold out is out of range"):
        hold_out_rows(10, share, 0)


def test_too_little_to_hold_out_is_refused():
    with pytest.raises(DataError, match=r"q\.csv is too small to hold rows out: got 1 row, expected 2 rows"):
        hold_out_rows(1, 0.5, 0, source="q.csv")
    with pytest.raises(DataError, match="no class has two rows, so none can be held out: got 3 classes"):
        hold_out_stratified(np.array([1, 2, 3]), 0.5, 0)
    with pytest.raises(DataError, match="whole groups cannot be held out: got 1 group"):
        hold_out_groups(np.array(["x", "x"], dtype=object), None, 0.5, 0)
    with pytest.raises(DataError, match="each of the 2 groups holds all rows of some class"):
        hold_out_groups(np.array(["x", "x", "y"], dtype=object), np.array([0, 0, 1]), 0.5, 0)


def test_groups_on_both_sides_are_told_of_unless_they_are_held_out(tmp_path):
    rows = "".join(f"text {n},{'ab'[n % 2]},g{n % 5}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text(f"text,label,group\n{rows}")
    notes = load_splits(tmp_path / "rows.csv", group="group").notes
    assert "test: 5 of its 5 groups are trained on as well (--by group holds out whole groups)" in notes
    assert any(note.startswith("validation: ") and "trained on as well" in note for note in notes)
    assert not any("as well" in note for note in load_splits(tmp_path / "rows.csv", group="group", by="group").notes)
    assert not any("as well" in note for note in load_splits(tmp_path / "rows.csv").notes)


def grouped_rows(groups):
    return Texts.of([f"text {row}" for row in range(len(groups))], ["a", "b"] * (len(groups) // 2), groups)


def grouped_frame(groups):
    table = grouped_rows(groups)
    return pd.DataFrame({"text": table.text, "label": table.label, "group": table.group})


def test_seen_rows_are_of_groups_that_keep_training_rows():
    """Regression: rows of groups that nothing is trained on any more were told of as those of trained ones."""
    table = grouped_rows([f"own {row}" for row in range(30)] + ["x", "x", "y"] * 10)
    for seed in range(5):
        splits = Splits(table, table, None, ()).with_seen(0.2, seed)
        assert len(splits.seen) == 6
        assert set(splits.seen.group) <= set(splits.train.group)
        assert sorted([*splits.train.id, *splits.seen.id]) == list(range(60))
        assert splits.notes == ("seen: 6 of 60 training rows held out, of groups that are trained on",)


def test_without_a_group_of_two_rows_there_is_no_seen_part():
    table = grouped_rows([f"own {row}" for row in range(40)])
    splits = Splits(table, table, None, ()).with_seen(0.2)
    assert splits.parts.keys() == {"train", "validation"}
    assert len(splits.train) == 40
    assert splits.notes == (
        "seen: none, because no training row could be held out beside others of its group and class",
    )


def test_a_copy_of_a_training_text_is_not_seen():
    """Regression: copies in groups of one row were not known to the draw of "seen", which then held trained texts."""
    texts = [f"text {row}" for row in range(20)] * 2 + [f"other {row}" for row in range(20)]
    groups = [f"own {row}" for row in range(20)] + [f"of two {row // 2}" for row in range(40)]
    table = Texts.of(texts, ["a", "b"] * 30, groups)
    for seed in range(10):
        splits = Splits(table, table, None, ()).with_seen(0.2, seed)
        assert not {*splits.seen.text} & {*splits.train.text}
        assert {*splits.seen.group} <= {*splits.train.group}


def test_seen_rows_whose_group_few_rows_a_class_leave_out_go_with_it():
    """Regression: with --per-class, groups of which no training row is left were told of as trained on."""
    table = grouped_frame([f"g{row // 4}" for row in range(80)])
    splits = training_splits(
        table, {"by": "group", "group": "group", "test": 0.0, "validation": 0.3, "per_class": 2}, seed=0
    )
    assert len(splits.train) == 4
    assert splits.seen is None or set(splits.seen.group) <= set(splits.train.group)
    assert "rows, of groups that these training rows have" in splits.notes[-1]


def test_two_groups_are_too_few_for_test_and_validation():
    """Regression: a file of two groups was said to have one."""
    table = grouped_frame(["x", "y", "y", "x"] * 10)
    with pytest.raises(DataError, match=r"for both test and validation: got 2 groups, expected 3 .* type --test 0"):
        load_splits(table, by="group", group="group")
    assert load_splits(table, by="group", group="group", test=0.0).parts.keys() == {"train", "validation"}
    with pytest.raises(DataError, match=r"got 2 of 3 groups held out for test, .* --test 0 .* or a smaller --test"):
        load_splits(grouped_frame(["x"] * 32 + ["y"] * 4 + ["z"] * 4), by="group", group="group")


def test_texts_that_are_all_equal_are_refused_before_a_training():
    """Regression: an error of scikit-learn, of a prompt after the whole training."""
    frame = grouped_frame(["x", "y"] * 20).assign(text="same")
    with pytest.raises(
        DataError, match=r"the texts to learn from are all equal: got \d+ rows of one text, .* column with --text"
    ):
        training_splits(frame, {}, seed=0)
    splits = load_splits(frame)
    with pytest.raises(DataError, match="the texts to learn from are all equal"):
        training_splits(splits, {}, seed=0)


def some_rows(name):
    """200 rows with a text of which there are very many."""
    if name == "skewed":
        return ["ok" if row < 60 else f"good {row}" for row in range(100)] + [f"bad {row}" for row in range(100)]
    if name == "few texts":
        return [f"yes {row % 2}" for row in range(100)] + ["no"] * 100
    return ["ok" if row % 5 < 3 else f"text {row}" for row in range(200)]


@pytest.mark.parametrize("name", ["skewed", "few texts", "mixed"])
@pytest.mark.parametrize("label", ["names", "floats"])
def test_a_text_of_very_many_rows_moves_neither_the_size_nor_the_shares_of_a_part(name, label):
    """Regression: a text counted as one row, so that 135 of 200 rows were test, or a class had none."""
    labels = ["yes"] * 100 + ["no"] * 100 if label == "names" else [row / 8 for row in range(200)]
    table = Texts.of(some_rows(name), labels)
    for seed in range(10):
        rest, held = table.split(0.2, seed)
        assert len(held) == 40
        if label == "names":
            assert held.label.tolist().count("yes") == 20
        assert name == "few texts" or not {*rest.text} & {*held.text}
