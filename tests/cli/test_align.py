"""`train --method align | finetune`: a whole run, predictions with neighbors, options without effect."""

import json

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def fast(tiny):
    return ["--model", str(tiny("bert")), "--lr", "0.003", "--batch-size", "16", "--snapshots", "1", "--quiet"]


@pytest.fixture(scope="session")
def grouped(planted, tmp_path_factory):
    """The planted task, all rows of it, with five publishers."""
    path = tmp_path_factory.mktemp("data") / "grouped.csv"
    frame = pd.DataFrame(zip(*planted, strict=True), columns=["text", "label"])
    frame["publisher"] = [f"p{place % 5}" for place in range(len(frame))]
    frame.to_csv(path, index=False)
    return path


def test_align_writes_a_whole_run_that_predicts(cli, table, fast, tmp_path):
    out = tmp_path / "run"
    ran = cli("train", table, "--method", "align", "--epochs", 3, *fast, "--out", out, "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["method"] == "align"
    assert result["loss"] == "nca"
    assert result["scores"]["test"]["accuracy"] > result["scores"]["test"]["majority"]
    assert {"linear probe"} < set(result["baselines"])
    held = {path.name for path in out.iterdir()}
    assert {"encoder", "index", "model.json", "recipe.json", "result.json", "report.html"} <= held
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all({"positive_pairs", "negative_pairs", "staleness"} <= set(line["parts"]) for line in lines)
    assert all({"alignment", "uniformity"} <= set(line["validation"]) for line in lines)
    answers = tmp_path / "answers.csv"
    assert cli("predict", out, table, "--out", answers, "--device", "cpu", "--quiet").code == 0
    found = pd.read_csv(answers)
    assert {"predicted", "probability_cat", "distance_cat", "neighbours"} <= set(found.columns)
    assert found["neighbours"].str.split().map(len).eq(5).all()


def test_finetune_has_a_head_that_decides(cli, table, fast, tmp_path):
    ran = cli(
        "train",
        table,
        "--method",
        "finetune",
        "--epochs",
        1,
        "--per-class",
        8,
        *fast,
        "--out",
        tmp_path / "run",
        "--json",
    )
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["loss"] == "linear"
    assert result["rows"]["train"] == 24
    assert "the linear head decides" in result["notes"]
    assert any("at most 8 of each class" in note for note in result["notes"])


def test_groups_are_reported(cli, grouped, fast, tmp_path):
    words = ["--method", "align", "--epochs", 1, "--group", "publisher", "--by", "group", "--invariance", "pairs"]
    words += ["--validation", 0.3]  # so that each side has rows enough to tell a gap
    ran = cli("train", grouped, *words, *fast, "--out", tmp_path / "run", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["groups"]["test"]
    assert found["seen"]["rows"] > 0  # rows of the groups that were trained on, held out to compare with
    assert found["gap_interval"][0] <= found["gap"] <= found["gap_interval"][1]
    assert json.loads(ran.out)["scores"].keys() == {"validation", "seen", "test"}
    assert found["unseen"]["rows"] > 0
    assert len(found["unseen"]["macro_f1_interval"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "align", "--tokens", "4"], "--tokens has no effect with --method align"),
        (["--method", "prompt", "--pairs", "batch"], "--pairs has no effect with --method prompt"),
        (["--method", "finetune", "--loss", "nca"], "finetune has one loss"),
        (["--method", "finetune", "--pairs", "batch"], "--pairs has no effect here"),
        (["--method", "align", "--loss", "centroid_ce", "--draw", "one"], "--pairs-per-row has no effect here"),
        (["--method", "align", "--class-rows", "4"], "--class-rows has no effect here"),
        (["--method", "align", "--loss", "nce"], "nca"),
        (["--method", "align", "--decision", "head"], "--decision head needs a head"),
        (["--method", "align", "--invariance", "reversal"], "group invariance (or --sampler cells) needs groups"),
        (["--method", "finetune", "--sampler", "cells"], "group invariance (or --sampler cells) needs groups"),
        (["--method", "align", "--k", "5000"], "--k is larger than the index"),
        (["--method", "align", "--dtype", "bfloat16"], "trained with float32 weights"),
    ],
)
def test_mistakes_are_one_sentence(cli, table, tiny, tmp_path, words, said):
    ran = cli("train", table, *words, "--model", tiny("bert"), "--epochs", 1, "--quiet", "--out", tmp_path / "run")
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err
