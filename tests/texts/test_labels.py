"""`Classes` and `check_labels`."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError
from separatrix.texts import Classes, Texts, check_labels
from separatrix.texts.characters import is_missing, plain_name


def test_names_are_sorted_and_integers_ordered_by_size():
    assert Classes.of(["b", "10", "9", "b"]).values == ("10", "9", "b")
    classes = Classes.of(np.array([10, 9, -2, 10]))
    assert classes.values == (-2, 9, 10)
    assert classes.names == ("-2", "9", "10")
    assert len(classes) == 3


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda name: not is_missing(name)
)


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.lists(NAMES, min_size=2), st.lists(st.integers(0, 2**62), min_size=2)))
def test_encode_and_decode_are_inverse_and_survive_json(labels):
    kept = [plain_name(label) if isinstance(label, str) else label for label in labels]
    if len(set(kept)) < 2:
        with pytest.raises(DataError, match="two classes or more"):
            Classes.of(labels)
        return
    classes = Classes.from_dict(json.loads(json.dumps(Classes.of(labels).to_dict())))
    ids = classes.encode(labels)
    assert ids.dtype == np.int64
    assert classes.decode(ids).tolist() == kept
    assert [sorted(set(kept)).index(label) for label in kept] == ids.tolist()


def test_decoded_types():
    assert Classes((1, 2)).decode([1]).dtype == np.int64
    assert Classes(("a", "b")).decode([]).dtype == object
    assert Classes.of([True, False]).encode([False, True]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0.5, 1.5], "labels are numbers to predict, not classes: got floats; use --loss mse"),
        (["a", "a"], "q.csv: a classifier needs two classes or more: got only 'a' in 2 rows"),
        ([], "two classes or more: got no rows"),
        (["a", None], "1 of 2 rows have no label: got row 1"),
        ([-1, 0, 1], r"1 of 3 rows are unlabelled \(-1\)"),
    ],
)
def test_what_cannot_be_classes(labels, match):
    with pytest.raises(DataError, match=match):
        Classes.of(labels, source="q.csv")


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (["human", "humen"], r"test: unknown label in row 1 \(counted from 0\): got 'humen', .*did you mean 'human'\?"),
        (
            ["xyz", "q", "human"],
            "unknown label in row 0 and 1 more .*got 'xyz', expected one of human, number; the label",
        ),
        ([1], "got 1, expected one of human"),
        ([None], "got None, expected one of human"),
        ([["human"]], r"got \['human'\], expected"),
        ([True], "got 'True', expected"),
    ],
)
def test_labels_never_seen_in_training_are_refused(labels, match):
    with pytest.raises(DataError, match=match):
        Classes(("human", "number")).encode(labels, source="test")


def test_bad_class_lists_are_refused():
    with pytest.raises(DataError, match="each named once"):
        Classes(("a", "a"))
    with pytest.raises(DataError, match="all names or all integers"):
        Classes(("a", 1))
    with pytest.raises(DataError, match="all names or all integers"):
        Classes((0.5, 1.5))
    with pytest.raises(DataError, match="class number is out of range: got 0 to 2, expected 0 to 1"):
        Classes(("a", "b")).decode([0, 2])
    with pytest.raises(DataError, match="not a saved list of classes"):
        Classes.from_dict({"names": []})


def test_long_lists_of_classes_are_cut_in_messages():
    with pytest.raises(DataError, match="c19 and 30 more"):
        Classes(tuple(f"c{number:02}" for number in range(50))).encode(["nothing like it"])


@pytest.mark.parametrize("other", ["x ", "X", "x\ufe0f", "\uff58", "x\u200d", " x"])
def test_names_that_look_alike_are_warned_of(other):
    (line,) = check_labels(Texts.of(list("abcd"), ["x", "x", other, other], source="q.csv"))
    assert "'x'" in line
    assert repr(other) in line


def test_suspicious_labels_are_warned_of():
    assert check_labels(Texts.of(["x", "y"] * 2, ["a", "b"] * 2)) == ()
    texts = Texts.of(list("uvwxyz"), ["a", "A ", "b", "b", "a", "A "], source="q.csv")
    assert check_labels(texts) == (
        "q.csv: the classes 'A ' and 'a' differ only in case, white space or characters that nobody sees",
    )


def test_classes_with_one_row_are_refused():
    """They cannot be both learnt and checked."""
    with pytest.raises(
        DataError, match=r"q.csv: the class 'b' has one row to learn from: got 'b', expected two rows or more"
    ):
        check_labels(Texts.of(["x", "y", "z"], ["a", "a", "b"], source="q.csv"))
    with pytest.raises(DataError, match=r"5 classes have one row to learn from: got 'a', 'b', 'c' and 2 more"):
        check_labels(Texts.of(list("uvwxy"), list("abcde")))


def test_unusable_labels_are_refused_before_training():
    with pytest.raises(DataError, match="was read without labels; name their column with --label"):
        check_labels(Texts.of(["x"]))
    with pytest.raises(DataError, match="two classes or more: got only 1 in 2 rows"):
        check_labels(Texts.of(["x", "y"], [1, 1]))
    with pytest.raises(DataError, match=r"all labels are the same number: got \[0.5\]"):
        check_labels(Texts.of(["x", "y"], [0.5, 0.5]))
    assert check_labels(Texts.of(["x", "y"], [0.5, 0.6])) == ()


def test_whole_floats_are_told_how_to_become_classes():
    with pytest.raises(
        DataError, match=r"use --loss mse, or write them as whole numbers \(1, not 1.0\) to learn classes"
    ):
        Classes.of(np.array([1.0, 2.0]))
    with pytest.raises(DataError, match=r"use --loss mse$"):
        Classes.of(np.array([1.5, 2.0]))
