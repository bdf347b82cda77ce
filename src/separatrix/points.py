"""Points: vectors and, line by line beside them, what each vector is. Neither goes anywhere without the other.

A `Points` holds one or more named blocks of numbers (a layer and a pooling each) over one table of rows. Blocks may be
arrays in memory or anything that is read by rows from disk, as `store.points` gives; the table, in memory or read by
columns from disk too, has at least the column `id`, and usually `text_hash`, `split`, `label`, `group`, for heads also
`layer` and `head`, for tokens `token`. Every way of choosing rows chooses numbers and table together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import rows_of_mask
from separatrix.errors import DataError, OptionError, ShapeError, choose
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import plain
from separatrix.rowtable import BATCH_ROWS, Block, FrameTable, RowTable, SelectedBlock

if TYPE_CHECKING:
    import pandas as pd

KEY = ("id", "layer", "head", "token")  # columns that name a row, where they are there
ID = KEY[0]  # the column that every table has; what names a row to its user
NO_SPLIT = "-"  # how pages name the split of a row that has none
LARGEST = 1e15  # of a number in a block: squares and their sums over a row must fit into float32


@dataclass(frozen=True, eq=False, repr=False)
class Points:
    """Vectors with their identity. Make one with `Points.of`, `extract` or `open_points`."""

    blocks: Mapping[str, Block]  # name -> (rows, width)
    rows: RowTable  # what each row is; a pandas frame, index 0 .. rows - 1, is taken as well
    origin: Mapping[str, Any] = field(default_factory=dict)  # plain data: model, revision, weights, recipe

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ShapeError("points have no numbers", expected="at least one block (rows, width)")
        if not isinstance(self.rows, RowTable):
            object.__setattr__(self, "rows", FrameTable(self.rows))
        if ID not in self.columns:
            raise DataError(f"points need the column {ID!r}", got=", ".join(map(str, self.columns)))
        for name, block in self.blocks.items():
            if len(block.shape) != 2 or block.shape[0] != len(self):
                got = f"shape {tuple(block.shape)}"
                raise ShapeError(f"block {name!r} does not fit the table", got=got, expected=f"({len(self)}, width)")

    @classmethod
    def of(
        cls,
        values: Block | Mapping[str, Block],
        table: Mapping[str, Any] | pd.DataFrame | None = None,
        *,
        origin: Mapping[str, Any] | None = None,
    ) -> Points:
        """Points of a matrix (rows, width), or of several by name, and the columns that belong to its rows.

        Args:
            values: one matrix (it is called `vectors`) or a mapping of names to matrices.
            table: columns of the rows; without a column `id` the rows are numbered.
            origin: where the numbers come from, as plain data.

        Raises:
            ShapeError: a matrix or a column has another number of rows, or is none.
            DataError: numbers that are not real, not finite, or too large; an id that is missing or stands twice; an
                origin that JSON cannot hold.

        >>> points = Points.of(np.eye(3), {"label": ["a", "b", "a"]})
        >>> points.where(points.column("label") == "a").column("id").tolist()
        [0, 2]
        """
        import pandas as pd

        if table is not None and not isinstance(table, Mapping | pd.DataFrame):
            raise DataError("points need a table of columns", got=type(table).__name__, expected="names to columns")
        if origin is not None and not isinstance(origin, Mapping):
            raise DataError("origin is no mapping", got=type(origin).__name__, expected="plain data by name")
        given = values if isinstance(values, Mapping) else {"vectors": values}
        blocks = {str(name): _checked_block(str(name), block) for name, block in given.items()}
        rows = next(iter(blocks.values())).shape[0] if blocks else 0
        columns = (
            {} if table is None else {name: _checked_column(name, column, rows) for name, column in dict(table).items()}
        )
        frame = pd.DataFrame(columns, index=None if columns else range(rows))
        if ID not in frame.columns:
            frame.insert(0, ID, np.arange(rows))
        _check_names(frame[[name for name in KEY if name in frame.columns]])
        return cls(blocks, FrameTable(frame), _plain_origin(origin or {}))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        widths = ", ".join(f"{name} ({block.shape[1]})" for name, block in self.blocks.items())
        return f"Points: {len(self)} rows, {widths}\n    {', '.join(map(str, self.columns))}"

    def _repr_html_(self) -> str:
        notebook = import_module("separatrix.store.notebook")  # by name: `store` is built on this module
        head = self.rows.take(np.arange(min(5, len(self)))).to_pandas().iloc[:, : notebook.LINES]
        rows = [[str(value) for value in row] for row in head.itertuples(index=False)]
        more = len(self.columns) - len(head.columns)
        columns = f"<p>and {more} more columns</p>" if more else ""
        return f"<p>{escape(repr(self).splitlines()[0])}</p>\n{notebook.table(list(head.columns), rows)}{columns}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: what the points are, without their numbers."""
        widths = {name: int(block.shape[1]) for name, block in self.blocks.items()}
        columns = [str(name) for name in self.columns]
        return {"rows": len(self), "blocks": widths, "columns": columns, "origin": plain(self.origin)}

    @checks_arguments
    def save(self, folder: str | Path, *, overwrite: bool = False, store_dtype: str = "float32") -> None:
        """Write them as `extract` does with `out`; `separatrix.load` reads them again.

        Args:
            folder: of the store.
            overwrite: replace points that are there.
            store_dtype: float32, float16, or int8 (a scale for each row).

        Raises:
            StoreError: the folder is taken; numbers too large for the format.
        """
        store = import_module("separatrix.store.points")  # by name: `store` is built on this module
        store.write_points(folder, self, dtype=store_dtype, overwrite=overwrite)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that the numbers are read from; none for points in memory."""
        return tuple(_folders(self.origin))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the texts that the numbers were read from."""
        return tuple(self.origin.get("warnings", ()))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the table; none is read."""
        return self.rows.columns

    @cached_property
    def table(self) -> pd.DataFrame:
        """The whole table as a pandas frame; of points on disk it is read into memory now, and kept."""
        return self.rows.to_pandas()

    @property
    def name(self) -> str:
        """Name of the only block.

        Raises:
            OptionError: there are several; the message lists them.
        """
        if len(self.blocks) > 1:
            names = ", ".join(self.blocks)
            raise OptionError("these points hold several blocks", got=names, hint="choose one with `pick` or --block")
        return next(iter(self.blocks))

    @property
    def width(self) -> int:
        """Numbers a row of the only block has."""
        return int(self.blocks[self.name].shape[1])

    @property
    def values(self) -> NDArray[np.float32]:
        """The only block as one float32 matrix in memory, (rows, width)."""
        return np.asarray(self.blocks[self.name][:], dtype=np.float32)

    @checks_arguments
    def pick(self, name: str) -> Points:
        """The same rows with one block only.

        Raises:
            OptionError: no block of that name; the message gives the nearest one.
        """
        return replace(self, blocks={choose(name, self.blocks, "--block"): self.blocks[name]})

    @checks_arguments
    def column(self, name: str) -> NDArray[Any]:
        """A column of the table, (rows,).

        Raises:
            DataError: no such column; the message lists those that are there.
        """
        self._check_column(name)
        return self.rows.column(name)

    @checks_arguments
    def series(self, name: str) -> pd.Series:
        """A column of the table as a pandas series, numbered from 0; texts that are read from disk are categories.

        Raises:
            DataError: as `column`.
        """
        self._check_column(name)
        return self.rows.series(name)

    def _check_column(self, name: str) -> None:
        if name not in self.rows:
            raise DataError(f"points have no column {name!r}", expected=", ".join(map(str, self.columns)))

    @checks_arguments
    def take(self, places: Sequence[int] | NDArray[Any]) -> Points:
        """The rows at these places, in this order; what is on disk stays there.

        Raises:
            ShapeError: places are no whole numbers, or outside the rows.
        """
        chosen = np.asarray(places)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ShapeError(
                "take needs places", got=f"{chosen.dtype} {chosen.shape}", expected="whole numbers (places,)"
            )
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise ShapeError(
                "a place lies outside the rows",
                got=f"{chosen.min()} to {chosen.max()}",
                expected=f"0 to {len(self) - 1}",
            )
        blocks = {name: SelectedBlock.of(block, chosen) for name, block in self.blocks.items()}
        return replace(self, blocks=blocks, rows=self.rows.take(chosen))

    @checks_arguments
    def where(self, mask: NDArray[np.bool_] | Sequence[bool]) -> Points:
        """The rows where the mask, (rows,) bool, is true.

        Raises:
            ShapeError: no mask of these rows.
        """
        return self.take(rows_of_mask(mask, len(self)))

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The only block piece by piece: which rows, and their numbers (at most `rows`, width) as float32."""
        block = self.blocks[self.name]
        for start in range(0, len(self), rows):
            part = slice(start, min(start + rows, len(self)))
            yield part, np.asarray(block[part], dtype=np.float32)

    @checks_arguments
    def join(self, other: Points, *, prefixes: tuple[str, str] = ("", "")) -> Points:
        """Blocks of both, over the same rows; the table of `self` is kept.

        Raises:
            DataError: the ids differ (the row is named), or two blocks have one name.
        """
        mine, theirs = self.column(ID), other.column(ID)
        if len(mine) != len(theirs):
            raise DataError("points of different rows", got=f"{len(mine)} and {len(theirs)} rows", expected="as many")
        wrong = np.flatnonzero(mine != theirs)
        if len(wrong):
            got = f"{mine[wrong[0]]!r} and {theirs[wrong[0]]!r}"
            raise DataError(f"points of different rows: row {wrong[0]} differs", got=got, expected="equal ids")
        blocks = {prefixes[0] + name: block for name, block in self.blocks.items()}
        for name, block in other.blocks.items():
            if prefixes[1] + name in blocks:
                raise DataError("two blocks have one name", got=repr(prefixes[1] + name), hint="give prefixes")
            blocks[prefixes[1] + name] = block
        return replace(self, blocks=blocks, origin={"joined": [dict(self.origin), dict(other.origin)]})


