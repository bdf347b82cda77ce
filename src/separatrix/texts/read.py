"""One file in: csv, tsv, jsonl, json or parquet, plain or compressed, read row by row or batch by batch.

Only the named columns are kept, so memory holds the wanted cells and one row or batch, never the file (but for a JSON
array, which is parsed whole). A reader is one function `(path, columns) -> Cells` and one entry in `READERS`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import IO, Any

from separatrix.errors import DataError, OptionError, SeparatrixError, public_name, readable
from separatrix.paths import arrow_file
from separatrix.recipe.load import LoadRecipe
from separatrix.texts.characters import is_missing
from separatrix.texts.columns import Columns
from separatrix.texts.opened import PACKINGS, open_bytes, split_name
from separatrix.texts.table import Texts

BATCH = 4096  # rows of a parquet batch: some MB of text at a time
LONGEST = 1 << 26  # characters of one csv cell; longer means a quote that was never closed
ONE_LINE = "write one JSON object per line, or one array of objects"
SHOWN = 3  # cells that a warning names

Choose = Callable[[list[str]], Sequence[str]]  # the columns to read, of those that are there
INTEGER = re.compile(r"0|-?[1-9][0-9]*")  # no leading zeros: "01" stays a name
FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
NOT_A_NUMBER = ("nan", "inf", "-inf")
LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Cells:
    """The cells of the wanted columns, and warnings about the file."""

    columns: dict[str, list[Any]]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Columns) -> Cells:
        """None yet."""
        return cls({name: [] for name in columns.names})


def read_file(path: str | Path, columns: Columns) -> Texts:
    """Read one csv, tsv, jsonl (also .json, .ndjson: an object per line, or one array) or parquet file, packed or not.

    In csv and tsv the cells carry no type: labels that all look like 7 or -7 are integers, those that all look like
    0.5 or 1e-3 are floats, all others are names (also "01", "+1" and whole
    numbers beyond 64 bits). In jsonl and parquet the type is as written.

    Raises:
        DataError: no such file, not a file, empty, unknown ending, broken encoding or syntax (with line or byte),
            a column that is missing or stands twice, and all that `Texts.of` refuses.
    """
    path = Path(path)
    if not os.path.exists(path):  # False, where Path.exists raises, for a name that cannot be one
        raise DataError(
            f"there is no file {readable(str(path))[:300]}", hint="give a file, a folder or a hub name owner/name"
        )
    name, kind = readable(str(path)), split_name(path).kind
    reader = READERS.get(kind)
    if reader is None:
        expected = f"one of {', '.join(READERS)} (or these with {', '.join(PACKINGS)} behind)"
        raise DataError(f"{name} has an unknown ending", got=repr(kind) if kind else "none", expected=expected)
    if not path.is_file():
        raise DataError(f"{name} is not a file")
    check_reading(columns, name, separated=kind in SEPARATORS)
    with opening(path):
        if path.stat().st_size == 0:
            raise DataError(f"{name} is empty")
        cells = reader(path, columns)
    return Texts.from_cells(cells.columns, columns, name, warnings=cells.warnings)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """What the system or the encoding refuses of a file or folder, as a sentence about it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise broken_encoding(path) from error
    except OSError as error:
        raise DataError(f"{readable(str(path))} cannot be read", got=error.strerror or str(error)) from error


def check_reading(columns: Columns, source: str, *, separated: bool) -> None:
    """Raise an `OptionError` where a source has neither separators nor quotes, but one of them was given."""
    for name, default in (("sep", None), ("quoting", "double")):
        if not separated and getattr(columns.reading, name) != default:
            raise OptionError(f"--{name} has no effect: {source} is no csv or tsv file", hint=f"leave --{name} away")


def broken_encoding(path: Path) -> DataError:
    """The error for a file that is not UTF-8: it names the first bad byte, its line and the way out."""
    start = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                at = start + error.start
                utf16 = start == 0 and line[:2] in (b"\xff\xfe", b"\xfe\xff")
                hint = f"convert it, for example: iconv -f {'utf-16' if utf16 else 'latin1'} -t utf-8 OLD > NEW"
                return DataError(
                    f"{readable(str(path))} is not UTF-8: byte {at}, line {number}",
                    got=f"0x{line[error.start]:02x}",
                    hint=hint,
                )
            start += len(line)
    return DataError(f"{readable(str(path))} is not UTF-8", hint="write it again as UTF-8")


def read_separated(path: Path, columns: Columns) -> Cells:
    """A table whose cells stand between commas (csv) or tabs (tsv), or whatever `--sep` says."""
    cells = separated_cells(path, columns.reading, _named(columns, path))
    if columns.label is not None:
        cells.columns[columns.label] = typed_cells(cells.columns[columns.label])
    return cells


