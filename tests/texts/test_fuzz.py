"""Anything may stand in a file: the loaders give texts or a `SeparatrixError`, and what is written comes back."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fuzz_loaders
from separatrix.errors import SeparatrixError
from separatrix.texts import Texts, load_texts
from separatrix.texts.characters import is_missing

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")

QUIET = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = settings(QUIET, max_examples=60)

# Bytes that get past the first check of each format, so that the deeper ones are reached too.
TABLE = st.lists(
    st.sampled_from([b"text", b"label", b",", b"\t", b"\n", b'"', b"\r", b"a", b"1", b"\xff", b"\0", b" "])
)
TABLE = TABLE.map(b"".join)
LINES = st.lists(
    st.sampled_from(
        [b'{"text"', b'"label"', b":", b",", b"}", b"\n", b'"x"', b"1", b"-1", b"null", b"NaN", b"1e999", b"["]
    )
).map(b"".join)
GOOD = {
    "csv": (b"text,label\n", TABLE),
    "tsv": (b"text\tlabel\n", TABLE),
    "jsonl": (b'{"text": "x", "label": 1}\n', LINES),
}


def texts_or_refusal(path):
    try:
        result = load_texts(path)
    except SeparatrixError as error:
        result = str(error)
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
    else:
        assert isinstance(result, Texts)
        assert len(result) == len(result.label) > 0
        assert not any(is_missing(text) for text in result.text)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@QUIET
@given(st.data(), st.booleans())
def test_any_bytes_in_a_text_format(tmp_path, ending, data, header):
    start, likely = GOOD[ending]
    path = tmp_path / f"a.{ending}"
    path.write_bytes((start if header else b"") + data.draw(st.one_of(st.binary(max_size=80), likely)))
    texts_or_refusal(path)


def parquet_bytes():
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two", "three"], "label": ["a", "b", "a"]}), buffer, compression="none")
    return buffer.getvalue()


PARQUET = parquet_bytes()


@QUIET
@given(st.lists(st.tuples(st.integers(0, len(PARQUET) - 1), st.integers(0, 255)), max_size=4), st.binary(max_size=30))
def test_any_bytes_in_a_parquet_file(tmp_path, changes, noise):
    damaged = bytearray(PARQUET)
    for place, value in changes:
        damaged[place] = value
    path = tmp_path / "a.parquet"
    for content in (bytes(damaged), noise, b"PAR1" + noise + b"PAR1", PARQUET[: len(noise) * 20] + noise):
        path.write_bytes(content)
        texts_or_refusal(path)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: not is_missing(text)
)


@SMALL
@given(st.lists(TEXT, min_size=1, max_size=8))
@example(["a\r\nb", '"', 'a"b,c', "\ufeffx", "a\u2028b", " x ", "\x85y\x1c", "\r\nz"])
def test_texts_come_back_exactly(tmp_path, texts):
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["n", "text"], *([row, text] for row, text in enumerate(texts))])
    with (tmp_path / "a.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["text"], *([text] for text in texts)])
    for name, plain in [("a.jsonl", True), ("b.jsonl", False)]:
        lines = [json.dumps({"text": text}, ensure_ascii=plain) + "\n" for text in texts]
        (tmp_path / name).write_bytes("".join(lines).encode())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    for name in ["a.csv", "a.tsv", "a.jsonl", "b.jsonl", "a.parquet"]:
        assert load_texts(tmp_path / name, label=None).text == tuple(texts), name


@SMALL
@example([10**18 + 1])
@given(st.lists(st.one_of(st.integers(0, 2**62), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_come_back_exactly(tmp_path, numbers):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"t,{number!r}\n" for number in numbers))
    got = load_texts(path).label.tolist()
    assert got == [float(n) for n in numbers] if any(isinstance(n, float) for n in numbers) else got == numbers


def test_malformed_sources_load_or_are_refused_in_one_sentence():
    counts = fuzz_loaders.run(cases=1200, seed=0)
    assert counts["loaded"] > 100
    assert counts["DataError"] > 300
