"""A matrix that is read by row ranges, in memory or on disk, and the tasks and tiles that it is cut into.

A task is some ten to a hundred megabytes of rows, a tile about one megabyte: the rows that stay in the processor's
cache while something is computed of them. Both depend on the shape of the matrix alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.points import Block, Points
from separatrix.rowtable import SelectedBlock
from separatrix.store.points import open_block
from separatrix.store.shards import ShardedBlock

TILE_BYTES = 1 << 20  # of float32
TASK_BYTES = 1 << 26
_LEAST_TASKS = 16  # where there are rows enough: so that a few workers end together
_LEAST_ROWS = 4096  # of a task, as of a shard in a store


@dataclass(frozen=True, eq=False)
class BlockSource:
    """Rows `start` to `stop` of a matrix; what is pickled is no more than the rows or files that hold them."""

    block: Block
    start: int
    stop: int
    step: int | None = None  # rows of a task; None: as many as the shape says

    @classmethod
    def of(cls, block: Block) -> BlockSource:
        """All rows of a matrix in memory or of a block on disk.

        >>> BlockSource.of(np.eye(3)).part(1, 3).read(0, 1).tolist()
        [[0.0, 1.0, 0.0]]
        """
        return cls(block, 0, int(block.shape[0]))

    @classmethod
    def of_points(cls, points: Points) -> BlockSource:
        """The only block of points."""
        return cls.of(points.blocks[points.name])

    @classmethod
    def open(cls, folder: str | Path, name: str | None = None, *, verify: bool = True) -> BlockSource:
        """A block of a store, opened without its row table.

        Raises:
            StoreError: no finished store, or damaged.
            OptionError: no block of that name, or several and no name.
        """
        return cls.of(open_block(folder, name, verify=verify))

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return int(self.block.shape[1])

    @property
    def number_bytes(self) -> int:
        """Bytes of a number as it is stored."""
        if isinstance(self.block, ShardedBlock):
            return np.dtype(self.block.dtype_on_disk).itemsize
        return int(getattr(getattr(self.block, "dtype", None), "itemsize", 4))

    def part(self, start: int, stop: int) -> BlockSource:
        """Rows start to stop of these, with nothing but what holds them."""
        low, high = self.start + start, self.start + stop
        if isinstance(self.block, np.ndarray):
            return BlockSource(self.block[low:high], 0, stop - start)
        if isinstance(self.block, ShardedBlock):
            block, low = self.block.part(low, high)
            return BlockSource(block, low, low + stop - start)
        if isinstance(self.block, SelectedBlock):
            return BlockSource(self.block.part(low, high), 0, stop - start)
        return BlockSource(self.block, low, high)

    def raw(self, start: int, stop: int) -> Iterator[tuple[NDArray[Any], NDArray[np.float32] | None]]:
        """Rows start to stop as they are stored, piece by piece: values (rows, width) and, of int8, scales (rows,)."""
        low, high = self.start + start, self.start + min(stop, self.rows)
        if isinstance(self.block, ShardedBlock):
            yield from self.block.raw(low, high)
        else:
            yield np.asarray(self.block[low:high]), None

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start to stop, (rows, width)."""
        return np.asarray(self.block[self.start + start : self.start + min(stop, self.rows)], np.float32)

    def take(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by their numbers, (numbers, width)."""
        return np.asarray(self.block[self.start + index], np.float32)

    def fingerprint(self) -> str:
        """A hash of what the rows are: of their numbers, or of the hashes of the files that hold them."""
        total = hashlib.sha256(f"{self.start} {self.stop} {self.width}".encode())
        if isinstance(self.block, ShardedBlock):
            for number, file in enumerate(self.block.files):
                total.update((self.block.hashes[number] if self.block.hashes else _stamp(Path(str(file)))).encode())
        else:
            for start, stop in ranges(self.rows, tile_rows(self.width)):
                total.update(self.read(start, stop).tobytes())
        return total.hexdigest()


def _stamp(file: Path) -> str:
    """Who a file is that carries no hash."""
    state = file.stat()
    return f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"


def ranges(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of so many rows, the last one shorter.

    >>> list(ranges(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


def tile_rows(width: int) -> int:
    """Rows of a tile: a power of two, about a megabyte of float32.

    >>> tile_rows(256), tile_rows(1)
    (1024, 4096)
    """
    return min(_LEAST_ROWS, max(64, _power_of_two(TILE_BYTES // (4 * width))))


def task_rows(rows: int, width: int) -> int:
    """Rows of a task: whole tiles, about `TASK_BYTES` of float32, fewer where there would be fewer than 16 tasks.

    >>> task_rows(2_000_000, 256), task_rows(100_000, 256), task_rows(10, 256)
    (65536, 4096, 4096)
    """
    most = max(_LEAST_ROWS, _power_of_two(TASK_BYTES // (4 * width)), _power_of_two(16 * width))
    return min(most, max(_LEAST_ROWS, _power_of_two(max(1, rows // _LEAST_TASKS))))


def parts(source: BlockSource) -> Iterator[tuple[int, BlockSource]]:
    """The rows of each task and the number of the first of them."""
    for start, stop in ranges(source.rows, source.step or task_rows(source.rows, source.width)):
        yield start, source.part(start, stop)


def _power_of_two(number: int) -> int:
    """The largest power of two that is not above a number."""
    return 1 << (max(1, number).bit_length() - 1)
