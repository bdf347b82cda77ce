"""Vectors in files of other programs, read batch by batch: .npy, safetensors, Parquet, CSV (one file or a folder).

What is wrong in a file is refused in one sentence that names file, row and column; rows are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, OptionError, choose
from separatrix.paths import arrow_file
from separatrix.store.csv_vectors import CsvVectors
from separatrix.store.rows import ParquetTable
from separatrix.store.vector_file import VECTORS, Matrices, VectorFile, guarded, one_sentence, rebatched

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

READ_ROWS = 4096  # of a Parquet file, at a time
_TENSORS = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")  # that NumPy has


def open_vectors(
    path: str | Path, *, drop_column: Sequence[str] = (), keep_column: Sequence[str] = (), tensor: str | None = None
) -> VectorFile:
    """Open a file of vectors, or a folder of CSV files, by its ending; no number is read yet.

    Args:
        path: .npy (mapped), .safetensors, .parquet, .csv, or a folder of .csv files, which are read in their order.
        drop_column: columns of CSV and Parquet files that are left out.
        keep_column: columns of CSV files that belong to the row table.
        tensor: name of the tensor, where a safetensors file holds several.

    Raises:
        DataError: the file holds no vectors, or a column that numbers the rows by its name (CSV).
        OptionError: another ending, or an option that this file has no use for.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist", expected="a file of vectors, or a folder of .csv files")
    ending = ".csv" if path.is_dir() else path.suffix.lower()
    if ending not in READERS:
        raise OptionError(f"{path} cannot be read as vectors", got=ending or "no ending", expected=", ".join(READERS))
    given = {"drop_column": tuple(drop_column), "keep_column": tuple(keep_column), "tensor": tensor}
    reader, takes = READERS[ending]
    for name, value in given.items():
        if value and name not in takes:
            what = f"--{name.replace('_', '-')} has no effect on a {ending} file"
            raise OptionError(what, hint=f"leave --{name.replace('_', '-')} away")
    opened: VectorFile = reader(path, **{name: given[name] for name in takes})
    return opened


@dataclass(frozen=True, eq=False)
class MatrixFile(VectorFile):
    """One matrix that is read by row ranges."""

    path: Path
    open: Callable[[], Any]  # maps the file: (rows, width), sliced by rows; only while rows are read
    shape: tuple[int, int]

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """Columns by number."""
        return {VECTORS: [str(number) for number in range(self.shape[1])]}

    def pieces(self, rows: int) -> Iterator[tuple[Matrices, None]]:
        """Row ranges."""
        for start in range(0, self.shape[0], rows):
            with one_sentence(self.path), np.errstate(over="ignore"):
                values = np.asarray(self.open()[start : min(start + rows, self.shape[0])]).astype(np.float32)
            yield {VECTORS: values}, None


def open_npy(path: Path) -> MatrixFile:
    """A matrix of numbers in NumPy's format, mapped into memory."""
    with one_sentence(path):
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    reopen = partial(np.load, path, mmap_mode="r", allow_pickle=False)
    return _matrix(path, reopen, matrix.shape, str(matrix.dtype), matrix.dtype.kind in "fiub")


def open_safetensors(path: Path, *, tensor: str | None = None) -> MatrixFile:
    """The only tensor with two axes, or the one named."""
    from safetensors import safe_open

    with one_sentence(path):
        file = safe_open(path, framework="numpy")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    wide = [name for name, one in slices.items() if len(one.get_shape()) == 2]
    if tensor is not None:
        tensor = choose(tensor, slices, "--tensor")
    elif len(wide) != 1:
        got = f"{', '.join(wide[:6])} of {len(slices)} tensors" if wide else f"{len(slices)} tensors, none of them"
        raise DataError(f"{path} holds not one matrix", got=got, expected="one tensor with two axes: --tensor NAME")
    name = tensor or wide[0]
    kind = str(slices[name].get_dtype())
    return _matrix(
        path,
        lambda: safe_open(path, framework="numpy").get_slice(name),
        tuple(slices[name].get_shape()),
        kind,
        kind in _TENSORS,
    )


def _matrix(path: Path, reopen: Callable[[], Any], shape: tuple[int, ...], kind: str, real: bool) -> MatrixFile:
    if not real:
        raise DataError(f"{path} holds no numbers that NumPy reads", got=kind, expected="float32, float16, ...")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"{path} holds no matrix", got=f"shape {shape}", expected="(rows, width)")
    return MatrixFile(path, reopen, (shape[0], shape[1]))


