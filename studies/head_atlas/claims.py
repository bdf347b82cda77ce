"""Is it real? The claims of seed 002 one by one, each with its figure, what chance gives, and a verdict.

Heads are shuffled inside each window, and whole heads change places where a claim is about layers; contexts are
shuffled between whole examples. A figure that only counts as much as its null says nothing, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from studies.head_atlas.density_claims import ON_EVERY_CELL, dominant_everywhere, even_satellites, over_the_grid
from studies.head_atlas.evidence import Claim, Counts, DensityEvidence, StoredTables, gather, judge, plain, unjudged

from separatrix.analysis.heads import HeadAtlas
from separatrix.analysis.heads.clusters import LEFT_OUT
from separatrix.codes import encode
from separatrix.geometry.associate import information
from separatrix.geometry.choose import knee
from separatrix.geometry.nulls import permutation_null
from separatrix.recipe.heads import METHODS, HeadsRecipe
from separatrix.store.points import open_points

WHOLLY = 0.95  # share of its rows with which a cluster lies in one place
FEW_CELLS = 3
CLEAR_BEND = 0.1  # how much more an elbow must bend than that of one heap (as `geometry.choose`)
LITTLE_VARIANCE = 0.3  # of three components, says the seed


def atlas_claims(atlas: HeadAtlas, recipe: HeadsRecipe) -> list[dict[str, Any]]:
    """Every claim of seed 002, measured on a finished atlas of this recipe."""
    table, feature = atlas.table, recipe.clusters.cluster_feature
    values = open_points(atlas.part("features")).pick(feature).values
    stored = StoredTables.of(atlas, feature, values[(table["dbscan"] > LEFT_OUT).to_numpy()])
    shuffles = recipe.clusters.permutations
    return seed_claims(table, values, stored, permutations=shuffles, seed=recipe.reading.seed)


def seed_claims(
    table: pd.DataFrame, values: NDArray[np.floating], stored: StoredTables | None = None, *, permutations: int = 199,
    seed: int = 0,
) -> list[dict[str, Any]]:  # fmt: skip
    """Every claim of seed 002, measured.

    Args:
        table: rows with `kmeans`, `dbscan` and `child`.
        values: (rows, components), what was clustered.
        stored: the tables of the earlier stages; claims that need them cannot be judged without.
        permutations: shuffles of each null.
        seed: of the shuffles.
    """
    given = (table["dbscan"] > LEFT_OUT).to_numpy()
    part, kept = table[given].reset_index(drop=True), stored or StoredTables()
    ranks = encode(table["example"], by_row=True)[0][given]
    labels = part["dbscan"].to_numpy(dtype=np.int64)
    asked = DensityEvidence(part, np.asarray(values[given], np.float64), ranks, labels, kept, permutations, seed)
    made = [over_the_grid(claim, asked) for claim in ON_EVERY_CELL]
    made += [claim(asked) for claim in CLAIMS]
    return [asdict(each) | {"verdict": each.verdict.value} for each in made]


def _bands(asked: DensityEvidence) -> Claim:
    layers = asked.layers

    def told(counts: Counts) -> float:
        return float(information(gather(counts, layers)[None])[0])

    counts = gather(asked.means.observed, layers)[1:]
    most = int((counts.max(axis=1) > 0.5 * counts.sum(axis=1)).sum())
    note = f"mutual information (nats) of k-means cluster and layer; {most} of {len(counts)} clusters lie mostly in one"
    if (method := _shown_method(asked.table)) != "kmeans":
        note += f". Clusters of k-means, while the atlas shows those of {method}"
    return judge("k-means clusters lie in bands of layers", asked.means.within(told), note,
                 heads=asked.means.over_heads(told))  # fmt: skip


def _shown_method(table: pd.DataFrame) -> str:
    """Which method's clusters the atlas shows."""
    names = [name for name in METHODS if name in table and "cluster" in table]
    return next((name for name in names if table["cluster"].equals(table[name])), "kmeans")


