"""How large clusters are, and which class most of their rows have: pressed, one is selected in all views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from separatrix.reports.rows import PageRows, RowClusters
from separatrix.reports.sections import Section

NO_CLUSTER = "no cluster"


@dataclass(frozen=True)
class ClusterSize:
    """One cluster."""

    number: int
    name: str
    rows: int
    wide: float  # of its bar, in percent of the largest cluster's
    label: str  # that most of its rows have
    share: float  # of these rows


def cluster_sizes(rows: PageRows) -> Section | None:
    """The sizes of all clusters of a page's rows, the largest first; None where there are none."""
    if not rows.clusterings:
        return None
    view = {"clusterings": [(one.title, sizes_of(one, rows.labels, rows.names)) for one in rows.clusterings]}
    return Section("clusters", "Cluster sizes", "clusters.html", view, "clusters")


def sizes_of(clusters: RowClusters, labels: np.ndarray, names: Sequence[str]) -> list[ClusterSize]:
    """The sizes of the clusters that have rows, the largest first; rows in none of them stand last.

    >>> clusters = RowClusters("k", np.array([0, 1, 1, 2]), ["cluster 0", "cluster 1"])
    >>> [(one.name, one.rows, one.label) for one in sizes_of(clusters, np.array([0, 1, 1, 0]), ["a", "b"])]
    [('cluster 1', 2, 'b'), ('cluster 0', 1, 'a'), ('no cluster', 1, 'a')]
    """
    counts = np.zeros((len(clusters.names) + 1, len(names)), np.int64)
    np.add.at(counts, (clusters.numbers, labels), 1)
    totals, titles = counts.sum(axis=1), [*clusters.names, NO_CLUSTER]
    largest = max(int(totals[:-1].max(initial=0)), 1)
    order = sorted(np.flatnonzero(totals).tolist(), key=lambda k: (k == len(clusters.names), -totals[k], k))
    return [
        ClusterSize(
            k, titles[k], int(totals[k]), round(min(100 * float(totals[k]) / largest, 100), 2),
            names[int(counts[k].argmax())], float(counts[k].max() / totals[k]),
        )
        for k in order
    ]  # fmt: skip
