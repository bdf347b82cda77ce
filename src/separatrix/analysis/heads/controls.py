"""Clusters against columns of the rows, and with length and context held: windows of one length, new contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.associate import Associations
from separatrix.codes import encode
from separatrix.geometry.cluster import Clustering, kmeans, nearest_centroid

SURE = 0.05
RELATED, UNRELATED = "more than chance", "as chance"
COLUMNS = ("layer", "head", "layer+head", "length", "context")  # that clusters are compared with


def head_numbers(table: pd.DataFrame) -> NDArray[np.int64]:
    """The head's number over all layers, (rows,)."""
    return (table["layer"] * (table["head"].max() + 1) + table["head"]).to_numpy(dtype=np.int64)


def columns_to_test(table: pd.DataFrame) -> list[str]:
    """The columns that can be tested on these rows."""
    if table["cluster"].nunique() < 2:
        return []
    drawn = {"length": "context", "context": "example"}  # a draw has the value of its first row

    def varies(name: str, column: str) -> bool:
        rows = table.drop_duplicates(drawn[name]) if name in drawn else table
        return bool(rows[column].nunique() > 1)

    return [name for name in COLUMNS if varies(name, name.split("+")[-1])]


def association_lines(associations: Associations) -> list[dict[str, Any]]:
    """A line for each column: figures, both nulls of a column of heads, and a verdict by the one that decides."""
    lines = []
    for name, test in associations.columns.items():
        nulls = test["nulls"]
        within, units = nulls.get("within") or nulls["units"], nulls["units"] if len(nulls) > 1 else {}
        keys = ("mutual_information", "adjusted_mutual_information", "cramers_v_corrected")
        lines.append({
            "with": name.replace("+", " and "), "unit": test["shuffled"],
            "verdict": RELATED if test["p_value"] <= SURE else UNRELATED, **{key: test[key] for key in keys},
            "null_mean": within["mean"], "null_high": within["high"], "p_value": within["p_value"],
            "null_heads": units.get("mean"), "null_heads_high": units.get("high"), "p_heads": units.get("p_value"),
        })  # fmt: skip
    return lines


def controls(table: pd.DataFrame, values: NDArray[np.floating], *, method: str, seed: int = 0) -> list[dict[str, Any]]:
    """The association with the head once more: windows of nearly one length only, and contexts never seen before.

    Args:
        table: rows with clusters of k-means over all rows.
        values: (rows, components), what was clustered.
        method: whose clusters the atlas shows.

    Returns:
        Lines with the adjusted mutual information of cluster and (layer, head), and how many rows it stands on. They
        are those of k-means (`clusters`) whatever method the atlas shows, since only its centroids can be given new
        rows; on the rows of one length and of half of the contexts it is fitted anew.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    heads, labels, lengths = head_numbers(table), table["kmeans"].to_numpy(), table["length"].to_numpy()
    k = int(labels.max()) + 1
    lines: list[dict[str, Any]] = []

    def fit(chosen: NDArray[np.bool_]) -> Clustering:
        some = np.asarray(values[chosen], np.float32)
        return kmeans(some, min(k, len(some)), starts=3, seed=seed)

    def add(rows: str, chosen: NDArray[np.bool_], clusters: NDArray[Any]) -> None:
        if method != "kmeans":
            rows = f"{rows}{', ' if ':' in rows else ': '}k-means, not {method}"
        score = float(adjusted_mutual_info_score(heads[chosen], clusters))
        lines.append({"rows": rows, "count": int(chosen.sum()), "clusters": f"kmeans, k = {k}", "ami": score})

    add("all", np.ones(len(table), dtype=np.bool_), labels)
    middle = _narrowest(lengths)
    add(f"length-matched: {lengths[middle].min()} to {lengths[middle].max()} tokens", middle, fit(middle).labels)
    contexts = encode(table["context"])[0]
    if contexts.max() >= 1:
        order = np.random.default_rng(seed).permutation(int(contexts.max()) + 1)
        other = np.isin(contexts, order[: len(order) // 2])
        fitted = fit(~other)
        assert fitted.centroids is not None
        add("half of the contexts, fitted", ~other, fitted.labels)
        nearest = nearest_centroid(np.asarray(values[other], np.float32), fitted.centroids)[0]
        add("the other contexts, assigned", other, nearest)
    return lines


def _narrowest(lengths: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The rows of the narrowest span of lengths that holds a quarter of them.

    >>> _narrowest(np.array([10, 20, 30, 50, 51, 60, 70, 90])).nonzero()[0].tolist()
    [3, 4]
    """
    ordered = np.sort(lengths)
    count = max(1, int(np.ceil(len(ordered) / 4)))
    spans = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    low = ordered[int(spans.argmin())]
    return (lengths >= low) & (lengths <= low + spans.min())
