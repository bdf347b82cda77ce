"""The rates of this machine: those that a job needs, or of several widths for a file."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from separatrix.analysis.blocks import HERE, ScaleOptions
from separatrix.analysis.plan.job import Outline, PlannedJob, workers_here
from separatrix.analysis.plan.models import RESNET, PlannedReading, plan_reading
from separatrix.analysis.plan.points import plan_cluster, plan_project, plan_score
from separatrix.progress import Progress, silent
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.recipe.project import ProjectRecipe
from separatrix.recipe.score import ScoreRecipe
from separatrix.recipe.vectors import AttentionRecipe, ExtractRecipe, VectorsRecipe
from separatrix.scale.blocks import BlockSource
from separatrix.scale.calibrate import KERNELS, KernelJob, disk_rates, kernel_rates, reading_rate
from separatrix.scale.costs import Shape
from separatrix.scale.executors import open_workers
from separatrix.scale.job import BlockJob
from separatrix.scale.machine import Machine
from separatrix.scale.memory import free_bytes

WIDTHS, ROWS, K = (64, 256, 2048), 10**6, 35  # of the points of a calibration
WINDOWS, TOKENS = 16, 384  # of its attention maps


def measured(outline: Outline, job: PlannedJob | None = None, executor: str = HERE) -> Machine:
    """The rates of this machine that the stages need.

    Args:
        outline: the stages, and how rates are measured that are no kernels'.
        job: on points; None: texts, whose stages measure themselves.
        executor: who reads texts.
    """
    used = {stage.kernel: stage.width for stage in outline.stages}
    flops = {kernel: {str(used[kernel]): rate()} for kernel, rate in outline.measures.flops.items() if kernel in used}
    if job is not None:
        flops |= _kernels({*used} - {*flops}, job.shape, job.source, outline.kernel)
    tables = {kernel: measure() for kernel, measure in outline.measures.tables.items() if kernel in used}
    read, write = disk_rates()
    if job is not None and job.source is not None:
        read = reading_rate(job.source)
    workers = workers_here(executor if job is None else job.scale.executor)
    return Machine(name(), True, workers, free_bytes(), read, write, flops, tables=tables)


def calibrate(widths: Sequence[int] = WIDTHS, *, progress: Progress | None = None) -> Machine:
    """Rates of this machine for rows of these widths, to plan with elsewhere; it takes a few minutes.

    Args:
        widths: numbers of a row.
    """
    kernels: dict[str, dict[str, float]] = {}
    tables: dict[str, tuple[float, float]] = {}
    for number, width in enumerate(widths):
        (progress or silent)("calibration", number, len(widths), f"width {width}")
        for plan, recipe, scale in _calibrated():
            job = PlannedJob(recipe, Shape(ROWS, width), scale)
            outline = plan(job)
            # What is known needs no second measurement; tables and pictures cost the same whatever the width.
            more = {verb: measure for verb, measure in outline.measures.tables.items() if verb not in tables}
            outline = replace(
                outline, measures=replace(outline.measures, tables=more),
                stages=[stage for stage in outline.stages if str(width) not in kernels.get(stage.kernel, {})],
            )  # fmt: skip
            machine = measured(outline, job)
            tables |= machine.tables
            for kernel, rates in machine.flops.items():
                kernels[kernel] = kernels.get(kernel, {}) | dict(rates)
        kernels["pairs"] = kernels.get("pairs", {}) | _kernels(("pairs",), Shape(ROWS, width), None, {})["pairs"]
    features = AttentionRecipe(("descriptors", "grid", RESNET))
    reading = PlannedReading(ExtractRecipe(vectors=VectorsRecipe("attention"), attention=features), (), WINDOWS, TOKENS)
    machine = measured(plan_reading(reading)[0])
    return Machine(
        name(), True, workers_here(HERE), free_bytes(), machine.read, machine.write, kernels | dict(machine.flops),
        tables=tables | dict(machine.tables),
    )  # fmt: skip


def _calibrated() -> list[tuple[Callable[[PlannedJob], Outline], Any, ScaleOptions]]:
    """What is planned of each width, so that the rates of all its stages are measured."""
    blocks, held = ScaleOptions(f"processes:{workers_here(HERE)}"), ScaleOptions(memory="1TiB")
    return [
        (plan_cluster, ClusterRecipe(k=K), blocks),
        (plan_project, ProjectRecipe(), blocks),
        (plan_cluster, ClusterRecipe(k=K), held),
        (plan_cluster, ClusterRecipe(method="hdbscan"), held),
        (plan_score, ScoreRecipe(), held),
    ]


def _kernels(
    names: Collection[str], shape: Shape, source: BlockSource | None, more: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Rates of kernels of `scale.calibrate`, on all threads."""
    if not {*names} & {*KERNELS}:
        return {}
    with open_workers(HERE) as workers:
        return kernel_rates(names, KernelJob.of(shape, BlockJob(workers), workers.count, source, **more))


def name() -> str:
    """What this machine is called in a plan."""
    return f"this machine ({platform.machine()}, {workers_here(HERE)} threads)"
