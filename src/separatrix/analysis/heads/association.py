"""Clusters against layer, head, length and context, each beside a null that keeps whole examples together.

The unit is the example. Layer and head are shuffled inside each window: every window has each head once, so a shuffle
keeps what the window itself does to its maps. For layer and for head, whole heads change places as well, in every
window alike (`shuffles` says why), and that null decides. Length and context belong to a whole example; there, whole
examples change places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.cluster import LEFT_OUT
from separatrix.analysis.heads.shuffles import gather, head_counts
from separatrix.errors import DataError
from separatrix.geometry.associate import cramers_v, information, quantile_bins
from separatrix.geometry.cluster import Clustering, kmeans, nearest_centroid
from separatrix.geometry.nulls import Null, permutation_null
from separatrix.recipe.heads import METHODS

LENGTH_BINS = 4
SURE = 0.05
RELATED, UNRELATED = "more than chance", "as chance"


def codes_of(values: NDArray[Any] | pd.Series[Any]) -> NDArray[np.int64]:
    """Values as numbers 0, 1, 2 ...; names that are stored once are not spelt out for every row."""
    return pd.factorize(values, sort=True)[0].astype(np.int64)


def cells_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """The head's number over all layers, (rows,)."""
    return (table["layer"] * (table["head"].max() + 1) + table["head"]).to_numpy(dtype=np.int64)


def association(table: pd.DataFrame, *, permutations: int = 199, seed: int = 0) -> list[dict[str, Any]]:
    """Clusters against layer, head, both, length and context.

    Args:
        table: rows with `cluster`, `example`, `window`, `context`, `layer`, `head`, `length`.
        permutations: shuffles of each null.
        seed: of the shuffles.

    Returns:
        A line for each: mutual information (nats) with its null and p-value, its adjusted form (0 what the null gives,
        1 the same grouping), Cramer's V. For layer and for head also `null_heads` and `p_heads`, where whole heads
        change places. For length and context the mutual information is that of (cluster, head) with them, since each
        head has its own habits, and the adjusted form is within a head. `verdict` goes by `p_heads` where there is one.
    """
    used = table[table["cluster"] > LEFT_OUT]
    lines = _by_head(used, permutations, seed)
    for name, unit in (("length", "context"), ("context", "example")):
        found = by_example(used, name, permutations=permutations, seed=seed)
        if found is not None:
            lines.append(_line(name, unit, found))
    return lines


def _by_head(table: pd.DataFrame, permutations: int, seed: int) -> list[dict[str, Any]]:
    """The lines of layer, head, and both."""
    from sklearn.metrics import adjusted_mutual_info_score as ami

    clusters, cells = codes_of(table["cluster"]), cells_of(table)
    if clusters.max() == 0:
        return []
    counted = head_counts(clusters, cells, codes_of(table["window"]), permutations=permutations, seed=seed)
    layer, head = np.divmod(np.arange(int(cells.max()) + 1), int(table["head"].max()) + 1)
    lines = []
    for name, groups in (("layer", layer), ("head", head), ("layer and head", np.arange(len(layer)))):
        if groups.max() == 0:
            continue

        def told(counts: NDArray[np.int64], groups: NDArray[np.int64] = groups) -> float:
            return float(information(gather(counts, groups)[None])[0])

        null = counted.within(told)
        found = _figures(null, float(ami(clusters, groups[cells])))
        seen = gather(counted.observed, groups)
        found["cramers_v_corrected"] = cramers_v(seen[seen.sum(axis=1) > 0])[1]
        # The association with both at once does not change when heads change places.
        over = counted.over_heads(told) if name != "layer and head" else None
        lines.append(_line(name, "head within a window", found, over))
    return lines


def _figures(null: Null, adjusted: float) -> dict[str, Any]:
    return {
        "mutual_information": null.observed, "adjusted_mutual_information": adjusted, "cramers_v_corrected": None,
        "null_mean": null.mean, "null_high": null.high, "p_value": null.p_value,
    }  # fmt: skip


def _line(name: str, unit: str, found: dict[str, Any], over: Null | None = None) -> dict[str, Any]:
    """One line of the table; `over` is the null over heads."""
    decides = found["p_value"] if over is None else over.p_value
    return {
        "with": name,
        "unit": unit,
        "verdict": RELATED if decides <= SURE else UNRELATED,
        **found,
        "null_heads": None if over is None else over.mean,
        "null_heads_high": None if over is None else over.high,
        "p_heads": None if over is None else over.p_value,
    }


