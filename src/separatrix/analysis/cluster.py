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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.blocks import ClusteredRows, ScaleOptions, cluster_in_blocks
from separatrix.analysis.identity import CLUSTER, PARENT, members, read_decision, row_digest
from separatrix.analysis.inputs import opened
from separatrix.codes import encode
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.assign import accuracy_lost, assign_by_split
from separatrix.geometry.choose import Choice, choose_k
from separatrix.geometry.choose_density import choose_eps, choose_size
from separatrix.geometry.cluster import Clustering, dbscan_clusters, hdbscan, kmeans
from separatrix.geometry.prepare import prepare
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.cluster import METHODS as NAMES
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.recipe.options import ClusterOptions
from separatrix.recipe.registry import Registry
from separatrix.rowtable import ExtendedTable, RowTable
from separatrix.scale.kernels import exact_products
from separatrix.store.files import Schema
from separatrix.store.result import Lines, Listing, Result, apart, optional, out_line
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.store.table import write_table

if TYPE_CHECKING:
    import pandas as pd

TABLE, CHOICE, CURVE, TREE = "clusters.parquet", "choice.parquet", "curve.parquet", "tree.parquet"

_MOST_CLASSES = 1000
MOST_LINES = 10  # of a table that are printed


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(Result):
    """A row table with the column `cluster`, and the figures that belong to it."""

    kind: ClassVar[str] = "clusters"
    schema: ClassVar[Schema] = {
        "method": str, "clusters": int, "sizes": [int], "digest": str, "warnings": [str], "noise?": int,
        "inertia?": float, "eps?": float, "assignment?": (dict, None), "choice?": (dict, None), "parent?": (str, None),
        "approximate?": ([str], None),
    }  # fmt: skip

    row_table: RowTable = apart()  # (rows,) identity columns, cluster [, parent]
    method: str = ""
    clusters: int = 0
    noise: int = 0  # rows in no cluster
    noise_share: float = 0.0
    sizes: Sequence[int] = ()  # rows of each cluster
    rows: int = 0
    rows_used: int = 0
    width: int = 0
    prepare: str = "none"  # what was done to the columns first
    constant_columns: int = 0
    engine: str = ""  # library that computed them
    seconds: float = 0.0
    choice: Choice | Mapping[str, Any] | None = None  # what was tried, and why this was taken
    assignment: Mapping[str, Any] | None = None  # classes of the clusters
    recipe: ClusterRecipe | Mapping[str, Any] = field(default_factory=ClusterRecipe)
    digest: str = ""  # of the rows of every cluster
    warnings: Sequence[str] = ()  # what should be looked at before the clusters are believed
    parent: str | None = None  # path of the cluster that was clustered again
    inertia: float | None = optional()  # sum of squared distances to the means (kmeans)
    distortion: float | None = optional()  # mean distance to the nearest mean (kmeans)
    eps: float | None = optional()  # radius (dbscan)
    exemplars: Sequence[Any] | None = optional()  # id of the row that stands for each cluster
    approximate: Sequence[str] | None = optional()  # rows were read in blocks: what is not exact; None: in memory
    clustering: Clustering | None = apart()  # None where they were read from disk

    @property
    def labels(self) -> NDArray[np.int64]:
        """Cluster of each row, (rows,), -1 for noise."""
        return np.asarray(self.row_table.column(CLUSTER), dtype=np.int64)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The whole row table as a pandas frame; of clusters on disk it is read into memory now, and kept."""
        return self.row_table.to_pandas()

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The table, which must be the one that the figures are of."""
        rows = ParquetTable.open(folder / TABLE, ("id", CLUSTER))
        if row_digest(rows) != plain["digest"] or rows.column(CLUSTER).dtype.kind != "i":
            raise StoreError(f"{folder / TABLE} was changed since it was written", hint="cluster again")
        return {"row_table": rows}

    def parts(self) -> list[Listing | Lines]:
        """Sizes, classes of the clusters, figures."""
        rows = [[str(number), str(size)] for number, size in enumerate(self.sizes[:MOST_LINES])]
        parts: list[Listing | Lines] = [Listing(["cluster", "rows"], rows)]
        if self.assignment is not None:
            named = {self.assignment["named_by"]: self.assignment, **self.assignment["by_split"]}
            lines = [_assigned(way, part, named[part]) for part in named for way in ("majority", "matched")]
            parts.append(Listing(_ASSIGNED, lines))
            if "lost" in self.assignment:
                parts.append(lost_listing(self.assignment["lost"]))
        plain = self.figures()
        keys = ("method", "clusters", "noise", "rows_used", "inertia", "eps", "seconds")
        parts.append([*((key, plain[key]) for key in keys if key in plain), *out_line(self.folder)])
        if self.approximate:
            parts.append([("approximate", sentence) for sentence in self.approximate])
        if self.choice is not None:
            parts.append([("chosen", "{option} = {value:g}: {criterion}".format(**plain["choice"]))])
        return parts

    def write_files(self, folder: Path) -> None:
        """Write tables and pictures: sizes, the choice, the grid, the condensed tree."""
        import pandas as pd

        from separatrix.view.canvas import save
        from separatrix.view.cells import density_grid
        from separatrix.view.cluster_plots import cluster_sizes, condensed_tree, k_curves, k_distances

        write_rows(folder / TABLE, self.row_table)
        title = f"{self.method} clusters" + (f" of {self.parent}" if self.parent else "")
        save(cluster_sizes(self.sizes, self.noise, title), folder / "sizes.png")
        if isinstance(choice := self.choice, Choice):
            write_table(folder / CHOICE, pd.DataFrame(choice.table))
            if choice.option == "k":
                save(k_curves(choice.table, choice.value, choice.criterion), folder / "choice.png")
            if choice.option == "eps":
                write_table(folder / CURVE, pd.DataFrame(choice.curve))
                save(k_distances(choice.curve, choice.value, choice.criterion), folder / "choice.png")
                save(density_grid(choice.table), folder / "grid.png")
        if self.clustering is not None and self.clustering.tree is not None:
            lines = self.clustering.tree.lines()
            write_table(folder / TREE, pd.DataFrame(lines))
            save(condensed_tree(lines), folder / "tree.png")


