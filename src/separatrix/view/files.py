"""Writing a result file: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from separatrix.errors import StoreError


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write under a temporary name beside the target, then rename; the folder is made if need be.

    Args:
        path: the file to write; an older one is replaced in one step.
        content: its bytes.

    Raises:
        StoreError: the place cannot be written.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise StoreError(f"cannot write {target}", got=error.strerror, hint="choose another place") from error
    return target
