"""Each verb takes an object or the path of its folder, and does the same with both."""

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.points import Points
from separatrix.texts import Texts
from separatrix.training.run import run_training


@pytest.fixture(scope="module")
def points():
    x = np.repeat([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]], 30, axis=0) + np.random.default_rng(0).normal(size=(60, 3))
    texts = [f"text {row}" for row in range(60)]
    return Points.of(x, {"label": ["a"] * 30 + ["b"] * 30, "text": texts})


@pytest.fixture(scope="module")
def folders(points, tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    points.save(root / "points")
    points.join(points, prefixes=("a", "b")).save(root / "both")
    sx.cluster(points, "kmeans", k=2, permutations=19, out=root / "clusters")
    sx.project(points, "pca", k=5, out=root / "map")
    return root


VERBS = {
    "score": lambda one: sx.score(one, permutations=19, resamples=19),
    "project": lambda one: sx.project(one, "pca", k=5),
    "cluster": lambda one: sx.cluster(one, "kmeans", k=2, permutations=19),
    "compress": lambda one: sx.compress(one, k=3, queries=20, label="label"),
    "suspects": lambda one: sx.suspects(one, near=1.0),
}


def without_seconds(result):
    return {name: value for name, value in result.figures().items() if name not in ("seconds", "points")}


@pytest.mark.parametrize("name", VERBS)
def test_points_and_their_folder_give_the_same(name, points, folders):
    expected = without_seconds(VERBS[name](points))
    assert without_seconds(VERBS[name](folders / "points")) == expected
    assert without_seconds(VERBS[name](str(folders / "points"))) == expected
    what = "there is no file" if name == "suspects" else "nowhere is no folder: expected points that extract wrote"
    with pytest.raises((StoreError, DataError), match=what):
        VERBS[name](folders / "nowhere")


def test_a_blend_and_an_export_read_folders(points, folders, tmp_path):
    assert len(sx.blend(folders / "both", k=3).blocks) == 1
    assert sx.export_vectors(folders / "points", out=tmp_path / "x.npy").rows == len(points)
    assert np.array_equal(np.load(tmp_path / "x.npy"), points.values)


def test_clusters_and_their_folder_give_the_same(points, folders):
    clusters = sx.load(folders / "clusters")
    rows = sx.cluster(points, "kmeans", within=clusters, of=0, k=2, permutations=19)
    assert without_seconds(
        sx.cluster(points, "kmeans", within=folders / "clusters", of=0, k=2, permutations=19)
    ) == without_seconds(rows)
    scores = [
        sx.score(points, clusters=one, permutations=19, resamples=19).clusters
        for one in (clusters, folders / "clusters", folders / "clusters" / "clusters.parquet", clusters.labels)
    ]
    assert scores[1:] == scores[:1] * 3
    with pytest.raises(StoreError, match=r"holds no clusters: expected clusters\.parquet"):
        sx.score(points, clusters=folders / "nowhere")
    tests = [sx.associate(one, "label", permutations=19).figures() for one in (clusters, folders / "clusters")]
    assert tests[0] == tests[1]


def test_texts_are_ranked_and_judged_as_objects_or_as_files(planted, tiny, tmp_path):
    texts, labels = planted
    pd.DataFrame({"question": texts, "kind": labels}).to_csv(tmp_path / "q.csv", index=False)
    own, model = {"text": "question", "label": "kind"}, str(tiny("bert"))
    splits = sx.load_splits(tmp_path / "q.csv", **own, test=0.3)
    some = {"model": model, "pool": "mean", "resamples": 5}
    expected = sx.rank(splits, **some)
    again = sx.rank(tmp_path / "q.csv", **own, test=0.3, **some)
    assert [row["knn_loo"] for row in again.options] == [row["knn_loo"] for row in expected.options]
    assert again.rows == expected.rows
    with pytest.raises(OptionError, match="unknown option of splits that are read already: got 'label'"):
        sx.rank(splits, **own, **some)
    table = Texts.of(texts, labels)
    judged = [sx.suspects(one, model=model, **names) for one, names in ((table, {}), (str(tmp_path / "q.csv"), own))]
    assert len(judged[0].rows) == len(texts)
    assert judged[0].rows["score"].tolist() == pytest.approx(judged[1].rows["score"].tolist())


def test_points_and_maps_in_memory_are_compared_and_shown(points, folders, tmp_path):
    flat = sx.project(points, "pca", k=5)
    shown = sx.compare([points, folders / "points", flat, sx.load(folders / "map")], method="pca", out=tmp_path / "c")
    assert [line["source"] for line in shown.sources] == ["vectors (1)", "points", "pca (3)", "map"]
    assert any("hold the same numbers" in line for line in shown.warnings)
    with pytest.raises(OptionError, match="this cannot be compared: got clusters, expected runs, points or maps"):
        sx.compare([points, sx.load(folders / "clusters")])
    page = sx.report([points, flat, folders / "clusters", sx.load(folders / "map")], out=tmp_path / "page.html")
    text = page.path.read_text()
    assert all(f">{name}<" in text for name in ("points", "map", "clusters"))
    assert str(page).splitlines()[0] == f"out    {page.path}"
    with pytest.raises(OptionError, match="this cannot be shown: got 5, expected a folder, points or a result"):
        sx.report([points, 5], out=tmp_path / "page2.html")


def test_a_training_in_memory_is_judged_and_compared_as_its_folder(make_order, tmp_path):
    run = run_training(make_order(method="probe"))
    run.save(tmp_path / "probe")
    judged = [sx.suspects(one) for one in (run, tmp_path / "probe")]
    assert judged[0].rows["score"].tolist() == pytest.approx(judged[1].rows["score"].tolist())
    assert judged[0].judged == judged[1].judged == "validation rows of the run"
    both = sx.compare([run, tmp_path / "probe"])
    assert [line["source"] for line in both.sources] == ["probe (1)", "probe"]
    one, other = ({name: line[name] for name in line if name != "source"} for line in both.sources)
    assert one == other
    assert both.pairs[0]["difference"] == 0
    with pytest.raises(StoreError, match="a result of clusters holds nothing to judge: got clusters, expected points"):
        sx.suspects(sx.cluster(Points.of(np.eye(4), {"label": list("aabb")}), k=2, permutations=19))