_ASSIGNED = ("classes of clusters", "of", "accuracy", "95 % interval", "shuffled labels", "p", "majority class")


def lost_listing(lost: Mapping[str, Any]) -> Listing:
    """What clusters lose of the accuracy that the model itself has on the same rows."""
    rows = []
    for part, figures in lost.items():
        for way in ("majority", "matched"):
            low, high = figures[way]["interval"]
            named = f"by {way}" if way == "majority" else "matched one to one"
            cells = [f"{figures['own']:.3f}", f"{figures[way]['difference']:.3f}", f"{low:.3f} to {high:.3f}"]
            rows.append([named, f"{part} ({figures['rows']} rows)", *cells, f"{figures[way]['p_value']:.3g}"])
    return Listing(["accuracy lost", "of", "model itself", "lost by clusters", "95 % interval", "p"], rows)


def _assigned(way: str, part: str, given: dict[str, Any]) -> list[str]:
    """A line of the table of classes."""
    figures = given[way]
    low, high = figures["interval"]
    named = f"by {way}" if way == "majority" else "matched one to one"
    cells = [f"{figures['accuracy']:.3f}", f"{low:.3f} to {high:.3f}", f"{figures['null']:.3f}"]
    return [named, part, *cells, f"{figures['p_value']:.3g}", f"{given['majority_baseline']:.3f}"]


