"""Runs, points and maps side by side, each under the name of the folder that was read."""

import doctest
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis import compared as module
from separatrix.analysis.compare import compare
from separatrix.analysis.project import project
from separatrix.errors import OptionError, StoreError
from separatrix.learn.trajectory import subsample
from separatrix.points import Points
from separatrix.store.files import write_json, write_tensors
from separatrix.store.points import write_points
from separatrix.store.table import write_table

ROWS = 60


def save_run(folder, loss, right, seed=0, ids=None):
    """A run as `train` leaves it, in little: 60 rows, of which a share is answered right."""
    rng = np.random.default_rng(seed)
    gold = np.array(["no", "yes"])[np.arange(ROWS) % 2]
    wrong = rng.permutation(ROWS) >= round(right * ROWS)
    table = pd.DataFrame({"id": np.arange(ROWS) if ids is None else ids, "text": [f"text {n}" for n in range(ROWS)]})
    table["label"], table["predicted"] = gold, np.where(wrong, np.where(gold == "no", "yes", "no"), gold)
    for part in ("test", "validation"):
        write_table(folder / "predictions" / f"{part}.parquet", table)
    scores = {"accuracy": right, "interval": [right - 0.1, min(1, right + 0.1)], "majority": 0.5, "rows": ROWS}
    result = {"method": "prompt", "model": {"name": "tiny"}, "loss": loss, "scores": {"test": scores}, "seconds": 1.5}
    write_json(folder / "result.json", result)
    write_json(folder / "recipe.json", {"loop": {"seed": 0}})
    outputs = rng.normal(size=(ROWS, 6)) + 4 * (np.arange(ROWS) % 2)[:, None]
    frame = {"outputs": outputs.astype(np.float16), "predicted": np.zeros(ROWS, np.int64)}
    write_tensors(folder / "trajectory" / "frame-0000001.safetensors", frame, {"step": 1, "title": "end"})
    assert len(subsample(ROWS, ROWS, 0)) == ROWS
    return folder


@pytest.fixture
def runs(tmp_path):
    return save_run(tmp_path / "cosine", "cosine", 0.6), save_run(tmp_path / "distance", "distance", 0.95, seed=1)


def test_examples_hold():
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


def test_the_table_holds_what_each_run_says(runs, tmp_path):
    result = compare(runs, out=tmp_path / "out")
    assert [(line["source"], line["loss"], line["accuracy"]) for line in result.sources] == [
        ("cosine", "cosine", 0.6),
        ("distance", "distance", 0.95),
    ]
    line = result.sources[1]
    assert (line["low"], line["high"], line["majority"], line["seconds"], line["model"]) == (0.85, 1, 0.5, 1.5, "tiny")
    table = pd.read_parquet(tmp_path / "out" / "table.parquet")
    assert table["accuracy"].tolist() == [0.6, 0.95]
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    assert written["table"] == result.sources
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compared.html", 
        "manifest.json", "table.parquet", "pairs.parquet", "maps.parquet", "result.json", "maps.png", "maps.csv",
        "variance.png", "variance.csv", "clusters.parquet",
    }  # fmt: skip


def test_label_words_stand_beside_the_loss_and_say_who_chose_them(runs, tmp_path):
    for folder, ranking in zip(runs, (None, [{"negative": ["dull"]}]), strict=True):
        result = json.loads((folder / "result.json").read_text())
        write_json(folder / "result.json", result | {"words": ["bad", "good"], "word_ranking": ranking})
    plain = save_run(tmp_path / "centroids", "centroid_ce", 0.8, seed=5)
    found = compare([*runs, plain])
    assert [line["words"] for line in found.sources] == ["bad / good (by hand)", "bad / good (chosen)", None]
    assert "label words" in str(found)
    assert "label words" not in str(compare([plain, runs[0].parent / "centroids"]))


