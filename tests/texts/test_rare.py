"""Classes with one training row: kept out, put together or refused, and counted whatever becomes of them."""

import pytest

from separatrix.errors import DataError, OptionError
from separatrix.texts import Splits, Texts
from separatrix.texts.labels import check_labels
from separatrix.texts.rare import MERGED, settle_rare


def parts(labels, test=("a", "b", "c")):
    train = Texts.of([f"t{n}" for n in range(len(labels))], list(labels), source="q.csv")
    rest = Texts.of([f"r{n}" for n in range(len(test))], list(test), source="q.csv")
    return Splits(train, rest, rest, ())


def test_a_class_with_one_row_is_kept_out_of_every_part_and_counted():
    kept = settle_rare(parts("aabbcd"))
    assert {name: part.label.tolist() for name, part in kept.parts.items()} == {
        "train": ["a", "a", "b", "b"], "validation": ["a", "b"], "test": ["a", "b"],
    }  # fmt: skip
    assert kept.train.id.tolist() == [0, 1, 2, 3]
    assert kept.warnings == (
        "q.csv: 2 classes with fewer than 2 training rows are kept out (4 rows in all parts): c, d",
    )
    assert check_labels(kept.train) == ()


def test_such_classes_are_put_together_in_every_part():
    kept = settle_rare(parts("aabbcd"), "merge")
    assert kept.train.label.tolist() == ["a", "a", "b", "b", MERGED, MERGED]
    assert kept.test.label.tolist() == ["a", "b", MERGED]
    assert "put together as 'other'" in kept.warnings[0]


def test_refuse_leaves_it_to_what_trains():
    splits = parts("aabbc")
    assert settle_rare(splits, "refuse") is splits
    with pytest.raises(DataError, match="the class 'c' has one row to learn from"):
        check_labels(settle_rare(splits, "refuse").train)


@pytest.mark.parametrize("labels", ["aabb", "aab", "ab"])
def test_nothing_is_done_where_nothing_is_rare_or_too_little_would_be_left(labels):
    splits = parts(labels, test=("a", "b"))
    assert settle_rare(splits) is splits


def test_a_class_without_a_training_row_is_treated_as_one_with_a_single_one():
    """Regression: the test part was refused whole, whatever --rare said."""
    kept = settle_rare(parts("aabb", test=("a", "x", "y")))
    assert [part.label.tolist() for part in kept.parts.values()] == [["a", "a", "b", "b"], ["a"], ["a"]]
    assert kept.warnings == (
        "q.csv: 2 classes without a training row are kept out (4 rows of other parts, in no figure): x, y",
    )
    merged = settle_rare(parts("aabbcd", test=("a", "c", "x")), "merge")
    assert merged.test.label.tolist() == ["a", MERGED, MERGED]
    assert merged.warnings[1] == "q.csv: 1 class without a training row is put together as 'other' (2 rows): x"
    assert settle_rare(parts("aabb", test=("a", "x")), "merge").test.label.tolist() == ["a"]
    unread = parts("aabb", test=("a", "x"))
    assert settle_rare(unread, "refuse") is unread


def test_a_part_of_nothing_but_unknown_labels_is_left_to_the_error_that_names_the_nearest():
    splits = parts("aabb", test=("x",))
    assert settle_rare(splits) is splits


def test_a_part_of_which_no_row_is_left_is_refused():
    """Regression: training went on without test rows, to an error about an empty array."""
    with pytest.raises(DataError, match=r"no row of validation is left without the classes .* type --rare merge"):
        settle_rare(parts("aabbcd", test=("c", "d")))
    assert settle_rare(parts("aabbcd", test=("c", "d")), "merge").test.label.tolist() == [MERGED, MERGED]


def test_numbers_to_predict_and_integers_have_no_merged_class():
    numbers = Splits(*[Texts.of(["u", "v", "w"], [0.5, 1.5, 2.5])] * 2, None, ())
    assert settle_rare(numbers) is numbers
    integers = Texts.of(list("uvwxyz"), [1, 1, 2, 2, 3, 4])
    assert len(settle_rare(Splits(integers, integers, None, ())).train) == 4
    with pytest.raises(OptionError, match="here they are integers"):
        settle_rare(Splits(integers, integers, None, ()), "merge")
    with pytest.raises(OptionError, match="together they have fewer than 2 training rows"):
        settle_rare(parts("aabbc"), "merge")
