"""Shards: raw little-endian arrays in files, and a matrix that reads them by rows.

float16 and float32 lie row after row. int8 begins with one float32 scale per row, then the integers: a value is
`integer * scale`, the largest of a row is +-127. A file is mapped only while rows are read from it, so that neither
open files nor resident memory grow with the store.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, ShapeError, StoreError, choose
from separatrix.store.files import hash_file
from separatrix.store.manifest import row_bytes
from separatrix.store.remote import RemoteFile

KINDS = {"float16": "<f2", "float32": "<f4", "int8": "i1"}
SCALE = np.dtype("<f4")
LEVELS = 127


def encode(values: NDArray[Any], dtype: str, name: str, ids: Sequence[Any]) -> bytes:
    """One shard as bytes.

    Args:
        values: (rows, width) numbers.
        dtype: format on disk.
        name: of the block, for messages.
        ids: of the rows, for messages.

    Raises:
        DataError: NaN or infinity; block and row are named.
        StoreError: a number is too large for the format.
    """
    choose(dtype, KINDS, "--store-dtype")
    rows = np.asarray(values, dtype=np.float32)  # (rows, width)
    if rows.ndim != 2:
        raise ShapeError(f"block {name!r} is no matrix", got=f"shape {rows.shape}", expected="(rows, width)")
    check_finite(rows, name, ids)
    if dtype == "int8":
        return b"".join(part.tobytes() for part in _quantise(rows))
    if dtype == "float16" and (bad := _first(np.abs(rows) > np.finfo(np.float16).max)) is not None:
        what = f"block {name!r} is too large for float16 in the row with id {ids[bad]!r}"
        got = f"{np.abs(rows[bad]).max():.4g}"
        raise StoreError(what, got=got, expected="at most 65504", hint="type --store-dtype float32")
    return rows.astype(KINDS[dtype]).tobytes()


def check_finite(rows: NDArray[Any], name: str, ids: Sequence[Any]) -> None:
    """Raise a `DataError` that names the first row, of a matrix (rows, width), that holds NaN or infinity."""
    if (bad := _first(~np.isfinite(rows))) is not None:
        what = f"block {name!r} holds NaN or infinity in the row with id {ids[bad]!r}"
        raise DataError(what, hint="leave the row out, or look at the model's number format (--dtype)")


def _first(bad: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(bad.any(axis=1))
    return int(rows[0]) if len(rows) else None


def _quantise(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """A scale for each row, (rows,), and whole numbers, (rows, width)."""
    scales = (np.abs(rows).max(axis=1, initial=0.0) / LEVELS).astype(SCALE)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)  # a row of zeros stays zero
    return scales, np.clip(np.rint(rows / divisors[:, None]), -LEVELS, LEVELS).astype(np.int8)


def quantised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (rows, width) as they are read again from int8.

    >>> quantised(np.array([[127.0, 1.4]], np.float32)).tolist()
    [[127.0, 1.0]]
    """
    scales, levels = _quantise(rows)
    return levels * scales[:, None]


