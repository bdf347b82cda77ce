"""Rows of several results on one page: which are one, whose answers they carry, where maps put them."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from separatrix.reports.joined import NO_LABEL, SourceRows, join_rows
from separatrix.reports.rows import RowMap


def run(title, ids, labels, predicted, maps=()):
    return SourceRows(title, ids, [f"text {one}" for one in ids], labels, ["test"] * len(ids), predicted, maps=maps)


def test_a_row_that_two_runs_answered_stands_once_with_both_answers():
    flat = RowMap("outputs", np.arange(4.0).reshape(1, 2, 2), ("x", "y"), "note", np.array([1, 0]))
    a, b = (
        run("a", ["0", "1", "2"], ["no", "yes", "no"], ["no", "no", "no"]),
        run("b", ["2", "3"], ["no", "yes"], ["yes", "yes"], [flat]),
    )
    rows, maps = join_rows([a, b])
    assert list(rows.ids) == ["0", "1", "2", "3"]
    assert [rows.names[k] for k in rows.labels] == ["no", "yes", "no", "yes"]
    said = [[None if k < 0 else rows.names[k] for k in one.predicted] for one in rows.answers]
    assert said == [["no", "no", "no", None], [None, None, "yes", "yes"]]
    assert maps[0].title == "b: outputs"
    assert maps[0].rows.tolist() == [3, 2]
    assert maps[0].answers == 1
    assert rows.columns()["differ"].tolist() == [0, 0, 1, 0]
    assert rows.columns()["predicted-1"].tolist()[:2] == [65535, 65535]


def test_the_leader_is_shown_first_and_a_run_keeps_its_own_split():
    """A row that is a test row of one run may be a validation row of another."""
    a = run("a", ["0", "1"], ["no", "yes"], ["no", "no"])
    b = replace(run("b", ["1", "2"], ["yes", "no"], ["yes", "no"]), splits=["validation", "test"])
    rows, _ = join_rows([a, b], "b")
    assert rows.first == 1
    assert [None if k < 0 else rows.names[k] for k in rows.predicted] == [None, "yes", "no"]
    assert rows.answers[0].splits == []
    assert rows.answers[1].splits == ["test", "validation", "test"]
    columns = rows.columns()
    assert "split-0" not in columns
    assert [rows.split_names[k] for k in columns["split-1"]] == rows.answers[1].splits
    assert [rows.split_names[k] for k in columns["split"]] == ["test"] * 3


def test_equal_ids_of_other_texts_or_labels_are_other_rows():
    rows, _ = join_rows([
        SourceRows("a", ["0", "1"], ["x", "y"], ["no", "no"]),
        SourceRows("b", ["0", "1"], ["x", "z"], ["yes", "no"]),
        SourceRows("c", ["0"], ["x"], [None]),
    ])  # fmt: skip
    assert list(rows.texts) == ["x", "y", "x", "z"]
    assert NO_LABEL not in rows.names  # the row of c is that of a


def test_rows_without_a_label_have_a_class_of_their_own_and_clusters_their_numbers():
    points = SourceRows("p", ["0", "1"], ["", ""], [None, None])
    clusters = SourceRows("k", ["1"], [""], [None], clusters=np.array([0]), suspect=np.array([0.75]))
    rows, _ = join_rows([points, clusters])
    assert rows.names == [NO_LABEL]
    assert rows.clusterings[0].numbers.tolist() == [1, 0]  # 1: in no cluster
    assert np.isnan(rows.suspect[0])
    assert rows.suspect[1] == 0.75


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=3))
def test_no_row_is_lost_and_none_is_merged_within_a_source(given):
    sources = [SourceRows(str(n), [str(k) for k in ids], ["t"] * len(ids), ["c"] * len(ids), predicted=["c"] * len(ids))
               for n, ids in enumerate(given) if ids]  # fmt: skip
    if not sources:
        return
    rows, _ = join_rows(sources)
    assert [int((one.predicted >= 0).sum()) for one in rows.answers] == [len(one) for one in sources]
    most = {k: max(ids.count(k) for ids in given) for k in range(6)}
    assert len(rows) == sum(most.values())


def test_probabilities_of_other_classes_are_kept_apart():
    a = SourceRows("a", ["0"], ["t"], ["x"], predicted=["x"], probabilities=np.array([[0.9, 0.1]]), classes=("x", "y"))
    b = SourceRows("b", ["0"], ["t"], ["x"], predicted=["z"], probabilities=np.array([[0.2, 0.8]]), classes=("y", "z"))
    rows, _ = join_rows([a, b])
    at = {name: k for k, name in enumerate(rows.names)}
    assert rows.answers[1].probabilities[0, [at["y"], at["z"], at["x"]]].tolist() == [0.2, 0.8, 0.0]
