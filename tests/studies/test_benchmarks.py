"""Benchmarks and studies: each runs from end to end at a toy size, and its tables say what its lines hold.

The two studies need data and a model that are not in the repository; here both are made up.
"""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("peft", reason='the other side of the comparisons needs pip install "separatrix[bench]"')

from benchmarks import memory_disk_cache, prompt_vs_peft  # noqa: E402
from benchmarks.parts import quality as quality_parts  # noqa: E402
from benchmarks.parts.gpt2 import TINY, Size, random_labels, random_tokens, save_gpt2  # noqa: E402
from benchmarks.parts.quality import judge  # noqa: E402
from studies import common, peft_side  # noqa: E402
from studies.centroids import run as centroids  # noqa: E402
from studies.centroids import tables as centroid_tables  # noqa: E402
from studies.centroids.experiments import EXPERIMENTS  # noqa: E402
from studies.prompt_quality import run as quality  # noqa: E402
from studies.prompt_quality import tables as quality_tables  # noqa: E402

from separatrix.errors import OptionError  # noqa: E402


@pytest.fixture
def data(tmp_path, planted):
    """A folder like the studies' own: trec with coarse labels and no validation part, sst2 with two classes."""
    texts, labels = planted
    table = pd.DataFrame({"text": texts, "coarse": labels, "label": [label == "cat" for label in labels]})
    table["label"] = np.where(table["label"], "positive", "negative")
    for name, parts in {"trec": ("train", "test"), "sst2": ("train", "validation", "test")}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for place, part in enumerate(parts):
            table[place * 60 : (place + 1) * 60].to_parquet(tmp_path / "data" / name / f"{part}.parquet")
    return tmp_path / "data"


def test_a_real_model_is_measured_at_each_layer(tiny, capsys):
    pytest.importorskip("peft")
    words = ["--model", str(tiny("llama")), "--layers", "0", "2", "--repeats", "1", "--threads", "1", "--json"]
    assert prompt_vs_peft.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    cases = ["step (64 text, 20 prompt) of llama", "step (64 text, 20 prompt) of llama, prompt at layer 2"]
    assert list(found["ratios"]) == list(found["targets"]) == cases
    assert list(found["targets"].values()) == [4.0, 8.0]


