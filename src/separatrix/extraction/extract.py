"""The verb `extract`: texts in, points out, in memory or on disk; what is there already is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.extraction.readers import VectorSource, frozen_model, trained_prompt
from separatrix.extraction.windows import Rows, read_rows
from separatrix.extraction.workers import HERE, ReadWindows, TokenizedWindow, open_reading
from separatrix.models.backbone import Backbone
from separatrix.models.batches import ahead
from separatrix.models.precision import EXACT, FAST, NumberFormat, VectorsByName, number_format
from separatrix.models.tokens import UnreadCounts
from separatrix.points import ID, Points
from separatrix.progress import Counter, Progress, silent
from separatrix.recipe import digest
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import ExtractOptions
from separatrix.recipe.train import AUTO
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale.executors import Workers, parse_executor
from separatrix.store.manifest import MANIFEST
from separatrix.store.points import open_points
from separatrix.store.shards import check_finite
from separatrix.store.writer import PointsWriter, open_writer, stored_key

if TYPE_CHECKING:
    from separatrix.extraction.attention import ExampleRows

NUMBER_FORMAT = "number_format"  # of the origin of points: which format `--dtype auto` took, and why
WINDOW_ROWS = 4096
WINDOW_BYTES = 64 << 20  # of float32 numbers that are held before they are written


@dataclass(frozen=True)
class Extraction:
    """What it took to get points, and how to get at them."""

    open: Callable[[], Points]  # on disk, only this reads the row table, which grows with the rows
    rows: int
    blocks: dict[str, int]  # name -> width
    computed: int  # texts that were run
    cut: int  # texts that were longer than max_length
    seconds: float
    writing_seconds: float = 0.0
    bytes: int = 0  # on disk, of all that the store holds
    unread: UnreadCounts = UnreadCounts()
    number_format: str = ""  # which one `--dtype auto` took, and why

    @cached_property
    def points(self) -> Points:
        """The points."""
        return self.open()

    @property
    def width(self) -> int:
        """Numbers of a row, over all blocks."""
        return sum(self.blocks.values())

    @property
    def figures(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        names = ("rows", "width", "blocks", "bytes", "computed", "cut")
        rate = round(self.computed / self.seconds, 1) if self.computed else None
        chosen = {"number_format": self.number_format} if self.number_format else {}
        return (
            {name: getattr(self, name) for name in names}
            | chosen
            | {
                "reused": self.computed == 0,
                "seconds": round(self.seconds, 3),
                "writing_seconds": round(self.writing_seconds, 3),
                "rows_per_second": rate,
            }
        )


@dataclass(frozen=True)
class Destination:
    """Where points go, and what may be there."""

    folder: Path | None = None
    overwrite: bool = False
    resume: bool = True
    inputs: Collection[str | Path] = ()  # paths that are read, which are never replaced


@checks_arguments
def extract(
    data: Any,
    *,
    model: str | Path | Backbone | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    run: str | Path | None = None,
    executor: str = HERE,
    progress: Progress | None = None,
    recipe: ExtractRecipe | None = None,
    **options: Unpack[ExtractOptions],
) -> Points:
    """Vectors of texts as points; with `out` on disk, where a second call loads, adds or goes on.

    Args:
        data: texts: `Texts`, `Splits`, a list, an iterator, or a source that `load_texts` reads.
        model: a folder, a hub name, or a loaded backbone; the embedded default if neither it nor `run` is given.
        out: folder of the store; numbers stay in memory (float32) if absent.
        overwrite: replace the store in `out`.
        run: folder of a trained prompt whose outputs are read instead of the frozen model's states.
        executor: who computes: `here`, `processes:N`, `dask:local:N` or `dask:tcp://host:port`; the bytes are the same.
        progress: is called with (stage, done, total, note).
        recipe: all options at once.
        options: options of `ExtractRecipe` by name: `pool`, `layers`, `what`, `layer_weights`, `top`, `store_dtype`,
            `batch_tokens`, `max_length`, `device`, `dtype`, `revision`, and of attention maps `features` and others.

    Returns:
        Its blocks, named as in `plan_poolings`, over the columns id, text_hash, text, split, label, group; of
        attention maps a block for each feature, with a row for each window, layer and head.

    Raises:
        OptionError: an unknown option, pooling or layer.
        ModelError: no such model, or one without an LM head although `what="logits"`.
        StoreError: another request's store in `out`, or a damaged one.
    """
    progress = progress or silent
    parse_executor(executor)
    wanted = recipes.replace(recipe or ExtractRecipe(), **options)
    inputs = [one for one in (data, run, model) if isinstance(one, str | Path)]
    destination = Destination(None if out is None else Path(out), overwrite, inputs=inputs)
    if model is not None and run is not None:
        raise OptionError("either a model or a run is read", got="both")
    rows = source_rows(data, wanted)
    if run is not None:
        material: VectorSource = trained_prompt(Path(run), wanted)
    else:
        named = wanted.backbone.model if model is None else model
        material = vector_source(str(named) if isinstance(named, Path) else named, wanted, rows, destination)
    extraction = run_extraction(material, rows, destination, progress, executor)
    extraction.unread.warn()
    return extraction.points


def vector_source(
    model: str | Backbone, recipe: ExtractRecipe, rows: Rows | ExampleRows, destination: Destination
) -> VectorSource:
    """What reads a model as the recipe asks. Raises `ModelError`: no such model."""
    if recipe.vectors.what == "attention":
        from separatrix.extraction.attention import attention_source

        return attention_source(model, recipe)
    if isinstance(model, str) and isinstance(rows, Rows) and recipe.backbone.dtype == AUTO:
        return _in_chosen_format(model, recipe, rows, destination)
    return frozen_model(model, recipe)


def _in_chosen_format(model: str, recipe: ExtractRecipe, rows: Rows, destination: Destination) -> VectorSource:
    """What reads a model in the format that machine and texts allow; a store goes on in the one it was begun in."""
    sources = {dtype: frozen_model(model, recipes.replace(recipe, dtype=dtype)) for dtype in (EXACT, FAST)}
    stored = None if destination.folder is None or destination.overwrite else stored_key(destination.folder)
    begun = next((dtype for dtype, source in sources.items() if _store_key(source) == stored), None)
    if begun and destination.folder is not None and (destination.folder / MANIFEST).is_file():
        return sources[begun]  # the manifest says why

    def read(dtype: str, sample: list[str]) -> VectorsByName:
        every = recipes.replace(recipe, dtype=dtype, top=None)  # the highest logits alone would hide a change
        source = sources[dtype] if recipe.vectors.top is None else frozen_model(model, every)
        return source.reader().read(source.reader().tokenize(sample), source.names)

    chosen = number_format(recipe.backbone.device, rows.text, read)
    if begun and begun != chosen.dtype:
        chosen = NumberFormat(begun, "the store was begun in it")
    source = sources[chosen.dtype]
    return replace(source, origin=source.origin | {NUMBER_FORMAT: str(chosen)})


def source_rows(data: Any, recipe: ExtractRecipe, **reading: Any) -> Rows | ExampleRows:
    """What is read: texts, and for attention maps also questions with their contexts; arguments as `read_rows`.

    Raises:
        DataError: texts that cannot be used.
    """
    if recipe.vectors.what != "attention":
        return read_rows(data, **reading)
    from separatrix.extraction.attention import attention_rows

    return attention_rows(data, **reading)


def run_extraction(
    material: VectorSource, rows: Rows | ExampleRows, destination: Destination, progress: Progress = silent,
    executor: str | Workers = HERE,
) -> Extraction:  # fmt: skip
    """Run what is not there yet, and give the points with figures of the work."""
    window = max(1, min(WINDOW_ROWS, WINDOW_BYTES // (4 * material.width * len(material.names))))
    done = Counter(progress, "vectors", len(rows))
    with open_reading(material, executor, destination.folder, done) as (source, read):
        work = WindowLoop(source, done, read)
        if destination.folder is None:
            return _in_memory(work, rows.windows(window))
        return _on_disk(work, rows, window, destination, destination.folder)


def _in_memory(work: WindowLoop, frames: Iterator[pd.DataFrame]) -> Extraction:
    begun, kept = perf_counter(), WindowMemory()
    for step in work.steps(frames):
        kept.add(step)
    points = kept.points({**work.material.identity, **work.material.origin, "cut": kept.cut, **_origin(kept.unread)})
    blocks = {name: points.blocks[name].shape[1] for name in work.names}
    seconds = perf_counter() - begun
    chosen = str(points.origin.get(NUMBER_FORMAT, ""))
    counts = (work.computed, kept.cut, seconds)
    return Extraction(lambda: points, len(points), blocks, *counts, unread=kept.unread, number_format=chosen)


def _on_disk(work: WindowLoop, rows: Rows | ExampleRows, window: int, to: Destination, folder: Path) -> Extraction:
    begun, identity, dtype = perf_counter(), work.material.identity, work.material.vectors.store_dtype
    key = _store_key(work.material)
    with open_writer(
        folder, key, window=window, dtype=dtype, overwrite=to.overwrite, resume=to.resume, inputs=to.inputs
    ) as writer:
        work.writer, writer.how = writer, work.material.how
        for name, how in work.material.how.items():
            if name in writer.blocks and writer.blocks[name].how.get("code") != how.get("code"):
                hint = "type --overwrite to replace it, or choose another --out"
                raise StoreError(f"the code that gave block {name!r} of {folder} has changed", hint=hint)
        for step in work.steps(rows.windows(writer.window)):
            counts = {"cut": step.cut, **vars(step.unread)}
            writer.add(step.number, step.frame, step.blocks, table=step.table, notes=counts)
        unread = UnreadCounts(**{name: writer.note(name) for name in vars(UnreadCounts())})
        notes = {"store_dtype": dtype, "cut": writer.note("cut"), **_origin(unread)}
        decisive = {**identity, "store_dtype": dtype}  # of all blocks, also of those that are added later
        manifest = writer.finish(work.given, {**identity, **work.material.origin, **notes}, decisive)
    kept = sum(shard.rows for shard in manifest.shards)
    blocks = {name: manifest.blocks[name].width for name in work.names}
    chosen = str(manifest.origin.get(NUMBER_FORMAT, ""))
    figures = (
        work.computed,
        writer.note("cut"),
        perf_counter() - begun,
        writer.seconds,
        manifest.bytes,
        unread,
        chosen,
    )
    return Extraction(partial(open_points, folder, blocks=work.names), kept, blocks, *figures)


def _store_key(material: VectorSource) -> str:
    return digest({**material.identity, "store_dtype": material.vectors.store_dtype})


def _origin(unread: UnreadCounts) -> dict[str, Any]:
    """What points keep of it."""
    return {"warnings": list(unread.warnings)} if unread.warnings else {}


@dataclass(frozen=True, eq=False)
class ComputedWindow:
    """One window, computed."""

    number: int
    frame: pd.DataFrame  # the texts
    table: pd.DataFrame  # the rows of the blocks
    blocks: dict[str, np.ndarray]
    cut: int
    unread: UnreadCounts


@dataclass
class WindowLoop:
    """Windows in, computed windows out; the next window is tokenized while this one is computed."""

    material: VectorSource
    done: Counter
    read: ReadWindows
    writer: PointsWriter | None = None
    given: int = 0  # windows
    computed: int = 0  # texts
    rows: int = 0  # of the computed texts
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = self.material.names

    def steps(self, frames: Iterator[pd.DataFrame]) -> Iterator[ComputedWindow]:
        """Only windows of which something is missing."""
        for window, blocks in self.read(ahead(self._missing(frames), self._tokenize)):
            number, frame, tokens = window.number, window.frame, window.tokens
            self.computed += len(frame)
            start = self.rows if self.writer is None else sum(shard.rows for shard in self.writer.shards[:number])
            table = self.material.table(frame, tokens, blocks, start)
            self.rows += len(table)
            yield ComputedWindow(number, frame, table, blocks, tokens.cut, tokens.unread)

    def _missing(self, frames: Iterator[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame, list[str]]]:
        for number, frame in enumerate(frames):
            self.given = number + 1
            names = list(self.names)
            if self.writer is not None:
                names = self.writer.missing(number, frame, names)
            if names:
                self.material.reader()  # loaded here, not in the thread
                yield number, frame, names
            else:
                self.done(len(frame))

    def _tokenize(self, item: tuple[int, pd.DataFrame, list[str]]) -> TokenizedWindow:
        number, frame, names = item
        try:
            return TokenizedWindow(number, frame, names, self.material.reader().tokenize(frame["text"].tolist()))
        except DataError as error:
            ids = f"ids {frame['id'].iloc[0]} to {frame['id'].iloc[-1]}"
            raise DataError(f"among the texts with {ids}, {error}") from error


@dataclass
class WindowMemory:
    """Computed windows in memory."""

    tables: list[pd.DataFrame] = field(default_factory=list)
    blocks: list[dict[str, np.ndarray]] = field(default_factory=list)
    cut: int = 0
    unread: UnreadCounts = UnreadCounts()

    def add(self, step: ComputedWindow) -> None:
        """Keep one."""
        self.tables.append(step.table)
        self.blocks.append(step.blocks)
        self.cut += step.cut
        self.unread += step.unread

    def points(self, origin: dict[str, Any]) -> Points:
        """All of them as points."""
        if not self.blocks:
            raise DataError("there are no rows to read", expected="one text or more")
        blocks = {name: np.concatenate([some[name] for some in self.blocks]) for name in self.blocks[0]}
        table = pd.concat(self.tables, ignore_index=True)
        for name, values in blocks.items():
            check_finite(values, name, table[ID].tolist())
        return Points.of(blocks, table, origin=origin)
