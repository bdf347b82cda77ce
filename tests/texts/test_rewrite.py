"""A file without some of its rows is the file in all that is left."""

import gzip

import pandas as pd
import pytest

from separatrix.errors import OptionError
from separatrix.recipe.load import LoadRecipe
from separatrix.texts.rewrite import check_same_format, read_columns, without_rows

CSV = '\ufefftext,label,note\r\n"one, ""two""\r\nlines",a,01\r\n\r\nplain,b,\r\nlast,a, x '


def test_csv_is_kept_byte_by_byte_with_its_quotes_breaks_and_marks(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(CSV.encode())
    assert without_rows(path, []) == (CSV.encode(), 3)
    data, left = without_rows(path, [1])
    assert left == 2
    assert data.decode() == '\ufefftext,label,note\r\n"one, ""two""\r\nlines",a,01\r\nlast,a, x '
    assert without_rows(path, [0, 2])[0].decode().splitlines()[-1] == "plain,b,"
    frame = read_columns(path)
    assert frame["note"].tolist() == ["01", "", " x "]
    assert frame["text"].tolist() == ['one, "two"\r\nlines', "plain", "last"]


def test_separators_and_packed_files_are_read_as_texts_are(tmp_path):
    path = tmp_path / "data.tsv.gz"
    path.write_bytes(gzip.compress(b'text\tlabel\na "quote\tx\nb\ty\n'))
    data, left = without_rows(path, [1], LoadRecipe(quoting="none"))
    assert (data, left) == (b'text\tlabel\na "quote\tx\n', 1)
    assert check_same_format(path, tmp_path / "out.tsv") == ".tsv"


def test_json_lines_are_kept_byte_by_byte_and_an_array_becomes_lines(tmp_path):
    lines = [b'{"text": "a",  "n": 1.50}\n', b"\n", b'{"text": "\xc3\xa9"}\n']
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"".join(lines))
    assert without_rows(path, [1]) == (lines[0], 1)
    assert without_rows(path, [0]) == (lines[2], 1)
    array = tmp_path / "data.json"
    array.write_text('[{"text": "a"}, {"text": "b"}]')
    assert without_rows(array, [0]) == (b'{"text": "b"}\n', 1)


def test_parquet_keeps_its_types(tmp_path):
    path, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    frame = pd.DataFrame({"text": ["a", "b", "c"], "n": pd.array([1, None, 3], "Int16"), "when": pd.Timestamp("2020")})
    frame.to_parquet(path, index=False)
    data, left = without_rows(path, [0])
    out.write_bytes(data)
    assert left == 2
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(path).iloc[1:].reset_index(drop=True))


def test_another_format_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"has another format than data\.csv"):
        check_same_format(tmp_path / "data.csv", tmp_path / "out.jsonl")
