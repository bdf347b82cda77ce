"""Plans of the verbs over points: `cluster`, `project`, `score`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.blocks import HERE, SCORED, blocks_pca, by_elbow, refuse_dbscan
from separatrix.analysis.cluster import check_needed, cluster
from separatrix.analysis.plan.job import LABEL, Measures, Outline, PlannedJob, seconds_of
from separatrix.analysis.project import project
from separatrix.analysis.score import score
from separatrix.codes import encode
from separatrix.geometry.cluster import hdbscan, kmeans_centroids
from separatrix.geometry.density import listing_seconds
from separatrix.geometry.neighbors import METRICS, neighbors
from separatrix.geometry.prepare import PreparedVectors, prepare
from separatrix.points import Points
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.scale.blocks import BlockSource
from separatrix.scale.costs import (
    Shape,
    Stage,
    dbscan_stage,
    kmeans_stages,
    linear_stages,
    nearest_stage,
    pca_stages,
    prepare_stages,
)
from separatrix.scale.density import SAMPLE_ROWS
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation, one_thread
from separatrix.scale.kmeans import Lloyd, finish
from separatrix.scale.memory import check_bytes, in_blocks, in_memory
from separatrix.scale.moments import WIDEST
from separatrix.scale.starts import sample_rows
from separatrix.store.rows import write_rows
from separatrix.view.maps import MOST_DRAWN

PASSES = 20  # of k-means, where there are no rows to measure them on
_PASS_BYTES = 128 << 20  # of float32 rows that passes are counted on
_PAIRED, _PAIRED_NUMBERS = 60_000, 1 << 25  # rows of DBSCAN that are looked at: the larger of so many rows or numbers
_TREE_ROWS = 2_000  # rows of an HDBSCAN that is measured
_SIZES, _TABLE_SIZES = (6_000, 40_000), (6_000, 60_000)  # rows of verbs that are run: wide ones; row tables alone
_SMALL_SIZES = (400, 1_200)  # of slow ones
_ASSUMED_CLASSES = 10  # where there are no labels to count
_NARROW = 4  # columns of vectors that stand beside a row table that is measured


def plan_cluster(job: PlannedJob) -> Outline:
    """k-means and HDBSCAN, in memory and in blocks; DBSCAN."""
    recipe, whole = job.recipe, job.in_blocks(all_free=job.recipe.method == "dbscan")
    check_needed(recipe)
    whole |= job.scale.on_gpu and recipe.method == "kmeans" and recipe.engine != "cuml"
    notes = ["what --choose tries is not in the seconds"] if recipe.choose else []
    if recipe.method == "dbscan":
        if whole:
            refuse_dbscan(job.shape.rows, job.shape.width)
        notes.append("every pair of rows is compared once; where many rows are cores it takes less")
        stages, measures = [dbscan_stage(job.shape)], Measures({"pairs": partial(_pairs, job)})
        outline = _held(job, stages, measures)
    elif recipe.method == "hdbscan":
        outline = _hdbscan(job, whole)
    else:
        outline = _kmeans_in_blocks(job) if whole else kmeans_in_memory(job)
    table = Stage("tables and pictures", "cluster", 0.0, job.shape.width, rows=job.shape.rows)
    measures = Measures(outline.measures.flops, {"cluster": partial(_cluster_tables, job)})
    return _with(outline, [table], measures, notes)


def plan_project(job: PlannedJob) -> Outline:
    """PCA in blocks; any map in memory."""
    recipe, shape = job.recipe, job.shape
    drawn = min(shape.rows, MOST_DRAWN)
    table = [
        Stage("faithfulness, tables and pictures", "project", 0.0, shape.width, rows=drawn),
        Stage("tables of rows that are not drawn", "rows", 0.0, shape.width, rows=shape.rows - drawn),
    ][: 1 + (drawn < shape.rows)]
    tables: dict[str, Callable[[], tuple[float, float]]] = {
        "project": partial(_project_tables, job), "rows": partial(_writing, job)
    }  # fmt: skip
    if (job.scale.on_gpu or job.in_blocks()) and blocks_pca(recipe):
        squares = shape.width if shape.width <= WIDEST else 0
        stages = [*prepare_stages(shape, recipe.prepare), *pca_stages(shape, recipe.dimensions), *table]
        kernel = {"how": recipe.prepare, "dimensions": recipe.dimensions}
        return Outline(stages, "in blocks", _blocks(job, squares=squares), Measures(tables=tables), (), (), kernel)
    stages = [Stage("map", "map", 0.0, shape.width, shape.bytes, rows=shape.rows), *table]
    slow = recipe.method in ("tsne", "umap")
    notes = [f"{recipe.method} grows with its fitted rows about in a straight line"] if slow else []
    sizes = _SMALL_SIZES if slow else _SIZES
    tables |= {"map": lambda: job.line(lambda count: project(job.some(count), recipe=recipe).seconds, sizes)}
    kept = shape.rows > recipe.fit_rows
    approximate = [f"the places of all but {recipe.fit_rows} rows, which the map is fitted to"] if kept else []
    memory = min(in_memory(shape.rows, shape.width), in_memory(recipe.fit_rows, shape.width))
    return Outline(stages, "in memory", memory, Measures(tables=tables), approximate, notes)


def plan_score(job: PlannedJob) -> Outline:
    """The neighbors of every row in both metrics, which grow with the square, and all the rest."""
    shape, approximate, path, linear = job.shape, [], "in memory", list[Stage]()
    if job.in_blocks():
        linear = linear_stages(shape, _classes(job)) if _fits_linear(job) else []
        most = min(SCORED, job.allowed * shape.rows // in_memory(shape.rows, shape.width), shape.rows)
        note = f"{most} of {shape.rows} rows are scored"
        note += "; nearest centroid and linear discriminant are of all" if linear else ""
        approximate, path = [note], "on a sample"
        shape = Shape(most, shape.width, shape.number_bytes)
    near = Stage("neighbors in both metrics", "neighbors", _near_flop(shape), shape.width, shape.bytes)
    rest = Stage("other figures", "score", 0.0, shape.width, rows=shape.rows)
    measures = Measures(
        {"neighbors": partial(_near_rate, job)},
        {"score": lambda: job.line(partial(_score_rest, job), _SMALL_SIZES)},
    )
    stages, memory = [near, rest, *linear], in_memory(shape.rows, shape.width)
    return Outline(stages, path, memory, measures, approximate, (), {"k": _classes(job)} if linear else {})


def _fits_linear(job: PlannedJob) -> bool:
    """Whether there are parts, and memory holds the products of all columns, as `linear_figures` asks."""
    parts = job.points is None or ("split" in job.points.columns and "train" in job.points.column("split"))
    width = job.shape.width
    return parts and width <= WIDEST and in_blocks(job.shape.rows, width, job.workers, squares=width) <= job.allowed


def _classes(job: PlannedJob) -> int:
    name = job.recipe.label
    if job.points is None or name not in job.points.columns:
        return _ASSUMED_CLASSES
    return max(2, len(encode(job.points.series(name))[1]))


def kmeans_in_memory(job: PlannedJob) -> Outline:
    """k-means of rows that are held."""
    recipe, shape, k = job.recipe, job.shape, job.recipe.k or max(job.recipe.k_grid)
    flop = 2.0 * shape.rows * shape.width * k * recipe.starts
    stage = Stage(f"{recipe.starts} starts", "kmeans", flop, shape.width, shape.bytes, written=8 * shape.rows)
    note = "a start takes as many passes as on a sample; its FLOP are those of one pass"
    return _with(_held(job, [stage], Measures({"kmeans": partial(_starts, job, k)})), [], None, [note])


def _kmeans_in_blocks(job: PlannedJob) -> Outline:
    recipe, shape, k = job.recipe, job.shape, job.recipe.k or max(job.recipe.k_grid)
    sample, ks = sample_rows(k), recipe.k_grid if by_elbow(recipe) else [k]
    if job.points is None or job.machine:
        passes, share, how = PASSES, 1.0, "assumed, over all rows; bounds may let rows be skipped"
    else:
        (passes, share), how = _passes(job, k), "as on a sample of the rows"
        how += f": those after the first compute {share:.0%} of the rows" if passes > 1 else ""
    notes = [f"{passes} passes, {how}"]
    if recipe.choose:
        notes.append("all k that --choose tries" if by_elbow(recipe) else f"k = {k}, the largest that --choose tries")
    stages = [*prepare_stages(shape, recipe.prepare), *kmeans_stages(shape, ks, passes, recipe.starts, sample, share)]
    memory = _blocks(job, sample=sample, squares=shape.width if recipe.prepare == "whiten" else 0, ks=len(ks))
    approximate = ["the starts of k-means are the best of a sample; its passes read every row"]
    measures = Measures({"starts": partial(_starts_alone, job, k)})
    return Outline(stages, "in blocks", memory, measures, approximate, notes, {"how": recipe.prepare, "k": k})


def _hdbscan(job: PlannedJob, whole: bool) -> Outline:
    shape, recipe = job.shape, job.recipe
    rows = min(shape.rows, SAMPLE_ROWS) if whole else shape.rows
    tree = Stage(f"hdbscan of {rows} rows", "hdbscan", 2.0 * rows * rows * shape.width, shape.width, alone=True)
    measures, notes = Measures({"hdbscan": partial(_tree_rate, job)}), ["hdbscan grows with the square of its rows"]
    if not whole:
        return _with(_held(job, [tree], measures), [], None, notes)
    nearest = nearest_stage(shape, rows, "nearest rows of the sample")
    approximate = [f"all but {rows} rows: each goes to the cluster of its nearest row of the sample"]
    stages = [*prepare_stages(shape, recipe.prepare), tree, nearest]
    memory = _blocks(job, sample=rows, squares=shape.width if recipe.prepare == "whiten" else 0)
    return Outline(stages, "in blocks", memory, measures, approximate, notes, {"how": recipe.prepare})


def _held(job: PlannedJob, stages: list[Stage], measures: Measures) -> Outline:
    return Outline(stages, "in memory", in_memory(job.shape.rows, job.shape.width), measures)


def _with(outline: Outline, stages: list[Stage], measures: Measures | None, notes: list[str]) -> Outline:
    """An outline with further stages and assumptions."""
    return Outline(
        [*outline.stages, *stages], outline.path, outline.memory, measures or outline.measures, outline.approximate,
        [*outline.assumptions, *notes], outline.kernel,
    )  # fmt: skip


def _blocks(job: PlannedJob, **more: int) -> int:
    """Bytes of the work in blocks, which must be allowed."""
    needed = in_blocks(job.shape.rows, job.shape.width, job.workers, **more)
    check_bytes(needed, job.allowed)
    return needed


# What is measured.


def _prepared(job: PlannedJob, count: int) -> np.ndarray:
    """Prepared rows of a sample about their mean, (count, width) float32."""
    rows = prepare(job.sample(count), job.recipe.prepare).values
    return np.asarray(rows - rows.mean(axis=0, dtype=np.float64), np.float32)


def _starts(job: PlannedJob, k: int) -> float:
    """FLOP a second of one start on a sample, counted as one pass."""
    rows = _prepared(job, sample_rows(k))
    begin = partial(kmeans_centroids, rows, min(k, len(rows)), minibatch=job.recipe.minibatch, seed=job.recipe.seed)
    begin(starts=1)
    return 2.0 * rows.size * k / (seconds_of(lambda: begin(starts=2)) / 2) / job.workers


def _starts_alone(job: PlannedJob, k: int) -> float:
    """The same for starts that one worker computes, as the executor `here` does with one thread."""
    with one_thread() if job.scale.executor == HERE else nullcontext():
        return _starts(job, k) * job.workers


def _passes(job: PlannedJob, k: int) -> tuple[int, float]:
    """Passes of k-means over many more rows than its start has seen, and the share of rows that later ones compute."""
    sample = sample_rows(k)
    rows = _prepared(job, max(2 * sample, _PASS_BYTES // (4 * job.shape.width)))
    seen = rows[np.random.default_rng(job.recipe.seed).permutation(len(rows))[:sample]]
    line = Lloyd(kmeans_centroids(seen, min(k, len(seen)), starts=1, seed=job.recipe.seed))
    with one_thread():
        finish({k: line}, BlockSource.of(rows), Preparation(), BlockJob())
    return line.passes, (line.read / len(rows) - 1) / max(1, line.passes - 1)


def _pairs(job: PlannedJob) -> float:
    """FLOP of a worker a second of DBSCAN on all rows, or on many of them."""
    rows = prepare(job.sample(max(_PAIRED, _PAIRED_NUMBERS // job.shape.width)), job.recipe.prepare).values
    eps = 1e-3 if job.recipe.eps is None else job.recipe.eps
    shape = Shape(len(rows), job.shape.width)
    return dbscan_stage(shape).flop / listing_seconds(rows, [eps], job.recipe.min_samples) / job.workers


def _tree_rate(job: PlannedJob) -> float:
    rows = PreparedVectors(_prepared(job, _TREE_ROWS))
    run = partial(hdbscan, rows, job.recipe.min_cluster_size, min_samples=min(job.recipe.min_samples, len(rows.values)))
    return 2.0 * len(rows.values) * rows.values.size / seconds_of(partial(run, engine=job.recipe.engine))


def _near_flop(shape: Shape) -> float:
    return 2.0 * len(METRICS) * shape.rows**2 * shape.width


def _near_rate(job: PlannedJob) -> float:
    rows = job.sample(8_000)
    k = min(max((job.recipe.k, *job.recipe.grid)), len(rows) - 1)
    seconds = sum(seconds_of(partial(neighbors, rows, rows, k, metric=metric)) for metric in METRICS)
    return _near_flop(Shape(len(rows), job.shape.width)) / seconds / job.workers


def _beyond(points: Points, run: Callable[[Points, Path], Any]) -> float:
    """Seconds of a verb on some points, written to a folder, beyond those that it says its method took."""
    result: list[Any] = []
    with TemporaryDirectory() as folder:
        seconds = seconds_of(lambda: result.append(run(points, Path(folder) / "result")))
    return max(seconds - float(result[0].seconds), 0.0)


def _cluster_tables(job: PlannedJob) -> tuple[float, float]:
    recipe = ClusterRecipe(
        method="kmeans", k=2, starts=1, permutations=job.recipe.permutations, label=job.recipe.label
    )  # fmt: skip

    def run(count: int) -> float:
        return _beyond(_narrow(job, count), lambda points, out: cluster(points, recipe=recipe, out=out))

    return job.line(run, _TABLE_SIZES)


def _project_tables(job: PlannedJob) -> tuple[float, float]:
    """What grows with the rows depends on the row table; what does not, faithfulness, on the width as well."""
    recipe = recipes.replace(job.recipe, method="pca", guided=False)
    more = {name: job.more[name] for name in ("label", "page") if name in job.more}

    def rest(points: Points) -> float:
        return _beyond(points, lambda points, out: project(points, recipe=recipe, out=out, **more))

    _, a_row = job.line(lambda count: rest(_narrow(job, count)), _TABLE_SIZES)
    some = job.some(_TABLE_SIZES[0])
    return max(rest(some) - a_row * len(some), 0.0), a_row


def _writing(job: PlannedJob) -> tuple[float, float]:
    """Seconds, and seconds a row, of a row table that is written."""
    rows = job.some(_TABLE_SIZES[1]).rows
    with TemporaryDirectory() as folder:
        return 0.0, seconds_of(partial(write_rows, Path(folder) / "rows.parquet", rows)) / len(rows)


def _narrow(job: PlannedJob, count: int) -> Points:
    """So many rows of the table beside vectors of a few numbers: reading and checking vectors is counted elsewhere."""
    rows = job.some(count).rows
    return Points({"narrow": np.random.default_rng(0).random((len(rows), _NARROW), dtype=np.float32)}, rows)


def _score_rest(job: PlannedJob, count: int) -> float:
    points = job.some(count)
    recipe = job.recipe if job.points is not None else recipes.replace(job.recipe, label=LABEL)
    return seconds_of(lambda: score(points, recipe=recipe))