def _end_layers(asked: DensityEvidence) -> Claim:
    """Clusters that have the first or the last layer to themselves."""
    layers = asked.layers

    def ends(counts: Counts) -> tuple[int, int]:
        whole = gather(counts, layers)[1:]
        inside = whole >= WHOLLY * np.maximum(whole.sum(axis=1, keepdims=True), 1)
        return int(inside[:, 0].sum()), int(inside[:, -1].sum())

    null, heads = (ask(lambda counts: float(sum(ends(counts)))) for ask in (asked.means.within, asked.means.over_heads))
    first, last = ends(asked.means.observed)
    note = (
        f"k-means clusters with {WHOLLY:.0%} of their rows in the first layer ({first}) or in the last ({last}), of "
        f"{len(asked.means.observed) - 1}; the seed had 35, and the fewer there are the fewer can"
    )
    return judge("some clusters lie wholly in the first or the last layer", null, note, heads=heads,
                 floor=first > 0 and last > 0)  # fmt: skip


def _few_cells(asked: DensityEvidence) -> Claim:
    """Clusters of one to three heads."""

    def few(counts: Counts) -> float:
        top = np.sort(counts[1:], axis=1)[:, -FEW_CELLS:].sum(axis=1)
        return float((top >= WHOLLY * np.maximum(counts[1:].sum(axis=1), 1)).sum())

    note = (
        f"k-means clusters with {WHOLLY:.0%} of their rows on at most {FEW_CELLS} of {len(asked.layers)} heads, of "
        f"{len(asked.means.observed) - 1} (the seed had 35); heads shuffled within windows"
    )
    null = asked.means.within(few)
    return judge("a few clusters sit on one to three heads", null, note, floor=null.observed > 1)


def _no_elbow(asked: DensityEvidence) -> Claim:
    """The seed's curve fell smoothly."""
    text, lines = "the number of clusters has no elbow", asked.stored.choice
    if len(lines) < 3:
        return unjudged(text, "k was given, or fewer than three were tried")
    grid = [line["k"] for line in lines]
    bends = {name: knee(grid, [line[name] for line in lines])[1] for name in lines[0] if name in _CURVES}
    own, null = bends["distortion"], bends["distortion_null"]
    note = (
        f"bend of the distortion curve over k = {grid[0]} to {grid[-1]} (0 straight, 1 a right angle) beside that of "
        f"one heap with the same covariance; an elbow bends {CLEAR_BEND} more. Inertia: {bends['inertia']:.2f} beside "
        f"{bends['inertia_null']:.2f}. Too few heaps for a p-value"
    )
    return plain(text, own, own < null + CLEAR_BEND, note, null)


_CURVES = ("distortion", "distortion_null", "inertia", "inertia_null")


def _three_components(asked: DensityEvidence) -> Claim:
    text, shares = "three principal components hold less than 30 % of the variance", asked.stored.variance
    if len(shares) < 3:
        return unjudged(text, "fewer than three components are stored")
    figure = float(sum(shares[:3]))
    note = "share of the variance of this feature, no labels to shuffle; the seed's own table gives 0.304 on its own"
    return plain(text, figure, figure < LITTLE_VARIANCE, note)


def _spread_grows(asked: DensityEvidence) -> Claim:
    """How much one head differs from window to window, layer by layer."""
    cells, count = asked.cells, len(asked.layers)
    sizes = np.bincount(cells, minlength=count).astype(float)
    sums = np.stack([np.bincount(cells, column, count) for column in asked.values.T], axis=1)
    squares = np.bincount(cells, (asked.values**2).sum(axis=1), count)
    spread = squares / sizes - ((sums / sizes[:, None]) ** 2).sum(axis=1)  # (heads,)
    null = permutation_null(
        lambda layers: float(spearmanr(layers, spread).statistic), asked.layers, permutations=asked.permutations,
        seed=asked.seed,
    )  # fmt: skip
    note = "rank correlation of layer and a head's variance over windows; heads change places in both nulls"
    return judge("variance grows with depth", null, note, heads=null, mirror=True)


CLAIMS: tuple[Callable[[DensityEvidence], Claim], ...] = (
    dominant_everywhere,
    even_satellites,
    _bands,
    _end_layers,
    _few_cells,
    _no_elbow,
    _three_components,
    _spread_grows,
)
