"""Association: a planted one is found, a shuffled one is not; identities go with the rows."""

import doctest

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis.heads import association as heads_association
from separatrix.analysis.heads.association import association, by_example, cells_of, controls, shown_method

LAYERS, HEADS = 4, 3


def table_of(windows=24, contexts=6, seed=0):
    """Rows as the extraction makes them: every window has every head; examples share contexts."""
    generator = np.random.default_rng(seed)
    cells = LAYERS * HEADS
    window = np.repeat(np.arange(windows), cells)
    lengths = generator.integers(20, 90, windows)
    return pd.DataFrame({
        "example": [f"e{number}" for number in window], "window": window, "place": 0,
        "context": window * contexts // windows, "layer": np.tile(np.arange(cells) // HEADS, windows),
        "head": np.tile(np.arange(cells) % HEADS, windows), "length": lengths[window],
    })  # fmt: skip


def lines(table, **options):
    return {line["with"]: line for line in association(table, permutations=99, **options)}


def test_planted_associations_are_found_and_shuffled_ones_are_not():
    table, generator = table_of(), np.random.default_rng(1)
    table["cluster"] = table["layer"] // 2
    planted = lines(table)
    assert planted["layer"]["p_value"] == 0.01
    assert planted["layer"]["adjusted_mutual_information"] > 0.6
    assert planted["head"]["p_value"] > 0.05
    table["cluster"] = generator.integers(0, 2, len(table))
    shuffled = lines(table)
    for name in ("layer", "head", "layer and head", "length", "context"):
        assert shuffled[name]["p_value"] > 0.02, name
        assert shuffled[name]["adjusted_mutual_information"] < 0.05


def test_a_cluster_of_whole_windows_has_nothing_to_do_with_the_head():
    """The unit is the example: a cluster that follows the text is found with the context, never with the layer."""
    table = table_of()
    table["cluster"] = (table["context"] % 2).astype(int)
    found = lines(table)
    assert found["layer"]["p_value"] == 1
    assert found["context"]["p_value"] == 0.01
    assert found["context"]["adjusted_mutual_information"] > 0.3


def test_length_is_told_from_chance():
    table = table_of(windows=40, contexts=40)
    table["cluster"] = (table["length"] > 55).astype(int)
    found = by_example(table, "length", permutations=99, seed=0)
    assert found["p_value"] == 0.01
    table["cluster"] = (table["window"] % 2).astype(int)
    assert by_example(table, "length", permutations=99, seed=0)["p_value"] > 0.02
    table["length"] = 30
    assert by_example(table, "length", permutations=99, seed=0) is None


def test_controls_hold_length_and_context():
    table, generator = table_of(), np.random.default_rng(0)
    values = 20.0 * np.eye(LAYERS * HEADS)[cells_of(table)] + generator.normal(size=(len(table), LAYERS * HEADS))
    table["kmeans"] = cells_of(table)
    found = controls(table, values)
    assert [round(line["ami"], 3) for line in found[:2]] == [1, 1]
    assert "length-matched" in found[1]["rows"]
    assert found[1]["count"] < found[0]["count"]
    assert found[3]["rows"].startswith("the other contexts")
    assert found[3]["ami"] > 0.8
    # Heads that differ only within one context do not carry over.
    noise = generator.normal(size=(len(table), 3))
    table["kmeans"] = generator.integers(0, LAYERS * HEADS, len(table))
    assert abs(controls(table, noise)[3]["ami"]) < 0.1


def test_length_matched_clusters_are_fitted_anew():
    """The labels of the whole were used once more: with clusters that follow the length, none of the heads was seen."""
    table, generator = table_of(), np.random.default_rng(0)
    cells = LAYERS * HEADS
    table["length"] = np.where(table["window"] % 4 == 0, 30, 30 + table["window"])
    values = np.eye(cells)[cells_of(table)] + 0.05 * generator.normal(size=(len(table), cells))
    table["kmeans"] = table["window"] % cells  # clusters of the whole that say nothing of the head
    found = controls(table, values)
    assert found[0]["ami"] < 0.1
    assert found[1]["ami"] > 0.9


def test_controls_say_whose_clusters_they_are():
    table = table_of().assign(kmeans=lambda table: table["layer"], hdbscan=lambda table: table["head"])
    values = np.random.default_rng(0).normal(size=(len(table), 3))
    assert shown_method(table.assign(cluster=table["kmeans"])) == "kmeans"
    plain = controls(table.assign(cluster=table["kmeans"]), values)
    assert plain[0]["rows"] == "all"
    assert plain[0]["clusters"] == f"kmeans, k = {LAYERS}"
    other = controls(table.assign(cluster=table["hdbscan"]), values)
    assert all("k-means, not hdbscan" in line["rows"] for line in other)
    assert [line["rows"].partition(":")[0] for line in other] == [line["rows"].partition(":")[0] for line in plain]


def test_adjusted_information_has_one_normaliser():
    """A cluster for each context in every head: 1, as scikit-learn's figure of the same two columns."""
    from sklearn.metrics import adjusted_mutual_info_score

    table = table_of(windows=240, contexts=6)
    table["cluster"] = table["context"] % 3
    found = by_example(table, "context", permutations=99, seed=0)["adjusted_mutual_information"]
    assert found == pytest.approx(adjusted_mutual_info_score(table["cluster"], table["context"]), abs=0.02)
    table["cluster"] = table["context"]
    assert by_example(table, "context", permutations=99, seed=0)["adjusted_mutual_information"] == pytest.approx(1)


def test_examples_in_docstrings():
    result = doctest.testmod(heads_association)
    assert result.attempted > 0
    assert result.failed == 0
