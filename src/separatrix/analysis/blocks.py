"""Verbs on points larger than memory: when they take the way through blocks, and clusters that come by it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from numpy.typing import NDArray

from separatrix.codes import draw_rows, encode
from separatrix.errors import OptionError
from separatrix.geometry.choose import KNEES, Choice, choose_k, choose_k_of_all
from separatrix.geometry.choose_density import choose_size
from separatrix.geometry.cluster import Clustering
from separatrix.geometry.density import DensityGraph, Reading
from separatrix.geometry.prepare import PreparedVectors
from separatrix.geometry.project import FittedMap, pca_layout
from separatrix.geometry.tiles import TileSpace
from separatrix.models.device import pick_device
from separatrix.points import ID, Points
from separatrix.progress import Progress, silent
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.recipe.core import checked
from separatrix.recipe.project import ProjectRecipe
from separatrix.recipe.train import AUTO, DEVICES
from separatrix.scale.blocks import BlockSource
from separatrix.scale.density import SAMPLE_ROWS, sampled_hdbscan
from separatrix.scale.device_tiles import device_tiles
from separatrix.scale.executors import open_workers, parse_executor
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.kmeans import kmeans
from separatrix.scale.memory import budget, check_budget, in_memory
from separatrix.scale.moments import WIDEST, coordinates, fit_plane
from separatrix.scale.pending import KeptState, pending_folder
from separatrix.scale.prepare import fit_preparation
from separatrix.scale.sample import draw_examples
from separatrix.scale.starts import sample_rows
from separatrix.store.shards import ShardedBlock

HERE = "here"
SCORED = 50_000  # rows of a sample at most: every one of them meets every other
EXAMPLE = "example"


@dataclass(frozen=True)
class ScaleOptions:
    """Where a verb computes and what it may take."""

    executor: str = HERE
    memory: str | None = None  # None: half of what is free
    pending: Path | None = None  # folder of finished tasks
    progress: Progress = silent
    device: str = AUTO

    @classmethod
    def of(
        cls, executor: str, memory: str | None, out: str | Path | None, progress: Progress, device: str = AUTO
    ) -> ScaleOptions:
        """Checked options; finished tasks are kept beside the folder that is to be written."""
        kind, _ = parse_executor(executor)
        budget(memory)
        device = checked("device", device, str, choices=DEVICES)
        if kind != "dask":  # whose workers have their own
            pick_device(device)
        target = None if out is None else Path(out)
        pending = None if target is None else pending_folder(target)
        return cls(executor, memory, pending, progress, device)

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU was named."""
        return self.device not in (AUTO, "cpu")

    def in_blocks(self, rows: int, width: int, allowed: int | None = None, *, all_free: bool = False) -> bool:
        """Whether so many rows are computed block by block: another executor is named, or they need too much memory.

        With `all_free` that is all that is free and not half of it: for what cannot be computed in blocks.
        """
        allowed = budget(self.memory) if allowed is None else allowed
        allowed *= 2 if all_free and self.memory is None else 1
        return self.executor != HERE or in_memory(rows, width) > allowed

    @contextmanager
    def job(self, source: BlockSource, *, sample: int = 0, squares: int = 0, ks: int = 1) -> Iterator[BlockJob]:
        """A job whose finished tasks are kept (see `until_written`).

        Args:
            source: what is read.
            sample: rows that are drawn and held.
            squares: columns whose products are summed.
            ks: of k-means, numbers of clusters that are computed from one reading.

        Raises:
            OptionError: the memory allowed does not hold that and one block of each worker.
        """
        with open_workers(self.executor) as workers:
            check_budget(source, budget(self.memory), workers.count, sample=sample, squares=squares, ks=ks)
            yield BlockJob(workers, self.pending, self.progress, workers.device(self.device))

    def reading(self) -> Reading:
        """How DBSCAN reads distances: on which device, and where the lists of a job that is not done are kept."""
        tiles = TileSpace.of if self.device == "cpu" else device_tiles(self.device)
        if self.pending is None:
            return Reading(tiles)
        folder = self.pending

        def kept(rows: NDArray[Any], radii: NDArray[Any], neighbors: int) -> KeptState:
            return KeptState.of(folder, DensityGraph.build, (BlockSource.of(rows), radii, neighbors))

        return Reading(tiles, kept)

    @contextmanager
    def until_written(self) -> Iterator[None]:
        """Remove finished tasks once what was made of them is written: a full disk costs no computation."""
        yield
        if self.pending is not None:
            shutil.rmtree(self.pending, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class ClusteredRows:
    """Clusters of all rows, and how they came about."""

    clustering: Clustering
    choice: Choice | None
    constant: int  # columns that say nothing
    approximate: tuple[str, ...] | None = None  # sentences; None: computed in memory


def cluster_in_blocks(points: Points, recipe: ClusterRecipe, options: ScaleOptions) -> ClusteredRows:
    """Clusters of all rows by k-means, exact but for its starts, or by HDBSCAN of a sample.

    Raises:
        OptionError: DBSCAN, which needs all rows at once; a budget below one block of each worker.
    """
    if recipe.method == "dbscan":
        refuse_dbscan(len(points), points.width)
    if recipe.engine == "cuml":
        hint = "raise --memory, or leave --engine away: --device cuda computes block by block"
        raise OptionError("--engine cuml holds all rows in memory", hint=hint)
    source = BlockSource.of_points(points)
    sample = SAMPLE_ROWS if recipe.method == "hdbscan" else sample_rows(recipe.k or max(recipe.k_grid))
    squares = source.width if recipe.prepare == "whiten" else 0
    ks = len(recipe.k_grid) if by_elbow(recipe) else 1
    with options.job(source, sample=sample, squares=squares, ks=ks) as job:
        prepare = fit_preparation(source, recipe.prepare, job)
        choice = _choose(source, prepare, recipe) if recipe.choose else None
        cluster = _kmeans if recipe.method == "kmeans" else _hdbscan
        clustering, choice, notes = cluster(source, prepare, recipe, job, choice)
        if job.device != "cpu":
            clustering = replace(clustering, engine=f"{clustering.engine}, {job.device}")
    return ClusteredRows(clustering, choice, prepare.constant, tuple(notes))


def by_elbow(recipe: ClusterRecipe) -> bool:
    """Whether k is chosen by a curve of k-means of all rows, several k in one reading."""
    return recipe.method == "kmeans" and recipe.choose and recipe.criterion in KNEES


Made = tuple[Clustering, Choice | None, list[str]]


def _kmeans(
    source: BlockSource, prepare: Preparation, recipe: ClusterRecipe, job: BlockJob, choice: Choice | None
) -> Made:
    run = partial(kmeans, source, prepare=prepare, job=job, starts=recipe.starts, seed=recipe.seed)
    if choice is None:
        assert recipe.k is not None
        k, notes, every = recipe.k, [], run([recipe.k])
    elif by_elbow(recipe):
        every = run([line["k"] for line in choice.table])
        choice = choose_k_of_all(choice.table, every, recipe.criterion)
        k, notes = (
            int(choice.value),
            [f"silhouettes and stabilities of the choice are those of {recipe.sample_rows} rows"],
        )
    else:
        k, notes = int(choice.value), [f"k was chosen on {recipe.sample_rows} rows"]
        every = run([k])
    notes.append("the starts of k-means are the best of a sample; its passes read every row")
    notes += ["--minibatch was not needed: every pass read all rows"] * recipe.minibatch
    return every[k], choice, notes


def _hdbscan(
    source: BlockSource, prepare: Preparation, recipe: ClusterRecipe, job: BlockJob, choice: Choice | None
) -> Made:
    size = recipe.min_cluster_size if choice is None else int(choice.value)
    clustering, notes = sampled_hdbscan(
        source, prepare, job, min_cluster_size=size, min_samples=recipe.min_samples, engine=recipe.engine,
        seed=recipe.seed,
    )  # fmt: skip
    chosen = [] if choice is None else [f"min_cluster_size was chosen on {recipe.sample_rows} rows"]
    return clustering, choice, [*chosen, *notes]


def refuse_dbscan(rows: int, width: int) -> NoReturn:
    """Raise the OptionError of DBSCAN on rows that memory does not hold."""
    needed = in_memory(rows, width) / 2**30
    hint = f"pass --memory {needed:.0f}GiB --executor here where there is so much, or take kmeans or hdbscan"
    raise OptionError("dbscan holds all rows in memory", got=f"{needed:.2f} GiB needed", hint=hint)


def blocks_pca(recipe: ProjectRecipe) -> bool:
    """Whether a map can be fitted to all rows in blocks."""
    return recipe.method == "pca" and recipe.prepare in ("none", "standardise")


def pca_in_blocks(points: Points, recipe: ProjectRecipe, options: ScaleOptions) -> FittedMap | None:
    """The plane of largest variance of all rows; None for other methods, and for preparations that blocks lack."""
    if not blocks_pca(recipe):
        return None
    source = BlockSource.of_points(points)
    with options.job(source, squares=source.width if source.width <= WIDEST else 0) as job:
        prepare = fit_preparation(source, recipe.prepare, job)
        plane = fit_plane(source, recipe.dimensions, job, prepare=prepare, seed=recipe.seed)
        return FittedMap(prepare.apply, pca_layout(plane, coordinates(source, plane, job, prepare=prepare)))


def sample_to_score(points: Points, options: ScaleOptions, seed: int) -> tuple[Points, list[str]]:
    """As many rows as the memory allows, whole examples only, as many from each shard; and a sentence about them."""
    most = min(SCORED, budget(options.memory) * len(points) // in_memory(len(points), points.width))
    name = EXAMPLE if EXAMPLE in points.columns else ID
    block = points.blocks[points.name]
    shards = block.rows if isinstance(block, ShardedBlock) else (len(points),)
    rows = draw_examples(encode(points.series(name))[0], shards, most, seed)
    note = f"scored on {len(rows)} of {len(points)} rows: whole values of {name!r}, drawn evenly with seed {seed}"
    return points.take(rows), [note]


def _choose(source: BlockSource, prepare: Preparation, recipe: ClusterRecipe) -> Choice:
    """K or min_cluster_size, chosen on a sample as in memory."""
    rows = source.take(draw_rows(source.rows, recipe.sample_rows, recipe.seed))
    sample = PreparedVectors(prepare.apply(rows), prepare.how, prepare.constant)
    options: dict[str, Any] = {"sample_rows": recipe.sample_rows, "seed": recipe.seed}
    if recipe.method == "kmeans":
        return choose_k(sample, recipe.k_grid, criterion=recipe.criterion, **options)
    return choose_size(sample, recipe.min_samples, **options)
