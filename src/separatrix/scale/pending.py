"""Where finished tasks and the state of a job are kept, and the name of each.

The name is a hash of the function, of everything it is given, and of the versions that compute it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import StoreError
from separatrix.scale.blocks import BlockSource
from separatrix.store.partials import read_partial, write_partial

_FORMAT = "4"  # another one where the arithmetic of a kernel changes


def versions() -> dict[str, str]:
    """Versions on which the bytes of a result depend."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {name: version(name) for name in ("separatrix", "numpy", "torch")} | {"python": python}


@cache
def _computed_by() -> str:
    return f"{_FORMAT} {sorted(versions().items())}"


def pending_folder(out: Path) -> Path:
    """The folder of the finished tasks of an artefact, beside it.

    >>> pending_folder(Path("points/large")).as_posix()
    'points/.large.pending'
    """
    return out.with_name(f".{out.name}.pending")


def task_path(pending: Path, function: Callable[..., Any], task: Any) -> Path:
    """The file of a finished task."""
    return pending / f"{task_key(function, task)}.npz"


def task_key(function: Callable[..., Any], task: Any) -> str:
    """Thirty-two hexadecimal digits that change when anything does that the result depends on.

    >>> task_key(len, ([1, 2],)) == task_key(len, ([1, 2],)), task_key(len, ([1, 2],)) == task_key(len, ([1, 3],))
    (True, False)
    """
    total = hashlib.sha256(f"{_computed_by()} {function.__module__}.{function.__qualname__}".encode())
    _add(total, task)
    return total.hexdigest()[:32]


def _add(total: Any, value: Any) -> None:
    total.update(f"({type(value).__name__}".encode())
    if isinstance(value, BlockSource):
        total.update(value.fingerprint().encode())
    elif isinstance(value, np.ndarray):
        total.update(f"{value.dtype.str}{value.shape}".encode())
        total.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        _add(total, sorted(value.items()))
    elif isinstance(value, list | tuple) and value and all(type(part) is int for part in value):
        _add(total, np.array(value, np.int64))  # token ids, by the thousand
    elif isinstance(value, list | tuple):
        for part in value:
            _add(total, part)
    elif is_dataclass(value) and not isinstance(value, type):
        for spec in fields(value):
            _add(total, getattr(value, spec.name))
    else:
        total.update(repr(value).encode())
    total.update(b")")


@dataclass(frozen=True)
class KeptState:
    """Arrays of a job that is not done, in a file; a damaged one is as good as none."""

    path: Path

    @classmethod
    def of(cls, folder: Path, function: Callable[..., Any], task: Any) -> KeptState:
        """The state of a function of a task."""
        return cls(task_path(folder, function, task))

    def load(self) -> Mapping[str, Any]:
        """What was kept last; empty where nothing was."""
        try:
            return read_partial(self.path)
        except StoreError:
            return {}

    def save(self, arrays: Mapping[str, Any]) -> None:
        """Keep arrays by name, in place of those before.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        write_partial(self.path, arrays)
