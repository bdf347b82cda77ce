"""`Texts`: columns stay together, kinds are told apart, bad cells are refused with their rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.texts import Texts

ROWS = Texts.of([f"text {row}" for row in range(10)], ["a", "b"] * 5, list("vwxyz") * 2, source="q.csv")


def test_rows_travel_together():
    taken = ROWS.take([7, 2])
    assert taken.text == ("text 7", "text 2")
    assert taken.label.tolist() == ["b", "a"]
    assert taken.group.tolist() == ["x", "x"]
    assert taken.id.tolist() == [7, 2]
    assert taken.take([1]).id.tolist() == [2]
    assert len(ROWS.take([])) == 0


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(10)), st.lists(st.booleans(), min_size=10, max_size=10))
def test_identity_survives_shuffle_and_subset(order, mask):
    rows = ROWS.take(order).where(mask)
    for text, label, group, row in zip(rows.text, rows.label, rows.group, rows.id, strict=True):
        assert (text, label, group) == (ROWS.text[row], ROWS.label[row], ROWS.group[row])
    assert rows.id.tolist() == [place for place, kept in zip(order, mask, strict=True) if kept]


@pytest.mark.parametrize("by", ["label", "group", "rows"])
def test_split_is_disjoint_complete_seeded_and_keeps_the_order(by):
    train, test = ROWS.split(0.4, seed=1, by=by)
    assert sorted([*train.id, *test.id]) == list(range(10))
    assert list(train.id) == sorted(train.id)
    assert ROWS.split(0.4, seed=1, by=by)[1].id.tolist() == test.id.tolist()
    assert len(test) == 4
    if by == "group":
        assert not set(train.group) & set(test.group)
    if by == "label":
        assert sorted(test.label) == ["a", "a", "b", "b"]


def test_floats_and_unlabelled_rows_are_drawn_plainly():
    for texts in (Texts.of(list("abcd"), [0.5, 1.5, 2.5, 3.5]), Texts.of(list("abcd"))):
        train, test = texts.split(0.25)
        assert (len(train), len(test)) == (3, 1)


def test_a_class_with_one_row_goes_to_training():
    for seed in range(20):
        train, test = Texts.of(list("abcdefg"), list("xxxyyyz")).split(0.5, seed)
        assert "z" in train.label
        assert "z" not in test.label


@pytest.mark.parametrize(
    ("labels", "kind", "dtype"),
    [
        (["a", "b"], "names", object),
        ([True, False], "names", object),
        ([1, 2], "integers", np.int64),
        (np.array([1, 2], dtype=np.int8), "integers", np.int64),
        ([np.int32(3), 4], "integers", np.int64),
        ([1, 2.5], "floats", np.float64),
        (np.array([1, 2], dtype=np.float32), "floats", np.float64),
        (np.array(["a", "b"]), "names", object),
    ],
)
def test_kinds_of_labels(labels, kind, dtype):
    texts = Texts.of(["x", "y"], labels)
    assert texts.kind == kind
    assert texts.label.dtype == dtype
    assert all(type(label) is str for label in texts.label) or kind != "names"


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([1, None, 2], "1 of 3 rows have no label: got row 1 "),
        ([1.0, float("nan"), float("nan")], r"2 of 3 rows have no label: got rows 1, 2 \(counted from 0\); fill them"),
        (["a", "", " "], "2 of 3 rows have no label"),
        ([0, -1, 1], r"1 of 3 rows are unlabelled \(-1\): got row 1 .*write -1.0"),
        ([-1, -1, -1], r"3 of 3 rows are unlabelled \(-1\)"),
        (["a", 1, "b"], "labels are not of one kind: got a name in row 0, a number in row 1"),
        ([["a"], "b", "c"], r"row 1 \(counted from 0\) has one name where the other rows have lists"),
        ([2**70, 1, 2], r"does not fit 64 bits: got row 0"),
        ([10**400, 1.5, 2], "too large for a number"),
        ([1.0, float("inf"), 2.0], "1 labels are infinite: got row 1"),
        (["a", "\0", "b"], "1 of 3 rows hold a NUL"),
        (["a", "\ud800", "b"], "half a surrogate pair in the label: got row 1"),
        (["a", "b"], "as many labels as texts are needed: got 2, expected 3"),
    ],
)
def test_bad_labels_are_refused(labels, match):
    with pytest.raises(DataError, match=match):
        Texts.of(["x", "y", "z"], labels)


def test_minus_one_among_other_negatives_and_minus_one_point_zero_are_values():
    assert Texts.of(["x", "y"], [-2, -1]).label.tolist() == [-2, -1]
    assert Texts.of(["x", "y"], [-1.0, 1.0]).label.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ([], "memory holds no rows"),
        (["a", None, "", "b", "\t", "\n"], r"4 of 6 rows have no text: got rows 1, 2, 4 and 1 more \(counted from 0\)"),
        (["a", 3], "a text is not a string: got int in row 1"),
        (["a", "b\0"], "NUL or half a surrogate pair in the text: got row 1"),
        ("abc", "one string where a list of texts belongs"),
    ],
)
def test_bad_texts_are_refused(texts, match):
    with pytest.raises(DataError, match=match):
        Texts.of(texts)


def test_bad_groups_are_refused():
    with pytest.raises(DataError, match="1 of 2 rows have no group: got row 0"):
        Texts.of(["a", "b"], None, [None, "x"])
    with pytest.raises(OptionError, match=r"unknown way to split: got 'labels'.*did you mean 'label'"):
        ROWS.split(by="labels")
    with pytest.raises(DataError, match="a split by group needs groups; name their column with --group"):
        Texts.of(["a", "b"]).split(by="group")


def test_bad_selections_are_refused():
    with pytest.raises(ShapeError, match=r"take needs row positions.*use where"):
        ROWS.take(np.ones(10, dtype=bool))
    with pytest.raises(ShapeError, match="outside the table: got 3 to 10, expected 0 to 9"):
        ROWS.take([3, 10])
    with pytest.raises(ShapeError, match="where needs a mask"):
        ROWS.where([0, 1])
    with pytest.raises(ShapeError, match=r"label does not fit the texts: got \(1,\), expected \(2,\)"):
        Texts(("a", "b"), np.array([1]), None, np.arange(2), "x")
    with pytest.raises(ShapeError, match="wrong type of label: got <U1"):
        Texts(("a",), np.array(["x"]), None, np.arange(1), "x")


def test_frame_round_trip():
    frame = ROWS.to_frame()
    assert list(frame.columns) == ["text", "label", "group", "id"]
    again = Texts.from_frame(frame, text="text", label="label", group="group")
    assert again.text == ROWS.text
    assert again.label.tolist() == ROWS.label.tolist()
    assert again.group.tolist() == ROWS.group.tolist()
    assert list(Texts.of(["a"]).to_frame().columns) == ["text", "id"]


def test_frames_with_any_index_and_type():
    frame = pd.DataFrame({"q": ["x", "y"], "k": pd.Categorical(["b", "a"]), "n": [1, 2]}, index=[7, 7])
    texts = Texts.from_frame(frame, text="q", label="k", group="n")
    assert texts.label.tolist() == ["b", "a"]
    assert texts.group.tolist() == ["1", "2"]
    assert texts.id.tolist() == [0, 1]
    assert Texts.from_frame(frame, text="q", label=None).label is None


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_frames_with_missing_cells_are_refused(missing):
    frame = pd.DataFrame({"text": ["x", "y"], "label": pd.Series(["a", missing], dtype=object)})
    with pytest.raises(DataError, match="the data frame: 1 of 2 rows have no label: got row 1"):
        Texts.from_frame(frame)
    integers = pd.DataFrame({"text": ["x", "y"], "label": pd.array([3, None], dtype="Int64")})
    with pytest.raises(DataError, match="1 of 2 rows have no label"):
        Texts.from_frame(integers)


def test_frames_with_wrong_columns_are_refused():
    frame = pd.DataFrame([["x", "a", "b"]], columns=["text", "kind", "kind"])
    with pytest.raises(DataError, match="has no column 'label': got columns text, kind, kind; name the column, for"):
        Texts.from_frame(frame)
    with pytest.raises(DataError, match="has 2 columns named 'kind'"):
        Texts.from_frame(frame, label="kind")
    with pytest.raises(DataError, match="--text and --label name the same column"):
        Texts.from_frame(frame, text="kind", label="kind")


def test_joined_rows_keep_their_ids_or_move_above_the_others():
    first = Texts.of(["a", "b", "c"], ["x", "y", "x"], ["g", "g", "h"])
    inner, outer = first.take([0, 2]), first.take([1])
    assert inner.join(outer).id.tolist() == [0, 2, 1]
    both = first.join(Texts.of(["d", "e"], ["y", "y"]))
    assert both.id.tolist() == [0, 1, 2, 3, 4]
    assert both.text == ("a", "b", "c", "d", "e")
    assert both.label.tolist() == ["x", "y", "x", "y", "y"]
    assert both.group is None
