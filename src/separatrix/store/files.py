"""Small files, whole or not at all: tensors (safetensors), JSON, JSON lines.

Everything is written under a temporary name and renamed, so that a reader - or the next run after a `kill -9` - sees
the old file or the new one. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from separatrix.errors import StoreError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole: temporary name, then rename.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        what = f"{path} cannot be written ({error.strerror})"
        raise StoreError(what, hint="free some space or choose another --out") from error


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], note: Mapping[str, Any] | None = None) -> None:
    """Named arrays and a JSON note in one safetensors file."""
    meta = {"note": json.dumps(note, sort_keys=True)} if note is not None else None
    write_bytes(path, save({name: np.asarray(array, order="C") for name, array in tensors.items()}, meta))


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of `write_tensors` and its note (empty if there was none).

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            note = (file.metadata() or {}).get("note", "{}")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(note)  # noqa: SIM118
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged ({error})", hint="write it again with --overwrite") from error


def write_json(path: Path, value: Any) -> None:
    """Plain data as indented JSON with sorted keys."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value of `write_json`.

    Raises:
        StoreError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged ({error})") from error


def write_lines(path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    text = "".join(json.dumps(value, sort_keys=True, allow_nan=False) + "\n" for value in values)
    write_bytes(path, text.encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of `write_lines`.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged ({error})") from error
