"""Trainings whose rows have several labels, end to end: figures, files, answers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.errors import DataError, OptionError
from separatrix.texts import Splits, Texts
from separatrix.training.export import export_classifier

COLOURS, BEASTS = ("red", "blue", "green"), ("cat", "dog")


def _rows(count: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """The labels of a text are words in it."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for row in range(count):
        words = [*generator.choice(COLOURS, generator.integers(1, 3), replace=False), str(generator.choice(BEASTS))]
        texts.append(f"the {' '.join(words)} {row % 9 + 1}")
        labels.append([str(word) for word in words if word != "green"])
    return texts, labels


@pytest.fixture(scope="module")
def several() -> Splits:
    parts = [Texts.of(*_rows(count, seed)) for seed, count in enumerate((90, 40, 40))]
    return Splits(parts[0], parts[1], parts[2], ())


@pytest.fixture(scope="module")
def probe_run(several: Splits, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "run"
    sx.train(several, model=str(tiny("bert")), out=out, method="probe", device="cpu")
    return out


def test_a_probe_of_several_labels_learns_and_is_read_again(several: Splits, probe_run: Path) -> None:
    result = sx.load(probe_run)
    scores = result.scores["test"]
    assert scores["majority"] + 0.1 < scores["micro_f1"]
    assert scores["interval"][0] <= scores["micro_f1"] <= scores["interval"][1]
    assert [line["name"] for line in scores["per_label"]] == ["blue", "cat", "dog", "red"] == result.classes
    assert result.model.calibration.thresholds == tuple(line["threshold"] for line in scores["per_label"])
    assert "recognised" in result.verdict
    page = (probe_run / "report.html").read_text()
    assert "threshold" in page
    assert "Confusion" not in page
    assert "A label is given where its probability reaches its threshold" in page
    frame = result.predict(list(several.test.text))  # type: ignore[union-attr]
    chance = frame[[f"probability_{name}" for name in result.classes]].to_numpy()
    given = chance >= np.array(result.model.calibration.thresholds)
    names = [tuple(name for name, one in zip(result.classes, row, strict=True) if one) for row in given]
    assert frame["predicted"].tolist() == names
    assert len(result.predict([])) == 0
    blank = result.predict(["the red cat", ""])
    assert blank["reason"].tolist()[1] == "no text"
    assert blank["predicted"][1] is None


def test_answers_are_written_as_lists_or_joined(probe_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text('text,label\nthe red cat,"cat;red"\nthe blue dog,dog\n')
    options = {"label": "label", "label_separator": ";"}
    frames = {
        kind: sx.predict(probe_run, data, out=tmp_path / f"a.{kind}", **options) for kind in ("csv", "jsonl", "parquet")
    }
    assert frames["csv"]["label"].tolist() == [("cat", "red"), ("dog",)]
    written = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert written["label"].tolist() == ["cat;red", "dog"]
    assert written["predicted"].tolist() == [";".join(labels) for labels in frames["csv"]["predicted"]]
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [tuple(line["predicted"]) for line in lines] == frames["csv"]["predicted"].tolist()
    stored = pd.read_parquet(tmp_path / "a.parquet")["predicted"]
    assert [tuple(labels) for labels in stored] == frames["csv"]["predicted"].tolist()


@pytest.mark.parametrize("limit", ["min_probability", "coverage"])
def test_rows_with_several_labels_are_not_withheld(probe_run: Path, limit: str) -> None:
    with pytest.raises(OptionError, match="decided one by one, by thresholds"):
        sx.predict(probe_run, Texts.of(["the red cat"]), **{limit: 0.5})


@pytest.mark.parametrize(
    "options",
    [
        {"method": "probe"},
        {"method": "finetune"},
        *({"method": "align", "k": 5, "vote": vote} for vote in ("uniform", "distance", "softmax")),
    ],
    ids=str,
)
def test_exported_to_onnx_labels_are_given_as_by_the_run(
    several: Splits, tiny: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    """The graph's logits through a sigmoid are the run's probabilities; thresholds stand beside them."""
    pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
    more = {} if options["method"] == "probe" else {"epochs": 1, "snapshots": 0}
    result = sx.train(several, model=str(tiny("bert")), out=tmp_path / "run", device="cpu", **options, **more)
    exported = export_classifier(result, out=tmp_path / "onnx")
    assert exported.table["same_answer"].tolist() == [1.0]
    texts = [*several.test.text[:9], " "]  # type: ignore[union-attr]
    frame = result.predict(list(several.test.text[:9]))  # type: ignore[union-attr]
    chances = frame[[f"probability_{name}" for name in result.classes]].to_numpy()
    again = sx.load(tmp_path / "onnx")
    np.testing.assert_allclose(again.predict_proba(texts)[:9], chances, atol=1e-5)
    marks = again.predict(texts)
    assert [tuple(again.classes_[row == 1]) for row in marks[:9]] == frame["predicted"].tolist()
    assert (marks[9] == -1).all()
    config = json.loads((tmp_path / "onnx" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"


def test_what_takes_one_label_a_row_says_so(several: Splits, tiny: Any) -> None:
    with pytest.raises(DataError, match="extract takes one label a row"):
        sx.extract(several, model=str(tiny("bert")), device="cpu")
    with pytest.raises(DataError, match="the loss mse needs numbers as labels"):
        sx.train(several, model=str(tiny("bert")), method="probe", loss="mse", device="cpu")


def test_runs_are_compared_by_the_rows_whose_whole_set_is_right(
    several: Splits, probe_run: Path, tiny: Any, tmp_path: Path
) -> None:
    other = sx.train(several, model=str(tiny("bert")), method="probe", pool="cls", device="cpu", out=tmp_path / "other")
    compared = sx.compare([probe_run, tmp_path / "other"], out=tmp_path / "both")
    right = []
    for result, line in zip((sx.load(probe_run), other), compared.sources, strict=True):
        answers = result.predictions["test"]
        right.append(np.array([set(a) == set(b) for a, b in zip(answers["label"], answers["predicted"], strict=True)]))
        assert line["accuracy"] == pytest.approx(right[-1].mean())
        assert line["accuracy"] == pytest.approx(result.scores["test"]["subset_accuracy"])
        assert line["macro_f1"] == pytest.approx(result.scores["test"]["macro_f1"])
    (pair,) = compared.pairs
    assert pair["difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert "if its whole set is" in (tmp_path / "both" / "compared.html").read_text()


def test_groups_are_refused(tiny: Any) -> None:
    texts, labels = _rows(40, 0)
    with_groups = Texts.of(texts, labels, ["g", "h"] * 20)
    with pytest.raises(DataError, match="groups are compared where rows have one label each"):
        sx.train(Splits(with_groups, with_groups, None, ()), model=str(tiny("bert")), method="probe", device="cpu")


def test_a_joined_column_is_recognised_in_a_training(tiny: Any, tmp_path: Path) -> None:
    texts, labels = _rows(60, 0)
    frame = pd.DataFrame({"text": texts, "label": [",".join(one) for one in labels]})
    frame.to_csv(tmp_path / "q.csv", index=False)
    options = {"model": str(tiny("bert")), "method": "probe", "device": "cpu"}
    result = sx.train(tmp_path / "q.csv", **options)
    assert any("type --label-separator , to learn several labels a row" in line for line in result.warnings)
    frame.assign(label=frame["label"].str.replace(",", ";")).to_csv(tmp_path / "q.csv", index=False)
    result = sx.train(tmp_path / "q.csv", label_separator=";", out=tmp_path / "run", **options)
    assert not any("label-separator" in line for line in result.warnings)
    for name, run in (("a", result), ("b", tmp_path / "run")):  # answers are joined as the labels of the training were
        answers = sx.predict(run, texts, out=tmp_path / f"{name}.csv")["predicted"]
        written = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)["predicted"]
        assert written.tolist() == [";".join(labels) for labels in answers]
        assert written.str.contains(";").any()
    assert "with the share of each label" in result.notes[0]


QUICK = {"epochs": 2, "device": "cpu"}


@pytest.mark.parametrize("method", ["prompt", "align", "finetune"])
def test_trainings_in_epochs_learn_several_labels(several: Splits, tiny: Any, tmp_path: Path, method: str) -> None:
    options = QUICK | ({"tokens": 2} if method == "prompt" else {})
    out = tmp_path / "run"
    result = sx.train(several, model=str(tiny("bert")), method=method, out=out, **options)
    scores = result.scores["test"]
    assert scores["micro_f1"] > 0.5
    assert all("macro_f1" in line["validation"] for line in result.metrics)
    loaded = sx.load(out)
    assert loaded.figures() == result.figures()
    texts = list(several.test.text[:9])  # type: ignore[union-attr]
    assert loaded.predict(texts)["predicted"].tolist() == result.predict(texts)["predicted"].tolist()
    again = sx.train(several, model=str(tiny("bert")), method=method, refit=True, **options)
    assert again.model.calibration == result.model.calibration


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("prompt", {"loss": "centroid_ce"}, "--loss centroid_ce takes one label a row"),
        ("prompt", {"loss": "linear"}, "--loss linear takes one label a row.*type --loss binary_ce"),
        ("align", {"loss": "supcon"}, "--loss supcon takes one label a row"),
        ("align", {"decision": "mean"}, "--decision mean takes one label a row"),
        ("align", {"decision": "both", "head_weight": 1.0}, "--decision both takes one label a row"),
        ("align", {"sampler": "balanced"}, "--sampler balanced takes one label a row.*--sampler shuffled"),
        ("peft", {}, "--method peft takes one label a row"),
    ],
)
def test_options_for_one_label_a_row_are_refused(
    several: Splits, tiny: Any, tmp_path: Path, method: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        sx.train(several, model=str(tiny("bert")), method=method, out=tmp_path / "run", device="cpu", **options)
    assert not (tmp_path / "run").exists()


def test_binary_ce_is_for_several_labels(splits: Splits, tiny: Any) -> None:
    with pytest.raises(OptionError, match="--loss binary_ce is for rows with several labels"):
        sx.train(splits, model=str(tiny("bert")), method="prompt", loss="binary_ce", device="cpu")


def test_weights_are_refused(several: Splits, tiny: Any) -> None:
    with pytest.raises(DataError, match="weights count where rows have one label each; leave --class-weight away"):
        sx.train(several, model=str(tiny("bert")), method="probe", class_weight="balanced", device="cpu")
