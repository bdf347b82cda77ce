"""k-means of all rows, several k in one reading: starts from a sample, then Lloyd's passes (Lloyd, 1982) to the end.

The starts are the best of several k-means of scikit-learn on a seeded sample. A pass reads every row once. It ends when
no row changes its cluster or the inertia falls by less than a ten-thousandth. A cluster without rows begins anew at a
row that is far from its centroid. Labels and figures come from a last reading, in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.errors import StoreError
from separatrix.geometry.checks import check_count, check_k
from separatrix.geometry.cluster import Clustering, kmeans_centroids
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.pending import task_key
from separatrix.scale.sample import draw_rows
from separatrix.store.partials import read_partial, write_partial

Matrix = NDArray[np.float64]

TOLERANCE = 1e-4  # relative fall of the inertia below which k-means has ended
PASSES = 300
_SAMPLE_ROWS = 16_384  # at least, for the starts
_A_CENTROID = 256  # rows of the sample for each centroid
_AGAIN = 10  # passes in which clusters without rows are begun anew


@dataclass
class Lloyd:
    """One k on its way: centroids in the space in which the sample's mean is 0."""

    centroids: Matrix  # (k, width)
    inertia: float = np.inf  # of the centroids before these
    passes: int = 0
    refilled: int = 0  # passes after which clusters were begun anew
    done: bool = False

    def step(self, sums: Matrix, counts: NDArray[np.int64], squares: float) -> bool:
        """Take in a pass; whether clusters without rows are to be begun anew."""
        used = self.centroids.astype(np.float32).astype(np.float64)
        lengths = (used * used).sum(axis=1)
        inertia = max(squares - float((2 * sums * used).sum()) + float(counts @ lengths), 0.0)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], self.centroids)
        slow = bool(np.isfinite(self.inertia)) and self.inertia - inertia <= TOLERANCE * self.inertia
        still = slow or bool((means == self.centroids).all())
        empty = bool((counts == 0).any()) and self.refilled < _AGAIN
        self.centroids, self.inertia = means, inertia
        self.passes += 1
        self.done = (still and not empty) or self.passes >= PASSES
        return empty

    def refill(self, rows: Matrix, counts: NDArray[np.int64]) -> None:
        """Put centroids without rows at these rows, the farthest first; where none is away from its centroid, stay."""
        empty = np.flatnonzero(counts == 0)[: len(rows)]
        self.centroids[empty] = rows[: len(empty)]
        self.inertia = np.inf
        self.refilled = self.refilled + 1 if len(rows) else _AGAIN


def kmeans(
    source: BlockSource, ks: Sequence[int], prepare: Preparation, job: BlockJob, *, starts: int = 10, seed: int = 0
) -> dict[int, Clustering]:
    """k-means for each k, read together.

    Args:
        source: (rows, width).
        ks: numbers of clusters.
        prepare: what is done to the rows first.
        job: who computes.
        starts: of k-means on the sample; the best is gone on with.
        seed: of the sample and the starts.

    Raises:
        OptionError: more clusters than rows.

    >>> from separatrix.scale.job import BlockJob
    >>> result = kmeans(BlockSource.of(np.array([[0.0], [0.2], [9.0], [9.2]])), [2], Preparation(), BlockJob())[2]
    >>> result.sizes.tolist(), round(result.inertia, 3), round(result.distortion, 3)
    ([2, 2], 0.04, 0.1)
    """
    begun = monotonic()
    for k in ks:
        check_count(k, "k")
        check_k(k, source.rows)
    rows = draw_rows(source.rows, sample_rows(max(ks)), seed)
    sample = prepare.apply(source.take(rows))
    centred = prepare.moved(sample.mean(axis=0, dtype=np.float64))
    assert centred.offset is not None
    sample = (sample - centred.offset).astype(np.float32)
    running = {k: Lloyd(kmeans_centroids(sample, k, starts=starts, seed=seed)) for k in dict.fromkeys(ks)}
    finish(running, source, centred, job)
    return {k: clustering(source, prepare, one.centroids + centred.offset, job, begun) for k, one in running.items()}


