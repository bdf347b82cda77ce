"""Rows of heads into clusters by `cluster`: k-means of all rows; DBSCAN, HDBSCAN, and the largest cluster once more.

The last three see at most `density_rows` rows: windows of whole contexts, since of evenly spaced windows next to none
share one (of 4,200 such pairs, 138 of 2,000 windows had 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.cluster import CHOICE, CURVE, Clusters, cluster
from separatrix.analysis.identity import CLUSTER
from separatrix.codes import encode
from separatrix.errors import DataError, OptionError
from separatrix.geometry.choose import knee
from separatrix.geometry.choose_density import k_distance
from separatrix.geometry.resample import bootstrap_mean
from separatrix.points import ID, Points
from separatrix.progress import Progress
from separatrix.recipe.heads import METHODS, HeadClusterRecipe
from separatrix.rowtable import ExtendedTable, RowTable
from separatrix.store.table import read_table

CHOICE_ROWS = {"kmeans": 2500, "hdbscan": 2000}  # rows that the choice of k or of the smallest cluster looks at
MINIBATCH_ROWS = 300_000
USUAL_SIZE = 60  # smallest cluster of HDBSCAN where no size gives two clusters
TINY = 1e-9  # radius of DBSCAN where most rows are equal
NOISE = -1
LEFT_OUT = -2  # rows that dbscan and hdbscan were not given
AGAIN, CHILD = "again", "child"  # the largest cluster of DBSCAN, clustered again; its column of the table


def cluster_heads(
    points: Points, folders: Mapping[str, Path], recipe: HeadClusterRecipe, seed: int, progress: Progress
) -> dict[str, Clusters]:
    """Clusters by method, each a folder that is read where it is there; without `again` if there is nothing to divide.

    Args:
        points: one block, with the columns `window`, `context`, `layer`, `head`; every window has all its heads.
        folders: of the artefacts.

    Raises:
        DataError: all rows are the same, or too few.
    """

    def run(name: str, rows: Points, **options: Any) -> Clusters:
        if folders[name].is_dir():
            return Clusters.open(folders[name])
        method = "dbscan" if name == AGAIN else name
        return cluster(rows, method, permutations=recipe.permutations, seed=seed, out=folders[name], **options)

    progress("clusters", 0, 4, "k-means")
    fixed = {"k": recipe.k} if recipe.k else {"choose": True, "k_grid": recipe.k_grid}
    rows = {"starts": 3, "minibatch": len(points) > MINIBATCH_ROWS, "sample_rows": CHOICE_ROWS["kmeans"]}
    clusters = {"kmeans": run("kmeans", points, **fixed, **rows)}
    some = points.take(whole_contexts(points, recipe.density_rows, seed))
    samples = {"min_samples": min(recipe.min_samples, len(some))}
    progress("clusters", 1, 4, "dbscan")
    radius = {"choose": True} if recipe.eps is None else {"eps": recipe.eps}
    try:
        clusters["dbscan"] = run("dbscan", some, **radius, **samples)
    except DataError:
        clusters["dbscan"] = run("dbscan", some, eps=TINY, **samples)
    progress("clusters", 2, 4, "hdbscan")
    most, smallest = max(2, len(some) // 10), recipe.min_cluster_size
    size = {"choose": True} if smallest is None else {"min_cluster_size": min(smallest, most)}
    try:
        clusters["hdbscan"] = run("hdbscan", some, sample_rows=CHOICE_ROWS["hdbscan"], **size, **samples)
    except DataError:
        clusters["hdbscan"] = run("hdbscan", some, min_cluster_size=min(USUAL_SIZE, most), **samples)
    progress("clusters", 3, 4, "again")
    sizes = clusters["dbscan"].sizes
    if max(sizes, default=0) > recipe.min_samples:
        largest = int(np.argmax(sizes))
        with suppress(DataError, OptionError):  # its rows are equal
            eps = recipe.eps / 1.5 if recipe.eps else _inner_radius(some, clusters["dbscan"], largest, **samples)
            clusters[AGAIN] = run(AGAIN, some, within=clusters["dbscan"], of=largest, eps=eps, **samples)
    return clusters


def _inner_radius(points: Points, clusters: Clusters, number: int, min_samples: int) -> float:
    """Half the knee of a cluster's own k-distance curve: at the knee most of a dense cluster stays together."""
    distances = k_distance(points.where(clusters.labels == number).values, min_samples)
    return float(distances[knee(np.arange(len(distances)), distances)[0]]) / 2


