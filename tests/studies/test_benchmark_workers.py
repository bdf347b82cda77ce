"""The benchmark of extraction by workers keeps to the contract; a side of it runs at a toy size."""

import json

import pytest
from benchmarks import extract_workers as bench
from benchmarks.parts.extract_side import digest, side

pytestmark = pytest.mark.filterwarnings("ignore:.*hold words that the tokenizer does not know")  # a toy knows few


def test_it_prints_the_contract(capsys, tiny, monkeypatch):
    line = {
        "set": "sst2", "rows": 30, "one_core_rows_per_second": 10.0, "two_workers_rows_per_second": 19.0, "ratio": 1.9,
        "one_core_seconds": 3.0, "two_workers_seconds": 2.0, "same_bytes": True,
    }  # fmt: skip
    monkeypatch.setattr(bench, "race", lambda name, *_: line | {"set": name})
    assert bench.main(["--json", "--rows", "30", "--model", str(tiny("bert"))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratios"] == {"sst2": 1.9, "imdb": 1.9, "same bytes, two workers against one process": 1.0}
    assert found["targets"] == {"sst2": 1.7, "imdb": 1.7, "same bytes, two workers against one process": 1.0}
    assert "1.90" in bench.show(found)
    assert bench.main(["--json", "--only", "--rows", "30", "--model", str(tiny("bert"))]) == 0
    assert json.loads(capsys.readouterr().out)["measured"] == []


def test_a_side_says_how_fast_it_was_and_what_it_wrote(tiny, planted, tmp_path):
    one, two = (side(planted[0], tmp_path / name, "here", str(tiny("bert"))) for name in "ab")
    assert one["rows"] == 180
    assert min(one["rows_per_second"], one["seconds"]) > 0
    assert one["digest"] == two["digest"] == digest(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").write_text("{}")
    assert digest(tmp_path / "b") != one["digest"]