def sample_rows(k: int) -> int:
    """Rows of the sample that the starts come from."""
    return max(_SAMPLE_ROWS, _A_CENTROID * k)


def finish(running: Mapping[int, Lloyd], source: BlockSource, prepare: Preparation, job: BlockJob) -> None:
    """Passes over all rows until every k has ended; each leaves its centroids, from which the work goes on."""
    path = None
    if job.pending is not None:
        path = job.pending / f"{task_key(finish, (source, prepare, [one.centroids for one in running.values()]))}.npz"
        _resume(running, path)
    squares = None  # of all rows: the same in every pass
    while going := [k for k, one in running.items() if not one.done]:
        lines = [running[k] for k in going]
        centroids = tuple(one.centroids.astype(np.float32) for one in lines)
        tasks = [(part, prepare, centroids, squares is None) for _, part in parts(source)]
        every, total = sum(map(len, centroids)), 0.0
        sums, counts = np.zeros((every, source.width)), np.zeros(every, np.int64)
        for partial in job.run(f"k-means, pass {lines[0].passes + 1}", kernels.lloyd, tasks):
            sums += partial["sums"]
            counts += partial["counts"]
            total += float(partial["squares"])
        squares = total if squares is None else squares
        end = 0
        for one in lines:
            part, end = slice(end, end + len(one.centroids)), end + len(one.centroids)
            if one.step(sums[part], counts[part], squares):
                one.refill(_farthest(source, prepare, one.centroids, job), counts[part])
        if path is not None:
            _keep(running, path)


def _farthest(source: BlockSource, prepare: Preparation, centroids: Matrix, job: BlockJob) -> Matrix:
    """The rows farthest from their centroids, farthest first, each once; none that lies on its centroid."""
    tasks = [(part, prepare, centroids) for _, part in parts(source)]
    far, gaps = [], []
    for (start, _), partial in zip(parts(source), job.run("k-means, far rows", kernels.assign, tasks), strict=True):
        far.append(partial["far"] + start)
        gaps.append(partial["far_gap"])
    index, gap = np.concatenate(far), np.concatenate(gaps)
    order = np.lexsort((index, -gap))[: len(centroids)]
    rows = prepare.apply(source.take(index[order[gap[order] > 0]])).astype(np.float64)
    return rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]


def clustering(source: BlockSource, prepare: Preparation, centroids: Matrix, job: BlockJob, begun: float) -> Clustering:
    """Labels and figures of all rows, as `geometry.cluster.kmeans` gives them."""
    k = len(centroids)
    labels = np.empty(source.rows, np.int64)
    squared = plain = 0.0
    nearest, gaps = np.full(k, -1), np.full(k, np.inf)
    tasks = [(part, prepare, centroids) for _, part in parts(source)]
    for (start, part), partial in zip(parts(source), job.run("labels", kernels.assign, tasks), strict=True):
        labels[start : start + part.rows] = partial["labels"]
        squared, plain = squared + float(partial["squared"]), plain + float(partial["plain"])
        closer = partial["nearest_gap"] < gaps
        nearest[closer], gaps[closer] = partial["nearest"][closer] + start, partial["nearest_gap"][closer]
    codes, used = encode(labels)
    return Clustering(
        "kmeans", codes, "blocks", round(monotonic() - begun, 3), centroids=centroids[used], inertia=squared,
        distortion=plain / source.rows, exemplars=nearest[used], empty=k - len(used),
    )  # fmt: skip


def _keep(running: Mapping[int, Lloyd], path: Path) -> None:
    arrays = {f"centroids {k}": one.centroids for k, one in running.items()}
    arrays |= {f"state {k}": np.array([one.inertia, one.passes, one.refilled, one.done]) for k, one in running.items()}
    write_partial(path, arrays)


def _resume(running: Mapping[int, Lloyd], path: Path) -> None:
    """Go on after the last pass that was kept; a damaged file is as good as none."""
    try:
        arrays = read_partial(path)
    except StoreError:
        return
    for k, one in running.items():
        inertia, passes, refilled, done = arrays[f"state {k}"].tolist()
        one.centroids, one.inertia, one.done = arrays[f"centroids {k}"], inertia, bool(done)
        one.passes, one.refilled = int(passes), int(refilled)
