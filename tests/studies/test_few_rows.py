"""The study of few rows: the heads on aligned vectors, which runs there are, what its table says."""

import json

import numpy as np
import pandas as pd
from studies.few_rows import forms, tables
from studies.few_rows import run as study
from studies.many_classes.ideas import TrainedParts


def test_heads_decide_by_vectors_of_length_one():
    generator = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 8)
    train = (np.eye(5)[y] + 0.2 * generator.normal(size=(24, 5))) * generator.uniform(1, 9, size=(24, 1))
    test = np.eye(5)[:3] * 7
    weight = np.eye(3, 5)[[1, 2, 0]]
    got = study.heads(TrainedParts({"train": train, "test": test}, (weight, np.zeros(3)), []), y)
    assert {way: values.tolist() for way, values in got.items()} == {
        "head": [2, 0, 1], "mean": [0, 1, 2], "logistic": [0, 1, 2], "shrunk LDA": [0, 1, 2]
    }  # fmt: skip


def test_a_run_trains_and_answers(planted, tiny, tmp_path, monkeypatch):
    """Regression: what trains had another signature than its study took."""
    rows = list(zip(*planted, strict=True))
    folder = tmp_path / "sst2"
    folder.mkdir()
    for part, some in {"train": rows[:60], "validation": rows[60:90], "test": rows[90:120]}.items():
        pd.DataFrame(some, columns=["text", "label"]).to_parquet(folder / f"{part}.parquet")
    monkeypatch.setitem(study.SHARED, "model", str(tiny("bert")))
    monkeypatch.setitem(study.SHARED, "epochs", 1)
    for row in study.ROWS:
        line = study.do_run(study.FewPlan(row, "sst2", 8, 0), tmp_path)
        assert line["rows"] == {"train": 24, "test": 30}
        assert {"mean", "logistic", "shrunk LDA"} <= {*line["accuracy"]}


def test_every_run_has_a_key_and_a_recipe():
    options = [study.FewPlan(row, "sst2", 8, split) for row in (*study.ROWS, study.SETFIT) for split in range(2)]
    assert len({plan.key for plan in options}) == len(options)


def test_the_table_pairs_splits_and_takes_the_mean_of_sets_over_those_that_all_have(tmp_path):
    def line(name, row, way, split, accuracy, seconds):
        plan = {"set": name, "row": row, "split": split, "per_class": 8, "key": f"{name}{row}{split}"}
        return plan | {"accuracy": {way: accuracy}, "cpu_seconds": seconds, "rows": {"train": 16, "test": 500}}

    runs = [
        line(name, *one)
        for name in ("sst2", "trec6")
        for one in (("nca", "mean", 0, 0.75, 5.0), ("nca", "mean", 1, 0.25, 5.0), ("setfit", "logistic", 0, 0.5, 20.0))
    ]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs[:-1]))
    tables.write_tables(tmp_path, runs)
    text = (tmp_path / "RESULTS.md").read_text()
    mean = text.partition("## Mean of sst2, trec6, 8 rows of each class")[2]
    cells = [cell.strip() for cell in next(row for row in mean.splitlines() if row.startswith("| nca")).split("|")]
    assert cells[3] == "2"
    assert cells[5:8] == ["+0.2500", "5.0", "0.25"]


def test_a_form_is_compared_with_the_base_on_the_draws_of_both():
    def line(row, name, seed, accuracy):
        plan = {"row": row, "set": name, "per_class": 8, "seed": seed, "cpu_seconds": 3.0}
        return plan | {"accuracy": dict.fromkeys(forms.WAYS, accuracy)}

    other = "pairs, 6 epochs"
    runs = [line(forms.BASE, name, seed, 0.5) for name in forms.SETS for seed in (0, 1)]
    runs += [line(other, name, 0, 0.6) for name in forms.SETS] + [line(other, "trec6", 2, 0.0)]
    shown = forms.table(runs)
    assert "| nca, 6 epochs   | 0.500 (2)" in shown
    assert "| pairs, 6 epochs | +0.100 (1)" in shown  # the third draw has no base
    assert "| 0.100 " in shown
    assert len({forms.FormPlan(row, "sst2", 8, 0).key for row in forms.FORMS}) == len(forms.FORMS)
