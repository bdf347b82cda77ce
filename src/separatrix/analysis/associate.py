"""Do clusters hang together with a column of the row table? One test per column, corrected for their number.

An outcome folder holds result.json, `cells.parquet` (a line per column, cluster and value: rows, expected rows,
standardised residual, share of the value's rows with its interval) and a picture per column.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.cluster import Clusters, open_clusters
from separatrix.analysis.identity import CLUSTER
from separatrix.errors import DataError, OptionError
from separatrix.geometry.associate import Association, correct, quantile_bins, wilson
from separatrix.geometry.associate import associate as associate_groups
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.cluster import AssociateRecipe
from separatrix.recipe.options import AssociateOptions
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import reading, write_json
from separatrix.store.folder import RESULT
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.results import read_result
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

CELLS = "cells.parquet"
_MOST_VALUES = 2000  # of a column: beyond it names its rows rather than groups them


@dataclass(frozen=True, eq=False)
class Tested:
    """One column: its test, and the names of clusters and values."""

    column: str
    kind: str  # categories, or the bins that were made
    dropped: int  # rows left out: no value, or noise that was not wanted
    clusters: tuple[str, ...]
    values: tuple[str, ...]
    found: Association


@dataclass(frozen=True, eq=False)
class Associations(Result):
    """Clusters against columns: a test for each, and the cells of their tables."""

    kind: ClassVar[str] = "association"

    result: dict[str, Any] = field(repr=False)  # what result.json holds
    cells: pd.DataFrame = field(repr=False)  # a line per column, cluster and value
    tested: tuple[Tested, ...] = ()  # empty where they were read from disk
    folder: Path | None = None

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Column -> its figures."""
        return dict(self.result["columns"])

    @property
    def table(self) -> pd.DataFrame:
        """A line for each column: mutual information, Cramer's V, p-values."""
        import pandas as pd

        lines = [{"column": name, **test} for name, test in self.columns.items()]
        return pd.DataFrame([{key: value for key, value in line.items() if np.isscalar(value)} for line in lines])

    @property
    def warnings(self) -> list[str]:
        """What should be looked at before a figure is believed."""
        return list(self.result["warnings"])

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return dict(self.result)

    def parts(self) -> list[Listing | Lines]:
        """A line for each column."""
        headings = ["column", "values", "MI (nats)", "adjusted MI", "V", "V corrected", "p", "Holm", "BH"]
        keys = ("mutual_information", "adjusted_mutual_information", "cramers_v", "cramers_v_corrected")
        rows = [
            [name, test["kind"], *(f"{test[key]:.3f}" for key in keys)]
            + [f"{test[key]:.3g}" for key in ("p_value", "p_holm", "p_bh")]
            for name, test in self.columns.items()
        ]
        return [Listing(headings, rows), out_line(self.folder)]

    def write(self, folder: Path) -> None:
        """Write cells, figures and (of a test that was made now) a picture per column into an empty folder."""
        from separatrix.view.association_plot import association_map
        from separatrix.view.canvas import save

        write_table(folder / CELLS, self.cells)
        for place, test in enumerate(self.tested):
            found = test.found
            note = (
                f"adjusted MI {found.adjusted_mutual_information:.3f}, V {found.cramers_v_corrected:.3f} "
                f"(bias-corrected), p {found.p_value:.3g}, {found.permutations} shuffles, {test.kind}"
            )
            names = (test.clusters, test.values)
            picture = association_map(found.table, found.residuals, names, ("cluster", test.column), note)
            save(picture, folder / f"association_{place}.png")
        write_json(folder / RESULT, self.result | {"kind": self.kind})


def associate(
    clusters: Clusters | Points | pd.DataFrame | str | Path,
    columns: str | Sequence[str],
    *,
    recipe: AssociateRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Unpack[AssociateOptions],
) -> Associations:
    """Test clusters against columns of their row table.

    Args:
        clusters: what `cluster` gave or the folder it wrote, or any table with a column `cluster`.
        columns: `label`, `layer`, `head`, `group`, `split`, or any other; a numeric one with more than `levels` values
            is cut into quantile bins, and the result says so.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier associations there.
        progress: is called with (stage, done, total, note).
        options: single options of `AssociateRecipe`, by name; `within` shuffles inside the groups of a column.

    Raises:
        DataError: no such column, or one with a single value or one that names every row.
        StoreError: the place is taken.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"id": range(40), "cluster": [0] * 20 + [1] * 20, "label": ["a"] * 20 + ["b"] * 20})
    >>> found = associate(table, "label", permutations=99).result
    >>> found["cramers_v"], found["p_value"]
    (1.0, 0.01)
    """
    asked = recipes.replace(recipe or AssociateRecipe(), **options)
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise OptionError("no column to compare the clusters with", hint="pass --with label")
    if asked.within in names:
        raise OptionError("a column cannot be shuffled within itself", got=asked.within, hint="leave --within away")
    inputs = (clusters,) if isinstance(clusters, (str, Path)) else (getattr(clusters, "folder", None),)
    with write_artifact(out, Associations.kind, asked, overwrite=overwrite, inputs=inputs) as folder:
        table, done = _table(clusters), list[Tested]()
        for name in dict.fromkeys(names):
            progress("association tests", len(done), len(names), name)
            done.append(_test(table, name, asked))
        made = Associations(_result(done, asked), _cells(done), tuple(done))
        if folder is not None:
            made.write(folder)
    return made if out is None else replace(made, folder=Path(out))


