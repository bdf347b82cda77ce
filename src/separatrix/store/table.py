"""Tables of rows: Parquet, CSV or JSON lines by the ending of the name; whole files or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import pandas as pd

from separatrix.errors import DataError, OptionError, StoreError
from separatrix.store.files import damaged, write_bytes

ENDINGS = (".parquet", ".csv", ".jsonl")


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
        StoreError: the file cannot be written.
    """
    ending = check_ending(path)
    if ending == ".parquet":
        try:
            data = frame.to_parquet(index=False)
        except (ValueError, TypeError, OverflowError) as error:  # of Arrow: cells of several types in one column
            what = f"{path} cannot be written ({shorten(' '.join(map(str, error.args)), 120)})"
            raise DataError(what, hint="give columns of one type") from error
    elif ending == ".csv":
        data = frame.to_csv(index=False).encode()
    else:
        data = _json_lines(frame).encode()
    write_bytes(path, data)


def _json_lines(frame: pd.DataFrame) -> str:
    # pandas' own writer keeps ten decimals: a small probability would become 0.
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a Parquet table that `write_table` wrote, and that has these columns.

    Raises:
        StoreError: the file is missing or damaged.
    """
    if not path.is_file():
        raise StoreError(f"{path} does not exist")
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # what a decoder meets in an altered file surfaces as almost any type
        raise damaged(path, shorten(str(error), 200)) from error
    if absent := [name for name in columns if name not in table.columns]:
        raise damaged(path, f"the column {absent[0]} is missing")
    return table
