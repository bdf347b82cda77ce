"""Rates of this machine, measured in seconds with the very code that is planned, on synthetic rows of a width.

Every worker computes at the same time, so that what they share (memory, threads of one core) is in the rate of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import numpy as np
from scipy.linalg import eigh

from separatrix.geometry.density import listing_seconds
from separatrix.geometry.plane import Plane
from separatrix.geometry.prepare import STEPS
from separatrix.scale import costs, kernels
from separatrix.scale.blocks import BlockSource, parts, task_rows
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.kmeans import PASSES, Lloyd, clusterings, finish
from separatrix.scale.moments import coordinates, moments

LEAST = 0.4  # seconds of a measurement
_PIECE_ROWS = 4096  # that synthetic rows repeat
_TASK_NUMBERS = 1 << 24  # of a task, at most
_ROUNDS = 2  # tasks of each worker
_READ_BYTES, _WRITTEN_BYTES = 64 << 20, 32 << 20
_FLOATS = {1: "float16", 2: "float16", 4: "float32", 8: "float64"}  # by the bytes of a number; int8 has scales, too
_MEMBERS = 2048  # rows that stand for those of a sample
_PAIRED, _PAIRED_NUMBERS = 65_536, 1 << 25  # rows whose pairs stand for those of all, and numbers of them, at most


def timed(run: Callable[[], Any], least: float = LEAST) -> float:
    """Mean seconds of a call, over so many seconds; the first call is not counted."""
    run()
    begun, calls = monotonic(), 0
    while not calls or monotonic() - begun < least:
        run()
        calls += 1
    return (monotonic() - begun) / calls


@dataclass(frozen=True, eq=False)
class KernelJob:
    """Some of the rows, or synthetic ones, in tasks as large as those of the work; and what is done to them."""

    source: BlockSource
    job: BlockJob
    workers: int
    prepare: Preparation
    k: int
    dimensions: int

    @classmethod
    def of(
        cls, shape: costs.Shape, job: BlockJob, workers: int, source: BlockSource | None = None, *,
        how: str = "none", k: int = 35, dimensions: int = 2,
    ) -> KernelJob:  # fmt: skip
        """The first rows of a source, or made-up ones of a shape, for a few tasks of each worker."""
        width = shape.width
        step = min(task_rows(shape.rows, width), max(_PIECE_ROWS, _TASK_NUMBERS // width))
        rows = _ROUNDS * workers * step
        if source is None:
            piece = np.random.default_rng(0).standard_normal((_PIECE_ROWS, width), dtype=np.float32)
            source = BlockSource.of(np.tile(piece.astype(_FLOATS[shape.number_bytes]), (rows // _PIECE_ROWS, 1)))
        matrix = np.eye(width) if how == "whiten" else None
        prepare = Preparation(how) if not STEPS[how] else Preparation(how, np.zeros(width), np.ones(width), matrix)
        part = replace(source.part(0, min(rows, source.rows)), step=step)
        return cls(part, job, workers, prepare, min(k, part.rows), dimensions)

    @property
    def shape(self) -> costs.Shape:
        """Of these rows."""
        return costs.Shape(self.source.rows, self.source.width)

    @property
    def centroids(self) -> np.ndarray:
        """Rows that stand for the means of clusters, (k, width)."""
        return np.random.default_rng(1).standard_normal((self.k, self.source.width))

    def rate(self, kernel: str) -> float:
        """FLOP of a worker a second."""
        flop, run = KERNELS[kernel](self)
        return flop / (run() if kernel in ESTIMATED else timed(run)) / (1 if kernel in ALONE else self.workers)


def _moments(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    return costs.prepare_stages(job.shape, "none")[0].flop, lambda: moments(job.source, job.job, prepare=job.prepare)


def _products(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    flop = costs.pca_stages(job.shape, 1)[0].flop
    return flop, lambda: moments(job.source, job.job, full=True, prepare=job.prepare)


def _eigh(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    size = min(job.source.width, 1024)
    rows = np.random.default_rng(0).standard_normal((2 * size, size))
    few = None if job.prepare.how == "whiten" else (size - min(job.dimensions, size), size - 1)
    return 9.0 * size**3, lambda: eigh(rows.T @ rows, subset_by_index=few)


def _coordinates(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    plane = Plane(np.zeros(job.source.width), np.eye(job.dimensions, job.source.width), np.zeros(job.dimensions))
    return costs.pca_stages(job.shape, job.dimensions)[2].flop, lambda: coordinates(
        job.source, plane, job.job, prepare=job.prepare
    )


def _lloyd(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    flop = 2.0 * job.source.rows * job.source.width * job.k

    def run() -> None:
        last = {job.k: Lloyd(job.centroids, passes=PASSES - 1, refilled=PASSES)}  # one pass, and it is done
        finish(last, job.source, job.prepare.moved(np.zeros(job.source.width)), job.job)

    return flop, run


def _assign(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    flop = 2.0 * job.source.rows * job.source.width * job.k
    return flop, lambda: clusterings(job.source, job.prepare, {job.k: job.centroids}, job.job, 0.0)


def _distances(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    members = job.source.read(0, _MEMBERS)
    rest = (members, np.zeros(len(members), np.int64), np.ones(1))
    tasks = [(part, job.prepare, *rest) for _, part in parts(job.source)]
    flop = costs.nearest_stage(job.shape, len(members), "").flop
    return flop, lambda: list(job.job.run("distances", kernels.nearest_members, tasks))


def _pairs(job: KernelJob) -> tuple[float, Callable[[], Any]]:
    shape = costs.Shape(min(_PAIRED, _PAIRED_NUMBERS // job.source.width), job.source.width)
    rows = np.random.default_rng(0).standard_normal((shape.rows, shape.width), dtype=np.float32)
    listing_seconds(rows[:_PIECE_ROWS], [1e-3])  # compiles
    return costs.dbscan_stage(shape).flop, lambda: listing_seconds(rows, [1e-3])


KERNELS = {
    "moments": _moments, "products": _products, "eigh": _eigh, "place": _coordinates, "lloyd": _lloyd,
    "assign": _assign, "distances": _distances, "pairs": _pairs,
}  # fmt: skip
ALONE = ("eigh",)
ESTIMATED = ("pairs",)  # give their seconds, of which some are measured


def kernel_rates(names: Collection[str], job: KernelJob) -> dict[str, dict[str, float]]:
    """FLOP of a worker a second of these kernels, at the width of the job; names that are none are passed over."""
    return {name: {str(job.source.width): job.rate(name)} for name in KERNELS if name in names}


def reading_rate(source: BlockSource) -> float:
    """Bytes a second of the disk that rows are on: a few megabytes from everywhere, hashes compared as in the work."""
    a_row = source.width * source.number_bytes
    step = max(1, min(source.rows, _READ_BYTES // 16 // a_row))
    starts = np.unique(np.linspace(0, max(0, source.rows - step), 16).astype(int)).tolist()
    begun, total = monotonic(), 0
    for start in starts:
        for values, _ in source.raw(start, start + step):
            total += len(values.tobytes())
    return total / max(monotonic() - begun, 1e-9)


def disk_rates(folder: str | Path | None = None) -> tuple[float, float]:
    """Bytes a second that are read and written in a folder (that of temporary files if absent), the cache left out."""
    data = os.urandom(1 << 20)
    with TemporaryDirectory(dir=folder) as temporary:
        path, begun = Path(temporary) / "rate", monotonic()
        with path.open("wb") as stream:
            for _ in range(_WRITTEN_BYTES >> 20):
                stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            written = monotonic() - begun
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begun = monotonic()
        with path.open("rb", buffering=0) as stream:
            while stream.read(1 << 20):
                pass
        return _WRITTEN_BYTES / (monotonic() - begun), _WRITTEN_BYTES / written
