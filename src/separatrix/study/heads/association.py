"""Clusters against layer, head, length and context, each beside a null that keeps whole examples together.

The unit is the example. Layer and head are shuffled inside each window: every window has each head once, so a shuffle
keeps what the window itself does to its maps. Length and context belong to a whole example; there, whole examples
change places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.errors import DataError
from separatrix.geometry.associate import associate, information, quantile_bins
from separatrix.geometry.cluster import kmeans, nearest_centroid
from separatrix.geometry.nulls import permutation_null
from separatrix.study.heads.cluster import LEFT_OUT

LENGTH_BINS = 4


def codes_of(values: NDArray[Any] | pd.Series[Any]) -> NDArray[np.int64]:
    """Values as numbers 0, 1, 2 ..."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


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
        A line for each: mutual information (nats) with its null and p-value, its adjusted form, Cramer's V. For length
        and context the mutual information is that of (cluster, head) with them, since each head has its own habits.
    """
    used = table[table["cluster"] > LEFT_OUT]
    clusters, windows = codes_of(used["cluster"]), codes_of(used["window"])
    lines = []
    columns = {"layer": codes_of(used["layer"]), "head": codes_of(used["head"]), "layer and head": cells_of(used)}
    for name, values in columns.items():
        if clusters.max() == 0 or len(np.unique(values)) < 2:
            continue
        made = associate(clusters, values, within=windows, permutations=permutations, seed=seed)
        lines.append({"with": name, "unit": "head within a window", "p_value": made.p_value, **_plain(made.to_dict())})
    for name, unit in (("length", "context"), ("context", "example")):
        found = by_example(used, name, permutations=permutations, seed=seed)
        if found is not None:
            lines.append({"with": name, "unit": unit, **found})
    return lines


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    names = ("mutual_information", "adjusted_mutual_information", "cramers_v_corrected", "null_mean", "null_high")
    return {name: found[name] for name in names}


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
    spread = _entropy(np.bincount(of_unit[unit]))
    return {
        "mutual_information": null.observed,
        # 0 is what the shuffles give, 1 is all there is to know.
        "adjusted_mutual_information": (null.observed - null.mean) / max(spread - null.mean, 1e-12),
        "cramers_v_corrected": None,
        "null_mean": null.mean,
        "null_high": null.high,
        "p_value": null.p_value,
    }


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


def controls(table: pd.DataFrame, values: NDArray[np.floating], *, seed: int = 0) -> list[dict[str, Any]]:
    """The association with the head once more: windows of nearly one length only, and contexts never seen before.

    Args:
        table: rows with clusters of k-means over all rows.
        values: (rows, components), what was clustered.
        seed: of the halves of the contexts.

    Returns:
        Lines with the adjusted mutual information of cluster and (layer, head), and how many rows it stands on.
    """
    from sklearn.metrics import adjusted_mutual_info_score as ami

    cells, labels = cells_of(table), table["kmeans"].to_numpy()
    lines = [{"rows": "all", "count": len(table), "ami": float(ami(cells, labels))}]
    lengths = table["length"].to_numpy()
    middle = _narrowest(lengths)
    span = f"{lengths[middle].min()} to {lengths[middle].max()} tokens"
    lines.append({"rows": f"length-matched: {span}", "count": int(middle.sum()), "ami": _ami(cells, labels, middle)})
    contexts = codes_of(table["context"])
    if contexts.max() >= 1:
        order = np.random.default_rng(seed).permutation(int(contexts.max()) + 1)
        held = np.isin(contexts, order[: len(order) // 2])
        k = min(int(labels.max()) + 1, int((~held).sum()))
        fitted = kmeans(np.asarray(values[~held], np.float32), k, starts=3, seed=seed)
        assert fitted.centroids is not None
        given = nearest_centroid(np.asarray(values[held], np.float32), fitted.centroids)[0]
        seen = {"rows": "half of the contexts, fitted", "count": int((~held).sum())}
        lines.append(seen | {"ami": float(ami(cells[~held], fitted.labels))})
        unseen = {"rows": "the other contexts, assigned", "count": int(held.sum())}
        lines.append(unseen | {"ami": float(ami(cells[held], given))})
    return lines


def _ami(cells: NDArray[np.int64], labels: NDArray[Any], chosen: NDArray[np.bool_]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(cells[chosen], labels[chosen]))


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
