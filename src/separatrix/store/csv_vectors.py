"""Vectors in CSV: one file, or a folder of shards with the same columns; numbers are parsed as they stream by."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.errors import DataError, choose
from separatrix.paths import arrow_file
from separatrix.store.vector_file import VECTORS, Matrices, VectorFile, rebatched

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

INDEX_NAMES = ("index", "id", "row", "row_id")  # besides "Unnamed: 0", as pandas calls a column without a name
_BLOCK_BYTES = 1 << 24  # parsed at a time; a line is shorter


@dataclass(frozen=True, eq=False)
class CsvVectors(VectorFile):
    """CSV files that are read one after the other, all with the columns of the first."""

    path: Path
    files: tuple[Path, ...]
    columns: tuple[str, ...]  # of each file
    header: bool  # whether the first line names them
    table: tuple[str, ...]  # columns of the row table
    dropped: tuple[str, ...]
    _ends: list[tuple[int, Path]] = field(default_factory=list, repr=False)  # first row of each file read so far

    @classmethod
    def open(cls, path: Path, *, drop_column: Sequence[str] = (), keep_column: Sequence[str] = ()) -> CsvVectors:
        """Read the first line.

        Raises:
            DataError: no .csv file, an empty one, or a column that numbers the rows, by its name.
            OptionError: no column of a name that was given.
        """
        files = tuple(sorted(path.glob("*.csv"), key=_natural)) if path.is_dir() else (path,)
        if not files:
            raise DataError(f"{path} holds no .csv file", expected="CSV files with the same columns")
        columns, header = _first_line(files[0])
        for name, flag in (
            (one, flag)
            for flag, names in (("--drop-column", drop_column), ("--keep-column", keep_column))
            for one in names
        ):
            choose(name, columns, flag)
        for name in columns:
            numbered = name.startswith("Unnamed: ") or name.casefold() in INDEX_NAMES
            if numbered and name not in (*drop_column, *keep_column):
                raise DataError(f"{files[0]}: column {name!r} numbers the rows by its name", hint=index_hint(name))
        if not {*columns} - {*drop_column, *keep_column}:
            raise DataError(f"{files[0]}: no column is left for the vectors", got=f"{len(columns)} columns")
        return cls(path, files, columns, header, tuple(keep_column), tuple(drop_column))

    @property
    def vectors(self) -> list[str]:
        """Columns of the vectors."""
        return [name for name in self.columns if name not in self.dropped and name not in self.table]

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """Columns by name."""
        return {VECTORS: self.vectors}

    def where(self, row: int) -> str:
        """The file, and the row in it."""
        start, file = max(((start, file) for start, file in self._ends if start <= row), default=(0, self.path))
        return f"{file}, row {row - start}"

    def pieces(self, rows: int) -> Iterator[tuple[Matrices, pd.DataFrame | None]]:
        """Row ranges across the files."""
        for table in rebatched(self._tables(), rows):
            values = np.empty((len(table), len(self.vectors)), np.float32)
            for number, name in enumerate(self.vectors):
                values[:, number] = table.column(name).to_numpy()  # a cell without a number is NaN
            yield {VECTORS: values}, table.select(self.table).to_pandas() if self.table else None

    def _tables(self) -> Iterator[pa.Table]:
        import pyarrow as pa
        from pyarrow import csv as arrow

        self._ends.clear()
        start, wanted = 0, [*self.vectors, *self.table]
        types: dict[str, Any] = dict.fromkeys(self.vectors, pa.float32())
        for file in self.files:
            if file is not self.files[0] and _first_line(file, self.header) != (self.columns, self.header):
                columns = _first_line(file, self.header)[0]
                odd = next((pair for pair in zip(columns, self.columns, strict=False) if pair[0] != pair[1]), None)
                got, expected = odd or (f"{len(columns)} columns", f"{len(self.columns)}")
                raise DataError(f"{file} has other columns than {self.files[0].name}", got=got, expected=expected)
            self._ends.append((start, file))
            try:
                reader = arrow.open_csv(
                    arrow_file(file),
                    arrow.ReadOptions(column_names=self.columns, skip_rows=self.header, block_size=_BLOCK_BYTES),
                    convert_options=arrow.ConvertOptions(
                        column_types=types, include_columns=wanted, null_values=[""], strings_can_be_null=True
                    ),
                )
                for batch in reader:
                    # The types of the row table are those of the first batch of all.
                    types |= {spec.name: spec.type for spec in batch.schema if not pa.types.is_null(spec.type)}
                    yield pa.Table.from_batches([batch])
                    start += len(batch)
            except (pa.ArrowException, OSError, UnicodeError) as error:
                raise self._explained(file, error) from error

    def _explained(self, file: Path, error: Exception) -> DataError:
        """The first line that is wrong, sought again slowly."""
        vectors = {number: name for number, name in enumerate(self.columns) if name in {*self.vectors}}
        row = 0
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                lines = csv.reader(stream)
                if self.header:
                    next(lines)
                for row, cells in enumerate(lines):
                    if cells and len(cells) != len(self.columns):
                        what = f"{file}, row {row}: another number of cells"
                        return DataError(what, got=len(cells), expected=len(self.columns))
                    for number, name in vectors.items():
                        if cells and not _is_number(cells[number]):
                            what = f"{file}, row {row}: column {name!r} holds no number"
                            hint = f"type --drop-column or --keep-column {name} if it is no part of the vectors"
                            return DataError(what, got=repr(cells[number][:40]), hint=hint)
        except (UnicodeError, csv.Error) as broken:
            return DataError(f"{file}, after row {row}: no CSV in UTF-8", got=shorten(str(broken), 100))
        return DataError(f"{file} cannot be read ({shorten(str(error), 160)})", hint="is it whole?")


def index_hint(name: str) -> str:
    """What to type where a column numbers the rows."""
    return f'type --drop-column "{name}" to leave it out, or --keep-column "{name}" for the row table'


def _first_line(file: Path, header: bool | None = None) -> tuple[tuple[str, ...], bool]:
    """Names of the columns, and whether the file gives them: a line of numbers other than 0, 1, 2, ... is a row.

    Raises:
        DataError: the file is empty, no text, or names a column twice.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            cells = next(csv.reader(stream), [])
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read ({shorten(str(error), 160)})", expected="CSV in UTF-8") from error
    if not cells:
        raise DataError(f"{file} is empty", expected="a line of column names, then rows of numbers")
    numbers = all(map(_is_number, cells)) and cells != [str(number) for number in range(len(cells))]
    if numbers if header is None else not header:
        return tuple(map(str, range(len(cells)))), False
    names = tuple(name or f"Unnamed: {number}" for number, name in enumerate(cells))
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{file}: the column {twice!r} stands twice", expected="names that differ")
    return names, True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sorts part2 before part10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
