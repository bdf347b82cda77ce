"""The commands `score` and `rank`."""

import json

import numpy as np
import pandas as pd
import pytest

from command_line import check_mistake, files_of
from separatrix.points import Points
from separatrix.store.points import write_points


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 4)) + 3 * np.eye(2, 4)[y]
    table = {"id": np.arange(60), "label": [f"c{name}" for name in y], "split": ["train"] * 40 + ["test"] * 20}
    write_points(tmp_path / "points", Points.of({"mean": x.astype(np.float32)}, table))
    pd.DataFrame({"id": np.arange(60), "cluster": y}).to_parquet(tmp_path / "clusters.parquet")
    return tmp_path / "points"


def test_score_prints_figures_with_their_intervals(cli, stored, tmp_path):
    found = cli("score", stored, "--permutations", "99", "--clusters", tmp_path / "clusters.parquet", "--json").json
    assert found["metrics"]["knn_test"]["interval"][0] > found["metrics"]["knn_test"]["baseline"]
    assert found["nulls"]["knn_loo"]["p_value"] == pytest.approx(0.01)
    assert found["clusters"]["majority"]["accuracy"] == 1.0
    ran = cli("score", stored, "--permutations", "99", "--out", tmp_path / "out", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert "knn_loo" in ran.out
    assert {"manifest.json", "result.json", "table.parquet", "grid.parquet"} == set(files_of(tmp_path / "out"))
    before = files_of(tmp_path / "out")
    check_mistake(cli("score", stored, "--out", tmp_path / "out"), "--overwrite")
    assert files_of(tmp_path / "out") == before
    assert cli("score", stored, "--permutations", "19", "--out", tmp_path / "out", "--overwrite", "--quiet").code == 0


def test_mistakes_of_score_are_one_sentence(cli, stored, tmp_path):
    check_mistake(cli("score", tmp_path / "nothing"), "nothing")
    check_mistake(cli("score", stored, "--block", "meen", "--quiet"), "mean")
    check_mistake(cli("score", stored, "--label", "kind", "--quiet"), "no column 'kind'")
    check_mistake(cli("score", stored, "--k", "50", "--quiet"), "fewer rows than neighbors")
    check_mistake(cli("score", stored, "--clusters", tmp_path / "none.parquet", "--quiet"), "no clusters")


def test_rank_prints_a_table_and_the_best(cli, table, tiny, tmp_path):
    words = ["rank", table, "--model", tiny("bert"), tiny("gpt2"), "--pool", "cls", "mean", "--layers", "0", "-1"]
    found = cli(*words, "--test", "0.3", "--resamples", "50", "--json", "--out", tmp_path / "out").json
    assert len(found["table"]) == 8
    needed = {"model", "pool", "knn_loo", "knn_test", "probe_test", "logme", "h_score", "rows_per_second"}
    assert needed <= set(found["table"][0])
    assert found["best"]["pool"] == "mean"
    assert (tmp_path / "out" / "heatmap.png").is_file()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["best"] == found["best"]
    ran = cli("rank", table, "--model", tiny("bert"), "--pool", "mean", "--resamples", "50", "--max-length", "16")
    assert ran.code == 0
    assert "bootstrap samples" in ran.out
    assert max(len(line) for line in ran.out.splitlines() if not line.startswith(("note", "best"))) <= 120


def test_mistakes_of_rank_are_one_sentence(cli, table, tiny, tmp_path):
    check_mistake(cli("rank", table, "--model", tiny("bert"), "--pool", "meen"), "did you mean 'mean'")
    check_mistake(cli("rank", table, "--model", tiny("bert"), "--pool", "mean", "--layers", "7", "--quiet"), "layer")
    check_mistake(cli("rank", table, "--model", "no/such-model-here", "--quiet"), "no/such-model-here")
    check_mistake(cli("rank", table, "--criterion", "knn_test"), "knn_validation")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    check_mistake(cli("rank", table, "--out", tmp_path / "out", "--overwrite"), "not replaced")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
