"""Row tables on disk: Parquet of which only the columns and row groups that are asked for are read, or written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, StoreError, raise_interrupt, system_refusal
from separatrix.paths import arrow_file
from separatrix.rowtable import BATCH_ROWS, RowTable
from separatrix.store.files import AGAIN, damaged, part_path

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_ROWS = 1 << 16  # of a table that is written by batches
_WINDOW = 1 << 17  # rows read together; scattered ones would touch every row group for each small batch


@dataclass(frozen=True, eq=False)
class ParquetTable(RowTable):
    """Rows of a Parquet file, all or those at some places; memory holds the file's index and what is asked for.

    Raises:
        StoreError: the file is missing, damaged, or was replaced after it was opened.
    """

    path: Path
    places: NDArray[np.int64] | None = None  # (rows,) in the file; None: all rows
    state: tuple[int, ...] = field(default=(), repr=False)  # of the file when it was opened

    @classmethod
    def open(cls, path: Path, columns: Sequence[str] = ()) -> ParquetTable:
        """A file that has these columns."""
        if not path.is_file():
            raise StoreError(f"{path} does not exist")
        table = cls(path, None, _state(path))
        if absent := [name for name in columns if name not in table.columns]:
            raise damaged(path, f"the column {absent[0]} is missing")
        return table

    def __reduce__(self) -> Any:
        """Another process reads the file's index itself."""
        return ParquetTable, (self.path, self.places, self.state)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._schema.names)

    @property
    def nested(self) -> list[str]:
        """Columns whose cells are lists, or tables of their own."""
        import pyarrow as pa

        return [spec.name for spec in self._schema if pa.types.is_nested(spec.type)]

    def __len__(self) -> int:
        return int(self._index.num_rows) if self.places is None else len(self.places)

    def column(self, name: str) -> NDArray[Any]:
        """One column, (rows,). Equal texts are one object: the column costs eight bytes a row and its distinct texts.

        Raises:
            KeyError: no such column.
        """
        if not self._is_text(name):
            return np.asarray(self._frame(self._read(self.places, [name]))[name])
        texts, known, first = np.empty(len(self), dtype=object), dict[str, str](), 0
        for codes, names in self._coded_texts(name):
            if 2 * len(names) <= len(codes):
                names = [known.setdefault(one, one) for one in names]
            texts[first : first + len(codes)] = np.array([*names, np.nan], dtype=object)[codes]  # NaN as of pandas
            first += len(codes)
        return texts

    def series(self, name: str) -> pd.Series:
        """One column; texts as categories, in the order of the texts. Raises `KeyError`: no such column."""
        import pandas as pd

        if not self._is_text(name):
            return super().series(name)
        numbers, pieces = dict[str, int](), []
        for codes, names in self._coded_texts(name):
            global_numbers = np.array([*(numbers.setdefault(one, len(numbers)) for one in names), -1], np.int32)
            pieces.append(global_numbers[codes])
        texts = np.array([*numbers], dtype=object)
        order = np.argsort(texts)
        places = np.append(np.argsort(order), -1).astype(np.int32)  # of each number, in the order of the texts
        codes = places[np.concatenate(pieces)] if pieces else np.empty(0, np.int32)
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(texts[order], dtype=object)), name=name)

    def _is_text(self, name: str) -> bool:
        import pyarrow as pa

        if name not in self.columns:
            raise KeyError(name)
        kind = self._schema.field(name).type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    def _coded_texts(self, name: str) -> Iterator[tuple[NDArray[np.int32], list[str]]]:
        """A column of texts piece by piece: numbers (rows,), -1 where one is missing, and the numbered texts."""
        for piece in self._pieces(name):
            coded = piece.combine_chunks().dictionary_encode()
            yield coded.indices.fill_null(-1).to_numpy(), coded.dictionary.to_pylist()

    def _pieces(self, name: str) -> Iterator[pa.ChunkedArray]:
        """A column some row groups at a time; of chosen rows, whose groups may be scattered, all are read first."""
        if self.places is not None:
            chosen = self._read(self.places, [name]).column(0)
            yield from (chosen.slice(start, _WINDOW) for start in range(0, len(chosen), _WINDOW))
            return
        stops = np.append(self._starts[1:], len(self))
        with self._opened() as file:
            first = 0
            while first < len(stops):
                last = max(first + 1, int(np.searchsorted(stops, self._starts[first] + _WINDOW, side="right")))
                yield file.read_row_groups(range(first, last), columns=[name]).column(0)
                first = last

    def take(self, places: NDArray[np.integer]) -> ParquetTable:
        """The rows at these places, in this order; nothing is read."""
        chosen = places.astype(np.int64) if self.places is None else self.places[places]
        return ParquetTable(self.path, chosen, self.state)

    def batches(self, rows: int = BATCH_ROWS, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """At most `rows` rows at a time."""
        step = rows * max(1, _WINDOW // rows)
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            places = np.arange(start, stop) if self.places is None else self.places[start:stop]
            window = self._read(places, columns)
            for first in range(0, len(window), rows):
                yield self._frame(window.slice(first, rows))

    def to_pandas(self) -> pd.DataFrame:
        """The whole table as a frame in memory."""
        return self._frame(self._read(self.places))

    @cached_property
    def _index(self) -> pq.FileMetaData:
        import pyarrow.parquet as pq

        with _refusals(self.path):
            return pq.read_metadata(arrow_file(self.path))

    @cached_property
    def _schema(self) -> pa.Schema:
        with _refusals(self.path):
            return self._index.schema.to_arrow_schema()

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """First row of each row group."""
        sizes = [self._index.row_group(group).num_rows for group in range(self._index.num_row_groups)]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])[:-1]

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        """The file, which must be the one that was opened first."""
        import pyarrow.parquet as pq

        if _state(self.path) != self.state:
            raise StoreError(f"{self.path} was replaced since it was opened", hint="open it again")
        with _refusals(self.path), pq.ParquetFile(arrow_file(self.path), metadata=self._index) as file:
            yield file

    def _read(self, places: NDArray[np.int64] | None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows at these places of the file, in this order; each row group that holds one is read once."""
        import pyarrow as pa

        names = self.columns if columns is None else list(columns)
        with self._opened() as file:
            if places is None:
                return file.read(columns=names).select(names)
            group = np.searchsorted(self._starts, places, side="right") - 1  # (places,)
            order = np.argsort(group, kind="stable")
            pieces = []
            for lines in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else ():
                piece = file.read_row_group(int(group[lines[0]]), columns=names).select(names)
                pieces.append(piece.take(pa.array(places[lines] - self._starts[group[lines[0]]])))
            whole = pa.concat_tables(pieces) if pieces else self._schema.empty_table().select(names)
            return whole if (order[1:] > order[:-1]).all() else whole.take(pa.array(np.argsort(order)))

    @cached_property
    def _with_gaps(self) -> set[str]:
        """Columns in which a value is missing somewhere in the file."""
        names, gaps = self._index.schema.names, set()
        for group in range(self._index.num_row_groups):
            for number in range(len(names)):
                statistics = self._index.row_group(group).column(number).statistics
                if statistics is None or not statistics.has_null_count or statistics.null_count:
                    gaps.add(names[number])
        return gaps

    def _frame(self, table: pa.Table) -> pd.DataFrame:
        """As pandas reads the whole file: numbers with a gap anywhere are floats in every part of it."""
        import pyarrow as pa

        for number, spec in enumerate(table.schema):
            if pa.types.is_integer(spec.type) and spec.name in self._with_gaps:
                table = table.set_column(number, spec.name, table.column(number).cast(pa.float64(), safe=False))
        frame = table.replace_schema_metadata(None).to_pandas()
        for spec in table.schema:
            if pa.types.is_boolean(spec.type) and spec.name in self._with_gaps:
                frame[spec.name] = frame[spec.name].astype(object)
        return frame


def write_rows(path: Path, rows: RowTable) -> None:
    """Write a Parquet file batch by batch, a row group each; whole or not at all.

    Raises:
        DataError: a column holds cells of several types.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = schema_of(rows)
        with arrow_file(aside, "wb") as file, pq.ParquetWriter(file, schema) as writer:
            for frame in rows.batches(GROUP_ROWS):
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
    except OSError as error:
        raise system_refusal(error, path) from error
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        what = f"{path} cannot be written ({shorten(' '.join(map(str, error.args)), 120)})"
        raise DataError(what, hint="give columns of one type") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def schema_of(rows: RowTable) -> pa.Schema:
    """Types of the columns; one that is empty in the first batch takes its type from the others."""
    import pyarrow as pa

    schema: pa.Schema | None = None
    for frame in rows.batches(GROUP_ROWS):
        part = pa.Schema.from_pandas(frame, preserve_index=False)
        schema = part if schema is None else pa.unify_schemas([schema, part])
        if not any(pa.types.is_null(kind) for kind in schema.types):
            break
    return pa.Schema.from_pandas(rows.to_pandas(), preserve_index=False) if schema is None else schema


def _state(path: Path) -> tuple[int, ...]:
    """What tells a file from one that took its place."""
    try:
        status = path.stat()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})", hint=AGAIN) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """What a decoder meets in an altered file surfaces as almost any type."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:  # it was there when it was opened
        raise StoreError(f"{path} is not there any more", hint="open what was written again") from error
    except Exception as error:
        raise_interrupt(error)
        raise damaged(path, shorten(str(error), 200)) from error