def sha256(data: bytes | bytearray) -> str:
    """Hash of a shard."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class ShardedBlock:
    """A matrix (rows, width) whose rows lie in shards; reading gives float32.

    Slices and arrays of places work as on a NumPy matrix, and read nothing else.
    """

    files: tuple[Path, ...] | tuple[RemoteFile, ...]
    rows: tuple[int, ...]  # of each file
    width: int
    dtype_on_disk: str
    hashes: tuple[str, ...] = ()  # of each file, which is compared before its first row is read; empty: never
    _verified: set[tuple[Path | RemoteFile, str]] = field(default_factory=set, repr=False, compare=False)

    def __reduce__(self) -> Any:
        """In another process, a file is compared with its hash once, whichever part of the matrix it is read for."""
        return _reopened, (self.files, self.rows, self.width, self.dtype_on_disk, self.hashes)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, width)."""
        return (sum(self.rows), self.width)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Format of what is read."""
        return np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self.shape[0] * row_bytes(self.width, self.dtype_on_disk)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Rows by a slice, an array of places or a mask, (places, width) float32."""
        if isinstance(index, slice) and (index.step or 1) == 1:
            start, stop, _ = index.indices(len(self))
            return self._span(start, max(start, stop))
        if isinstance(index, int | np.integer):
            return self._scattered(np.array([index]))[0]
        chosen = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        return self._scattered(np.flatnonzero(chosen) if chosen.dtype == bool else chosen)

    def part(self, start: int, stop: int) -> tuple[ShardedBlock, int]:
        """The shards that hold rows start to stop, and how many of their rows come before these."""
        ends = np.cumsum(self.rows)
        first, last = (int(shard) for shard in np.searchsorted(ends, (start, stop - 1), side="right"))
        chosen = slice(first, last + 1)
        block = replace(self, files=self.files[chosen], rows=self.rows[chosen], hashes=self.hashes[chosen])
        return block, start - (int(ends[first - 1]) if first else 0)

    def raw(self, start: int, stop: int) -> Iterator[tuple[NDArray[Any], NDArray[np.float32] | None]]:
        """Rows start to stop as they lie on disk, shard by shard: values (rows, width) and, of int8, scales (rows,)."""
        first = 0
        for shard, rows in enumerate(self.rows):
            low, high = max(start, first), min(stop, first + rows)
            if low < high:
                yield self._map(shard, slice(low - first, high - first))
            first += rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole matrix in memory."""
        if copy is False:
            raise ValueError("a matrix on disk cannot be given without a copy")
        return self[:].astype(dtype or np.float32, copy=False)

    def _span(self, start: int, stop: int) -> NDArray[np.float32]:
        out = np.empty((stop - start, self.width), np.float32)
        first = 0
        for shard, rows in enumerate(self.rows):
            low, high = max(start, first), min(stop, first + rows)
            if low < high:
                out[low - start : high - start] = self._read(shard, slice(low - first, high - first))
            first += rows
        return out

    def _scattered(self, index: NDArray[Any]) -> NDArray[np.float32]:
        count = len(self)
        if index.size == 0:
            return np.empty((0, self.width), np.float32)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise ShapeError("rows are chosen by whole numbers (places,)", got=f"{index.dtype} {index.shape}")
        if index.min() < -count or index.max() >= count:
            raise IndexError(f"a place lies outside 0 to {count - 1}")
        index = np.where(index < 0, index + count, index)
        starts = np.concatenate([[0], np.cumsum(self.rows)])  # (shards + 1,)
        shard_of = np.searchsorted(starts, index, side="right") - 1  # (places,)
        out = np.empty((len(index), self.width), np.float32)
        for shard in np.unique(shard_of):
            here = np.flatnonzero(shard_of == shard)
            out[here] = self._read(int(shard), index[here] - starts[shard])
        return out

    def _read(self, shard: int, chosen: Any) -> NDArray[np.float32]:
        """Rows of one file as float32; the mapping ends when its last view does, here."""
        values, scales = self._map(shard, chosen)
        wide = values.astype(np.float32)
        if scales is not None:
            wide *= scales[:, None]
        return wide

    def _map(self, shard: int, chosen: Any) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Rows of one file as they lie there, and their scales."""
        file, rows = self.files[shard], self.rows[shard]
        offset = rows * SCALE.itemsize if self.dtype_on_disk == "int8" else 0
        try:
            memory: Any = file.read() if isinstance(file, RemoteFile) else None
            if self.hashes and (memory is not None or (file, self.hashes[shard]) not in self._verified):
                digest = hash_file(file) if isinstance(file, Path) else sha256(memory)
                if digest != self.hashes[shard]:
                    got, hint = f"SHA-256 {digest[:12]}", "write it again with --overwrite"
                    raise StoreError(f"{file} was altered", got=got, expected=self.hashes[shard][:12], hint=hint)
                self._verified.add((file, self.hashes[shard]))
            if isinstance(file, Path):
                with file.open("rb") as stream:
                    # Pages are private: PyTorch takes no memory that may not be written to, though nobody does.
                    memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            values = np.frombuffer(memory, KINDS[self.dtype_on_disk], rows * self.width, offset)
            scales = np.frombuffer(memory, SCALE, rows)[chosen] if offset else None
            return values.reshape(rows, self.width)[chosen], scales
        except (OSError, ValueError) as error:  # gone, or shorter than it was when the store was opened
            raise StoreError(f"{file} cannot be read ({error})", hint="extract it again with --overwrite") from error


_VERIFIED: set[tuple[Path | RemoteFile, str]] = set()  # files that this process was sent and compared with their hashes


def _reopened(
    files: tuple[Path, ...] | tuple[RemoteFile, ...], rows: tuple[int, ...], width: int, dtype: str,
    hashes: tuple[str, ...],
) -> ShardedBlock:  # fmt: skip
    return ShardedBlock(files, rows, width, dtype, hashes, _VERIFIED)
