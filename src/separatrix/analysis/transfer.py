"""Points from files of other programs, and back: read and written batch by batch, rows keep who they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.inputs import opened
from separatrix.errors import DataError, OptionError, public_name, warn
from separatrix.geometry.checks import check_column, maybe_index
from separatrix.points import ID, KEY, Points
from separatrix.progress import Progress, silent
from separatrix.recipe import digest
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.files import EXPORTS, ExportRecipe, ImportRecipe
from separatrix.recipe.options import ExportOptions, ImportOptions
from separatrix.store.artifacts import write_file
from separatrix.store.csv_vectors import CsvVectors, index_hint
from separatrix.store.exports import WRITERS, is_export
from separatrix.store.points import SHARD_ROWS, open_points
from separatrix.store.result import Lines, Printed
from separatrix.store.rows import write_rows
from separatrix.store.vector_file import Matrices, VectorFile
from separatrix.store.vectors import open_labels, open_vectors
from separatrix.store.writer import open_writer
from separatrix.texts.characters import plain_name
from separatrix.texts.columns import name_rows

NAMES = ("label", "group")  # columns of names
_HEAD = 1000  # rows that tell which columns may number the rows


@checks_arguments
def import_vectors(
    path: str | Path,
    *,
    recipe: ImportRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ImportOptions],
) -> Points:
    """Vectors of another program as points, with `out` on disk, whatever their size.

    Args:
        path: .npy, .safetensors (one tensor with two axes), .parquet (columns of lists of one size; the other columns
            become the row table), .csv, or a folder of .csv files with the same columns.
        recipe: all options at once.
        out: folder of the store; numbers stay in memory (float32) if absent.
        overwrite: replace the points in `out`.
        resume: go on with an import that was stopped: the file is read and checked again, whole shards are not written
            again.
        progress: is called with (stage, done, total, note); the total is 0 where it is not known.
        options: single options of `ImportRecipe`, by name.

    Raises:
        DataError: a cell that is no finite number, rows or files of other widths, a column that numbers the rows, ids
            that are missing or stand twice, labels of other rows; file, row and column are named.
        OptionError: another ending, or an option that this file has no use for.
        StoreError: the folder is taken, or holds other rows or numbers; numbers too large for the format.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/eye.npy", np.eye(3))
    ...     import_vectors(f"{folder}/eye.npy").values.tolist()[1]
    [0.0, 1.0, 0.0]
    """
    progress = progress or silent
    wanted = recipes.replace(recipe or ImportRecipe(), **options)
    labels = None if wanted.labels is None else Path(wanted.labels)
    file = open_vectors(path, drop_column=wanted.drop_column, keep_column=wanted.keep_column, tensor=wanted.tensor)
    origin = {"imported": {"file": file.path.name, **{name: plain for name, plain in asdict(wanted).items() if plain}}}
    if labels is not None:
        origin["imported"]["labels"] = labels.name
    batches, checks = _ImportedRows(file, labels), _RowChecks()
    if out is None:
        parts = [checks.add(*batch) for batch in batches.read(progress)]
        checks.check(file)
        _keep_warnings(origin, batches)
        if not parts:
            raise DataError(f"{file.path} has no rows", expected="one row or more")
        blocks = {name: np.concatenate([values[name] for values, _ in parts]) for name in parts[0][0]}
        return Points.of(blocks, pd.concat([frame for _, frame in parts], ignore_index=True), origin=origin)
    key, given = digest("imported", origin), (path, wanted.labels)
    with open_writer(
        Path(out), key, window=SHARD_ROWS, dtype=wanted.store_dtype, overwrite=overwrite, resume=resume or None,
        inputs=given, resumable=True,
    ) as writer:  # fmt: skip
        for index, batch in enumerate(batches.read(progress)):
            values, frame = checks.add(*batch)
            if not writer.holds(index, frame, values):
                writer.add(index, frame, values)
        checks.check(file)
        _keep_warnings(origin, batches)
        writer.finish(len(writer.shards), origin, recipes.record(wanted))
    return open_points(out)


def _keep_warnings(origin: dict[str, Any], rows: _ImportedRows) -> None:
    """Warn of names that were not kept as they were written; the points say so too."""
    if warnings := [names.warning for names in rows.names if names.count]:
        origin["imported"]["warnings"] = warnings
        warn(warnings)


@dataclass
class _PlainNames:
    """A column of names (classes, groups), written as they look; see `texts.characters.plain_name`."""

    column: str
    file: str
    count: int = 0  # names that were written otherwise
    first: list[int] = field(default_factory=list)  # rows of some of them

    def put(self, frame: pd.DataFrame, start: int) -> None:
        """Write the names of some rows plainly."""
        if self.column not in frame.columns:
            return
        values = frame[self.column].tolist()
        plain = {value: plain_name(value) for value in values if isinstance(value, str)}
        if odd := [row for row, value in enumerate(values) if isinstance(value, str) and plain[value] != value]:
            frame[self.column] = [plain[value] if isinstance(value, str) else value for value in values]
            self.count += len(odd)
            self.first += [start + row for row in odd[: 3 - len(self.first)]]

    @property
    def warning(self) -> str:
        """How many, and where."""
        what = f"{self.file}: {self.count} cells of {self.column!r} held invisible characters or were not composed"
        return f"{what} (NFC), and are written as they look: {name_rows(self.first)}"


@dataclass(frozen=True)
class _ImportedRows:
    """Batches of a file, with the row table that belongs to them."""

    file: VectorFile
    labels: Path | None
    names: list[_PlainNames] = field(default_factory=list)

    def __post_init__(self) -> None:
        named = public_name(self.labels or self.file.path)
        self.names.extend(_PlainNames(column, named) for column in NAMES)

    def read(self, progress: Progress) -> Iterator[tuple[Matrices, pd.DataFrame]]:
        """Numbers by block and the row table, with ids, a shard at a time."""
        beside = iter(()) if self.labels is None else open_labels(self.labels, SHARD_ROWS)
        start = 0
        for values, table in self.file.batches(SHARD_ROWS):
            count = len(next(iter(values.values())))
            frame = pd.DataFrame(index=range(count)) if table is None else table
            if self.labels is not None:
                frame = self._joined(frame, next(beside, pd.DataFrame()), start)
            for names in self.names:
                names.put(frame, start)
            if ID not in frame.columns:
                frame.insert(0, ID, np.arange(start, start + count))
            if frame[ID].isna().any():
                raise DataError(f"{self.file.where(start + int(np.flatnonzero(frame[ID].isna())[0]))} has no id")
            yield values, frame
            start += count
            progress("import", start, 0, "")
        if next(beside, None) is not None:
            raise DataError(f"{self.labels} has more rows than the vectors", got=f"{start} vectors")

    def _joined(self, frame: pd.DataFrame, beside: pd.DataFrame, start: int) -> pd.DataFrame:
        if len(beside) != len(frame):
            which = "fewer" if len(beside) < len(frame) else "more"
            got = f"{start + min(len(beside), len(frame))} rows of both"
            raise DataError(f"{self.labels} has {which} rows than the vectors", got=got, expected="as many")
        for name in [name for name in beside.columns if name in frame.columns]:
            wrong = np.flatnonzero((frame[name].to_numpy() != beside[name].to_numpy()) & frame[name].notna())
            if len(wrong):
                row = int(wrong[0])
                what = f"{self.labels}, row {start + row}: column {name!r} differs from that of the vectors"
                raise DataError(what, got=repr(beside[name].iloc[row]), expected=repr(frame[name].iloc[row]))
        return frame.assign(**{str(name): beside[name] for name in beside.columns if name not in frame.columns})


@dataclass
class _RowChecks:
    """What can be said only when all rows were read: names that stand twice, columns that number the rows."""

    rows: int = 0
    keys: list[NDArray[Any]] = field(default_factory=list)  # hashes of the names of the rows
    head: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    low: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    high: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, values: Matrices, frame: pd.DataFrame) -> tuple[Matrices, pd.DataFrame]:
        """Take note of some rows, which are given back."""
        for name, matrix in values.items():
            self.head.setdefault(name, matrix[:_HEAD].copy())
            low, high = matrix.min(axis=0), matrix.max(axis=0)
            self.low[name] = np.minimum(self.low.get(name, low), low)
            self.high[name] = np.maximum(self.high.get(name, high), high)
        if "token" not in frame.columns:  # a text may hold one token several times
            key = frame[[name for name in KEY if name in frame.columns]].astype(str)
            self.keys.append(pd.util.hash_pandas_object(key, index=False).to_numpy())
        self.rows += len(frame)
        return values, frame

    def check(self, file: VectorFile) -> None:
        """Raise a DataError if a row has the name of another one, or a column numbers the rows."""
        keys = np.concatenate(self.keys) if self.keys else np.empty(0, np.uint64)
        order = np.argsort(keys, kind="stable")
        twice = order[1:][keys[order[1:]] == keys[order[:-1]]]
        if len(twice):
            raise DataError(f"{file.where(int(twice.min()))} has the id of an earlier row", expected="ids that differ")
        for block, head in self.head.items():
            columns = maybe_index(head, self.low[block], self.high[block], self.rows)
            if not columns:
                continue
            read = np.concatenate([some[block][:, columns] for some, _ in file.pieces(SHARD_ROWS)])
            for values, column in zip(read.T, columns, strict=True):
                try:
                    check_column(values, column)
                except DataError as error:
                    name = file.names[block][column]
                    hint = index_hint(name) if isinstance(file, CsvVectors) else "leave it out of the file"
                    got = f"{values[0]:g} to {values[-1]:g}"
                    raise DataError(f"{file.path}: column {name!r} numbers the rows", got=got, hint=hint) from error


@dataclass(frozen=True, repr=False)
class ExportedFile(Printed):
    """A file that was written, and the row table beside it where the format has no place for it."""

    path: Path
    table: Path | None
    rows: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        beside = {} if self.table is None else {"table": str(self.table)}
        return {"rows": self.rows, "bytes": self.bytes, **beside, "out": str(self.path)}

    def parts(self) -> list[Lines]:
        """The same, line by line."""
        return [list(self.to_dict().items())]


@checks_arguments
def export_vectors(
    points: Points | str | Path,
    *,
    recipe: ExportRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ExportOptions],
) -> ExportedFile:
    """Points as one file for other programs; of .npy and .safetensors the row table stands in `NAME.rows.parquet`.

    Args:
        points: of one block (for Parquet also several, each a column of lists of one size), or their folder.
        recipe: all options at once.
        out: the file.
        overwrite: replace the files that are there.
        progress: is called with (stage, done, total, note) before and after the work.
        options: single options of `ExportRecipe`, by name.

    Raises:
        OptionError: no `out`, another ending, or several blocks where one is written.
        StoreError: a file is there, or cannot be written.
    """
    points, progress = opened(points, Points), progress or silent
    wanted = recipes.replace(recipe or ExportRecipe(), **options)
    if out is None:
        raise OptionError("an export is a file", got="no out", hint="pass out=, or --out FILE")
    path = Path(out)
    to = wanted.to or path.suffix.lower().lstrip(".")
    if to not in EXPORTS:
        raise OptionError(f"{path} names no format", got=path.suffix or "no ending", expected=", ".join(EXPORTS))
    chosen = points if wanted.block is None else points.pick(wanted.block)
    chosen = chosen if to == "parquet" else chosen.pick(chosen.name)
    if clash := sorted({*chosen.blocks} & {*chosen.columns}):
        raise DataError("a block and a column of the table have one name", got=repr(clash[0]))
    table = None if to == "parquet" else path.with_suffix(".rows.parquet")
    progress("export", 0, len(points), "")
    with ExitStack() as stack:
        for each, kind in ((path, to), (table, "parquet")):
            if each is not None:
                own = partial(is_export, to=kind)
                stack.enter_context(write_file(each, overwrite=overwrite, inputs=points.folders, own=own))
        if table is not None:
            write_rows(table, points.rows)
        WRITERS[to](path, chosen, wanted.dtype)
    progress("export", len(points), len(points), "")
    return ExportedFile(path, table, len(points), path.stat().st_size)
