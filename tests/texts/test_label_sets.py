"""Rows with several labels: read from lists and joined names, split with the share of each label, refused where odd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError, SeparatrixWarning
from separatrix.texts import Texts, load_splits, load_texts
from separatrix.texts.label_sets import hold_out_sets, indicator, joined, set_column, sets_of

ROWS = [("a", ["joy", "anger"]), ("b", ["joy"]), ("c", []), ("d", ["fear", "joy", "fear"])]
SETS = [("anger", "joy"), ("joy",), (), ("fear", "joy")]


def test_a_column_of_lists_gives_the_same_sets_from_every_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [text for text, _ in ROWS], "label": [labels for _, labels in ROWS]})
    frame.to_parquet(tmp_path / "q.parquet")
    lines = "".join(json.dumps({"text": text, "label": labels}) + "\n" for text, labels in ROWS)
    (tmp_path / "q.jsonl").write_text(lines)
    for source in (frame, tmp_path / "q.parquet", tmp_path / "q.jsonl"):
        texts = load_texts(source)
        assert (texts.kind, texts.label.tolist()) == ("sets", SETS)  # type: ignore[union-attr]


def test_a_separator_splits_names_and_drops_what_is_blank(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('text,label\na,"joy, anger"\nb,joy\nc,"fear,,joy,"\n')
    texts = load_texts(tmp_path / "q.csv", label_separator=",")
    assert texts.label is not None
    assert texts.label.tolist() == [("anger", "joy"), ("joy",), ("fear", "joy")]
    assert load_texts(tmp_path / "q.csv").kind == "names"  # without it the names are classes, as before


def test_an_empty_cell_between_joined_names_has_none_of_the_labels(tmp_path: Path) -> None:
    """Regression: it was refused, and `predict` writes such a cell where no label was given."""
    rows = "".join(f'text {row},"{["a;b", "b", "", "  "][row % 4]}"\n' for row in range(80))
    (tmp_path / "q.csv").write_text("text,label\n" + rows)
    splits = load_splits(tmp_path / "q.csv", label_separator=";")
    assert {*splits.train.label.tolist()} == {("a", "b"), ("b",), ()}  # type: ignore[union-attr]
    assert splits.notes[2:] == tuple(
        f"{name}: {part.label.tolist().count(())} of {len(part)} rows have none of the labels"  # type: ignore[union-attr]
        for name, part in splits.parts.items()
    )
    with pytest.warns(SeparatrixWarning, match="40 of 80 rows without a label are left out"):
        assert len(load_texts(tmp_path / "q.csv", label_separator=";", drop_unlabelled=True)) == 40
    with pytest.raises(DataError, match=r"q\.csv has no column 'none'"):
        load_splits(tmp_path / "q.csv", label="none", label_separator=";")


def test_whole_numbers_are_names_of_labels() -> None:
    assert Texts.of(["a", "b"], [[3, 12], [3]]).label.tolist() == [("12", "3"), ("3",)]  # type: ignore[union-attr]
    assert Texts.of(["a", "b"], [3, 12], label_separator=",").label.tolist() == [("3",), ("12",)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("labels", "separator", "message"),
    [
        ([["a"], None], None, r"row 1 \(counted from 0\) has no labels"),
        ([["a"], "b"], None, "row 1 .* has one name where the other rows have lists"),
        ([["a"], [None]], None, "row 1 .* holds a label that is no name"),
        ([["a"], [0.5]], None, "row 1 .* holds a label that is no name: got 0.5"),
    ],
)
def test_cells_that_are_no_labels_are_refused(labels: list[object], separator: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Texts.of(["t", "u"], labels, label_separator=separator)


def test_a_separator_that_splits_nothing_is_spoken_of() -> None:
    texts = Texts.of(["t", "u"], ["a", "b"], label_separator=";", source="q.csv")
    assert texts.warnings == ("q.csv: no label holds the separator ';', so each row has one label",)


def test_a_separator_without_labels_or_of_blanks_is_refused() -> None:
    frame = pd.DataFrame({"text": ["t"], "label": ["a"]})
    with pytest.raises(OptionError, match="--label-separator has no effect without labels"):
        load_texts(frame, label=None, label_separator=",")
    with pytest.raises(OptionError, match="--label-separator is blank"):
        load_texts(frame, label_separator=" ")


def test_parts_with_sets_and_with_single_labels_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": ["x"]}\n')
    (tmp_path / "test.jsonl").write_text('{"text": "c", "label": "x"}\n')
    with pytest.raises(DataError, match="some parts have several labels a row"):
        load_splits(tmp_path)


matrices = st.integers(2, 6).flatmap(
    lambda labels: st.lists(st.lists(st.integers(0, 1), min_size=labels, max_size=labels), min_size=4, max_size=60)
)


@settings(max_examples=60, deadline=None)
@given(matrices, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 3))
def test_held_out_rows_leave_two_rows_of_each_label(rows: list[list[int]], share: float, seed: int) -> None:
    matrix = np.array(rows)
    mask = hold_out_sets(matrix, share, seed)
    assert 0 < mask.sum() < len(matrix)
    many = matrix.sum(axis=0) > 2
    if mask.sum() > 1:
        assert (matrix[~mask].sum(axis=0)[many] >= 2).all()
    assert (mask == hold_out_sets(matrix, share, seed)).all()


def test_held_out_rows_have_the_share_of_each_label() -> None:
    """Plain draws miss the share of rare labels; bad before, good after."""
    generator = np.random.default_rng(0)
    matrix = (generator.random((1000, 8)) < np.array([0.01, 0.02, 0.05, 0.1, 0.1, 0.3, 0.5, 0.02])).astype(int)
    matrix[:3, 0] = 1
    held = hold_out_sets(matrix, 0.2, seed=0)
    plain = np.isin(np.arange(1000), generator.permutation(1000)[:200])
    off = [np.abs(matrix[mask].sum(axis=0) / matrix.sum(axis=0) - 0.2).max() for mask in (plain, held)]
    assert off[0] > 0.05
    assert off[1] < 0.03
    assert 180 <= held.sum() <= 220


@given(st.lists(st.sets(st.sampled_from("abcd"))))
def test_sets_come_back_from_their_matrix(sets: list[set[str]]) -> None:
    column = set_column(sets, "q")
    assert sets_of(indicator(column, [*"abcd"]), [*"abcd"]).tolist() == column.tolist()


def test_an_unknown_label_is_named_with_its_row() -> None:
    with pytest.raises(DataError, match=r"q: unknown label in row 1 .*'jy'.*did you mean 'joy'"):
        indicator(set_column([["joy"], ["jy"]], "q"), ["anger", "joy"], source="q")


def test_a_label_that_holds_the_separator_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="the label 'a,b' holds the separator ','"):
        joined([("a,b", "c")], ",")


@pytest.mark.parametrize(("cells", "told"), [(["0.5", "1.25", "2"], True), (["red.cat", "1.5"], False)])
def test_numbers_that_are_split_at_their_point_are_told_of(cells: list[str], told: bool) -> None:
    """Regression: decimal numbers became two labels without a word."""
    warnings = Texts.of(["a", "b", "c"][: len(cells)], cells, label_separator=".").warnings
    assert any("may have split decimal numbers" in line for line in warnings) == told