def _named(columns: Columns, path: Path) -> Choose:
    """The columns wanted, of those that a file has; an error where it lacks one."""

    def choose(present: list[str]) -> Sequence[str]:
        columns.check(present, readable(str(path)))
        return columns.names

    return choose


def separated_cells(path: Path, reading: LoadRecipe, choose: Choose) -> Cells:
    """Cells of a csv or tsv file, as text, of the columns chosen of those that it has."""
    name = readable(str(path))
    separator = reading.sep or SEPARATORS[split_name(path).kind]
    quoting: Any = csv.QUOTE_NONE if reading.quoting == "none" else csv.QUOTE_MINIMAL
    swallows = StrayQuoteFinder(separator)
    with open_bytes(path) as file, long_cells():
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        rows = csv.reader(_without_nul(lines, name), delimiter=separator, quoting=quoting, strict=True)
        start, number = 1, 0
        try:
            header = next((row for row in rows if row), [])
            columns: dict[str, list[Any]] = {wanted: [] for wanted in choose(header)}
            swallows.look(header, "the names of the columns", 1, rows.line_num)
            places = {one: index for index, one in enumerate(distinct(header))}
            targets = [(places[wanted], column) for wanted, column in columns.items()]
            start = rows.line_num + 1
            for row in rows if targets else ():
                if row and len(row) != len(header):
                    hint = f"put cells that hold the separator or a line break in double quotes{_no_quotes(reading)}"
                    head = f"{name} line {start} has another number of cells than the first line"
                    raise DataError(head, got=len(row), expected=len(header), hint=hint)
                swallows.look(row, f"row {number}", start, rows.line_num)
                for index, column in targets if row else ():  # an empty line is no row
                    column.append(row[index])
                number += bool(row)
                start = rows.line_num + 1
        except csv.Error as error:
            raise broken_row(f"{name} line {start}", error, reading) from error
    return Cells(columns, swallows.warnings(name))


def distinct(names: Sequence[str]) -> list[str]:
    """Names of columns of which none stands twice; those that do are numbered, as pandas does it.

    >>> distinct(["text", "note", "note", "note.1"])
    ['text', 'note', 'note.2', 'note.1']
    """
    taken, given, numbers = dict[str, None](), set(names), dict[str, Iterator[int]]()
    for name in names:
        own = name
        while own in taken or (own != name and own in given):
            own = f"{name}.{next(numbers.setdefault(name, count(1)))}"
        taken[own] = None
    return list(taken)


def broken_row(where: str, error: csv.Error, reading: LoadRecipe) -> DataError:
    """The error for a row of csv or tsv whose quotes do not fit together."""
    hint = f'write a double quote inside a quoted cell as "", and close each quoted cell{_no_quotes(reading)}'
    return DataError(f"{where} cannot be read", got=str(error), hint=hint)


def _no_quotes(reading: LoadRecipe) -> str:
    return "" if reading.quoting == "none" else ", or type --quoting none if quotes mean nothing in this file"


class StrayQuoteFinder:
    """Finds cells that hold whole lines, as they do where a stray double quote opens a cell.

    Lines between two quotes then become one cell, and rows vanish. Such a cell has in each of its lines exactly the
    separators of a whole line (the first and the last share them), which a text of several lines hardly ever has.
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self.rows: list[str] = []

    def look(self, row: list[str], name: str, first: int, last: int) -> None:
        """Look at a row that reaches from one line of the file to another."""
        if first < last and any(self._holds_lines(cell, index, len(row)) for index, cell in enumerate(row)):
            self.rows.append(f"{name} (lines {first} to {last})")

    def _holds_lines(self, cell: str, index: int, width: int) -> bool:
        counts = [line.count(self.separator) for line in LINE_END.split(cell)]
        whole = [width - 1 - index, *[width - 1] * (len(counts) - 2), index]
        return len(counts) > 1 and width > 1 and counts == whole

    def warnings(self, source: str) -> tuple[str, ...]:
        """One sentence, if there is something to say."""
        if not self.rows:
            return ()
        more = f" and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else ""
        what = "1 row holds" if len(self.rows) == 1 else f"{len(self.rows)} rows hold"
        return (
            f"{public_name(source)}: {what} whole lines of the file in one cell, as if a stray double quote had "
            f"swallowed them: {', '.join(self.rows[:SHOWN])}{more}, rows counted from 0; type --quoting none if "
            "quotes mean nothing in this file",
        )


@contextmanager
def long_cells() -> Iterator[None]:
    """Cells of csv as long as texts may be."""
    # The csv module cuts off at 131072 characters, for the whole process; a long report may well have more.
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _without_nul(lines: Iterable[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            hint = "write the file again as plain UTF-8 text"
            raise DataError(f"{name} line {number} holds a NUL byte", hint=hint)
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
    """JSON objects, one a line or all in one array; a key that an object lacks is a missing cell."""
    cells, first = Cells.of(columns), True
    for record, where in json_records(path, columns.names):
        if first:
            columns.check(list(record), where)
            first = False
        for name, column in cells.columns.items():
            column.append(record.get(name))
    return cells


def json_records(path: Path, names: Iterable[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a file, one a line (empty lines are none) or all in one array, each with its place in words.

    Args:
        names: keys that may not stand twice in an object.
    """
    name, once = readable(str(path)), frozenset(names)
    with open_bytes(path) as file:  # bytes: only \n ends a line, not the other separators of Unicode
        start = file.read(3)
        lines = _lines(b"" if start == b"\xef\xbb\xbf" else start, file)
        number, line = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (1, b""))
        if line.lstrip().startswith(b"["):
            records = parse_json(b"".join((line, *lines)).decode("utf-8"), name, once)
            if not isinstance(records, list):
                raise DataError(f"{name} is not a JSON array", got=type(records).__name__, hint=ONE_LINE)
            for index, record in enumerate(records):
                yield _record(record, f"{name} item {index}"), f"{name} item {index}"
            return
        for at, text in enumerate(chain([line], lines), number):
            if text.strip():
                where = f"{name} line {at}"
                yield _record(parse_json(text.decode("utf-8"), where, once), where), where


