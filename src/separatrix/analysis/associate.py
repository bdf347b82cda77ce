"""Do clusters hang together with a column of the row table? One test per column, corrected for their number.

Rows of attention heads (columns `window`, `layer`, `head`) are no free draws: a head does the same in every window, and
a window does something to all its heads. So there, unless an option says otherwise, a column of heads (`layer`) is
shuffled over whole heads, which decides, and within windows; a column of texts is shuffled over whole examples (a
number over contexts, whose windows are about equal), with the clusters crossed with the heads.

An outcome folder holds result.json, `cells.parquet` (a line per column, cluster and value: rows, expected rows,
standardised residual, share of the value's rows with its interval) and a picture per column.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.cluster import Clusters
from separatrix.analysis.identity import CLUSTER
from separatrix.analysis.inputs import opened
from separatrix.codes import encode
from separatrix.errors import DataError, OptionError
from separatrix.geometry.associate import Association, correct, quantile_bins, wilson
from separatrix.geometry.associate import associate as associate_groups
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.cluster import AssociateRecipe
from separatrix.recipe.core import shown
from separatrix.recipe.options import AssociateOptions
from separatrix.rowtable import FrameTable, RowTable
from separatrix.store.files import Schema
from separatrix.store.result import Lines, Listing, Result, apart, out_line
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

CELLS = "cells.parquet"
HEAD, WINDOW, EXAMPLE, CONTEXT = ("layer", "head"), "window", "example", "context"
_MOST_VALUES = 10_000  # of a column: beyond it names its rows rather than groups them
_MOST_DRAWN = 200  # values of a column that is drawn


_FIGURES = ("mutual_information", "adjusted_mutual_information", "cramers_v", "cramers_v_corrected", "p_value")

Figures = float | Mapping[str, float]  # of one column its figure; of several a figure per column


@dataclass(frozen=True)
class Shuffling:
    """Columns that decide what is shuffled, as in `AssociateRecipe`."""

    within: str | None = None
    units: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ColumnTest:
    """One column: its test, and the names of clusters and values."""

    column: str
    kind: str  # categories, or the bins that were made
    dropped: int  # rows left out: no value, or noise that was not wanted
    clusters: tuple[str, ...]
    values: tuple[str, ...]
    result: Association
    shuffling: Shuffling
    unequal: float = 0.0  # share of the rows whose value is not that of their unit

    @property
    def shuffled(self) -> str:
        """What the null that decides shuffles, in words."""
        units, within = "+".join(self.shuffling.units), self.shuffling.within
        crossed = f", clusters crossed with {'+'.join(self.shuffling.given)}" if self.shuffling.given else ""
        return {"units": f"whole {units}", "within": f"rows within {within}", "rows": "rows"}[
            self.result.null
        ] + crossed


@dataclass(frozen=True, eq=False, repr=False)
class Associations(Result):
    """Clusters against columns: a test for each, and the cells of their tables."""

    kind: ClassVar[str] = "association"

    schema: ClassVar[Schema] = {"columns": {"*": {"kind": str}}, "warnings": [str]}

    columns: Mapping[str, Mapping[str, Any]]  # column -> its figures
    cells: pd.DataFrame = apart()  # a line per column, cluster and value
    mutual_information: Figures = 0.0  # nats
    adjusted_mutual_information: Figures = 0.0
    cramers_v: Figures = 0.0
    cramers_v_corrected: Figures = 0.0
    p_value: Figures = 1.0
    recipe: AssociateRecipe | Mapping[str, Any] = field(default_factory=AssociateRecipe)
    warnings: Sequence[str] = ()  # what should be looked at before a figure is believed
    tested: tuple[ColumnTest, ...] = apart(())  # empty where they were read from disk

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The cells, and the columns in their order; JSON is sorted by name."""
        cells = read_table(folder / CELLS, ("column", "cluster", "value"))
        return {"cells": cells, "columns": {name: plain["columns"][name] for name in cells["column"].unique()}}

    @property
    def table(self) -> pd.DataFrame:
        """A line for each column: mutual information, Cramer's V, p-values."""
        import pandas as pd

        lines = [{"column": name, **test} for name, test in self.columns.items()]
        return pd.DataFrame([{key: value for key, value in line.items() if np.isscalar(value)} for line in lines])

    def parts(self) -> list[Listing | Lines]:
        """A line for each column."""
        headings = ["column", "values", "MI (nats)", "adjusted MI", "V", "V corrected", "p", "Holm", "BH", "shuffled"]
        rows = [
            [name, test["kind"], *(f"{test[key]:.3f}" for key in _FIGURES[:-1])]
            + [f"{test[key]:.3g}" for key in ("p_value", "p_holm", "p_bh")]
            + [test.get("shuffled", "")]
            for name, test in self.columns.items()
        ]
        return [Listing(headings, rows), out_line(self.folder)]

    def write_files(self, folder: Path) -> None:
        """Write cells, figures and (of a test that was made now) a picture per column into an empty folder."""
        from separatrix.view.canvas import save
        from separatrix.view.cells import association_map

        write_table(folder / CELLS, self.cells)
        for number, test in enumerate(self.tested):
            if len(test.values) > _MOST_DRAWN:
                continue
            result = test.result
            note = (
                f"adjusted MI {result.adjusted_mutual_information:.3f}, V {result.cramers_v_corrected:.3f} "
                f"(bias-corrected), p {result.p_value:.3g}, {result.permutations} shuffles, {test.shuffled}, "
                f"{test.kind}"
            )
            names = (test.clusters, test.values)
            picture = association_map(result.table, result.residuals, names, ("cluster", test.column), note)
            save(picture, folder / f"association_{number}.png")


