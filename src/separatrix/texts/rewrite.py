"""A file of texts written again: all its columns as a frame, or the file itself without some of its rows.

Rows are counted from 0 on, as the ids of `Texts` are. What is kept of csv, tsv and JSON is kept byte by byte; of
Parquet with its types.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separatrix.errors import DataError, OptionError, readable
from separatrix.recipe.load import LoadRecipe
from separatrix.texts.columns import Columns
from separatrix.texts.opened import open_bytes, split_name
from separatrix.texts.read import (
    READERS,
    SEPARATORS,
    broken_row,
    distinct,
    json_records,
    long_cells,
    opening,
    parse_json,
    separated_cells,
)

if TYPE_CHECKING:
    import pandas as pd

LINES = (".jsonl", ".ndjson", ".json")
_BOM = b"\xef\xbb\xbf"
_NO_NAME = re.compile(r"__index_level_\d+__")  # what pandas calls an index that has none
_SPACE_OR_COMMA = re.compile(r"[ \t\n\r,]*")


def read_columns(path: Path, reading: LoadRecipe | None = None) -> pd.DataFrame:
    """All columns of a file that `read_file` reads, a row for each of its rows; cells of csv and tsv are texts.

    Raises:
        DataError: the file cannot be read.
    """
    import pandas as pd

    kind = split_name(path).kind
    with opening(path):
        if kind in SEPARATORS:
            return pd.DataFrame(separated_cells(path, reading or LoadRecipe(), distinct).columns)
        if kind in LINES:
            return pd.DataFrame([record for record, _ in json_records(path, ())], dtype=object)  # 1 stays no 1.0
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open_bytes(path) as file:
            table = pq.read_table(pa.BufferReader(file.read()))
        # What pandas notes of a frame makes an index of a column with a name; one without a name is none of the user's.
        own = [number for number, name in enumerate(table.column_names) if not _NO_NAME.fullmatch(name)]
        frame = table.select(own).to_pandas(integer_object_nulls=True, ignore_metadata=True)
        for index in (table.schema.pandas_metadata or {}).get("index_columns", ()):
            # One of evenly spaced numbers is not among the columns: pandas notes its ends alone.
            if isinstance(index, dict) and index["name"] not in (None, *table.column_names):
                numbers = range(index["start"], index["stop"], index["step"])
                if len(numbers) == len(frame):  # notes that are older than the rows are no longer theirs
                    frame[index["name"]] = numbers
        return frame


def read_column(source: Any, name: str, reading: LoadRecipe | None = None) -> list[Any] | None:
    """One column of a file of texts or of a frame, a value for each of its rows; None where it has no such column.

    Raises:
        DataError: the file cannot be read, or two columns have this name.

    >>> import pandas as pd
    >>> read_column(pd.DataFrame({"id": ["q1"]}), "id"), read_column("data/trec", "id")
    (['q1'], None)
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source[name].tolist() if _is_there(name, list(source.columns), "the data frame") else None
    if not isinstance(source, str | Path) or not Path(source).is_file():
        return None
    path = Path(source)
    kind, file_name = split_name(path).kind, readable(str(path))

    def chosen(names: list[str]) -> list[str]:
        return [name] if _is_there(name, names, file_name) else []

    with opening(path):
        if kind in SEPARATORS:
            return separated_cells(path, reading or LoadRecipe(), chosen).columns.get(name)
        if kind in LINES:
            values = [record.get(name) for record, _ in json_records(path, (name,))]
            return values if any(value is not None for value in values) else None
        import pyarrow.parquet as pq

        with open_bytes(path) as file:
            table = pq.ParquetFile(io.BytesIO(file.read()))
            return table.read([name]).column(name).to_pylist() if chosen(table.schema_arrow.names) else None


def _is_there(name: str, names: list[str], source: str) -> bool:
    """Whether a column is among those found; an error where it is twice."""
    if name in names:
        Columns(name, None).check(names, source)
    return name in names


