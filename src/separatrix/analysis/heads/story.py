"""The head atlas: maps -> features -> clusters -> tables, pictures and a page, in four steps that restart.

Each step has a folder whose name carries the digest of everything it depends on. The same order twice loads; an order
with another number of clusters extracts nothing anew; a killed extraction goes on where it stood.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from separatrix.analysis.heads.atlas import HEADS, PAGE, PICTURES, atlas_stage
from separatrix.analysis.heads.cluster import CLUSTERS, cluster_stage
from separatrix.analysis.heads.extract import (
    Reading,
    extract_digest,
    extract_stage,
    open_rows,
    prepare_reading,
)
from separatrix.analysis.heads.features import features_stage
from separatrix.errors import OptionError, SeparatrixError, StoreError, choose, public_name
from separatrix.heads.importance import usual_loss
from separatrix.progress import Progress, silent
from separatrix.recipe import digest, to_dict
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.heads import STEPS, HeadsRecipe
from separatrix.store.artifacts import check_unaltered, resume_artifact
from separatrix.store.blocks import open_block
from separatrix.store.files import read_json, write_json
from separatrix.store.files import reading as reading_files
from separatrix.store.folder import RECIPE, RESULT
from separatrix.store.table import read_table, write_table
from separatrix.texts.questions_answers import read_material

TABLE = "table.parquet"
OUTPUTS = {"cluster": (TABLE,), "atlas": (PAGE, HEADS, PICTURES)}  # of the steps, beside their own folders


@dataclass(frozen=True)
class HeadAtlas:
    """A finished atlas, or as much of it as was asked for."""

    folder: Path
    result: dict[str, Any]

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / PAGE

    @property
    def table(self) -> Any:
        """One line a row: example, window, context, layer, head, length, clusters (a pandas frame)."""
        return read_table(self.folder / TABLE)


@checks_arguments
def head_atlas(
    data: str | Path, out: str | Path, recipe: HeadsRecipe | None = None, *, steps: Sequence[str] = STEPS,
    overwrite: bool = False, resume: bool = False, progress: Progress | None = None,
) -> HeadAtlas:  # fmt: skip
    """Cluster every attention head of a model over a data set.

    Args:
        data: a SQuAD file, a table or folder of tables, or a hub name; see `texts.questions_answers`.
        out: folder of the atlas.
        recipe: what to do; the defaults if absent.
        steps: which of `extract`, `features`, `cluster`, `atlas`; steps before the last one named are done as well if
            they are not there yet.
        overwrite: replace what is in `out`.
        resume: go on with what is in `out`.
        progress: told (step, done, total, note).

    Raises:
        DataError: nothing to read.
        ModelError: no such model, or one that shows no attention.
        OptionError: options that contradict each other or the model.
        StoreError: `out` is taken.
    """
    progress = progress or silent
    if not steps:
        raise OptionError("--steps names no step", expected=", ".join(STEPS))
    wanted, order = max(STEPS.index(choose(step, STEPS, "--steps")) for step in steps), recipe or HeadsRecipe()
    begun, folder = monotonic(), Path(out)
    material = read_material(data, text=order.reading.text, pair=order.reading.pair, reading=order.loading)
    reading = _noted(prepare_reading(material, order), order)
    if resume:
        check_unaltered(folder)
    plain, inputs = to_dict(order) | {"data": public_name(data)}, (data, order.source.model)
    with resume_artifact(folder, "atlas", plain, overwrite=overwrite, resume=resume, keep=_can_resume, inputs=inputs):
        write_json(folder / RECIPE, plain)
        work = _Work(folder, reading, order, progress)
        kept = _still_right(folder, work)
        with reading_files(folder) if resume else nullcontext():  # what earlier orders wrote may not fit together
            result = _take_steps(work, kept, wanted, begun)
    return HeadAtlas(folder, result | ({"page": str(folder / PAGE)} if "page" in result else {}))


def _take_steps(work: _Work, kept: dict[str, Any], wanted: int, begun: float) -> dict[str, Any]:
    """The result of the first steps, written after each of them."""
    result = kept | work.extract() | {"out": str(work.folder), "notes": list(work.reading.notes)}
    done = max(1, len(kept.get("steps", ())))
    _write(work, result, done, begun)
    for place, run in enumerate(work.later[:wanted], start=2):
        result |= run()
        _write(work, result, max(done, place), begun)
    return result


def _can_resume(folder: Path) -> bool:
    """Whether a part of the maps was read."""
    return any(folder.glob("extract-*/*.json"))


def _write(work: _Work, result: dict[str, Any], done: int, begun: float) -> None:
    """Bring the result to the disk; the first `done` steps are in it."""
    names = {step: work.folders[step].name for step in STEPS[:done]}
    result |= {"steps": list(names), "folders": names, "seconds_whole": round(monotonic() - begun, 2)}
    named = {name: PAGE if name == "page" else value for name, value in result.items() if name != "out"}
    write_json(work.folder / RESULT, named)  # no path: results are given away


def _noted(reading: Reading, recipe: HeadsRecipe) -> Reading:
    """The reading with a note if the data gave fewer windows than were asked for, or heads cannot be weighed."""
    asked, given = recipe.reading.windows, len(reading.windows)
    notes = [] if given >= asked else [f"{asked} windows were asked for, the data give {given}"]
    if recipe.page.importance == "auto" and usual_loss(reading.backbone, reading.sample.examples) == "none":
        notes.append("the importance of heads is left out: the model or the texts have no loss for it")
    return dataclasses.replace(reading, notes=(*reading.notes, *notes))


def _still_right(folder: Path, work: _Work) -> dict[str, Any]:
    """What `result.json` says if all it tells of belongs to this order; outputs of other orders are removed.

    A shorter order on a finished atlas keeps the page if nothing about it has changed; a page of other clusters than
    those in the table would tell of what is no longer there.
    """
    before = (
        read_json(folder / RESULT, {"folders?": {"*": str}, "steps?": [str]}) if (folder / RESULT).is_file() else {}
    )
    known = before.get("folders", {})
    other = [step for step in STEPS if known.get(step) != work.folders[step].name]
    for name in (name for step in other for name in OUTPUTS.get(step, ())):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    if not any(step in known for step in other):
        return before
    (folder / RESULT).unlink(missing_ok=True)
    return {}


class _Work:
    """The steps over one folder."""

    def __init__(self, folder: Path, reading: Reading, recipe: HeadsRecipe, progress: Progress) -> None:
        self.folder, self.reading, self.recipe, self.progress = folder, reading, recipe, progress
        self.later = (self.features, self.cluster, self.atlas)
        self.folders = self._places()

    def _places(self) -> dict[str, Path]:
        """The folder of each step: its name changes with all that the step depends on."""
        recipe, key = self.recipe, extract_digest(self.reading, self.recipe)
        clusters, seed = recipe.clusters, recipe.reading.seed
        depends: dict[str, tuple[Any, ...]] = {
            "extract": (),
            "features": (recipe.maps, clusters.components, seed),
            "cluster": (clusters, seed),
            "atlas": (recipe.page, clusters.permutations),
        }
        places = {}
        for step, more in depends.items():
            key = digest(key, step, *more)
            places[step] = self.folder / f"{step}-{key[:12]}"
        return places

    def extract(self) -> dict[str, Any]:
        """Maps into rows of numbers."""
        found = extract_stage(self.folders["extract"], self.reading, self.recipe, self.progress)
        self.rows = open_rows(self.folders["extract"], self.recipe.maps.stored)
        return found

    def features(self) -> dict[str, Any]:
        """Rows of numbers into comparable features."""
        found = features_stage(self.folders["features"], self.rows, self.recipe, self.progress)
        return {"features": found["table"], "variance": found["variance"]}

    def cluster(self) -> dict[str, Any]:
        """Features into clusters."""
        place = self.folders["cluster"]
        found = cluster_stage(place, self.rows, self.values, self.recipe, self.progress)
        write_table(self.folder / TABLE, read_table(place / CLUSTERS))
        main = found[found["method"]]
        clusters = {name: found[name] for name in ("kmeans", "dbscan", "hdbscan", "again")}
        return {
            "clusters": {"method": found["method"], "count": main["clusters"], "noise": main["noise"], **clusters},
            "noise_by_layer": found["noise_by_layer"],
        }

    def atlas(self) -> dict[str, Any]:
        """Statistics, pictures, page."""
        found = atlas_stage(self.folder, self.folders, self.reading, self.rows, self.values, self.recipe, self.progress)
        return {**found, "page": str(self.folder / PAGE), "page_bytes": found["page"]}

    @property
    def values(self) -> np.memmap[Any, Any]:
        """The rows of the feature that is clustered, (rows, components)."""
        return open_block(self.folders["features"] / f"{self.recipe.clusters.feature}.npy")


def open_atlas(folder: str | Path) -> HeadAtlas:
    """A finished atlas.

    Raises:
        StoreError: there is none.
    """
    try:
        return HeadAtlas(Path(folder), read_json(Path(folder) / RESULT, dict))
    except SeparatrixError as error:
        raise StoreError(f"{folder} holds no atlas ({error})", hint="write one with `separatrix heads`") from error