def _plain_origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain_origin: dict[str, Any] = plain(dict(origin))
        json.dumps(plain_origin)
    except (TypeError, ValueError, RecursionError) as error:  # a set, say, or a circle
        raise DataError(f"origin is no plain data ({error})", expected="texts, numbers, lists and mappings") from None
    return plain_origin


def _folders(origin: Mapping[str, Any]) -> Iterator[str]:
    if "folder" in origin:
        yield str(origin["folder"])
    for part in origin.get("joined", ()):
        yield from _folders(part)


def _checked_block(name: str, values: Any) -> Block:
    """A block of real, finite numbers, (rows, width). Numbers that are read from disk were checked when written."""
    if not isinstance(values, np.ndarray) and hasattr(values, "shape") and not hasattr(values, "__array__"):
        return cast(Block, values)
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "fiub":
        values = np.ma.filled(values.astype(np.float64), np.nan)  # what is masked is no number
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # rows of several lengths; a tensor that needs gradients
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        got = array.dtype if array.size else type(values).__name__
        raise DataError(f"block {name!r} holds no real numbers", got=got, expected="floats (rows, width)")
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"block {name!r} is no matrix", got=f"shape {array.shape}", expected="(rows, width)")
    for start in range(0, len(array), BATCH_ROWS):
        with np.errstate(over="ignore"):  # of formats beyond float64
            wrong = ~(np.abs(array[start : start + BATCH_ROWS].astype(np.float64)) <= LARGEST)  # true for NaN as well
        if wrong.any():
            row, column = (int(axis[0]) for axis in np.nonzero(wrong))
            got = array[start + row, column]
            if not np.isfinite(got):
                raise DataError(f"{name}: row {start + row} is not finite", got=got, expected="finite numbers")
            what = f"{name}: row {start + row} holds a number that is too large"
            raise DataError(what, got=got, expected=f"{LARGEST:g} at most", hint="scale the vectors")
    return array


