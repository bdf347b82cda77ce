"""What pictures and clusters of outputs lose of the decisions of finished runs: one page, one table."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.analysis import outputs as module
from separatrix.analysis.outputs import judged, over_runs
from separatrix.cli.app import main
from separatrix.errors import OptionError, StoreError
from separatrix.training.run import run_training


@pytest.fixture(scope="module")
def runs(make_order, tmp_path_factory):
    """A prompt that is read at its states, one that label words decide, and a probe."""
    root = tmp_path_factory.mktemp("runs")
    run_training(make_order(root / "prompt", epochs=4, snapshots=0))
    run_training(make_order(root / "words", family="gpt2", loss="token", snapshots=0))
    run_training(make_order(root / "probe", method="probe"))
    return [root / name for name in ("prompt", "words", "probe")]


@pytest.fixture(scope="module")
def study(runs, tmp_path_factory):
    return sx.report(runs, study="outputs", method="pca", out=tmp_path_factory.mktemp("page") / "outputs.html")


def test_every_run_is_read_in_every_view(study, runs):
    assert [run["run"] for run in study.runs] == ["prompt", "words", "probe"]
    table = study.table
    assert len(table) == 3 * 2 * 3
    assert {*table["view"]} == {"all dimensions", "pca"}
    assert {*table["reader"]} == {"vote", "probe", "clusters"}
    for run, folder in zip(study.runs, runs, strict=True):
        answers = pd.read_parquet(folder / "predictions" / "test.parquet")
        right = (answers["label"] == answers["predicted"]).mean()
        assert run["accuracy"] == pytest.approx(right)
        assert run["own"] == pytest.approx(right)  # fewer rows than are drawn
        assert run["rows"] == len(answers)
        for line in run["views"]:
            assert line["lost"] == pytest.approx(run["own"] - line["accuracy"])
            assert line["lost_low"] <= line["lost"] <= line["lost_high"]
            assert line["p_holm"] >= line["p_value"]


def test_the_page_the_text_and_the_json_say_the_same(study):
    page = study.path.read_text()
    assert study.verdict["sentence"] in page
    assert page.count("<img") == 1
    assert "http://" not in page.replace("http://www.w3.org", "")
    for run in study.runs:
        assert run["answer"].split(";")[0] in page.replace("&#39;", "'")
        assert run["answer"] in str(study)
    plain = json.loads(json.dumps(study.to_dict()))
    assert plain["study"] == "outputs"
    assert plain["verdict"]["holds"] in ("yes", "no", "cannot be told")


def test_a_map_whose_library_is_missing_is_left_out_and_named(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "umap", None)
    words = [str(runs[0]), "--study", "outputs", "--method", "umap", "pca", "--rows", "30", "--json", "--quiet"]
    main(["report", *words, "--out", str(tmp_path / "one.html")])
    result = json.loads(capsys.readouterr().out)
    assert any("umap is left out: UMAP needs umap" in note for note in result["notes"])
    assert {line["view"] for line in result["runs"][0]["views"]} == {"all dimensions", "pca"}
    assert result["runs"][0]["rows"] == 30


def test_what_is_no_study_of_runs_is_refused(runs, study, make_order, figures, tmp_path):
    page = tmp_path / "page.html"
    with pytest.raises(OptionError, match="a study needs a file; add --out"):
        sx.report(runs, study="outputs")
    with pytest.raises(OptionError, match="--method, --rows and --seed have no effect here; add --study outputs"):
        sx.report(runs[0], out=page, seed=3)
    with pytest.raises(StoreError, match="holds no finished run; give folders that train wrote"):
        sx.report([study.path.parent], study="outputs", out=page)
    with pytest.raises(OptionError, match="unknown --method: got 'lda'"):
        sx.report(runs, study="outputs", method="lda", out=page)
    run_training(make_order(tmp_path / "numbers", figures, loss="mse", snapshots=0, epochs=1))
    with pytest.raises(OptionError, match="no outputs to study: got a run that predicts numbers, expected classes"):
        sx.report(tmp_path / "numbers", study="outputs", out=page)
    assert not page.exists()


def test_outputs_that_are_all_the_same_have_no_map_and_do_not_stop_the_others(runs, tmp_path, monkeypatch):
    whole = module._vectors

    def vectors(folder, texts, *rest):
        return np.ones((len(texts), 4)) if folder == runs[0] else whole(folder, texts, *rest)

    monkeypatch.setattr(module, "_vectors", vectors)
    study = sx.report([runs[0], runs[2]], study="outputs", method="pca", out=tmp_path / "page.html")
    assert (
        "pca is left out for prompt: every row is the same point, so there is no map: got 72 equal rows" in study.notes
    )
    assert study.runs[0]["answer"] == "cannot be told: there is no map by PCA"
    assert {line["view"] for line in study.runs[1]["views"]} == {"all dimensions", "pca"}


def told(difference, sample="rows", holds="no", interval=(-0.1, 0.1)):
    return {"missed": {"difference": difference, "interval": list(interval)}, "holds": holds, "sample": sample}


def test_the_verdict_counts_samples_of_rows_and_leaves_out_what_learnt_nothing():
    rng = np.random.default_rng(0)
    large = [told(0.1 + 0.01 * rng.normal(), sample=f"rows {number // 2}") for number in range(8)]
    found = over_runs([*large, told(-5.0, holds="nothing to miss")])
    assert (found["holds"], found["runs"], found["samples"]) == ("yes", 8, 4)
    assert found["low"] < found["missed"] < found["high"]
    assert over_runs([told(0.0), told(0.001), told(-0.001)])["holds"] == "no"
    assert over_runs([told(0.3, holds="yes", interval=(0.2, 0.4))])["holds"] == "yes"
    assert over_runs([told(0.3), told(-0.3)])["holds"] == "cannot be told"
    assert over_runs([told(0.3, holds="nothing to miss")])["runs"] == 0
    assert judged(0.015, 0.01, 0.03) == "cannot be told"


def test_the_verdict_names_the_interval_that_it_rests_on():
    """Regression: a table of corrected p-values near 1 stood beside a "yes" that rests on another comparison."""
    sentence = over_runs([told(0.05, holds="yes", interval=(0.017, 0.083))])["sentence"]
    assert sentence == (
        "PCA misses what is there: yes; over 1 run its plane loses 0.050 more than the best other view, judged by the "
        "95 % interval of this difference over rows of the one run: 0.017 to 0.083"
    )
    assert "over 2 samples of rows: " in over_runs([told(0.1, "a"), told(0.2, "b")])["sentence"]


def test_a_verdict_without_a_map_by_pca_is_not_that_nothing_was_learnt(runs, tmp_path):
    """Regression: with `--method tsne` alone it said that no run beats the majority, whatever the runs had learnt."""
    study = sx.report(runs[0], study="outputs", method="tsne", out=tmp_path / "page.html")
    without = "PCA misses what is there: cannot be told; there is no map by PCA"
    assert study.verdict["sentence"] == without
    no_map = {"missed": None, "holds": "cannot be told", "sample": "rows"}
    nothing = "cannot be told; no run beats the majority by 0.1: there is nothing to miss"
    assert over_runs([told(0.3, holds="nothing to miss")])["sentence"].endswith(nothing)
    assert over_runs([no_map])["sentence"] == without
    assert over_runs([no_map, told(0.3, holds="yes", interval=(0.2, 0.4))])["runs"] == 1
