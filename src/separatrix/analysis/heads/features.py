"""Second stage: each feature brought to a few comparable columns, and the features compared.

What a feature is worth: k-means with as many clusters as the model has heads, and the adjusted mutual information of
those clusters with the identity (layer, head); 0 is chance, 1 is every head told apart. What it costs: seconds a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.heads.extract import RESULT
from separatrix.geometry.cluster import kmeans
from separatrix.geometry.resample import mean_interval
from separatrix.learn.twins import train_twins, twin_vectors
from separatrix.points import Points
from separatrix.progress import Progress
from separatrix.recipe.heads import HeadsRecipe
from separatrix.store.blocks import create_block, open_block
from separatrix.store.files import read_json, write_json

FIT_ROWS = 20_000  # most rows that a reduction is fitted on
COMPARE_ROWS = 8_000  # most rows of the comparison
SEEDS = 3  # of its k-means
PIECE = 16_384  # rows transformed at a time


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
        values = np.asarray(x, dtype=np.float64)
        values = np.sqrt(np.maximum(values, 0)) if self.root else values
        return ((values - self.mean) / self.scale @ self.axes).astype(np.float32)


# Numbers with units of their own are standardised; the cells of a picture keep their weight against each other.
STANDARDISED = ("descriptors", "singular")
ROOT = ("grid",)  # the Hellinger geometry of shares


def fit_reduction(x: NDArray[np.floating], name: str, components: int) -> Reduction:
    """Fit the reduction of one feature; constant columns are dropped by a zero axis."""
    from sklearn.decomposition import PCA

    root = name in ROOT
    values = np.sqrt(np.maximum(np.asarray(x, np.float64), 0)) if root else np.asarray(x, np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    varies = deviation > 1e-7 * np.maximum(np.abs(values).max(axis=0), 1e-12)
    scale = np.where(varies & (name in STANDARDISED), deviation, 1.0)
    ready = (values - mean) / scale * varies
    count = min(components, int(varies.sum()), len(values))
    fitted = PCA(count, svd_solver="full" if ready.shape[1] <= 512 else "randomized", random_state=0).fit(ready)
    axes = fitted.components_.T * varies[:, None]
    return Reduction(mean, scale, axes, fitted.explained_variance_ratio_, root)


def features_stage(folder: Path, rows: Points, recipe: HeadsRecipe, progress: Progress) -> dict[str, Any]:
    """Reduce every feature to `components` columns and compare them; what was found, as plain data."""
    if (folder / RESULT).is_file():
        return read_json(folder / RESULT, dict)
    table, shares, losses = [], {}, {}
    for number, name in enumerate(recipe.maps.features):
        progress("features", number, len(recipe.maps.features), name)
        begun = monotonic()
        if name == "twins":
            losses = {"losses": list(_learn_twins(folder, rows, recipe))}
            source: Any = open_block(folder / "twins_raw.npy")
        else:
            source = rows.blocks[name]
        learnt = monotonic() - begun if name == "twins" else 0.0
        reduction = fit_reduction(source[sample_rows(rows, FIT_ROWS)], name, recipe.clusters.components)
        _write_reduced(folder / f"{name}.npy", source, reduction)
        shares[name] = [round(float(share), 6) for share in reduction.shares]
        table.append(_judge(folder, name, rows, learnt))
    found = {"table": table, "variance": shares, "twins": losses, "compared_rows": len(sample_rows(rows, COMPARE_ROWS))}
    write_json(folder / RESULT, found)
    return found


def sample_rows(rows: Points, most: int) -> NDArray[np.int64]:
    """Rows of evenly spaced whole windows, at most so many (but one window at least)."""
    windows = rows.column("window")
    count = int(windows[-1]) + 1
    maps = len(rows) // count
    kept = min(count, max(1, most // maps))
    chosen = np.unique(np.linspace(0, count - 1, kept).round().astype(np.int64))
    return (chosen[:, None] * maps + np.arange(maps)).ravel()


def head_codes(rows: Points) -> NDArray[np.int64]:
    """The number of the head of each row, over all layers."""
    heads = int(rows.column("head").max()) + 1
    return rows.column("layer").astype(np.int64) * heads + rows.column("head").astype(np.int64)


def _write_reduced(path: Path, source: Any, reduction: Reduction) -> None:
    block = create_block(path, source.shape[0], reduction.axes.shape[1], "float32")
    for start in range(0, source.shape[0], PIECE):
        block[start : start + PIECE] = reduction.apply(source[start : start + PIECE])
    block.flush()


def _learn_twins(folder: Path, rows: Points, recipe: HeadsRecipe) -> tuple[float, ...]:
    """Train the small network on the windows that no comparison looks at, and write every row's vector."""
    grids, codes = rows.blocks["grid"], head_codes(rows)
    # Windows of the comparison stay unseen where there are enough others.
    unseen = np.setdiff1d(np.arange(len(rows)), sample_rows(rows, min(COMPARE_ROWS, len(rows) // 2)))
    train = unseen[: FIT_ROWS // (int(codes.max()) + 1) * (int(codes.max()) + 1)]
    maps = recipe.maps
    twins = train_twins(
        np.asarray(grids[train], np.float32), codes[train],
        views=maps.twins_views, epochs=maps.twins_epochs, seed=recipe.reading.seed,
    )  # fmt: skip
    block = create_block(folder / "twins_raw.npy", len(rows), 64, "float32")
    for start in range(0, len(rows), PIECE):
        block[start : start + PIECE] = twin_vectors(twins, np.asarray(grids[start : start + PIECE], np.float32))
    block.flush()
    return twins.losses


def _judge(folder: Path, name: str, rows: Points, learnt: float) -> dict[str, Any]:
    """How well heads are told apart by a feature, and what it costs."""
    chosen = sample_rows(rows, min(COMPARE_ROWS, max(len(rows) // 2, 1)))
    values = np.asarray(open_block(folder / f"{name}.npy")[chosen], np.float32)
    codes, layers = head_codes(rows)[chosen], rows.column("layer")[chosen]
    scores = identity_scores(values, codes, layers)
    spent: Mapping[str, float] = rows.origin.get("seconds_by_part", {})
    base = spent.get("grid" if name == "twins" else name, 0.0)
    return {
        "feature": name,
        "width": int(rows.blocks[name].shape[1]) if name in rows.blocks else 64,
        "seconds_per_map": (base + learnt) / len(rows),
        **scores,
    }


def identity_scores(
    values: NDArray[np.float32], codes: NDArray[np.int64], layers: NDArray[np.integer]
) -> dict[str, Any]:
    """Adjusted mutual information of k-means clusters (k = number of heads) with head and layer, over three seeds."""
    from sklearn.metrics import adjusted_mutual_info_score as ami

    k = min(len(np.unique(codes)), len(np.unique(values, axis=0)))
    runs = [kmeans(values, k, starts=1, seed=seed).labels for seed in range(SEEDS)]
    by_head = mean_interval([float(ami(codes, labels)) for labels in runs])
    shuffled = float(ami(np.random.default_rng(0).permutation(codes), runs[0]))
    return {
        "ami_head": by_head.mean,
        "ami_interval": [by_head.low, by_head.high],
        "ami_layer": float(np.mean([ami(layers, labels) for labels in runs])),
        "ami_shuffled": shuffled,
        "k": k,
        "rows": len(values),
    }
