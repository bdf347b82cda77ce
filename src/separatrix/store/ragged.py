"""Rows of different lengths in one flat block, in memory or in one mapped file.

Row i is an array (*outer, length_i, *inner), whole in one piece, and lies at the sum of the lengths before it: no
padding, no index beyond the lengths. A file is written under a temporary name and renamed when it is whole. Reading a
mapped file hands its pages back to the system now and then, so that the memory in use does not grow with the file.
"""

from __future__ import annotations

import mmap
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from separatrix.errors import StoreError

# Mapped pages count as resident memory until they are handed back; this much may pile up.
RELEASE_BYTES = 256 << 20


@dataclass
class RaggedRows:
    """Fixed-type rows of known lengths. Make one with `allocate`, `write` every row, then `seal`.

    >>> rows = RaggedRows.allocate(np.array([2, 1]), (), np.dtype("int8"))
    >>> rows.write(0, np.array([7, 8]))
    >>> rows.write(1, np.array([9]))
    >>> rows.seal()
    >>> rows.padded(np.array([1, 0])).tolist()
    [[9, 0], [7, 8]]
    """

    starts: np.ndarray  # (rows + 1,) int64: where each row begins, counted in items
    shape: tuple[int, ...]  # of one item: (*outer, *inner)
    dtype: np.dtype
    path: Path | None
    block: np.ndarray | None  # all numbers, flat; None while a file is being written
    axis: int = 0  # where the length stands among a row's axes: how many are outer
    shared: bool = False  # others read the file too: it is not deleted, and its pages stay
    _map: mmap.mmap | None = None
    _touched: int = field(default=0)

    @classmethod
    def allocate(
        cls, lengths: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, path: Path | None = None, *, axis: int = 0
    ) -> RaggedRows:
        """Room for rows of the given lengths, in memory or (with a path) on disk.

        Args:
            lengths: items of each row, (rows,).
            shape: of one item.
            dtype: of the numbers.
            axis: where the length stands among the axes of a row. What is read together should lie together: with
                axis 1 the first axis of the shape goes around the items.

        Raises:
            StoreError: the disk has not enough room.
        """
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = cls(starts, shape, np.dtype(dtype), path, None, axis)
        if path is None:
            rows.block = np.empty(rows.nbytes // rows.dtype.itemsize, dtype)
            return rows
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rows._check_room(shutil.disk_usage(path.parent).free)
            with rows.part.open("wb") as stream:
                stream.truncate(rows.nbytes)
        except OSError as error:
            raise rows._refused(error) from error
        return rows

    @classmethod
    def mapped(
        cls, lengths: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, path: Path, *, axis: int = 0
    ) -> RaggedRows:
        """Rows that `allocate` and `seal` left in a file, which others may read too.

        Raises:
            StoreError: the file is missing, or of another size.
        """
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = cls(starts, shape, np.dtype(dtype), path, None, axis, shared=True)
        size = path.stat().st_size if path.is_file() else None
        if size != rows.nbytes:
            raise StoreError(f"{path} is no cache of these texts", got=f"{size} bytes", expected=f"{rows.nbytes} bytes")
        rows._open()
        return rows

    def _check_room(self, free: int) -> None:
        if free < self.nbytes:
            raise StoreError(
                f"no room for the text cache in {self.part.parent}",
                got=f"{free / 2**30:.2f} GiB free",
                expected=f"{self.nbytes / 2**30:.2f} GiB",
                hint="free some space, or type --cache off",
            )

    def _refused(self, error: OSError) -> StoreError:
        """The system's refusal in one sentence; what was begun is deleted."""
        with suppress(OSError):
            self.part.unlink(missing_ok=True)
        return StoreError(
            f"the text cache cannot be written to {self.part} ({error.strerror})",
            hint="free some space, or type --cache off",
        )

    @property
    def part(self) -> Path:
        """The temporary name under which a file is written."""
        assert self.path is not None
        return self.path.with_name(self.path.name + ".part")

    @property
    def item_bytes(self) -> int:
        """Bytes of one item."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return int(self.starts[-1]) * self.item_bytes

    def write(self, row: int, values: np.ndarray) -> None:
        """Put one row, (*outer, length, *inner), in its place."""
        if self.block is not None:
            self.row(row)[...] = values
            return
        data = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data
        offset = int(self.starts[row]) * self.item_bytes
        try:
            with self.part.open("r+b", buffering=0) as stream:
                while data:  # a disk that is nearly full takes a part without complaint
                    done = os.pwrite(stream.fileno(), data, offset)
                    data, offset = data[done:], offset + done
        except OSError as error:
            raise self._refused(error) from error

    def seal(self) -> None:
        """All rows are written: give the file its name and map it."""
        if self.path is None:
            return
        os.replace(self.part, self.path)
        self._open()

    def _open(self) -> None:
        assert self.path is not None
        if self.nbytes == 0:  # nothing to map
            self.block = np.empty(0, self.dtype)
            return
        with self.path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.block = np.frombuffer(self._map, self.dtype)

    def row(self, row: int) -> np.ndarray:
        """One row, (*outer, length, *inner), where it lies."""
        if self.block is None:
            raise StoreError("the rows are not sealed yet")
        start, stop = (int(index) for index in self.starts[row : row + 2])
        size = int(np.prod(self.shape))
        return self.block[start * size : stop * size].reshape(self.sized(stop - start))

    def sized(self, length: int) -> tuple[int, ...]:
        """Shape of a row of this length."""
        return (*self.shape[: self.axis], length, *self.shape[self.axis :])

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """The rows side by side, zeros behind the shorter ones: (rows, *outer, longest, *inner)."""
        longest = int((self.starts[rows + 1] - self.starts[rows]).max())
        out = np.empty((len(rows), *self.sized(longest)), self.dtype)
        self.pad_into(out, rows)
        return out

    def pad_into(self, out: np.ndarray, rows: np.ndarray) -> None:
        """As `padded`, into memory of that shape."""
        around = (slice(None),) * self.axis
        lengths = self.starts[rows + 1] - self.starts[rows]
        for target, row, length in zip(out, rows, lengths, strict=True):
            target[(*around, slice(length))] = self.row(row)
            target[(*around, slice(length, None))] = 0
            self._release(int(length))

    def _release(self, items: int) -> None:
        self._touched += items * self.item_bytes
        if self._map is not None and not self.shared and self._touched > RELEASE_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    def remove(self) -> None:
        """Drop the block and delete its file."""
        self.block, self._map = None, None
        if self.path is not None and not self.shared:
            self.path.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)
