"""The head atlas: maps -> features -> clusters -> associations -> tables, pictures and a page, in steps that restart.

Each step writes ordinary artefacts into subfolders whose names carry the digest of everything they depend on. The same
order twice loads; an order with another number of clusters extracts nothing anew; a killed extraction goes on where it
stood.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import Unpack

import numpy as np
import pandas as pd

from separatrix.analysis.associate import Associations, associate
from separatrix.analysis.heads.clusters import (
    AGAIN,
    CHILD,
    LEFT_OUT,
    cluster_figures,
    cluster_heads,
    cluster_table,
    noise_by_layer,
)
from separatrix.analysis.heads.controls import association_lines, columns_to_test, controls
from separatrix.analysis.heads.features import reduce_features
from separatrix.analysis.heads.importance import importance_figures, weigh_heads
from separatrix.analysis.heads.page import draw_atlas, write_heads
from separatrix.analysis.heads.reading import AtlasSource
from separatrix.analysis.heads.result import DISTANCES, HEADS, PAGE, PICTURES, TABLE, HeadAtlas
from separatrix.errors import OptionError, choose, public_name
from separatrix.extraction.attention import ExampleRows, attention_source
from separatrix.extraction.extract import Destination, run_extraction
from separatrix.extraction.readers import VectorSource
from separatrix.extraction.workers import HERE
from separatrix.heads.importance import usual_loss
from separatrix.heads.maps import load_for_maps, maps_of, shape_of
from separatrix.heads.repeats import measure_repeats
from separatrix.heads.windows import WindowRule, cut_windows, draw, unread_in
from separatrix.points import Points
from separatrix.progress import Progress, silent, under
from separatrix.recipe import digest, record, replace
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.heads import METHODS, STEPS, HeadsRecipe
from separatrix.recipe.options import HeadsOptions
from separatrix.scale.executors import parse_executor
from separatrix.store.artifacts import resume_artifact
from separatrix.store.contents import check_unaltered, open_artifact
from separatrix.store.files import reading as reading_files
from separatrix.store.files import write_json, write_tensors
from separatrix.store.folder import RECIPE, has_result
from separatrix.store.manifest import MANIFEST
from separatrix.store.points import open_points
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.store.table import read_table
from separatrix.texts.questions_answers import read_material

# Of each step: its artefacts, the fields of the atlas that it fills, and what it writes beside its artefacts.
ARTIFACTS = {"extract": ("points",), "features": ("features",), "cluster": (*METHODS, AGAIN),
             "associate": ("associations",), "atlas": ("atlas",)}  # fmt: skip
FIGURES = ("maps", "windows", "examples", "contexts", "layers", "heads", "tokens", "maps_per_second", "seconds_per_map",
           "model", "weights", "causal")  # fmt: skip
FIELDS = {"extract": FIGURES, "features": ("features", "variance"), "cluster": ("clusters", "noise_by_layer"),
          "associate": ("association",),
          "atlas": ("cluster_sentences", "controls", "importance", "page_bytes")}  # fmt: skip
USED = ("window", "context", "example", "length", "layer", "head", *METHODS, CHILD, "cluster")  # columns of the table
OUTPUTS = {"cluster": (TABLE,), "atlas": (PAGE, HEADS, DISTANCES, PICTURES)}


@checks_arguments
def head_atlas(
    data: str | Path, *, steps: Sequence[str] = STEPS, recipe: HeadsRecipe | None = None,
    out: str | Path | None = None, overwrite: bool = False, resume: bool = False, executor: str = HERE,
    progress: Progress | None = None, **options: Unpack[HeadsOptions],
) -> HeadAtlas:  # fmt: skip
    """Cluster every attention head of a model over a data set.

    Args:
        data: a SQuAD file, a table or folder of tables, or a hub name; see `texts.questions_answers`.
        steps: which of `extract`, `features`, `cluster`, `associate`, `atlas`; steps before the last one named are done
            as well if they are not there yet.
        recipe: all options at once.
        out: folder of the atlas; it must be given, since the steps restart from what is in it.
        overwrite: replace what is in `out`.
        resume: go on with what is in `out`.
        executor: who reads the maps: `here`, `processes:N`, `dask:local:N` or `dask:tcp://host:port`.
        progress: is called with (step, done, total, note).
        options: single options of `HeadsRecipe`, by name.

    Raises:
        DataError: nothing to read.
        ModelError: no such model, or one that shows no attention.
        OptionError: no `out`, an unknown option, or options that contradict each other or the model.
        StoreError: `out` is taken.
    """
    progress = progress or silent
    parse_executor(executor)
    if not steps:
        raise OptionError("--steps names no step", expected=", ".join(STEPS))
    if out is None:
        raise OptionError("an atlas is a folder, whose steps restart", got="no out", hint='give out="runs/heads"')
    last = max(STEPS.index(choose(step, STEPS, "--steps")) for step in steps)
    recipe = replace(recipe or HeadsRecipe(), **options)
    begun, folder = monotonic(), Path(out)
    material = read_material(data, text=recipe.reading.text, pair=recipe.reading.pair, reading=recipe.loading)
    backbone, reading = load_for_maps(recipe.model), recipe.reading
    rule = WindowRule(reading.max_length, recipe.attention.stride, recipe.attention.max_query_length)
    sample = draw(backbone, material.examples, rule, windows=reading.windows, shards=reading.shards,
                  how=reading.sampling, seed=reading.seed)  # fmt: skip
    unread = unread_in(backbone, sample.examples, cut_windows(backbone, sample.examples, rule)).warn()
    notes = [*material.notes, *backbone.source.warnings, *unread]
    if sample.windows < reading.windows:
        notes.append(f"{reading.windows} windows were asked for, the data give {sample.windows}")
    if recipe.page.importance == "auto" and usual_loss(backbone, sample.examples) == "none":
        notes.append("the importance of heads is left out: the model or the texts have no loss for it")
    sealed = (folder / MANIFEST).is_file()
    if resume:
        check_unaltered(folder)
    plain, inputs = record(recipe) | {"data": public_name(data)}, (data, recipe.source.model)
    with resume_artifact(folder, "atlas", plain, overwrite=overwrite, resume=resume, keep=_can_resume, inputs=inputs):
        write_json(folder / RECIPE, plain)
        story = _Story(folder, AtlasSource(backbone, sample, rule), recipe, progress, begun, sealed, executor)
        with reading_files(folder) if resume else nullcontext():  # what earlier orders wrote may not fit together
            return story.tell(last, notes)


def _can_resume(folder: Path) -> bool:
    """Whether a part of the maps was read."""
    return any(folder.glob("points-*/*"))


@dataclass(eq=False)
class _Story:
    """The steps over one folder; an artefact that is there is read."""

    folder: Path
    reading: AtlasSource
    recipe: HeadsRecipe
    progress: Progress
    begun: float
    sealed: bool = False  # whether a manifest stood in the folder
    executor: str = HERE  # who reads the maps
    atlas: HeadAtlas = field(default_factory=HeadAtlas)
    clock: dict[str, float] = field(default_factory=dict)  # of features that are learnt

    def tell(self, last: int, notes: list[str]) -> HeadAtlas:
        """The steps up to the last one; what earlier orders wrote is read if it belongs to this one, else removed."""
        earlier = HeadAtlas()
        if has_result(self.folder) and self.sealed:
            earlier = HeadAtlas.read(self.folder)
        elif has_result(self.folder):
            notes.append("the folder had no manifest: its tables and figures were not believed, and are made again")
        valid = list(takewhile(lambda step: step in earlier.steps and self._holds(earlier, step), STEPS))
        for name in (name for step in STEPS[len(valid) :] for name in OUTPUTS.get(step, ())):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        reused = {name: getattr(earlier, name) for step in valid for name in FIELDS[step]}
        self.atlas = self._finished(HeadAtlas(notes=notes, folder=self.folder, **reused), valid)
        run = {"extract": self.extract, "features": self.features, "cluster": self.cluster,
               "associate": self.associate, "atlas": self.page}  # fmt: skip
        for number in range(len(valid), last + 1):
            self.atlas = self._finished(run[STEPS[number]](), STEPS[: number + 1])
        return self.atlas

    def _holds(self, atlas: HeadAtlas, step: str) -> bool:
        """Whether what a step wrote is there and belongs to this order."""
        if not all(atlas.folders.get(name) == self.names[name] for name in ARTIFACTS[step]):
            return False
        for name in ARTIFACTS[step]:
            if self.path(name).is_dir():
                open_artifact(self.path(name), verify=False)
        return all((self.folder / name).exists() for name in OUTPUTS.get(step, ()))

    def _finished(self, atlas: HeadAtlas, steps: Sequence[str]) -> HeadAtlas:
        folders = {name: self.names[name] for step in steps for name in ARTIFACTS[step]}
        return atlas.written(steps=list(steps), folders=folders, seconds_whole=round(monotonic() - self.begun, 2))

    @cached_property
    def names(self) -> dict[str, str]:
        """The subfolder of each artefact: its name changes with all that the artefact depends on."""
        recipe, clusters, seed = self.recipe, self.recipe.clusters, self.recipe.reading.seed
        examples = [(each.id, each.first, each.second, each.label, each.title) for each in self.reading.sample.examples]
        keys = {"points": digest(self.source.identity, self.source.names, recipe.maps.raw, digest(examples))}
        keys["features"] = digest(keys["points"], recipe.attention.features, recipe.maps, clusters.components, seed)
        common = (keys["features"], clusters.cluster_feature, clusters.permutations, seed)
        dense = (*common, clusters.min_samples, clusters.density_rows)
        keys["kmeans"] = digest("kmeans", *common, clusters.k, clusters.k_grid)
        keys["dbscan"] = digest("dbscan", *dense, clusters.eps)
        keys["hdbscan"] = digest("hdbscan", *dense, clusters.min_cluster_size)
        keys[AGAIN] = digest(AGAIN, keys["dbscan"])
        keys["associations"] = digest([keys[name] for name in METHODS], clusters.method)
        keys["atlas"] = digest(keys["associations"], recipe.page)
        return {name: f"{name}-{key[:12]}" for name, key in keys.items()}

    def path(self, name: str) -> Path:
        """Folder of an artefact."""
        return self.folder / self.names[name]

    @cached_property
    def source(self) -> VectorSource:
        """What reads the maps."""
        return attention_source(self.recipe.source.model, self.recipe.extraction, loaded=self.reading.backbone)

    @cached_property
    def points(self) -> Points:
        """Rows of heads with the features that are read off the maps."""
        if (self.path("points") / "manifest.json").is_file():
            return open_points(self.path("points"))
        rows = ExampleRows(self.reading.sample.examples, self.reading.sample.shards)
        progress = under(self.progress, "maps")
        points = run_extraction(self.source, rows, Destination(self.path("points")), progress, self.executor).points
        if self.recipe.maps.raw:
            write_raw(self.folder / f"raw-{self.names['points']}", self.reading)
        return points

    @cached_property
    def reduced(self) -> Points:
        """The same rows with comparable features."""
        return reduce_features(self.path("features"), self.points, self.recipe, self.progress, self.clock)

    @cached_property
    def table(self) -> pd.DataFrame:
        """What is used of the row table with its clusters: a row has many columns, and there are many rows."""
        return ParquetTable.open(self.folder / TABLE).coded(USED)

    def extract(self) -> HeadAtlas:
        """Maps into rows of numbers."""
        rows, origin, clock = self.points.rows, self.points.origin, self.source.clock
        layers, heads = shape_of(self.reading.backbone.model)
        first = np.arange(0, len(rows), layers * heads)
        windows = rows.take(first).coded(("position", "context", "length"))
        return self.atlas.written(
            maps=len(rows), windows=len(windows), examples=int((windows["position"] == 0).sum()),
            contexts=int(windows["context"].nunique()), layers=layers, heads=heads,
            tokens=int(windows["length"].sum()), causal=self.reading.backbone.causal,
            maps_per_second=round(1 / max(sum(clock.values()), 1e-9), 1) if clock else None,
            seconds_per_map=dict(clock) or None, model=origin["model"], weights=origin["weights"],
        )  # fmt: skip

    def features(self) -> HeadAtlas:
        """Rows of numbers into comparable features."""
        origin, clock = self.reduced.origin, self.atlas.seconds_per_map or {}
        seconds = {**clock, "twins": clock.get("grid", 0.0) + self.clock.get("twins", 0.0)}
        lines = [line | {"seconds_per_map": seconds.get(line["feature"], 0.0)} for line in origin["features"]]
        return self.atlas.written(features=lines, variance=origin["variance"])

    def cluster(self) -> HeadAtlas:
        """Features into clusters."""
        recipe, seed = self.recipe.clusters, self.recipe.reading.seed
        folders = {name: self.path(name) for name in ARTIFACTS["cluster"]}
        clusters = cluster_heads(self.reduced.pick(recipe.cluster_feature), folders, recipe, seed, self.progress)
        table = cluster_table(self.points, clusters, recipe.method)
        write_rows(self.folder / TABLE, table)
        figures = {name: cluster_figures(each) for name, each in clusters.items()}
        main = clusters[recipe.method]
        summary = {"method": recipe.method, "count": len(main.sizes), "noise": main.noise}
        noise = {name: noise_by_layer(table, name, seed) for name in ("dbscan", "hdbscan")}
        return self.atlas.written(clusters={**summary, **figures}, noise_by_layer=noise)

    def associate(self) -> HeadAtlas:
        """Clusters against layer, head, length and context."""
        out, seed = self.path("associations"), self.recipe.reading.seed
        if out.is_dir():
            return self.atlas.written(association=association_lines(Associations.open(out)))
        rows = self.table[self.table["cluster"] > LEFT_OUT]
        columns = columns_to_test(rows)
        if not columns:
            return self.atlas.written(association=[])
        shuffles = self.recipe.clusters.permutations
        tested = associate(rows, columns, permutations=shuffles, seed=seed, out=out, progress=self.progress)
        return self.atlas.written(association=association_lines(tested))

    def page(self) -> HeadAtlas:
        """Controls, importance, pictures, page."""
        recipe, seed = self.recipe, self.recipe.reading.seed
        shuffles, method = recipe.clusters.permutations, recipe.clusters.method
        self.progress("atlas", 0, 4, "controls")
        values = self.reduced.pick(recipe.clusters.cluster_feature).values
        atlas = self.atlas.written(controls=controls(self.table, values, method=method, seed=seed))
        self.progress("atlas", 1, 4, "heads")
        weighed = weigh_heads(self.reading.backbone, self.reading.sample.examples, recipe.page)
        columns = {} if weighed is None else weighed.columns
        columns |= measure_repeats(self.reading.backbone, draws=recipe.page.repeats, most=recipe.reading.max_length,
                                   seed=seed)  # fmt: skip
        lines = write_heads(self.folder, self.reading, self.points, self.table, columns)
        atlas = atlas.written(cluster_sentences=lines)
        if weighed is not None:
            heads = read_table(self.folder / HEADS)
            atlas = atlas.written(importance=importance_figures(weighed, heads, shuffles, seed))
        self.progress("atlas", 2, 4, "pictures and page")
        return draw_atlas(atlas, self.reading, self.points, self.table, recipe)


def write_raw(folder: Path, reading: AtlasSource) -> None:
    """The maps themselves, one safetensors file a window, (layers, heads, tokens, tokens) float16.

    Raises:
        StoreError: the disk is full; at 384 tokens and 144 heads a window takes 42 MB.
    """
    number = 0
    for example in reading.sample.examples:
        for window in cut_windows(reading.backbone, [example], reading.rule)[0]:
            maps = maps_of(reading.backbone, window).half().cpu().numpy()
            write_tensors(folder / f"w{number}.safetensors", {"maps": maps}, {"words": list(window.words)})
            number += 1
