"""Files in: what is accepted, how labels are typed, and one clear sentence for each kind of bad input."""

import csv
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from separatrix.errors import DataError
from separatrix.texts import load_texts
from separatrix.texts.read import BATCH


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


ROWS = [("Who, me?", "human"), ('say "hi"\nnow', "entity"), ("日本 é", "human")]


def test_the_four_formats_hold_the_same_rows(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json", orient="records", lines=True, force_ascii=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"]:
        texts = load_texts(str(tmp_path / name))
        assert list(zip(texts.text, texts.label, strict=True)) == ROWS
        assert texts.id.tolist() == [0, 1, 2]
        assert texts.source == str(tmp_path / name)


@pytest.mark.parametrize(
    ("cells", "kind", "labels"),
    [
        (["1", "2", "-3", "0"], "integers", [1, 2, -3, 0]),
        (["1", "2.5", "-1e-3", ".5"], "floats", [1.0, 2.5, -0.001, 0.5]),
        (["01", "2"], "names", ["01", "2"]),
        (["+1", "-1"], "names", ["+1", "-1"]),
        (["1", "a"], "names", ["1", "a"]),
        (["nan", "inf"], "names", ["nan", "inf"]),
        (["9223372036854775807", "1"], "integers", [2**63 - 1, 1]),
        (["9223372036854775808", "1"], "names", ["9223372036854775808", "1"]),
        (["9" * 5000, "1"], "names", ["9" * 5000, "1"]),
        (["\u0661", "\u0662"], "names", ["\u0661", "\u0662"]),
    ],
)
def test_csv_labels_are_typed_by_the_looks_of_the_column(tmp_path, cells, kind, labels):
    path = write(tmp_path, "a.csv", "text,label\n" + "".join(f"t{i},{cell}\n" for i, cell in enumerate(cells)))
    texts = load_texts(path)
    assert texts.kind == kind
    assert texts.label.tolist() == labels


