"""The study of `--method auto`: which runs there are, what a table says of them, how rows are drawn."""

import json
import math

import pytest
from studies.auto import run as study
from studies.auto import shorter
from studies.common import read_runs

from separatrix.texts import load_demo
from separatrix.training.race.candidates import ENTRIES


def line(row, seed, accuracy, winner=None):
    plan = study.AutoPlan(row, "questions", 8, seed, "60s")
    chosen = {} if winner is None else {"winner": winner}
    return {
        "key": plan.key, "row": row, "set": "questions", "per_class": 8, "seed": seed, "budget": "60s",
        "accuracy": accuracy, "test_rows": 120, "training_rows": 48, "chosen": chosen, "seconds": 9.0,
        "cpu_seconds": 8.0,
    }  # fmt: skip


def test_the_table_pairs_runs_of_one_seed(tmp_path):
    runs = [line("auto", 0, 0.8, "align"), line("auto", 1, 0.7, "probe"), line("probe", 0, 0.6), line("probe", 1, 0.6)]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    study.main(["--table", "--out", str(tmp_path)])
    table = (tmp_path / "RESULTS.md").read_text()
    assert "## questions, 8 rows of each class, 60s" in table
    auto, probe = (
        next(row for row in table.splitlines() if row.startswith(f"| {name} |")) for name in ("auto", "probe")
    )
    assert auto.startswith("| auto | 2 | 0.7500 [")
    assert auto.endswith("| 9 | 8 | align 1x, probe 1x |")
    assert "| +0.1500 [" in probe


def test_few_rows_are_learnt_from_all_in_the_end_and_no_test_row_is_among_them():
    splits = study.load(None, study.AutoPlan("auto", "questions", 8, 0, "60s"))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 12, 120)
    assert splits.train.group is None
    assert not set(splits.test.text) & {*splits.train.text, *splits.validation.text}
    other = study.load(None, study.AutoPlan("auto", "questions", 8, 1, "60s"))
    assert set(other.train.text) != set(splits.train.text)
    assert splits.test.text == load_demo().test.text


def test_the_logistic_regression_learns_from_all_labelled_rows():
    plan = study.AutoPlan(study.LOGISTIC, "questions", 8, 0, "60s")
    right, chosen = study.run_logistic(plan, study.load(None, plan))
    assert right.shape == (120,)
    assert right.mean() > 0.4  # a sixth is chance
    assert chosen["C"] == pytest.approx(10 ** round(math.log10(chosen["C"])))


def test_a_screen_is_judged_by_rows_that_were_not_drawn():
    plan = study.AutoPlan("probe", "questions", 8, 0, "60s", "undrawn")
    splits = study.load(None, plan)
    assert (len(splits.train), len(splits.validation)) == (36, 12)
    assert len(splits.test) == min(study.MOST_UNDRAWN, len(load_demo().train) + len(load_demo().validation) - 48)
    assert not set(splits.test.text) & {*splits.train.text, *splits.validation.text, *load_demo().test.text}
    assert plan.key != study.AutoPlan("probe", "questions", 8, 0, "60s").key


def test_what_the_race_expects_of_a_method_is_what_the_screens_say():
    """Of an align for many classes nothing is expected, for it is not raced over few."""
    measured = study.expected(read_runs(study.HERE / "runs.jsonl"))
    for name, entry in ENTRIES.items():
        mean, _, sets = measured.get(name, (0.0, 0.0, 4))
        assert sets >= 4
        assert entry.ahead == pytest.approx(mean, abs=0.01)


def test_a_screen_of_fewer_epochs_has_a_line_for_each_number_of_them():
    runs = [
        {"row": "align", "epochs": epochs, "set": "trec6", "seed": seed, "accuracy": 0.9 + seed / 100, "cpu_seconds": 9}
        for epochs in (1, 6) for seed in (0, 1)
    ]  # fmt: skip
    shown = [line.split("|")[1:] for line in shorter.table(runs).splitlines() if line.startswith("| align ")]
    assert [line[1].strip() for line in shown] == ["1", "6"]
    assert all(line[2].strip().startswith("0.905 [") and line[2].strip().endswith("(2)") for line in shown)
    plans = {
        shorter.ShorterPlan(row, epochs, "trec6", 0).key for row in shorter.EPOCHS for epochs in shorter.EPOCHS[row]
    }
    assert len(plans) == sum(map(len, shorter.EPOCHS.values()))
