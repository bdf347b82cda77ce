"""Paths as other libraries take them, also where the system's encoding does not know their characters.

Under LC_ALL=C, a path with é in it holds bytes that are no text to Python. The libraries that are written in C++ and
Rust want text: PyArrow gets an open file, others an alias of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def arrow_file(path: str | Path, mode: str = "rb") -> Any:
    """A file that PyArrow reads ("rb") or writes ("wb"). Raises `OSError`: it cannot be opened."""
    import pyarrow as pa

    return pa.OSFile(os.fsencode(path), mode)


@contextmanager
def text_path(folder: Path) -> Iterator[Path]:
    """The folder by a path that is text: its own, or a link that lasts as long as the context."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        with TemporaryDirectory() as temporary:
            alias = Path(temporary) / "folder"
            alias.symlink_to(folder.resolve(), target_is_directory=True)
            yield alias
    else:
        yield folder
