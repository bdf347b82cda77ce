"""The benchmark and the study of the head atlas run from end to end at a toy size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import heads_vs_plain  # noqa: E402
from studies.head_atlas import run as study  # noqa: E402


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


def lines_of(condition, seed, figure):
    claim = {"claim": "late layers are noise", "figure": figure, "null": 0.0, "p_value": 0.01, "verdict": "supported"}
    return {
        "key": f"{condition}{seed}", "condition": condition, "seed": seed, "claims": [claim],
        "association": [{"with": "layer", "adjusted_mutual_information": figure}],
        "features": [{"feature": "grid", "ami_head": figure, "seconds_per_map": 0.001}],
    }  # fmt: skip


def test_study_table_says_what_its_lines_hold():
    runs = [lines_of("before", 0, 0.2), lines_of("before", 1, 0.4), lines_of("causal", 0, 0.9)]
    runs[1]["claims"][0]["verdict"] = "reversed"
    text = study.table(runs)
    assert "supported 1/2, reversed 1/2" in text
    [before] = [line for line in text.splitlines() if line.startswith("| late layers are noise | before")]
    assert f" {np.mean([0.2, 0.4]):.3f} " in before
    assert study.Plan("before", 0, 10, 10, "grid").key != study.Plan("before", 1, 10, 10, "grid").key


def test_study_runs_and_does_nothing_twice(tiny, tmp_path, monkeypatch):
    from separatrix.recipe import heads as recipes

    generator = np.random.default_rng(0)
    words = "the a cat dog bird fish tree house river red blue green old new".split()  # noqa: SIM905
    paragraphs = [
        {"context": " ".join(generator.choice(words, 20)),
         "qas": [{"id": f"{place}.{which}", "question": "where is the cat ?", "answers": []} for which in range(2)]}
        for place in range(6)
    ]  # fmt: skip
    (tmp_path / "dev.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    real = recipes.HeadsRecipe

    def small():
        from separatrix.recipe import replace

        return replace(real(), k=3, permutations=19, min_samples=3, min_cluster_size=6, sentences=2, cells=4,
                       importance="none", max_query_length=8, device="cpu")  # fmt: skip

    monkeypatch.setattr(study, "HeadsRecipe", small)
    kept = study.replace
    monkeypatch.setattr(study, "replace", lambda recipe, **changes: kept(recipe, **changes | {"max_length": 64}))
    monkeypatch.setattr(study, "AnswerRecipe", lambda **given: recipes.AnswerRecipe(**given, max_length=64,
                                                                                   max_query_length=8))  # fmt: skip
    options = ["--data", str(tmp_path / "dev.json"), "--model", str(tiny("bert")), "--causal", str(tiny("gpt2")),
               "--windows", "8", "--train-windows", "4", "--seeds", "0", "--work", str(tmp_path / "work"), "--runs",
               str(tmp_path / "runs.jsonl"), "--threads", "1"]  # fmt: skip
    assert study.main(options) == 0
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [line["condition"] for line in lines] == ["before", "after", "causal"]
    assert lines[1]["qa"]["total"] > 0
    assert study.main(options) == 0
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 3
    assert study.main(["--table", "--runs", str(tmp_path / "runs.jsonl")]) == 0
    assert "late layers are noise" in (tmp_path / "RESULTS.md").read_text()
