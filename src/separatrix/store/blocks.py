"""Rows of numbers in one NumPy file that is filled piece by piece, in any order, and read without loading it.

The file has its full size from the beginning. What is filled so far is the business of whoever fills it: pieces are
flushed before they are noted down elsewhere, so that after a `kill -9` the note never promises more than is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import StoreError, system_refusal

ENDING = ".npy"


def create_block(path: Path, rows: int, width: int, dtype: str = "float16") -> np.memmap[Any, Any]:
    """An empty file of (rows, width) numbers, open to be filled.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=(rows, width))
    except OSError as error:
        raise system_refusal(error, path) from error


def open_block(path: Path, *, fill: bool = False) -> np.memmap[Any, Any]:
    """The numbers of a file, to be read or to be filled further.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        block: NDArray[Any] = np.load(path, mmap_mode="r+" if fill else "r", allow_pickle=False)
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (ValueError, OSError) as error:
        raise StoreError(f"{path} is damaged ({error})", hint="write it again with --overwrite") from error
    if not isinstance(block, np.memmap) or block.ndim != 2:
        raise StoreError(f"{path} holds no rows of numbers", got=f"shape {block.shape}")
    return block
