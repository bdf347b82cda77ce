"""The scripts of the alignment study and its benchmarks, tried on a tiny model."""

import json

import numpy as np
import pandas as pd
import pytest
from benchmarks import align_vs_sentence_transformers, all_pairs
from studies import common
from studies.alignment import carryover, groups, planted, run

from separatrix.texts import load_demo


@pytest.fixture
def data(tmp_path, planted):
    """trec with coarse labels, and articles of six publishers, of which one is in two parts."""
    texts, labels = planted
    trec = pd.DataFrame({"text": texts, "coarse": labels})
    news = pd.DataFrame({"text": texts, "label": labels})
    news["publisher_domain"] = [f"p{place // 30}.com" if place % 30 else "cnn.com" for place in range(180)]
    bounds = {"train": (0, 120), "validation": (120, 150), "test": (150, 180)}
    for name, table in {"trec": trec, "allsides_media": news}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for part, (start, stop) in bounds.items():
            table[start:stop].to_parquet(tmp_path / "data" / name / f"{part}.parquet")
    return tmp_path / "data"


@pytest.fixture
def small(tiny, monkeypatch):
    """Every row of the studies on a tiny model."""
    changes = {"model": str(tiny("bert")), "epochs": 1, "device": "cpu"}
    monkeypatch.setitem(run.CHOSEN, "all", changes)
    monkeypatch.setattr(groups, "COMMON", changes)


# SetFit's loader says so on a machine without a GPU.
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
def test_study_runs_resumes_and_makes_tables(data, small, tmp_path, capsys):
    asked = ["--data", str(data), "--sets", "trec6", "--out", str(tmp_path)]
    rows = ["finetune", "nca", "cosine_datapoint_one", "setfit"]
    assert run.main([*asked, "--rows", *rows, "--seeds", "2"]) == 0
    said = capsys.readouterr()
    assert "setfit is skipped" in said.err or "setfit trec6" in said.out
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    ours = [line for line in lines if line["row"] != "setfit"]
    assert len(ours) == 6
    assert all({"test_accuracy", "test_knn", "test_mean", "validation_accuracy"} <= set(line) for line in ours)
    assert [line["test_head"] for line in ours if line["row"] == "finetune"]
    assert run.main([*asked, "--rows", *rows[:3], "--seeds", "2"]) == 0  # all done: nothing is added
    assert run.main([*asked, "--rows", "nca", "--seeds", "1", "--set", "lr=0.001"]) == 0
    after = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert len(after) == len(lines) + 1
    assert "test_accuracy" not in after[-1]  # a screen looks at validation alone
    assert "undrawn_accuracy" not in after[-1]
    assert run.main(["--table", "--out", str(tmp_path)]) == 0
    table = (tmp_path / "RESULTS.md").read_text()
    assert "## trec6" in table
    assert "| nca " in table
    assert "## Screens" in table
    frame = pd.read_csv(tmp_path / "results.csv")
    assert set(frame["row"]) >= {"finetune", "nca", "cosine_datapoint_one"}
    assert (frame["seeds"] == 2).all()


def test_few_rows_are_so_many_of_each_class_in_all(data, small):
    plan = run.AlignmentPlan("nca", "trec6", 0, run.full_recipe("nca", "trec6", {}, 8), False, per_class=8)
    assert plan.recipe["loop"]["refit"]
    splits = run.load(data, plan)
    assert (len(splits.train), len(splits.validation)) == (18, 6)
    assert not set(splits.train.text) & set(splits.test.text)


def test_screens_with_few_rows_are_judged_by_undrawn_rows(data, small, tmp_path):
    asked = ["--data", str(data), "--sets", "trec6", "--rows", "nca", "--seeds", "1", "--per-class", "8"]
    assert run.main([*asked, "--set", "temperature=0.1", "--out", str(tmp_path)]) == 0
    [line] = common.read_runs(tmp_path / "runs.jsonl")
    assert {"undrawn_accuracy", "undrawn_knn"} <= set(line)
    assert not [name for name in line if name.startswith("test_")]
    plan = run.AlignmentPlan("nca", "trec6", 0, line["recipe"], True, per_class=8)
    splits, parts = run.load(data, plan), ("train", "validation")
    whole = {text for part in parts for text in pd.read_parquet(data / "trec" / f"{part}.parquet")["text"]}
    assert set(splits.test.text) == whole - {*splits.train.text, *splits.validation.text}


def test_every_row_has_a_recipe_of_its_own():
    made = {row: json.dumps(run.full_recipe(row, "trec6", {}), sort_keys=True) for row in run.ROWS}
    assert len(set(made.values())) == len(made)