def test_jsonl_and_parquet_labels_keep_the_type_written(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "x", "label": "1"}\n{"text": "y", "label": "2"}\n')
    assert load_texts(path).label.tolist() == ["1", "2"]
    pq.write_table(pa.table({"text": ["x", "y"], "label": pa.array([1.0, 2.0])}), tmp_path / "a.parquet")
    assert load_texts(tmp_path / "a.parquet").kind == "floats"
    table = pa.table(
        {"text": pa.array(["x", "y"]).dictionary_encode(), "label": pa.array(["b", "a"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "b.parquet")
    assert load_texts(tmp_path / "b.parquet").label.tolist() == ["b", "a"]


def test_what_is_harmless_is_accepted(tmp_path):
    path = write(tmp_path, "a.CSV", b'\xef\xbb\xbf\r\ntext,label,\r\n"x\r\ny",1,\r\n\r\nz,2,\r\n')
    texts = load_texts(path)
    assert texts.text == ("x\r\ny", "z")
    assert texts.label.tolist() == [1, 2]
    path = write(tmp_path, "b.jsonl", b'\xef\xbb\xbf{"text": "x\\u2028", "label": 1}\n\n{"label": 2, "text": "y"}')
    assert load_texts(path).text == ("x\u2028", "y")
    assert load_texts(write(tmp_path, "c.csv", "text\rx\ry\r"), label=None).text == ("x", "y")
    long = "a" * 300_000  # the csv module alone stops at 131072
    before = csv.field_size_limit()
    assert load_texts(write(tmp_path, "d.csv", f"text\n{long}\n"), label=None).text == (long,)
    assert csv.field_size_limit() == before


def test_unused_columns_may_be_doubled_or_empty(tmp_path):
    path = write(tmp_path, "a.csv", "text,x,x,label\nhello,,,a\n")
    assert load_texts(path).text == ("hello",)


def test_groups_are_names_and_the_label_may_be_the_group(tmp_path):
    path = write(tmp_path, "a.csv", "text,label,house\nx,1,7\ny,2,8\n")
    texts = load_texts(path, group="house")
    assert texts.group.tolist() == ["7", "8"]
    assert load_texts(path, group="label").group.tolist() == ["1", "2"]


BAD = [
    ("a.csv", "", "a.csv is empty"),
    ("a.jsonl", "", "a.jsonl is empty"),
    ("a.csv", "\n\n", "has no column 'text': got columns none; name the column with --text"),
    ("a.csv", "text,label\n", "a.csv holds no rows"),
    ("a.jsonl", "\n \n", "a.jsonl holds no rows"),
    ("a.csv", "question,label\nx,1\n", "no column 'text': got columns question, label; name the .* --text question"),
    ("a.csv", "txt,label\nx,1\n", r"no column 'text': got columns txt, label; did you mean --text txt\?"),
    ("a.csv", "text,Label\nx,1\n", r"no column 'label': got columns text, Label; did you mean --label Label\?"),
    ("a.csv", '"a\nb",' + "c" * 99 + ",x" * 40 + "\n", r"got columns 'a\\nb', c{57}\.\.\., x, .*, x and 22 more; name"),
    ("a.csv", "text;label\nx;1\n", "got columns text;label; the columns seem to be separated by another"),
    ("a.csv", "text,text,label\nx,y,1\n", "has 2 columns named 'text': expected one; rename"),
    ("a.csv", "text,label\nx,1\ny\nz,2\n", "a.csv line 3 has another number of cells .*: got 1, expected 2; put"),
    ("a.csv", 'text,label\n"x\ny",1\nz,2,3\n', "line 4 has another number of cells .*: got 3, expected 2"),
    ("a.csv", 'text,label\nx,1\n"y,2\nz,3\n', "a.csv line 3 cannot be read: got unexpected end of data; write a"),
    ("a.csv", 'text,label\nx,1\n"y"z,2\n', "a.csv line 3 cannot be read: got ',' expected after"),
    ("a.tsv", 'text\tlabel\n"y" she said\t2\n', "a.tsv line 2 cannot be read"),
    ("a.csv", b"text,label\nx,1\nyy\xff,2\n", r"not UTF-8: byte 17, line 3: got 0xff; convert it, .*iconv -f latin1"),
    ("a.csv", "text,label\nx,1\n".encode("utf-16"), r"not UTF-8: byte 0, line 1: got 0xff; convert .*iconv -f utf-16"),
    ("a.jsonl", b'{"text": "\xe9", "label": 1}\n', "a.jsonl is not UTF-8: byte 10, line 1: got 0xe9"),
    ("a.csv", b"text,label\nx,1\ny\0,2\n", "a.csv line 3 holds a NUL byte"),
    ("a.csv", "text,label\nx,1\n ,2\n,3\n", r"2 of 3 rows have no text: got rows 1, 2 \(counted from 0\); fill"),
    ("a.csv", "text,label\nx,1\ny,\n", "1 of 2 rows have no label: got row 1"),
    ("a.csv", "text,label\nx,1.5\ny,nan\n", "1 of 2 rows have no label: got row 1"),
    ("a.csv", "text,label\nx,1\ny,-1\n", r"1 of 2 rows are unlabelled \(-1\): got row 1"),
    (
        "a.jsonl",
        '{"text": "x", "label": 1}\n{"text": \n',
        "a.jsonl line 2 is not valid JSON: got Expecting value at ch",
    ),
    ("a.jsonl", '{"text": "x", "label": 1}\n[1]\n', "line 2 is not a JSON object: got list; write one JSON object per"),
    ("a.json", '[\n{"text": "x"}\n]\n', "a.json item 0 has no column 'label': got columns text; name the column"),
    (
        "a.json",
        '[\n{"text": "x", "label": 1},\n3]\n',
        "a.json item 1 is not a JSON object: got int; write one JSON obj",
    ),
    ("a.json", '[\n{"text": "x"}\n', "a.json is not valid JSON: got Expecting ',' delimiter .*or one array of objects"),
    ("a.json", "[]", "a.json holds no rows"),
    ("a.json", '{"text": "x", "label": 1}\n[1]\n', "a.json line 2 is not a JSON object: got list"),
    ("a.jsonl", '{"text": "x", "text": "y", "label": 1}\n', "a.jsonl line 1 has the key 'text' twice"),
    (
        "a.jsonl",
        '{"text": "x"}\n',
        "a.jsonl line 1 has no column 'label': got columns text; name the column with --label",
    ),
    ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "y"}\n', "1 of 2 rows have no label: got row 1"),
    ("a.jsonl", '{"text": 3, "label": 1}\n', "a text is not a string: got int in row 0 .*--text"),
    ("a.jsonl", '{"text": "x", "label": {"a": 1}}\n', "labels are not of one kind: got dict in row 0"),
    ("a.jsonl", '{"text": "x\\u0000", "label": 1}\n', "hold a NUL"),
    ("a.jsonl", '{"text": "x\\ud800", "label": 1}\n', "half a surrogate pair in the text"),
    ("a.jsonl", "[" * 100_000 + "\n", "a.jsonl is not valid JSON: got maximum recursion"),
    ("a.jsonl", '{"text": "x", "label": ' + "9" * 5000 + "}\n", "a.jsonl line 1 is not valid JSON"),
    ("a.parquet", "text,label\nx,1\n", "a.parquet is not a Parquet file or is damaged: got"),
    ("a.xlsx", "x", "unknown ending: got '.xlsx', expected one of .csv, .tsv, .jsonl, .ndjson, .json, .parquet"),
    ("a", "x", "unknown ending: got none"),
]


@pytest.mark.parametrize(("name", "content", "match"), BAD, ids=lambda value: str(value)[:30].encode("unicode_escape"))
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, match):
    with pytest.raises(DataError, match=match) as caught:
        load_texts(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_bad_parquet_tables_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["x"], "label": [1]}), path)
    with pytest.raises(DataError, match=r"no column 'text': got columns question, label; name the .* --text question"):
        load_texts(path)
    pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * 2, names=["text", "text"]), path)
    with pytest.raises(DataError, match="has 2 columns named 'text'"):
        load_texts(path, label=None)
    pq.write_table(pa.table({"text": ["x", None, "y"], "label": [1, 2, None]}), path)
    with pytest.raises(DataError, match="1 of 3 rows have no text: got row 1"):
        load_texts(path, label=None)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(DataError, match="holds no rows"):
        load_texts(path, label=None)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="is not a Parquet file or is damaged"):
        load_texts(path, label=None)


def test_rows_are_numbered_over_the_whole_file_not_per_batch(tmp_path):
    """Seed 002 numbered rows per partition and drew wrong conclusions about layers and heads."""
    rows = 2 * BATCH + 7
    pq.write_table(
        pa.table({"text": [f"t{i}" for i in range(rows)], "label": list(range(rows))}), tmp_path / "a.parquet"
    )
    texts = load_texts(tmp_path / "a.parquet")
    assert texts.id.tolist() == texts.label.tolist() == list(range(rows))


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*nothing\.csv; give a file"):
        load_texts(tmp_path / "nothing.csv")
    (tmp_path / "pipe.csv").symlink_to("/dev/null")
    with pytest.raises(DataError, match=r"pipe\.csv is not a file"):
        load_texts(tmp_path / "pipe.csv")
    for name in ("x" * 5000, "a\0b.csv"):
        with pytest.raises(DataError, match="there is no file"):
            load_texts(name)


def test_a_key_in_an_inner_object_is_no_column(tmp_path):
    path = write(tmp_path, "a.jsonl", json.dumps({"text": "x", "label": "a", "meta": {"text": 1}}) + "\n")
    assert load_texts(path).text == ("x",)
