"""How many clusters, how near and how small: chosen by one stated criterion, with the whole table kept.

Beside each figure of k-means stands the same figure for a null: one heap with the data's own mean and covariance
(Liu et al., 2008, "SigClust", in its simplest form). A silhouette that the heap has too, or an elbow that the heap's
curve has too, is no sign of clusters.

eps of DBSCAN is read at the knee of the k-distance curve with k = min_samples: the distance at which a row becomes a
core. Read from the curve of the nearest neighbor instead, as some do, eps makes far fewer cores than promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.codes import draw_some
from separatrix.errors import DataError, OptionError, choose
from separatrix.geometry.cluster import Clustering, kmeans, scikit_hdbscan
from separatrix.geometry.condense import condense, excess_of_mass
from separatrix.geometry.density import IN_MEMORY, DensityGraph, Reading
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.prepare import PreparedVectors, ready
from separatrix.geometry.separation import Silhouettes
from separatrix.geometry.tiles import OutOfTimeError

_STARTS = 3  # of each k-means of a choice
_PAIRS = 4  # pairs of subsamples behind a stability
_SHARE = 0.8  # rows of a subsample
_NULLS = 5  # heaps drawn for the null, each clustered once
_CLEAR = 3.0  # standard deviations of the null above its mean from which a silhouette is no chance
_SILHOUETTE_ROWS = 2000
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

Table = tuple[dict[str, Any], ...]
Decision = tuple[int, str, tuple[str, ...]]  # k, the criterion, warnings
Decider = Callable[[list[dict[str, Any]]], Decision]
KNEES = ("distortion", "inertia")  # criteria that read a curve


@dataclass(frozen=True)
class Choice:
    """What was chosen, by what, and everything that was tried."""

    option: str  # k, eps or min_cluster_size
    value: float
    criterion: str  # one sentence
    table: Table  # a line per value tried
    curve: Table = ()  # eps: the k-distance curve
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the tables are written apart."""
        return {"option": self.option, "value": self.value, "criterion": self.criterion, "tried": len(self.table)}


def knee(x: ArrayLike, y: ArrayLike) -> tuple[int, float]:
    """Index of the knee of a curve, and how far it bends (0: straight, 1: a right angle).

    The knee is the point farthest below the chord from the first to the last point, both axes scaled to 0 .. 1
    (Satopaa et al., 2011). It suits curves that fall and flatten, and curves that are flat and then rise.

    >>> knee([1, 2, 3, 4, 5], [9.0, 1.0, 0.8, 0.6, 0.4])[0]
    1
    """
    across, up = (np.asarray(values, dtype=np.float64) for values in (x, y))
    low, high = up.min(), up.max()
    if len(up) < 3 or high == low:
        return 0, 0.0
    share = (across - across[0]) / (across[-1] - across[0])
    scaled = (up - low) / (high - low)
    below = scaled[0] + share * (scaled[-1] - scaled[0]) - scaled
    return int(below.argmax()), float(max(below.max(), 0.0))


def stability(cluster: Callable[[NDArray[Any]], NDArray[np.int64]], x: NDArray[Any], *, seed: int = 0) -> list[float]:
    """Agreement of clusterings of four pairs of subsamples of 80 % on the rows that both hold (Ben-Hur et al., 2002).

    Args:
        cluster: rows (rows, width) -> labels (rows,).

    Returns:
        The adjusted Rand index of each pair: 1 is the same partition, 0 what chance gives.

    >>> stability(lambda x: (x[:, 0] > 0).astype(int), np.array([[-1.0], [1.0]] * 20))
    [1.0, 1.0, 1.0, 1.0]
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(_PAIRS):
        first, second, mine, theirs = _two_samples(len(x), rng)
        scores.append(float(adjusted_rand_score(cluster(x[first])[mine], cluster(x[second])[theirs])))
    return scores


def _two_samples(rows: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Row numbers of two subsamples of 80 %, and where in each of them the shared rows stand."""
    size = max(2, int(_SHARE * rows))
    first, second = (np.sort(rng.permutation(rows)[:size]) for _ in range(2))
    _, mine, theirs = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return first, second, mine, theirs


