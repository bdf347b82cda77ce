"""What files of vectors have in common: batches of finite numbers, one sentence for whatever a decoder says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, OptionError, raise_interrupt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

VECTORS = "vectors"  # the block of a file that does not name it
Matrices = Mapping[str, NDArray[np.float32]]


class VectorFile(ABC):
    """A file with one vector a row, or several."""

    path: Path

    @property
    @abstractmethod
    def names(self) -> Mapping[str, Sequence[str]]:
        """Of each block, the names of its columns, for messages."""

    @abstractmethod
    def pieces(self, rows: int) -> Iterator[tuple[Matrices, pd.DataFrame | None]]:
        """Numbers by block, (piece, width), and the other columns of these rows; exactly `rows` rows but at the end."""

    def batches(self, rows: int) -> Iterator[tuple[Matrices, pd.DataFrame | None]]:
        """As `pieces`, with numbers that are all finite.

        Raises:
            DataError: what is in the file is not, or not everywhere, a number.
        """
        start = 0
        for values, table in self.pieces(rows):
            for block, matrix in values.items():
                if not np.isfinite(matrix).all():
                    row, column = (int(axis[0]) for axis in np.nonzero(~np.isfinite(matrix)))
                    what = f"{self.where(start + row)}: column {self.names[block][column]!r} is not finite"
                    raise DataError(what, got=matrix[row, column], expected="a number that fits float32")
            yield values, table
            start += len(next(iter(values.values())))

    def where(self, row: int) -> str:
        """Where a row stands, in words."""
        return f"{self.path}, row {row}"


def rebatched(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly so many, the last one smaller."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        while sum(map(len, held)) >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held = [whole.slice(rows)]
    if sum(map(len, held)):
        yield pa.concat_tables(held)


def guarded(batches: Iterable[Any], path: Path) -> Iterator[Any]:
    """What a reader gives; what it refuses, in one sentence."""
    iterator = iter(batches)
    while True:
        with one_sentence(path):
            try:
                batch = next(iterator)
            except StopIteration:
                return
        yield batch


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Whatever a decoder says of a file that it cannot read; almost any type."""
    try:
        yield
    except (DataError, OptionError, StopIteration, GeneratorExit):
        raise
    except Exception as error:
        raise_interrupt(error)
        raise DataError(f"{path} cannot be read ({shorten(str(error), 160)})", hint="is it whole?") from error