@checks_arguments
def cluster(
    points: Points | str | Path,
    method: str | None = None,
    *,
    within: Clusters | str | Path | None = None,
    of: int | None = None,
    recipe: ClusterRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    executor: str = "here",
    memory: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Unpack[ClusterOptions],
) -> Clusters:
    """Put points into clusters.

    Args:
        points: one block of vectors, or several of which the option `block` names one; or their folder.
        method: `kmeans`, `dbscan` or `hdbscan`.
        within: earlier clusters, or their folder; only the rows of cluster `of` are clustered, and keep their identity.
        of: number of that cluster.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier clusters there.
        executor: who computes: `here`, `processes:N`, `dask:local:N` or `dask:tcp://host:port`.
        memory: bytes, as "2GiB", that may be taken (default: half of what is free); points that need more, and all
            points with another executor than `here`, are read block by block.
        device: `auto`, `cpu`, `cuda` or `cuda:1`: where blocks, and distances of dbscan, are computed; kmeans is
            computed block by block where a GPU is named.
        progress: is called with (stage, done, total, note).
        options: single options of `ClusterRecipe`, by name.

    Raises:
        OptionError: an unknown option, one that has no effect, k above the rows, neither k nor choose.
        DataError: a number that is not finite, a row number among the features, rows that do not fit `within`.
        StoreError: the place is taken.

    >>> heaps = np.repeat([0.0, 10.0], 30)[:, None] + np.random.default_rng(0).normal(size=(60, 2))
    >>> clusters = cluster(Points.of(heaps, {"label": ["a"] * 30 + ["b"] * 30}), "kmeans", k=2)
    >>> clusters.sizes, clusters.assignment["matched"]["accuracy"]
    ([30, 30], 1.0)
    """
    progress = progress or silent
    wanted = recipes.replace(recipe or ClusterRecipe(), **({"method": method} if method else {}), **options)
    check_needed(wanted)
    points, scale = opened(points, Points), ScaleOptions.of(executor, memory, out, progress, device)
    outer = None if within is None else opened(within, Clusters)
    rows = len(points) if outer is None else int((outer.labels == of).sum())
    with scale.until_written():
        return Clusters.produce(
            lambda: _cluster(points, outer, of, wanted, scale), wanted, out, overwrite=overwrite, progress=progress,
            inputs=(*points.folders, outer and outer.folder), stage=(f"clustering ({wanted.method})", rows),
        )  # fmt: skip


def check_needed(recipe: ClusterRecipe) -> None:
    """Raise an OptionError unless k or eps is given or chosen where the method needs it."""
    for name, needed in (("kmeans", "k"), ("dbscan", "eps")):
        if recipe.method == name and getattr(recipe, needed) is None and not recipe.choose:
            raise OptionError(f"--method {name} needs --{needed}", hint=f"pass --{needed}, or --choose")
    if recipe.choose and METHODS[recipe.method].choose is None:
        raise OptionError(f"--choose has no effect with --method {recipe.method}", hint="leave --choose away")


def _cluster(
    points: Points, within: Clusters | None, of: int | None, recipe: ClusterRecipe, scale: ScaleOptions
) -> Clusters:
    chosen, path = (points, None) if within is None else members(points, within.row_table, of)
    one = chosen.pick(recipe.block) if recipe.block else chosen
    in_blocks = scale.in_blocks(len(one), one.width, all_free=recipe.method == "dbscan")
    in_blocks |= scale.on_gpu and recipe.method == "kmeans" and recipe.engine != "cuml"
    if in_blocks and recipe.method not in NAMES.built_in:
        hint = "raise --memory, or leave --executor away"
        raise OptionError(f"--method {recipe.method} needs all points in memory", hint=hint)
    computed = cluster_in_blocks(one, recipe, scale) if in_blocks else _in_memory(one, recipe, scale)
    clustering, choice = computed.clustering, computed.choice
    table = _label_rows(chosen.rows, clustering.labels, path)
    rows, stars = len(table), clustering.exemplars
    return Clusters(
        row_table=table, method=clustering.method, clusters=clustering.clusters, noise=clustering.noise,
        noise_share=clustering.noise / rows, sizes=clustering.sizes.tolist(), rows=rows, rows_used=rows,
        width=one.width, prepare=recipe.prepare, constant_columns=computed.constant,
        engine=clustering.engine, seconds=clustering.seconds, choice=choice,
        assignment=_assignment(table, clustering.labels, recipe), recipe=recipe, digest=row_digest(table),
        warnings=[*(choice.warnings if choice else ()), *_warnings(clustering, computed.constant)], parent=path,
        inertia=clustering.inertia, distortion=clustering.distortion, eps=clustering.eps,
        exemplars=None if stars is None else table.take(stars).column("id").tolist(), approximate=computed.approximate,
        clustering=clustering,
    )  # fmt: skip