def choose_k(
    x: ArrayLike | PreparedVectors,
    grid: Sequence[int],
    *,
    criterion: str = "silhouette",
    sample_rows: int = 3000,
    seed: int = 0,
) -> Choice:
    """Number of clusters of k-means; all four criteria stand in the table, one decides.

    `silhouette` (default): the largest mean silhouette, measured on at most 2000 rows. `distortion`, `inertia`: the
    knee of the curve. `stability`: the largest k whose mean agreement lies within one standard error of the best.

    Args:
        grid: numbers to try; those that leave fewer than two rows a cluster are left out.
        criterion: what decides.
        sample_rows: of more rows, so many are drawn.

    Raises:
        OptionError: no number of the grid fits the rows.

    >>> heaps = np.repeat([0.0, 10.0, 20.0], 20)[:, None] + np.random.default_rng(0).normal(size=(60, 1))
    >>> choose_k(heaps.astype(np.float32), (2, 3, 4, 5)).value
    3
    """
    decide = _DECIDE[choose(criterion, _DECIDE, "--criterion")]
    rows = drawn(ready(x).values, sample_rows, seed)
    tried = sorted({int(k) for k in grid if 2 * k <= len(rows)})
    if not tried:
        raise OptionError("no number of clusters to try fits the rows", got=f"{len(rows)} rows, k of {list(grid)}")
    heaps = _heaps(rows, np.random.default_rng(seed))
    table = [_k_line(rows, heaps, k, seed) for k in tried]
    return _decided(decide, table)


def choose_k_of_all(table: Table, every: Mapping[int, Clustering], criterion: str) -> Choice:
    """The choice of `choose_k` once more, from k-means of all rows for each k; the rest of the table is of the sample.

    Args:
        table: of the choice on a sample.
        every: k-means of all rows, for each k of the table.
        criterion: `distortion` or `inertia`.
    """
    lines = []
    for line in table:
        one = every[line["k"]]
        rows = len(one.labels)
        lines.append(line | {
            "rows": rows, "distortion": one.distortion, "inertia": one.inertia, "smallest": int(one.sizes.min()),
            "inertia_null": line["inertia_null"] * rows / line["rows"], "empty": one.empty,
        })  # fmt: skip
    return _decided(_DECIDE[criterion], lines)


def _decided(decide: Decider, table: list[dict[str, Any]]) -> Choice:
    value, sentence, warnings = decide(table)
    edge = _at_the_edge(value, [line["k"] for line in table])
    return Choice("k", value, sentence, tuple(table), warnings=(*warnings, *edge))


def _at_the_edge(k: int, tried: Sequence[int]) -> tuple[str, ...]:
    """A sentence where the choice may only be the end of what was tried.

    >>> _at_the_edge(3, [2, 3, 4]), len(_at_the_edge(2, [2, 3, 4]))
    ((), 1)
    """
    if k not in (tried[0], tried[-1]):
        return ()
    end, beyond = ("smallest", "fewer") if k == tried[0] else ("largest", "more")
    note = "two are the fewest there can be" if k == 2 else f"{beyond} might do better"
    return (f"k = {k} is the {end} of the numbers tried ({tried[0]} to {tried[-1]}): {note}",)


def drawn(x: NDArray[np.float32], most: int, seed: int) -> NDArray[np.float32]:
    """At most so many rows, in their order.

    >>> len(drawn(np.zeros((9, 2), np.float32), 4, 0))
    4
    """
    return x if len(x) <= most else x[draw_some(len(x), most, seed)]


