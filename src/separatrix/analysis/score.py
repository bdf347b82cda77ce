"""The verb `score`: whether these vectors separate these labels, and whether shuffled ones would look the same.

Points with a column `split` are scored from their training rows to the others, with leave-one-out on the training rows
beside it; points without one are scored by leave-one-out and cross-validation alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.blocks import ScaleOptions, sample_to_score
from separatrix.analysis.cluster import Clusters, lost_listing
from separatrix.analysis.identity import CLUSTER, read_decision
from separatrix.analysis.inputs import opened
from separatrix.analysis.linear import linear_figures
from separatrix.analysis.rows import Split, split_points
from separatrix.analysis.shape import class_figures, number_figures
from separatrix.codes import encode
from separatrix.errors import DataError, StoreError, choose
from separatrix.geometry.assign import accuracy_lost, assign_by_split
from separatrix.geometry.measures import Around, Figure, find_neighbors, rounded
from separatrix.geometry.neighbors import METRICS
from separatrix.geometry.nulls import Null
from separatrix.geometry.scatter import check_features
from separatrix.geometry.separation import silhouette
from separatrix.points import ID, KEY, Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import ScoreOptions
from separatrix.recipe.score import ScoreRecipe
from separatrix.rowtable import FrameTable, RowTable
from separatrix.store.files import Schema
from separatrix.store.result import Lines, Listing, Result, optional, out_line
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd


TABLE, GRID = "table.parquet", "grid.parquet"
_LINES = 1 << 16  # of a batch of clusters


@dataclass(frozen=True, eq=False, repr=False)
class Separation(Result):
    """How far labels stand apart: figures, each beside its interval and its value by chance."""

    kind: ClassVar[str] = "score"
    schema: ClassVar[Schema] = {
        "block": str, "unit": str, "rows": {"*": int}, "width": int, "classes": [str], "metrics": {"*": dict},
        "grid": [dict], "nulls": {"*": dict}, "clusters?": dict, "warnings": [str], "seconds": float, "recipe": dict,
    }  # fmt: skip

    block: str
    unit: str  # what the figures of classifiers are: accuracy or R2
    rows: Mapping[str, int]  # part -> rows
    width: int
    classes: Sequence[str]  # empty: numbers are predicted
    metrics: Mapping[str, Figure]
    grid: Sequence[Mapping[str, Any]]  # k-NN by metric and k
    nulls: Mapping[str, Null]
    clusters: Mapping[str, Any] | None = optional()  # classes by majority and by matching, agreement, silhouette
    warnings: Sequence[str] = ()
    seconds: float = 0.0
    recipe: ScoreRecipe = field(default_factory=ScoreRecipe)

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """Figures and nulls in the order of the table; JSON is sorted by name."""
        order = read_table(folder / TABLE, ("figure",))["figure"]
        return {
            "metrics": {name: Figure(**plain["metrics"][name]) for name in order},
            "nulls": {name: Null(**null) for name, null in plain["nulls"].items()},
            "recipe": recipes.from_dict(ScoreRecipe, plain["recipe"]),
        }

    def __getitem__(self, name: str) -> Figure:
        """A figure by its name."""
        return self.metrics[choose(name, self.metrics, "figure")]

    @property
    def table(self) -> pd.DataFrame:
        """A line for each figure."""
        import pandas as pd

        return pd.DataFrame([{"figure": name, **_two(figure.to_dict())} for name, figure in self.metrics.items()])

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds, with ten digits."""
        return rounded(super().figures())

    def parts(self) -> list[Listing | Lines]:
        """Figure, value, interval, value by chance; rows and width."""
        lines = [[name, *_cells(figure)] for name, figure in self.metrics.items()] + self._cluster_lines()
        rows = ", ".join(f"{name} {count}" for name, count in self.rows.items())
        last = [("rows", rows), ("width", self.width), *out_line(self.folder)]
        parts: list[Listing | Lines] = [Listing(["figure", "value", "95 % interval", "by chance"], lines)]
        if self.clusters is not None and "lost" in self.clusters:
            parts.append(lost_listing(self.clusters["lost"]))
        return [*parts, last]

    def write_files(self, folder: Path) -> None:
        """Write the table of the figures and the k-NN grid."""
        import pandas as pd

        write_table(folder / TABLE, self.table)
        write_table(folder / GRID, pd.DataFrame([dict(line) for line in self.grid]))

    def _cluster_lines(self) -> list[list[str]]:
        if self.clusters is None:
            return []
        lines = []
        for part, figures in {"": self.clusters, **self.clusters["by_split"]}.items():
            for way in ("majority", "matched"):
                one = figures[way]
                null = f"{one['null']:.4f} shuffled labels, p = {one['p_value']:.3g}"
                where = f"clusters, {way}{part and f', {part}'}"
                lines.append([where, f"{one['accuracy']:.4f}", _spell(one["interval"]), null])
        chance = ("adjusted_mutual_information", "adjusted_rand")
        lines += [[f"clusters, {name}", f"{self.clusters[name]:.4f}", "", "0 (by chance)"] for name in chance]
        shape = self.clusters["silhouette"]
        return lines + ([] if shape is None else [["clusters, silhouette", *_cells(Figure(**shape))]])