def test_groups_are_dropped_and_scored(data, small, tmp_path):
    parts = groups.load(data, 0, 1000)
    assert "cnn.com" not in parts["train"].group
    assert "cnn.com" not in parts["seen"].group
    assert set(parts["seen"].group) <= set(parts["train"].group)
    rows = ["probe", "probe_cells", "nca_pairs", "finetune_reversal"]
    assert groups.main(["--data", str(data), "--rows", *rows, "--seeds", "1", "--out", str(tmp_path)]) == 0
    assert groups.main(["--table", "--out", str(tmp_path)]) == 0
    table = (tmp_path / "GROUPS.md").read_text()
    assert "nca_pairs" in table
    assert "macro-F1 unseen" in table
    [line] = [line for line in common.read_runs(tmp_path / "groups.jsonl") if line["row"] == "nca_pairs"]
    assert 0 < line["seen_chance"] <= line["seen_chance_by_class"] <= 1
    again = ["--data", str(data), "--rows", "nca_pairs", "--seeds", "1", "--out", str(tmp_path), "--screen"]
    assert groups.main(again) == 0  # a screen is no run of the study
    screen = common.read_runs(tmp_path / "groups.jsonl")[-1]
    assert screen["screen"]
    assert "test_macro_f1" not in screen


def test_all_pairs_gives_the_contract_and_the_same_value(capsys):
    assert all_pairs.main(["--json", "--rows", "24", "--repeats", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"])
    assert all(value > 1 for value in found["ratios"].values())


def test_memory_of_all_pairs(capsys, tiny):
    assert all_pairs.main(["--json", "--memory", "--rows", "64", "--model", str(tiny("bert"))]) == 0
    assert json.loads(capsys.readouterr().out)["gib"] > 0


def test_sentence_transformers_side_by_side(capsys, tiny):
    pytest.importorskip("sentence_transformers")
    arguments = ["--json", "--rows", "40", "--epochs", "2", "--model", str(tiny("bert"))]
    assert align_vs_sentence_transformers.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["ratios"]


def test_carryover_holds_out_whole_publishers_and_makes_its_table(data, small, tmp_path, monkeypatch):
    for file in (data / "allsides_media").iterdir():  # as on the real set, a publisher has a class of its own
        table = pd.read_parquet(file)
        shared = table["publisher_domain"] == "cnn.com"
        own = table["label"] + [str(place % 2) for place in range(len(table))]
        table.assign(publisher_domain=own.mask(shared, "cnn.com")).to_parquet(file)
    monkeypatch.setattr(carryover, "FOLDS", 2)
    monkeypatch.setattr(carryover, "NULLS", 2)
    asked = ["--data", str(data), "--out", str(tmp_path), "--lengths", "32", "--seeds", "1"]
    assert carryover.main(asked) == 0
    assert carryover.main(asked) == 0  # done: nothing is added
    (line,) = [json.loads(line) for line in (tmp_path / "carryover.jsonl").read_text().splitlines()]
    assert line["publishers_in_all"] == 6  # cnn.com stands in other parts too
    assert len(line["nulls"]) == 2
    assert carryover.main(["--table", "--out", str(tmp_path)]) == 0
    assert "by way of the publisher" in (tmp_path / "CARRYOVER.md").read_text()


def test_carryover_of_a_class_that_is_the_publisher_s_own_is_what_exchanged_classes_give():
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(45), 12)
    of_group = np.arange(45) % 3
    own = generator.normal(size=(45, 64))[group]  # a publisher's style, and nothing of its class
    x = own + generator.normal(size=(540, 64)) / 4
    told = carryover.held_out_f1(x, of_group[group], group, 0)
    assert carryover.seen_f1(x, of_group[group], group, 0)[1] > 0.95  # by way of the publisher all is known
    assert told < 0.55
    shared = x + 3 * np.eye(3, 64)[of_group[group]]  # now the class has a direction of its own
    assert carryover.held_out_f1(shared, of_group[group], group, 0) > told + 0.2


def test_planted_publishers_run_and_make_a_table(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "COMMON", {"model": str(tiny("bert")), "epochs": 1, "device": "cpu"})
    asked = ["--rows", "nca", "nca_ridge", "--seeds", "1", "--out", str(tmp_path)]
    assert planted.main(asked) == 0
    assert planted.main(asked) == 0  # all done: nothing is added
    lines = [json.loads(line) for line in (tmp_path / "planted.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == ["nca", "nca_ridge"]
    assert planted.main(["--table", "--out", str(tmp_path)]) == 0
    table = (tmp_path / "PLANTED.md").read_text()
    assert "| nca_ridge | 1 " in table
    assert "publisher probe" in table


def test_a_publisher_prefers_a_kind_only_where_it_is_planted():
    demo = load_demo()
    leaning = planted.sign(demo.train, planted.SEEN, 0, lean=planted.LEAN)
    fair = planted.sign(demo.train, planted.SEEN, 0)
    shares = [pd.crosstab(part.label, part.group, normalize="index").max(axis=1) for part in (leaning, fair)]
    assert (shares[0] > 0.8).all()
    assert (shares[1] < 0.4).all()
    assert all(text.startswith(f"{name}: ") for text, name in zip(leaning.text, leaning.group, strict=True))
    assert leaning.text[0].endswith(demo.train.text[0])


def test_tables_with_other_columns_become_one_csv(tmp_path):
    """Regression: a set with a row of SetFit has a column more than one without, and the table was not written."""
    common.write_csv(tmp_path / "t.csv", [{"row": "a", "x": 1}, {"row": "b", "y": 2}])
    assert (tmp_path / "t.csv").read_text() == "row,x,y\na,1,\nb,,2\n"
    common.write_csv(tmp_path / "t.csv", [])
    assert (tmp_path / "t.csv").read_text() == "no runs yet\n"
