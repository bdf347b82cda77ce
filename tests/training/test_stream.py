"""Answers to lines: in order, in batches, as those of a file; lines that cannot be read."""

import io
import json

import numpy as np
import pytest

from separatrix.errors import DataError, OptionError
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.texts import Texts
from separatrix.texts.columns import Columns
from separatrix.training import stream
from separatrix.training.predict import predict_texts
from separatrix.training.stream import LineStream, batches

TEXT = Columns("text", None)


@pytest.fixture(scope="module")
def model(tiny, planted):
    return FrozenClassifier(str(tiny("bert"))).fit(*planted).model_


def source(*records) -> io.BytesIO:
    lines = (record if isinstance(record, bytes) else json.dumps(record).encode() for record in records)
    return io.BytesIO(b"\n".join(lines) + b"\n")


def answered(one: LineStream, model) -> list[dict]:
    return [json.loads(line) for _, lines in one.answers(model) for line in lines.splitlines()]


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_answers_are_those_of_the_texts_at_once(model, planted, monkeypatch, batch):
    monkeypatch.setattr(stream.batches, "__defaults__", (batch,))
    texts = planted[0][:9]
    frame = predict_texts(model, Texts.of(texts))
    lines = answered(LineStream(source(*({"text": text} for text in texts)), TEXT), model)
    assert [line["id"] for line in lines] == list(range(9))
    assert [line["predicted"] for line in lines] == frame["predicted"].tolist()
    names = [name for name in frame if name.startswith("probability_")]
    assert np.allclose([[line[name] for name in names] for line in lines], frame[names], atol=1e-6)


def test_blank_texts_unsure_rows_and_empty_lines(model):
    rows = source({"text": "the cat"}, b"", {"text": None}, {"text": "a dog", "more": 1})
    lines = answered(LineStream(rows, TEXT, min_probability=1.0), model)
    assert [line["id"] for line in lines] == [0, 1, 2]
    assert [line.get("reason") for line in lines] == [None, "no text", None]
    assert [line["answered"] for line in lines] == [False, False, False]
    assert "reason" not in lines[0]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"{bad", "standard input line 3 is not valid JSON"),
        (b"[1]", "standard input line 3 is not a JSON object"),
        (b'{"txt": "a"}', r"standard input line 3 has no column 'text'.*did you mean --text txt\?"),
        (b'{"text": 5}', "standard input line 3: 'text' is no text: got int"),
        (b'{"text": "a\\u0000"}', "standard input line 3: 'text' holds a NUL"),
        (b'{"text": "\xff"}', "standard input line 3 is not UTF-8: got 0xff"),
    ],
)
def test_a_bad_line_ends_the_stream_behind_the_answers_before_it_or_is_skipped(model, line, match):
    records = ({"text": "the cat"}, {"text": "a dog"}, line, {"text": "a bird"})
    one, got = LineStream(source(*records), TEXT), []
    with pytest.raises(DataError, match=match):
        got.extend(rows for rows, _ in one.answers(model))
    assert sum(got) == 2
    passed = LineStream(source(*records), TEXT, skip_bad=True)
    assert [answer["id"] for answer in answered(passed, model)] == [0, 1, 3]
    assert passed.warnings[0] == "1 of 4 lines could not be read and were skipped: line 3 (counted from 1)"


def test_pairs_have_two_keys(planted, tiny):
    pairs = list(zip(planted[0], reversed(planted[0]), strict=True))
    model = FrozenClassifier(str(tiny("bert"))).fit(pairs, planted[1]).model_
    one = LineStream(source({"a": "the cat", "b": "is red"}), Columns(("a", "b"), None))
    assert answered(one, model)[0]["text_pair"] == "is red"
    # Regression: of a pair with a blank side both came back blank. A line does not depend on its batch.
    one = LineStream(source({"a": "the cat", "b": ""}, {"a": None, "b": "is red"}), Columns(("a", "b"), None))
    first, second = answered(one, model)
    assert [*first][:3] == ["id", "text", "text_pair"]
    assert (first["text"], first["text_pair"], first["reason"]) == ("the cat", "", "no text")
    assert (second["text"], second["text_pair"], second["reason"]) == ("", "is red", "no text")


def test_pairs_for_a_model_of_single_texts_are_refused_before_a_line_is_read(model):
    waiting = source({"a": "the cat", "b": "is red"})
    with pytest.raises(OptionError, match="trained on single texts: got pairs of texts"):
        answered(LineStream(waiting, Columns(("a", "b"), None)), model)
    assert waiting.tell() == 0


def test_lines_come_in_batches_and_a_line_without_end_is_refused(monkeypatch):
    assert list(batches(io.BytesIO(b"1\n2\n3"), 2)) == [[b"1", b"2"], [b"3"]]
    assert list(batches(io.BytesIO(b""))) == []
    monkeypatch.setattr(stream, "LONGEST", 10)
    with pytest.raises(DataError, match="a line is longer than 10 bytes"):
        list(batches(io.BytesIO(b"x" * 20)))
