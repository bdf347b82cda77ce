"""Clusters of points with their identity: chosen, named by classes, written, and clustered again.

An outcome folder holds

    clusters.parquet     every column of the row table, then `cluster` (-1: noise), and `parent` for clusters of one
    result.json          all figures
    choice.parquet       what was tried (with --choose); curve.parquet: the k-distance curve
    tree.parquet         the condensed tree of HDBSCAN
    *.png                drawn from these

A parent is a path: rows of cluster 0 that were clustered again have the parent "0", those of its cluster 3 "0/3".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.identity import CLUSTER, PARENT, members, row_digest
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.assign import assign_by_split
from separatrix.geometry.choose import Choice, choose_eps, choose_k, choose_size
from separatrix.geometry.cluster import Clustering, dbscan_clusters, hdbscan, kmeans
from separatrix.geometry.prepare import Prepared, prepare
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.recipe.options import ClusterOptions
from separatrix.store.artifacts import open_artifact, write_artifact
from separatrix.store.files import reading, write_json
from separatrix.store.folder import RESULT
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.results import CLUSTERS_RESULT, read_result
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

TABLE, CHOICE, CURVE, TREE = "clusters.parquet", "choice.parquet", "curve.parquet", "tree.parquet"

_MOST_CLASSES = 1000
MOST_LINES = 10  # of a table that are printed


@dataclass(frozen=True, eq=False)
class Clusters(Result):
    """A row table with the column `cluster`, and the figures that belong to it."""

    kind: ClassVar[str] = "clusters"

    table: pd.DataFrame  # (rows,) identity columns, cluster [, parent]
    result: dict[str, Any] = field(repr=False)  # what result.json holds
    found: Clustering | None = field(default=None, repr=False)  # None where they were read from disk
    choice: Choice | None = field(default=None, repr=False)
    folder: Path | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """Cluster of each row, (rows,), -1 for noise."""
        return np.asarray(self.table[CLUSTER], dtype=np.int64)

    @property
    def method(self) -> str:
        """How they were found."""
        return str(self.result["method"])

    @property
    def sizes(self) -> list[int]:
        """Rows of each cluster."""
        return list(self.result["sizes"])

    @property
    def noise(self) -> int:
        """Rows in no cluster."""
        return int(self.result["noise"])

    @property
    def inertia(self) -> float | None:
        """Sum of squared distances to the means (kmeans)."""
        return self.result.get("inertia")

    @property
    def eps(self) -> float | None:
        """Radius (dbscan)."""
        return self.result.get("eps")

    @property
    def warnings(self) -> list[str]:
        """What should be looked at before the clusters are believed."""
        return list(self.result["warnings"])

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return dict(self.result)

    def parts(self) -> list[Listing | Lines]:
        """Sizes, classes of the clusters, figures."""
        result, given = self.result, self.result["assignment"]
        rows = [[str(number), str(size)] for number, size in enumerate(self.sizes[:MOST_LINES])]
        parts: list[Listing | Lines] = [Listing(["cluster", "rows"], rows)]
        if given is not None:
            named = {given["named_by"]: given, **given["by_split"]}
            lines = [_assigned(way, part, named[part]) for part in named for way in ("majority", "matched")]
            parts.append(Listing(_ASSIGNED, lines))
        keys = ("method", "clusters", "noise", "rows_used", "inertia", "eps", "seconds")
        parts.append([*((key, result[key]) for key in keys if key in result), *out_line(self.folder)])
        if result["choice"] is not None:
            parts.append([("chosen", "{option} = {value:g}: {criterion}".format(**result["choice"]))])
        return parts

    def write(self, folder: Path) -> None:
        """Write tables, figures and pictures into an empty folder."""
        import pandas as pd

        write_table(folder / TABLE, self.table)
        if self.choice is not None:
            write_table(folder / CHOICE, pd.DataFrame(self.choice.table))
            if self.choice.curve:
                write_table(folder / CURVE, pd.DataFrame(self.choice.curve))
        if self.found is not None and self.found.tree is not None:
            write_table(folder / TREE, pd.DataFrame(self.found.tree.lines()))
        draw_clusters(folder, self)
        write_json(folder / RESULT, self.result | {"kind": self.kind})


_ASSIGNED = ("classes of clusters", "of", "accuracy", "95 % interval", "shuffled labels", "p", "majority class")


def _assigned(way: str, part: str, given: dict[str, Any]) -> list[str]:
    """A line of the table of classes."""
    figures = given[way]
    low, high = figures["interval"]
    named = f"by {way}" if way == "majority" else "matched one to one"
    cells = [f"{figures['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", f"{figures['null']:.3f}"]
    return [named, part, *cells, f"{figures['p_value']:.3g}", f"{given['majority_baseline']:.3f}"]


def cluster(
    points: Points,
    method: str | None = None,
    *,
    within: Clusters | None = None,
    of: int | None = None,
    recipe: ClusterRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Unpack[ClusterOptions],
) -> Clusters:
    """Put points into clusters.

    Args:
        points: one block of vectors, or several of which the option `block` names one.
        method: `kmeans`, `dbscan` or `hdbscan`.
        within: clusters found before; only the rows of its cluster `of` are clustered, and keep their identity.
        of: number of that cluster.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier clusters there.
        progress: is called with (stage, done, total, note).
        options: single options of `ClusterRecipe`, by name.

    Raises:
        OptionError: an unknown option, one that has no effect, k above the rows, neither k nor choose.
        DataError: a number that is not finite, a row number among the features, rows that do not fit `within`.
        StoreError: the place is taken.

    >>> heaps = np.repeat([0.0, 10.0], 30)[:, None] + np.random.default_rng(0).normal(size=(60, 2))
    >>> found = cluster(Points.of(heaps, {"label": ["a"] * 30 + ["b"] * 30}), "kmeans", k=2)
    >>> found.result["sizes"], found.result["assignment"]["matched"]["accuracy"]
    ([30, 30], 1.0)
    """
    asked = recipes.replace(recipe or ClusterRecipe(), **({"method": method} if method else {}), **options)
    _check_asked(asked)
    inputs = (*points.folders, None if within is None else within.folder)
    with write_artifact(out, Clusters.kind, asked, overwrite=overwrite, inputs=inputs) as folder:
        progress(f"clustering ({asked.method})", 0, len(points), "")
        made = _cluster(points, within, of, asked)
        if folder is not None:
            made.write(folder)
        progress(f"clustering ({asked.method})", len(points), len(points), "")
    return made if out is None else replace(made, folder=Path(out))


def _cluster(points: Points, within: Clusters | None, of: int | None, recipe: ClusterRecipe) -> Clusters:
    chosen, path = (points, None) if within is None else members(points, within.table, of)
    vectors = (chosen.pick(recipe.block) if recipe.block else chosen).values
    ready = prepare(vectors, recipe.prepare)
    choice = _CHOOSE[recipe.method](ready.values, recipe) if recipe.choose else None
    done = recipe if choice is None else recipes.replace(recipe, choose=False, **{choice.option: _number(choice)})
    found = _RUN[recipe.method](ready.values, done)
    table = _label_rows(chosen.table, found.labels, path)
    return Clusters(table, _result(table, found, choice, ready, recipe) | {PARENT: path}, found, choice)


def _check_asked(recipe: ClusterRecipe) -> None:
    for method, name in (("kmeans", "k"), ("dbscan", "eps")):
        if recipe.method == method and getattr(recipe, name) is None and not recipe.choose:
            raise OptionError(f"--method {method} needs --{name}", hint=f"pass --{name}, or --choose")


_CHOOSE = {
    "kmeans": lambda x, r: choose_k(x, r.k_grid, criterion=r.criterion, sample_rows=r.sample_rows, seed=r.seed),
    "dbscan": lambda x, r: choose_eps(x, r.min_samples, cell_seconds=r.cell_seconds),
    "hdbscan": lambda x, r: choose_size(x, r.min_samples, sample_rows=r.sample_rows, seed=r.seed),
}
_RUN = {
    "kmeans": lambda x, r: kmeans(x, r.k, starts=r.starts, minibatch=r.minibatch, seed=r.seed),
    "dbscan": lambda x, r: dbscan_clusters(x, r.eps, min_samples=r.min_samples),
    "hdbscan": lambda x, r: hdbscan(x, r.min_cluster_size, min_samples=r.min_samples, engine=r.engine),
}


def _number(choice: Choice) -> float:
    return choice.value if choice.option == "eps" else int(choice.value)


def _label_rows(table: pd.DataFrame, labels: NDArray[np.int64], path: str | None) -> pd.DataFrame:
    rows = table.drop(columns=[name for name in (CLUSTER, PARENT) if name in table.columns]).reset_index(drop=True)
    return rows.assign(**{CLUSTER: labels}, **({} if path is None else {PARENT: path}))


def _result(
    table: pd.DataFrame, found: Clustering, choice: Choice | None, ready: Prepared, recipe: ClusterRecipe
) -> dict[str, Any]:
    rows = len(found.labels)
    figures = {
        "method": found.method,
        "clusters": found.clusters,
        "noise": found.noise,
        "noise_share": found.noise / rows,
        "sizes": found.sizes.tolist(),
        "rows": rows,
        "rows_used": rows,
        "width": ready.values.shape[1],
        "prepare": ready.how,
        "constant_columns": ready.constant,
        "engine": found.engine,
        "seconds": found.seconds,
        "choice": None if choice is None else choice.to_dict(),
        "assignment": _assignment(table, found.labels, recipe),
        "recipe": json.loads(recipes.canonical(recipe)),
        "digest": row_digest(table),
        "warnings": [*(choice.warnings if choice else ()), *_warnings(found, ready)],
    }
    for name in ("inertia", "distortion", "eps"):
        value = getattr(found, name)
        figures |= {} if value is None else {name: value}
    if found.exemplars is not None:
        figures["exemplars"] = table["id"].iloc[found.exemplars].tolist()
    return figures


def _warnings(found: Clustering, ready: Prepared) -> list[str]:
    said = []
    if ready.constant:
        said.append(f"{ready.constant} of the columns are constant and say nothing")
    if found.empty:
        said.append(f"{found.empty} of the clusters asked for are empty: there are fewer distinct rows")
    if not found.clusters:
        said.append("no cluster was found: every row is noise")
    elif found.clusters == 1 and found.method != "kmeans":
        said.append(f"one cluster holds every row that is no noise ({found.sizes[0]} of {len(found.labels)})")
    return said


def _assignment(table: pd.DataFrame, labels: NDArray[np.int64], recipe: ClusterRecipe) -> dict[str, Any] | None:
    """Clusters against the classes of the rows that have one."""
    import pandas as pd

    name = recipe.label or "label"
    if name not in table.columns:
        if recipe.label is None:
            return None
        raise DataError(f"points have no column {name!r}", expected=", ".join(map(str, table.columns)))
    codes, classes = pd.factorize(table[name], sort=True)
    if not 2 <= len(classes) <= _MOST_CLASSES:
        if recipe.label is None:
            return None
        got = f"{len(classes)} different values"
        raise DataError(f"the column {name!r} holds no classes", got=got, expected=f"2 to {_MOST_CLASSES}")
    known = codes >= 0
    names = tuple(map(str, classes))
    split = np.asarray(table["split"])[known] if "split" in table.columns and name != "split" else None
    found = assign_by_split(
        labels[known], codes[known], names, split, permutations=recipe.permutations, seed=recipe.seed
    )
    return {"column": name, **found}


def draw_clusters(folder: Path, made: Clusters) -> None:
    """Draw the pictures: sizes, the choice, the grid, the condensed tree."""
    from separatrix.view.canvas import save
    from separatrix.view.cluster_plots import cluster_sizes, density_grid, k_curves, k_distances
    from separatrix.view.tree_plot import condensed_tree

    title = f"{made.result['method']} clusters" + (f" of {made.result[PARENT]}" if made.result[PARENT] else "")
    save(cluster_sizes(made.result["sizes"], made.result["noise"], title), folder / "sizes.png")
    choice = made.choice
    if choice is not None and choice.option == "k":
        save(k_curves(choice.table, choice.value, choice.criterion), folder / "choice.png")
    if choice is not None and choice.option == "eps":
        save(k_distances(choice.curve, choice.value, choice.criterion), folder / "choice.png")
        save(density_grid(choice.table), folder / "grid.png")
    if made.found is not None and made.found.tree is not None:
        save(condensed_tree(made.found.tree.lines()), folder / "tree.png")


def open_clusters(folder: str | Path, *, verify: bool = True) -> Clusters:
    """Read what `cluster` wrote; `verify` compares it with its hashes.

    Raises:
        StoreError: the folder holds no clusters, or the table was changed since.
    """
    place = Path(folder)
    if not (place / TABLE).is_file() or not (place / RESULT).is_file():
        raise StoreError(f"{place} holds no clusters", expected=TABLE, hint="give the folder that cluster wrote")
    open_artifact(place, verify=verify)
    with reading(place):
        table, result = read_table(place / TABLE, ("id", CLUSTER)), read_result(place, CLUSTERS_RESULT)
        same = row_digest(table) == result["digest"] and table[CLUSTER].dtype.kind == "i"
    if not same:
        raise StoreError(f"{place / TABLE} was changed since it was written", hint="cluster again")
    return Clusters(table, result, folder=place)