def open_associations(folder: str | Path) -> Associations:
    """Read what `associate` wrote.

    Raises:
        StoreError: the folder holds no associations.
    """
    place = Path(folder)
    with reading(place):
        result = read_result(place, {"columns": {"*": {"kind": str}}, "warnings": [str]})
        cells = read_table(place / CELLS, ("column", "cluster", "value"))
        result["columns"] = {name: result["columns"][name] for name in cells["column"].unique()}  # JSON is sorted
        return Associations(result, cells, folder=place)


def _table(clusters: Clusters | Points | pd.DataFrame | str | Path) -> pd.DataFrame:
    if isinstance(clusters, (str, Path)):
        clusters = open_clusters(clusters)
    table = clusters.table if isinstance(clusters, (Clusters, Points)) else clusters
    if CLUSTER not in table.columns:
        raise DataError("the table has no column 'cluster'", expected="what cluster wrote")
    return table


def _test(table: pd.DataFrame, name: str, recipe: AssociateRecipe) -> Tested:
    import pandas as pd

    wanted = [name] if recipe.within is None else [name, recipe.within]
    for column in wanted:
        if column not in table.columns:
            raise DataError(f"the table has no column {column!r}", expected=", ".join(map(str, table.columns)))
    kept = table[wanted].notna().all(axis=1)
    if recipe.noise == "drop":
        kept &= table[CLUSTER] >= 0
    rows = table[kept]
    if not len(rows):
        raise DataError(f"no row has a value of {name!r}", got=f"{len(table)} rows without")
    codes, values, kind = _values(rows[name], recipe)
    parts, found = pd.factorize(rows[CLUSTER], sort=True)
    inside = None if recipe.within is None else pd.factorize(rows[recipe.within])[0]
    test = associate_groups(parts, codes, within=inside, permutations=recipe.permutations, seed=recipe.seed)
    titles = tuple("noise" if number < 0 else str(number) for number in found)
    return Tested(name, kind, int(len(table) - len(rows)), titles, values, test)


def _values(column: pd.Series, recipe: AssociateRecipe) -> tuple[NDArray[np.int64], tuple[str, ...], str]:
    """Group number of each row, the name of each group, and how the groups came about."""
    import pandas as pd

    codes, values = pd.factorize(column, sort=True)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if len(values) < 2:
        raise DataError(f"the column {column.name!r} has one value only", got=repr(values[0]), expected="two or more")
    if numeric and len(values) > recipe.levels:
        places, names = quantile_bins(column, recipe.bins)
        return places, names, f"{len(names)} quantile bins of {len(values)} numbers"
    if len(values) > min(_MOST_VALUES, len(column) // 2):
        got = f"{len(values)} values in {len(column)} rows"
        raise DataError(f"the column {column.name!r} names rows rather than groups them", got=got)
    return codes.astype(np.int64), tuple(map(str, values)), f"{len(values)} categories"


def _result(tested: Sequence[Tested], recipe: AssociateRecipe) -> dict[str, Any]:
    corrected = correct([test.found.p_value for test in tested])
    columns = {
        test.column: test.found.to_dict()
        | {"kind": test.kind, "dropped": test.dropped}
        | {f"p_{name}": float(values[place]) for name, values in corrected.items()}
        for place, test in enumerate(tested)
    }
    keys = ("mutual_information", "adjusted_mutual_information", "cramers_v", "cramers_v_corrected", "p_value")
    single = len(tested) == 1
    # One column: its figures; several: a figure per column.
    top = {key: columns[tested[0].column][key] if single else {n: columns[n][key] for n in columns} for key in keys}
    return {**top, "columns": columns, "recipe": json.loads(recipes.canonical(recipe)), "warnings": _warnings(tested)}


def _warnings(tested: Sequence[Tested]) -> list[str]:
    said = []
    for test in tested:
        thin = float((test.found.expected < 1).mean())
        if thin > 0.2:
            said.append(f"{test.column}: {thin:.0%} of the cells expect less than one row; look at the p-value, not V")
        if test.dropped:
            said.append(f"{test.column}: {test.dropped} rows left out (no value, or noise)")
    return said


def _cells(tested: Sequence[Tested]) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for test in tested:
        found = test.found
        shape, totals = found.table.shape, np.broadcast_to(found.table.sum(axis=0), found.table.shape)
        low, high = wilson(found.table, totals)
        cells = {
            "column": test.column,
            "cluster": np.repeat(test.clusters, shape[1]),
            "value": np.tile(test.values, shape[0]),
            "rows": found.table.ravel(),
            "expected": found.expected.ravel(),
            "residual": found.residuals.ravel(),
            "share_of_value": (found.table / totals).ravel(),
            "share_low": low.ravel(),
            "share_high": high.ravel(),
        }
        frames.append(pd.DataFrame(cells))
    return pd.concat(frames, ignore_index=True)
