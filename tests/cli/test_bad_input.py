"""Bad input through the command line: one sentence on stderr, exit code 2, nothing half written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from command_line import Cli, Ran, check_mistake, files_of, write_csv
from separatrix.recipe import TrainRecipe

Make = Callable[[Path], object]  # a folder -> the DATA in it
GOOD = [("a cat", "cat"), ("a dog", "dog")] * 10


def table_of(rows: list[tuple[str, object]]) -> Make:
    return lambda folder: write_csv(folder / "data.csv", rows)


def parts_of(train: list[tuple[str, object]], test: list[tuple[str, object]]) -> Make:
    def make(folder: Path) -> Path:
        write_csv(folder / "parts" / "train.csv", train)
        return write_csv(folder / "parts" / "test.csv", test).parent

    return make


def file_of(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


LINES = [json.dumps({"text": text, "label": label}) for text, label in GOOD]
BAD_DATA: dict[str, tuple[Make, list[str], list[str]]] = {
    "missing file": (lambda folder: folder / "nope.csv", [], ["nope.csv"]),
    "wrong column": (table_of(GOOD), ["--label", "kind"], ["no column 'kind'", "text, label", "--label"]),
    "wrong text column": (table_of(GOOD), ["--text", "txt"], ["no column 'txt'", "did you mean --text text?"]),
    "empty text": (table_of([*GOOD, ("  ", "cat")]), [], ["data.csv", "20"]),
    "missing label": (table_of([*GOOD, ("a bird", "")]), [], ["data.csv", "20"]),
    "unlabelled part": (parts_of(GOOD, [("a cat", -1)]), [], ["test.csv", "leave a test part out with --test 0"]),
    "a class with one row": (
        table_of([("a cat", "cat"), ("a dog", "dog")] * 20 + [("a fish", "fish")]),
        ["--rare", "refuse"],
        ["one row to learn from: got 'fish'", "remove it"],
    ),
    "one class only": (table_of([(f"a cat {row}", "cat") for row in range(20)]), [], ["two classes", "only 'cat'"]),
    "unseen label": (parts_of(GOOD, [("a cat", "cats")]), [], ["test.csv", "unknown label", "did you mean 'cat'?"]),
    "broken encoding": (file_of("data.csv", b"text,label\na \xff cat,cat\n"), [], ["data.csv", "UTF-8"]),
    "malformed JSONL": (
        file_of("data.jsonl", "\n".join([*LINES[:3], '{"text": oops}', *LINES]).encode()),
        [],
        ["data.jsonl", "line 4"],
    ),
    "unknown ending": (file_of("data.xlsx", b"PK"), [], ["data.xlsx"]),
    "empty file": (file_of("data.csv", b""), [], ["data.csv"]),
    "names for mse": (table_of(GOOD), ["--loss", "mse"], ["mse needs numbers"]),
    "floats for classes": (table_of([(f"cat {row}", row % 2 + 0.5) for row in range(20)]), [], ["--loss mse"]),
    "group without column": (table_of(GOOD), ["--by", "group"], ["--group"]),
    "too few rows": (table_of(GOOD[:2]), [], ["data.csv"]),
    "test share of parts": (parts_of(GOOD, GOOD), ["--test", "0.3"], ["--test has no effect"]),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_sentence_and_writes_nothing(cli: Cli, tmp_path: Path, quick: list[str], case: str) -> None:
    make, words, parts = BAD_DATA[case]
    out = tmp_path / "run"
    check_mistake(cli("train", make(tmp_path), *quick, *words, "--out", out), *parts)
    assert not out.exists()


BAD_OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "tokens too few": (["--tokens", "0"], ["--tokens is out of range", "1 to 200"]),
    "tokens too many": (["--tokens", "201"], ["--tokens is out of range", "got 201"]),
    "no number": (["--tokens", "many"], ["--tokens", '"many"']),
    "negative rate": (["--lr", "-1"], ["--lr is out of range"]),
    "rate is NaN": (["--lr", "nan"], ["--lr is out of range"]),
    "no epochs": (["--epochs", "0"], ["--epochs is out of range"]),
    "no batch": (["--batch-size", "0"], ["--batch-size is out of range"]),
    "share of 1.5": (["--validation", "1.5"], ["validation is out of range"]),
    "everything is test": (["--test", "1"], ["test is out of range"]),
    "temperature 0": (["--temperature", "0"], ["--temperature is out of range"]),
    "unknown loss": (["--loss", "cosin"], ["'cosin'", "did you mean 'cosine'?"]),
    "unknown mover": (["--mover", "gradeint"], ["did you mean 'gradient'?"]),
    "unknown method": (["--method", "prob"], ["did you mean 'probe'?"]),
    "unknown way to split": (["--by", "lable"], ["did you mean 'label'?"]),
    "unknown option": (["--epoch", "3"], ["--epoch", "did you mean --epochs?"]),
    "option without a value": (["--lr"], ["--lr requires an argument"]),
    "option twice": (["--lr", "1", "--lr", "2"], ["--lr specified multiple times"]),
    "a word too many": (["more.csv"], ["more.csv"]),
    "init without text": (["--init", "text"], ["--init-text"]),
    "prompt option for a probe": (["--method", "probe", "--lr", "1"], ["--lr has no effect"]),
    "loss for a probe": (["--method", "probe", "--loss", "cosine"], ["--loss has no effect"]),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_refused_before_any_work(cli: Cli, tmp_path: Path, table: Path, case: str) -> None:
    words, parts = BAD_OPTIONS[case]
    check_mistake(cli("train", table, "--out", tmp_path / "run", *words), *parts)
    assert not (tmp_path / "run").exists()


def test_missing_words_are_named(cli: Cli, tmp_path: Path) -> None:
    check_mistake(cli("train", "--out", tmp_path / "run"), "DATA")
    check_mistake(cli("train", "data.csv"), "--out")
    check_mistake(cli("trian", "data.csv"), 'did you mean "train"?')
    check_mistake(cli("report"), "report needs a folder")


def test_unknown_model(cli: Cli, tmp_path: Path, table: Path) -> None:
    ran = cli("train", table, "--model", "no/such-model", "--quiet", "--out", tmp_path / "run")
    check_mistake(ran, "'no/such-model'", "neither as a folder nor on the hub")
    assert not (tmp_path / "run").exists()


def test_model_without_safetensors(cli: Cli, tmp_path: Path, table: Path, tiny: Callable[[str], Path]) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny("bert"), bare, ignore=shutil.ignore_patterns("*.safetensors"))
    ran = cli("train", table, "--model", bare, "--quiet", "--out", tmp_path / "run")
    check_mistake(ran, "no safetensors weights", "save_pretrained")
    assert not (tmp_path / "run").exists()


def test_prompt_longer_than_the_model_allows(cli: Cli, tmp_path: Path, table: Path, quick: list[str]) -> None:
    ran = cli("train", table, *quick[:2], "--tokens", 127, "--quiet", "--out", tmp_path / "run")
    check_mistake(ran, "127", "no room")
    assert not (tmp_path / "run").exists()


def test_no_room_for_the_cache(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    ran = cli("train", table, *quick, "--cache", "disk", "--out", tmp_path / "run")
    check_mistake(ran, "no room for the text cache", "--cache off")
    assert not (tmp_path / "run").exists()


def test_out_that_exists_is_left_alone(cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path) -> None:
    before = files_of(finished)
    check_mistake(cli("train", table, *quick, "--out", finished), "exists", "--overwrite", "--resume")
    assert files_of(finished) == before
    file = write_csv(tmp_path / "out", GOOD)
    check_mistake(cli("train", table, *quick, "--out", file), "is a file")
    folder = write_csv(tmp_path / "mine" / "thesis.csv", GOOD).parent
    check_mistake(cli("train", table, *quick, "--out", folder, "--overwrite"), "not replaced")
    assert files_of(folder).keys() == {"thesis.csv"}


def test_a_mistake_leaves_the_run_that_was_to_be_replaced(
    cli: Cli, tmp_path: Path, quick: list[str], finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    one = write_csv(tmp_path / "one.csv", [(f"a cat {row}", "cat") for row in range(20)])
    check_mistake(cli("train", one, *quick, "--out", out, "--overwrite"), "two classes")
    good = write_csv(tmp_path / "good.csv", GOOD)
    check_mistake(cli("train", good, "--model", "no/such", "--quiet", "--out", out, "--overwrite"), "no/such")
    assert files_of(out) == files_of(finished)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "one.csv", "good.csv"}


def test_resume_with_other_options_leaves_the_run(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    ran = cli("train", table, *quick, "--out", out, "--resume", "--lr", "0.5")
    check_mistake(ran, "begun with other options", f"lr 0.5 instead of {TrainRecipe().loop.lr}")
    other = write_csv(tmp_path / "other.csv", GOOD)
    check_mistake(cli("train", other, *quick, "--out", out, "--resume"), "other texts")
    assert files_of(out) == files_of(finished)


def test_predict_refuses_what_is_no_run(cli: Cli, tmp_path: Path, table: Path, finished: Path) -> None:
    answers = tmp_path / "answers.csv"
    check_mistake(cli("predict", tmp_path, table, "--out", answers, "--quiet"), "no trained model", "train")
    check_mistake(cli("predict", tmp_path / "nope", table, "--out", answers, "--quiet"), "no trained model")
    check_mistake(cli("predict", finished, tmp_path / "nope.csv", "--out", answers), "nope.csv")
    check_mistake(cli("predict", finished, table, "--out", tmp_path / "answers.txt"), ".parquet, .csv, .jsonl")
    check_mistake(cli("predict", finished, table, "--out", tmp_path), "cannot be written as a table")
    check_mistake(cli("predict", finished, table, "--out", answers, "--text", "txt"), "did you mean --text text?")
    assert not answers.exists()
    answers.write_text("mine")
    check_mistake(cli("predict", finished, table, "--out", answers), "exists", "--overwrite")
    assert answers.read_text() == "mine"


def test_predict_refuses_other_weights(
    cli: Cli, tmp_path: Path, table: Path, finished: Path, tiny: Callable[[str], Path]
) -> None:
    from safetensors.numpy import load_file, save_file

    other = shutil.copytree(tiny("bert"), tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] + 1}, other / "model.safetensors", {"format": "pt"})
    ran = cli("predict", finished, table, "--model", other, "--out", tmp_path / "a.csv", "--quiet")
    check_mistake(ran, "other weights")
    assert not (tmp_path / "a.csv").exists()


def test_report_refuses_a_folder_that_is_given_twice(cli: Cli, tmp_path: Path, finished: Path) -> None:
    page = tmp_path / "page.html"
    again = finished / "pictures" / ".."
    check_mistake(cli("report", finished, again, "--out", page, "--quiet"), "are the same folder", "each folder once")
    check_mistake(cli("report", finished, finished, "--out", page, "--quiet"), "is given twice")
    assert not page.exists()


def test_report_refuses_what_is_no_run(cli: Cli, tmp_path: Path, finished: Path) -> None:
    check_mistake(cli("report", tmp_path, "--quiet"), "no finished run")
    check_mistake(cli("report", finished, tmp_path, "--quiet"), "needs a file", "--out FILE.html")
    check_mistake(cli("report", finished, tmp_path, "--quiet", "--out", tmp_path / "all.html"), "holds no result")
    assert not (tmp_path / "all.html").exists()
    page = tmp_path / "page.html"
    page.write_text("mine")
    check_mistake(cli("report", finished, "--out", page), "exists", "--overwrite")
    assert page.read_text() == "mine"


@pytest.mark.parametrize("words", [["train", "--epoch", "3"], ["import", "nope.csv", "--out", "points"]])
def test_in_a_process_of_its_own(tmp_path: Path, words: list[str]) -> None:
    """The same through the installed entry: no traceback, stdout empty, exit code 2."""
    program = [sys.executable, "-m", "separatrix", *words]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    check_mistake(Ran(done.returncode, done.stdout, done.stderr))
    assert list(tmp_path.iterdir()) == []
