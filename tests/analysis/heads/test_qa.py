"""Fine-tuning as a run: the split keeps contexts whole, the folder opens, the command prints."""

import json
from pathlib import Path

import pandas as pd
import pytest

from separatrix.analysis.heads.qa import doubts, split_by_context
from separatrix.cli import app
from separatrix.errors import DataError
from separatrix.heads.answers import squad_scores
from separatrix.heads.qa import Answered, some
from separatrix.texts.questions_answers import Example


def test_split_keeps_contexts_whole():
    examples = [Example(str(row), "q", f"c{row // 3}", row // 3) for row in range(30)]
    train, held = split_by_context(examples, 0.2, 0)
    assert len(held) == 6
    assert len(train) == 24
    assert not {each.context for each in train} & {each.context for each in held}
    assert split_by_context(examples, 0.2, 0) == (train, held)
    with pytest.raises(DataError, match="one context cannot be split"):
        split_by_context(examples[:3], 0.2, 0)


def test_command(tiny, tmp_path, capsys):
    rows = [
        {"id": str(row), "question": "where is the cat ?", "context": f"the old cat is on the house {row // 2}",
         "answers": {"text": ["cat"], "answer_start": [8]}}
        for row in range(12)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    words = [
        "heads-qa", str(tmp_path / "train.parquet"), "--model", str(tiny("bert")), "--out", str(tmp_path / "qa"),
        "--max-length", "30", "--max-query-length", "8", "--epochs", "1", "--device", "cpu", "--quiet", "--json",
    ]  # fmt: skip
    assert app.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["has_answer_total"] == 2
    assert found["scores"]["no_answer_exact"] is None
    assert 0 <= found["scores"]["f1"] <= 1
    assert found["windows"] == 10
    assert 0 <= found["share_empty"] <= 1
    assert found["baseline_exact"] == 0
    assert len(pd.read_parquet(tmp_path / "qa" / "answers.parquet")) == 2
    assert (tmp_path / "qa" / "model.safetensors").is_file()
    assert app.main(words) == 2
    assert "type --overwrite" in capsys.readouterr().err


def answered(golds, texts):
    """What a training gives whose model answers `texts` to questions with these right answers."""
    examples = [Example(str(row), "q", "c", 0, golds=tuple(gold)) for row, gold in enumerate(golds)]
    answers = {example.id: text for example, text in zip(examples, texts, strict=True)}
    return Answered(Path(), squad_scores(examples, answers), (0.0,), 1, 0, answers)


def test_a_model_that_never_answers_is_called_so():
    """Seed 002 took the share of questions without an answer for a score."""
    [said] = doubts(answered([["cat"], [], []], ["", "", ""]))
    assert "exact match of 0.667 is this share alone" in said
    [said] = doubts(answered([["cat"], []], ["dog", ""]))
    assert "not learnt to answer" in said
    assert not doubts(answered([["cat"], []], ["the cat", "dog"]))
    assert not doubts(answered([[], []], ["dog", ""]))


def test_questions_asked_are_drawn_by_the_seed():
    examples = [Example(str(row), "q", "c", 0) for row in range(40)]
    few = some(examples, 10, 0)
    assert few != examples[:10]
    assert few == some(examples, 10, 0) != some(examples, 10, 1)
    assert some(examples, None, 0) == some(examples, 99, 0) == examples