@checks_arguments
def associate(
    clusters: Clusters | Points | pd.DataFrame | str | Path,
    columns: str | Sequence[str],
    *,
    recipe: AssociateRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[AssociateOptions],
) -> Associations:
    """Test clusters against columns of their row table.

    Args:
        clusters: what `cluster` gave or the folder it wrote, or any table with a column `cluster`.
        columns: `label`, `layer`, `head`, `group`, `split`, or any other; `layer+head` takes two as one. A numeric one
            with more than `levels` values is cut into quantile bins, and the result says so.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier associations there.
        progress: is called with (stage, done, total, note).
        options: single options of `AssociateRecipe`, by name; `shuffle_within` shuffles inside the groups of a
            column, `shuffle_units` shuffles whole units and decides.

    Raises:
        DataError: no such column, or one with a single value or one that names every row.
        StoreError: the folder is taken.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"id": range(40), "cluster": [0] * 20 + [1] * 20, "label": ["a"] * 20 + ["b"] * 20})
    >>> result = associate(table, "label", permutations=99)
    >>> result.cramers_v, result.p_value
    (1.0, 0.01)
    """
    progress = progress or silent
    recipe = recipes.replace(recipe or AssociateRecipe(), **options)
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise OptionError("no column to compare the clusters with", hint="pass --with label")
    _check_columns(names, recipe)
    inputs = (clusters,) if isinstance(clusters, (str, Path)) else (getattr(clusters, "folder", None),)
    return Associations.produce(
        lambda: _associate(_table(clusters), list(dict.fromkeys(names)), recipe, progress), recipe, out,
        overwrite=overwrite, inputs=inputs,
    )  # fmt: skip


def _check_columns(names: Sequence[str], recipe: AssociateRecipe) -> None:
    """Refuse columns that would be compared with themselves."""
    held = {"--shuffle-within": (recipe.shuffle_within,) if recipe.shuffle_within else (), "--given": recipe.given}
    for name in names:
        if not isinstance(name, str):
            raise OptionError("a column is named by a text", got=shown(name))
        for flag, columns in held.items():
            if same := set(columns) & {name, *name.split("+")}:
                what = f"{name!r} cannot be compared with the clusters inside groups of the same values"
                raise OptionError(what, got=f"{flag} {sorted(same)[0]}", hint=f"leave {flag} or the column away")
    for name in (*names, *recipe.shuffle_units, *held["--shuffle-within"], *recipe.given):
        if CLUSTER in name.split("+"):
            raise OptionError("clusters cannot be compared with themselves", got=name, expected="another column")


