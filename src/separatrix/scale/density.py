"""HDBSCAN of a sample, and a likely cluster for every other row.

A row belongs to the cluster of the nearest row of the sample that is in one, if it is no farther from it than the last
row of that cluster was when it joined; else it is noise. How often this differs from HDBSCAN itself is measured: a
fifth of the sample is asked for from the rest.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import draw_rows
from separatrix.geometry.cluster import Clustering, hdbscan
from separatrix.geometry.prepare import PreparedVectors
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation

SAMPLE_ROWS = 10_000
_HELD_OUT = 0.2  # share of the sample that is predicted from the rest, to measure the disagreement
Ids = NDArray[np.int64]


def sampled_hdbscan(
    source: BlockSource, prepare: Preparation, job: BlockJob, *, min_cluster_size: int = 20, min_samples: int = 10,
    engine: str = "auto", seed: int = 0,
) -> tuple[Clustering, list[str]]:  # fmt: skip
    """Clusters of all rows by HDBSCAN of a sample, and sentences that say what of them is approximate.

    Raises:
        DataError: the sample has fewer rows than `min_samples`.
    """
    begun = monotonic()
    chosen = draw_rows(source.rows, SAMPLE_ROWS, seed)
    sample = prepare.apply(source.take(chosen))
    fitted = hdbscan(PreparedVectors(sample), min_cluster_size, min_samples=min_samples, engine=engine)
    reach = _reach(fitted)
    labels = np.full(source.rows, -1, np.int64)
    inside = fitted.labels >= 0
    if inside.any():
        tasks = [(part, prepare, sample[inside], fitted.labels[inside], reach) for _, part in parts(source)]
        for (start, part), partial in zip(
            parts(source), job.run("nearest members", kernels.nearest_members, tasks), strict=True
        ):
            labels[start : start + part.rows] = partial["labels"]
    labels[chosen] = fitted.labels
    smallest = round(min_cluster_size * source.rows / len(chosen))
    differs = _disagreement(sample, fitted.labels, reach, seed)
    notes = [
        f"hdbscan saw {len(chosen)} of {source.rows} rows (seed {seed}); every other row has the cluster of its "
        f"nearest row in one, or is noise: {differs:.1%} of held-out rows of the sample get another cluster so",
        f"clusters of fewer than about {smallest} rows cannot be seen in the sample",
    ]
    stars = None if fitted.exemplars is None else chosen[fitted.exemplars]
    seconds = round(monotonic() - begun, 3)
    return replace(fitted, labels=labels, seconds=seconds, exemplars=stars, engine=f"{fitted.engine}, sample"), notes


def _reach(fitted: Clustering) -> NDArray[np.float64]:
    """Of each cluster, the largest distance at which one of its rows joined it, (clusters,)."""
    assert fitted.tree is not None
    with np.errstate(divide="ignore"):
        joined = 1 / fitted.tree.left
    inside = (fitted.labels >= 0) & np.isfinite(joined)
    reach = np.zeros(fitted.clusters)
    np.maximum.at(reach, fitted.labels[inside], joined[inside])
    return reach


def _disagreement(sample: NDArray[np.float32], labels: Ids, reach: NDArray[np.float64], seed: int) -> float:
    """Share of held-out rows of the sample whose cluster, told from the others, is not their own."""
    held_out = np.zeros(len(sample), bool)
    held_out[np.random.default_rng(seed).permutation(len(sample))[: max(1, int(_HELD_OUT * len(sample)))]] = True
    members = ~held_out & (labels >= 0)
    if not members.any():
        return float((labels[held_out] >= 0).mean())
    queries = BlockSource.of(sample[held_out])
    predicted = kernels.nearest_members(queries, None, sample[members], labels[members], reach)["labels"]
    return float((predicted != labels[held_out]).mean())