def test_differences_are_counted_on_shared_rows(runs, tmp_path):
    pair = compare(runs).pairs[0]
    assert (pair["a"], pair["b"], pair["rows"]) == ("cosine", "distance", ROWS)
    assert pair["difference"] == pytest.approx(0.6 - 0.95)
    assert pair["interval"][1] < 0
    assert pair["p_value"] < 1e-3
    third = save_run(tmp_path / "half", "token", 0.9, seed=2, ids=np.arange(ROWS) + ROWS // 2)
    told = compare([*runs, third])
    assert len(told.pairs) == 1
    assert sum("the same ids have another text: they were not scored on the same rows" in w for w in told.warnings) == 2
    far = save_run(tmp_path / "far", "token", 0.9, seed=2, ids=np.arange(ROWS) + 1000)
    assert any("they share no row" in warning for warning in compare([runs[0], far]).warnings)
    named = save_run(tmp_path / "named", "token", 0.9, seed=2, ids=[f"row {row}" for row in range(ROWS)])
    assert any("they share no row" in warning for warning in compare([runs[0], named]).warnings)  # was a traceback
    written = save_run(tmp_path / "written", "distance", 0.95, seed=1, ids=[str(row) for row in range(ROWS)])
    assert compare([runs[0], written]).pairs[0]["rows"] == ROWS


def test_seed_000_panels_carry_the_name_of_the_file_that_was_read(runs):
    """The seed drew the distance prompt's file under the heading of the cosine prompt."""
    shown = compare(runs)
    assert [line["title"] for line in shown.maps] == ["cosine", "distance"]
    turned = compare(runs[::-1])
    assert [line["title"] for line in turned.maps] == ["distance", "cosine"]
    assert shown.warnings == []
    figures = {line["title"]: line["knn_before"] for line in shown.maps}
    assert {line["title"]: line["knn_before"] for line in turned.maps} == figures


def test_seed_000_a_file_under_a_wrong_heading_is_found(runs):
    shutil.rmtree(runs[0])
    shutil.copytree(runs[1], runs[0])  # the slip: what is called cosine holds the distance prompt
    shown = compare(runs)
    assert [line["title"] for line in shown.maps] == ["cosine (distance)", "distance"]
    assert any("hold the same numbers: is one of them a copy under another name?" in line for line in shown.warnings)
    assert any("is named 'cosine' but was trained with the loss 'distance'" in line for line in shown.warnings)


def test_the_same_folder_twice_is_reported(runs):
    assert "are the same folder" in compare([runs[0], runs[0]]).warnings[0]


def test_points_and_maps_stand_beside_each_other(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"])[np.arange(80) % 2]
    x = (rng.normal(size=(80, 6)) + 5 * (np.arange(80) % 2)[:, None]).astype(np.float32)
    points = Points.of(x, {"label": labels})
    write_points(tmp_path / "points", points, dtype="float32")
    project(points, "lda", out=tmp_path / "map")
    shown = compare([tmp_path / "points", tmp_path / "map"], method=("pca", "tsne"), out=tmp_path / "out", rows=50)
    assert [(line["title"], line["method"], line["guided"]) for line in shown.maps] == [
        ("points", "pca", False),
        ("points", "tsne", False),
        ("map (lda)", "lda", True),
    ]
    assert [line["kind"] for line in shown.sources] == ["points", "map"]
    assert shown.sources[0]["rows"] == 80
    assert shown.maps[0]["rows"] == 50
    drawn = pd.read_csv(tmp_path / "out" / "maps.csv")
    assert set(drawn["title"]) == {"points", "map (lda)"}
    assert len(drawn) == 50 + 50 + 80


def test_whole_numbers_to_predict_are_no_classes(runs):
    """Regression: each number was taken for a class, and neighbors voted for it."""
    for folder in runs:
        scores = {"test": {"rmse": 2.5, "rows": ROWS}}
        result = json.loads((folder / "result.json").read_text()) | {"loss": "mse", "scores": scores}
        write_json(folder / "result.json", result)
        for part in ("test", "validation"):
            table = pd.read_parquet(folder / "predictions" / f"{part}.parquet")
            numbers = table.assign(label=np.arange(ROWS) % 7, predicted=3.5)
            write_table(folder / "predictions" / f"{part}.parquet", numbers)
    result = compare(runs)
    assert [line["rmse"] for line in result.sources] == [2.5, 2.5]
    assert [(line["knn_before"], line["knn_after"], line["majority"]) for line in result.maps] == [(None,) * 3] * 2
    assert result.maps[0]["trustworthiness"] > 0
    assert result.clusters == []


def test_maps_alone_stand_in_one_line(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    points = Points.of(x, {"label": ["a", "b"] * 20})
    for method in ("pca", "lda"):
        project(points, method, out=tmp_path / method)
    shown = compare([tmp_path / "pca", tmp_path / "lda"], out=tmp_path / "out")
    assert [line["method"] for line in shown.maps] == ["pca", "lda"]
    assert set(pd.read_csv(tmp_path / "out" / "maps.csv")["line"]) == {0}


def test_bad_input_is_refused_in_one_sentence(runs, tmp_path):
    with pytest.raises(OptionError, match="there is nothing to compare: got 1 folders, expected two or more"):
        compare(runs[:1])
    with pytest.raises(OptionError, match="this cannot be compared: got int, expected runs, points or maps"):
        compare([5, runs[0]])
    with pytest.raises(OptionError, match="unknown --method: got 'umpa'"):
        compare(runs, method=("umpa",))
    with pytest.raises(StoreError, match="is not a folder: expected a run, a map or points"):
        compare([runs[0], tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no finished run, no map and no points"):
        compare([runs[0], tmp_path / "empty"])
