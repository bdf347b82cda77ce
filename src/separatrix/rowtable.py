"""Tables of rows that are read by columns and by batches, and rows chosen out of a matrix that stays where it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 8192


class Block(Protocol):
    """Numbers by rows: a NumPy matrix, or a file that reads like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, width)."""

    def __getitem__(self, places: Any) -> NDArray[Any]:
        """Rows by a slice or by an integer array, as floats (places, width)."""


class RowTable(ABC):
    """What each row is, column by column; a frame in memory, or a file of which only what is asked for is read."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the columns."""

    @abstractmethod
    def __len__(self) -> int:
        """Rows."""

    @abstractmethod
    def column(self, name: str) -> NDArray[Any]:
        """One column, (rows,); texts as objects."""

    @abstractmethod
    def take(self, places: NDArray[np.integer]) -> RowTable:
        """The rows at these places, in this order."""

    @abstractmethod
    def batches(self, rows: int = BATCH_ROWS, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """At most `rows` rows at a time, of all or these columns, numbered from 0; a column keeps its type."""

    @abstractmethod
    def to_pandas(self) -> pd.DataFrame:
        """The whole table as a frame in memory, numbered from 0."""

    def where(self, mask: NDArray[np.bool_]) -> RowTable:
        """The rows where the mask, (rows,), is true."""
        return self.take(np.flatnonzero(mask))

    def series(self, name: str) -> pd.Series:
        """One column, numbered from 0; where it is read from a file, texts are categories, in the order of the texts.

        So a column of labels costs a byte or two a row, and `codes.encode` numbers it as it numbers the texts.
        """
        import pandas as pd

        return pd.Series(self.column(name), name=name)

    def coded(self, names: Sequence[str]) -> pd.DataFrame:
        """These columns as a frame, each as `series` gives it."""
        import pandas as pd

        return pd.DataFrame({name: self.series(name) for name in names}, index=range(len(self)))

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """These columns as a frame in memory, numbered from 0."""
        import pandas as pd

        return pd.DataFrame({name: self.column(name) for name in names}, index=range(len(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


@dataclass(frozen=True, eq=False)
class FrameTable(RowTable):
    """A pandas frame in memory.

    >>> import pandas as pd
    >>> FrameTable(pd.DataFrame({"id": [5, 6, 7]})).take(np.array([2, 0])).column("id").tolist()
    [7, 5]
    """

    whole: pd.DataFrame

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.whole.columns)

    def __len__(self) -> int:
        return len(self.whole)

    def column(self, name: str) -> NDArray[Any]:
        """One column, (rows,)."""
        return np.asarray(self.whole[name])

    def series(self, name: str) -> pd.Series:
        """One column of the frame, with its type."""
        return self.whole[name].reset_index(drop=True)

    def take(self, places: NDArray[np.integer]) -> FrameTable:
        """The rows at these places, in this order."""
        return FrameTable(self.whole.iloc[places].reset_index(drop=True))

    def batches(self, rows: int = BATCH_ROWS, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """At most `rows` rows at a time."""
        chosen = self.whole if columns is None else self.whole[[*columns]]
        for start in range(0, len(chosen), rows):
            yield chosen.iloc[start : start + rows].reset_index(drop=True)

    def to_pandas(self) -> pd.DataFrame:
        """The frame itself."""
        return self.whole


@dataclass(frozen=True, eq=False)
class ExtendedTable(RowTable):
    """A table with further columns in memory at its end, in place of columns of these names."""

    base: RowTable
    added: Mapping[str, NDArray[Any]]  # name -> (rows,)
    hidden: Collection[str] = ()  # columns of the base that are left out

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        left_out = {*self.added, *self.hidden}
        return [*(name for name in self.base.columns if name not in left_out), *self.added]

    def __len__(self) -> int:
        return len(self.base)

    def column(self, name: str) -> NDArray[Any]:
        """One column, (rows,)."""
        return self.added[name] if name in self.added else self.base.column(name)

    def series(self, name: str) -> pd.Series:
        """One column, numbered from 0."""
        return super().series(name) if name in self.added else self.base.series(name)

    def take(self, places: NDArray[np.integer]) -> ExtendedTable:
        """The rows at these places, in this order."""
        return ExtendedTable(
            self.base.take(places), {name: column[places] for name, column in self.added.items()}, self.hidden
        )

    def batches(self, rows: int = BATCH_ROWS, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """At most `rows` rows at a time."""
        names, start = self.columns if columns is None else list(columns), 0
        inner = [name for name in names if name not in self.added]
        for frame in self.base.batches(rows, inner):
            part = slice(start, start + len(frame))
            yield frame.assign(**{name: self.added[name][part] for name in names if name in self.added})[names]
            start += len(frame)

    def to_pandas(self) -> pd.DataFrame:
        """The whole table as a frame in memory."""
        frame = self.base.to_pandas().reset_index(drop=True)
        return frame.assign(**self.added)[self.columns]


@dataclass(frozen=True, eq=False)
class SelectedBlock:
    """Rows of a matrix by their places, read from it only when they are asked for."""

    base: Block
    places: NDArray[np.int64]  # (rows,)

    @classmethod
    def of(cls, block: Block, places: NDArray[np.int64]) -> Block:
        """A selection; of a matrix in memory, the rows themselves.

        >>> SelectedBlock.of(np.eye(3), np.array([2, 0])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        """
        if isinstance(block, np.ndarray):
            return block[places]
        return cls(block.base, block.places[places]) if isinstance(block, SelectedBlock) else cls(block, places)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, width)."""
        return len(self.places), int(self.base.shape[1])

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Format of what is read."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Rows by a number, a slice, an array of places or a mask."""
        return self.base[self.places[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows in memory."""
        if copy is False:
            raise ValueError("a matrix on disk cannot be given without a copy")
        return self[:].astype(dtype or np.float32, copy=False)

    def part(self, start: int, stop: int) -> SelectedBlock:
        """Rows start to stop, with nothing but their places."""
        return SelectedBlock(self.base, self.places[start:stop])


@dataclass(frozen=True, eq=False)
class ColumnTexts(Sequence[str]):
    """A column of a table as texts, of which only those that are asked for are read; what is missing is empty.

    >>> import pandas as pd
    >>> texts = ColumnTexts(FrameTable(pd.DataFrame({"text": ["How far?", None, "Who?"]})), "text")
    >>> texts[1:], texts[0]
    (['', 'Who?'], 'How far?')
    """

    table: RowTable
    name: str

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> list[str]: ...
    def __getitem__(self, rows: int | slice) -> str | list[str]:
        import pandas as pd

        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else [rows]]
        values = pd.Series(self.table.take(chosen).column(self.name))
        texts = values.astype(object).where(values.notna(), "").astype(str).tolist()
        return texts if isinstance(rows, slice) else texts[0]
