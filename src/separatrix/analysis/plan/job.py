"""What is planned: the options of a verb, and data, or the shape of data that are not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.blocks import HERE, ScaleOptions
from separatrix.codes import draw_rows
from separatrix.points import Points
from separatrix.scale.blocks import BlockSource
from separatrix.scale.costs import Shape, Stage
from separatrix.scale.executors import parse_executor
from separatrix.scale.kernels import threads
from separatrix.scale.machine import Machine
from separatrix.scale.memory import budget

LABEL = "label"
_CENTRES, _CLASSES = 20, 5  # of synthetic rows


@dataclass(frozen=True)
class Measures:
    """How the rates of stages are measured that are no kernels of `scale.calibrate`."""

    flops: Mapping[str, Callable[[], float]] = field(default_factory=dict)  # kernel -> FLOP of a worker a second
    tables: Mapping[str, Callable[[], tuple[float, float]]] = field(default_factory=dict)  # -> seconds, seconds a row


@dataclass(frozen=True)
class Outline:
    """The stages of a job, and what is said of it."""

    stages: Sequence[Stage]
    path: str  # in memory, in blocks, on a sample
    memory: int  # bytes at the peak, without the program itself
    measures: Measures = Measures()
    approximate: Sequence[str] = ()  # in the result
    assumptions: Sequence[str] = ()  # in the plan
    kernel: Mapping[str, Any] = field(default_factory=dict)  # of `scale.calibrate.KernelJob.of`


@dataclass(frozen=True, eq=False)
class PlannedJob:
    """A verb on points, which may not be there."""

    recipe: Any
    shape: Shape
    scale: ScaleOptions
    machine: Machine | None = None  # None: this one, which is measured
    points: Points | None = None
    more: Mapping[str, Any] = field(default_factory=dict)  # options that no recipe has

    @property
    def allowed(self) -> int:
        """Bytes that the job may take."""
        if self.scale.memory is None and self.machine is not None:
            return self.machine.memory // 2
        return budget(self.scale.memory)

    @property
    def measured(self) -> bool:
        """Whether rates are measured here, or come from a file."""
        return self.machine is None

    @property
    def workers(self) -> int:
        """Tasks computed beside each other."""
        if self.machine is not None:
            return self.machine.workers
        return workers_here(self.scale.executor)

    @cached_property
    def source(self) -> BlockSource | None:
        """The rows, where there are some."""
        return None if self.points is None else BlockSource.of_points(self.points)

    def in_blocks(self, *, all_free: bool = False) -> bool:
        """Whether the verb reads these rows block by block, as `ScaleOptions.in_blocks`."""
        return self.scale.in_blocks(self.shape.rows, self.shape.width, self.allowed, all_free=all_free)

    def sample(self, count: int) -> NDArray[np.float32]:
        """So many rows, drawn or made up: heaps of normal numbers."""
        count = min(count, self.shape.rows)
        if self.source is not None:
            return self.source.take(draw_rows(self.shape.rows, count, 0))
        rng = np.random.default_rng(0)
        centres = 2 * rng.standard_normal((_CENTRES, self.shape.width), dtype=np.float32)
        return centres[np.arange(count) % _CENTRES] + rng.standard_normal((count, self.shape.width), dtype=np.float32)

    def some(self, count: int) -> Points:
        """So many points, with their row table or a made-up one."""
        if self.points is not None:
            return self.points.take(draw_rows(self.shape.rows, min(count, self.shape.rows), 0))
        rows = self.sample(count)
        return Points.of(rows, {LABEL: [f"class {row % _CLASSES}" for row in range(len(rows))]})

    def line(self, run: Callable[[int], float], sizes: tuple[int, int]) -> tuple[float, float]:
        """Seconds, and seconds a row, of a straight line through two measurements; of few rows, all are measured."""
        low, high = (min(size, self.shape.rows) for size in sizes)
        run(min(low, 64))  # what is loaded at the first call
        if low == high:
            return run(low), 0.0
        first, second = run(low), run(high)
        slope = max(second - first, 0.0) / (high - low)
        return max(first - slope * low, 0.0), slope


def workers_here(executor: str) -> int:
    """Tasks that an executor computes at a time: no more than there are cores."""
    from joblib import cpu_count

    kind, count = parse_executor(executor)
    return threads() if kind == HERE else min(count or cpu_count(), cpu_count())


def seconds_of(run: Callable[[], Any]) -> float:
    """How long one call takes."""
    begun = monotonic()
    run()
    return monotonic() - begun
