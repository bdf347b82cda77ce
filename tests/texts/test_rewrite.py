"""A file without some of its rows is the file in all that is left."""

import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from separatrix.errors import DataError, OptionError
from separatrix.recipe.load import LoadRecipe
from separatrix.texts import read
from separatrix.texts.rewrite import check_same_format, read_column, read_columns, without_rows

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


def test_columns_of_one_name_are_all_kept(tmp_path):
    (tmp_path / "data.csv").write_text("text,note,note\na,1,2\n")
    frame = read_columns(tmp_path / "data.csv")
    assert frame.iloc[0].to_dict() == {"text": "a", "note": "1", "note.1": "2"}


def test_separators_and_packed_files_are_read_as_texts_are(tmp_path):
    path = tmp_path / "data.tsv.gz"
    path.write_bytes(gzip.compress(b'text\tlabel\na "quote\tx\nb\ty\n'))
    data, left = without_rows(path, [1], LoadRecipe(quoting="none"))
    assert (data, left) == (b'text\tlabel\na "quote\tx\n', 1)
    assert check_same_format(path, tmp_path / "out.tsv") == ".tsv"


def test_json_lines_are_kept_byte_by_byte(tmp_path):
    lines = [b'{"text": "a",  "n": 1.50}\n', b"\n", b'{"text": "\xc3\xa9"}\n']
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"".join(lines))
    assert without_rows(path, [1]) == (lines[0], 1)
    assert without_rows(path, [0]) == (lines[2], 1)


def test_a_mark_stays_and_a_carriage_return_ends_no_line(tmp_path):
    """Regression: the mark was lost, and a record with a bare CR as white space was cut in two."""
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a",\r"n": 1}\r\n{"text": "b"}\n')
    assert without_rows(path, []) == (path.read_bytes(), 2)
    assert without_rows(path, [1]) == (b'\xef\xbb\xbf{"text": "a",\r"n": 1}\r\n', 1)
    assert without_rows(path, [0]) == (b'\xef\xbb\xbf{"text": "b"}\n', 1)


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ([], '\ufeff\n[ {"t": "a,]"},\n  {"n": 1.50, "l": [1]}\t, {"t": "é"}\n]\n'),
        ([0], '\ufeff\n[\n  {"n": 1.50, "l": [1]}\t, {"t": "é"}\n]\n'),
        ([1], '\ufeff\n[ {"t": "a,]"}\t, {"t": "é"}\n]\n'),
        ([2], '\ufeff\n[ {"t": "a,]"},\n  {"n": 1.50, "l": [1]}\n]\n'),
        ([0, 1, 2], "\ufeff\n[\n]\n"),
    ],
)
def test_an_array_stays_an_array(gone, left, tmp_path):
    """Regression: it became lines in a file named .json."""
    path = tmp_path / "data.json"
    path.write_text('\ufeff\n[ {"t": "a,]"},\n  {"n": 1.50, "l": [1]}\t, {"t": "é"}\n]\n', encoding="utf-8")
    assert without_rows(path, gone) == (left.encode(), 3 - len(gone))


def test_a_long_cell_is_kept_and_a_broken_row_is_named(tmp_path):
    """Regression: a cell beyond the limit of the csv module ended in its raw error."""
    path = tmp_path / "data.csv"
    path.write_text(f"text,label\n{'long ' * 40_000},a\nb,b\n")
    assert without_rows(path, [1]) == (path.read_bytes().removesuffix(b"b,b\n"), 1)
    path.write_text('text,label\n"a" b,a\n')
    with pytest.raises(DataError, match=r"data\.csv line 2 cannot be read"):
        without_rows(path, [])


