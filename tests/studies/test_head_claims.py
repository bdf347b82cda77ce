"""The claims of seed 002: a planted one is found, a shuffled one is not; what cannot be judged is said."""

import numpy as np
import pandas as pd
import pytest
from studies.head_atlas.claims import seed_claims
from studies.head_atlas.evidence import HeadCounts, StoredTables, gather

from head_tables import LAYERS, table_of
from separatrix.analysis.heads.controls import head_numbers


def test_claims_say_whose_clusters_they_are():
    table = table_of().assign(kmeans=lambda table: table["layer"], hdbscan=lambda table: table["head"])
    values = np.random.default_rng(0).normal(size=(len(table), 3))
    bands = seed_claims(table.assign(cluster=table["hdbscan"], dbscan=0, child=-2), values, permutations=19)
    bands = {line["claim"]: line for line in bands}["k-means clusters lie in bands of layers"]
    assert "the atlas shows those of hdbscan" in bands["note"]


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


def verdicts(table, values, stored=None):
    return {line["claim"]: line for line in seed_claims(table, values, stored, permutations=99)}


DENSITY = (
    "early layers form one dominant cluster", "late layers are noise", "small clusters hold a single head",
    "rows of a small cluster are spaced by shared context",
    "rows of a small cluster come from examples that follow each other",
)  # fmt: skip
STORED = (
    "the number of clusters has no elbow", "three principal components hold less than 30 % of the variance",
    "at most radii there is one dominant cluster and noise",
)  # fmt: skip


def test_the_seeds_world_is_recognised(seeds_world):
    found = verdicts(*seeds_world)
    assert len(found) == 13
    for claim in (
        *DENSITY,
        "k-means clusters lie in bands of layers",
        "some clusters lie wholly in the first or the last layer",
        "clusters within the dominant cluster hold evenly mixed heads",
        "variance grows with depth",
    ):
        assert found[claim]["verdict"] == "supported", found[claim]
    # Layers are told apart by the heads of the model, everything else by windows and examples.
    assert {name for name, line in found.items() if line["p_heads"] is not None} == {
        *DENSITY[:2], "k-means clusters lie in bands of layers",
        "some clusters lie wholly in the first or the last layer", "variance grows with depth",
    }  # fmt: skip
    assert all(type(line["verdict"]) is str for line in found.values())
    for claim in STORED:
        assert found[claim]["verdict"] == "cannot be judged"


def stored_of(table, bend=2.0):
    """What the earlier stages write: a curve with or without an elbow, variances, a grid of three cells."""
    ks = (2, 3, 4, 5, 10)
    lines = [{"k": k, "distortion": 1 / k**bend, "distortion_null": 1 / k, "inertia": 1 / k, "inertia_null": 1 / k}
             for k in ks]  # fmt: skip
    labels = table["dbscan"].to_numpy()
    cells = (labels, np.zeros_like(labels), np.full_like(labels, -1))
    sizes = [np.bincount(each[each >= 0]) for each in cells]
    grid = [{"clusters": len(size), "noise": int((each < 0).sum()), "largest": int(size.max(initial=0))}
            for each, size in zip(cells, sizes, strict=True)]  # fmt: skip
    return StoredTables(lines, (0.2, 0.05, 0.04, 0.01), grid, dict(enumerate(cells)))


def test_claims_about_curves_go_by_the_stored_tables(seeds_world):
    table, values = seeds_world
    found = verdicts(table, values, stored_of(table, bend=1.0))
    for claim in STORED:
        assert found[claim]["verdict"] == "supported", found[claim]
        assert found[claim]["p_value"] is None
        assert any(word in found[claim]["note"] for word in ("no labels to shuffle", "nothing to shuffle", "p-value"))
    assert found[STORED[1]]["figure"] == pytest.approx(0.29)
    found = verdicts(table, values, stored_of(table, bend=6.0))
    assert found[STORED[0]]["verdict"] == "not supported"
    assert found[STORED[0]]["figure"] > found[STORED[0]]["null"] + 0.1
    wide = StoredTables(variance=(0.5, 0.2, 0.1))
    assert verdicts(table, values, wide)[STORED[1]]["verdict"] == "not supported"


def test_density_claims_say_in_how_many_cells_they_hold(seeds_world):
    table, values = seeds_world
    found = verdicts(table, values, stored_of(table))
    for claim in DENSITY:
        assert "Of the 3 cells of the grid: supported 1" in found[claim]["note"], found[claim]
    assert found[DENSITY[2]]["note"].endswith("supported 1, cannot be judged 2")


def test_a_cluster_of_nearly_everything_is_not_reversed(seeds_world):
    """A share of .498 beside .500 in a cluster with 98 % of all rows was called reversed."""
    table, values = seeds_world
    labels = np.zeros(len(table), int)
    labels[(table["layer"] == 0) & (table["head"] < 2) & (table["window"] % 8 == 0)] = -1
    found = verdicts(table.assign(dbscan=labels), values)[DENSITY[0]]
    assert 0.48 < found["figure"] < 0.5
    assert found["p_value"] == 1
    assert found["verdict"] == "not supported"
    assert verdicts(table.assign(dbscan=labels), values)["late layers are noise"]["verdict"] == "not supported"


