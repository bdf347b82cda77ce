"""Rows into clusters: k-means, DBSCAN, HDBSCAN behind one dict.

Labels are 0, 1, 2 ... and -1 for noise. Every row given is labelled, and the inertia is computed again over all of
them from the centroids, whatever the library reports (a published index trained on a silent subsample). Where
scikit-learn-intelex is installed it does the work, and the labels are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.codes import encode
from separatrix.errors import DataError, MissingExtra, OptionError, choose
from separatrix.geometry.checks import check_count, check_k
from separatrix.geometry.condense import CondensedTree, condense
from separatrix.geometry.density import IN_MEMORY, Reading, dbscan
from separatrix.geometry.prepare import PreparedVectors, ready
from separatrix.progress import Progress

NOISE = -1
_BLOCK = 8192  # rows compared with all centroids at a time
_FAST_ROWS, _FAST_WIDTH = 50_000, 50  # beyond and below: fast_hdbscan is worth its slow import


@dataclass(frozen=True, eq=False)
class Clustering:
    """A label for each row, and the figures of the method that gave it; what does not apply is None."""

    method: str
    labels: NDArray[np.int64]  # (rows,): 0 .. clusters - 1, or -1 for noise
    engine: str  # the library that computed it
    seconds: float
    centroids: NDArray[np.float64] | None = None  # (clusters, width) in the prepared space
    inertia: float | None = None  # sum over all rows of the squared distance to the nearest centroid
    distortion: float | None = None  # mean over all rows of the distance to the nearest centroid
    eps: float | None = None
    exemplars: NDArray[np.int64] | None = None  # (clusters,): the row that stands for each cluster
    empty: int = 0  # centroids that no row is nearest to
    tree: CondensedTree | None = None

    @property
    def clusters(self) -> int:
        """How many clusters have rows; noise is none of them."""
        return len(self.sizes)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each cluster, (clusters,)."""
        inside = self.labels[self.labels >= 0]
        return np.bincount(inside).astype(np.int64) if len(inside) else np.empty(0, np.int64)

    @property
    def noise(self) -> int:
        """Rows in no cluster."""
        return int((self.labels == NOISE).sum())


def kmeans(
    x: ArrayLike | PreparedVectors,
    k: int,
    *,
    starts: int = 10,
    minibatch: bool = False,
    engine: str = "auto",
    seed: int = 0,
) -> Clustering:
    """k-means (Lloyd, 1982; k-means++ starts of Arthur and Vassilvitskii, 2007), the best of several starts.

    Args:
        k: clusters.
        starts: how often it begins anew.
        minibatch: learn the centroids from batches of 1024 rows (Sculley, 2010).
        engine: `scikit-learn`, `cuml` (on a GPU), or `auto`: scikit-learn-intelex where it is installed.

    Raises:
        OptionError: more clusters than rows; an engine without `minibatch`.
        MissingExtra: `cuml` is not installed.

    >>> result = kmeans([[0.0], [0.2], [9.0], [9.2]], 2)
    >>> result.sizes.tolist(), round(result.inertia, 3), round(result.distortion, 3)
    ([2, 2], 0.04, 0.1)
    """
    begun = monotonic()
    check_count(k, "k")
    values = ready(x).values
    check_k(k, len(values))
    if choose(engine, KMEANS_ENGINES, "--engine") == "cuml" and minibatch:
        raise OptionError("--engine cuml has no --minibatch", hint="leave one of them away")
    library, _ = _estimator("MiniBatchKMeans" if minibatch else "KMeans", engine)
    centroids = kmeans_centroids(values, k, starts=starts, minibatch=minibatch, engine=engine, seed=seed)
    nearest, distance = nearest_centroid(values, centroids)
    labels, used = encode(nearest)
    return Clustering(
        "kmeans",
        labels,
        library,
        round(monotonic() - begun, 3),
        centroids=centroids[used],
        inertia=float((distance**2).sum()),
        distortion=float(distance.mean()),
        exemplars=_nearest_rows(labels, distance),
        empty=k - len(used),
    )


