"""The name of a task: a hash of the function, of everything it is given, and of the version that computes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from separatrix.scale.blocks import BlockSource

_FORMAT = "2"  # another one where the arithmetic of a kernel changes


def task_key(function: Callable[..., Any], task: Any) -> str:
    """Thirty-two hexadecimal digits that change when anything does that the result depends on.

    >>> task_key(len, ([1, 2],)) == task_key(len, ([1, 2],)), task_key(len, ([1, 2],)) == task_key(len, ([1, 3],))
    (True, False)
    """
    total = hashlib.sha256(f"{_FORMAT} {version('separatrix')} {function.__module__}.{function.__qualname__}".encode())
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
    elif isinstance(value, list | tuple):
        for part in value:
            _add(total, part)
    elif is_dataclass(value) and not isinstance(value, type):
        for spec in fields(value):
            _add(total, getattr(value, spec.name))
    else:
        total.update(repr(value).encode())
    total.update(b")")