def test_too_few_pairs_of_one_context_are_not_judged(seeds_world):
    table, values = seeds_world
    alone = table.assign(context=table["window"] // 2, dbscan=(table["layer"] + table["window"]) % 2)
    found = verdicts(alone, values)[DENSITY[3]]
    assert found["verdict"] == "supported" if found["figure"] else "cannot be judged"
    fewer = alone[alone["window"] < 40]
    found = verdicts(fewer, values[: len(fewer)])[DENSITY[3]]
    assert found["verdict"] == "cannot be judged"
    assert "only 20 pairs of examples share a context; at least 30 are needed" in found["note"]


def test_neighbors_are_told_from_shared_contexts(seeds_world):
    """Examples of a context in one cluster: those that follow each other are not more frequent than their context."""
    table, values = seeds_world
    note = verdicts(table, values)[DENSITY[4]]["note"]
    assert "inside their contexts only, chance gives" in note
    assert float(note.partition("(p ")[2].partition(")")[0]) > 0.05
    # A row of examples of another rule: the first and second of each context, always together.
    pair = (table["window"] % 6 // 2).to_numpy()
    chosen = ((table["layer"] == 1) & (table["head"] == 2)).to_numpy()
    labels = np.where(chosen, 1 + pair, 0)
    note = verdicts(table.assign(dbscan=labels), values)[DENSITY[4]]["note"]
    assert float(note.partition("(p ")[2].partition(")")[0]) <= 0.05


def test_the_mixed_heads_row_says_that_its_test_is_turned_round(seeds_world):
    table, values = seeds_world
    claim = "clusters within the dominant cluster hold evenly mixed heads"
    table["child"] = np.where(table["dbscan"] == 0, table["head"], -2)
    found = verdicts(table, values)[claim]
    assert (found["p_value"], found["verdict"]) == (0.01, "not supported")
    assert "a small p speaks against the claim" in found["note"]


def test_a_few_heads_of_a_cluster(seeds_world):
    table, values = seeds_world
    claim = "a few clusters sit on one to three heads"
    assert verdicts(table.assign(kmeans=head_numbers(table) // 2), values)[claim]["verdict"] == "supported"
    assert verdicts(table.assign(kmeans=table["window"] % 3), values)[claim]["verdict"] == "not supported"


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


MANY_LAYERS, MANY_HEADS, HABIT_WINDOWS = 6, 12, 40


def habits_table(cluster_of_head):
    """Rows of every head in every window; a head is in the same cluster in all of them."""
    cells = MANY_LAYERS * MANY_HEADS
    window = np.repeat(np.arange(HABIT_WINDOWS), cells)
    cell = np.tile(np.arange(cells), HABIT_WINDOWS)
    return pd.DataFrame({
        "example": [f"e{number}" for number in window], "window": window, "place": 0, "context": window // 4,
        "layer": cell // MANY_HEADS, "head": cell % MANY_HEADS, "length": 30,
    }).assign(cluster=cluster_of_head[cell], kmeans=cluster_of_head[cell])  # fmt: skip


def claims_of(clusters, dbscan):
    table = habits_table(clusters).assign(child=-2)
    table["dbscan"] = dbscan[table["layer"] * MANY_HEADS + table["head"]]
    found = seed_claims(table, np.random.default_rng(0).normal(size=(len(table), 3)), permutations=99)
    return {line["claim"]: line for line in found}


def test_claims_about_layers_go_by_the_heads():
    names = (
        "early layers form one dominant cluster", "late layers are noise", "k-means clusters lie in bands of layers",
    )  # fmt: skip
    cells = np.arange(MANY_LAYERS * MANY_HEADS)
    planted = claims_of(cells // MANY_HEADS // 2, np.where(cells >= len(cells) / 2, -1, 0))
    for name in names:
        assert planted[name]["p_heads"] == 0.01
        assert planted[name]["verdict"] == "supported"
    told = []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        noise = np.where(generator.random(len(cells)) < 0.6, -1, 0)
        found = claims_of(generator.integers(0, 4, len(cells)), noise)
        told += [found[name]["verdict"] for name in names]
        assert found[names[2]]["p_value"] == 0.01
    assert told.count("supported") <= 2


def counted(labels, heads, windows, permutations=9):
    return HeadCounts(np.asarray(labels), np.asarray(heads), np.asarray(windows), permutations, 0)


def test_counts_are_those_of_a_loop():
    generator = np.random.default_rng(3)
    windows, heads = np.repeat(np.arange(7), 5), np.tile(np.arange(5), 7)
    labels = generator.integers(-1, 3, 35)
    order = generator.permutation(35)  # rows in any order
    counts = counted(labels[order], heads[order], windows[order], 20)
    expected = np.zeros((4, 5), int)
    for label, head in zip(labels, heads, strict=True):
        expected[label + 1, head] += 1
    assert (counts.observed == expected).all()
    seen = []
    counts.within(lambda shuffled: seen.append(shuffled) or 0.0)
    shuffled = np.array(seen[1:])
    # A shuffle leaves every label as frequent as it was, and every head with one row a window.
    assert (shuffled.sum(axis=2) == expected.sum(axis=1)).all()
    assert (shuffled.sum(axis=1) == 7).all()
    assert len(np.unique(shuffled, axis=0)) > 1


def test_a_label_of_whole_windows_is_never_moved():
    windows, heads = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    assert counted(windows % 2, heads, windows).within(lambda counts: float(counts[1, 0])).p_value == 1


def test_what_does_not_know_its_place_is_the_same_over_heads():
    windows, heads = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    counts = counted(heads, heads, windows)
    assert counts.within(lambda each: float(each.max())).p_value == 0.1
    assert counts.over_heads(lambda each: float(each.max())).p_value == 1


def test_gathered_columns_add_up():
    counts = np.arange(12).reshape(2, 6)
    assert gather(counts, np.array([0, 0, 1, 1, 2, 2])).tolist() == [[1, 5, 9], [13, 17, 21]]
