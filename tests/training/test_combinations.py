"""Kinds of data times verbs: each pair of the two is right, or refused by one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.cli.app import main
from separatrix.errors import SeparatrixError
from separatrix.store.table import read_table

WORDS = ("red", "blue", "green")
BEASTS = ("cat", "dog")
ALIGN = {"method": "align", "epochs": 2, "batch_size": 16, "snapshots": 0, "device": "cpu"}


def _frame(kind: str) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    first, second = (generator.choice(words, 90) for words in (WORDS, BEASTS))
    texts = [
        f"the {a} {b} {row % 9 + 1} {'old' if row % 2 else 'new'} house"
        for row, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    if kind == "sets":
        labels = [[str(a), str(b)] for a, b in zip(first, second, strict=True)]
        return pd.DataFrame({"text": texts, "label": labels})
    if kind == "pairs":
        turned = [text if row % 2 else f"not {texts[(row * 7 + 3) % 90]}" for row, text in enumerate(texts)]
        return pd.DataFrame({"a": texts, "b": turned, "label": ["same" if row % 2 else "other" for row in range(90)]})
    return pd.DataFrame({"text": texts, "label": first, "w": 1.0 + (np.arange(90) % 3)})


# What each kind needs: of reading a file, of a training.
READ: dict[str, dict[str, Any]] = {"sets": {}, "pairs": {"text": ("a", "b")}, "weighted": {}, "ordinal": {}}
TRAIN: dict[str, dict[str, Any]] = {
    "sets": {},
    "pairs": {},
    "weighted": {"weight": "w", "class_weight": "balanced"},
    "ordinal": {"order": WORDS},
}
PAIRS = "text pairs cannot be exported"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, paths = tmp_path_factory.mktemp("kinds"), dict[str, Path]()
    for kind in READ:
        paths[kind] = folder / f"{kind}.parquet"
        _frame(kind).to_parquet(paths[kind])
    return paths


@pytest.fixture(scope="module")
def runs(data: dict[str, Path], tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for kind, path in data.items():
        more = READ[kind] | TRAIN[kind]
        sx.train(path, model=str(tiny("bert")), out=folder / kind, method="probe", device="cpu", **more)
    return {kind: folder / kind for kind in data}


def _suspects_of_run(run: Path, _data: Path, _more: dict[str, Any], out: Path) -> None:
    found = sx.suspects(run, out=out)
    assert len(found.rows) == len(read_table(run / "predictions" / "validation.parquet", ("id",)))


def _suspects_of_file(_run: Path, data: Path, more: dict[str, Any], out: Path) -> None:
    found = sx.suspects(data, out=out, **more)
    assert len(found.rows) == 90
    issues = pd.read_csv(out / "label_issues.csv")
    assert set(pd.read_parquet(data).columns) - {"label"} <= {*issues.columns}


def _rank(_run: Path, data: Path, more: dict[str, Any], _out: Path) -> None:
    ranking = sx.rank(data, pool=("mean",), curve=True, resamples=20, **more)
    assert ranking.curve[0]["points"][-1]["rows"] == ranking.rows["train"]


def _compare(run: Path, _data: Path, _more: dict[str, Any], out: Path) -> None:
    shutil.copytree(run, out.with_name("twin"))
    table = sx.compare([run, out.with_name("twin")], out=out).table
    assert table["accuracy"].nunique() == 1


def _report(run: Path, _data: Path, _more: dict[str, Any], out: Path) -> None:
    shutil.copytree(run, out.with_name("twin"))
    assert main(["report", str(run), str(out.with_name("twin")), "--out", str(out.with_suffix(".html"))]) == 0


def _export(run: Path, _data: Path, _more: dict[str, Any], out: Path) -> None:
    pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
    exported = sx.export_classifier(run, out=out)
    assert exported.table["same_answer"].tolist() == [1.0]


def _resume(run: Path, data: Path, more: dict[str, Any], out: Path) -> None:
    kind = run.name
    shutil.copytree(run, out)
    again = sx.train(data, out=out, method="probe", device="cpu", resume=True, **more, **TRAIN[kind])
    assert any("finished before" in line for line in again.notes)
    before, after = (read_table(each / "predictions" / "test.parquet") for each in (run, out))
    pd.testing.assert_frame_equal(before, after)


VERBS: dict[str, tuple[Callable[..., None], dict[str, str]]] = {
    "suspects of the run": (_suspects_of_run, {}),
    "suspects of the file": (_suspects_of_file, {}),
    "rank with a curve": (_rank, {}),
    "compare": (_compare, {}),
    "report": (_report, {}),
    "export to ONNX": (_export, {"pairs": PAIRS}),
    "resume": (_resume, {}),
}


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("verb", VERBS)
def test_each_pair_is_right_or_refused(
    verb: str, kind: str, runs: dict[str, Path], data: dict[str, Path], tiny: Any, tmp_path: Path
) -> None:
    check, refused = VERBS[verb]
    more = READ[kind] | (
        {"model": str(tiny("bert"))} if verb in ("suspects of the file", "rank with a curve", "resume") else {}
    )
    if kind in refused:
        with pytest.raises(SeparatrixError, match=refused[kind]) as caught:
            check(runs[kind], data[kind], more, tmp_path / "out")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    else:
        check(runs[kind], data[kind], more, tmp_path / "out")


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", READ)
def test_answers_are_the_same_in_every_format_and_can_be_read_again(
    kind: str, ending: str, runs: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    out, columns = tmp_path / f"answers.{ending}", READ[kind].get("text", ("text",))
    words = ["predict", runs[kind], data[kind], "--text", *columns, "--label", "label", "--out", out]
    assert main([str(word) for word in words]) == 0
    answers = sx.predict(runs[kind], data[kind], text=columns, label="label")
    names = ("text", "text_pair") if kind == "pairs" else "text"
    separator = {"label_separator": ","} if kind == "sets" and ending == "csv" else {}
    again = sx.load_texts(out, text=names, label="predicted", drop_unlabelled=True, **separator)
    given = answers["predicted"].tolist()
    if kind == "sets" and ending == "csv":  # where a row without labels is an empty cell
        given = [one for one in given if one]
    assert again.label.tolist() == given
    probability = [name for name in answers if name.startswith("probability_")]
    read = {"csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True), "parquet": pd.read_parquet}[
        ending
    ](out)
    np.testing.assert_allclose(read[probability], answers[probability], atol=1e-9)


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
@pytest.mark.parametrize("kind", READ)
def test_a_killed_training_goes_on_to_the_same_answers(
    kind: str, data: dict[str, Path], tiny: Any, tmp_path: Path
) -> None:
    more = {**ALIGN, **READ[kind], **TRAIN[kind], "model": str(tiny("bert")), "checkpoint_seconds": 0}

    def kill(stage: str, done: int, total: int, _note: str) -> None:
        if stage == "training" and total and done > total / 2:
            raise KeyboardInterrupt("half-way")

    with pytest.raises(KeyboardInterrupt, match="half-way"):
        sx.train(data[kind], out=tmp_path / "killed", progress=kill, **more)
    sx.train(data[kind], out=tmp_path / "killed", resume=True, **more)
    sx.train(data[kind], out=tmp_path / "whole", **more)
    killed, whole = (read_table(tmp_path / name / "predictions" / "test.parquet") for name in ("killed", "whole"))
    pd.testing.assert_frame_equal(killed, whole)
