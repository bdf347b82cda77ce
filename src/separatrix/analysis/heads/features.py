"""Each feature of the maps brought to a few comparable columns, and the features compared.

What a feature is worth: k-means with as many clusters as the model has heads, and the adjusted mutual information of
those clusters with the identity (layer, head); 0 is chance, 1 is every head told apart. What it costs: seconds a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.geometry.cluster import kmeans
from separatrix.geometry.resample import mean_interval
from separatrix.learn.twins import WIDTH, Twins, train_twins, twin_vectors
from separatrix.points import Block, Points
from separatrix.progress import Progress
from separatrix.recipe.heads import HeadsRecipe
from separatrix.store.points import open_points, write_points

FIT_ROWS = 20_000  # most rows that a reduction is fitted on
COMPARE_ROWS = 8_000  # most rows of the comparison
SEEDS = 3  # of its k-means
# Numbers with units of their own are standardised; the cells of a picture keep their weight against each other.
STANDARDISED = ("descriptors", "singular")
ROOT = ("grid",)  # the Hellinger geometry of shares


def reduce_features(
    out: Path, points: Points, recipe: HeadsRecipe, progress: Progress, clock: dict[str, float]
) -> Points:
    """Points with `components` columns of every feature, written piece by piece; what is there is read.

    Their origin holds `features` (a line for each, by which they compare), `variance` (of the components) and the
    `losses` of twins. `clock` gets the seconds a row that learning twins took.
    """
    if out.is_dir():
        return open_points(out)
    names, losses = recipe.attention.features, list[float]()
    blocks, variance, lines = dict[str, Block](), dict[str, list[float]](), list[dict[str, Any]]()
    for number, name in enumerate(names):
        progress("features", number, len(names), name)
        begun, block = monotonic(), points.blocks.get(name)
        if block is None:
            twins = _learn_twins(points, recipe)
            block, losses = _TwinBlock(points.blocks["grid"], twins), list(twins.losses)
            clock[name] = (monotonic() - begun) / len(points)
        sample = block[sample_rows(points, FIT_ROWS)]
        reduction = fit_reduction(sample, name, recipe.clusters.components)
        blocks[name] = ReducedBlock(block, reduction)
        variance[name] = [round(float(share), 6) for share in reduction.shares]
        lines.append({"feature": name, "width": int(block.shape[1])})
    progress("features", len(names), len(names), "compared")
    for line in lines:
        line |= _compared(points, blocks[line["feature"]])
    origin = {"features": lines, "variance": variance, "losses": losses}
    write_points(out, Points(blocks, points.rows, origin), dtype="float32")
    return open_points(out)


@dataclass(frozen=True)
class Reduction:
    """Standardise or centre, then turn to the principal axes: (x - mean) / scale @ axes."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    axes: NDArray[np.float64]  # (width, components)
    shares: NDArray[np.float64]  # (components,) of the variance
    root: bool  # square root first

    def apply(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Rows in the reduced space, (rows, components)."""
        return ((_rooted(x, self.root) - self.mean) / self.scale @ self.axes).astype(np.float32)


def fit_reduction(x: NDArray[np.floating], name: str, components: int) -> Reduction:
    """Fit the reduction of one feature; constant columns are dropped by a zero axis."""
    from sklearn.decomposition import PCA

    values = _rooted(x, name in ROOT)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    varies = deviation > 1e-7 * np.maximum(np.abs(values).max(axis=0), 1e-12)
    scale = np.where(varies & (name in STANDARDISED), deviation, 1.0)
    ready = (values - mean) / scale * varies
    count = min(components, int(varies.sum()), len(values))
    fitted = PCA(count, svd_solver="full" if ready.shape[1] <= 512 else "randomized", random_state=0).fit(ready)
    axes = fitted.components_.T * varies[:, None]
    return Reduction(mean, scale, axes, fitted.explained_variance_ratio_, name in ROOT)


def _rooted(x: NDArray[np.floating], root: bool) -> NDArray[np.float64]:
    values = np.asarray(x, np.float64)
    return np.sqrt(np.maximum(values, 0)) if root else values


@dataclass(frozen=True, eq=False)
class ReducedBlock:
    """A block of points in its reduced space, computed where rows are read."""

    block: Block
    reduction: Reduction

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, components)."""
        return self.block.shape[0], self.reduction.axes.shape[1]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return self.reduction.apply(self.block[rows])


@dataclass(frozen=True, eq=False)
class _TwinBlock:
    """What the learnt network gives of the grids."""

    grids: Block
    twins: Twins

    @property
    def shape(self) -> tuple[int, int]:
        return self.grids.shape[0], WIDTH

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return twin_vectors(self.twins, np.asarray(self.grids[rows], np.float32))


def sample_rows(points: Points, most: int) -> NDArray[np.int64]:
    """Rows of evenly spaced whole windows, at most so many (but one window at least)."""
    count = int(points.column("window")[-1]) + 1
    maps = len(points) // count
    chosen = np.unique(np.linspace(0, count - 1, min(count, max(1, most // maps))).round().astype(np.int64))
    return (chosen[:, None] * maps + np.arange(maps)).ravel()


def _learn_twins(points: Points, recipe: HeadsRecipe) -> Twins:
    """Train the small network on windows that no comparison looks at, where there are enough others."""
    heads = _heads(points)
    unseen = np.setdiff1d(np.arange(len(points)), sample_rows(points, min(COMPARE_ROWS, len(points) // 2)))
    count = int(heads.max()) + 1
    train = unseen[: FIT_ROWS // count * count]
    return train_twins(
        np.asarray(points.blocks["grid"][train], np.float32), heads[train], views=recipe.maps.twins_views,
        epochs=recipe.maps.twins_epochs, seed=recipe.reading.seed,
    )  # fmt: skip


def _heads(points: Points) -> NDArray[np.int64]:
    layers, heads = points.column("layer").astype(np.int64), points.column("head").astype(np.int64)
    return layers * (heads.max() + 1) + heads


def _compared(points: Points, block: Block) -> dict[str, Any]:
    """How well heads are told apart by a feature, on some of the rows."""
    rows = sample_rows(points, min(COMPARE_ROWS, max(len(points) // 2, 1)))
    return identity_scores(block[rows], _heads(points)[rows], points.column("layer")[rows])


def identity_scores(
    values: NDArray[np.float32], heads: NDArray[np.int64], layers: NDArray[np.integer]
) -> dict[str, Any]:
    """Adjusted mutual information of k-means clusters (k = number of heads) with head and layer, over three seeds."""
    from sklearn.metrics import adjusted_mutual_info_score as ami

    k = min(len(np.unique(heads)), len(np.unique(values, axis=0)))
    runs = [kmeans(values, k, starts=1, seed=seed).labels for seed in range(SEEDS)]
    by_head = mean_interval([float(ami(heads, labels)) for labels in runs])
    return {
        "ami_head": by_head.mean,
        "ami_interval": [by_head.low, by_head.high],
        "ami_layer": float(np.mean([ami(layers, labels) for labels in runs])),
        "ami_shuffled": float(ami(np.random.default_rng(0).permutation(heads), runs[0])),
        "k": k,
        "rows": len(values),
    }
