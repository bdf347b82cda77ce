"""The benchmark and the study of the head atlas run from end to end at a toy size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
from benchmarks import heads_memory, heads_vs_plain  # noqa: E402
from benchmarks.parts import heads_memory as part  # noqa: E402
from benchmarks.parts.extract_memory import stream  # noqa: E402
from studies.head_atlas import run as study  # noqa: E402
from studies.head_atlas import tables  # noqa: E402


def test_benchmark_prints_the_contract_and_both_sides_agree(tiny, capsys):
    words = ["--model", str(tiny("bert")), "--windows", "2", "--resnet-windows", "1", "--max-length", "24", "--pixels",
             "32", "--threads", "1"]  # fmt: skip
    assert heads_vs_plain.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"])
    assert all(value > 0 for value in found["ratios"].values())
    assert found["largest_difference"] < 1e-3
    assert found["machine"]["threads"] == 1
    assert "features only" in heads_vs_plain.show(found)


def test_memory_benchmark_says_what_grows(tmp_path, capsys, monkeypatch):
    """In this process, and the first step alone: what counts here is that it measures and divides."""

    def one(model, folder, windows, steps):
        texts = folder / "texts.parquet"
        pd.DataFrame({"text": list(stream(windows, longest=46))}).to_parquet(texts)
        assert part.main([str(model), str(texts), str(tmp_path / f"atlas-{windows}"), str(windows), *steps]) == 0
        return json.loads(capsys.readouterr().out) | {"seconds": 1.0}

    monkeypatch.setattr(heads_memory, "one", one)
    found = heads_memory.measure([4], ["extract"])
    [run] = found["runs"]
    assert (run["windows"], run["maps"]) == (4, 4 * 72)
    assert 0 < run["own_mib"]["extract"] <= run["peak_mib"]["extract"]
    assert found["ratios"][heads_memory.CASE] == pytest.approx(4096 / run["peak_mib"]["extract"])
    assert "KiB of its own memory for each window more: extract" in heads_memory.show(found)


def lines_of(condition, seed, figure):
    claim = {"claim": "late layers are noise", "figure": figure, "null": 0.0, "p_value": 0.01, "verdict": "supported"}
    line = {
        "key": f"{condition}{seed}", "condition": condition, "seed": seed, "claims": [claim], "windows": 2, "maps": 8,
        "contexts": 2, "clusters": {"count": 3},
        "association": [{"with": "layer", "adjusted_mutual_information": figure, "p_value": 0.01, "p_heads": 0.4,
                         "mutual_information": 1.0, "null_mean": 0.1, "null_heads": 0.9}],
        "features": [{"feature": "grid", "ami_head": figure, "seconds_per_map": 0.00123, "rows": 8}],
        "controls": [{"rows": f"length-matched: {seed} to 9 tokens", "ami": figure}],
        "noise_by_layer": {"dbscan": [{"layer": 0, "noise": figure}]},
        "importance": {"loss": "match", "gradient": {"observed": figure, "mean": 0.1, "p_value": 0.03}},
    }  # fmt: skip
    qa = {"exact": 0.3, "f1": 0.4, "baseline_exact": 0.0}
    return line | ({"qa": qa} if condition == "after" else {})


def test_study_table_says_how_claims_moved_where_windows_were_read_again():
    first, again = lines_of("before", 0, 0.2), lines_of("before", 0, 0.3) | {"reading": 2}
    again["claims"][0]["verdict"] = "reversed"
    text = tables.table([again, first, lines_of("before", 1, 0.9)])
    assert "| late layers are noise | before    | 0     | 0.200         | 0.300 | supported -> reversed |" in text
    assert "reversed 1/2, supported 1/2" in text or "supported 1/2, reversed 1/2" in text  # the newest line of a seed
    assert "0.600" in text  # mean of 0.3 and 0.9


def test_study_table_says_what_its_lines_hold():
    runs = [lines_of("before", 0, 0.2), lines_of("before", 1, 0.4), lines_of("causal", 0, 0.9)]
    runs += [lines_of("after", 0, 0.5), lines_of("after", 1, 0.6)]
    runs[1]["claims"][0]["verdict"] = "reversed"
    text = tables.table(runs)
    assert "supported 1/2, reversed 1/2" in text
    [before] = [line for line in text.splitlines() if line.startswith("| late layers are noise | before")]
    assert f" {np.mean([0.2, 0.4]):.3f} " in before
    [after] = [line for line in text.splitlines() if line.startswith("| layer | after")]
    assert "0.2500 [" in after  # 0.5 - 0.2 and 0.6 - 0.4, seed by seed
    assert " 0.400 " in after  # p over heads
    assert "1.230" in text  # milliseconds
    assert "length-matched | before" in text


@pytest.fixture
def small(monkeypatch):
    """The study with small recipes."""
    base = study.replace(study.BASE, k=3, permutations=19, min_samples=3, min_cluster_size=6, sentences=2, cells=4,
                         max_query_length=8, max_length=64)  # fmt: skip
    monkeypatch.setattr(study, "BASE", base)
    monkeypatch.setattr(study, "QA", study.replace(study.QA, max_length=64, max_query_length=8))
    monkeypatch.setattr(study, "FEATURES", ("descriptors", "grid", "singular"))


def test_study_runs_and_does_nothing_twice(tiny, tmp_path, small):
    generator = np.random.default_rng(0)
    words = "the a cat dog bird fish tree house river red blue green old new".split()  # noqa: SIM905
    paragraphs = [
        {"context": (context := " ".join(generator.choice(words, 20))),
         "qas": [{"id": f"{place}.{which}", "question": "where is the cat ?",
                  "answers": [{"text": context.split()[0], "answer_start": 0}]} for which in range(2)]}
        for place in range(6)
    ]  # fmt: skip
    (tmp_path / "dev.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    data = str(tmp_path / "dev.json")
    options = ["--data", data, "--qa", data, "--model", str(tiny("bert")), "--causal", str(tiny("gpt2")), "--windows",
               "8", "--train-windows", "4", "--seeds", "0", "--work", str(tmp_path / "work"), "--runs",
               str(tmp_path / "runs.jsonl"), "--threads", "1"]  # fmt: skip
    assert study.main(options) == 0
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [line["condition"] for line in lines] == ["before", "after", "causal", "features"]
    assert len({line["key"] for line in lines}) == 4
    assert lines[1]["qa"]["total"] > 0
    assert {each["feature"] for each in lines[3]["features"]} == {"descriptors", "grid", "singular"}
    assert str(tmp_path) not in json.dumps(lines[2])
    assert study.main(options) == 0
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4
    assert study.main(["--table", "--runs", str(tmp_path / "runs.jsonl")]) == 0
    assert "late layers are noise" in (tmp_path / "RESULTS.md").read_text()


def test_a_run_is_known_by_all_that_decides_it(tmp_path):
    options = study.read_options(["--data", "d", "--qa", "d", "--causal", str(tmp_path)])
    keys = [study.plan_of(condition, seed, options).key for condition in study.CONDITIONS for seed in (0, 1)]
    options.train_windows = 7
    keys.append(study.plan_of("after", 0, options).key)
    assert len(set(keys)) == len(keys)