def test_whole_numbers_with_gaps_stay_whole(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b"], "n": pd.array([2**60 + 1, None], "Int64")})
    frame.to_json(tmp_path / "data.jsonl", orient="records", lines=True)
    pq.write_table(pa.table({"text": ["a", "b"], "n": [2**60 + 1, None]}), tmp_path / "data.parquet")
    for name in ("data.jsonl", "data.parquet"):
        assert read_columns(tmp_path / name).to_csv(index=False) == f"text,n\na,{2**60 + 1}\nb,\n"


def test_parquet_keeps_its_types(tmp_path):
    path, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    frame = pd.DataFrame({"text": ["a", "b", "c"], "n": pd.array([1, None, 3], "Int16"), "when": pd.Timestamp("2020")})
    frame.to_parquet(path, index=False)
    data, left = without_rows(path, [0])
    out.write_bytes(data)
    assert left == 2
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(path).iloc[1:].reset_index(drop=True))


@pytest.mark.parametrize("keys", [["q9", "q4"], range(40, 20, -10)])
def test_an_index_with_a_name_is_a_column_of_parquet_as_any_other(tmp_path, keys):
    """Regression: label_issues.csv lacked it. An index without a name is none of the user's columns."""
    frame = pd.DataFrame(
        {
            "text": ["a", "b"],
            "n": pd.array([2**60 + 1, None], "Int64"),
            "kind": pd.Categorical(["x", None]),
            "when": pd.to_datetime(["2020-01-01", None]).tz_localize("Europe/Paris"),
            "list": [["p", "q"], []],
            "7": [1.5, None],
        }
    )
    frame.set_index(pd.Index(keys, name="key")).to_parquet(tmp_path / "named.parquet")
    frame.set_index(pd.Index(keys)).to_parquet(tmp_path / "unnamed.parquet")
    both = [read_columns(tmp_path / f"{name}.parquet") for name in ("named", "unnamed")]
    assert [*both[0]] == [*both[1], "key"] == ["text", "n", "kind", "when", "list", "7", "key"]
    assert both[0].index.tolist() == both[1].index.tolist() == [0, 1]
    assert both[0]["key"].tolist() == list(keys)
    row = both[0].iloc[0]
    assert (row["n"], row["kind"], row["when"], [*row["list"]]) == (2**60 + 1, "x", frame["when"].iloc[0], ["p", "q"])
    assert both[0].iloc[1][["n", "kind", "when", "7"]].isna().all()


def test_notes_of_an_index_that_are_older_than_the_rows_are_not_theirs(tmp_path):
    whole = pa.Table.from_pandas(pd.DataFrame({"text": list("abcd")}, index=pd.RangeIndex(4, name="key")))
    pq.write_table(whole.slice(0, 2), tmp_path / "part.parquet")
    assert list(read_columns(tmp_path / "part.parquet")) == ["text"]


def test_many_columns_are_read_in_one_pass_over_their_names(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(read, "distinct", lambda names: calls.append(names) or names)
    (tmp_path / "wide.csv").write_text(",".join(f"c{number}" for number in range(300)) + "\n" + "x," * 299 + "x\n")
    assert read_columns(tmp_path / "wide.csv").shape == (1, 300)
    assert len(calls) == 1


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", None])
def test_a_column_that_is_twice_is_refused_where_one_is_read(ending, tmp_path):
    """Regression: `predict` took the first of two columns named id in silence."""
    source = tmp_path / f"data.{ending}"
    if ending == "csv":
        source.write_text("id,id,text\n1,2,a\n")
    elif ending == "jsonl":
        source.write_text('{"id": 1, "id": 2, "text": "a"}\n')
    elif ending == "parquet":
        pq.write_table(pa.table([[1], [2], ["a"]], ["id", "id", "text"]), source)
    else:
        source = pd.DataFrame([[1, 2, "a"]], columns=["id", "id", "text"])
    with pytest.raises(DataError, match=r"2 columns named 'id': expected one; rename the others|key 'id' twice"):
        read_column(source, "id")
    assert read_column(source, "text") == ["a"]
    assert read_column(source, "other") is None


def test_another_format_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"has another format than data\.csv"):
        check_same_format(tmp_path / "data.csv", tmp_path / "out.jsonl")
