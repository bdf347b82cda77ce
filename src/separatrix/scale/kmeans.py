"""k-means of all rows, several k in one reading: starts from a sample, then Lloyd's passes (Lloyd, 1982) to the end.

The starts are the best of several k-means of scikit-learn on a seeded sample (`scale.starts`). A pass counts every row,
but reads only those that may change their cluster: bounds on each row's distances say which rows stay (Hamerly, 2010).
It ends when no row changes its cluster or the inertia falls by less than a ten-thousandth. A cluster without rows
begins anew at a row that is far from its centroid. Labels and figures come from a last reading, in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.geometry.checks import check_count, check_k
from separatrix.geometry.cluster import Clustering
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.lloyd import Bounds, lloyd
from separatrix.scale.pending import KeptState
from separatrix.scale.starts import Starts

Matrix = NDArray[np.float64]

_ROUNDING = 2.0**-20  # of the square of a row in float32
TOLERANCE = 1e-4  # relative fall of the inertia below which k-means has ended
PASSES = 300
_AGAIN = 10  # passes in which clusters without rows are begun anew
KEEP_SECONDS = 5.0  # between two states that are kept
_STATE = ("centroids", "inertia", "passes", "refilled", "done", "sums", "counts", "moves")


@dataclass
class Lloyd:
    """One k on its way: centroids in the space in which the sample's median is 0."""

    centroids: Matrix  # (k, width)
    inertia: float = np.inf  # of the centroids before these
    passes: int = 0
    refilled: int = 0  # passes after which clusters were begun anew
    done: bool = False
    read: int = 0  # rows that were read, in all passes since it began or went on
    sums: Matrix = field(init=False)  # of the rows of each cluster, (k, width)
    counts: NDArray[np.int64] = field(init=False)  # (k,)
    moves: NDArray[np.float32] = field(init=False)  # of the centroids since the bounds were measured, (k,)
    bounds: Bounds = field(init=False)

    @property
    def narrow(self) -> NDArray[np.float32]:
        """The centroids that rows are compared with, (k, width)."""
        return self.centroids.astype(np.float32)

    def begin(self, rows: int) -> None:
        """Before the first pass over so many rows."""
        k = len(self.centroids)
        self.sums, self.counts = np.zeros(self.centroids.shape), np.zeros(k, np.int64)
        self.bounds, self.moves = Bounds.none(rows), np.zeros(k, np.float32)

    def step(self, squares: float) -> bool:
        """Take in a pass, with the squares of all rows; whether clusters without rows are to be begun anew."""
        self.sums[self.counts == 0] = 0  # all that is left of the rows that went is rounding
        used = self.narrow.astype(np.float64)
        lengths = (used * used).sum(axis=1)
        inertia = squares - float((2 * self.sums * used).sum()) + float(self.counts @ lengths)
        means = np.where(self.counts[:, None] > 0, self.sums / np.maximum(self.counts, 1)[:, None], self.centroids)
        sure = max(self.inertia - _ROUNDING * squares, 0.0)  # a far row's square hides the others
        slow = sure > 0 and bool(np.isfinite(self.inertia)) and self.inertia - inertia <= TOLERANCE * sure
        still = slow or bool((means == self.centroids).all())
        empty = bool((self.counts == 0).any()) and self.refilled < _AGAIN
        self.centroids, self.inertia = means, inertia
        self.passes += 1
        self.done = (still and not empty) or self.passes >= PASSES
        return empty

    def refill(self, rows: Matrix) -> None:
        """Put centroids without rows at these rows, the farthest first; where none is away from its centroid, stay."""
        empty = np.flatnonzero(self.counts == 0)[: len(rows)]
        self.centroids[empty] = rows[: len(empty)]
        self.inertia = np.inf
        self.refilled = self.refilled + 1 if len(rows) else _AGAIN

    def measure_moves(self, before: NDArray[np.float32]) -> None:
        """How far the centroids are from those (k, width) that rows were compared with, rounded up."""
        gaps = self.narrow.astype(np.float64) - before
        self.moves = np.nextafter(np.linalg.norm(gaps, axis=1).astype(np.float32), np.float32(np.inf))


