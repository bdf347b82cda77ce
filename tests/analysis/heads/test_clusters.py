"""Three methods on rows of heads, the figures that they were chosen by, and samples that keep whole contexts."""

import numpy as np
import pandas as pd

from separatrix.analysis.heads.clusters import cluster_figures, cluster_heads, cluster_table, whole_contexts
from separatrix.analysis.heads.features import sample_rows
from separatrix.points import Points
from separatrix.recipe import replace
from separatrix.recipe.heads import HeadsRecipe

MAPS = 6  # of a window


def blobs(*sizes, apart=3.0, seed=0):
    generator = np.random.default_rng(seed)
    middle = np.repeat(np.arange(len(sizes)), sizes)[:, None] * np.array([apart, 0])
    return (middle + generator.normal(scale=0.05, size=middle.shape)).astype(np.float32)


def recipe(**changes):
    return replace(HeadsRecipe(), **{"min_samples": 5, **changes}).clusters


def rows_of(contexts=60, shards=5, maps=MAPS, seed=0):
    """Runs of windows of one context, as SQuAD has them, in shards one after the other."""
    size = np.random.default_rng(seed).integers(2, 14, contexts)
    context = np.repeat(np.arange(contexts), size)
    table = pd.DataFrame({
        "window": np.arange(len(context)), "context": context, "shard": context * shards // contexts,
        "example": [f"e{number}" for number in range(len(context))], "length": 20, "place": 0,
    }).loc[np.repeat(np.arange(len(context)), maps)]  # fmt: skip
    cell = np.tile(np.arange(maps), len(context))
    return Points.of(np.zeros((len(table), 1)), table.assign(layer=cell // 3, head=cell % 3).reset_index(drop=True))


def shared(rows, chosen):
    """Share of the pairs of windows that have the same context, and how many such pairs there are."""
    sizes = np.bincount(rows.column("context")[chosen][::MAPS])
    pairs, windows = (sizes * (sizes - 1) // 2).sum(), sizes.sum()
    return pairs / (windows * (windows - 1) / 2), pairs


def test_the_sample_keeps_the_pairs_of_one_context():
    """Evenly spaced windows kept next to none of them, and the claim about shared context was judged on nothing."""
    rows = rows_of()
    share, _ = shared(rows, np.arange(len(rows)))
    spaced, made = sample_rows(rows, len(rows) // 8), whole_contexts(rows, len(rows) // 8, 0)
    assert shared(rows, spaced)[0] < 0.5 * share
    assert shared(rows, made)[0] >= share
    assert shared(rows, made)[1] > 5 * shared(rows, spaced)[1]
    whole = np.bincount(rows.column("context"))
    kept = np.bincount(rows.column("context")[made], minlength=len(whole))
    assert ((kept == 0) | (kept == whole)).all()  # a context is there with all its windows, or not at all


def test_the_sample_is_stratified_seeded_and_within_its_size():
    rows = rows_of()
    most = len(rows) // 3
    made = whole_contexts(rows, most, 0)
    assert 0.9 * most < len(made) <= most
    assert (np.diff(made) > 0).all()
    by_shard = np.bincount(rows.column("shard")[made], minlength=5) / MAPS
    assert by_shard.max() - by_shard.min() <= 2 * 13  # one context more or less
    assert (whole_contexts(rows, most, 0) == made).all()
    assert len(np.setxor1d(whole_contexts(rows, most, 1), made))
    assert (whole_contexts(rows, len(rows), 0) == np.arange(len(rows))).all()


def test_a_sample_smaller_than_every_context_begins_one():
    rows = rows_of()
    made = whole_contexts(rows, 1, 0)
    assert len(made) == MAPS
    assert len(np.unique(rows.column("window")[made])) == 1
    without = Points(rows.blocks, rows.table.drop(columns="shard"))
    assert len(whole_contexts(without, len(rows) // 2, 0)) > 0


def clusters_of(values, tmp_path, rows, **changes):
    points = Points.of(values, rows.table)
    folders = {name: tmp_path / name for name in ("kmeans", "dbscan", "hdbscan", "again")}
    return points, cluster_heads(points, folders, recipe(**changes), 0, lambda *told: None)


def test_methods_keep_their_grids_and_their_rows(tmp_path):
    rows = rows_of(contexts=20)
    values = blobs(*[len(rows) // 3 + 1] * 3)[: len(rows)]
    values = np.random.default_rng(0).permutation(values)
    points, clusters = clusters_of(values, tmp_path, rows, k=3, density_rows=300)
    for name in ("dbscan", "hdbscan"):
        figures = cluster_figures(clusters[name])
        assert {"clusters", "noise_share", "min_samples" if name == "dbscan" else "stability", "chosen"} <= set(
            figures["grid"][0]
        )
        assert sum(line["chosen"] for line in figures["grid"]) == 1
        assert figures["criterion"]
        assert figures["clusters"] == 3
    table = cluster_table(points, clusters, "dbscan").to_pandas()
    given = table["dbscan"].to_numpy() > -2
    assert int(given.sum()) == clusters["dbscan"].rows <= 300
    assert (table["cluster"] == table["dbscan"]).all()
    assert (table["kmeans"] >= 0).all()
    assert (table.loc[table["child"] > -2, "dbscan"] == int(clusters["again"].parent)).all()
    # What is there is read.
    _, again = clusters_of(values, tmp_path, rows, k=3, density_rows=300)
    assert all(again[name].labels.tolist() == clusters[name].labels.tolist() for name in clusters)


def test_sizes_and_radii_that_are_given_are_taken(tmp_path):
    rows = rows_of(contexts=10)
    values = blobs(len(rows) // 2, len(rows) - len(rows) // 2)
    _, clusters = clusters_of(values, tmp_path, rows, k=2, eps=0.5, min_cluster_size=10_000)
    assert cluster_figures(clusters["dbscan"])["criterion"] == "given"
    assert clusters["dbscan"].eps == 0.5
    assert clusters["again"].eps == 0.5 / 1.5
    assert cluster_figures(clusters["hdbscan"])["min_cluster_size"] == len(rows) // 10


def test_rows_without_structure_and_equal_rows_have_clusters_all_the_same(tmp_path):
    rows = rows_of(contexts=10)
    values = np.zeros((len(rows), 2), np.float32)
    values[:3] = 1
    _, clusters = clusters_of(values, tmp_path, rows, k=2)
    assert clusters["dbscan"].sizes == [len(rows) - 3]
    assert "again" not in clusters


def test_k_at_the_edge_of_the_grid_is_said(tmp_path):
    rows, generator = rows_of(contexts=10), np.random.default_rng(0)
    values = (generator.normal(size=(len(rows), 2)) + 9 * generator.integers(0, 2, (len(rows), 1))).astype(np.float32)
    _, clusters = clusters_of(values, tmp_path, rows, k_grid=(2, 3, 4))
    assert cluster_figures(clusters["kmeans"])["k"] == 2
    assert any("k = 2 is the smallest of the numbers tried (2 to 4)" in line for line in clusters["kmeans"].warnings)
