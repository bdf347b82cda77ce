"""Files as bytes, compressed or not: `train.csv.gz` is read as `train.csv`, a stretch at a time.

A kind of compression is one function `path -> file` and one entry in `PACKINGS`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from separatrix.errors import DataError
from separatrix.paths import arrow_file


class FileName(NamedTuple):
    """A file's name in three parts: `train.csv.gz` is ("train", ".csv", ".gz")."""

    stem: str
    kind: str
    packing: str


def split_name(path: Path) -> FileName:
    """The parts of a file's name, endings in lower case.

    >>> split_name(Path("a/train.v2.CSV.gz"))
    FileName(stem='train.v2', kind='.csv', packing='.gz')
    """
    packing = path.suffix.lower() if path.suffix.lower() in PACKINGS else ""
    inner = path.with_suffix("") if packing else path
    return FileName(inner.stem, inner.suffix.lower(), packing)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked. Raises `DataError`: the packing is damaged, or a .zip holds more than one file."""
    packing = split_name(path).packing
    try:
        with PACKINGS[packing](path) if packing else path.open("rb") as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(path, error) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a .zip with a password
        if not packing or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path} cannot be unpacked", got=reason, hint="pack it again, or unpack it first")


def _arrow(name: str) -> Callable[[Path], Any]:
    def unpacked(path: Path) -> Any:
        import pyarrow as pa

        return io.BufferedReader(pa.input_stream(arrow_file(path), compression=name))

    return unpacked


@contextmanager
def _zip(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise DataError(f"{path} holds {len(names)} files", expected="one", hint="unpack it and give the folder")
        with archive.open(names[0]) as file:
            yield file


PACKINGS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _arrow("zstd"),
    ".lz4": _arrow("lz4"),
    ".zip": _zip,
}
