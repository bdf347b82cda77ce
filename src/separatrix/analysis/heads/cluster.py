"""Third stage: rows into clusters by k-means, DBSCAN and HDBSCAN, and the largest cluster clustered again.

Every row keeps its window, layer and head through all of it: nothing is read off row numbers, which begin anew
with every subset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.density import dbscan_grid, hdbscan_grid, radius
from separatrix.analysis.heads.extract import RESULT
from separatrix.analysis.heads.features import sample_rows
from separatrix.analysis.heads.samples import sample_contexts
from separatrix.geometry.choose import choose_k
from separatrix.geometry.cluster import Clustering, dbscan_clusters, kmeans
from separatrix.geometry.resample import bootstrap_mean
from separatrix.points import Points
from separatrix.progress import Progress
from separatrix.recipe.heads import HeadClusterRecipe, HeadsRecipe
from separatrix.store.files import read_json, write_json, write_tensors
from separatrix.store.table import write_table

CLUSTERS, GRID = "clusters.parquet", "grid.safetensors"
CHOICE_ROWS = 2500  # rows that the choice of k looks at
MINIBATCH_ROWS = 300_000
NOISE = -1
LEFT_OUT = -2  # rows that dbscan and hdbscan were not given


@dataclass(frozen=True)
class Grouped:
    """The row table with its cluster columns, and the figures behind them."""

    table: pd.DataFrame  # cluster, dbscan, hdbscan, child; -1 noise, -2 not given
    found: dict[str, Any]
    grid: NDArray[np.int32]  # (cells, rows given): labels of every cell of DBSCAN's grid; -2 if it ran out of time


def cluster_stage(
    folder: Path, rows: Points, values: NDArray[np.floating], recipe: HeadsRecipe, progress: Progress
) -> dict[str, Any]:
    """Cluster one feature; writes the row table with its clusters, and gives the figures as plain data.

    Raises:
        DataError: all rows are the same, or too few.
    """
    if (folder / RESULT).is_file():
        return read_json(folder / RESULT, dict)
    grouped = group_rows(rows, values, recipe.clusters, recipe.reading.seed, progress)
    write_table(folder / CLUSTERS, grouped.table)
    write_tensors(folder / GRID, {"dbscan": grouped.grid})
    write_json(folder / RESULT, grouped.found)
    return grouped.found


def group_rows(
    rows: Points, values: NDArray[np.floating], recipe: HeadClusterRecipe, seed: int, progress: Progress
) -> Grouped:
    """All three methods and the second round.

    Args:
        rows: the row table with `window`, `layer`, `head`; every window has all its heads.
        values: (rows, components).
        recipe: how.
        seed: of every random choice.
        progress: told how far it is.
    """
    x = np.asarray(values, dtype=np.float32)
    chosen = sample_contexts(rows, recipe.density_rows, seed)
    progress("clusters", 0, 4, "k-means")
    partition, k_choice = _partition(x, rows, recipe, seed)
    progress("clusters", 1, 4, "dbscan")
    knee, curve = radius(x[chosen], recipe)
    by_density = dbscan_grid(x[chosen], knee, recipe)
    progress("clusters", 2, 4, "hdbscan")
    by_tree = hdbscan_grid(x[chosen], recipe, seed)
    progress("clusters", 3, 4, "again")
    child, again = _again(x[chosen], by_density.made.labels, recipe)
    columns = {"dbscan": by_density.made.labels, "hdbscan": by_tree.made.labels, "child": child}
    table = _labelled(rows.table.assign(kmeans=partition.labels), chosen, columns)
    table["cluster"] = table[recipe.method]
    found = {
        "feature": recipe.feature,
        "method": recipe.method,
        "kmeans": _figures(partition) | {"k": len(partition.sizes), "choice": k_choice},
        "dbscan": _figures(by_density.made) | {"eps": by_density.size, "knee": knee} | by_density.found,
        "hdbscan": _figures(by_tree.made) | {"min_cluster_size": by_tree.size} | by_tree.found,
        "curve": curve,
        "again": again,
        "density_rows": len(chosen),
        "density_contexts": int(rows.table["context"].iloc[chosen].nunique()),
        "rows": len(rows),
        "noise_by_layer": {name: noise_by_layer(table, name, seed) for name in ("dbscan", "hdbscan")},
    }
    return Grouped(table, found, by_density.labels)


def _labelled(table: pd.DataFrame, chosen: NDArray[np.int64], columns: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    """The table with labels of some of its rows; the others get -2."""
    for name, labels in columns.items():
        table[name] = np.int64(LEFT_OUT)
        table.loc[chosen, name] = labels
    return table


def _partition(
    x: NDArray[np.float32], rows: Points, recipe: HeadClusterRecipe, seed: int
) -> tuple[Clustering, dict[str, Any]]:
    """k-means over all rows, and how its k came about."""
    if recipe.k is not None:
        choice: dict[str, Any] = {"criterion": "given", "table": []}
        k = recipe.k
    else:
        made = choose_k(x[sample_rows(rows, 4 * CHOICE_ROWS)], recipe.k_grid, sample_rows=CHOICE_ROWS, seed=seed)
        k = int(made.value)
        warnings = [*made.warnings, *_at_the_edge(k, [int(line["k"]) for line in made.table])]
        choice = {"criterion": made.criterion, "table": list(made.table), "warnings": warnings}
    return kmeans(x, k, starts=3, minibatch=len(x) > MINIBATCH_ROWS, seed=seed), choice


def _at_the_edge(k: int, tried: Sequence[int]) -> list[str]:
    """A sentence where the choice may only be the end of what was tried.

    >>> _at_the_edge(3, [2, 3, 4]), len(_at_the_edge(2, [2, 3, 4]))
    ([], 1)
    """
    if k not in (min(tried), max(tried)):
        return []
    end, beyond = ("smallest", "fewer") if k == min(tried) else ("largest", "more")
    note = "two are the fewest there can be" if k == 2 else f"{beyond} might do better"
    return [f"k = {k} is the {end} of the numbers tried ({min(tried)} to {max(tried)}): {note}"]


def _again(
    x: NDArray[np.float32], labels: NDArray[np.int64], recipe: HeadClusterRecipe
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The largest cluster clustered once more, at the knee of its own curve; the other rows are left out."""
    child = np.full(len(x), LEFT_OUT, dtype=np.int64)
    inside = labels[labels >= 0]
    if not len(inside):
        return child, {"rows": 0, "clusters": 0, "noise": 0}
    parent = int(np.bincount(inside).argmax())
    places = np.flatnonzero(labels == parent)
    if len(places) <= recipe.min_samples:
        return child, {"rows": len(places), "clusters": 0, "noise": 0, "parent": parent}
    # Half the knee: at the knee of its own curve most of a dense cluster stays together.
    eps = radius(x[places], recipe)[0] / (2 if recipe.eps is None else 1.5)
    made = dbscan_clusters(x[places], eps, min_samples=recipe.min_samples)
    child[places] = made.labels
    return child, {"parent": parent, "rows": len(places), "eps": eps, **_figures(made)}


def _figures(made: Clustering) -> dict[str, Any]:
    return {
        "clusters": made.clusters,
        "noise": made.noise,
        "rows_used": len(made.labels),
        "sizes": [int(size) for size in made.sizes],
        "inertia": made.inertia,
        "seconds": made.seconds,
    }


def noise_by_layer(table: pd.DataFrame, name: str, seed: int) -> list[dict[str, Any]]:
    """Share of noise in each layer: mean and interval over contexts (windows of one context are no free draws)."""
    given = table[table[name] > LEFT_OUT]
    lines = []
    for layer, part in given.groupby("layer"):
        shares = (part[name] == NOISE).groupby(part["context"]).mean().to_numpy(dtype=float)
        line: dict[str, Any] = {
            "layer": int(str(layer)),
            "noise": float(shares.mean()),
            "rows": len(part),
        }
        if len(shares) > 1:
            line["low"], line["high"] = bootstrap_mean(shares, seed=seed)
        lines.append(line)
    return lines
