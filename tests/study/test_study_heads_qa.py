"""Fine-tuning as a run: the split keeps contexts whole, the folder opens, the command prints."""

import json

import pandas as pd
import pytest

from separatrix.cli import app
from separatrix.errors import DataError
from separatrix.study.heads.qa import split_by_context
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
    assert len(pd.read_parquet(tmp_path / "qa" / "answers.parquet")) == 2
    assert (tmp_path / "qa" / "model.safetensors").is_file()
    assert app.main(words) == 2
    assert "type --overwrite" in capsys.readouterr().err
