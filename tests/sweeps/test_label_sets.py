"""A sweep over rows with several labels is judged by macro-F1; what takes one label a row is refused at once."""

from __future__ import annotations

import numpy as np
import pytest

import separatrix as sx
from command_line import write_csv
from separatrix.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
WORDS = {"animal": ("dog", "cat", "bird"), "colour": ("red", "blue", "green"), "place": ("house", "garden", "street")}


@pytest.fixture
def grid(tiny, tmp_path):
    """Two methods over a file whose labels are joined by a sign."""
    rng, rows = np.random.default_rng(0), []
    for number in range(60):
        kinds = sorted(rng.choice(list(WORDS), size=int(rng.integers(1, 3)), replace=False))
        rows.append((" ".join(["the", *(rng.choice(WORDS[kind]) for kind in kinds), f"{number}"]), ";".join(kinds)))
    path = write_csv(tmp_path / "sets.csv", rows)
    train = {"model": str(tiny("bert")), "epochs": 1, "snapshots": 0, "device": "cpu"}
    methods = [{"name": "votes", "method": "align"}, {"name": "prompt", "tokens": 2}]
    data = {"path": str(path), "label_separator": ";"}
    return {"data": data, "train": train, "rows": methods, "seeds": [0, 1], "baselines": ["majority", "probe", "knn"]}


def test_rows_with_several_labels_are_judged_by_macro_f1(grid, tmp_path):
    result = sx.sweep(grid | {"reference": "votes"}, out=tmp_path / "s")
    assert result.metric == "macro_f1"
    runs = {(run["label"], run["seed"]): run for run in result.by_seed}
    for (label, _seed), run in runs.items():
        scores = sx.load(tmp_path / "s" / "runs" / run["run"]).scores["test"]
        if label in ("votes", "prompt", "probe"):
            assert run["test"] == pytest.approx(scores["macro_f1"], abs=1e-6)
        elif label == "majority":
            assert run["test"] == pytest.approx(scores["majority_macro_f1"], abs=1e-6)
    lines = {line["label"]: line for line in result.lines}
    assert lines["prompt"]["against"] == "votes"
    assert all(0 <= line["test_low"] <= line["test"] <= line["test_high"] <= 1 for line in lines.values())
    assert "Figures: macro_f1." in (tmp_path / "s" / "table.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [{"name": "one", "loss": "cosine"}]}, "loss: --loss cosine takes one label a row"),
        ({"rows": [{"name": "one", "method": "peft"}]}, "--method peft takes one label a row"),
    ],
)
def test_what_takes_one_label_a_row_is_refused_before_anything_runs(grid, change, message, tmp_path):
    pytest.importorskip("peft")
    with pytest.raises(OptionError, match=message):
        sx.sweep(grid | change, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_rows_with_one_label_and_with_several_are_two_sweeps(grid, tmp_path):
    plain = write_csv(tmp_path / "plain.csv", [(f"the dog {row}", "ab"[row % 2]) for row in range(40)])
    both = grid | {"data": {"sets": grid["data"], "plain": {"path": str(plain)}}}
    with pytest.raises(OptionError, match="some rows are judged by accuracy and some by macro_f1; give each its own"):
        sx.sweep(both, out=tmp_path / "s")