def by_example(table: pd.DataFrame, name: str, *, permutations: int, seed: int) -> dict[str, Any] | None:
    """Mutual information of (cluster, head) with a column of whole examples, whose values change places between them.

    Lengths are binned and move between contexts (examples that share one have nearly the same length); contexts move
    between examples. None where the column has one value only.
    """
    if name == "length":  # one window of an example is enough: its others are as long as the model allows
        table = table[table["place"] == 0]
    unit = codes_of(table["context" if name == "length" else "example"])
    values = _per_row(table, name)
    if values is None or unit.max() < 2:
        return None
    first = codes_of(codes_of(table["cluster"]) * (cells_of(table).max() + 1) + cells_of(table))
    of_unit = values[np.unique(unit, return_index=True)[1]]  # (units,)
    shape = (int(first.max()) + 1, int(values.max()) + 1)

    def statistic(assigned: NDArray[Any]) -> float:
        cells = first * shape[1] + assigned[unit]
        return float(information(np.bincount(cells, minlength=shape[0] * shape[1]).reshape(1, *shape))[0])

    null = permutation_null(statistic, of_unit, permutations=permutations, seed=seed)
    # Adjusted as in the other lines, by the mean of the two entropies; that of the clusters is what is left of it
    # within a head, since (cluster, head) holds the whole head besides.
    inside = _entropy(np.bincount(first)) - _entropy(np.bincount(cells_of(table)))
    most = (inside + _entropy(np.bincount(of_unit[unit]))) / 2
    return _figures(null, (null.observed - null.mean) / max(most - null.mean, 1e-12))


def _per_row(table: pd.DataFrame, name: str) -> NDArray[np.int64] | None:
    if name != "length":
        return codes_of(table[name]) if table[name].nunique() > 1 else None
    try:
        return quantile_bins(table["length"].to_numpy(), LENGTH_BINS)[0]
    except DataError:  # all windows are equally long
        return None


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def shown_method(table: pd.DataFrame) -> str:
    """Which method's clusters the atlas shows.

    >>> shown_method(pd.DataFrame({"cluster": [0, -1], "kmeans": [0, 1], "dbscan": [0, -1]}))
    'dbscan'
    """
    names = [name for name in METHODS if name in table and "cluster" in table]
    return next((name for name in names if table["cluster"].equals(table[name])), "kmeans")


def controls(table: pd.DataFrame, values: NDArray[np.floating], *, seed: int = 0) -> list[dict[str, Any]]:
    """The association with the head once more: windows of nearly one length only, and contexts never seen before.

    Args:
        table: rows with clusters of k-means over all rows.
        values: (rows, components), what was clustered.
        seed: of k-means, and of the halves of the contexts.

    Returns:
        Lines with the adjusted mutual information of cluster and (layer, head), and how many rows it stands on. They
        are those of k-means (`clusters`) whatever method the atlas shows, since only its centroids can be given new
        rows; on the rows of one length and of half of the contexts it is fitted anew.
    """
    cells, labels, lengths = cells_of(table), table["kmeans"].to_numpy(), table["length"].to_numpy()
    control = _Control(cells, values, int(labels.max()) + 1, seed, shown_method(table))
    everything = np.ones(len(table), dtype=np.bool_)
    lines = [control.line("all", everything, labels)]
    middle = _narrowest(lengths)
    span = f"length-matched: {lengths[middle].min()} to {lengths[middle].max()} tokens"
    lines.append(control.line(span, middle, control.fit(middle).labels))
    contexts = codes_of(table["context"])
    if contexts.max() >= 1:
        order = np.random.default_rng(seed).permutation(int(contexts.max()) + 1)
        held = np.isin(contexts, order[: len(order) // 2])
        fitted = control.fit(~held)
        assert fitted.centroids is not None
        given = nearest_centroid(np.asarray(values[held], np.float32), fitted.centroids)[0]
        lines.append(control.line("half of the contexts, fitted", ~held, fitted.labels))
        lines.append(control.line("the other contexts, assigned", held, given))
    return lines


@dataclass(frozen=True, eq=False)
class _Control:
    """What the lines of the controls share."""

    cells: NDArray[np.int64]
    values: NDArray[np.floating]
    k: int
    seed: int
    method: str

    def fit(self, chosen: NDArray[np.bool_]) -> Clustering:
        """k-means of the chosen rows alone."""
        some = np.asarray(self.values[chosen], np.float32)
        return kmeans(some, min(self.k, len(some)), starts=3, seed=self.seed)

    def line(self, rows: str, chosen: NDArray[np.bool_], labels: NDArray[Any]) -> dict[str, Any]:
        from sklearn.metrics import adjusted_mutual_info_score

        if self.method != "kmeans":
            rows = f"{rows}{', ' if ':' in rows else ': '}k-means, not {self.method}"
        score = float(adjusted_mutual_info_score(self.cells[chosen], labels))
        return {"rows": rows, "count": int(chosen.sum()), "clusters": f"kmeans, k = {self.k}", "ami": score}


def _narrowest(lengths: NDArray[np.integer], share: float = 0.25) -> NDArray[np.bool_]:
    """The rows of the narrowest span of lengths that holds a quarter of them.

    >>> _narrowest(np.array([10, 50, 51, 90]), 0.5).tolist()
    [False, True, True, False]
    """
    ordered = np.sort(lengths)
    count = max(1, int(np.ceil(share * len(ordered))))
    spans = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    low = ordered[int(spans.argmin())]
    return (lengths >= low) & (lengths <= low + spans.min())
