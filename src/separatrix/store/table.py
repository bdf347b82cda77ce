"""Tables of rows: Parquet, CSV or JSON lines by the ending of the name; whole files or none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from separatrix.errors import OptionError, StoreError
from separatrix.store.files import write_bytes

ENDINGS = (".parquet", ".csv", ".jsonl")


def check_ending(path: Path) -> str:
    """The ending of a table's name, or an `OptionError` that lists those that can be written."""
    if path.suffix not in ENDINGS:
        raise OptionError(f"{path} cannot be written as a table", got=path.suffix or "no ending", expected=", ".join(ENDINGS))
    return path.suffix


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame in the format of the name's ending."""
    ending = check_ending(path)
    if ending == ".parquet":
        data = frame.to_parquet(index=False)
    elif ending == ".csv":
        data = frame.to_csv(index=False).encode()
    else:
        data = frame.to_json(orient="records", lines=True, force_ascii=False).encode()
    write_bytes(path, data)


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table that `write_table` wrote."""
    if not path.is_file():
        raise StoreError(f"{path} does not exist")
    return pd.read_parquet(path)
