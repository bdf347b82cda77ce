"""`project` and `compare` as they are typed."""

import json

import numpy as np
import pandas as pd
import pytest

from command_line import check_mistake, files_of
from separatrix.points import Points
from separatrix.store.points import write_points


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Points of three classes, and the same without the columns that tell them."""
    root = tmp_path_factory.mktemp("points")
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = (rng.normal(size=(60, 8)) + 6 * np.eye(8)[labels]).astype(np.float32)
    table = pd.DataFrame(
        {"id": np.arange(60), "text": [f"text {n}" for n in range(60)], "kind": labels, "label": labels}
    )
    write_points(root / "all", Points.of(x, table), dtype="float32")
    write_points(root / "some", Points.of(x[:, 3:], table), dtype="float32")
    write_points(root / "two", Points.of({"first": x, "second": x[:, 3:]}, table), dtype="float32")
    return root


def test_project_prints_one_object_with_the_figures_of_the_contract(cli, folders, tmp_path):
    out = tmp_path / "map"
    found = cli("project", folders / "all", "--method", "pca", "--out", out, "--k", 5, "--json").json
    assert found["out"] == str(out)
    for key in ("trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "seconds"):
        assert isinstance(found[key], float), key
    assert (found["guided"], found["rows_fitted"], found["k"]) == (False, 60, 5)
    written = json.loads((out / "result.json").read_text())
    assert {key: written[key] for key in found if key != "out"} == {key: found[key] for key in found if key != "out"}
    assert len(pd.read_parquet(out / "map.parquet")) == 60


def test_options_reach_the_map(cli, folders, tmp_path):
    words = (
        "--method",
        "lda",
        "--dimensions",
        3,
        "--prepare",
        "whiten",
        "--seed",
        4,
        "--label",
        "kind",
        "--held-out",
        0.5,
    )
    found = cli("project", folders / "all", *words, "--out", tmp_path / "map", "--page", "--json").json
    assert (found["dimensions"], found["prepare"], found["seed"], found["guided"]) == (3, "whiten", 4, True)
    assert found["rows_fitted"] == 30
    assert (tmp_path / "map" / "map.html").is_file()


def test_project_for_people(cli, folders, tmp_path):
    ran = cli("project", folders / "two", "--block", "first", "--out", tmp_path / "map")
    assert ran.code == 0, ran.err
    assert "trustworthiness  0." in ran.out
    assert "60 of 60" in ran.out
    assert ran.err == "pca: 60 rows\n"


def test_compare_prints_tables_or_one_object(cli, folders, tmp_path):
    out = tmp_path / "out"
    cli("project", folders / "all", "--method", "lda", "--out", tmp_path / "map", "--quiet")
    sources = (folders / "all", folders / "some", tmp_path / "map")
    found = cli("compare", *sources, "--out", out, "--json").json
    assert [line["source"] for line in found["table"]] == [source.name for source in sources]
    assert [line["title"] for line in found["maps"]] == ["all", "some", "map (lda)"]
    before = [line["knn_before"] for line in found["maps"]]
    assert before[0] > 0.9 > 0.6 > before[1]
    assert (out / "maps.png").is_file()
    ran = cli("compare", *sources, "--out", out, "--overwrite")
    assert ran.code == 0, ran.err
    assert "k-NN before" in ran.out
    assert "\nsome " in ran.out


def test_mistakes_are_one_sentence_and_nothing_is_written(cli, folders, tmp_path):
    points, out = folders / "all", tmp_path / "map"
    check_mistake(cli("project", points, "--method", "umpa", "--out", out), "unknown --method", "did you mean 'umap'?")
    check_mistake(
        cli("project", points, "--guided", "--out", out, "--quiet"), "--guided has no effect with --method pca"
    )
    check_mistake(cli("project", points, "--dimensions", 4, "--out", out), "--dimensions is out of range: got 4")
    check_mistake(cli("project", points, "--label", "sort", "--out", out, "--quiet"), "points have no column 'sort'")
    check_mistake(cli("project", folders / "two", "--out", out, "--quiet"), "these points hold several blocks")
    check_mistake(cli("project", tmp_path / "none", "--out", out, "--quiet"), "none")
    check_mistake(cli("compare", points, "--out", out), "there is nothing to compare")
    check_mistake(cli("compare", points, points, "--method", "pac", "--out", out), "did you mean 'pca'?")
    assert list(tmp_path.iterdir()) == []
    cli("project", points, "--out", out, "--quiet")
    before = files_of(out)
    check_mistake(cli("project", points, "--out", out, "--quiet"), "exists; type --overwrite")
    check_mistake(cli("compare", points, out, "--out", out), "exists; type --overwrite")
    assert files_of(out) == before


def test_pictures_come_as_svg_too(cli, tmp_path):
    points = Points.of(np.random.default_rng(0).normal(size=(30, 4)), {"label": ["a", "b", "c"] * 10})
    points.save(tmp_path / "points")
    ran = cli("project", tmp_path / "points", "--k", 5, "--figures", "svg", "--out", tmp_path / "map", "--quiet")
    assert ran.code == 0, ran.err
    assert {"map.png", "map.svg", "variance.svg"} <= {path.name for path in (tmp_path / "map").iterdir()}
    assert cli("project", tmp_path / "points", "--k", 5, "--out", tmp_path / "map", "--overwrite", "--quiet").code == 0
    assert not (tmp_path / "map" / "map.svg").exists()
    assert "did you mean 'svg'" in cli("project", tmp_path / "points", "--figures", "sgv", "--out", "x").err
    ran = cli("report", tmp_path / "map", "--figures", "svg", "--out", tmp_path / "page.html")
    assert (ran.code, "--figures has no effect" in ran.err) == (2, True)
    ran = cli("rank", tmp_path / "points", "--figures", "svg")
    assert (ran.code, "--figures has no effect without --out" in ran.err) == (2, True)
