"""What a clustering or a map loses of the accuracy that a model itself has on the same rows (`predicted`)."""

import numpy as np
import pytest

from separatrix.analysis.cluster import cluster
from separatrix.analysis.compare import Comparison, compare
from separatrix.analysis.project import Projection, project
from separatrix.analysis.score import score
from separatrix.points import Points

ROWS = 80


def outputs(*, split=False, seed=0, wrong=4):
    """Two classes that only the smaller of two directions tells apart; the model itself errs in a few rows."""
    rng = np.random.default_rng(seed)
    gold = np.arange(ROWS) % 2
    values = rng.normal(scale=0.3, size=(ROWS, 3))
    values[:, 0] += 20 * (np.arange(ROWS) % 10 < 5)  # what k-means finds: 60 % of a heap are of one class
    values[:, 1] += 3 * gold
    decided = gold.copy()
    decided[:wrong] = 1 - decided[:wrong]
    columns = {"label": np.array(["bad", "good"])[gold], "predicted": np.array(["bad", "good"])[decided]}
    columns |= {"split": ["train"] * 40 + ["test"] * 40} if split else {}
    return Points.of(values, columns)


def test_clusters_lose_what_the_model_knows():
    lost = cluster(outputs(), "kmeans", k=2).assignment["lost"]["all"]
    assert (lost["rows"], lost["own"]) == (80, 0.95)
    assert lost["matched"]["difference"] == pytest.approx(0.35)
    low, high = lost["matched"]["interval"]
    assert 0.15 < low < 0.35 < high < 0.55
    assert lost["matched"]["p_value"] < 1e-4
    scaled = cluster(outputs(), "kmeans", k=4).assignment["lost"]["all"]
    assert scaled["majority"]["difference"] < 0.1  # four heaps, each of one class


def test_slow_oracle_by_part():
    points = outputs(split=True)
    clusters = cluster(points, "kmeans", k=3)
    gold, own = points.column("label"), points.column("predicted")
    train = points.column("split") == "train"
    for part, rows in (("train", train), ("test", ~train)):
        classes = clusters.assignment["majority"]["classes"]
        names = clusters.assignment["classes"]
        answers = np.array([names[classes[number]] for number in clusters.labels])
        wanted = np.mean(own[rows] == gold[rows]) - np.mean(answers[rows] == gold[rows])
        assert clusters.assignment["lost"][part]["majority"]["difference"] == pytest.approx(wanted)


def test_it_is_printed_and_scored_the_same():
    points = outputs(split=True)
    clusters = cluster(points, "kmeans", k=2)
    shown = str(clusters)
    assert "accuracy lost" in shown
    assert "test (40 rows)" in shown
    scored = score(points, clusters=clusters, permutations=19, resamples=100)
    assert scored.clusters["lost"] == clusters.assignment["lost"]
    assert "lost by clusters" in str(scored)


def test_a_map_says_what_its_vote_loses(tmp_path):
    flat = project(outputs(), "pca", k=5, out=tmp_path / "map")
    assert flat.own == 0.95
    assert flat.lost["difference"] == pytest.approx(flat.own - flat.knn_after)
    assert "the model itself 0.950" in flat.caption
    again = Projection.open(tmp_path / "map")
    assert (again.own, again.lost["difference"]) == (flat.own, flat.lost["difference"])


def test_without_a_decision_nothing_is_said():
    points = outputs()
    rows = points.rows.to_pandas().rename(columns={"predicted": "other"})
    bare = Points.of(points.values, rows)
    assert "lost" not in cluster(bare, "kmeans", k=2).assignment
    assert project(bare, "pca", k=5).own is None


def test_numbers_and_other_names_are_no_decision():
    points = outputs()
    rows = points.rows.to_pandas().assign(predicted=np.linspace(0, 1, ROWS))
    assert "lost" not in cluster(Points.of(points.values, rows), "kmeans", k=2).assignment


def test_one_comparison_tells_what_maps_and_clusters_lose(tmp_path):
    found = compare([outputs(), outputs(seed=1, wrong=8)], out=tmp_path / "both")
    assert [line["own"] for line in found.clusters] == [0.95, 0.9]
    assert all(line["lost"] > 0.2 for line in found.clusters)
    assert {line["own"] for line in found.maps} == {0.95, 0.9}
    assert "lost by clusters" in str(found)
    assert len(Comparison.open(tmp_path / "both").clusters) == 2


def test_compare_prepares_as_project_does():
    points = outputs()
    whole = compare([points, outputs(seed=1)], prepare="standardise")
    wanted = project(points, "pca", prepare="standardise")
    assert whole.maps[0]["trustworthiness"] == pytest.approx(wanted.trustworthiness)
    assert whole.clusters[0]["lost"] == pytest.approx(
        cluster(points, "kmeans", k=2, prepare="standardise").assignment["lost"]["all"]["matched"]["difference"]
    )