def _two(figure: dict[str, Any]) -> dict[str, Any]:
    """An interval as two columns."""
    low, high = figure.pop("interval") or (None, None)
    return figure | {"low": low, "high": high}


@checks_arguments
def score(
    points: Points | str | Path,
    *,
    clusters: Any = None,
    recipe: ScoreRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    executor: str = "here",
    memory: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Unpack[ScoreOptions],
) -> Separation:
    """Say how far the labels of points stand apart, each figure beside its value by chance.

    Args:
        points: vectors with a column of labels, and a column `split` if there are parts; or their folder.
        clusters: what a clustering found for the same rows, to be compared with the labels: `Clusters` or their folder,
            a table (a frame or a file) with the columns `id` and `cluster`, or cluster numbers in the order of the
            points.
        recipe: all options at once: which label and block, which k, how many shuffles.
        out: folder to write; nothing is written without it.
        overwrite: replace an earlier score there.
        executor, memory, device: as of `cluster`; of points that need more memory, a sample is scored, and a warning
            says so. Nearest centroid and linear discriminant (`centroid_test`, `lda_test`, ...) are of all rows, from
            sums over blocks.
        progress: is called with (stage, done, total, note).
        options: single options of `ScoreRecipe`, by name.

    Raises:
        DataError: a vector that is not finite, one class only, a column of row numbers among the vectors, fewer rows
            than neighbors, clusters of other rows.
        OptionError: an unknown option, no such block or column.
        StoreError: `out` is taken.

    >>> rng = np.random.default_rng(0)
    >>> points = Points.of(rng.normal(size=(60, 4)) + 3 * np.eye(4)[np.arange(60) % 2], {"label": ["a", "b"] * 30})
    >>> result = score(points)
    >>> result["knn_loo"].value > 0.9, result["knn_loo"].baseline, result.nulls["knn_loo"].p_value
    (True, 0.5, 0.001)
    """
    progress = progress or silent
    wanted = recipes.replace(recipe or ScoreRecipe(), **options)
    points, scale = opened(points, Points), ScaleOptions.of(executor, memory, out, progress, device)
    clusters, path = (read_clusters(clusters), clusters) if isinstance(clusters, str | Path) else (clusters, None)
    with scale.until_written():
        return Separation.produce(
            lambda: _score(points, clusters, wanted, scale), wanted, out, overwrite=overwrite, progress=progress,
            inputs=(*points.folders, path or getattr(clusters, "folder", None)), stage=("score", len(points)),
        )  # fmt: skip


