"""Plans of the verbs that run a model: `extract` and `heads`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import prod
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from separatrix.analysis.blocks import HERE, ScaleOptions
from separatrix.analysis.plan.job import Measures, Outline, PlannedJob, seconds_of, workers_here
from separatrix.analysis.plan.points import kmeans_in_memory
from separatrix.codes import draw_rows
from separatrix.extraction.attention import ExampleRows
from separatrix.extraction.extract import WINDOW_BYTES, source_rows, vector_source
from separatrix.extraction.readers import VectorSource, trained_prompt
from separatrix.heads.resnet import seconds_per_picture
from separatrix.models.config import read_config, text_config, weight_shapes
from separatrix.models.source import resolve
from separatrix.recipe.cluster import ClusterRecipe
from separatrix.recipe.heads import HeadsRecipe
from separatrix.recipe.vectors import AttentionRecipe, ExtractRecipe
from separatrix.scale.costs import ModelShape, Shape, Stage, map_stages, resnet_flop
from separatrix.scale.kernels import one_thread
from separatrix.scale.machine import Machine

NUMBER_BYTES = {"float16": 2, "float32": 4, "int8": 1}
RESNET = "resnet"
_MOST, _SECONDS = 512, 2.0  # texts that are read to measure, at most, and for how long
_LOADED_AGAIN = 10.0  # seconds below which a model is loaded twice to measure it
_BATCH_TOKENS = 1024  # of a batch on a processor
_OUTSIDE = ("embed", "wte", "wpe", "lm_head", "pooler", "classifier", "cls.")  # tensors that are no layer's


@dataclass(frozen=True, eq=False)
class PlannedReading:
    """Texts, or their number and length, and the model that reads them."""

    recipe: ExtractRecipe
    texts: Sequence[Any] = ()  # texts, or pairs of them; empty where there are none yet
    count: int = 0  # of all texts
    tokens: int | None = None  # of each, where there are none yet
    machine: Machine | None = None
    run: Path | None = None
    on_disk: bool = False
    executor: str = HERE  # who reads the texts
    measured: dict[str, float] = field(default_factory=dict)  # kernel -> FLOP of a worker a second

    @cached_property
    def source(self) -> VectorSource:
        """What reads the model; of a ResNet-50 only its width is needed here."""
        if self.run is not None:
            return trained_prompt(self.run, self.recipe)
        recipe = self.recipe
        names = [name for name in recipe.attention.features if name != RESNET] or ["descriptors"]
        if recipe.backbone.dtype == "auto":  # what the machine allows is found out by the work
            recipe = replace(recipe, backbone=replace(recipe.backbone, dtype="float32"))
        if self.machine is not None:  # nothing is measured here: texts are cut into tokens, no more
            recipe = replace(recipe, backbone=replace(recipe.backbone, device="cpu"))
        if recipe.vectors.what == "attention":
            recipe = replace(recipe, attention=replace(recipe.attention, features=tuple(names)))
        return vector_source(recipe.backbone.model, recipe, ExampleRows(()), _NOWHERE)

    @cached_property
    def loaded(self) -> tuple[Any, float]:
        """The reader, and how long it takes to load, libraries left out."""
        begun = monotonic()
        reader, seconds = self.source.reader(), monotonic() - begun
        if seconds < _LOADED_AGAIN:  # they came with it: once more without them
            seconds = seconds_of(lambda: replace(self, measured={}).source.reader())
        return reader, seconds

    @property
    def reader(self) -> Any:
        """What turns texts into vectors."""
        return self.loaded[0]

    @cached_property
    def model(self) -> ModelShape:
        """Sizes of the model, from its files."""
        backbone = self.recipe.backbone if self.run is None else self.reader.model.recipe.backbone
        source = resolve(backbone)
        config = text_config(read_config(source, backbone))
        shapes = (shape for name, shape in weight_shapes(source).items() if not any(word in name for word in _OUTSIDE))
        weights = sum(prod(shape) for shape in shapes if len(shape) == 2)
        return ModelShape(
            int(config.num_hidden_layers), int(config.hidden_size), int(config.num_attention_heads), weights
        )

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each window or text of a sample, (sample,); `windows` of them are of one text."""
        if self.tokens is not None:
            return np.array([min(self.tokens, self.recipe.backbone.max_length)])
        return _lengths(self.reader.tokenize(self.some(_MOST)))

    @cached_property
    def windows(self) -> int:
        """Texts that are run: windows of attention maps are more than their texts."""
        return round(self.count * len(self.lengths) / (1 if self.tokens is not None else min(self.count, _MOST)))

    def some(self, count: int) -> list[Any]:
        """So many of the texts, evenly drawn, or made up."""
        if self.tokens is None:
            return [self.texts[row] for row in draw_rows(len(self.texts), count, 0)]
        length = min(self.tokens, self.recipe.backbone.max_length)
        words = " ".join(["the"] * max(1, length - 2))
        return [(words, "") if self.recipe.vectors.what == "attention" else words] * count

    @property
    def flop(self) -> float:
        """Of the model for all texts."""
        return self._flop(self.lengths) * self.windows / len(self.lengths)

    def _flop(self, lengths: np.ndarray) -> float:
        return sum(self.model.flop(1, float(length)) for length in lengths)

    def rate(self, kernel: str) -> float:
        """FLOP of a worker a second, measured once for the model and all features."""
        if kernel not in self.measured:
            self.measured.update(self._measure())
        return self.measured[kernel]

    def loading(self) -> tuple[float, float]:
        """Seconds before, and of each time that the model is loaded; workers load it beside each other."""
        return 0.0, self.loaded[1]

    def _measure(self) -> dict[str, float]:
        """Rates of one worker: a share of all threads here, or one thread where workers are processes."""
        if self.executor == HERE:
            return self._read_some(workers_here(HERE))
        with one_thread():
            return self._read_some(1)

    def _read_some(self, workers: int) -> dict[str, float]:
        reader, names = self.reader, self.source.names
        batch = 1 if self.recipe.vectors.what == "attention" else -(-_BATCH_TOKENS // int(self.lengths.mean()))
        most, warm = min(_MOST, self.count), False
        count = min(2 * workers * batch, most)  # so that every core has batches
        reader.read(reader.tokenize(self.some(2)), names)
        while True:
            tokens, begun = reader.tokenize(self.some(count)), monotonic()
            reader.read(tokens, names)
            seconds = monotonic() - begun
            # Batches of a shape that was not seen before are slow: a first reading counts only where it was long.
            if (warm or seconds >= 5 * _SECONDS) and (seconds >= _SECONDS / 2 or count >= most):
                break
            count, warm = min(most, max(2 * count, int(count * _SECONDS / max(seconds, 1e-3)))), True
        lengths = _lengths(tokens)
        rates = {"forward": self._flop(lengths) / seconds / workers}
        if self.recipe.vectors.what == "attention":
            rates = self._map_rates(lengths, seconds, workers)
        return rates

    def _map_rates(self, lengths: np.ndarray, seconds: float, workers: int) -> dict[str, float]:
        """The seconds of a reading shared between the model and the features as their clocks say."""
        clock, total = self.source.clock, sum(self.source.clock.values())
        stages = [map_stages(self.model, 1, int(length), self.source.names, 1) for length in lengths]
        flops = {stage.kernel: sum(each[number].flop for each in stages) for number, stage in enumerate(stages[0])}
        rates = {name: flop / (seconds * clock["model" if name == "forward" else name] / total * workers)
                 for name, flop in flops.items()}  # fmt: skip
        if RESNET in self.recipe.attention.features:
            attention = self.recipe.attention
            each = seconds_per_picture(attention.resnet_weights, attention.pixels)
            rates[RESNET] = resnet_flop(1, attention.pixels) / each / workers
        return rates


class _Nowhere:
    """A destination that holds nothing."""

    folder, overwrite = None, False


_NOWHERE: Any = _Nowhere()


def _lengths(tokens: Any) -> np.ndarray:
    ids = tokens.ids if hasattr(tokens, "ids") else [window.ids for window in tokens.windows]
    return np.array([len(one) for one in ids])


def plan_reading(reading: PlannedReading) -> tuple[Outline, Shape]:
    """One forward of every text, what is read of it, and what is written."""
    recipe, model = reading.recipe, reading.model
    what, dtype = recipe.vectors.what, NUMBER_BYTES[recipe.vectors.store_dtype]
    if what == "attention":
        attention, rows = recipe.attention, reading.windows * model.layers * model.heads
        tokens = float(np.sqrt((reading.lengths.astype(float) ** 2).mean()))  # a map grows with the square
        parts = map_stages(model, reading.windows, round(tokens), attention.features, attention.pixels)
        stages = [replace(parts[0], flop=reading.flop), *parts[1:]]
        width = sum(_feature_widths(attention, reading.source).values())
    else:
        stages, rows = [Stage("model", "forward", reading.flop, model.hidden)], reading.windows
        width = reading.source.width * len(reading.source.names)
        if what == "tokens":
            rows, width = (
                round(reading.windows * float(reading.lengths.mean())),
                model.hidden * len(reading.source.names),
            )
    shape = Shape(rows, width, dtype)
    loading = Stage("loading the model", "loading", 0.0, model.hidden, rows=1)
    ends = [Stage("writing", "writing", 0.0, width, written=shape.bytes)] if reading.on_disk else []
    held = min(4 * rows * width, 2 * WINDOW_BYTES) if reading.on_disk else 4 * rows * width
    path = "window by window to disk" if reading.on_disk else "in memory"
    kernels = {stage.kernel: partial(reading.rate, stage.kernel) for stage in stages}
    measures = Measures(kernels, {"loading": reading.loading})
    notes = ["planned in float32; --dtype auto may be faster"] if recipe.backbone.dtype == "auto" else []
    workers, memory = 0, held + 4 * model.weights
    if reading.executor != HERE:
        workers = reading.machine.workers if reading.machine else workers_here(reading.executor)
        # The first process checks the model and lets its weights go; each worker loads them with its first task.
        memory = held + 4 * model.weights * workers
        loading = replace(loading, name="loading the model, here and in each worker", rows=2)
        notes.append(f"each of {workers} workers reads with one thread")
    return Outline([loading, *stages, *ends], path, memory, measures, (), notes), shape


def _feature_widths(attention: AttentionRecipe, source: VectorSource) -> dict[str, int]:
    widths = {name: len(how["columns"]) for name, how in source.how.items()}
    return {name: 2048 if name == RESNET else widths[name] for name in attention.features}


def plan_heads(job: HeadsRecipe, reading: PlannedReading) -> tuple[Outline, Shape]:
    """Maps into rows of numbers, then their clusters; associations, importance and the page come on top."""
    outline, shape = plan_reading(reading)
    clusters = job.clusters
    reduced = Shape(shape.rows, clusters.components, 4)
    ks = [clusters.k] if clusters.k else list(clusters.k_grid)
    inner = kmeans_in_memory(PlannedJob(ClusterRecipe(k=max(ks)), reduced, ScaleOptions(), reading.machine))
    notes = [
        *outline.assumptions, *inner.assumptions,
        "features brought to a few columns, dbscan, hdbscan, associations, importance and the page are not in it",
    ]  # fmt: skip
    flops = {**outline.measures.flops, **inner.measures.flops}
    stages = [*outline.stages, *inner.stages]
    measures = Measures(flops, outline.measures.tables)
    return Outline(stages, outline.path, max(outline.memory, inner.memory), measures, (), notes), shape


def read_texts(data: Any, recipe: ExtractRecipe, more: dict[str, Any]) -> list[Any]:
    """Texts, or questions with their contexts, of whatever `extract` reads."""
    rows = source_rows(data, recipe, **more)
    if isinstance(rows, ExampleRows):
        return [(each.first, each.second) for each in rows.examples]
    return rows.text