def _in_memory(points: Points, recipe: ClusterRecipe, scale: ScaleOptions) -> ClusteredRows:
    vectors = prepare(points.values, recipe.prepare)
    method, done = METHODS[recipe.method], recipe
    reading = {"reading": scale.reading()} if recipe.method == "dbscan" else {}
    with exact_products():
        choice = None if not recipe.choose or method.choose is None else method.choose(vectors, recipe, **reading)
    if choice is not None:
        value = choice.value if choice.option == "eps" else int(choice.value)
        done = recipes.replace(recipe, choose=False, **{choice.option: value})
    with exact_products():
        clustering = method.run(vectors, done, scale.progress, **reading)
    return ClusteredRows(clustering, choice, vectors.constant)


@dataclass(frozen=True)
class ClusterMethod:
    """How prepared vectors are clustered, and how --choose finds the option that decides; None: it has no choice."""

    run: Callable[..., Clustering]  # of prepared vectors, recipe, progress (and dbscan: how distances are read)
    choose: Callable[..., Choice] | None = None  # of prepared vectors, recipe


METHODS: Registry[ClusterMethod] = Registry(
    NAMES,
    {
        "kmeans": ClusterMethod(
            lambda x, r, _: kmeans(x, r.k, starts=r.starts, minibatch=r.minibatch, engine=r.engine, seed=r.seed),
            lambda x, r: choose_k(x, r.k_grid, criterion=r.criterion, sample_rows=r.sample_rows, seed=r.seed),
        ),
        "dbscan": ClusterMethod(
            lambda x, r, progress, reading: dbscan_clusters(
                x, r.eps, min_samples=r.min_samples, progress=progress, reading=reading
            ),
            lambda x, r, reading: choose_eps(x, r.min_samples, cell_seconds=r.cell_seconds, reading=reading),
        ),
        "hdbscan": ClusterMethod(
            lambda x, r, _: hdbscan(x, r.min_cluster_size, min_samples=r.min_samples, engine=r.engine),
            lambda x, r: choose_size(x, r.min_samples, sample_rows=r.sample_rows, seed=r.seed),
        ),
    },
)


def _label_rows(rows: RowTable, labels: NDArray[np.int64], path: str | None) -> RowTable:
    parents = {} if path is None else {PARENT: np.full(len(rows), path, dtype=object)}
    return ExtendedTable(rows, {CLUSTER: labels, **parents}, hidden=(PARENT,) if path is None else ())


def _warnings(result: Clustering, constant: int) -> list[str]:
    warnings = []
    if constant:
        warnings.append(f"{constant} of the columns are constant and say nothing")
    if result.empty:
        warnings.append(f"{result.empty} of the clusters asked for are empty: there are fewer distinct rows")
    if not result.clusters:
        warnings.append("no cluster was found: every row is noise")
    elif result.clusters == 1 and result.method != "kmeans":
        warnings.append(f"one cluster holds every row that is no noise ({result.sizes[0]} of {len(result.labels)})")
    return warnings


def _assignment(table: RowTable, labels: NDArray[np.int64], recipe: ClusterRecipe) -> dict[str, Any] | None:
    """Clusters against the classes of the rows that have one."""
    name = recipe.label or "label"
    if name not in table.columns:
        if recipe.label is None:
            return None
        raise DataError(f"points have no column {name!r}", expected=", ".join(map(str, table.columns)))
    codes, classes = encode(table.series(name))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        if recipe.label is None:
            return None
        got = f"{len(classes)} different values"
        raise DataError(f"the column {name!r} holds no classes", got=got, expected=f"2 to {_MOST_CLASSES}")
    known = codes >= 0
    names = tuple(map(str, classes))
    split = None
    if "split" in table and name != "split":
        split = table.series("split")[known]
    assigned = assign_by_split(
        labels[known], codes[known], names, split, permutations=recipe.permutations, seed=recipe.seed
    )
    lost = None
    if (decided := read_decision(table, name, names)) is not None:
        lost = accuracy_lost(assigned, labels[known], codes[known], decided[known], split, seed=recipe.seed)
    return {"column": name} | assigned | ({} if lost is None else {"lost": lost})
