"""The benchmark of extraction runs from end to end at a toy size and keeps to the contract."""

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("onnxruntime", reason='the 8-bit engine needs pip install "separatrix[onnx]"')
pytest.importorskip("sentence_transformers", reason='the other side needs pip install "separatrix[bench]"')

from benchmarks import extract_vs_sentence_transformers as bench  # noqa: E402
from benchmarks.parts import extract_memory  # noqa: E402


def run_here(command, **_):
    """What measures memory, without a process of its own: what counts here is that it measures."""
    assert command[1:3] == ["-m", extract_memory.__name__]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert extract_memory.main(command[3:]) == 0
    return SimpleNamespace(stdout=out.getvalue())


@pytest.mark.filterwarnings("ignore:.*hold words that the tokenizer does not know")  # a toy knows few
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_prints_the_contract(capsys, tiny, monkeypatch):
    monkeypatch.setattr("separatrix.models.precision.computes_bfloat16", lambda _: False)
    monkeypatch.setattr(bench.subprocess, "run", run_here)
    words = ["--json", "--rows", "40", "--repeats", "1", "--threads", "1", "--memory-rows", "60"]
    assert bench.main([*words, "--model", str(tiny("bert"))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"]) == {"sst2", "imdb", bench.WRITING_CASE, bench.MEMORY_CASE}
    assert all(value > 0 for value in found["ratios"].values())
    assert (found["targets"]["sst2"], found["targets"]["imdb"]) == (1.5, 1.5)
    for line in found["measured"]:
        assert (line["auto_dtype"], line["auto_ratio"]) == ("float32", line["ratio"])
        assert line["share_of_product_rate"] > 0
    assert found["same_vectors"] is True
    assert found["machine"]["threads"] == 1
    assert 0.5 < found["quantised"]["lowest_cosine"] <= found["quantised"]["mean_cosine"] < 1
    assert set(found["quantised"]["sides"]) == {"encode", "exact", "8 bits"}
    assert found["memory"][0]["peak_mib"] > 0
    assert "shipped questions" in bench.show(found)
    assert "number format float32: the processor has no instructions" in bench.show(found)


def test_auto_in_another_format_is_a_side_of_its_own(loaded, planted, monkeypatch):
    for name, value in (("computes_bfloat16", lambda _: True), ("LEAST_COSINE", 0.9), ("LEAST_KEPT", 0.0)):
        monkeypatch.setattr(f"separatrix.models.precision.{name}", value)
    backbone = loaded("bert")
    sides = (bench.our_side(backbone), bench.our_side(backbone))
    measured = bench.race("sst2", list(planted[0][:40]), sides, backbone, 1)
    assert measured.dtype == "bfloat16"
    assert measured.auto != measured.ours
    assert 0.99 < measured.auto_cosine < measured.cosine


def test_made_up_texts_are_a_stream_and_the_same_each_time():
    texts = list(extract_memory.stream(50))
    assert texts == list(extract_memory.stream(50))
    assert {4 <= len(text.split()) <= 40 for text in texts} == {True}
