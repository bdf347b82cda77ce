"""Studies made by sweeps: their grids are whole, and what they say of runs, in short form."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from studies.centroids import rates
from studies.language_model import late
from studies.prompt_lengths import run as lengths
from studies.sweep_tables import Figures, bring

import separatrix as sx
from command_line import write_csv
from separatrix.sweeps.grid import read_grid
from separatrix.sweeps.settings import spell_out

STUDIES = Path(__file__).resolve().parents[2] / "studies"
pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


@pytest.mark.parametrize(
    ("grid", "rows", "settings"),
    [
        ("prompt_lengths/GRID", 11, 11 * 18),
        ("prompt_lengths/REGRESSION", 3, 18),
        ("centroids/GRID", 12, 12 * 15),
        ("language_model/GRID", 2, 2),
        ("language_model/FLOAT32", 1, 1),
        ("language_model/SCREEN", 4, 4),
        ("language_model/SECONDS", 2, 2),
        ("language_model/IMDB", 1, 1),
        ("language_model/LATE", 4, 4),
    ],
)
def test_a_grid_is_whole(grid, rows, settings):
    read, mistakes = read_grid(STUDIES / f"{grid}.toml")
    spelled = [one for one in spell_out(read, mistakes) if one.baseline is None]
    mistakes.check()
    assert (len(read.rows), len(spelled)) == (rows, settings)


def short(name, folder, texts, **changes):
    """A grid of the studies over a few rows of two classes."""
    grid = tomllib.loads((STUDIES / f"{name}.toml").read_text())
    labels = ["positive" if row % 2 else "negative" for row in range(80)]
    folder.mkdir()
    for part, first, last in (("train", 0, 40), ("validation", 40, 60), ("test", 60, 80)):
        write_csv(folder / f"{part}.csv", list(zip(texts[first:last], labels[first:last], strict=True)))
    return grid | {"data": str(folder), "seeds": [0, 1, 2]} | changes


def test_lengths_and_the_metric_that_lied_in_short_form(tiny, planted, tmp_path, untrained):
    data, model = tmp_path / "data", str(tiny("gpt2"))
    rows = [{"name": lengths.STORIES, "model": model}, {"name": "SmolLM2, 10 layers", "model": model, "depth": 1}]
    grid = short("prompt_lengths/GRID", data, planted[0], rows=[*rows, {"name": "GPT-2 large", "model": "not/here"}])
    grid["train"] = grid["train"] | {"per_class": 5}
    assert sx.sweep(grid, out=tmp_path / "lengths").states == {"done": 2 * 6 * (3 + 2) + 2 * 3}
    out = tmp_path / "out"
    out.mkdir()
    (out / "read.csv").write_text("label,seed,seeds_metric,threshold\na,0,0.4908256,0.61\na,1,0.4908256,0.63\n")
    lengths.main(["--study", str(tmp_path / "lengths"), "--out", str(out)])
    text = (out / "RESULTS.md").read_text()
    assert re.search(r"\| GPT-2 large +\| not run here +\| -", text)
    assert "best of 6 lengths on validation" in text
    told = {line["seed 003 says"]: line["verdict"] for line in read_table(text)}
    assert told == {
        "a small model gains by a long prompt (GPT-2 small: 20 tokens)": "holds",
        "beyond 20 tokens nothing is gained": "does not hold",
        "the same of a larger model": "cannot be told",
        "a larger model does with a short one (GPT-2 medium: 5 tokens)": "cannot be told",
        "a larger model is better": "cannot be told",
        "the metric is the share of label 0, whatever is learnt": "holds",
        "prompts can be trained for regression": "holds",
    }


def read_table(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(row for row in cells if row[0] == "seed 003 says")
    body = cells[cells.index(head) + 1 :]
    return [dict(zip(head, row, strict=True)) for row in body[: next(n for n, row in enumerate(body) if len(row) != 4)]]


def test_a_regression_learns_and_the_seeds_metric_does_not_see_it(tiny, planted, tmp_path):
    grid = short("prompt_lengths/REGRESSION", tmp_path / "data", planted[0], seeds=[0], rows=None, tune=[], search=None)
    lengths.write_numbers(tmp_path / "data", tmp_path / "numbers", rows=10)
    assert len((tmp_path / "numbers" / "train.csv").read_text().splitlines()) == 21
    train = grid["train"] | {"model": str(tiny("gpt2")), "epochs": 1}
    grid = {"data": str(tmp_path / "numbers"), "train": train, "grid": {"tokens": [1]}}
    sx.sweep(grid, out=tmp_path / "regression")
    (line,) = lengths.read_runs(tmp_path / "regression")
    assert line["seeds_metric"] == 0.5  # the share of label 0
    assert 0 <= line["threshold"] <= 1
    out = tmp_path / "out"  # of which another machine wrote a part
    out.mkdir()
    (out / "read.csv").write_text("label,seed,seeds_metric,threshold\nothers,0,0.4908256,0.61\n")
    lengths.main(["--regression", str(tmp_path / "regression"), "--out", str(out)])
    lengths.main(["--regression", str(tmp_path / "regression"), "--out", str(out)])
    assert [one["label"] for one in lengths.read_csv(out / "read.csv")] == ["others", line["label"]]


def test_the_seeds_metric_prints_the_seeds_figure():
    labels = np.array([1] * 444 + [0] * 428)
    assert round(lengths.seeds_metric(np.random.default_rng(0).normal(size=(872, 1)), labels), 4) == lengths.LIE


def test_rates_in_short_form(tiny, planted, tmp_path, untrained):
    data, model = tmp_path / "data", str(tiny("gpt2"))
    axes = {"model": [model, "not/here"], "lr": [0.001, 0.03]}
    grid = short("centroids/GRID", data, planted[0], baselines=["majority"], grid=axes)
    grid["train"] = grid["train"] | {"per_class": 5}
    sx.sweep(grid, out=tmp_path / "starts", only=["1 random start", "8 calculated", "9 calculated, repulsion"])
    rates.main(["--study", str(tmp_path / "starts"), "--out", str(tmp_path)])
    text = (tmp_path / "RATES.md").read_text()
    assert "## not/here\n\nNot run here" in text
    assert re.search(r"\| 9 calculated, repulsion +\| 0\.03 +\| 3 ", text)
    assert text.count("cannot be told") == len([other for _, _, _, others in rates.CLAIMS for other in others]) + 1


def test_a_study_that_is_done_piece_by_piece_keeps_what_it_had(tmp_path):
    study, out = tmp_path / "study", tmp_path / "out"
    out.mkdir()
    study.mkdir()
    table = "label,row,runs,planned\n{}\n"
    runs = "label,seed,run,test{}\n{}\n"
    (study / "table.csv").write_text(table.format("a,a,2,2\nb,b,0,2"))
    (study / "runs.csv").write_text(runs.format("", "a,0,x,0.5\na,1,y,0.7"))
    bring(study, out, "own")
    (study / "table.csv").write_text(table.format("a,a,0,2\nb,b,1,2"))
    (study / "runs.csv").write_text(runs.format(",tokens", "b,0,z,0.9,5"))
    bring(study, out, "own")
    figures = Figures.read(out, "own")
    assert [(row["label"], row["runs"]) for row in figures.table] == [("a", "2"), ("b", "1")]
    assert [(run["label"], run["test"], run["tokens"]) for run in figures.runs] == [
        ("b", "0.9", "5"), ("a", "0.5", ""), ("a", "0.7", ""),
    ]  # fmt: skip
    assert figures.mean(figures.table[0]).mean == pytest.approx(0.6)


def test_a_late_prompt_is_compared_over_the_seeds_that_both_rows_have(tmp_path):
    study, runs = tmp_path / "study", {"layer 0": (0.80, 0.82), "layer 15": (0.79, 0.80), "layer 18": (0.79,)}
    study.mkdir()
    lines = [f'"{name}",{seed},{test},{test}' for name, tests in runs.items() for seed, test in enumerate(tests)]
    (study / "runs.csv").write_text("\n".join(["label,seed,test,validation", *lines]) + "\n")
    table = [f'"{name}","{name}",{len(tests)},5' for name, tests in runs.items()]
    (study / "table.csv").write_text("\n".join(["row,label,runs,planned", *table]) + "\n")
    late.main(["--study", str(study), "--out", str(tmp_path)])
    text = (tmp_path / "LATE.md").read_text()
    assert re.search(r"\| layer 15 less layer 0 +\| 2 +\| -0\.0150 \[", text)
    assert re.search(r"\| layer 18 less layer 0 +\| 1 +\| -0\.0100 ", text)
    assert re.search(r"\| layer 20 less layer 0 +\| 0 +\| - ", text)
