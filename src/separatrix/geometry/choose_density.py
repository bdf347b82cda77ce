"""How near the rows of a cluster are, and how small it may be: chosen by one stated criterion, with the table kept.

eps of DBSCAN is read at the knee of the k-distance curve with k = min_samples: the distance at which a row becomes a
core. Read from the curve of the nearest neighbor instead, as some do, eps makes far fewer cores than promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, OptionError
from separatrix.geometry.choose import PAIRS, SHARE, Choice, Table, drawn, knee, two_samples
from separatrix.geometry.cluster import scikit_hdbscan
from separatrix.geometry.condense import condense, excess_of_mass
from separatrix.geometry.density import IN_MEMORY, DensityGraph, Reading
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.prepare import PreparedVectors, ready
from separatrix.geometry.tiles import OutOfTimeError

SIZES = (5, 10, 20, 40, 80, 160)  # min_cluster_size that are tried
CURVE = 1000  # points of the k-distance curve that are kept
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the k-distances: values of eps in the grid, beside the knee
_PATIENCE = 2  # cells in a row that may run out of time before the rest is not begun
_LEAST_OF_KNEE = 0.7  # share of the knee's eps; at a smaller one a single heap falls apart by chance
_DOMINANT = 0.95  # share of the rows from which one cluster leaves nothing to be said
SOUND = "two clusters or more, the largest below 95 % of the rows"
_NOT_BEGUN = {
    "status": "not begun",
    "clusters": None,
    "noise": None,
    "noise_share": None,
    "largest": None,
    "seconds": 0.0,
}


def k_distance(x: NDArray[np.float32], min_samples: int) -> NDArray[np.float64]:
    """Distance at which each row becomes a core of DBSCAN, rising, (rows,).

    That is the distance to its min_samples-th nearest row, itself counted as the first: the share of the curve that
    lies at or below eps is exactly the share of cores at that eps.

    Raises:
        OptionError: min_samples below 2 (every row is then a core) or above the number of rows.

    >>> k_distance(np.float32([[0], [1], [3], [7]]), 3)
    array([2., 3., 3., 6.])
    """
    if not 2 <= min_samples <= len(x):
        raise OptionError(
            "--min-samples is out of range for this choice", got=min_samples, expected=f"2 to {len(x)} (the rows)"
        )
    near = neighbors(x, x, min_samples - 1, metric="euclidean", exclude_self=True)
    return np.sort(near.distance[:, -1].astype(np.float64))


def choose_eps(
    x: ArrayLike | PreparedVectors, min_samples: int, *, cell_seconds: float = 60.0, reading: Reading = IN_MEMORY
) -> Choice:
    """Choose eps of DBSCAN at the knee of the k-distance curve, and a grid of eps x min_samples around it.

    Args:
        x: (rows, width), all of them, since a sample would be thinner; what `prepare` gave is not checked again.
        min_samples: rows that make a core.
        cell_seconds: time limit of a cell. One that runs out of it is marked `time limit`; after two in a row the
            others are marked `not begun`.
        reading: of `density.dbscan`.

    Raises:
        OptionError: min_samples below 2 or above the rows.
        DataError: more than half of the rows are equal, so that the curve says nothing.
    """
    values = ready(x).values
    curve = k_distance(values, min_samples)
    share = np.arange(1, len(curve) + 1) / len(curve)
    index, bend = knee(share, curve)
    eps = float(curve[index])
    if eps <= 0:
        raise DataError(
            "the k-distance curve has its knee at 0: most rows have equal neighbors", hint="give --eps, or fewer rows"
        )
    radii = sorted({eps, *(float(value) for value in np.quantile(curve, _QUANTILES) if value > 0)})
    counts = sorted({max(2, min_samples // 2), min_samples, min(2 * min_samples, len(curve))})
    shown = np.unique(np.linspace(0, len(curve) - 1, min(CURVE, len(curve))).astype(int))
    lines = tuple({"share": float(share[i]), "distance": float(curve[i])} for i in shown)
    table = _grid(values, radii, counts, cell_seconds, reading)
    value, sentence = eps, f"knee of the k-distance curve with k = min_samples = {min_samples} (bend {bend:.2f})"
    near = [line for line in table if line["min_samples"] == min_samples and line["eps"] >= _LEAST_OF_KNEE * eps]
    fitting = [line["eps"] for line in near if is_sound(line, len(curve))]
    if not fitting:
        sentence += f"; no eps near it gives {SOUND}"
    elif eps not in fitting:
        value = min(fitting, key=lambda each: abs(np.log(each / eps)))
        sentence = f"eps nearest to the {sentence} of those with {SOUND}"
    return Choice("eps", value, sentence, table, lines)


def is_sound(line: Mapping[str, Any], rows: int) -> bool:
    """Whether the clusters of a line tell rows apart: of one cluster that holds nearly all nothing can be said.

    >>> is_sound({"clusters": 2, "largest": 98}, 100), is_sound({"clusters": 3, "largest": 60}, 100)
    (False, True)
    """
    return line["clusters"] is not None and line["clusters"] >= 2 and line["largest"] < _DOMINANT * rows


def _grid(
    x: NDArray[np.float32], values: Sequence[float], counts: Sequence[int], cell_seconds: float, reading: Reading
) -> Table:
    """The cells; the distances are read once for all of them, in the time of all of them."""
    begun, cells = monotonic(), len(values) * len(counts)
    try:
        graph = DensityGraph.build(x, values, max(counts), deadline=begun + cell_seconds * cells, reading=reading)
    except OutOfTimeError:
        late = _NOT_BEGUN | {"status": "time limit", "seconds": round(monotonic() - begun, 3)}
        return tuple({"eps": eps, "min_samples": count} | late for count in counts for eps in values)
    share = (monotonic() - begun) / cells
    table: list[dict[str, Any]] = []
    late_cells = 0  # in a row
    for count in counts:
        for level, eps in enumerate(values):
            waiting = late_cells >= _PATIENCE
            cell = dict(_NOT_BEGUN) if waiting else _cell(graph, level, count, share, cell_seconds)
            late_cells = late_cells if waiting else (late_cells + 1) * (cell["status"] == "time limit")
            table.append({"eps": eps, "min_samples": count} | cell)
    return tuple(table)


def _cell(graph: DensityGraph, level: int, count: int, share: float, limit: float) -> dict[str, Any]:
    begun = monotonic() - share  # of the time that reading the distances took
    try:
        labels = graph.clusters(level, count, deadline=begun + limit).labels
    except OutOfTimeError:
        return _NOT_BEGUN | {"status": "time limit", "seconds": round(monotonic() - begun, 3)}
    sizes = np.bincount(labels[labels >= 0])
    noise = int((labels < 0).sum())
    return {
        "status": "done",
        "clusters": len(sizes),
        "noise": noise,
        "noise_share": noise / len(labels),
        "largest": int(sizes.max(initial=0)),
        "seconds": round(monotonic() - begun, 3),
    }


def choose_size(x: ArrayLike | PreparedVectors, min_samples: int, *, sample_rows: int = 3000, seed: int = 0) -> Choice:
    """Choose min_cluster_size of HDBSCAN: the most stable under resampling of those that give two clusters or more.

    Args:
        min_samples: rows whose reach is the core distance.
        sample_rows: of more rows, so many are drawn; the sizes tried grow back with the rows.

    Raises:
        DataError: no size gives two clusters.
    """
    table = _size_table(ready(x).values, min_samples, sample_rows=sample_rows, seed=seed)
    split = [line for line in table if line["clusters"] >= 2]
    if not split:
        raise DataError("no min_cluster_size gives two clusters", hint="give --min-cluster-size, or use kmeans")
    sound = [line for line in split if is_sound(line, line["rows"])]
    best = max(sound or split, key=lambda line: line["stability"])
    of = SOUND if sound else "two clusters or more"
    sentence = f"largest stability under resampling (noise is a group of its own) of those with {of}"
    return Choice("min_cluster_size", best["min_cluster_size"], sentence, tuple(table))


def _size_table(
    x: NDArray[np.float32], min_samples: int, *, sample_rows: int = 3000, seed: int = 0
) -> list[dict[str, Any]]:
    """What each min_cluster_size gives on the rows drawn (`rows`), with its stability; sizes are those for all rows."""
    rows = drawn(x, sample_rows, seed)
    sizes = [size for size in SIZES if 2 * size <= len(rows)]
    labels = _all_sizes(rows, sizes, min_samples)
    rng = np.random.default_rng(seed)
    agreed = np.array([_agreement(rows, sizes, min_samples, rng) for _ in range(PAIRS)])  # (pairs, sizes)
    return [
        {
            "min_cluster_size": round(size * len(x) / len(rows)),
            "rows": len(rows),
            "clusters": int(clusters.max()) + 1,
            "noise": int((clusters < 0).sum()),
            "noise_share": float((clusters < 0).mean()),
            "largest": int(np.bincount(clusters + 1)[1:].max(initial=0)),
            "stability": float(scores.mean()),
            "stability_error": float(scores.std(ddof=1) / np.sqrt(PAIRS)),
        }
        for size, clusters, scores in zip(sizes, labels, agreed.T, strict=True)
    ]


def _all_sizes(x: NDArray[np.float32], sizes: Sequence[int], min_samples: int) -> list[NDArray[np.int64]]:
    """Labels for each size; the spanning tree, which is all the work, is the same for all of them."""
    labels, linkage = scikit_hdbscan(x, 2, min(min_samples, len(x)))
    return [excess_of_mass(condense(linkage, size, labels)) for size in sizes]


def _agreement(x: NDArray[np.float32], sizes: Sequence[int], min_samples: int, rng: np.random.Generator) -> list[float]:
    """Adjusted Rand index of each size on the rows that two subsamples of 80 % share."""
    from sklearn.metrics import adjusted_rand_score

    smaller = [max(2, round(SHARE * size)) for size in sizes]
    first, second, mine, theirs = two_samples(len(x), rng)
    pair = (_all_sizes(x[rows], smaller, min_samples) for rows in (first, second))
    return [float(adjusted_rand_score(a[mine], b[theirs])) for a, b in zip(*pair, strict=True)]
