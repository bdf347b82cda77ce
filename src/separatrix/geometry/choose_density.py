"""How near and how small: eps of DBSCAN and min_cluster_size of HDBSCAN, with the whole table kept.

eps is read at the knee of the k-distance curve with k = min_samples: the distance at which a row becomes a core. One
published search read the curve of the nearest neighbour instead, whatever min_samples was (seed 002); its eps made far
fewer cores than the curve promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, OptionError
from separatrix.geometry.choose import PAIRS, SHARE, Choice, Table, drawn, knee, two_samples
from separatrix.geometry.cluster import scikit_hdbscan
from separatrix.geometry.condense import condense, excess_of_mass
from separatrix.geometry.density import OutOfTimeError, dbscan
from separatrix.geometry.neighbours import neighbours

SIZES = (5, 10, 20, 40, 80, 160)  # min_cluster_size that are tried
CURVE = 1000  # points of the k-distance curve that are kept

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the k-distances: values of eps in the grid, beside the knee
_PATIENCE = 2  # cells in a row that may run out of time before the rest is not begun
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
    found = neighbours(x, x, min_samples - 1, metric="euclidean", exclude_self=True)
    return np.sort(found.distance[:, -1].astype(np.float64))


def choose_eps(x: NDArray[np.float32], min_samples: int, *, cell_seconds: float = 60.0) -> Choice:
    """Choose eps of DBSCAN at the knee of the k-distance curve, and a grid of eps x min_samples around it.

    Args:
        x: (rows, width), prepared; all of them, since a sample would be thinner.
        min_samples: rows that make a core.
        cell_seconds: time limit of a cell. One that runs out of it is marked `time limit`; after two in a row the
            others are marked `not begun`.

    Raises:
        OptionError: min_samples below 2 or above the rows.
        DataError: more than half of the rows are equal, so that the curve says nothing.
    """
    curve = k_distance(x, min_samples)
    share = np.arange(1, len(curve) + 1) / len(curve)
    place, bend = knee(share, curve)
    eps = float(curve[place])
    if eps <= 0:
        raise DataError(
            "the k-distance curve has its knee at 0: most rows have equal neighbours", hint="give --eps, or fewer rows"
        )
    values = sorted({eps, *(float(value) for value in np.quantile(curve, _QUANTILES) if value > 0)})
    counts = sorted({max(2, min_samples // 2), min_samples, min(2 * min_samples, len(x))})
    kept = np.unique(np.linspace(0, len(curve) - 1, min(CURVE, len(curve))).astype(int))
    lines = tuple({"share": float(share[i]), "distance": float(curve[i])} for i in kept)
    sentence = f"knee of the k-distance curve with k = min_samples = {min_samples} (bend {bend:.2f})"
    return Choice("eps", eps, sentence, _grid(x, values, counts, cell_seconds), lines)


def _grid(x: NDArray[np.float32], values: Sequence[float], counts: Sequence[int], cell_seconds: float) -> Table:
    table: list[dict[str, Any]] = []
    late = 0  # cells in a row that ran out of time
    for count in counts:
        for eps in values:
            cell = dict(_NOT_BEGUN) if late >= _PATIENCE else _cell(x, eps, count, cell_seconds)
            late = late if cell["status"] == "not begun" else (late + 1) * (cell["status"] == "time limit")
            table.append({"eps": eps, "min_samples": count} | cell)
    return tuple(table)


def _cell(x: NDArray[np.float32], eps: float, count: int, limit: float) -> dict[str, Any]:
    begun = monotonic()
    try:
        labels = dbscan(x, eps, count, deadline=begun + limit).labels
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


def choose_size(x: NDArray[np.float32], min_samples: int, *, sample_rows: int = 3000, seed: int = 0) -> Choice:
    """Choose min_cluster_size of HDBSCAN: the most stable under resampling of those that give two clusters or more.

    Args:
        x: (rows, width), prepared.
        min_samples: rows whose reach is the core distance.
        sample_rows: of more rows, so many are drawn; the sizes tried grow back with the rows.
        seed: of the draws.

    Raises:
        DataError: no size gives two clusters.
    """
    table = size_table(x, min_samples, sample_rows=sample_rows, seed=seed)
    split = [line for line in table if line["clusters"] >= 2]
    if not split:
        raise DataError("no min_cluster_size gives two clusters", hint="give --min-cluster-size, or use kmeans")
    best = max(split, key=lambda line: line["stability"])
    sentence = "largest stability under resampling (noise is a group of its own) of those with two clusters or more"
    return Choice("min_cluster_size", best["min_cluster_size"], sentence, tuple(table))


def size_table(
    x: NDArray[np.float32], min_samples: int, *, sample_rows: int = 3000, seed: int = 0
) -> list[dict[str, Any]]:
    """What each min_cluster_size gives, with its stability under resampling; arguments as `choose_size`.

    `clusters`, `noise` and `largest` are counted on the rows drawn (`rows`); the sizes are those for all rows.
    """
    rows = drawn(x, sample_rows, seed)
    sizes = [size for size in SIZES if 2 * size <= len(rows)]
    labels = _all_sizes(rows, sizes, min_samples)
    rng = np.random.default_rng(seed)
    agreed = np.array([_agreement(rows, sizes, min_samples, rng) for _ in range(PAIRS)])  # (pairs, sizes)
    return [
        {
            "min_cluster_size": round(size * len(x) / len(rows)),
            "rows": len(rows),
            "clusters": int(labels[place].max()) + 1,
            "noise": int((labels[place] < 0).sum()),
            "noise_share": float((labels[place] < 0).mean()),
            "largest": int(np.bincount(labels[place] + 1)[1:].max(initial=0)),
            "stability": float(agreed[:, place].mean()),
            "stability_error": float(agreed[:, place].std(ddof=1) / np.sqrt(PAIRS)),
        }
        for place, size in enumerate(sizes)
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