def whole_contexts(points: Points, most: int, seed: int) -> NDArray[np.int64]:
    """Rows of whole contexts, at most so many, rising; every shard of the data gives about as many.

    A context that does not fit any more is passed over; if none fits, one is begun (one window at least).
    """
    maps = len(points) // (int(points.column("window")[-1]) + 1)
    windows = points.rows.take(np.arange(0, len(points), maps)).to_pandas()
    room = max(1, most // maps)
    if room >= len(windows):
        return np.arange(len(points))
    contexts = encode(windows["context"])[0]  # (windows,)
    size, first = np.bincount(contexts), np.unique(contexts, return_index=True)[1]
    order = np.random.default_rng(seed).permutation(len(size))
    shards = windows["shard"].to_numpy()[first] if "shard" in windows.columns else np.zeros(len(size), np.int64)
    drawn = pd.DataFrame({"shard": shards[order], "size": size[order]}, index=order)
    before = drawn.groupby("shard")["size"].cumsum() - drawn["size"]  # windows of its shard that come before a context
    taken = []
    for context in before.sort_values(kind="stable").index:
        if size[context] <= room:
            taken.append(context)
            room -= int(size[context])
    chosen = np.flatnonzero(np.isin(contexts, taken)) if taken else np.flatnonzero(contexts == size.argmin())[:room]
    return (chosen[:, None] * maps + np.arange(maps)).ravel()


def cluster_table(points: Points, clusters: Mapping[str, Clusters], method: str) -> RowTable:
    """The row table with a column for each method, `child` for the second round, and `cluster`; -2 was not given."""
    ids, columns = pd.Index(points.column(ID)), dict[str, NDArray[np.int64]]()
    for name, column in (*((name, name) for name in METHODS), (AGAIN, CHILD)):
        columns[column] = np.full(len(points), LEFT_OUT, np.int64)
        if name in clusters:
            columns[column][ids.get_indexer(pd.Index(clusters[name].row_table.column(ID)))] = clusters[name].labels
    return ExtendedTable(points.rows, columns | {CLUSTER: columns[method]})


def cluster_figures(clusters: Clusters) -> dict[str, Any]:
    """Figures of one method, with the table that it was chosen from (`grid`) and the k-distance curve (`curve`)."""
    plain, folder = clusters.figures(), clusters.folder
    assert folder is not None
    recipe, choice = plain["recipe"], plain["choice"]
    option = {"kmeans": "k", "dbscan": "eps", "hdbscan": "min_cluster_size"}[clusters.method]
    value = recipe[option] if choice is None else choice["value"]
    names = ("clusters", "noise", "rows_used", "sizes", "inertia", "seconds", "warnings", "parent")
    figures = {name: plain[name] for name in names if plain.get(name) is not None}
    figures |= {option: value, "min_samples": recipe["min_samples"], "grid": [], "curve": []}
    for name, file in (("grid", CHOICE), ("curve", CURVE)):
        if (folder / file).is_file():
            table = read_table(folder / file)
            figures[name] = table.astype(object).where(table.notna(), None).to_dict("records")
    for line in figures["grid"]:
        line["chosen"] = (
            line[option] == value and line.get("min_samples", recipe["min_samples"]) == recipe["min_samples"]
        )
    return figures | {"criterion": "given" if choice is None else choice["criterion"]}


def noise_by_layer(table: RowTable, name: str, seed: int) -> list[dict[str, Any]]:
    """Share of noise in each layer: mean and interval over contexts (windows of one context are no free draws)."""
    lines, rows = [], table.coded(("layer", "context", name))
    for layer, part in rows[rows[name] > LEFT_OUT].groupby("layer"):
        shares = (part[name] == NOISE).groupby(part["context"], observed=True).mean().to_numpy(dtype=float)
        line: dict[str, Any] = {"layer": int(str(layer)), "noise": float(shares.mean()), "rows": len(part)}
        if len(shares) > 1:
            line["low"], line["high"] = bootstrap_mean(shares, seed=seed)
        lines.append(line)
    return lines