def kmeans(
    source: BlockSource, ks: Sequence[int], prepare: Preparation, job: BlockJob, *, starts: int = 10, seed: int = 0
) -> dict[int, Clustering]:
    """k-means for each k, read together.

    Args:
        ks: numbers of clusters.
        starts: of k-means on the sample; the best is gone on with.

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
    first = Starts.of(source, prepare, job, ks, starts=starts, seed=seed)
    running = dict[int, Lloyd]()
    for number, k in enumerate(dict.fromkeys(ks), 1):
        running[k] = Lloyd(first.centroids(k))
        job.progress("k-means, starts", number, len({*ks}), "")
    finish(running, source, first.prepare, job)
    assert first.prepare.offset is not None
    return clusterings(
        source, prepare, {k: one.centroids + first.prepare.offset for k, one in running.items()}, job, begun
    )


def finish(running: Mapping[int, Lloyd], source: BlockSource, prepare: Preparation, job: BlockJob) -> None:
    """Passes over all rows until every k has ended; every few seconds their state is kept, from which work goes on."""
    state, squares = None, 0.0
    for one in running.values():
        one.begin(source.rows)
    if job.pending is not None:
        starts = [one.centroids for one in running.values()]
        state = KeptState.of(job.pending, finish, (source, prepare, starts, job.device))
        squares = _resume(running, state.load())
    kept = -KEEP_SECONDS  # the first pass reads all rows: it is kept
    while lines := [one for one in running.values() if not one.done]:
        used = [one.narrow for one in lines]
        squares += _read(lines, used, source, prepare, job)
        for one, before in zip(lines, used, strict=True):
            if one.step(squares):
                one.refill(_farthest(source, prepare, one.centroids, job))
            one.measure_moves(before)
        if state is not None and monotonic() - kept >= KEEP_SECONDS:
            state.save(_state(running, squares))
            kept = monotonic()


def _read(
    lines: Sequence[Lloyd],
    used: Sequence[NDArray[np.float32]],
    source: BlockSource,
    prepare: Preparation,
    job: BlockJob,
) -> float:
    """A pass: sums, counts and bounds of each k; the squares of rows that were read for the first time."""
    ranges = [(start, start + part.rows) for start, part in parts(source)]
    tasks = [
        (part, prepare, tuple(used), tuple(one.moves for one in lines), tuple(one.bounds.part(*where) for one in lines))
        for where, (_, part) in zip(ranges, parts(source), strict=True)
    ]
    squares = 0.0
    cuts = np.cumsum([len(one) for one in used])[:-1]
    for where, partial in zip(ranges, job.run(f"k-means, pass {lines[0].passes + 1}", lloyd, tasks), strict=True):
        squares += float(partial["squares"])
        sums, counts = np.split(partial["sums"], cuts), np.split(partial["counts"], cuts)
        for number, one in enumerate(lines):
            one.read += int(partial["read"])
            one.sums += sums[number]
            one.counts += counts[number]
            for name, array in zip(Bounds._fields, one.bounds.part(*where), strict=True):
                array[:] = partial[name][number]
    return squares


def _farthest(source: BlockSource, prepare: Preparation, centroids: Matrix, job: BlockJob) -> Matrix:
    """The rows farthest from their centroids, farthest first, each once; none that lies on its centroid."""
    tasks = [(part, prepare, (centroids,)) for _, part in parts(source)]
    far, gaps = [], []
    for (start, _), partial in zip(parts(source), job.run("k-means, far rows", kernels.assign, tasks), strict=True):
        far.append(partial["0 far"] + start)
        gaps.append(partial["0 far_gap"])
    index, gap = np.concatenate(far), np.concatenate(gaps)
    order = np.lexsort((index, -gap))[: len(centroids)]
    rows = prepare.apply(source.take(index[order[gap[order] > 0]])).astype(np.float64)
    return rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]


def clusterings(
    source: BlockSource, prepare: Preparation, centroids: Mapping[int, Matrix], job: BlockJob, begun: float
) -> dict[int, Clustering]:
    """Labels and figures of all rows for each k, as `geometry.cluster.kmeans` gives them, from one reading."""
    tasks = [(part, prepare, tuple(centroids.values())) for _, part in parts(source)]
    every = [_Labels.of(source.rows, k) for k in centroids]
    for (start, _), partial in zip(parts(source), job.run("labels", kernels.assign, tasks), strict=True):
        for number, one in enumerate(every):
            one.add(start, {name: partial[f"{number} {name}"] for name in _Labels.NAMES})
    seconds = round(monotonic() - begun, 3)
    return {k: one.clustering(centroids[k], seconds) for k, one in zip(centroids, every, strict=True)}


@dataclass
class _Labels:
    """The nearest centroid of each row, and the sums over rows, task by task."""

    NAMES: ClassVar = ("labels", "squared", "plain", "nearest", "nearest_gap")
    labels: NDArray[np.int32]  # (rows,)
    nearest: NDArray[np.int64]  # (k,), the row nearest to each centroid
    gaps: Matrix  # (k,), how near it is
    squared: float = 0.0
    plain: float = 0.0

    @classmethod
    def of(cls, rows: int, k: int) -> _Labels:
        """Before the first task."""
        return cls(np.empty(rows, np.int32), np.full(k, -1), np.full(k, np.inf))

    def add(self, start: int, partial: kernels.Partial) -> None:
        """Take in a task that begins with this row."""
        self.labels[start : start + len(partial["labels"])] = partial["labels"]
        self.squared += float(partial["squared"])
        self.plain += float(partial["plain"])
        closer = partial["nearest_gap"] < self.gaps
        self.nearest[closer], self.gaps[closer] = partial["nearest"][closer] + start, partial["nearest_gap"][closer]

    def clustering(self, centroids: Matrix, seconds: float) -> Clustering:
        """All tasks together; clusters without rows are left out."""
        codes, used = encode(self.labels)
        return Clustering(
            "kmeans", codes, "blocks", seconds, centroids=centroids[used], inertia=self.squared,
            distortion=self.plain / len(codes), exemplars=self.nearest[used], empty=len(centroids) - len(used),
        )  # fmt: skip


def _state(running: Mapping[int, Lloyd], squares: float) -> dict[str, Any]:
    """All that the next pass depends on."""
    arrays: dict[str, Any] = {"squares": squares}
    for k, one in running.items():
        arrays |= {f"{k} {name}": getattr(one, name) for name in _STATE}
        arrays |= {f"{k} {name}": array for name, array in one.bounds._asdict().items()}
    return arrays


def _resume(running: Mapping[int, Lloyd], state: Mapping[str, Any]) -> float:
    """Go on after the pass that a state is of; the squares of all rows, 0 where no pass was read."""
    if not state:
        return 0.0
    for k, one in running.items():
        for name in _STATE:
            value = state[f"{k} {name}"]
            setattr(one, name, value if value.ndim else value.item())
        one.bounds = Bounds(*(state[f"{k} {name}"] for name in Bounds._fields))
    return float(state["squares"])