def _associate(table: RowTable, names: list[str], recipe: AssociateRecipe, progress: Progress) -> Associations:
    tested: list[ColumnTest] = []
    for name in names:
        progress("association tests", len(tested), len(names), name)
        tested.append(_test(table, name, recipe))
    corrected = correct([test.result.p_value for test in tested])
    columns = {
        test.column: test.result.to_dict()
        | {"kind": test.kind, "dropped": test.dropped, "shuffled": test.shuffled}
        | {f"p_{name}": float(values[number]) for name, values in corrected.items()}
        for number, test in enumerate(tested)
    }
    top = {key: {name: figures[key] for name, figures in columns.items()} for key in _FIGURES}
    single: dict[str, Any] = {
        key: next(iter(values.values())) if len(values) == 1 else values for key, values in top.items()
    }
    warnings = _warnings(tested)
    return Associations(columns, _cells(tested), **single, recipe=recipe, warnings=warnings, tested=tuple(tested))


def _table(clusters: Clusters | Points | pd.DataFrame | str | Path) -> RowTable:
    given = opened(clusters, Clusters) if isinstance(clusters, str | Path) else clusters
    if isinstance(given, Clusters | Points):
        table = given.row_table if isinstance(given, Clusters) else given.rows
    else:
        if not given.columns.is_unique:
            raise DataError("the table has two columns of one name", expected="each name once")
        table = FrameTable(given.reset_index(drop=True))
    if CLUSTER not in table:
        raise DataError("the table has no column 'cluster'", expected="what cluster wrote")
    return table


def _test(table: RowTable, name: str, recipe: AssociateRecipe) -> ColumnTest:
    parts = [name] if name in table else name.split("+")
    named = (*parts, *([recipe.shuffle_within] if recipe.shuffle_within else ()), *recipe.shuffle_units, *recipe.given)
    used = list(dict.fromkeys(named))
    for column in used:
        if column not in table:
            raise DataError(f"the table has no column {column!r}", expected=", ".join(map(str, table.columns)))
    of_rows = (WINDOW, *HEAD, EXAMPLE, CONTEXT)  # what `_shuffling` looks at
    frame = table.coded([CLUSTER, *used, *(column for column in of_rows if column in table and column not in used)])
    _check_values(frame[[CLUSTER, *used]])
    some, numbered = frame[[CLUSTER, *used]].notna().all(axis=1), _kind(frame[CLUSTER]) in "iuf"
    if recipe.noise == "drop" and numbered:
        some &= frame[CLUSTER] >= 0
    rows = frame if some.all() else frame[some]
    if not len(rows):
        raise DataError(f"no row has a value of {name!r}", got=f"{len(table)} rows without")
    values = rows[parts[0]] if len(parts) == 1 else _joined(rows, parts, name)
    codes, titles, kind = _values(values, recipe)
    shuffling = _shuffling(rows, codes, _is_number(values), recipe)
    groups, clusters = encode(rows[CLUSTER])
    numbers = {key: None if not columns else _numbers(rows, columns) for key, columns in (
        ("within", shuffling.within and (shuffling.within,)), ("units", shuffling.units), ("given", shuffling.given)
    )}  # fmt: skip
    units = numbers["units"]
    unequal = 0.0 if units is None else float((_of_first(codes, units) != codes).mean())
    try:
        result = associate_groups(groups, codes, **numbers, permutations=recipe.permutations, seed=recipe.seed)
    except DataError as error:
        raise DataError(f"the column {name!r} cannot be tested: {error}") from error
    names = tuple("noise" if numbered and number < 0 else str(number) for number in clusters)
    return ColumnTest(name, kind, len(table) - len(rows), names, titles, result, shuffling, unequal)


def _check_values(table: pd.DataFrame) -> None:
    """Refuse lists and the like, which are no values of a column."""
    for name in table.columns:
        if _kind(table[name]) == "O" and not hasattr(table[name].dtype, "categories"):
            for row, value in enumerate(table[name]):
                if not isinstance(value, Hashable):
                    what = f"row {row} of the column {name!r} holds no single value"
                    raise DataError(what, got=type(value).__name__, expected="a number, a text or a date")


def _kind(column: pd.Series) -> str:
    """NumPy's letter for the type of a column; O for those that NumPy does not have."""
    return getattr(column.dtype, "kind", "O")


