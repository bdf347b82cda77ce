"""The study of frozen encoders and the benchmark of exact k-NN, from end to end at a toy size."""

import csv
import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("peft", reason='the versions in the lines need pip install "separatrix[bench]"')

from benchmarks import exact_knn  # noqa: E402
from studies.common import read_runs  # noqa: E402
from studies.frozen_encoders import concat, finetune, tables  # noqa: E402
from studies.frozen_encoders import run as study  # noqa: E402

from separatrix.geometry import probe  # noqa: E402


@pytest.fixture
def data(tmp_path, planted):
    texts, labels = planted
    table = pd.DataFrame({"text": texts, "coarse": labels})
    (tmp_path / "data" / "trec").mkdir(parents=True)
    for part, rows in {"train": slice(0, 120), "test": slice(120, 180)}.items():
        table[rows].to_parquet(tmp_path / "data" / "trec" / f"{part}.parquet")
    return tmp_path / "data"


def test_the_study_resumes_and_its_tables_hold_its_lines(tiny, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "DEFAULT_MODEL", str(tiny("bert")))
    monkeypatch.setattr(probe, "PENALTIES", (100.0, 10.0))
    words = ["--data", str(data), "--sets", "trec6", "--model", str(tiny("gpt2")), "--out", str(tmp_path)]
    assert study.main(words) == 0
    passes = read_runs(tmp_path / "runs.jsonl")
    assert [(line["set"], line["model"]) for line in passes] == [("trec6", "bert"), ("trec6", "gpt2")]
    # Layers 0 to 3 by three poolings, and layer_mean; cls of layer 0 of the encoder says nothing.
    assert [len(line["options"]) for line in passes] == [12, 13]
    assert passes[0]["rows"] == {"train": 108, "validation": 12, "test": 60}
    # A line that a kill cut short is done again, the others are not.
    whole = (tmp_path / "runs.jsonl").read_bytes()
    (tmp_path / "runs.jsonl").write_bytes(whole[: len(whole) - 200])
    capsys.readouterr()
    assert study.main(words) == 0
    assert capsys.readouterr().out.count("probe_test") == 13
    assert study.main(["--table", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| trec6 | all " in text
    with (tmp_path / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 25
    best = max(float(row["probe_test"]) for row in rows if row["set"] == "trec6" and row["model"] == "bert")
    assert f"{best:.4f}" in text


def test_rank_correlation_is_scipys_and_knows_how_little_five_pairs_say():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    b = a + rng.normal(size=30)
    rho, low, high = tables.spearman(a, b)
    assert rho == pytest.approx(spearmanr(a, b).statistic)
    assert low < rho < high
    assert tables.spearman(a[:5], b[:5])[2] - tables.spearman(a[:5], b[:5])[1] > high - low


def test_fine_tuned_scores_are_compared_option_by_option():
    lines = [
        {"set": "s", "model": "m", "layer": layer, "pool": "mean"}
        | dict.fromkeys((*tables.ESTIMATORS, "probe_test"), layer / 10)
        for layer in range(8)
    ]
    tuned = [{"set": "s", "model": "m", "layer": layer, "pool": "mean", "accuracy": layer / 7} for layer in range(6)]
    other = [{"set": "s", "model": "other", "layer": 0, "pool": "mean", "accuracy": 1.0}]  # nothing was said of it
    text = tables._tuned(lines, tuned[::-1] + other)
    assert "| s   | 6       | 0.0000 to 0.7143 | 1.00 [1.00, 1.00] |" in text
    assert tables._tuned(lines, tuned[:3]) == tables._tuned([], [])  # three pairs say nothing


def test_some_options_are_finetuned_and_stand_beside_what_was_said_of_them(tiny, data, tmp_path, monkeypatch, capsys):
    for module in (study, finetune):
        monkeypatch.setattr(module, "DEFAULT_MODEL", str(tiny("bert")))
    monkeypatch.setattr(probe, "PENALTIES", (100.0, 10.0))
    monkeypatch.setitem(finetune.CHANGES, "epochs", 1)
    words = ["--data", str(data), "--sets", "trec6", "--out", str(tmp_path)]
    assert finetune.main([*words, "--rows", "50"]) == 0
    tuned = read_runs(tmp_path / "finetuned.jsonl")
    places = [("mean", 1), ("mean", 2), ("mean", 3), ("cls", 3), ("layer_mean", None)]
    assert [(line["pool"], line["layer"]) for line in tuned] == places
    assert {line["rows"] for line in tuned} == {50}
    capsys.readouterr()
    assert finetune.main([*words, "--rows", "50"]) == 0  # nothing is done twice
    assert capsys.readouterr().out == ""
    assert study.main(words) == 0
    assert study.main(["--table", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    low, high = min(line["accuracy"] for line in tuned), max(line["accuracy"] for line in tuned)
    assert f"| trec6 | 5       | {low:.4f} to {high:.4f}" in text


def test_examples_hold():
    found = doctest.testmod(tables)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_exact_knn_prints_the_contract(capsys, monkeypatch):
    monkeypatch.setattr(exact_knn, "alone", exact_knn.measure)  # fresh processes are for memory, not for a trial
    words = ["--rows", "600", "--peer-rows", "300", "--width", "16", "--repeats", "1", "--json"]
    assert exact_knn.main([*words, "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["targets"]) < set(found["ratios"])
    assert set(found["targets"].values()) == {0.6, 1.0}
    assert all("600 rows" in case for case in found["targets"])
    # All sides find the same neighbors, so they did the same work.
    assert all(line["same_neighbours"] == 1.0 for line in found["lines"] if "same_neighbours" in line)
    assert "share of the product" in exact_knn.show(found)


def test_parts_side_by_side(tiny, data, tmp_path, capsys, monkeypatch):
    """Every run once, a line for each preparation; the table names the parts and holds what the lines say."""
    monkeypatch.setattr(concat, "DEFAULT_MODEL", str(tiny("bert")))
    words = ["--data", str(data), "--sets", "trec6", "--out", str(tmp_path), "--model", str(tiny("gpt2"))]
    for _ in range(2):
        assert concat.main([*words, "--seeds", "2"]) == 0
    lines = read_runs(tmp_path / "concat.jsonl")
    assert [(line["seed"], line["prepare"]) for line in lines] == [(s, p) for s in (0, 1) for p in concat.PREPARES]
    assert all(sum(line["weights"].values()) == pytest.approx(1) for line in lines)
    assert concat.main(["--table", "--out", str(tmp_path)]) == 0
    table = (tmp_path / "CONCAT.md").read_text()
    assert f"{np.mean([line['learnt'] for line in lines if line['prepare'] == 'whiten']):.4f}" in table
    assert table.count("layer_mean") == len(concat.PREPARES)
