"""Clusters and heads where length and context are held, and the lines of the associations."""

import doctest

import numpy as np
import pytest

from head_tables import HEADS, LAYERS, table_of
from separatrix.analysis.associate import associate
from separatrix.analysis.heads import controls as heads_controls
from separatrix.analysis.heads.controls import association_lines, columns_to_test, controls, head_numbers
from separatrix.errors import DataError


def test_lines_give_both_nulls_of_heads_and_the_verdict_of_the_one_that_decides():
    table = table_of().assign(cluster=lambda table: table["layer"] // 2)
    columns = columns_to_test(table)
    assert columns == ["layer", "head", "layer+head", "length", "context"]
    lines = {line["with"]: line for line in association_lines(associate(table, columns, permutations=99))}
    assert lines["layer"]["p_heads"] <= 0.05 < lines["head"]["p_heads"]
    assert [lines[name]["verdict"] for name in ("layer", "head")] == ["more than chance", "as chance"]
    for name in ("layer and head", "length", "context"):
        assert lines[name]["p_heads"] is None
    assert lines["layer and head"]["p_value"] == 0.01
    assert lines["context"]["unit"].startswith("whole example")
    # One cluster, one length, one context: nothing to be tested.
    assert columns_to_test(table.assign(cluster=0)) == []
    assert columns_to_test(table.assign(length=9, context=1, example="e")) == ["layer", "head", "layer+head"]
    # A context has the length of its first window: where those are all full, there is nothing to draw.
    last = table.groupby("context")["example"].transform("last") == table["example"]
    uneven = table.assign(length=np.where(last, 5, 9))
    first = ~uneven.duplicated("context")
    uneven.loc[first, "length"] = 9
    assert uneven["length"].nunique() == 2
    assert "length" not in columns_to_test(uneven)
    with pytest.raises(DataError, match="the column 'length' cannot be tested: all units have the same value"):
        associate(uneven, "length", permutations=19)


def test_controls_hold_length_and_context():
    table, generator = table_of(), np.random.default_rng(0)
    values = 20.0 * np.eye(LAYERS * HEADS)[head_numbers(table)] + generator.normal(size=(len(table), LAYERS * HEADS))
    table["kmeans"] = head_numbers(table)
    found = controls(table, values, method="kmeans")
    assert [round(line["ami"], 3) for line in found[:2]] == [1, 1]
    assert "length-matched" in found[1]["rows"]
    assert found[1]["count"] < found[0]["count"]
    assert found[3]["rows"].startswith("the other contexts")
    assert found[3]["ami"] > 0.8
    # Heads that differ only within one context do not carry over.
    noise = generator.normal(size=(len(table), 3))
    table["kmeans"] = generator.integers(0, LAYERS * HEADS, len(table))
    assert abs(controls(table, noise, method="kmeans")[3]["ami"]) < 0.1


def test_length_matched_clusters_are_fitted_anew():
    """The labels of the whole were used once more: with clusters that follow the length, none of the heads was seen."""
    table, generator = table_of(), np.random.default_rng(0)
    cells = LAYERS * HEADS
    table["length"] = np.where(table["window"] % 4 == 0, 30, 30 + table["window"])
    values = np.eye(cells)[head_numbers(table)] + 0.05 * generator.normal(size=(len(table), cells))
    table["kmeans"] = table["window"] % cells  # clusters of the whole that say nothing of the head
    found = controls(table, values, method="kmeans")
    assert found[0]["ami"] < 0.1
    assert found[1]["ami"] > 0.9


def test_controls_say_whose_clusters_they_are():
    table = table_of().assign(kmeans=lambda table: table["layer"], hdbscan=lambda table: table["head"])
    values = np.random.default_rng(0).normal(size=(len(table), 3))
    plain = controls(table, values, method="kmeans")
    assert plain[0]["rows"] == "all"
    assert plain[0]["clusters"] == f"kmeans, k = {LAYERS}"
    other = controls(table, values, method="hdbscan")
    assert all("k-means, not hdbscan" in line["rows"] for line in other)
    assert [line["rows"].partition(":")[0] for line in other] == [line["rows"].partition(":")[0] for line in plain]


def test_examples_in_docstrings():
    result = doctest.testmod(heads_controls)
    assert result.attempted > 0
    assert result.failed == 0