def kmeans_centroids(
    x: NDArray[np.float32],
    k: int,
    *,
    starts: int = 10,
    minibatch: bool = False,
    engine: str = "auto",
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Centroids (k, width) of the best of several starts; see `kmeans`. `weights` (rows,): what each row counts."""
    _, cls = _estimator("MiniBatchKMeans" if minibatch else "KMeans", engine)
    more = {"batch_size": 1024} if minibatch else {}
    with _quiet_about_equal_rows():
        fitted = cls(n_clusters=k, n_init=starts, random_state=seed, **more).fit(x, sample_weight=weights)
    return np.asarray(fitted.cluster_centers_, dtype=np.float64)


def nearest_centroid(
    x: NDArray[np.floating], centroids: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest centroid of every row and the distance to it, in float64, block by block.

    >>> nearest_centroid(np.array([[1.0], [8.0]]), np.array([[0.0], [10.0]]))
    (array([0, 1]), array([1., 2.]))
    """
    labels, distance = np.empty(len(x), np.int64), np.empty(len(x))
    lengths = (centroids**2).sum(axis=1)
    for start in range(0, len(x), _BLOCK):
        part = slice(start, start + _BLOCK)
        block = x[part].astype(np.float64)
        labels[part] = (lengths - 2 * block @ centroids.T).argmin(axis=1)
        distance[part] = np.linalg.norm(block - centroids[labels[part]], axis=1)
    return labels, distance


def dbscan_clusters(
    x: ArrayLike | PreparedVectors,
    eps: float,
    *,
    min_samples: int = 10,
    progress: Progress | None = None,
    reading: Reading = IN_MEMORY,
) -> Clustering:
    """DBSCAN in bounded memory; see `density.dbscan`, which gives scikit-learn's labels.

    >>> dbscan_clusters([[0.0], [0.1], [5.0], [5.1], [99.0]], 0.5, min_samples=2).labels
    array([ 0,  0,  1,  1, -1])
    """
    begun = monotonic()
    labels = dbscan(ready(x).values, eps, min_samples, progress=progress, reading=reading).labels
    return Clustering("dbscan", labels, "separatrix", round(monotonic() - begun, 3), eps=float(eps))


def hdbscan(
    x: ArrayLike | PreparedVectors, min_cluster_size: int = 20, *, min_samples: int = 10, engine: str = "auto"
) -> Clustering:
    """HDBSCAN (Campello, Moulavi and Sander, 2013) with its condensed tree; exemplar = the row that stays longest.

    Args:
        min_cluster_size: smallest cluster.
        min_samples: rows, itself counted, whose reach is the core distance.
        engine: `scikit-learn`; `fast_hdbscan` (extra `maps`), which is faster from about 50,000 rows of at most 50
            columns; `auto` takes it there if it is installed; `cuml`, on a GPU.

    Raises:
        DataError: fewer rows than `min_samples`; as `prepare`.
        MissingExtra: the engine is not installed.

    >>> result = hdbscan(np.r_[np.arange(6) / 10, 50 + np.arange(6) / 10][:, None], 4, min_samples=2)
    >>> result.sizes.tolist(), result.noise, len(result.tree.selected)
    ([6, 6], 0, 2)
    """
    begun = monotonic()
    check_count(min_cluster_size, "min_cluster_size", low=2)
    values = ready(x).values
    if min_samples > len(values):
        raise DataError(
            "fewer rows than min_samples",
            got=f"{len(values)} rows",
            expected=f"{min_samples} or more",
            hint="pass a smaller --min-samples",
        )
    chosen = choose(engine, _HDBSCAN, "--engine") if engine != "auto" else _auto_engine(values)
    labels, linkage = _HDBSCAN[chosen](values, min_cluster_size, min_samples)
    tree = condense(linkage, min_cluster_size, labels)
    seconds = round(monotonic() - begun, 3)
    return Clustering("hdbscan", labels, chosen, seconds, exemplars=tree.exemplars(labels), tree=tree)


def scikit_hdbscan(x: NDArray[np.float32], size: int, samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and single-linkage tree (rows - 1, 4) of scikit-learn."""
    from sklearn.cluster import HDBSCAN

    # A k-d tree walks the spanning tree in memory that grows with the rows, not with their square.
    fitted = HDBSCAN(min_cluster_size=size, min_samples=samples, algorithm="kd_tree", copy=True).fit(x)
    merged = fitted._single_linkage_tree_
    linkage = np.column_stack([merged[name] for name in ("left_node", "right_node", "value", "cluster_size")])
    return fitted.labels_.astype(np.int64), linkage.astype(np.float64)


def _fast_hdbscan(x: NDArray[np.float32], size: int, samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        from fast_hdbscan import HDBSCAN
    except ImportError as error:
        raise MissingExtra("fast_hdbscan is not installed", hint='pip install "separatrix[maps]"') from error
    # It does not count the row itself among min_samples.
    fitted = HDBSCAN(min_cluster_size=size, min_samples=max(samples - 1, 1)).fit(x)
    return fitted.labels_.astype(np.int64), np.asarray(fitted._single_linkage_tree, dtype=np.float64)


def _cuml_hdbscan(x: NDArray[np.float32], size: int, samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    fitted = _cuml("HDBSCAN")(min_cluster_size=size, min_samples=samples, output_type="numpy").fit(x)
    merged = fitted.single_linkage_tree_.to_numpy()
    linkage = np.column_stack([merged[name] for name in merged.dtype.names])
    return np.asarray(fitted.labels_, np.int64), linkage.astype(np.float64)


def _cuml(name: str) -> Any:
    """A class of cuML, which needs a GPU."""
    try:
        return getattr(import_module("cuml.cluster"), name)
    except ImportError as error:
        hint = "pip install cuml-cu12 on a machine with a GPU, or leave --engine away"
        raise MissingExtra("cuml is not installed", hint=hint) from error


KMEANS_ENGINES = ("auto", "scikit-learn", "cuml")
_HDBSCAN: dict[str, Callable[..., Any]] = {
    "scikit-learn": scikit_hdbscan,
    "fast_hdbscan": _fast_hdbscan,
    "cuml": _cuml_hdbscan,
}


def _auto_engine(x: NDArray[np.float32]) -> str:
    from importlib.util import find_spec

    large = len(x) >= _FAST_ROWS and x.shape[1] <= _FAST_WIDTH
    return "fast_hdbscan" if large and find_spec("fast_hdbscan") is not None else "scikit-learn"


def _estimator(name: str, engine: str) -> tuple[str, Any]:
    """The class of an engine; `auto`: that of scikit-learn-intelex where it is installed and has one."""
    if engine == "cuml":
        return "cuml", partial(_cuml(name), init="k-means++", output_type="numpy")
    if engine == "scikit-learn":
        return engine, getattr(import_module("sklearn.cluster"), name)
    try:
        return "scikit-learn-intelex", getattr(import_module("sklearnex.cluster"), name)
    except (ImportError, AttributeError):
        return "scikit-learn", getattr(import_module("sklearn.cluster"), name)


def _quiet_about_equal_rows() -> Any:
    """`empty` says that fewer clusters than k were found; scikit-learn's warning would say it twice."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)


def _nearest_rows(labels: NDArray[np.int64], distance: NDArray[np.float64]) -> NDArray[np.int64]:
    """The row of each cluster that is nearest to its centroid, the lower one on a tie."""
    order = np.lexsort((distance, labels))
    return order[np.unique(labels[order], return_index=True)[1]].astype(np.int64)
