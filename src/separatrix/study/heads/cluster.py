"""Third stage: rows into clusters by k-means, DBSCAN and HDBSCAN, and the largest cluster clustered again.

Every row keeps its window, layer and head through all of it: seed 002 lost them when it clustered again, and read
layers off row numbers that had begun anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.geometry.choose import choose_k, knee
from separatrix.geometry.cluster import Clustering, dbscan_clusters, hdbscan, kmeans
from separatrix.geometry.density import OutOfTimeError
from separatrix.geometry.resample import bootstrap_mean
from separatrix.points import Points
from separatrix.recipe.heads import HeadClusterRecipe, HeadsRecipe
from separatrix.store.files import read_json, write_json
from separatrix.store.table import write_table
from separatrix.study.heads.extract import RESULT, Report
from separatrix.study.heads.features import sample_rows

CLUSTERS = "clusters.parquet"
CHOICE_ROWS = 2500  # rows that the choice of k looks at
CURVE_ROWS = 3000  # rows whose k-distance is measured
EPS_FACTORS = (0.7, 0.85, 1.0, 1.15, 1.3)  # of the knee
CELL_SECONDS = 60.0  # of each cell of the grid
MINIBATCH_ROWS = 300_000
NOISE = -1
LEFT_OUT = -2  # rows that dbscan and hdbscan were not given


@dataclass(frozen=True)
class Grouped:
    """The row table with its cluster columns, and the figures behind them."""

    table: pd.DataFrame  # cluster, dbscan, hdbscan, child; -1 noise, -2 not given
    found: dict[str, Any]


def cluster_stage(
    folder: Path, rows: Points, values: NDArray[np.floating], recipe: HeadsRecipe, report: Report
) -> dict[str, Any]:
    """Cluster one feature; writes the row table with its clusters, and gives the figures as plain data.

    Raises:
        DataError: all rows are the same, or too few.
    """
    if (folder / RESULT).is_file():
        return read_json(folder / RESULT)
    grouped = group_rows(rows, values, recipe.clusters, recipe.reading.seed, report)
    write_table(folder / CLUSTERS, grouped.table)
    write_json(folder / RESULT, grouped.found)
    return grouped.found


def group_rows(
    rows: Points, values: NDArray[np.floating], recipe: HeadClusterRecipe, seed: int, report: Report
) -> Grouped:
    """All three methods and the second round.

    Args:
        rows: the row table with `window`, `layer`, `head`; every window has all its heads.
        values: (rows, components).
        recipe: how.
        seed: of every random choice.
        report: told how far it is.
    """
    x = np.asarray(values, dtype=np.float32)
    chosen = sample_rows(rows, min(recipe.density_rows, len(rows)))
    report("clusters", 0, 4, "k-means")
    partition, k_choice = _partition(x, rows, recipe, seed)
    report("clusters", 1, 4, "dbscan")
    eps, curve = _radius(x[chosen], recipe)
    grid, by_density = _density_grid(x[chosen], eps, recipe)
    report("clusters", 2, 4, "hdbscan")
    size = min(recipe.min_cluster_size, max(2, len(chosen) // 10))
    by_tree = hdbscan(x[chosen], size, min_samples=min(recipe.min_samples, len(chosen)))
    report("clusters", 3, 4, "again")
    child, again = _again(x[chosen], by_density.labels, recipe)
    columns = {"dbscan": by_density.labels, "hdbscan": by_tree.labels, "child": child}
    table = _labelled(rows.table.assign(kmeans=partition.labels), chosen, columns)
    table["cluster"] = table[recipe.method]
    found = {
        "feature": recipe.feature,
        "method": recipe.method,
        "kmeans": _figures(partition) | {"k": len(partition.sizes), "choice": k_choice},
        "dbscan": _figures(by_density) | {"eps": eps, "min_samples": recipe.min_samples},
        "hdbscan": _figures(by_tree) | {"min_cluster_size": size, "min_samples": recipe.min_samples},
        "grid": grid,
        "curve": curve,
        "again": again,
        "density_rows": len(chosen),
        "rows": len(rows),
        "noise_by_layer": {name: noise_by_layer(table, name, seed) for name in ("dbscan", "hdbscan")},
    }
    return Grouped(table, found)


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
        choice = {"criterion": made.criterion, "table": list(made.table), "warnings": list(made.warnings)}
    return kmeans(x, k, starts=3, minibatch=len(x) > MINIBATCH_ROWS, seed=seed), choice


def _radius(x: NDArray[np.float32], recipe: HeadClusterRecipe) -> tuple[float, list[list[float]]]:
    """The radius of DBSCAN, and the curve of distances to the `min_samples`-th row that it is the knee of."""
    from sklearn.neighbors import NearestNeighbors

    asked = x[np.linspace(0, len(x) - 1, min(CURVE_ROWS, len(x))).round().astype(int)]
    near = NearestNeighbors(n_neighbors=min(recipe.min_samples, len(x))).fit(x)
    distance = np.sort(near.kneighbors(asked)[0][:, -1])
    steps = np.linspace(0, len(distance) - 1, min(200, len(distance))).round().astype(int)
    curve = [[float(place / max(len(distance) - 1, 1)), float(distance[place])] for place in steps]
    if recipe.eps is not None:
        return recipe.eps, curve
    shares, heights = zip(*curve, strict=True)
    place, _ = knee(shares, heights)
    return max(float(heights[place]), 1e-9), curve


def _density_grid(
    x: NDArray[np.float32], eps: float, recipe: HeadClusterRecipe
) -> tuple[list[dict[str, Any]], Clustering]:
    """DBSCAN over radii around the knee and two densities; every cell is kept, with its time."""
    lines, chosen = [], None
    for samples in (recipe.min_samples, 2 * recipe.min_samples):
        for factor in EPS_FACTORS:
            line: dict[str, Any] = {"eps": eps * factor, "min_samples": samples}
            begun = monotonic()
            try:
                made = dbscan_clusters(x, eps * factor, min_samples=samples, deadline=begun + CELL_SECONDS)
            except OutOfTimeError:
                lines.append(line | {"clusters": None, "noise": None, "largest": None, "seconds": CELL_SECONDS})
                continue
            largest = int(made.sizes.max()) if made.clusters else 0
            figures = {"clusters": made.clusters, "noise": made.noise, "largest": largest, "seconds": made.seconds}
            lines.append(line | figures)
            if factor == 1.0 and samples == recipe.min_samples:
                chosen = made
    return lines, chosen if chosen is not None else dbscan_clusters(x, eps, min_samples=recipe.min_samples)


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
    eps = _radius(x[places], recipe)[0] / (2 if recipe.eps is None else 1.5)
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
