"""What one training reads of its texts and leaves in a folder for others: vectors, and files beside them.

The same rows are the same token ids in the same model, read in the same number formats on the same kind of device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from separatrix.errors import StoreError
from separatrix.models.backbone import Backbone
from separatrix.models.tokens import Tokens
from separatrix.recipe import digest
from separatrix.store.files import append_line, hash_file, read_tensors, write_tensors
from separatrix.store.lock import waiting

VECTORS, USES = "vectors.safetensors", "uses.jsonl"


def shared_folder(folder: Path, backbone: Backbone, tokens: Tokens, formats: Sequence[Any]) -> Path:
    """Where what a model makes of these texts, in these formats, lies among that of others."""
    lengths = [len(ids) for ids in tokens.ids]
    ids = np.fromiter(chain(lengths, *tokens.ids), np.int64)
    texts = hashlib.sha256(ids.tobytes()).hexdigest()
    own = [str(backbone.dtype), backbone.device.type, *formats]
    return folder / digest(backbone.source.weights, texts, own)


def shared_vectors(
    folder: Path, make: Callable[[], Mapping[str, np.ndarray]], files: Sequence[str] = (), nbytes: int | None = None
) -> dict[str, np.ndarray]:
    """The vectors that stand in a folder, or those made now, which stay there.

    Who comes while they are made waits. Each use adds its seconds to `uses.jsonl`.

    Args:
        folder: that `shared_folder` gave.
        make: gives the vectors, and writes the files.
        files: that `make` writes into the folder beside them.
        nbytes: of all of it; of the vectors if absent.
    """
    begun, paths = monotonic(), [folder / name for name in files]
    folder.mkdir(parents=True, exist_ok=True)
    with waiting(folder):
        if built := not _is_whole(folder, paths):
            vectors = make()
            write_tensors(folder / VECTORS, vectors, {"sha256": _hash(paths, vectors)})  # the last file that is written
        kept, _ = read_tensors(folder / VECTORS)
        size = sum(block.nbytes for block in kept.values()) if nbytes is None else nbytes
        append_line(folder / USES, {"built": built, "seconds": monotonic() - begun, "bytes": size})
    return kept


def _is_whole(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether what stands in a folder is what was written."""
    try:
        vectors, note = read_tensors(folder / VECTORS, note={"sha256": str})
        return bool(note["sha256"] == _hash(paths, vectors))
    except (StoreError, OSError):  # also of an earlier version
        return False


def _hash(paths: Sequence[Path], vectors: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256("".join(hash_file(path) for path in paths).encode())
    for name, values in sorted(vectors.items()):
        total.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return total.hexdigest()
