"""Tables: the ending decides the format, and what is written is read back."""

import csv
import json
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from separatrix.errors import DataError, OptionError, StoreError
from separatrix.store.table import check_ending, read_table, write_table
from separatrix.texts import load_texts

READ = {
    ".parquet": pd.read_parquet,
    ".csv": lambda path: pd.read_csv(path, keep_default_na=False, na_values={"score": [""]}),
    ".jsonl": lambda path: pd.DataFrame([json.loads(line) for line in path.read_text().split("\n")[:-1]]),
}


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "text": ['a "quoted", word', "two\nlines \u2028 and a / slash", "\u00fcml\u00e4ut", ""],
            "row": [3, 1, 2, 0],
            "score": [1 / 3, 1e-12 / 7, np.nan, 1e20 / 3],
            "right": [True, False, True, False],
        },
        index=[9, 8, 7, 6],
    )


@pytest.mark.parametrize("ending", READ)
def test_round_trip(tmp_path, frame, ending):
    path = tmp_path / f"table{ending}"
    write_table(path, frame)
    # Some pandas read a float's last digit from CSV inexactly; no format may write fewer digits.
    pd.testing.assert_frame_equal(READ[ending](path), frame.reset_index(drop=True), rtol=1e-14, atol=0)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_csv_keeps_all_ends_of_lines_within_a_cell_and_ends_rows_with_a_line_feed(tmp_path):
    """Regression: a bare carriage return stood unquoted, and 80 rows of texts were read back as 229."""
    texts = ["one\rtwo", "\r", "one\r\ntwo\r\n", "one\ntwo", 'a "b"\r', "plain"]
    path = tmp_path / "rows.csv"
    write_table(path, pd.DataFrame({"text": texts, "no\rte": range(6)}))
    assert path.read_bytes().startswith(b'text,"no\rte"\n"one\rtwo",0\n')
    assert path.read_bytes().endswith(b"\nplain,5\n")
    frame = pd.read_csv(path)
    assert (frame["text"].tolist(), frame["no\rte"].tolist()) == (texts, [0, 1, 2, 3, 4, 5])
    with path.open(encoding="utf-8", newline="") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["text", *texts]
    assert load_texts(path, label=None, keep_blank=True).text == ("one\rtwo", "", *texts[2:])


def test_json_lines_take_cells_that_json_has_no_type_for(tmp_path):
    """Regression: `predict` answered all rows of a file whose ids are dates, and then could not write them."""
    moment = datetime(2024, 5, 1, 12, 30)
    frame = pd.DataFrame(
        {
            "stamp": pd.to_datetime([moment, None]),
            "day": [date(2024, 5, 1), None],
            "price": [Decimal("1.10"), Decimal("2")],
            "key": [UUID(int=1), UUID(int=2)],
            "number": np.array([np.int64(1), np.float32(0.5)], dtype=object),
            "list": [np.array([1, 2]), [np.int64(3), np.bool_(True)]],
        }
    )
    write_table(tmp_path / "table.jsonl", frame)
    lines = (tmp_path / "table.jsonl").read_text().splitlines()
    assert [[*json.loads(line).values()] for line in lines] == [
        ["2024-05-01T12:30:00", "2024-05-01", "1.10", str(UUID(int=1)), 1, [1, 2]],
        [None, None, "2", str(UUID(int=2)), 0.5, [3, True]],
    ]


@pytest.mark.parametrize("ending", READ)
def test_a_table_without_rows(tmp_path, frame, ending):
    path = tmp_path / f"table{ending}"
    write_table(path, frame.iloc[:0])
    assert len(READ[ending](path)) == 0


def test_json_lines_are_readable_text(tmp_path, frame):
    write_table(tmp_path / "t.jsonl", frame)
    lines = (tmp_path / "t.jsonl").read_text().split("\n")
    assert '"\u00fcml\u00e4ut"' in lines[2]
    assert "a / slash" in lines[1]  # pandas would escape it
    assert '"score": null' in lines[2]


def test_read_table_reads_parquet(tmp_path, frame):
    write_table(tmp_path / "t.parquet", frame)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), frame.reset_index(drop=True))


def test_a_missing_or_damaged_table_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"t\.parquet does not exist"):
        read_table(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match=r"t\.parquet is damaged"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(("name", "got"), [("t.xlsx", ".xlsx"), ("t", "no ending"), ("t.CSV", ".CSV")])
def test_an_unknown_ending_is_refused(tmp_path, frame, name, got):
    with pytest.raises(
        OptionError, match=f"{name} cannot be written as a table: got {got}, expected .parquet, .csv, .jsonl"
    ):
        write_table(tmp_path / name, frame)
    assert not list(tmp_path.iterdir())


def test_check_ending_passes_the_known(tmp_path):
    assert [check_ending(tmp_path / f"t{ending}") for ending in READ] == list(READ)


@pytest.mark.parametrize("cells", [[1, "1"], [True, "x"], [1, 10**30]])
def test_a_column_of_several_types_is_refused(tmp_path, cells):
    frame = pd.DataFrame({"id": pd.Series(cells, dtype=object)})
    with pytest.raises(DataError, match=r"rows\.parquet cannot be written .*give columns of one type"):
        write_table(tmp_path / "rows.parquet", frame)
    assert not list(tmp_path.iterdir())
