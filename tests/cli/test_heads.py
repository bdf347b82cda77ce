"""`heads` and `heads-qa` as text: what was left out is said, bad answers are one sentence, both spellings work."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Cli, check_mistake
from separatrix.cli import commands

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")
WORDS = ("cat", "dog", "bird", "fish", "tree", "house", "river", "red", "blue", "green")


def write_squad(path: Path, changes: dict[int, object] | None = None) -> Path:
    """Ten contexts of two questions; `changes` are the answers of some rows."""
    paragraphs = []
    for place, word in enumerate(WORDS):
        context = f"the old {word} is in the house by the river and the {WORDS[place - 1]} is not"
        rows = [{"id": f"q{row}", "question": f"where is the {word} ?",
                 "answers": (changes or {}).get(row, [{"text": word, "answer_start": 8}])}
                for row in (2 * place, 2 * place + 1)]  # fmt: skip
        paragraphs.append({"context": context, "qas": rows})
    paragraphs.append({"context": " ", "qas": [{"id": "empty", "question": "who ?", "answers": []}]})
    path.write_text(json.dumps({"data": [{"title": "animals", "paragraphs": paragraphs}]}))
    return path


SKIPPED = {0: [{"text": "cat", "answer_start": 3}], 3: {"text": ["dog", "old dog"], "answer_start": [8]}}


def test_what_was_left_out_is_said(cli: Cli, tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    data = write_squad(tmp_path / "dev.json", SKIPPED)
    small = ("--max-length", 30, "--max-query-length", 8, "--device", "cpu", "--quiet", "--model", tiny("bert"))
    clusters = ("--k", 3, "--min-cluster-size", 8, "--min-samples", 4, "--permutations", 19, "--components", 5)
    page = ("--sentences", 2, "--importance-windows", 4, "--cells", 6, "--windows", 90)
    ran = cli("heads", data, *small, *clusters, *page, "--out", tmp_path / "atlas")
    assert ran.code == 0, ran.err
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "note 1 answers whose offset is wrong" in lines
    assert "note 1 answers without an offset" in lines
    assert "note 1 rows left out: empty context" in lines
    assert "note 90 windows were asked for, the data give 20" in lines
    (answer,) = [line for line in lines if line.startswith("removed ")]
    assert "Loss `match`" in answer
    assert any(line.startswith("cluster heads gradient loss without a head") for line in lines)


def test_questions_are_answered_under_both_names(cli: Cli, tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    data = write_squad(tmp_path / "dev.json", SKIPPED)
    words = (data, "--max-length", 30, "--max-query-length", 8, "--epochs", 1, "--device", "cpu", "--quiet")
    model = ("--model", tiny("bert"))
    short = cli("heads", "finetune-qa", *words, *model, "--out", tmp_path / "a")
    assert short.code == 0, short.err
    assert "note 1 answers whose offset is wrong" in " ".join(short.out.split())
    assert "exact match" in short.out
    check_mistake(cli("heads", "finetune-qa", *words, *model, "--out", tmp_path / "a"), "type --overwrite")
    check_mistake(cli("heads", "finetune-qa", *words, "--epoch", 2, "--out", tmp_path / "b"), "did you mean --epochs?")


@pytest.mark.parametrize("command", [("heads",), ("heads-qa",)])
@pytest.mark.parametrize(
    "answers",
    [{"text": ["cat"], "answer_start": [4, 5]}, [{"answer_start": 4}], '{"text": ["cat"'],
    ids=["too many offsets", "no text", "broken JSON"],
)
def test_malformed_answers_are_the_users_mistake(
    cli: Cli, tmp_path: Path, command: tuple[str, ...], answers: object
) -> None:
    data, out = write_squad(tmp_path / "dev.json", {5: answers}), tmp_path / "out"
    check_mistake(cli(*command, data, "--out", out), "dev.json, row 5 (id q5)", "the answers cannot be read")
    assert not out.exists()


def test_examples_in_docstrings() -> None:
    found = doctest.testmod(commands)
    assert found.attempted > 0
    assert found.failed == 0


def test_heads_are_extracted_clustered_and_associated(cli: Cli, tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    rows = [f"the {word} is in the house,{place % 2}" for place, word in enumerate(WORDS)]
    (tmp_path / "x.csv").write_text("\n".join(["text,kind", *rows]))
    small = ("--model", tiny("bert"), "--device", "cpu", "--features", "descriptors", "--max-length", 20, "--quiet")
    points, clusters = tmp_path / "points", tmp_path / "clusters"
    ran = cli(
        "extract", tmp_path / "x.csv", "--label", "kind", "--what", "attention", *small, "--out", points, "--json"
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["blocks"] == {"descriptors": 15}
    assert json.loads(ran.out)["rows"] == len(WORDS) * 12
    ran = cli("cluster", points, "--k", 4, "--permutations", 19, "--out", clusters, "--quiet")
    assert ran.code == 0, ran.err
    ran = cli("associate", clusters, "--with", "layer", "label", "--permutations", 19, "--quiet")
    assert ran.code == 0, ran.err
    assert "whole layer+head" in ran.out
