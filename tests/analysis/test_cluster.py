import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.analysis.associate import associate
from separatrix.analysis.cluster import Clusters, cluster
from separatrix.errors import DataError, OptionError, StoreError, UnverifiedWarning
from separatrix.points import Points
from separatrix.store.table import read_table, write_table

PNG = b"\x89PNG"


def heads(examples=12, layers=4, heads=3, seed=0):
    """A row per example, layer and head; the layer decides where it lies, the head where within that."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(e, layer, head) for e in range(examples) for layer in range(layers) for head in range(heads)],
        columns=["id", "layer", "head"],
    )
    place = np.column_stack([40 * (table["layer"] >= layers // 2), 6 * table["head"]])
    return Points.of((place + rng.normal(size=(len(table), 2)) / 2).astype(np.float32), table)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_identity_survives_shuffle_subset_cluster_and_re_cluster(seed):
    """Seed 002 worked layers and heads out of row numbers; after a subset they were wrong, and so was its claim."""
    points = heads()
    rng = np.random.default_rng(seed)
    truth = {
        tuple(key): row
        for key, row in zip(points.table[["id", "layer", "head"]].to_numpy().tolist(), points.values, strict=True)
    }
    mixed = points.take(rng.permutation(len(points))[: rng.integers(100, 145)])
    parents = cluster(mixed, "kmeans", k=2, starts=2, seed=seed)
    again = mixed.take(rng.permutation(len(mixed)))  # the same rows in another order
    child = cluster(again, "kmeans", k=3, starts=2, seed=seed, within=parents, of=1)
    grand = cluster(again, "kmeans", k=2, starts=2, seed=seed, within=child, of=0)
    assert (child.parent, grand.parent) == ("1", "1/0")
    assert len(child.table) == parents.sizes[1]
    assert len(grand.table) == child.sizes[0]
    inside = parents.table[parents.table["cluster"] == 1]
    assert set(map(tuple, child.table[["id", "layer", "head"]].to_numpy())) == set(
        map(tuple, inside[["id", "layer", "head"]].to_numpy())
    )
    # The child's clusters are its heads: looked up by name, never by place.
    for number in range(3):
        assert child.table.loc[child.table["cluster"] == number, "head"].nunique() == 1
    centres = child.clustering.centroids
    for row, number in zip(child.table.itertuples(), child.labels, strict=True):
        assert np.linalg.norm(truth[row.id, row.layer, row.head] - centres[number]) < 4


def test_an_outcome_holds_all_columns_and_its_pictures(tmp_path):
    points = heads()
    made = cluster(points, "kmeans", choose=True, k_grid=(2, 3, 6), out=tmp_path / "c", label="head")
    assert made.clusters in (2, 6)
    assert (made.rows_used, sum(made.sizes)) == (144, 144)
    folder = tmp_path / "c"
    assert {path.name for path in folder.iterdir()} == {
        "clusters.parquet", "result.json", "choice.parquet", "choice.png", "sizes.png", "manifest.json",
    }  # fmt: skip
    assert (folder / "choice.png").read_bytes().startswith(PNG)
    read = Clusters.open(folder)
    pd.testing.assert_frame_equal(read.table, made.table, check_dtype=False)
    assert read.figures() == made.figures()
    assert read_table(folder / "choice.parquet")["k"].tolist() == [2, 3, 6]
    given_ = made.assignment
    assert given_["column"] == "head"
    assert given_["majority_baseline"] == pytest.approx(1 / 3)
    assert json.loads(json.dumps(made.to_dict())) == made.to_dict()


def test_density_outcomes_keep_grid_curve_and_tree(tmp_path):
    points = heads(24)
    dense = cluster(points, "dbscan", choose=True, min_samples=6, out=tmp_path / "d")
    assert (dense.clusters, dense.eps > 0) == (6, True)
    assert dense.noise + sum(dense.sizes) == 288
    tree = cluster(points, "hdbscan", min_cluster_size=8, min_samples=4, out=tmp_path / "h")
    assert tree.clusters == 6
    assert (tmp_path / "d" / "grid.png").is_file()
    assert len(read_table(tmp_path / "d" / "curve.parquet")) == 288
    assert read_table(tmp_path / "h" / "tree.parquet")["cluster"].max() == 5
    assert (tmp_path / "h" / "tree.png").read_bytes().startswith(PNG)


def test_nothing_is_overwritten_and_a_mistake_leaves_nothing(tmp_path):
    points = heads(4)
    out = tmp_path / "c"
    with pytest.raises(OptionError, match="more clusters than rows"):
        cluster(points, "kmeans", k=999, out=out)
    assert not list(tmp_path.iterdir())
    cluster(points, "kmeans", k=2, out=out)
    before = (out / "result.json").read_bytes()
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        cluster(points, "kmeans", k=3, out=out)
    with pytest.raises(OptionError, match="more clusters than rows"):
        cluster(points, "kmeans", k=999, out=out, overwrite=True)
    assert (out / "result.json").read_bytes() == before
    assert cluster(points, "kmeans", k=3, out=out, overwrite=True).clusters == 3
    assert Clusters.open(out).clusters == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(StoreError, match="not replaced: got nothing that separatrix wrote, expected clusters"):
        cluster(points, "kmeans", k=2, out=tmp_path / "mine", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "mine"]


def test_altered_clusters_and_other_points_are_refused(tmp_path):
    points = heads()
    made = cluster(points, "kmeans", k=2, out=tmp_path / "c")
    other = heads()
    other.table["layer"] = np.random.default_rng(0).permutation(other.table["layer"])
    with pytest.raises(DataError, match=r"is none of these points|has the name of an earlier row"):
        cluster(other, "kmeans", k=2, within=made, of=0)
    with pytest.raises(DataError, match="is none of these points"):
        cluster(points.take(np.arange(100)), "kmeans", k=2, within=made, of=0)
    twice = points.take(np.r_[np.arange(144), 5])
    with pytest.raises(DataError, match="row 144 has the name of an earlier row"):
        cluster(twice, "kmeans", k=2, within=made, of=0)
    labelled = Points.of(points.values, points.table.assign(label="a"))
    old = cluster(Points.of(points.values, points.table.assign(label="b")), "kmeans", k=2)
    with pytest.raises(
        DataError, match="row 0 of the clusters differs from the points in 'label': got 'b', expected 'a'"
    ):
        cluster(labelled, "kmeans", k=2, within=old, of=0)
    with pytest.raises(OptionError, match=r"no such cluster to look within: got 2, expected one of \[0, 1\]"):
        cluster(points, "kmeans", k=2, within=made, of=2)
    table = read_table(tmp_path / "c" / "clusters.parquet")
    write_table(tmp_path / "c" / "clusters.parquet", table.assign(id=table["id"][::-1].to_numpy()))
    with pytest.raises(StoreError, match=r"clusters\.parquet (is longer|is truncated|was altered)"):
        Clusters.open(tmp_path / "c")
    (tmp_path / "c" / "manifest.json").unlink()  # as earlier versions wrote
    with (
        pytest.warns(UnverifiedWarning, match=r"has no manifest\.json \(early versions wrote none\): its files cannot"),
        pytest.raises(StoreError, match="was changed since it was written"),
    ):
        Clusters.open(tmp_path / "c")
    with pytest.raises(StoreError, match="holds no finished clusters"):
        Clusters.open(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "kmeans"}, "--method kmeans needs --k"),
        ({"method": "dbscan"}, "--method dbscan needs --eps"),
        ({"method": "dbscan", "k": 3, "eps": 1.0}, "--k has no effect with --method dbscan"),
        ({"method": "kmeans", "k": 3, "min_samples": 4}, "--min-samples has no effect with --method kmeans"),
        ({"method": "kmeans", "k": 3, "choose": True}, "--choose and a fixed --k or --eps contradict"),
        ({"method": "kmean", "k": 3}, "did you mean 'kmeans'"),
        ({"method": "kmeans", "kk": 3}, "unknown option: got 'kk'.*did you mean 'k'"),
        ({"method": "kmeans", "choose": True, "k_grid": (1, 2)}, "--k-grid is out of range"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        cluster(heads(4), **options)


def test_warnings_speak_up():
    rng = np.random.default_rng(0)
    one = Points.of(np.column_stack([rng.normal(size=(200, 2)), np.ones(200)]).astype(np.float32))
    said = " ".join(cluster(one, "dbscan", eps=2.0, min_samples=3).warnings)
    assert "1 of the columns are constant" in said
    assert "one cluster holds every row that is no noise" in said
    assert cluster(one, "dbscan", eps=1e-6, min_samples=3).warnings[-1].startswith("no cluster was found")


# -- association


def test_layers_are_found_and_heads_within_examples_are_not(tmp_path):
    points = heads()
    made = cluster(points, "kmeans", k=2, out=tmp_path / "c")
    found = associate(tmp_path / "c", ["layer", "head"], shuffle_within="id", out=tmp_path / "a", permutations=199)
    assert found.p_value["layer"] == 0.005
    assert found.columns["layer"]["p_holm"] == 0.01
    assert found.p_value["head"] > 0.05
    assert found.columns["layer"]["mutual_information"] == pytest.approx(np.log(2))
    assert (tmp_path / "a" / "association_1.png").read_bytes().startswith(PNG)
    cells = read_table(tmp_path / "a" / "cells.parquet")
    layer = cells[cells["column"] == "layer"]
    assert layer["rows"].sum() == 144
    assert layer["share_of_value"].isin([0.0, 1.0]).all()
    assert (layer["share_low"] <= layer["share_of_value"] + 1e-9).all()
    assert made.labels.sum() == 72


def test_columns_are_taken_for_what_they_are():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": range(300), "cluster": rng.integers(-1, 3, 300), "length": rng.normal(size=300)})
    table["group"] = np.where(table["cluster"] == 1, "a", rng.choice(["a", "b"], 300))
    table.loc[:9, "group"] = None
    found = associate(table, ["length", "group"], permutations=99).figures()
    assert found["columns"]["length"]["kind"] == "4 quantile bins of 300 numbers"
    assert found["columns"]["group"]["dropped"] == 10
    assert any("10 rows left out" in line for line in found["warnings"])
    kept = associate(table, "group", noise="drop", permutations=99).figures()
    assert kept["columns"]["group"]["rows"] < 290
    assert kept["p_value"] == 0.01
    with pytest.raises(DataError, match="the column 'text' names rows rather than groups them: got 300 values"):
        associate(table.assign(text=[f"t{i}" for i in range(300)]), "text")
    with pytest.raises(DataError, match="the column 'split' has one value only"):
        associate(table.assign(split="train"), "split")
    with pytest.raises(DataError, match="no column 'lable'"):
        associate(table, "lable")
    with pytest.raises(DataError, match="the table has no column 'cluster'"):
        associate(table.drop(columns="cluster"), "group")
    with pytest.raises(OptionError, match="inside groups of the same values: got --shuffle-within group"):
        associate(table, "group", shuffle_within="group")


@pytest.mark.parametrize("options", [{"k": 3}, {"choose": True, "k_grid": (2, 3)}])
def test_vectors_are_prepared_and_checked_once_and_geometry_is_three_files_away(options, monkeypatch):
    import inspect

    from separatrix.geometry import prepare as door
    from separatrix.geometry.cluster import kmeans

    checks, paths = [], []

    def check(x, what):
        checks.append(what)
        return door_check(x, what)

    def watched(x, *args, **keywords):
        frames = [frame.filename for frame in inspect.stack()]
        below = frames[1 : frames.index(__file__, 1)]
        paths.append({path for path in below if "/geometry/" not in path and "/separatrix/" in path})
        return kmeans(x, *args, **keywords)

    door_check = door.check_distances
    monkeypatch.setattr(door, "check_distances", check)
    monkeypatch.setattr("separatrix.analysis.cluster.kmeans", watched)
    cluster(heads(), "kmeans", prepare="standardise", **options)
    assert checks == ["vectors"]
    assert len(paths[-1]) <= 3  # the verb, its options, the writer of results
