"""The head atlas: maps -> features -> clusters -> tables, pictures and a page, in four steps that restart.

Each step has a folder whose name carries the digest of everything it depends on. The same order twice loads; an order
with another number of clusters extracts nothing anew; a killed extraction goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from separatrix.errors import SeparatrixError, StoreError, choose
from separatrix.recipe import digest, to_dict
from separatrix.recipe.heads import STEPS, HeadsRecipe
from separatrix.store.blocks import open_block
from separatrix.store.files import read_json, write_json
from separatrix.store.table import read_table, write_table
from separatrix.study.folder import RECIPE, RESULT, run_folder
from separatrix.study.heads.atlas import PAGE, atlas_stage
from separatrix.study.heads.cluster import CLUSTERS, cluster_stage
from separatrix.study.heads.extract import (
    Reading,
    Report,
    extract_digest,
    extract_stage,
    open_rows,
    prepare_reading,
    silent,
)
from separatrix.study.heads.features import features_stage
from separatrix.texts.questions_answers import read_material

TABLE = "table.parquet"


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


def head_atlas(
    data: str | Path, out: str | Path, recipe: HeadsRecipe | None = None, *, steps: Sequence[str] = STEPS,
    overwrite: bool = False, resume: bool = False, report: Report = silent,
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
        report: told (step, done, total, note).

    Raises:
        DataError: nothing to read.
        ModelError: no such model, or one that shows no attention.
        OptionError: options that contradict each other or the model.
        StoreError: `out` is taken.
    """
    wanted, order = max(STEPS.index(choose(step, STEPS, "--steps")) for step in steps), recipe or HeadsRecipe()
    begun, folder = monotonic(), Path(out)
    material = read_material(data, text=order.reading.text, pair=order.reading.pair)
    reading = prepare_reading(material, order)
    with run_folder(folder, overwrite=overwrite, resume=resume):
        write_json(folder / RECIPE, to_dict(order) | {"data": str(data)})
        work = _Work(folder, reading, order, report)
        extracted = work.extract()
    result: dict[str, Any] = dict(extracted) | {"out": str(folder), "steps": list(STEPS[: wanted + 1])}
    result["folders"] = {"extract": work.folders["extract"].name}
    for run in list(work.later.values())[:wanted]:
        result |= run()
        result["folders"] = {name: place.name for name, place in work.folders.items()}
        result["seconds_whole"] = round(monotonic() - begun, 2)
        write_json(folder / RESULT, result)
    result["seconds_whole"] = round(monotonic() - begun, 2)
    write_json(folder / RESULT, result)
    return HeadAtlas(folder, result)


class _Work:
    """The steps over one folder."""

    def __init__(self, folder: Path, reading: Reading, recipe: HeadsRecipe, report: Report) -> None:
        self.folder, self.reading, self.recipe, self.report = folder, reading, recipe, report
        self.folders: dict[str, Path] = {}
        self.later = {"features": self.features, "cluster": self.cluster, "atlas": self.atlas}
        self._key = extract_digest(reading, recipe)

    def _place(self, step: str, *more: Any) -> Path:
        """The folder of a step: its name changes with all that it depends on."""
        self._key = digest(self._key, step, *more)
        self.folders[step] = self.folder / f"{step}-{self._key[:12]}"
        return self.folders[step]

    def extract(self) -> dict[str, Any]:
        """Maps into rows of numbers."""
        found = extract_stage(self._place("extract"), self.reading, self.recipe, self.report)
        self.rows = open_rows(self.folders["extract"], self.recipe.maps.stored)
        return found

    def features(self) -> dict[str, Any]:
        """Rows of numbers into comparable features."""
        maps, clusters = self.recipe.maps, self.recipe.clusters
        place = self._place("features", maps, clusters.components, self.recipe.reading.seed)
        found = features_stage(place, self.rows, self.recipe, self.report)
        return {"features": found["table"], "variance": found["variance"]}

    def cluster(self) -> dict[str, Any]:
        """Features into clusters."""
        place = self._place("cluster", self.recipe.clusters, self.recipe.reading.seed)
        found = cluster_stage(place, self.rows, self.values, self.recipe, self.report)
        write_table(self.folder / TABLE, read_table(place / CLUSTERS))
        main = found[found["method"]]
        clusters = {name: found[name] for name in ("kmeans", "dbscan", "hdbscan", "again")}
        return {
            "clusters": {"method": found["method"], "count": main["clusters"], "noise": main["noise"], **clusters},
            "noise_by_layer": found["noise_by_layer"],
        }

    def atlas(self) -> dict[str, Any]:
        """Statistics, pictures, page."""
        self._place("atlas", self.recipe.page, self.recipe.clusters.permutations)
        found = atlas_stage(self.folder, self.folders, self.reading, self.rows, self.values, self.recipe, self.report)
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
        return HeadAtlas(Path(folder), read_json(Path(folder) / RESULT))
    except SeparatrixError as error:
        raise StoreError(f"{folder} holds no atlas ({error})", hint="write one with `separatrix heads`") from error