def test_prompt_vs_peft_prints_the_contract(capsys):
    assert (
        prompt_vs_peft.main(["--tiny", "--json", "--repeats", "1", "--rows", "32", "--threads", "1", "--extrapolate"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"])
    assert len(found["ratios"]) == 7
    assert all(value > 0 for value in found["ratios"].values())
    assert sorted(set(found["targets"].values())) == [0.6, 3.5, 8.0, 10.0, 20.0]
    assert any("extrapolated" in case for case in found["ratios"])
    assert found["machine"]["threads"] == 1
    assert "whole training" in prompt_vs_peft.show(found)


def test_time_to_quality_is_skipped_without_data(capsys, tmp_path):
    assert prompt_vs_peft.main(["--quality", "--threads", "1", "--data", str(tmp_path)]) == 0
    assert "Time to quality is skipped" in capsys.readouterr().out


def test_the_ratio_counts_from_the_first_look_above_the_best_of_peft():
    ours = {"side": "suffix", "lr": 0.1, "looks": [[1.0, 0.5, 0.8], [2.0, 1.0, 0.9]]}
    slow = {"side": "suffix", "lr": 0.01, "looks": [[1.0, 0.5, 0.7], [8.0, 1.0, 0.95]]}
    theirs = {"side": "peft", "lr": 0.1, "looks": [[10.0, 0.5, 0.8], [30.0, 1.0, 0.8]]}
    # Equal is not above, and PEFT's seconds are those of the first time that it was at its best.
    assert judge([ours, slow, theirs])[0] == pytest.approx(10.0 / 2.0)
    assert judge([ours | {"looks": [[1.0, 0.5, 0.8]]}, theirs])[0] is None


def test_step_flop_counts_by_hand():
    size = Size(layers=1, width=2, heads=1, vocabulary=8)
    # 12 * 2^2 = 48 parameters; 32 rows x 1 token; 2 FLOP each, forward and backward.
    products = 32 * 48 * 2 * 2
    # Over 4 seen tokens: q k, p v, dp, dq; over the one prompt token: dk, dv. 2 FLOP x width 2 each.
    attention = 32 * (4 * 4 + 2 * 1) * 2 * 2
    assert prompt_vs_peft.step_flop(prompt_vs_peft.Shape(3, 1), size) == products + attention


def test_steps_learn_on_both_sides(tmp_path):
    from separatrix.models.load import load_backbone
    from separatrix.recipe import ModelRecipe

    folder = save_gpt2(TINY, tmp_path / "gpt2")
    backbone = load_backbone(ModelRecipe(model=str(folder), device="cpu"))
    frozen, shape, rows = backbone.fingerprint(), prompt_vs_peft.Shape(8, 3), np.arange(32)
    for step in (
        prompt_vs_peft.suffix_step(backbone, shape, TINY, 32),
        prompt_vs_peft.peft_step(folder, shape, TINY, 32),
    ):
        step(rows)  # raises if nothing is connected
    assert backbone.fingerprint() == frozen
    assert len(random_tokens(3, 8, TINY).ids[0]) == 8
    assert sorted(random_labels(4).tolist()) == [0, 0, 1, 1]


def test_memory_benchmark_prints_the_contract(capsys):
    assert memory_disk_cache.main(["--tiny", "--json", "--gib", "0.01", "--tokens", "2", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"]) == {memory_disk_cache.CASE}
    assert found["place"] == "disk"
    assert found["cache_gib"] == pytest.approx(0.01, rel=0.1)
    assert found["peak_gib"] >= found["peak_before_training_gib"] > 0.05
    assert "text cache on disk" in memory_disk_cache.show(found)


def test_prompt_quality_runs_resumes_and_tabulates(tiny, data, tmp_path, monkeypatch, capsys):
    model = str(tiny("bert"))
    small = {"model": model, "tokens": 2, "epochs": 1}
    monkeypatch.setattr(quality, "RECIPES", quality.RECIPES | {"suffix": {"all": small}})
    arguments = ["--data", str(data), "--seeds", "1", "--sets", "trec6", "--out", str(tmp_path)]
    assert quality.main(arguments) == 0
    runs = common.read_runs(tmp_path / "runs.jsonl")
    assert [run["method"] for run in runs] == ["suffix", "refit", "peft", "probe", "knn"]
    assert all(0 <= run["test_accuracy"] <= 1 and run["seconds"] > 0 for run in runs)
    assert all(run["recipe"]["tokens"] == 2 for run in runs if run["method"] == "peft")
    ours, refit = runs[:2]
    assert ours["validation_accuracy"] == refit["validation_accuracy"]
    quality.main(arguments)  # all there: nothing is run again
    assert len(common.read_runs(tmp_path / "runs.jsonl")) == 5
    quality.main([*arguments, "--methods", "peft", "--set", "lr=0.5", "pool=cls"])
    screen = common.read_runs(tmp_path / "runs.jsonl")[-1]
    assert screen["screen"]
    assert "test_accuracy" not in screen
    quality.main(["--table", "--out", str(tmp_path)])
    written = (tmp_path / "RESULTS.md").read_text()
    assert "lr=0.5" in written
    assert "suffix prompt" in written
    assert len(pd.read_csv(tmp_path / "results.csv")) == 5
    assert str(tmp_path) not in capsys.readouterr().err


def test_a_screen_never_enters_the_table():
    recipe = quality.full_recipe("knn", "sst2", {})
    base = {"method": "knn", "set": "sst2", "asked_rows": None, "recipe": recipe}
    kept = base | {"seed": 0, "screen": False}
    runs = [kept, base | {"seed": 1, "screen": True}, base | {"seed": 2, "screen": False, "recipe": {"pool": "cls"}}]
    assert quality.study_runs(runs) == {("sst2", "knn"): [kept]}


def test_quality_options_are_checked():
    with pytest.raises(OptionError, match="did you mean 'lr'"):
        quality.full_recipe("peft", "sst2", {"lrr": 1})
    with pytest.raises(OptionError, match="unknown option of knn"):
        quality.full_recipe("knn", "sst2", {"lr": 1})
    with pytest.raises(OptionError, match="--set needs name=value"):
        common.read_changes(["lr"])


def test_quality_table_holds_means_and_paired_differences(tmp_path):
    def line(method: str, seed: int, accuracy: float) -> dict:
        named = {f"test_{name}": accuracy for name in ("accuracy", "macro_f1", "majority")}
        rest = {
            "seconds": 10.0,
            "history": [accuracy],
            "cpu_seconds": 10.0 if method == "suffix" else 40.0,
            "rows": {"train": 9},
            "versions": {"torch": "2"},
        }
        whose = {"set": "trec6", "method": method, "seed": seed, "recipe": {}}
        return {**whose, "validation_accuracy": accuracy, **named, **rest}

    study = {
        ("trec6", "suffix"): [line("suffix", 0, 0.95), line("suffix", 1, 0.98)],
        ("trec6", "peft"): [line("peft", 1, 0.90)],
    }
    quality_tables.write_tables(tmp_path, study, [], {"trec6": 0.96}, {("trec6", "suffix"): {}})
    written = (tmp_path / "RESULTS.md").read_text()
    assert "0.9650 [" in written
    assert "0.9600: reached" in written
    assert "0.0800" in written  # 0.98 - 0.90: seed 1 alone is on both sides
    assert "4.0" in written


def test_time_until_the_others_best():
    """PEFT is best after three of four epochs; ours is as good after one of two, or never; a screen beats both."""
    same, hot = {"loop": {"lr": 0.1}}, {"loop": {"lr": 0.2}}
    standard = {("trec6", "suffix"): same}
    peft = {"seed": 0, "history": [0.5, 0.6, 0.8, 0.7], "cpu_seconds": 400.0}

    def race(own, screens=()):
        return quality_tables.races({("trec6", "peft"): [peft], ("trec6", "suffix"): [own]}, screens, standard)

    for history, seconds, ratio in (([0.8, 0.9], "10", "30.0"), ([0.7, 0.79], "never", "-")):
        own = {"set": "trec6", "method": "suffix", "seed": 0, "history": history, "cpu_seconds": 20.0, "recipe": same}
        [row] = race(own)
        assert (row["its seconds"], row["seconds"], row["ratio"], row["at most"]) == ("300", seconds, ratio, "30.0")
        screen = own | {"history": [0.9], "cpu_seconds": 5.0, "recipe": hot}
        first, second = race(own, [screen, own | {"history": [0.9]}])  # the same recipe again does not replace a run
        assert (first["seconds"], second["ours with"], second["ratio"]) == (seconds, "lr=0.2", "60.0")
    assert not race(own | {"seed": 1})


def test_centroid_study_runs_resumes_and_tabulates(tiny, data, tmp_path):
    names = ["attract_repel, fast centroids", "token"]
    arguments = ["--model", str(tiny("gpt2")), "--data", str(data), "--seeds", "1", "--rows", "40", "--epochs", "1"]
    arguments += ["--out", str(tmp_path), "--only", *names]
    assert centroids.main(arguments) == 0
    runs = common.read_runs(tmp_path / "runs.jsonl")
    assert [run["experiment"] for run in runs] == names
    assert all("test_accuracy" in run for run in runs)
    fast = next(run for run in runs if run["experiment"] == names[0])
    assert fast["recipe"]["loop"]["centroid_lr"] == pytest.approx(0.1)
    assert fast["centroid_path"] > 0
    assert len(next(run for run in runs if run["experiment"] == "token")["words"]) == 2
    assert str(tmp_path) not in (tmp_path / "runs.jsonl").read_text()
    centroids.main(arguments)
    assert len(common.read_runs(tmp_path / "runs.jsonl")) == 2
    centroids.main(["--table", "--out", str(tmp_path)])
    assert "seed 001's" in (tmp_path / "RESULTS.md").read_text()
    assert len(pd.read_csv(tmp_path / "results.csv")) == 2


def test_ordering_says_only_what_the_intervals_say():
    def runs(*values: float) -> list[dict]:
        return [{"seed": seed, "test_accuracy": value} for seed, value in enumerate(values)]

    study = {
        centroid_tables.REFERENCE: runs(0.50, 0.52, 0.51),
        "better": runs(0.60, 0.62, 0.61),
        "worse": runs(0.40, 0.42, 0.41),
        "unclear": runs(0.40, 0.62, 0.51),
    }
    said = centroid_tables.ordering(study)
    assert "1 experiments (better (+0.1000)) are above" in said
    assert "1 experiments (worse (-0.1000)) are below" in said
    assert "1 experiments (unclear (+0.0000)) are not told apart" in said
    assert centroid_tables.ordering({}) == "(no runs to compare yet)"


def test_the_ordering_is_answered_comparison_by_comparison(tmp_path):
    """Of experiments 1, 2, 3 and 7: 2 is above 1, 3 below 2, 7 not told apart from 1; the others did not run."""
    names = {experiment.number: experiment.name for experiment in EXPERIMENTS}
    accuracy = {"1": (0.5, 0.51, 0.52), "2": (0.6, 0.61, 0.63), "3": (0.4, 0.41, 0.42), "7": (0.40, 0.51, 0.62)}
    study = {
        names[number]: [
            {"seed": seed, "test_accuracy": value, "centroid_oscillation": 0.1} for seed, value in enumerate(values)
        ]
        for number, values in accuracy.items()
    }
    rows = centroid_tables.statements(study)
    compared = {tuple(row["compared"].split(" less ")): row["answer"] for row in rows}
    assert compared[names["2"], names["1"]] == "holds"
    assert compared[names["3"], names["2"]] == "the other way round"
    assert compared[names["7"], names["1"]] == "not told apart"
    assert len(rows) == 5
    assert "of the 5 comparisons" in centroid_tables.answer(study)
    assert centroid_tables.answer(study).startswith("The ordering does not hold as a whole")
    assert centroid_tables.answer({}) == "(no runs to compare yet)"


def test_the_best_experiment_is_chosen_on_validation():
    """`lucky` is best on the test part, `steady` on validation: that one is named, with the number of candidates."""
    figures = {centroid_tables.REFERENCE: (0.5, 0.5), "lucky": (0.6, 0.9), "steady": (0.7, 0.8)}
    study = {
        name: [{"seed": seed, "validation_accuracy": held, "test_accuracy": test + seed / 100} for seed in (0, 1)]
        for name, (held, test) in figures.items()
    }
    assert centroid_tables.chosen(study).startswith("Best of 3 on validation: steady, test accuracy 0.80")


def test_intervals_end_where_figures_end():
    runs = [{"seconds": 5.0, "test_accuracy": 0.99, "gap": 0.01}, {"seconds": 60.0, "test_accuracy": 0.9, "gap": 0.3}]
    assert common.interval(runs, "seconds").low == 0
    assert common.interval(runs, "seconds").high > 60
    assert common.interval(runs, "test_accuracy").high == 1
    assert common.interval(runs, "gap").low < 0  # a difference can be


def test_lines_survive_a_kill_in_the_middle_of_one(tmp_path):
    path = tmp_path / "runs.jsonl"
    common.append_run(path, {"a": 1})
    path.write_bytes(path.read_bytes() + b'{"a": 2, "b"')  # cut short
    common.append_run(path, {"a": 3})
    assert [run["a"] for run in common.read_runs(path)] == [1, 3]


def test_a_set_is_held_out_and_drawn_by_its_seed(data):
    first, again, other = (common.load_set(data, "trec6", seed) for seed in (0, 0, 1))
    assert first.validation.id.tolist() == again.validation.id.tolist() != other.validation.id.tolist()
    assert (len(first.train), len(first.validation)) == (54, 6)
    drawn = common.load_set(data, "trec6", 0, rows=30)
    assert len(drawn.train) == 30
    assert set(drawn.train.id.tolist()) <= set(first.train.id.tolist())


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_peft_side_learns_a_planted_task(tiny, planted, pool):
    texts, labels = planted
    ids = np.array([("cat", "dog", "bird").index(label) for label in labels])
    recipe = peft_side.PeftRecipe(model=str(tiny("bert")), tokens=4, pool=pool, lr=0.05, epochs=4)
    rows = peft_side.tokenize(texts, ids, recipe)
    found = peft_side.train_peft(rows, rows, 3, recipe, seed=0, looks=2)
    assert len(found.checks) == 8
    assert found.best.accuracy == max(check.accuracy for check in found.checks) > 0.6
    assert float((found.scores(rows).argmax(1) == ids).mean()) == found.best.accuracy  # the best tensors are back


@pytest.mark.parametrize("module", [common, peft_side, quality_parts, centroid_tables])
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_paused_clock_stands_still():
    now = iter([10.0, 12.0, 20.0, 21.0])
    clock = common.Clock(lambda: next(now))
    clock.go()
    clock.pause()
    assert clock.seconds == 2.0
    clock.go()
    assert clock.seconds == 3.0