def _joined(rows: pd.DataFrame, parts: Sequence[str], name: str) -> pd.Series:
    """Several columns as one, its values in the order of theirs."""
    import pandas as pd

    codes = _numbers(rows, parts)
    first = rows[list(parts)].iloc[np.unique(codes, return_index=True)[1]].astype(str).agg("+".join, axis=1)
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(first)), name=name)


def _numbers(rows: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """The number of each row's group by these columns, (rows,)."""
    return np.asarray(rows.groupby(list(columns), sort=True, observed=True).ngroup(), dtype=np.int64)


def _shuffling(rows: pd.DataFrame, codes: NDArray[np.int64], number: bool, recipe: AssociateRecipe) -> Shuffling:
    """What is shuffled: what the options name, else what suits rows of attention heads."""
    if recipe.shuffle_within or recipe.shuffle_units or recipe.given or not {WINDOW, *HEAD} <= set(rows.columns):
        return Shuffling(recipe.shuffle_within, recipe.shuffle_units, recipe.given)
    heads = _numbers(rows, HEAD)
    if (_of_first(codes, heads) == codes).all():
        # Where each head has a value of its own, whole heads that change places change nothing.
        return Shuffling(WINDOW, () if (_of_first(heads, codes) == heads).all() else HEAD)
    if (_of_first(codes, _numbers(rows, [WINDOW])) != codes).any():
        return Shuffling(WINDOW)
    units = [CONTEXT, EXAMPLE, WINDOW] if number else [EXAMPLE, WINDOW]
    return Shuffling(None, (next(name for name in units if name in rows.columns),), HEAD)


def _of_first(codes: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The code of the first row of each row's group, (rows,)."""
    return codes[np.unique(groups, return_index=True)[1]][groups]


def _is_number(column: pd.Series) -> bool:
    """Whether a column measures something; numbers that count windows, contexts, layers or heads are names."""
    return _kind(column) in "iuf" and column.name not in (WINDOW, CONTEXT, *HEAD)


def _values(column: pd.Series, recipe: AssociateRecipe) -> tuple[NDArray[np.int64], tuple[str, ...], str]:
    """Group number of each row, the name of each group, and how the groups came about."""
    codes, values = encode(column)
    if len(values) < 2:
        raise DataError(f"the column {column.name!r} has one value only", got=repr(values[0]), expected="two or more")
    if _is_number(column) and len(values) > recipe.levels:
        bins, names = quantile_bins(column, recipe.bins)
        return bins, names, f"{len(names)} quantile bins of {len(values)} numbers"
    if len(values) > min(_MOST_VALUES, len(column) // 2):
        got = f"{len(values)} values in {len(column)} rows"
        raise DataError(f"the column {column.name!r} names rows rather than groups them", got=got)
    return codes, tuple(map(str, values)), f"{len(values)} categories"


def _warnings(tested: Sequence[ColumnTest]) -> list[str]:
    warnings = []
    for test in tested:
        thin = float((test.result.expected < 1).mean())
        if thin > 0.2:
            warnings.append(
                f"{test.column}: {thin:.0%} of the cells expect less than one row; look at the p-value, not V"
            )
        if test.unequal:
            units = "+".join(test.shuffling.units)
            warnings.append(
                f"{test.column}: {test.unequal:.0%} of the rows take the value of the first row of their {units}"
            )
        if test.dropped:
            warnings.append(f"{test.column}: {test.dropped} rows left out (no value, or noise)")
    return warnings


def _cells(tested: Sequence[ColumnTest]) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for test in tested:
        counts = test.result.table
        shape, totals = counts.shape, np.broadcast_to(counts.sum(axis=0), counts.shape)
        low, high = wilson(counts, totals)
        cells = {
            "column": test.column,
            "cluster": np.repeat(test.clusters, shape[1]),
            "value": np.tile(test.values, shape[0]),
            "rows": counts.ravel(),
            "expected": test.result.expected.ravel(),
            "residual": test.result.residuals.ravel(),
            "share_of_value": (counts / totals).ravel(),
            "share_low": low.ravel(),
            "share_high": high.ravel(),
        }
        frames.append(pd.DataFrame(cells))
    return pd.concat(frames, ignore_index=True)