def _score(points: Points, clusters: Any, wanted: ScoreRecipe, scale: ScaleOptions) -> Separation:
    begun = monotonic()
    one, drawn = points if wanted.block is None else points.pick(wanted.block), list[str]()
    whole = one if scale.in_blocks(len(one), one.width) else None
    if whole is not None:
        if clusters is not None and not isinstance(clusters, Clusters) and not hasattr(clusters, "columns"):
            clusters = one.rows.frame([ID]).assign(cluster=cluster_numbers(clusters, one))
        one, drawn = sample_to_score(one, scale, wanted.seed)
    _, odd = check_features(one.values)
    split = split_points(one, wanted)
    measure = class_figures if split.names else number_figures
    compared = _compare(one, split, clusters, wanted)  # first: clusters that do not fit cost no work
    train, ks = split.known, sorted(k for k in {*wanted.grid, wanted.k} if k < len(split.known.targets))
    around = {metric: find_neighbors(train, split.others, ks[-1], metric) for metric in METRICS}
    metrics, nulls = measure(split, around[wanted.metric], wanted)
    if whole is not None and split.names:
        of_all, more = linear_figures(whole, split, wanted, scale)
        metrics, nulls = metrics | of_all, nulls | more
        drawn += [f"{', '.join(of_all)}: of all {len(whole)} rows"] if of_all else []
    return Separation(
        block=one.name,
        unit=split.task.unit,
        rows={name: len(part.targets) for name, part in split.parts.items()},
        width=one.width,
        classes=split.names,
        metrics=metrics,
        grid=tuple(_grid(split, around, ks)),
        nulls=nulls,
        clusters=compared,
        warnings=(*drawn, *odd, *split.warnings, *_findings(metrics, nulls)),
        seconds=round(monotonic() - begun, 2),
        recipe=wanted,
    )


def _grid(split: Split, around: Mapping[str, Around], ks: Sequence[int]) -> list[dict[str, Any]]:
    """k-NN for each metric and k: one search per metric and part, then a vote per k."""
    task, lines = split.task, []
    for metric, parts in around.items():
        for k in ks:
            line: dict[str, Any] = {"metric": metric, "k": k}
            for name, (part, near) in parts.items():
                figure = task.figure(part.targets, task.knn(near, split.known.targets, k))
                line |= {name: figure.value, f"{name}_interval": list(figure.interval or ())}
            lines.append(line)
    return lines


