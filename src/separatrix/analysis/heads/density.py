"""DBSCAN and HDBSCAN of the head atlas over their grids: every cell is kept, and one is chosen by a stated criterion.

The knee of the k-distance curve often gives one cluster that holds nearly everything, of which nothing can be said. So
a cell is chosen among the sound ones: two clusters or more, the largest with less than 95 % of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.geometry.choose import knee, size_table
from separatrix.geometry.cluster import Clustering, dbscan_clusters, hdbscan
from separatrix.geometry.density import OutOfTimeError
from separatrix.recipe.heads import HeadClusterRecipe

CURVE_ROWS = 3000  # rows whose k-distance is measured
EPS_FACTORS = (0.7, 0.85, 1.0, 1.15, 1.3)  # of the knee
CELL_SECONDS = 60.0  # of each cell of the grid
TREE_ROWS = 2000  # rows behind the table of HDBSCAN
USUAL_SIZE = 60  # smallest cluster of HDBSCAN where no size gives two clusters
DOMINANT = 0.95  # share of the rows from which one cluster leaves nothing to be said
UNFINISHED = -2  # label of all rows of a cell that ran out of time
SOUND = "two clusters or more, the largest below 95 % of the rows"

Line = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Density:
    """A clustering, the table it was chosen from, and why."""

    made: Clustering
    size: float  # eps, or min_cluster_size
    min_samples: int
    criterion: str
    grid: list[Line]
    labels: NDArray[np.int32]  # (cells, rows): those of every cell; none for HDBSCAN

    @property
    def found(self) -> dict[str, Any]:
        """What goes beside its figures."""
        return {"min_samples": self.min_samples, "criterion": self.criterion, "grid": self.grid}


def sound(line: Mapping[str, Any]) -> bool:
    """Whether a cell's clusters tell rows apart.

    >>> sound({"clusters": 2, "largest_share": 0.98}), sound({"clusters": 3, "largest_share": 0.6})
    (False, True)
    """
    return line["clusters"] is not None and line["clusters"] >= 2 and line["largest_share"] < DOMINANT


def radius(x: NDArray[np.float32], recipe: HeadClusterRecipe) -> tuple[float, list[list[float]]]:
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


def dbscan_grid(x: NDArray[np.float32], eps: float, recipe: HeadClusterRecipe) -> Density:
    """DBSCAN over radii around the knee and two densities, and the sound cell nearest to the knee.

    Args:
        x: (rows, width).
        eps: the knee, or what the recipe gives; a radius that is given is taken whatever comes of it.
        recipe: how.
    """
    pairs = [(factor, samples) for samples in (recipe.min_samples, 2 * recipe.min_samples) for factor in EPS_FACTORS]
    made = [_dbscan_cell(x, eps * factor, samples) for factor, samples in pairs]
    lines = [_line(eps, pair, cell, len(x)) for pair, cell in zip(pairs, made, strict=True)]
    fitting = [place for place, line in enumerate(lines) if sound(line)]
    middle = pairs.index((1.0, recipe.min_samples))
    if recipe.eps is not None:
        place, criterion = middle, "given"
    elif fitting:
        # Of two radii that are as near, the one with the density that was asked for.
        place = min(fitting, key=lambda each: (round(abs(np.log(pairs[each][0])), 6), pairs[each][1]))
        criterion = f"the cell nearest to the knee of the k-distance curve among those with {SOUND}"
    else:
        place, criterion = middle, f"knee of the k-distance curve; no cell of the grid has {SOUND}"
    taken = made[place]
    if taken is None:
        taken = dbscan_clusters(x, eps, min_samples=recipe.min_samples)
    labels = [np.full(len(x), UNFINISHED) if cell is None else cell.labels for cell in made]
    lines[place]["chosen"] = True
    return Density(taken, eps * pairs[place][0], pairs[place][1], criterion, lines, np.array(labels, np.int32))


def _dbscan_cell(x: NDArray[np.float32], eps: float, samples: int) -> Clustering | None:
    """None if it ran out of time."""
    try:
        return dbscan_clusters(x, eps, min_samples=samples, deadline=monotonic() + CELL_SECONDS)
    except OutOfTimeError:
        return None


def _line(eps: float, pair: tuple[float, int], made: Clustering | None, rows: int) -> Line:
    line: Line = {"eps": eps * pair[0], "of_knee": pair[0], "min_samples": pair[1], "chosen": False}
    if made is None:
        nothing = dict.fromkeys(("clusters", "noise", "noise_share", "largest", "largest_share"))
        return line | nothing | {"seconds": CELL_SECONDS}
    largest = int(made.sizes.max()) if made.clusters else 0
    shares = {"noise_share": made.noise / rows, "largest_share": largest / rows}
    return line | {
        "clusters": made.clusters, "noise": made.noise, "largest": largest, **shares, "seconds": made.seconds,
    }  # fmt: skip


def hdbscan_grid(x: NDArray[np.float32], recipe: HeadClusterRecipe, seed: int) -> Density:
    """HDBSCAN over min_cluster_size x min_samples on some rows, and all rows at the most stable sound cell.

    Args:
        x: (rows, width).
        recipe: how; a `min_cluster_size` that is given is taken whatever comes of it.
        seed: of the rows drawn and of the subsamples behind a stability.
    """
    samples = min(recipe.min_samples, len(x))
    counts = sorted({max(1, samples // 2), samples, min(2 * samples, len(x))})
    lines: list[Line] = []
    for count in counts:
        begun = monotonic()
        made = size_table(x, count, sample_rows=TREE_ROWS, seed=seed)
        each = round((monotonic() - begun) / max(len(made), 1), 3)
        for line in made:
            share = line["largest"] / line["rows"]
            lines.append({"min_samples": count, "chosen": False, **line, "largest_share": share, "seconds": each})
    size, samples, criterion = _chosen_size(lines, recipe, samples, len(x))
    whole = hdbscan(x, size, min_samples=samples)
    return Density(whole, size, samples, criterion, lines, np.empty((0, len(x)), np.int32))


def _chosen_size(
    lines: Sequence[Line], recipe: HeadClusterRecipe, samples: int, rows: int
) -> tuple[int, int, str]:  # min_cluster_size, min_samples, why
    largest = max(2, rows // 10)
    if recipe.min_cluster_size is not None:
        return min(recipe.min_cluster_size, largest), samples, "given"
    fitting = [line for line in lines if sound(line)]
    if not fitting:
        return min(USUAL_SIZE, largest), samples, f"{USUAL_SIZE}; no cell of the grid has {SOUND}"
    best = max(fitting, key=lambda line: line["stability"])
    best["chosen"] = True
    sentence = f"largest stability under resampling (noise is a group of its own) of the cells with {SOUND}"
    return max(2, best["min_cluster_size"]), best["min_samples"], sentence
