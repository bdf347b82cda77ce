"""Points made smaller: float16, principal components, int8, and what each step costs in nearest neighbors.

The steps are what would be on disk if one stopped there. Each is measured against the vectors as they are given: for
queries drawn with the seed, the share of the k nearest of all rows that stays, by cosine and by Euclidean distance, and
how often the k nearest other rows vote for the query's own class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.blocks import ScaleOptions
from separatrix.analysis.inputs import opened
from separatrix.codes import draw_rows, encode
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.neighbors import METRICS, Neighbors, vote
from separatrix.geometry.overlap import kept_share, without_self
from separatrix.geometry.plane import Plane
from separatrix.geometry.resample import bootstrap_mean
from separatrix.points import Block, Points
from separatrix.progress import Progress, silent
from separatrix.recipe import digest
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.files import CompressRecipe
from separatrix.recipe.options import CompressOptions
from separatrix.scale.blocks import BlockSource
from separatrix.scale.job import BlockJob
from separatrix.scale.moments import WIDEST, fit_plane
from separatrix.scale.nearest import neighbors
from separatrix.store.files import Schema, hash_file, read_tensors, write_tensors
from separatrix.store.kinds import kind_of
from separatrix.store.manifest import File, check_file, row_bytes
from separatrix.store.points import FOLDER, SHARD_ROWS, open_points
from separatrix.store.result import NUMBER, Lines, Listing, Result, cell, out_line
from separatrix.store.shards import quantised
from separatrix.store.table import write_table
from separatrix.store.writer import open_writer

COMPRESSED, AXES, STEPS = "compressed", "axes.safetensors", "steps.parquet"
_CHUNK = 1 << 22  # numbers of neighbors gathered at a time

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Step:
    """One way of keeping vectors: what is read again of rows that were given."""

    name: str
    bytes: int  # of all rows
    width: int
    read: Callable[[Matrix], Matrix]


@dataclass(frozen=True, eq=False)
class SteppedBlock:
    """A block of which rows are read as a step leaves them."""

    base: Block
    step: Step

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, width)."""
        return int(self.base.shape[0]), self.step.width

    def __getitem__(self, places: Any) -> Matrix:
        """Rows by a slice or by an integer array."""
        return self.step.read(np.asarray(self.base[places], np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Compression(Result):
    """A line for each step: bytes, neighbors kept, accuracy of their votes. `save` writes them without the points."""

    kind: ClassVar[str] = "compression"
    schema: ClassVar[Schema] = {
        "steps": [{"step": str, "bytes": int, **dict.fromkeys((f"{name}_overlap" for name in METRICS), float)}],
        "rows": int, "queries": int, "k": int, "label": (str, None), "explained": NUMBER,
        "seconds": float, "recipe": dict,
    }  # fmt: skip

    steps: Sequence[Mapping[str, Any]]
    rows: int
    queries: int
    k: int
    label: str | None  # column of the classes that neighbors voted for
    explained: float | None  # share of the variance in the components
    seconds: float
    recipe: CompressRecipe = field(default_factory=CompressRecipe)

    @classmethod
    def stored(cls, _folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The recipe."""
        return {"recipe": recipes.from_dict(CompressRecipe, plain["recipe"])}

    @property
    def table(self) -> pd.DataFrame:
        """The steps as a pandas frame."""
        return pd.DataFrame(list(self.steps))

    @property
    def points(self) -> Points:
        """The compressed points.

        Raises:
            StoreError: they were not written.
        """
        if self.folder is None or kind_of(self.folder) == self.kind:
            raise StoreError("the points were measured, not written", hint="pass out=")
        return open_points(self.folder)

    def write_files(self, folder: Path) -> None:
        """Write the table of steps."""
        write_table(folder / STEPS, self.table)

    def parts(self) -> list[Listing | Lines]:
        """What is printed."""
        headings = ["step", "bytes", "of given", *(f"kept by {name}" for name in METRICS), "95 % interval"]
        votes = [f"k-NN {name}" for name in METRICS] if self.label else []
        lines = [
            [
                step["step"], str(step["bytes"]), f"{step['bytes'] / self.steps[0]['bytes']:.3f}",
                *(cell(step[f"{name}_overlap"]) for name in METRICS),
                ", ".join("{:.3f} to {:.3f}".format(*step[f"{name}_interval"]) for name in METRICS),
                *(cell(step[f"{name}_accuracy"]) for name in METRICS if votes),
            ]
            for step in self.steps
        ]  # fmt: skip
        figures = [("rows", self.rows), ("queries", self.queries), ("k", self.k), ("seconds", self.seconds)]
        explained = [] if self.explained is None else [("variance kept", round(self.explained, 4))]
        return [Listing([*headings, *votes], lines), [*figures, *explained, *out_line(self.folder)]]


@checks_arguments
def compress(
    points: Points | str | Path,
    *,
    recipe: CompressRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    memory: str | None = None,
    progress: Progress | None = None,
    **options: Unpack[CompressOptions],
) -> Compression:
    """Write points in fewer bytes, and say what that costs; blocks may be larger than memory.

    With `components` the vectors are centred and turned to their principal components; `axes.safetensors` beside the
    points places new vectors among them (`read_axes`). The written points are ordinary ones, whose origin holds the
    figures.

    Args:
        points: one block, or several of which the option `block` names one; or their folder.
        recipe: all options at once.
        out: folder of the compressed points; without it the steps are only measured.
        overwrite: replace the points in `out`.
        memory: bytes, as "2GiB", that may be taken (default: half of what is free); points are always read in blocks.
        progress: is called with (stage, done, total, note).
        options: single options of `CompressRecipe`, by name.

    Raises:
        OptionError: more components than columns, or a memory that does not hold one block of each worker.
        DataError: fewer rows than neighbors, or numbers too large for float16.
        StoreError: the folder is taken.

    >>> heaps = np.repeat([[0.0], [1.0]], 30, axis=0) + np.random.default_rng(0).normal(size=(60, 16))
    >>> result = compress(Points.of(heaps), components=4, store_dtype="int8", k=3)
    >>> [(step["step"], step["bytes"]) for step in result.steps]
    [('float32', 3840), ('float16', 1920), ('pca-4', 480), ('int8', 480)]
    """
    begun, progress = perf_counter(), progress or silent
    wanted = recipes.replace(recipe or CompressRecipe(), **options)
    points = opened(points, Points)
    one = points.pick(wanted.block or points.name)
    if wanted.components is not None and wanted.components > one.width:
        raise OptionError("--components is above the width", got=wanted.components, expected=f"{one.width} or fewer")
    if len(one) <= wanted.k:
        raise DataError(
            "fewer rows than neighbors", got=f"{len(one)} rows, k = {wanted.k}", expected="k below the rows"
        )
    source, scale = BlockSource.of_points(one), ScaleOptions(memory=memory, progress=progress, device="cpu")
    squares = one.width if wanted.components is not None and one.width <= WIDEST else 0
    with scale.job(source, sample=wanted.queries, squares=squares) as job:
        plane = None if wanted.components is None else fit_plane(source, wanted.components, job)
        measured = _Measure(one, wanted, job)
        lines = [measured.line(step) for step in _steps(one, plane, wanted)]
    explained = None if plane is None else float(plane.explained.sum())
    queries, seconds = len(measured.queries), round(perf_counter() - begun, 2)
    result = Compression(lines, len(one), queries, wanted.k, measured.label, explained, seconds, wanted)
    if out is None:
        return result
    _write(Path(out), one, plane, result, overwrite, progress)
    return replace(result, folder=Path(out), seconds=round(perf_counter() - begun, 2))


def read_axes(folder: str | Path) -> Plane:
    """Axes of compressed points: `read_axes(folder).place(vectors)` puts new vectors among them.

    Raises:
        StoreError: no compressed points with components, or the file was altered.
    """
    points = open_points(folder)
    known = points.origin.get(COMPRESSED, {}).get("axes")
    if known is None:
        raise StoreError(f"{folder} has no axes", expected="points that compress --components wrote")
    path = Path(folder) / AXES
    check_file(path, File(known["bytes"], known["sha256"]))
    arrays, _ = read_tensors(path, {"mean": ("width",), "axes": ("axes", "width"), "explained": ("axes",)})
    return Plane(*(arrays[name].astype(np.float64) for name in ("mean", "axes", "explained")))


def _steps(points: Points, plane: Plane | None, recipe: CompressRecipe) -> list[Step]:
    """What is given, and each step down to what is written."""
    rows, width, given = len(points), points.width, getattr(points.blocks[points.name], "dtype_on_disk", "float32")
    steps = [Step(given, rows * row_bytes(width, given), width, lambda x: x)]
    if given == "float32":
        steps.append(Step("float16", rows * row_bytes(width, "float16"), width, _halved))
    if plane is not None:
        narrow = len(plane.axes)
        size = rows * row_bytes(narrow, "float16")
        steps.append(Step(f"pca-{narrow}", size, narrow, lambda x: _halved(_placed(plane, x))))
    if recipe.store_dtype == "int8":
        narrow = width if plane is None else len(plane.axes)
        steps.append(Step("int8", rows * row_bytes(narrow, "int8"), narrow, lambda x: quantised(_placed(plane, x))))
    return steps


def _placed(plane: Plane | None, x: Matrix) -> Matrix:
    return x if plane is None else plane.place(x).astype(np.float32)


def _halved(x: Matrix) -> Matrix:
    if len(x) and float(np.abs(x).max()) > float(np.finfo(np.float16).max):
        raise DataError("vectors are too large for float16", got=f"{np.abs(x).max():g}", hint="scale them")
    return x.astype(np.float16).astype(np.float32)


class _Measure:
    """Neighbors of drawn queries as given, with which those of each step are compared."""

    def __init__(self, points: Points, recipe: CompressRecipe, job: BlockJob) -> None:
        self.block, self.recipe, self.job = points.blocks[points.name], recipe, job
        self.queries = draw_rows(len(points), recipe.queries, recipe.seed)
        self.label, self.codes, self.classes = None, np.empty(0, np.int64), 0
        name = recipe.label or "label"
        if name in points.columns or recipe.label is not None:
            codes, names = encode(points.series(name))
            if 2 <= len(names) <= len(points) // 2:
                # Rows without a label vote for a class of their own, and are not asked.
                self.label, self.classes = name, len(names) + 1
                self.codes = np.where(codes < 0, len(names), codes)
            elif recipe.label is not None:
                raise DataError(f"the column {name!r} holds no classes", got=f"{len(names)} different values")
        self.given: dict[str, Neighbors] = {}

    def line(self, step: Step) -> dict[str, Any]:
        """The figures of a step."""
        line: dict[str, Any] = {"step": step.name, "bytes": step.bytes, "width": step.width}
        source = BlockSource.of(SteppedBlock(self.block, step))
        x = BlockSource.of(source.take(self.queries))
        for metric in METRICS:
            near = neighbors(x, source, self.recipe.k + 1, self.job, metric=metric)
            near = without_self(near, self.queries)
            share = self._kept(self.given.setdefault(metric, near), near, metric)
            line |= {f"{metric}_overlap": float(share.mean()), f"{metric}_interval": self._interval(share)}
            if self.label is not None:
                own = self.codes[self.queries]
                right = (vote(near, self.codes, self.classes, self.recipe.k).argmax(axis=1) == own)[
                    own < self.classes - 1
                ]
                line |= {
                    f"{metric}_accuracy": float(right.mean()),
                    f"{metric}_accuracy_interval": self._interval(right),
                }
        return line

    def _kept(self, before: Neighbors, after: Neighbors, metric: str) -> NDArray[np.float64]:
        if after is before:
            return np.ones(len(self.queries))
        shares, width = [], int(self.block.shape[1])
        step = max(1, _CHUNK // (self.recipe.k * width))
        for start in range(0, len(self.queries), step):
            part = slice(start, start + step)
            rows = (self.block[one.index[part].ravel()].reshape(-1, self.recipe.k, width) for one in (before, after))
            shares.append(kept_share(self.block[self.queries[part]], *rows, metric=metric))
        return np.concatenate(shares)

    def _interval(self, values: NDArray[Any]) -> list[float]:
        return list(bootstrap_mean(values, seed=self.recipe.seed, resamples=self.recipe.resamples))


def _write(
    out: Path, points: Points, plane: Plane | None, result: Compression, overwrite: bool, progress: Progress
) -> None:
    """Compressed points, their figures in the origin, and the axes beside them."""
    name, recipe = points.name, result.recipe
    figures = {key: value for key, value in result.figures().items() if key != "seconds"}
    origin = {key: value for key, value in points.origin.items() if key != FOLDER} | {COMPRESSED: figures}
    options: dict[str, Any] = {"overwrite": overwrite, "resume": None, "inputs": points.folders}
    key = digest(COMPRESSED, origin, len(points))
    with open_writer(out, key, window=SHARD_ROWS, dtype=recipe.store_dtype, **options) as writer:
        batches = zip(points.batches(SHARD_ROWS), points.rows.batches(SHARD_ROWS), strict=True)
        for index, ((part, values), frame) in enumerate(batches):
            writer.add(index, frame, {name: _placed(plane, values)})
            progress("writing", part.stop, len(points), "")
        if plane is not None:
            path = writer.folder / AXES
            arrays = {"mean": plane.mean, "axes": plane.axes, "explained": plane.explained}
            write_tensors(path, arrays, {"block": name, "coordinates": "(vector - mean) @ axes.T"})
            figures["axes"] = {"file": AXES, "bytes": path.stat().st_size, "sha256": hash_file(path)}
        writer.finish(len(writer.shards), origin, recipes.record(recipe))
