"""Grids of DBSCAN and HDBSCAN with a choice that cannot end in one cluster, and samples that keep whole contexts."""

import doctest

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis.heads import cluster as heads_cluster
from separatrix.analysis.heads import density
from separatrix.analysis.heads.cluster import group_rows
from separatrix.analysis.heads.density import dbscan_grid, hdbscan_grid, radius, sound
from separatrix.analysis.heads.features import sample_rows
from separatrix.analysis.heads.samples import sample_contexts
from separatrix.points import Points
from separatrix.recipe import replace
from separatrix.recipe.heads import HeadClusterRecipe, HeadsRecipe

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
    spaced, made = sample_rows(rows, len(rows) // 8), sample_contexts(rows, len(rows) // 8, 0)
    assert shared(rows, spaced)[0] < 0.5 * share
    assert shared(rows, made)[0] >= share
    assert shared(rows, made)[1] > 5 * shared(rows, spaced)[1]
    whole = np.bincount(rows.column("context"))
    kept = np.bincount(rows.column("context")[made], minlength=len(whole))
    assert ((kept == 0) | (kept == whole)).all()  # a context is there with all its windows, or not at all


def test_the_sample_is_stratified_seeded_and_within_its_size():
    rows = rows_of()
    most = len(rows) // 3
    made = sample_contexts(rows, most, 0)
    assert 0.9 * most < len(made) <= most
    assert (np.diff(made) > 0).all()
    by_shard = np.bincount(rows.column("shard")[made], minlength=5) / MAPS
    assert by_shard.max() - by_shard.min() <= 2 * 13  # one context more or less
    assert (sample_contexts(rows, most, 0) == made).all()
    assert len(np.setxor1d(sample_contexts(rows, most, 1), made))
    assert (sample_contexts(rows, len(rows), 0) == np.arange(len(rows))).all()


def test_a_sample_smaller_than_every_context_begins_one():
    rows = rows_of()
    made = sample_contexts(rows, 1, 0)
    assert len(made) == MAPS
    assert len(np.unique(rows.column("window")[made])) == 1
    without = Points(rows.blocks, rows.table.drop(columns="shard"))
    assert len(sample_contexts(without, len(rows) // 2, 0)) > 0


def test_the_radius_of_one_cluster_is_not_chosen():
    """The knee gives one cluster with everything; the nearest sound cell is taken instead."""
    x = blobs(150, 150, 40)
    eps = 3.0
    assert dbscan_grid(x, eps, recipe(eps=eps)).made.clusters == 1  # what is given is taken
    found = dbscan_grid(x, eps, recipe())
    assert found.made.clusters == 3
    assert found.criterion.startswith("the cell nearest to the knee")
    assert found.size == pytest.approx(0.85 * eps)
    assert found.min_samples == 5
    chosen = [line for line in found.grid if line["chosen"]]
    assert len(chosen) == 1
    assert sound(chosen[0])
    assert not sound(next(line for line in found.grid if line["of_knee"] == 1.0))
    assert found.labels.shape == (len(found.grid), len(x))
    for line, labels in zip(found.grid, found.labels, strict=True):
        assert line["noise"] == (labels == -1).sum()
        assert line["largest"] == np.bincount(labels[labels >= 0]).max()


def test_no_sound_cell_is_said():
    x = blobs(120)
    found = dbscan_grid(x, 50.0, recipe())
    assert found.made.clusters == 1
    assert "no cell of the grid has two clusters or more" in found.criterion


def test_a_cell_out_of_time_is_kept_and_not_chosen(monkeypatch):
    x = blobs(150, 150)
    real = density.dbscan_clusters

    def slow(x, eps, **options):
        if eps == 0.5:
            raise density.OutOfTimeError("too slow")
        return real(x, eps, **options)

    monkeypatch.setattr(density, "dbscan_clusters", slow)
    found = dbscan_grid(x, 0.5, recipe())
    late = [line for line in found.grid if line["clusters"] is None]
    assert [line["min_samples"] for line in late] == [5, 10]
    assert not any(line["chosen"] for line in late)
    assert (found.labels[2] == -2).all()


def test_hdbscan_keeps_a_table_and_chooses_a_sound_cell():
    x = blobs(200, 200, 200, 30)
    found = hdbscan_grid(x, recipe(), 0)
    assert len({line["min_samples"] for line in found.grid}) == 3
    assert len({line["min_cluster_size"] for line in found.grid}) >= 4
    chosen = next(line for line in found.grid if line["chosen"])
    assert found.criterion.startswith("largest stability")
    assert (found.size, found.min_samples) == (chosen["min_cluster_size"], chosen["min_samples"])
    assert chosen["stability"] == max(line["stability"] for line in found.grid if sound(line))
    assert found.made.clusters >= 3
    given = hdbscan_grid(x, recipe(min_cluster_size=50), 0)
    assert (given.size, given.min_samples, given.criterion) == (50, 5, "given")
    assert len(given.grid) == len(found.grid)
    line = np.linspace(0, 1, 40, dtype=np.float32)[:, None] ** 0.5
    assert "no cell" in hdbscan_grid(line, recipe(), 0).criterion


def test_the_step_returns_both_grids():
    rows = rows_of(contexts=20)
    values = blobs(*[len(rows) // 3] * 3)
    rows = rows.where(np.arange(len(rows)) < len(values) // MAPS * MAPS)
    values = np.random.default_rng(0).permutation(values)[: len(rows)]
    made = group_rows(rows, values, recipe(k=3, density_rows=300), 0, lambda *told: None)
    for name in ("dbscan", "hdbscan"):
        grid = made.found[name]["grid"]
        assert all(type(line) is dict for line in grid)
        assert {"clusters", "noise_share", "largest_share", "min_samples", "chosen", "seconds"} <= set(grid[0])
        assert made.found[name]["criterion"]
    given = made.table["dbscan"].to_numpy() > -2
    assert int(given.sum()) == made.found["density_rows"] <= 300
    place = next(place for place, line in enumerate(made.found["dbscan"]["grid"]) if line["chosen"])
    assert (made.grid[place] == made.table["dbscan"][given]).all()


def test_k_at_the_edge_of_the_grid_is_said():
    assert {2, 3, 4, 5, 7} <= set(HeadClusterRecipe().k_grid)
    rows, generator = rows_of(contexts=30), np.random.default_rng(0)
    values = (generator.normal(size=(len(rows), 2)) + 9 * generator.integers(0, 2, (len(rows), 1))).astype(np.float32)
    found = group_rows(rows, values, recipe(), 0, lambda *told: None).found["kmeans"]
    assert found["k"] == 2
    assert any("k = 2 is the smallest of the numbers tried (2 to 40)" in each for each in found["choice"]["warnings"])
    found = group_rows(rows, values, recipe(k_grid=(5, 10)), 0, lambda *told: None).found["kmeans"]
    assert any("fewer might do better" in each or "more might" in each for each in found["choice"]["warnings"])


def test_the_radius_that_is_given_is_not_measured():
    assert radius(blobs(50), recipe(eps=1.5))[0] == 1.5
    assert radius(blobs(50), recipe())[0] > 0


def test_examples_in_docstrings():
    for module in (density, heads_cluster):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0
