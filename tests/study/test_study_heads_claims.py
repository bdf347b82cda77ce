"""Association and claims: a planted one is found, a shuffled one is not; identities go with the rows."""

import doctest

import numpy as np
import pandas as pd
import pytest

from separatrix.study.heads import association as heads_association
from separatrix.study.heads.association import association, by_example, cells_of, controls
from separatrix.study.heads.claims import seed_claims

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


@pytest.fixture
def seeds_world():
    """As seed 002 told it: early layers one cluster, late ones noise, a satellite of one head in one context."""
    table, generator = table_of(windows=60, contexts=10), np.random.default_rng(0)
    late = (table["layer"] >= 2).to_numpy()
    table["dbscan"] = np.where(late & (generator.random(len(table)) < 0.8), -1, 0)
    satellite = ((table["layer"] == 1) & (table["head"] == 2)).to_numpy() & (table["context"] < 2).to_numpy()
    table.loc[satellite, "dbscan"] = table["context"][satellite] + 1
    table["kmeans"] = table["layer"]
    table["child"] = np.where(table["dbscan"] == 0, generator.integers(0, 3, len(table)), -2)
    values = generator.normal(size=(len(table), 5)) * (1 + table["layer"].to_numpy())[:, None]
    return table, values


def verdicts(table, values):
    return {line["claim"]: line for line in seed_claims(table, values, permutations=99)}


def test_the_seeds_world_is_recognised(seeds_world):
    found = verdicts(*seeds_world)
    assert len(found) == 7
    for claim in (
        "early layers form one dominant cluster",
        "late layers are noise",
        "small clusters hold a single head",
        "rows of a small cluster are spaced by shared context",
        "k-means clusters lie in bands of layers",
        "clusters within the dominant cluster hold evenly mixed heads",
        "variance grows with depth",
    ):
        assert found[claim]["verdict"] == "supported", found[claim]


def test_the_opposite_world_is_recognised(seeds_world):
    table, values = seeds_world
    table = table.assign(layer=LAYERS - 1 - table["layer"])
    table["child"] = np.where(table["dbscan"] == 0, table["head"], -2)
    table["kmeans"] = np.random.default_rng(0).integers(0, 3, len(table))
    found = verdicts(table, values)
    assert found["late layers are noise"]["verdict"] == "reversed"
    assert found["early layers form one dominant cluster"]["verdict"] == "reversed"
    assert found["variance grows with depth"]["verdict"] == "reversed"
    assert found["clusters within the dominant cluster hold evenly mixed heads"]["verdict"] == "not supported"
    assert found["k-means clusters lie in bands of layers"]["verdict"] == "not supported"


def test_nothing_to_judge_is_said(seeds_world):
    table, values = seeds_world
    found = verdicts(table.assign(dbscan=-1, child=-2), values)
    assert found["early layers form one dominant cluster"]["verdict"] == "cannot be judged"
    assert found["small clusters hold a single head"]["verdict"] == "cannot be judged"


def test_examples_in_docstrings():
    result = doctest.testmod(heads_association)
    assert result.attempted > 0
    assert result.failed == 0