def _lines(start: bytes, file: IO[bytes]) -> Iterator[bytes]:
    """Lines of a file of which a few bytes were read already."""
    *whole, rest = (start + file.readline()).split(b"\n")
    yield from (line + b"\n" for line in whole)
    if rest:
        yield rest
    yield from file


def parse_json(text: str, where: str, once: frozenset[str] = frozenset()) -> Any:
    """A JSON value. Raises `DataError`: no JSON, nested too deeply, or an object with one of the keys `once` twice."""

    def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):  # JSON lets the last of two equal keys win, in silence
            keys = [key for key, _ in pairs]
            doubled = next((name for name in once if keys.count(name) > 1), None)
            if doubled is not None:
                raise DataError(f"{where} has the key {doubled!r} twice", expected="each key once")
        return record

    try:
        return json.loads(text, object_pairs_hook=keys_once)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, json.JSONDecodeError):
            reason = f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"
        raise DataError(f"{where} is not valid JSON", got=reason, hint=ONE_LINE) from error


def json_record(line: str, where: str, names: Iterable[str]) -> dict[str, Any]:
    """The object of one line, in which none of these keys stands twice; errors are those of `json_records`.

    >>> json_record('{"text": "Who?"}', "line 1", ("text",))
    {'text': 'Who?'}
    """
    return _record(parse_json(line, where, frozenset(names)), where)


def _record(record: Any, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise DataError(f"{where} is not a JSON object", got=type(record).__name__, hint=ONE_LINE)
    return record


def check_named(source: Any) -> None:
    """Raise a `DataError` for an empty text, which as a path is the working directory."""
    if isinstance(source, str) and not source.strip():
        raise DataError("the texts have no name", got=repr(source), expected="a file, a folder, a hub name")


def read_parquet(path: Path, columns: Columns) -> Cells:
    """A Parquet file, batch by batch; columns that are not named are not read from disk."""
    cells = Cells.of(columns)
    for batch in parquet_batches(path, _named(columns, path)):
        for wanted, column in cells.columns.items():
            column.extend(batch[wanted])
    return cells


def parquet_batches(path: Path, choose: Choose) -> Iterator[dict[str, list[Any]]]:
    """Cells of some thousand rows at a time, by column: those that `choose` takes of the columns that are there.

    Raises:
        DataError: no Parquet file, or a damaged one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_bytes(path) as file:
        try:
            # A packed file cannot be read from its end, where Parquet begins.
            whole = pa.BufferReader(file.read()) if split_name(path).packing else arrow_file(path)
            with pq.ParquetFile(whole) as table:
                names = list(choose(table.schema_arrow.names))
                for batch in table.iter_batches(batch_size=BATCH, columns=names) if names else ():
                    yield {name: batch.column(name).to_pylist() for name in names}
        except SeparatrixError:
            raise
        # Damaged bytes surface as Arrow's errors, but also as broken text, lengths or keys while cells are unpacked.
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200]
            what = f"{readable(str(path))} is not a Parquet file or is damaged"
            raise DataError(what, got=reason or type(error).__name__) from error


SEPARATORS = {".csv": ",", ".tsv": "\t"}
READERS: dict[str, Callable[[Path, Columns], Cells]] = {
    ".csv": read_separated,
    ".tsv": read_separated,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}