def _checked_column(name: Any, column: Any, rows: int) -> Any:
    """A column of the table, one cell a row, numbered from 0."""
    sized = hasattr(column, "__len__") and not isinstance(column, str) and getattr(column, "ndim", 1) == 1
    if not sized or len(column) != rows:
        got = f"{len(column)} rows" if sized else type(column).__name__
        raise ShapeError(f"column {name!r} does not fit the vectors", got=got, expected=f"{rows} rows")
    return column.reset_index(drop=True) if hasattr(column, "reset_index") else column


def _check_names(key: pd.DataFrame) -> None:
    """Each row has a name of its own: its id and, where they are there, layer, head and token."""
    if key[ID].isna().any():
        raise DataError(f"row {int(np.flatnonzero(key[ID].isna())[0])} has no id", hint="leave the column `id` away")
    try:
        set(key[ID])
    except TypeError:  # lists, say
        raise DataError("ids are neither numbers nor texts", got=type(key[ID].iloc[0]).__name__) from None
    # A text may hold one token several times.
    twice = np.flatnonzero(key.duplicated() & ("token" not in key.columns))
    if len(twice):
        got = ", ".join(f"{name} {key[name].iloc[twice[0]]}" for name in key.columns)
        hint = "give each row an id of its own"
        raise DataError(f"row {twice[0]} has the name of an earlier row", got=got, hint=hint)
