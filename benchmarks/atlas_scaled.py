"""A hundredth of the large atlas, end to end: 1,300 windows x 144 heads = 187,200 rows of 2,048, stage by stage.

    python benchmarks/atlas_scaled.py --data FOLDER [--rows 187200] [--windows 24] [--pictures 8] [--json]

Each stage is planned and then done. Maps of real windows (squad_v2) are read on `--windows` of them, and a ResNet-50
with random weights on `--pictures` maps: half a second each on this kind of processor, 26 hours for all. The other rows
are drawn to the same shape: 35 heaps, float16, 0.77 GB. On these PCA (to 64), k-means (k = 35) and DBSCAN of the 64
columns really run. `plan / taken` should lie between 0.7 and 1.3.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.dbscan import radius
from benchmarks.out_of_core import Heaps
from benchmarks.plan_vs_run import on_points, on_texts
from studies.common import machine, markdown

import separatrix as sx
from separatrix.analysis.blocks import ScaleOptions
from separatrix.analysis.plan.job import Outline, PlannedJob
from separatrix.analysis.plan.rates import measured
from separatrix.heads.resnet import seconds_per_picture
from separatrix.points import Points
from separatrix.progress import silent
from separatrix.recipe import ProjectRecipe
from separatrix.scale.blocks import BlockSource
from separatrix.scale.costs import Shape, pca_stages
from separatrix.scale.executors import open_workers
from separatrix.scale.job import BlockJob
from separatrix.scale.moments import coordinates, fit_plane
from separatrix.store.points import write_points
from separatrix.threads import set_threads

ROWS, WIDTH, DIMENSIONS, PIXELS, MEMORY = 187_200, 2048, 64, 384, "1GiB"
FEATURES = ("descriptors", "grid")


def maps(data: Path, windows: int, folder: Path) -> dict[str, Any]:
    """Attention maps of some windows, planned from a few of them and read."""
    table = sx.load_texts(data / "squad_v2" / "validation.parquet", text="context", label=None)
    texts = list(dict.fromkeys(table.text))[:windows]
    options: dict[str, Any] = {"what": "attention", "features": FEATURES, "max_length": 256, "out": folder / "heads"}
    return on_texts(texts, options)


def pictures(count: int) -> dict[str, Any]:
    """A ResNet-50's features of some maps, planned from a few others."""
    begun = perf_counter()
    planned = seconds_per_picture("random", PIXELS) * count
    planning = perf_counter() - begun
    taken = seconds_per_picture("random", PIXELS, count) * count
    return {
        "planned": planned,
        "taken": taken,
        "planning": planning,
        "way": f"{planned / count:.2f} s a map",
        "stages": {},
    }


def reduced(path: Path) -> tuple[dict[str, Any], Points]:
    """Points to 64 columns by the kernels themselves: the verb draws maps of two or three."""
    source = BlockSource.open(path)
    shape = Shape(source.rows, source.width)
    stages = pca_stages(shape, DIMENSIONS)
    begun = perf_counter()
    scale = ScaleOptions.of("here", MEMORY, None, silent)
    job = PlannedJob(ProjectRecipe(), shape, scale, None, sx.load(path))
    rates = measured(Outline(stages, "in blocks", 0, kernel={"dimensions": DIMENSIONS}), job)
    seconds, planning = rates.all_seconds(stages), perf_counter() - begun
    begun = perf_counter()
    with open_workers("here") as workers:
        work = BlockJob(workers)
        rows = coordinates(source, fit_plane(source, DIMENSIONS, work), work)
    taken = perf_counter() - begun
    named = {stage.name: round(each, 3) for stage, each in zip(stages, seconds, strict=True)}
    return {
        "planned": sum(seconds),
        "taken": taken,
        "planning": planning,
        "way": "in blocks",
        "stages": named,
    }, Points.of(rows)


def measure(given: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Every stage, planned and done."""
    lines = {}
    if given.data is not None:
        _say(f"maps of {given.windows} windows")
        lines[f"maps of {given.windows} windows"] = maps(given.data, given.windows, folder)
    if given.pictures:
        _say("a ResNet-50")
        lines[f"a ResNet-50 on {given.pictures} maps"] = pictures(given.pictures)
    path = folder / "features"
    write_points(path, Points.of(Heaps(given.rows, WIDTH)), dtype="float16")
    _say("PCA")
    lines[f"PCA to {DIMENSIONS}"], small = reduced(path)
    _say("k-means")
    lines["k-means, k = 35"] = on_points(folder, "cluster", path, method="kmeans", k=35, memory=MEMORY)
    _say("DBSCAN")
    eps = radius(small.values, 0.75)
    lines[f"DBSCAN of {DIMENSIONS} columns"] = on_points(folder, "cluster", small, method="dbscan", eps=eps)
    return lines


def _say(stage: str) -> None:
    print(stage, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with squad_v2 (maps are left out without it)")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--windows", type=int, default=24)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--threads", type=int, default=machine(0)["cores"])
    parser.add_argument("--folder", type=Path, help="where the rows are written (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    set_threads(given.threads)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        lines = measure(given, Path(folder))
    ratios = {name: line["planned"] / line["taken"] for name, line in lines.items()}
    whole = sum(line["planned"] for line in lines.values()) / sum(line["taken"] for line in lines.values())
    ratios["all stages"] = whole
    found = {"ratios": ratios, "targets": {name: [0.7, 1.3] for name in ratios}, "machine": machine(given.threads),
             "lines": lines}  # fmt: skip
    rows = [
        {"stage": name, "planned s": f"{line['planned']:.1f}", "taken s": f"{line['taken']:.1f}",
         "planned / taken": f"{ratios[name]:.2f}", "way": line["way"]}
        for name, line in lines.items()
    ]  # fmt: skip
    print(json.dumps(found) if given.json else f"{markdown(rows)}\n\nall stages: {whole:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
