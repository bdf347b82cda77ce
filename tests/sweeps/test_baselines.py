"""Baselines stand in a sweep by one line each, at the rows and the budget of the rows beside them."""

import numpy as np
import pytest

import separatrix as sx
from command_line import write_csv
from separatrix.errors import OptionError
from separatrix.sweeps.grid import read_grid
from separatrix.sweeps.settings import spell_out

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def test_fine_tuning_and_peft_stand_beside_each_number_of_rows(small, tmp_path):
    pytest.importorskip("peft")
    own = {"probe": {}, "finetune": {"epochs": 1}, "peft": {"lr": 0.05}}
    grid = small(seeds=[0], grid={"per_class": [4, 8]}, baselines=own, reference="peft")
    result = sx.sweep(grid, out=tmp_path / "s")
    names = ["", *own]
    assert [line.get("row", "") for line in result.lines] == [name for name in names for _ in range(2)]
    assert [line["per_class"] for line in result.lines] == ["4", "8"] * 4
    assert [line.get("against") for line in result.lines[:4]] == ["peft, per_class=4", "peft, per_class=8"] * 2
    costs = {one["label"]: one["parameters"] for one in result.costs}
    assert costs["peft, per_class=4"] == 8 * 32 + 3 * 32 + 3  # a prompt of 8 tokens, a head of 3 classes
    assert costs["finetune, per_class=4"] > costs["peft, per_class=4"]
    rows = {line["label"]: line["run"] for line in result.by_seed}
    peft = sx.load(tmp_path / "s" / "runs" / rows["peft, per_class=8"])
    assert peft.rows["train"] == 24
    kept = peft.predictions["test"]
    again = peft.predict(list(kept["text"]))
    assert list(again["predicted"]) == list(kept["predicted"])
    chance = [name for name in kept if name.startswith("probability_")]
    np.testing.assert_allclose(again[chance], kept[chance], atol=1e-4)


def test_peft_has_the_budget_of_the_prompts_beside_it():
    grid = {
        "data": "x.csv", "train": {"epochs": 4, "loss": "cosine"}, "grid": {"tokens": [1, 5], "lr": [0.1, 0.2]},
        "baselines": ["peft", "knn"],
    }  # fmt: skip
    read, mistakes = read_grid(grid)
    own = [one for one in spell_out(read, mistakes) if one.baseline]
    assert [one.label for one in own] == ["peft, tokens=1", "peft, tokens=5", "knn"]
    assert {one.recipe.loop.epochs for one in own[:2]} == {4}
    assert [one.recipe.prompt.tokens for one in own[:2]] == [1, 5]


def test_rows_of_several_models_have_a_baseline_each():
    rows = [{"name": "ten", "model": "m", "depth": 10}, {"name": "all", "model": "m"}, {"name": "other", "model": "n"}]
    read, mistakes = read_grid({"data": "x.csv", "rows": rows, "baselines": ["majority", "probe"]})
    labels = [one.label for one in spell_out(read, mistakes) if one.baseline]
    assert labels == ["majority", "probe, model=m, depth=10", "probe, model=m", "probe, model=n"]


def test_rows_that_name_their_data_have_a_baseline_each():
    """Regression: two rows were called "majority"."""
    data = {"a": {"path": "a.csv"}, "b": {"path": "b.csv"}}
    rows = [{"name": "one", "data": "a"}, {"name": "two", "data": "b"}, {"name": "three", "data": "b"}]
    read, mistakes = read_grid({"data": data, "rows": rows, "baselines": ["majority", "knn"]})
    labels = [one.label for one in spell_out(read, mistakes) if one.baseline]
    assert labels == ["majority, data=a", "majority, data=b", "knn, data=a", "knn, data=b"]


def test_peft_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setattr("separatrix.sweeps.grid.find_spec", lambda name: None)
    _, mistakes = read_grid({"data": "x.csv", "baselines": ["peft"]})
    with pytest.raises(OptionError, match=r"baselines: peft is not installed; type: pip install .separatrix\[peft\]"):
        mistakes.check()


def test_numbers_are_compared_by_their_error(tiny, figures, tmp_path):
    texts = [text for part in figures.parts.values() for text in part.text]
    numbers = [str(number) for part in figures.parts.values() for number in part.label]
    path = write_csv(tmp_path / "numbers.csv", list(zip(texts, numbers, strict=True)))
    train = {"model": str(tiny("bert")), "loss": "mse", "epochs": 2, "snapshots": 0, "device": "cpu"}
    grid = {"data": str(path), "train": train, "grid": {"lr": [1e-4, 0.05]}, "baselines": ["majority"]}
    result = sx.sweep(grid, out=tmp_path / "s")
    assert result.metric == "rmse"
    lines = {line["label"]: line for line in result.lines}
    held = figures.validation.label
    assert 0.5 * np.std(held) < lines["majority"]["validation"] < 2 * np.std(held)  # always the training rows' mean
    less = min(("lr=0.0001", "lr=0.05"), key=lambda label: lines[label]["validation"])
    assert result.best[0].startswith(f"{less}: the best of 2 rows on validation")
