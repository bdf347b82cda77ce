"""The happy paths: train, predict, report, demo; what goes to stdout, what to stderr, and what stays on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_line import Cli, check_mistake, files_of, write_csv

RUN_FILES = {"recipe.json", "metrics.jsonl", "result.json", "model.safetensors", "model.json", "report.html"}


def test_train_prints_one_object_with_the_keys_of_the_contract(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str]
) -> None:
    out = tmp_path / "runs" / "a"
    ran = cli("train", table, *quick, "--seed", 3, "--out", out, "--json")
    found = ran.json
    assert ran.err == ""
    assert found.keys() >= {"run", "method", "scores", "seconds", "warnings", "report", "notes"}
    assert (found["run"], found["method"], found["report"]) == (str(out), "prompt", str(out / "report.html"))
    assert found["scores"].keys() == {"validation", "test"}
    for figures in found["scores"].values():
        assert figures.keys() >= {"accuracy", "macro_f1", "majority", "interval"}
        low, high = figures["interval"]
        assert 0 <= low <= figures["accuracy"] <= high <= 1
    assert {path.name for path in out.iterdir() if path.is_file()} >= RUN_FILES
    assert (out / "predictions" / "test.parquet").is_file()
    recipe = json.loads((out / "recipe.json").read_text())
    assert (recipe["loop"]["seed"], recipe["prompt"]["tokens"], recipe["method"]) == (3, 2, "prompt")
    assert recipe["data"]["train"]["source"].startswith(table.name)


def test_tables_go_to_stdout_and_the_rest_to_stderr(cli: Cli, tmp_path: Path, table: Path, quick: list[str]) -> None:
    loud = [word for word in quick if word != "--quiet"]
    ran = cli("train", table, *loud, "--max-length", 4, "--out", tmp_path / "run")
    assert ran.code == 0
    lines = ran.err.splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(("warning", " "))] == [
        "model",
        "texts (train)",
        "texts (validation)",
        "training",
        "evaluation (validation)",
        "evaluation (test)",
        "pictures and report",
    ]
    assert re.search(r"^training: [23] steps$", ran.err, re.MULTILINE)  # 32 rows a step
    heading = ran.out.splitlines()[0]
    for name in ("method", "split", "accuracy (95 % interval)", "macro-F1", "majority"):
        assert name in heading
    assert sum(line.startswith("prompt ") for line in ran.out.splitlines()) == 2
    assert "linear probe" in ran.out
    assert "texts were cut to 4 tokens" in ran.out  # longer texts are counted
    assert str(tmp_path / "run" / "report.html") in ran.out.splitlines()[-1]


def test_predict_labels_new_texts(cli: Cli, tmp_path: Path, rows: list[tuple[str, str]], finished: Path) -> None:
    new = write_csv(tmp_path / "new.csv", [[text] for text, _ in rows[:7]], ["body"])
    words = ("predict", finished, new, "--text", "body", "--quiet")
    tables = {}
    for ending in ("parquet", "csv", "jsonl"):
        out = tmp_path / f"answers.{ending}"
        found = cli(*words, "--out", out, "--json").json
        assert (found["rows"], found["out"], found["cut"]) == (7, str(out), 0)
        read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda p: pd.read_json(p, lines=True)}[ending]
        tables[ending] = read(out)
    first = tables["parquet"]
    names = ["bird", "cat", "dog"]
    kinds = [f"{kind}_{name}" for kind in ("probability", "distance") for name in names]
    assert list(first.columns) == ["id", "text", "predicted", *kinds]
    assert first["text"].tolist() == [text for text, _ in rows[:7]]
    chances = first[[f"probability_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-6)
    assert first["predicted"].tolist() == [names[place] for place in chances.argmax(axis=1)]
    for other in ("csv", "jsonl"):
        assert tables[other]["predicted"].tolist() == first["predicted"].tolist()
    shown = cli(*words, "--out", tmp_path / "answers.csv", "--overwrite")
    assert shown.code == 0
    assert shown.out.splitlines()[0].split() == ["predicted", "probability", "text"]


def test_predict_repeats_the_answers_of_the_run(cli: Cli, tmp_path: Path, finished: Path) -> None:
    before = pd.read_parquet(finished / "predictions" / "test.parquet")
    data = tmp_path / "test.parquet"
    before[["text", "label"]].to_parquet(data)
    out = tmp_path / "again.parquet"
    found = cli("predict", finished, data, "--label", "label", "--out", out, "--quiet", "--json").json
    assert found["rows"] == len(before)
    assert found["accuracy"] == pytest.approx((before["predicted"] == before["label"]).mean())
    shown = cli("predict", finished, data, "--label", "label", "--out", tmp_path / "shown.csv").out
    low, high = found["interval"]
    assert re.search(rf"accuracy +{found['accuracy']:.3f} \({low:.3f} to {high:.3f}\)", shown)
    after = pd.read_parquet(out)
    assert after["label"].tolist() == before["label"].tolist()
    assert after["predicted"].tolist() == before["predicted"].tolist()
    np.testing.assert_allclose(after.filter(like="prob"), before.filter(like="prob"), atol=1e-3)


def test_predict_leaves_unsure_rows_unanswered_and_counts(
    cli: Cli, tmp_path: Path, finished: Path, table: Path
) -> None:
    words = ["predict", finished, table, "--label", "label", "--coverage", "0.5"]
    ran = cli(*words, "--out", tmp_path / "some.csv", "--json").json
    assert ran["answered"] + ran["withheld"] == ran["rows"]
    assert 0.5 <= ran["answered"] / ran["rows"] < 0.7
    frame = pd.read_csv(tmp_path / "some.csv")
    kept = frame[frame["answered"]]
    assert frame["predicted"].isna().sum() == ran["withheld"]
    assert ran["accuracy_answered"] == pytest.approx((kept["predicted"] == kept["label"]).mean())
    shown = cli("predict", finished, table, "--min-probability", "1", "--out", tmp_path / "none.csv")
    assert "withheld" in shown.out
    assert pd.read_csv(tmp_path / "none.csv")["predicted"].isna().all()


def test_predict_gives_blank_rows_no_answer_and_a_reason(cli: Cli, tmp_path: Path, finished: Path) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("a cat", None, "\u200b", "a dog")))
    alone = tmp_path / "alone.jsonl"
    alone.write_text('{"text": "a cat"}\n{"text": "a dog"}\n')
    cli("predict", finished, alone, "--out", tmp_path / "alone.parquet", "--quiet")
    for ending in (".parquet", ".csv", ".jsonl"):
        ran = cli("predict", finished, new, "--out", tmp_path / f"a{ending}", "--json")
        assert (ran.json["rows"], ran.json["unanswered"]) == (4, 2)
        assert ran.json["warnings"] == ["2 of 4 texts get no answer (no text): rows 1, 2 (counted from 0)"]
    found, plain = pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "alone.parquet")
    assert found["reason"].fillna("-").tolist() == ["-", "no text", "no text", "-"]
    assert "reason" not in plain.columns
    kept = found.iloc[[0, 3]].drop(columns=["reason", "id"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, plain.drop(columns="id"), check_dtype=False)
    assert found.iloc[[1, 2]].drop(columns=["id", "text", "reason"]).isna().all(axis=None)
    shown = cli("predict", finished, new, "--out", tmp_path / "b.csv", "--quiet").out.splitlines()
    assert shown[2].split() == ["-", "-", "(no", "text)"]


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text,label\n"), ("a.jsonl", "\n"), ("a.json", "[]")])
def test_predict_of_no_rows_gives_no_answers_with_all_columns(
    cli: Cli, tmp_path: Path, finished: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    ran = cli("predict", finished, tmp_path / name, "--out", tmp_path / "none.csv", "--json")
    assert (ran.json["rows"], ran.json["unanswered"], ran.json["cut"], ran.json["warnings"]) == (0, 0, 0, [])
    (tmp_path / "one.csv").write_text("text\na cat\n")
    cli("predict", finished, tmp_path / "one.csv", "--out", tmp_path / "some.csv", "--quiet")
    none, some = pd.read_csv(tmp_path / "none.csv"), pd.read_csv(tmp_path / "some.csv")
    assert (len(none), len(some)) == (0, 1)
    assert list(none.columns) == list(some.columns)
    assert cli("predict", finished, tmp_path / name, "--out", tmp_path / "other.csv").code == 0


def test_predict_counts_texts_that_are_cut(cli: Cli, tmp_path: Path, finished: Path) -> None:
    new = write_csv(tmp_path / "new.csv", [["the cat " * 200], ["a dog"]], ["text"])
    ran = cli("predict", finished, new, "--out", tmp_path / "a.csv", "--json")
    assert ran.json["cut"] == 1
    assert "warning: 1 of 2 texts were cut" in ran.err


def test_report_is_made_from_the_run_alone(cli: Cli, tmp_path: Path, finished: Path) -> None:
    out = tmp_path / "page.html"
    found = cli("report", finished, "--out", out, "--json", "--quiet").json
    assert found == {"out": str(out), "bytes": out.stat().st_size}
    shown = cli("report", finished, "--out", out, "--overwrite", "--quiet")
    assert shown.out.split() == ["out", str(out), "bytes", str(out.stat().st_size)]


def test_resume_starts_where_nothing_is_and_changes_nothing_that_is_done(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path
) -> None:
    out = tmp_path / "fresh"
    first = cli("train", table, *quick, "--out", out, "--resume", "--json").json
    weights = (out / "model.safetensors").read_bytes()
    assert weights == (finished / "model.safetensors").read_bytes()
    second = cli("train", table, *quick, "--out", out, "--resume", "--json").json
    assert second["scores"] == first["scores"]
    assert (out / "model.safetensors").read_bytes() == weights


def test_overwrite_replaces_a_run(cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    (out / "stale").write_text("of somebody else")
    assert cli("train", table, *quick, "--tokens", "3", "--out", out, "--overwrite").code == 2  # --tokens twice
    assert (out / "stale").exists()
    words = [*quick[:2], "--epochs", "1", "--tokens", "3", "--quiet"]
    refused = cli("train", table, *words, "--out", out, "--overwrite")
    assert (refused.code, "it holds stale, which this command did not write" in refused.err) == (2, True)
    assert (out / "stale").exists()
    (out / "stale").unlink()
    assert cli("train", table, *words, "--out", out, "--overwrite").code == 0
    assert json.loads((out / "recipe.json").read_text())["prompt"]["tokens"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_probe_on_class_folders(
    cli: Cli, tmp_path: Path, rows: list[tuple[str, str]], tiny: Callable[[str], Path]
) -> None:
    for place, (text, label) in enumerate(rows):
        file = tmp_path / "data" / label / f"{place}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    out = tmp_path / "probe"
    words = ["--method", "probe", "--model", tiny("bert"), "--seed", 1, "--quiet"]
    found = cli("train", tmp_path / "data", *words, "--out", out, "--json").json
    assert (found["method"], found["classes"]) == ("probe", ["bird", "cat", "dog"])
    assert found["scores"]["test"]["accuracy"] > found["scores"]["test"]["majority"]
    new = write_csv(tmp_path / "new.csv", [[text] for text, _ in rows[:5]], ["text"])
    assert cli("predict", out, new, "--out", tmp_path / "a.csv", "--quiet", "--json").json["rows"] == 5


def test_numbers_to_predict(cli: Cli, tmp_path: Path, rows: list[tuple[str, str]], quick: list[str]) -> None:
    value = {"cat": 1.5, "dog": 2.5, "bird": 4.0}
    data = write_csv(tmp_path / "data.csv", [(text, value[label]) for text, label in rows])
    out = tmp_path / "run"
    ran = cli("train", data, *quick, "--loss", "mse", "--out", out)
    assert ran.code == 0, ran.err
    assert "RMSE of the mean" in ran.out.splitlines()[0]
    result = json.loads((out / "result.json").read_text())
    assert result["scores"]["test"].keys() >= {"rmse", "baseline_rmse", "interval"}
    assert any("drawn plainly" in note for note in result["notes"])
    answers = tmp_path / "a.csv"
    assert cli("predict", out, data, "--out", answers, "--quiet").code == 0
    assert pd.read_csv(answers)["predicted"].dtype == float


def test_errors_of_small_numbers_are_not_printed_as_zero(
    cli: Cli, tmp_path: Path, rows: list[tuple[str, str]], quick: list[str]
) -> None:
    """Regression: `predict` and the table of `train` said "0.000 (0.000 to 0.000)"."""
    value = {"cat": 1.5e-30, "dog": 2.5e-30, "bird": 4e-30}
    data = write_csv(tmp_path / "data.csv", [(text, value[label]) for text, label in rows])
    out, error = tmp_path / "run", r"\d[.\d]*e-3\d \(\d[.\d]*e-3\d to \d[.\d]*e-3\d\)"
    trained = cli("train", data, *quick, "--loss", "mse", "--out", out)
    assert re.search(rf"prompt +\S+ +test +{error}", trained.out), trained.out
    ran = cli("predict", out, data, "--label", "label", "--explain", "--out", tmp_path / "a.csv")
    assert len(re.findall(rf"rmse +{error}", ran.out)) == 2, ran.out
    page = (out / "report.html").read_text()
    assert re.search(r"root mean square error</dt>\s*<dd[^>]*>\d[.\d]*e-3\d", page)


def test_demo_replaces_its_own_run_and_nothing_else(
    cli: Cli, tmp_path: Path, tiny: Callable[[str], Path], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["demo", "--model", tiny("bert"), "--epochs", 1, "--quiet"]
    found = cli(*words, "--json").json
    assert found.keys() >= {"run", "report", "scores"}
    assert found["run"] == "runs/demo"
    assert Path(found["report"]).is_file()
    again = cli(*words, "--seed", 1)
    assert again.code == 0, again.err
    assert json.loads(Path("runs/demo/recipe.json").read_text())["loop"]["seed"] == 1
    assert "accuracy" in again.out
    other = shutil.copytree(finished, tmp_path / "other")
    check_mistake(cli(*words, "--out", other), "holds no earlier demo")
    assert files_of(other) == files_of(finished)


def test_quiet_and_json_in_a_process_of_its_own(tmp_path: Path, table: Path, quick: list[str]) -> None:
    """No library writes to either stream behind our back."""
    words = [sys.executable, "-m", "separatrix", "train", str(table), *quick, "--out", "run", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["run"] == "run"