@dataclass(frozen=True, eq=False)
class ParquetVectors(VectorFile):
    """A Parquet file whose columns of lists are blocks; the other columns are the row table."""

    path: Path
    widths: Mapping[str, int]
    columns: Sequence[str]  # of the row table

    @classmethod
    def open(cls, path: Path, *, drop_column: Sequence[str] = ()) -> ParquetVectors:
        """Widths are those of the fixed-size lists, or of the first list."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with one_sentence(path), pq.ParquetFile(arrow_file(path)) as file:
            schema = file.schema_arrow
            wanted = [name for name in schema.names if name not in drop_column]
            lists = [name for name in wanted if _is_list(schema.field(name).type)]
            first = next(file.iter_batches(1, columns=lists), None) if lists else None
        for name in drop_column:
            choose(name, schema.names, "--drop-column")
        if first is None or not len(first):
            kinds = ", ".join(f"{spec.name} ({spec.type})" for spec in schema)
            got = "no rows" if lists else shorten(kinds, 100)
            raise DataError(f"{path} holds no vectors", got=got, expected="a column of lists of numbers, one size")
        widths = {name: len(first.column(name)[0].as_py() or ()) for name in lists}
        fixed = {name: schema.field(name).type for name in lists}
        widths |= {name: kind.list_size for name, kind in fixed.items() if pa.types.is_fixed_size_list(kind)}
        return cls(path, widths, [name for name in wanted if name not in lists])

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """The column and the place in its lists."""
        return {name: [f"{name}[{index}]" for index in range(width)] for name, width in self.widths.items()}

    def pieces(self, rows: int) -> Iterator[tuple[Matrices, pd.DataFrame | None]]:
        """Row ranges, whatever the row groups are."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        start = 0
        with pq.ParquetFile(arrow_file(self.path), pre_buffer=False) as file:  # else it keeps what was read
            read = file.iter_batches(READ_ROWS, columns=[*self.widths, *self.columns])
            tables = (pa.Table.from_batches([batch]) for batch in guarded(read, self.path))
            for table in rebatched(tables, rows):
                values = {name: self._values(table.column(name), name, start) for name in self.widths}
                yield values, table.select(self.columns).to_pandas() if self.columns else None
                start += len(table)

    def _values(self, column: pa.ChunkedArray, name: str, start: int) -> NDArray[np.float32]:
        import pyarrow as pa
        import pyarrow.compute as pc

        width, lists = self.widths[name], column.combine_chunks()
        sizes = np.asarray(pc.list_value_length(lists).fill_null(-1))
        if (wrong := np.flatnonzero(sizes != width)).size or lists.null_count:
            row = int(wrong[0]) if wrong.size else int(np.flatnonzero(lists.is_null())[0])
            got = "nothing" if lists[row].as_py() is None else f"{int(sizes[row])} numbers"
            raise DataError(f"{self.where(start + row)}: column {name!r} has another width", got=got, expected=width)
        flat = lists.flatten().cast(pa.float32(), safe=False)
        return flat.to_numpy(zero_copy_only=False).reshape(len(lists), width)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    listed = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return listed and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def open_labels(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Frames of so many rows of a table that lies beside vectors: .csv or .parquet.

    Raises:
        DataError: the file is missing or damaged.
        OptionError: another ending.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist", expected="labels: a .csv or .parquet file")
    if path.suffix.lower() == ".parquet":
        yield from ParquetTable.open(path).batches(rows)
        return
    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path} cannot be read as labels", got=path.suffix or "no ending", expected=".csv, .parquet")
    import pyarrow as pa
    from pyarrow import csv

    with one_sentence(path):
        gaps = csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
        reader = csv.open_csv(arrow_file(path), csv.ReadOptions(block_size=1 << 24), convert_options=gaps)
    tables = (pa.Table.from_batches([batch]) for batch in guarded(reader, path))
    for table in rebatched(tables, rows):
        yield table.to_pandas()


READERS: dict[str, tuple[Any, tuple[str, ...]]] = {  # ending -> reader, and the options that it takes
    ".npy": (open_npy, ()),
    ".safetensors": (open_safetensors, ("tensor",)),
    ".parquet": (ParquetVectors.open, ("drop_column",)),
    ".csv": (CsvVectors.open, ("drop_column", "keep_column")),
}