def _heaps(x: NDArray[np.float32], rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Gaussian draws of as many rows with the mean and the covariance of x."""
    mean = x.mean(axis=0)
    _, powers, axes = np.linalg.svd(x - mean, full_matrices=False)
    scale = (powers / np.sqrt(len(x)))[:, None] * axes  # (directions, width)
    return [
        (rng.standard_normal((len(x), len(powers)), dtype=np.float32) @ scale + mean).astype(np.float32)
        for _ in range(_NULLS)
    ]


def _k_line(x: NDArray[np.float32], heaps: list[NDArray[np.float32]], k: int, seed: int) -> dict[str, Any]:
    begun = monotonic()
    result = kmeans(PreparedVectors(x), k, starts=_STARTS, seed=seed)
    null = [kmeans(PreparedVectors(heap), k, starts=1, seed=seed) for heap in heaps]
    silhouettes = [_silhouette(heap, labels, seed) for heap, labels in zip(heaps, null, strict=True)]
    agreed = stability(lambda part: kmeans(PreparedVectors(part), k, starts=_STARTS, seed=seed).labels, x, seed=seed)
    return {
        "k": k,
        "rows": len(x),
        "distortion": result.distortion,
        "distortion_null": float(np.mean([heap.distortion for heap in null])),
        "inertia": result.inertia,
        "inertia_null": float(np.mean([heap.inertia for heap in null])),
        "silhouette": _silhouette(x, result, seed),
        "silhouette_null": float(np.mean(silhouettes)),
        "silhouette_null_sd": float(np.std(silhouettes, ddof=1)),
        "stability": float(np.mean(agreed)),
        "stability_error": float(np.std(agreed, ddof=1) / np.sqrt(len(agreed))),
        "smallest": int(result.sizes.min()),
        "empty": result.empty,
        "seconds": round(monotonic() - begun, 3),
    }


def _silhouette(x: NDArray[np.float32], clusters: Clustering, seed: int) -> float:
    """Mean silhouette (Rousseeuw, 1987) of at most 2000 rows; 0 where one cluster is left."""
    chosen = np.random.default_rng(seed).permutation(len(x))[:_SILHOUETTE_ROWS]
    labels = clusters.labels[chosen]
    if not 2 <= len(np.unique(labels)) < len(labels):
        return 0.0
    return float(Silhouettes.of(x[chosen], rows=_SILHOUETTE_ROWS).values(labels).mean())


def _by_silhouette(table: list[dict[str, Any]]) -> Decision:
    best = max(table, key=lambda line: line["silhouette"])
    warnings: tuple[str, ...] = ()
    if best["silhouette"] <= best["silhouette_null"] + _CLEAR * best["silhouette_null_sd"]:
        null = f"{best['silhouette_null']:.3f} +- {best['silhouette_null_sd']:.3f}"
        warnings = (
            f"the silhouette {best['silhouette']:.3f} of k = {best['k']} is not clearly above that of one heap with "
            f"the same covariance, {null}: no sign of separate clusters",
        )
    return best["k"], "largest mean silhouette", warnings


def _by_knee(name: str, table: list[dict[str, Any]]) -> Decision:
    grid = [line["k"] for line in table]
    index, bend = knee(grid, [line[name] for line in table])
    _, null_bend = knee(grid, [line[f"{name}_null"] for line in table])
    warnings: tuple[str, ...] = ()
    if bend <= null_bend + 0.1:
        warnings = (
            f"the {name} curve has no elbow of its own: it bends by {bend:.2f}, that of one heap with the same "
            f"covariance by {null_bend:.2f}",
        )
    return grid[index], f"knee of the {name} curve (bend {bend:.2f})", warnings


def _by_stability(table: list[dict[str, Any]]) -> Decision:
    best = max(table, key=lambda line: line["stability"])
    floor = best["stability"] - best["stability_error"]
    chosen = max(line["k"] for line in table if line["stability"] >= floor)
    return chosen, "largest k whose stability lies within one standard error of the best", ()


_DECIDE: dict[str, Decider] = {
    "silhouette": _by_silhouette,
    **{name: partial(_by_knee, name) for name in KNEES},
    "stability": _by_stability,
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
    agreed = np.array([_agreement(rows, sizes, min_samples, rng) for _ in range(_PAIRS)])  # (pairs, sizes)
    return [
        {
            "min_cluster_size": round(size * len(x) / len(rows)),
            "rows": len(rows),
            "clusters": int(clusters.max()) + 1,
            "noise": int((clusters < 0).sum()),
            "noise_share": float((clusters < 0).mean()),
            "largest": int(np.bincount(clusters + 1)[1:].max(initial=0)),
            "stability": float(scores.mean()),
            "stability_error": float(scores.std(ddof=1) / np.sqrt(_PAIRS)),
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

    smaller = [max(2, round(_SHARE * size)) for size in sizes]
    first, second, mine, theirs = _two_samples(len(x), rng)
    pair = (_all_sizes(x[rows], smaller, min_samples) for rows in (first, second))
    return [float(adjusted_rand_score(a[mine], b[theirs])) for a, b in zip(*pair, strict=True)]