def _compare(points: Points, split: Split, clusters: Any, recipe: ScoreRecipe) -> dict[str, Any] | None:
    """Agreement of clusters with the classes, and their own silhouette (noise left out)."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    if clusters is None:
        return None
    if not split.names:
        hint = "name a --label of classes"
        raise DataError("clusters are compared with classes", got="numbers to predict", hint=hint)
    numbers, gold = cluster_numbers(clusters, points), split.targets
    inside = numbers >= 0
    if not inside.any():
        raise DataError("every row is noise", got="no cluster", hint="cluster with a larger --eps")
    numbers[inside], names = encode(numbers[inside])
    noise = int((~inside).sum())
    part = np.asarray(points.column("split")) if "split" in points.columns else None
    named = assign_by_split(numbers, gold, split.names, part, permutations=recipe.permutations, seed=recipe.seed)
    decided = read_decision(points.rows, recipe.label, split.names)
    if decided is not None:
        named |= {"lost": accuracy_lost(named, numbers, gold, decided, part, seed=recipe.seed)}
    shape = None
    if 2 <= len(names) < inside.sum():
        one = silhouette(points.values[inside], numbers[inside], len(names), rows=recipe.sample_rows, seed=recipe.seed)
        nothing = f"rows between two clusters ({one.rows} rows, {noise} of noise left out)"
        shape = Figure(one.value, one.rows, one.interval, 0.0, nothing).to_dict()
    return named | {
        "clusters": len(names),
        "noise": noise,
        "adjusted_mutual_information": float(adjusted_mutual_info_score(gold, numbers)),
        "adjusted_rand": float(adjusted_rand_score(gold, numbers)),
        "silhouette": shape,
    }


def read_clusters(path: str | Path, *, verify: bool = True) -> Clusters | pd.DataFrame:
    """Clusters of a folder, or a table file with the columns `id` and `cluster`.

    Raises:
        StoreError: neither is there.
    """
    if Path(path).is_dir():
        return Clusters.open(path, verify=verify)
    if not Path(path).is_file():
        raise StoreError(f"{path} holds no clusters", expected="clusters.parquet", hint="run separatrix cluster first")
    return read_table(Path(path), (ID, "cluster"))


def cluster_numbers(clusters: Any, points: Points) -> np.ndarray:
    """Cluster numbers in the order of the points, (rows,); a frame is joined by `id` (heads: layer and head too).

    Raises:
        DataError: a column is missing, ids differ, or another number of rows.

    >>> import pandas as pd
    >>> points = Points.of(np.eye(2), {"id": ["p", "q"]})
    >>> cluster_numbers(pd.DataFrame({"id": ["q", "p"], "cluster": [7, 3]}), points).tolist()
    [3, 7]
    """
    if isinstance(clusters, Clusters):
        return _by_name(clusters.row_table, points)
    if hasattr(clusters, "columns"):
        return _by_name(FrameTable(clusters), points)
    numbers = np.asarray(clusters)
    if numbers.shape != (len(points),):
        raise DataError("clusters do not fit the points", got=numbers.shape, expected=f"({len(points)},)")
    return numbers.astype(np.int64)


def _by_name(table: RowTable, points: Points) -> np.ndarray:
    """The cluster of each point by its name; of the table, lines with the ids of the points alone are held."""
    import pandas as pd

    key = [name for name in KEY if name in points.columns]
    missing = [name for name in (*key, CLUSTER) if name not in table]
    if missing:
        raise DataError(f"clusters have no column {missing[0]!r}", got=", ".join(map(str, table.columns)))
    names = points.rows.frame(key)
    wanted = names[ID].unique()
    lines = pd.concat([lines[lines[ID].isin(wanted)] for lines in table.batches(_LINES, (*key, CLUSTER))])
    numbers, lines = lines[CLUSTER].to_numpy(), lines[key].reset_index(drop=True)
    if names.equals(lines):  # also where tokens of a text share a name
        return numbers.astype(np.int64)
    if (twice := np.flatnonzero(lines.duplicated())).size:
        raise DataError("a row stands twice among the clusters", got=_named(lines, twice[0]))
    places = pd.MultiIndex.from_frame(lines).get_indexer(pd.MultiIndex.from_frame(names))
    lost = np.flatnonzero(places < 0)
    if len(lost):
        raise DataError(
            f"clusters of other rows: {len(lost)} of {len(names)} points have none",
            got=f"no cluster for {_named(names, lost[0])}",
            hint="cluster these very points",
        )
    return numbers[places].astype(np.int64)


def _named(rows: pd.DataFrame, index: int) -> str:
    return ", ".join(f"{name} {rows[name].iloc[[index]].tolist()[0]!r}" for name in rows)


def _findings(metrics: Mapping[str, Figure], nulls: Mapping[str, Null]) -> list[str]:
    """Reasons to doubt the figures."""
    warnings = []
    null = nulls["knn_loo"]
    if null.p_value > 0.05:
        warnings.append(
            f"nothing separates: leave-one-out k-NN {null.observed:.4f} is within reach of shuffled labels "
            f"(p = {null.p_value:.3g})"
        )
    for name, figure in metrics.items():
        if name.startswith("knn_") and figure.interval and figure.interval[0] <= (baseline := figure.baseline or 0.0):
            span = _spell(figure.interval)
            warnings.append(f"{name} {figure.value:.4f} ({span}) is not above its baseline {baseline:.4f}")
    return warnings


def _cells(figure: Figure) -> list[str]:
    nothing = "" if figure.baseline is None else f"{figure.baseline:.4f} {figure.baseline_is}"
    if figure.p_value is not None:
        nothing += f", p = {figure.p_value:.3g} ({figure.permutations} shuffles)"
    return [f"{figure.value:.4f}", "" if figure.interval is None else _spell(figure.interval), nothing]


def _spell(interval: Sequence[float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"
