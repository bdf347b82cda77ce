"""Points that are read from elsewhere: `s3://bucket/points`, `gs://...`, `file://...`, and what else fsspec knows.

PyArrow opens the addresses that it knows, fsspec (extra `remote`) all others. Manifest and row table are brought here
when points are opened, a shard each time that rows of it are read; nothing else is kept. A shard is always compared
with its hash. Nothing is written by an address: a lock and a change of name in one step need a file system.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from separatrix.errors import MissingExtra, StoreError, raise_interrupt

_URL = re.compile(r"([a-z][a-z0-9+.\-]+):/+(.*)", re.DOTALL)  # a path has lost one of its lines


def url_of(folder: str | Path) -> str | None:
    """The address that a text or a path stands for; None for a folder of this machine.

    >>> url_of("s3://bucket/points"), url_of(Path("s3://bucket/points")), url_of("points/trec")
    ('s3://bucket/points', 's3://bucket/points', None)
    """
    match = _URL.fullmatch(str(folder))
    if match is None:
        return None
    return f"{match[1]}://{'/' if match[1] == 'file' else ''}{match[2].rstrip('/')}"


def check_local(out: str | Path) -> None:
    """Raise a `StoreError` where an address would have to be written to."""
    if (url := url_of(out)) is not None:
        hint = "write a folder here, and copy it there when it is finished"
        raise StoreError(f"{url} can be read but not written", expected="a folder of this machine", hint=hint)


@dataclass(frozen=True)
class RemoteFile:
    """A file elsewhere; what is pickled is its address."""

    root: str  # address of the folder
    name: str  # path from there

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"

    def read(self) -> bytearray:
        """All bytes, in memory that may be written to (PyTorch takes no other).

        Raises:
            StoreError: it cannot be read.
        """
        with _refusals(str(self)):
            files, path = _files_of(self.root)
            with files.open_input_file(f"{path}/{self.name}") as stream:
                return bytearray(stream.read())


@contextmanager
def _refusals(url: str) -> Iterator[None]:
    """Whatever a library says of an address that it cannot read; almost any type."""
    try:
        yield
    except (MissingExtra, StoreError):
        raise
    except Exception as error:
        raise_interrupt(error)
        what = f"{url} cannot be read ({shorten(str(error) or type(error).__name__, 160)})"
        raise StoreError(what, hint="look at the address and at your credentials") from error


def _files_of(url: str) -> tuple[Any, str]:
    """A file system of PyArrow, and the path of an address in it."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    if url.startswith(("http://", "https://")):
        hint = f"copy the folder here (wget -r -np {url}), or give an address of s3://, gs:// or file://"
        raise StoreError(f"{url} cannot be read: a web server does not say which files it has", hint=hint)
    try:
        return FileSystem.from_uri(url)
    except ArrowInvalid:  # of a kind that PyArrow does not know
        pass
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra(f"{url} needs fsspec", hint='pip install "separatrix[remote]"') from error
    files, path = url_to_fs(url)
    return PyFileSystem(FSSpecHandler(files)), path


def list_sizes(url: str) -> dict[str, int]:
    """Bytes of every file below an address, by its path from there.

    Raises:
        StoreError: nothing is there, it cannot be read, or a web server has it.
        MissingExtra: fsspec is needed and not installed.
    """
    from pyarrow.fs import FileSelector, FileType

    with _refusals(url):
        files, path = _files_of(url)
        entries = files.get_file_info(FileSelector(path, recursive=True))
    return {each.path[len(path) :].lstrip("/"): each.size for each in entries if each.type == FileType.File}


def fetch(url: str, names: tuple[str, ...]) -> Path:
    """Bring files below an address into a folder of this machine, which lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="separatrix-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in names:
        (folder / name).write_bytes(RemoteFile(url, name).read())
    return folder
