"""Results of finished tasks, kept until the work is done: arrays in NumPy's format, no pickle, behind their hash."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import StoreError
from separatrix.store.files import AGAIN, damaged, write_bytes

_HASH = hashlib.sha256().digest_size


def write_partial(path: Path, arrays: Mapping[str, Any]) -> None:
    """Named arrays as one file, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    stream = io.BytesIO()
    named: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez(stream, **named)
    data = stream.getvalue()
    write_bytes(path, hashlib.sha256(data).digest() + data)


def read_partial(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `write_partial`. Raises `StoreError`: the file is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})", hint=AGAIN) from error
    if hashlib.sha256(content[_HASH:]).digest() != content[:_HASH]:
        raise damaged(path, "its bytes are not those that were written")
    try:
        with np.load(io.BytesIO(content[_HASH:]), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise damaged(path, str(error)) from error