def without_rows(path: Path, rows: Collection[int], reading: LoadRecipe | None = None) -> tuple[bytes, int]:
    """A file of texts without these rows, in its own format and not packed, and how many rows are left.

    Args:
        path: csv, tsv, jsonl, json or parquet, packed or not.
        rows: numbers of the rows to leave out.
        reading: separator and quotes of csv and tsv.

    Raises:
        DataError: the file cannot be read.
    """
    kind, gone = split_name(path).kind, frozenset(rows)
    with opening(path):
        if kind == ".parquet":
            return _parquet(path, gone)
        if kind in LINES:
            return _json(path, gone)
        records = _separated_records(path, reading or LoadRecipe())
        kept = [record for number, record in enumerate(records, -1) if number not in gone]
    return b"".join(kept), len(kept) - 1


def check_same_format(path: Path, out: Path) -> str:
    """The ending that both files have, or an `OptionError`.

    >>> check_same_format(Path("a.csv.gz"), Path("b.csv"))
    '.csv'
    """
    kind = split_name(path).kind
    if kind not in READERS:
        raise DataError(f"{readable(str(path))} is no file of rows", expected=", ".join(READERS))
    if out.suffix.lower() != kind:
        raise OptionError(f"{out} has another format than {path.name}", got=out.suffix or "no ending", expected=kind)
    return kind


def _separated_records(path: Path, reading: LoadRecipe) -> Iterator[bytes]:
    """What stands before the first row, then each row, with the lines that it takes."""
    quoting: Any = csv.QUOTE_NONE if reading.quoting == "none" else csv.QUOTE_MINIMAL
    lines: list[str] = []
    with open_bytes(path) as file, long_cells():
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")

        def noted() -> Iterator[str]:
            for number, line in enumerate(text):
                lines.append(line)
                yield line.removeprefix("\ufeff") if number == 0 else line

        separator = reading.sep or SEPARATORS[split_name(path).kind]
        rows = csv.reader(noted(), delimiter=separator, quoting=quoting, strict=True)
        try:
            for row in rows:
                if row:  # an empty line is no row, and stays with the one behind it
                    yield "".join(lines).encode()
                    lines.clear()
        except csv.Error as error:
            raise broken_row(f"{readable(str(path))} line {rows.line_num}", error, reading) from error


def _json(path: Path, gone: frozenset[int]) -> tuple[bytes, int]:
    """Lines or an array, as it is written."""
    with open_bytes(path) as file:
        data = file.read()
    mark = _BOM if data.startswith(_BOM) else b""
    data = data.removeprefix(mark)
    if data.lstrip().startswith(b"["):
        kept, left = _array(data.decode(), gone, readable(str(path)))
        return mark + kept.encode(), left
    lines = [line for line in io.BytesIO(data) if line.strip()]  # only \n ends one
    rows = [line for number, line in enumerate(lines) if number not in gone]
    return mark + b"".join(rows), len(rows)


def _array(text: str, gone: frozenset[int], name: str) -> tuple[str, int]:
    """A JSON array without these items, each of the others behind what stood before it."""
    parse_json(text, name)  # says what is wrong with it
    decoder, kept, left, number = json.JSONDecoder(), list[str](), 0, 0
    end = text.index("[") + 1
    head = text[:end]
    while text[start := _start(text, end)] != "]":
        before, end = text[end:start], decoder.raw_decode(text, start)[1]
        if number not in gone:
            kept += [before if left else before.replace(",", ""), text[start:end]]
            left += 1
        number += 1
    return "".join([head, *kept, text[end:]]), left


def _start(text: str, end: int) -> int:
    """Where the next item begins, or the array ends."""
    between = _SPACE_OR_COMMA.match(text, end)
    assert between is not None  # it may be empty
    return between.end()


def _parquet(path: Path, gone: frozenset[int]) -> tuple[bytes, int]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_bytes(path) as file:
        table = pq.read_table(pa.BufferReader(file.read()))
    kept = table.filter(pa.array(~np.isin(np.arange(len(table)), list(gone))))
    sink = io.BytesIO()
    pq.write_table(kept, sink)
    return sink.getvalue(), len(kept)
