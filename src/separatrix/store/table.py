"""Tables of rows: Parquet, CSV or JSON lines by the ending of the name, whole or not at all; what identifies a row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from separatrix.errors import DataError, OptionError, StoreError, raise_interrupt, system_refusal
from separatrix.paths import arrow_file
from separatrix.points import ID
from separatrix.recipe import canonical
from separatrix.store.artifacts import write_file
from separatrix.store.files import damaged, part_path, write_bytes

ENDINGS = (".parquet", ".csv", ".jsonl")
# Columns that identify a row; the text stands in it as its hash.
IDENTITY = (ID, "text_hash", "split", "label", "group")


def check_ending(path: Path) -> str:
    """The ending of a table's name, or an `OptionError` that lists those that can be written.

    >>> check_ending(Path("rows.csv"))
    '.csv'
    """
    if path.suffix not in ENDINGS:
        got = path.suffix or "no ending"
        raise OptionError(f"{path} cannot be written as a table", got=got, expected=", ".join(ENDINGS))
    return path.suffix


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame in the format of the name's ending.

    Raises:
        DataError: a column holds cells of several types, which Parquet does not.
    """
    ending = check_ending(path)
    if ending == ".parquet":
        try:
            data = frame.to_parquet(index=False)
        except (ValueError, TypeError, OverflowError) as error:  # of Arrow: cells of several types in one column
            what = f"{path} cannot be written ({shorten(' '.join(map(str, error.args)), 120)})"
            raise DataError(what, hint="give columns of one type") from error
    elif ending == ".csv":
        lines = CsvLines()
        frame.to_csv(lines, index=False, lineterminator=lines.END)
        data = lines.getvalue().encode()
    else:
        data = json_lines(frame).encode()
    write_bytes(path, data)


def of_one_type(cells: pd.Series) -> pd.Series:
    """A column as Parquet can hold it: cells of several types, or of none that it has, as texts.

    >>> of_one_type(pd.Series(["a", 1, None])).tolist(), of_one_type(pd.Series([1, None], dtype=object)).tolist()
    (['a', '1', None], [1, None])
    """
    import pyarrow as pa

    try:
        pa.array(cells, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        texts = [None if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell) for cell in cells]
        return pd.Series(texts, index=cells.index, dtype=object)
    return cells


class CsvLines(io.StringIO):
    r"""Takes the rows of a csv writer that ends them with `END`, and ends them with a line feed.

    Python's writer quotes a cell that holds a carriage return only where the end of a line has one; unquoted it would
    be the end of a row to all that read the file.

    >>> csv_lines([["a", "b\rc"], ["d", 1]])
    'a,"b\rc"\nd,1\n'
    """

    END = "\r\n"

    def write(self, row: str) -> int:
        """Write one row."""
        return super().write(row.removesuffix(self.END) + "\n")


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as lines of CSV."""
    lines = CsvLines()
    csv.writer(lines, lineterminator=lines.END).writerows(rows)
    return lines.getvalue()


def json_lines(frame: pd.DataFrame) -> str:
    """The rows of a frame as JSON objects, one a line; what JSON has no type for is text, times are of ISO 8601.

    >>> print(json_lines(pd.DataFrame({"id": [pd.Timestamp(2024, 5, 1)], "count": [3]})), end="")
    {"id": "2024-05-01T00:00:00", "count": 3}
    """
    # pandas' own writer keeps ten decimals: a small probability would become 0.
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False, default=_cell) + "\n" for row in rows)


def _cell(cell: Any) -> Any:
    """A cell that JSON has no type for."""
    if isinstance(cell, np.number | np.bool_ | np.ndarray):
        return cell.tolist()
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a Parquet table that `write_table` wrote, and that has these columns.

    Raises:
        StoreError: the file is missing or damaged.
    """
    if not path.is_file():
        raise StoreError(f"{path} does not exist")
    try:
        with arrow_file(path) as file:
            table = pd.read_parquet(file)
    except Exception as error:  # what a decoder meets in an altered file surfaces as almost any type
        raise_interrupt(error)
        raise damaged(path, shorten(str(error), 200)) from error
    if absent := [name for name in columns if name not in table.columns]:
        raise damaged(path, f"the column {absent[0]} is missing")
    return table


def is_answers(path: Path) -> bool:
    """Whether a file is a table of answers, as `predict` writes it, or empty."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            with arrow_file(path) as file:
                names = pq.read_schema(file).names
        else:
            with path.open(encoding="utf-8", newline="") as stream:
                line = stream.readline()
            names = list(json.loads(line)) if path.suffix == ".jsonl" and line else next(csv.reader([line]), [])
    except (OSError, ValueError, TypeError, RecursionError):  # another file
        return False
    return not names or {ID, "text", "predicted"} <= {*names}


@contextmanager
def answers_file(
    out: str | Path | None, *, overwrite: bool = False, inputs: Collection[Any] = ()
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Hold the file that answers go to, and give what writes them; without `out` that does nothing.

    Errors are those of `check_ending` and `store.artifacts.write_file`.
    """
    if out is None:
        yield lambda _answers: None
        return
    check_ending(Path(out))
    with write_file(out, overwrite=overwrite, inputs=inputs, own=is_answers) as path:
        yield lambda answers: write_table(path, answers)


def text_hash(text: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a text.

    >>> text_hash("How far?")
    '08ba718d4d430550'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def identity_of(rows: pd.DataFrame) -> str:
    """SHA-256 over the identity of the rows, in their order.

    >>> identity_of(pd.DataFrame({"id": [0, 1]})) == identity_of(pd.DataFrame({"id": [1, 0]}))
    False
    """
    columns = {name: [_plain(value) for value in rows[name].tolist()] for name in IDENTITY if name in rows.columns}
    return hashlib.sha256(canonical(columns).encode()).hexdigest()


def _plain(value: object) -> object:
    # NaN is no JSON; what is neither text nor number is taken as it prints.
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)


def _widened(field: Any) -> Any:
    """A column whose type does not depend on how many values it has in one shard: codes are int32, none is null."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = pa.null() if pa.types.is_null(kind.value_type) else pa.dictionary(pa.int32(), kind.value_type)
    return pa.field(field.name, kind)


def join_tables(parts: Sequence[Path], whole: Path) -> None:
    """One Parquet file with a row group for each part; only one part is in memory at a time.

    Raises:
        StoreError: a column changes its type on the way, or the disk refuses.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside = part_path(whole)
    try:
        # A column that is empty in one shard (no group, say) takes its type from the others.
        schema = pa.unify_schemas([pa.schema(map(_widened, pq.read_schema(arrow_file(part)))) for part in parts])
        with arrow_file(aside, "wb") as file, pq.ParquetWriter(file, schema) as writer:
            for part in parts:
                writer.write_table(pq.read_table(arrow_file(part)).select(schema.names).cast(schema))
        aside.replace(whole)
    except (pa.ArrowException, KeyError) as error:
        aside.unlink(missing_ok=True)
        raise StoreError(f"the row tables do not fit together ({error})", hint="give columns of one type") from error
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise system_refusal(error, whole) from error
