"""How many clusters: chosen by one stated criterion, with the whole table kept.

Beside each figure of k-means stands the same figure for a null: one heap with the data's own mean and covariance
(Liu et al., 2008, "SigClust", in its simplest form). A silhouette that the heap has too, or an elbow that the heap's
curve has too, is no sign of clusters.
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
from separatrix.errors import OptionError, choose
from separatrix.geometry.cluster import Clustering, kmeans
from separatrix.geometry.prepare import PreparedVectors, ready
from separatrix.geometry.separation import Silhouettes

_STARTS = 3  # of each k-means of a choice
PAIRS = 4  # pairs of subsamples behind a stability
SHARE = 0.8  # rows of a subsample
_NULLS = 5  # heaps drawn for the null, each clustered once
_CLEAR = 3.0  # standard deviations of the null above its mean from which a silhouette is no chance
_SILHOUETTE_ROWS = 2000
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
    for _ in range(PAIRS):
        first, second, mine, theirs = two_samples(len(x), rng)
        scores.append(float(adjusted_rand_score(cluster(x[first])[mine], cluster(x[second])[theirs])))
    return scores


def two_samples(rows: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Row numbers of two subsamples of 80 %, and where in each of them the shared rows stand."""
    size = max(2, int(SHARE * rows))
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
