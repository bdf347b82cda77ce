"""One file in: csv, tsv, jsonl or parquet, read row by row or batch by batch.

Only the named columns are kept, so memory holds the wanted cells and one row or batch, never the file. A reader is
one function `(path, columns) -> {name: cells}` and one entry in `READERS`.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from separatrix.errors import DataError, SeparatrixError
from separatrix.texts.columns import Columns, is_missing
from separatrix.texts.table import Texts

Cells = dict[str, list[Any]]

BATCH = 4096  # rows of a parquet batch: some MB of text at a time
LONGEST = 1 << 26  # characters of one csv cell; longer means a quote that was never closed
ONE_LINE = "write one JSON object per line"

INTEGER = re.compile(r"0|-?[1-9][0-9]*")  # no leading zeros: "01" stays a name
FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
NOT_A_NUMBER = ("nan", "inf", "-inf")


def read_file(path: str | Path, columns: Columns) -> Texts:
    """Read one csv, tsv, jsonl (also .json, .ndjson: one object per line) or parquet file.

    In csv and tsv the cells carry no type: labels that all look like 7 or -7 are integers, those that all look like
    0.5 or 1e-3 are floats, all others are names (also "01", "+1" and whole
    numbers beyond 64 bits). In jsonl and parquet the type is as written.

    Raises:
        DataError: no such file, not a file, empty, unknown ending, broken encoding or syntax (with line or byte),
            a column that is missing or stands twice, and all that `Texts.of` refuses.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if not os.path.exists(path):  # False, where Path.exists raises, for a name that cannot be one
        raise DataError(f"there is no file {str(path)[:300]}", hint="give a file, a folder or a hub name owner/name")
    if reader is None:
        got = repr(path.suffix) if path.suffix else "none"
        raise DataError(f"{path} has an unknown ending", got=got, expected="one of " + ", ".join(READERS))
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
        cells = reader(path, columns)
    except UnicodeDecodeError as error:
        raise broken_encoding(path) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror or str(error)) from error
    label = None if columns.label is None else cells[columns.label]
    group = None if columns.group is None else cells[columns.group]
    return Texts.of(cells[columns.text], label, group, source=str(path))


def broken_encoding(path: Path) -> DataError:
    """The error for a file that is not UTF-8: it names the first bad byte, its line and the way out."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                at = start + error.start
                utf16 = start == 0 and line[:2] in (b"\xff\xfe", b"\xfe\xff")
                hint = f"convert it, for example: iconv -f {'utf-16' if utf16 else 'latin1'} -t utf-8 OLD > NEW"
                return DataError(
                    f"{path} is not UTF-8: byte {at}, line {number}", got=f"0x{line[error.start]:02x}", hint=hint
                )
            start += len(line)
    return DataError(f"{path} is not UTF-8", hint="write it again as UTF-8")


def read_csv(path: Path, columns: Columns) -> Cells:
    """A table separated by commas."""
    return _read_separated(path, columns, ",")


def read_tsv(path: Path, columns: Columns) -> Cells:
    """A table separated by tabs; quotes work as in csv."""
    return _read_separated(path, columns, "\t")


def _read_separated(path: Path, columns: Columns, separator: str) -> Cells:
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        rows = csv.reader(_without_nul(file, path), delimiter=separator, strict=True)
        start = 1
        try:
            header = next((row for row in rows if row), [])
            columns.check(header, str(path))
            cells: Cells = {name: [] for name in columns.names}
            places = [(header.index(name), cells[name]) for name in columns.names]
            start = rows.line_num + 1
            for row in rows:
                if row and len(row) != len(header):
                    hint = "put cells that hold the separator or a line break in double quotes"
                    head = f"{path} line {start} has another number of cells than the first line"
                    raise DataError(head, got=len(row), expected=len(header), hint=hint)
                for place, kept in places if row else ():  # an empty line is no row
                    kept.append(row[place])
                start = rows.line_num + 1
        except csv.Error as error:
            hint = 'write a double quote inside a quoted cell as "", and close each quoted cell'
            raise DataError(f"{path} line {start} cannot be read", got=str(error), hint=hint) from error
    if columns.label is not None:
        cells[columns.label] = typed_cells(cells[columns.label])
    return cells


@contextmanager
def _long_cells() -> Iterator[None]:
    # The csv module cuts off at 131072 characters, for the whole process; a long report may well have more.
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _without_nul(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            hint = "write the file again as plain UTF-8 text"
            raise DataError(f"{path} line {number} holds a NUL byte", hint=hint)
        yield line


def typed_cells(cells: list[str]) -> list[str | int | float | None]:
    """Cells of a csv column as integers, floats or names, by the looks of the whole column; empty ones become None.

    >>> typed_cells(["1", "2"]), typed_cells(["1", "2.5"]), typed_cells(["01", "2"]), typed_cells(["1", ""])
    ([1, 2], [1.0, 2.5], ['01', '2'], [1, None])
    """
    filled = [cell for cell in cells if not is_missing(cell)]
    convert: Callable[[str], str | int | float] = str
    if all(INTEGER.fullmatch(cell) for cell in filled):
        # Longer numbers are codes: as names they lose no digit.
        convert = int if all(len(cell) < 20 and abs(int(cell)) < 2**63 for cell in filled) else str
    elif _are_floats(filled):
        convert = float
    return [None if is_missing(cell) else convert(cell) for cell in cells]


def _are_floats(cells: list[str]) -> bool:
    numbers = 0
    for cell in cells:
        if FLOAT.fullmatch(cell):
            numbers += 1
        elif cell.lower() not in NOT_A_NUMBER:
            return False
    return numbers > 0  # a column of nothing but "nan" holds names


def read_jsonl(path: Path, columns: Columns) -> Cells:
    """One JSON object per line; empty lines are no rows; a key that a line lacks is a missing cell."""
    cells: Cells = {name: [] for name in columns.names}
    checked = False
    with path.open("rb") as file:  # bytes: only \n ends a line, not the other separators of Unicode
        for number, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if not line.strip():
                continue
            record = _record(line.decode("utf-8"), f"{path} line {number}", columns)
            if not checked:
                columns.check(list(record), f"{path} line {number}")
                checked = True
            for name, kept in cells.items():
                kept.append(record.get(name))
    return cells


def _record(line: str, where: str, columns: Columns) -> dict[str, Any]:
    def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):  # JSON lets the last of two equal keys win, in silence
            doubled = [name for name in columns.names if [key for key, _ in pairs].count(name) > 1]
            if doubled:
                raise DataError(f"{where} has the key {doubled[0]!r} twice", expected="each key once")
        return record

    try:
        record = json.loads(line, object_pairs_hook=keys_once)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where} is not valid JSON", got=reason, hint=ONE_LINE) from error
    if not isinstance(record, dict):
        raise DataError(f"{where} is not a JSON object", got=type(record).__name__, hint=ONE_LINE)
    return record


def read_parquet(path: Path, columns: Columns) -> Cells:
    """A Parquet file, batch by batch; columns that are not named are not read from disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells: Cells = {name: [] for name in columns.names}
    try:
        with pq.ParquetFile(path) as file:
            columns.check(file.schema_arrow.names, str(path))
            for batch in file.iter_batches(batch_size=BATCH, columns=list(columns.names)):
                for name, kept in cells.items():
                    kept.extend(batch.column(name).to_pylist())
    except SeparatrixError:
        raise
    # Damaged bytes surface as Arrow's errors, but also as broken text, lengths or keys while cells are unpacked.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is not a Parquet file or is damaged", got=reason or type(error).__name__) from error
    return cells


READERS: dict[str, Callable[[Path, Columns], Cells]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}
