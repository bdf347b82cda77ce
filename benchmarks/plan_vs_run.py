"""Plans beside the work itself: seconds planned over seconds taken, both sides in one run.

    python benchmarks/plan_vs_run.py --data FOLDER [--cases kmeans pca dbscan extract probe align prompt] [--json]

Each case is planned first, in a process that has its libraries loaded, and then done. Points are on disk, float16, and
read in blocks under 1 GiB; DBSCAN holds its rows. Texts are the first 2,000 of sst2, read by all-MiniLM-L6-v2; of
them a training learns from four fifths, for two epochs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from benchmarks.dbscan import heaps, radius
from benchmarks.out_of_core import Heaps
from studies.common import machine, markdown

import separatrix as sx
from separatrix.points import Points
from separatrix.store.points import write_points
from separatrix.texts import Splits, Texts
from separatrix.threads import set_threads

METHODS = ("probe", "align", "prompt")
CASES = ("extract", "kmeans", "pca", "dbscan", *METHODS)
OF_TEXTS = ("extract", *METHODS)
EPOCHS = 2
WIDE_ROWS, DENSE_ROWS, WIDTH, TEXTS, MEMORY = 500_000, 60_000, 64, 2000, "1GiB"
TARGET = 0.3  # a plan is off by less


class StageClock:
    """A `progress` that counts the seconds until each stage reports; the verb's own name stands for its two ends."""

    def __init__(self) -> None:
        self.last, self.seconds = perf_counter(), dict[str, float]()

    def __call__(self, stage: str, _done: int, _total: int, _note: str) -> None:
        """Add the seconds since the last report to this stage."""
        now = perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self.last, 3)
        self.last = now


def compared(plan: Callable[[], sx.results.Plan], run: Callable[[StageClock], Any]) -> dict[str, Any]:
    """A plan, and seconds of the work; what both load is loaded before by the plan."""
    begun = perf_counter()
    planned = plan()
    planning, begun = perf_counter() - begun, perf_counter()
    clock = StageClock()
    run(clock)
    seconds = perf_counter() - begun
    stages = {stage["name"]: round(stage["seconds"], 3) for stage in planned.stages}
    line = {"planned": planned.seconds, "taken": seconds, "planning": planning, "way": planned.path}
    return line | {"stages": stages, "stages_taken": clock.seconds}


def on_texts(texts: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """`extract`, planned and done."""

    def work(clock: StageClock) -> None:
        sx.extract(texts, progress=clock, **options)

    return compared(lambda: sx.plan("extract", texts, **options), work)


def on_training(method: str, texts: Texts, folder: Path, model: str) -> dict[str, Any]:
    """`train` by one method, planned and done."""
    train, held = texts.split(0.2, 0)
    splits = Splits(train, held, None, ())
    options: dict[str, Any] = {"method": method, "model": model} | ({} if method == "probe" else {"epochs": EPOCHS})

    def work(clock: StageClock) -> None:
        sx.train(splits, out=folder / method, progress=clock, **options)

    return compared(lambda: sx.plan("train", splits, **options), work)


def on_points(folder: Path, verb: str, points: Path | Points, **options: Any) -> dict[str, Any]:
    """A verb over points, planned and done."""
    out = folder / verb  # a verb replaces only what is its own
    work = getattr(sx, verb)
    return compared(
        lambda: sx.plan(verb, points, **options),
        lambda clock: work(points, out=out, overwrite=True, progress=clock, **options),
    )


def case(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One of the cases."""
    if name in OF_TEXTS:
        rows = sx.load_texts(given.data / "sst2" / "train.parquet")
        rows = rows.take(np.arange(min(given.texts, len(rows))))
    if name in METHODS:
        return on_training(name, rows, folder, given.model)
    if name == "extract":
        texts = rows.text
        options = {"model": given.model, "out": folder / "vectors"}
        return on_texts(texts, options)
    if name == "dbscan":
        x = heaps(given.dense_rows, WIDTH)
        return on_points(folder, "cluster", Points.of(x), method="dbscan", eps=radius(x, 0.75))
    path = folder / "wide"
    if not path.is_dir():
        write_points(path, Points.of(Heaps(given.rows)), dtype="float16")
    if name == "kmeans":
        return on_points(folder, "cluster", path, method="kmeans", k=35, memory=given.memory)
    return on_points(folder, "project", path, method="pca", memory=given.memory)


def show(found: dict[str, Any]) -> str:
    """The table as text."""
    rows = [
        {"case": name, "planned s": f"{line['planned']:.1f}", "taken s": f"{line['taken']:.1f}",
         "planned / taken": f"{found['ratios'][name]:.2f}", "planning s": f"{line['planning']:.1f}", "way": line["way"]}
        for name, line in found["lines"].items()
    ]  # fmt: skip
    info = found["machine"]
    return (
        markdown(rows)
        + f"\n\n{info['cpu']}, {info['cores']} cores, {info['threads']} threads; target: off by less than {TARGET:.0%}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument(
        "--data", type=Path, help="folder with sst2/train.parquet (without it cases of texts are left out)"
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--rows", type=int, default=WIDE_ROWS, help="of k-means and PCA")
    parser.add_argument("--dense-rows", type=int, default=DENSE_ROWS, help="of DBSCAN")
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--memory", default=MEMORY)
    parser.add_argument("--threads", type=int, default=machine(0)["cores"])
    parser.add_argument("--folder", type=Path, help="where the rows are written (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    set_threads(given.threads)
    lines = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for name in given.cases:
            if name not in OF_TEXTS or given.data is not None:
                print(name, file=sys.stderr, flush=True)
                lines[name] = case(name, Path(folder), given)
    ratios = {name: line["planned"] / line["taken"] for name, line in lines.items()}
    targets = {name: [1 - TARGET, 1 + TARGET] for name in ratios}
    found = {"ratios": ratios, "targets": targets, "machine": machine(given.threads), "lines": lines}
    print(json.dumps(found) if given.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
