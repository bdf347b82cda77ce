"""Extraction by two worker processes against one process on one core; and the same bytes whatever happens to workers.

    python benchmarks/extract_workers.py [--data FOLDER] [--kills 20] [--workers 8] [--json]

all-MiniLM-L6-v2 in float32 over sst2 and imdb, pooled by the mean, to disk; sides are taken in turn, medians count. One
side is a process pinned to one core that reads by itself (`here`); the other gives the same texts to `processes:2`.
Rates are those after the start: from a quarter of the texts on. With `--kills`, a worker is killed (SIGKILL) at that
many random moments; with `--workers`, so many processes read the same texts. Every store is compared, byte by byte,
with that of one process. `--only` leaves out the race. Without --data the shipped questions stand in, repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from threading import Timer
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from benchmarks.parts.extract_side import digest
from studies.common import machine, markdown

from separatrix.extraction.extract import Destination, run_extraction
from separatrix.extraction.readers import frozen_model
from separatrix.extraction.windows import read_rows
from separatrix.recipe import DEFAULT_MODEL, replace
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale.executors import Workers, open_workers
from separatrix.texts import load_demo, load_texts

ROOT = Path(__file__).resolve().parents[1]
SETS = {"sst2": 12_000, "imdb": 2000}  # rows
TARGET = 1.7
FAULT_ROWS, FAULT_BATCH = 2000, 256  # of the runs with faults: about 20 tasks
SEED = 0
Extract = Callable[..., str]  # folder, executor -> digest


def texts_of(data: Path | None, name: str, rows: int) -> list[str]:
    """So many texts of a set, repeated where it has fewer; of the shipped questions where there is no data."""
    if data is not None and (data / name).is_dir():
        given = load_texts(data / name / "train.parquet").text
    else:
        given = tuple(text for part in load_demo().parts.values() for text in part.text)
    return [given[row % len(given)] for row in range(rows)]


def race(name: str, texts: list[str], model: str, repeats: int, folder: Path) -> dict[str, Any]:
    """Both sides in turn, each a process of its own."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(texts))
    core = str(min(os.sched_getaffinity(0)))
    sides = {"one": ["here", model, core], "two": ["processes:2", model]}
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for turn in range(repeats):
        for side in sorted(sides, reverse=bool(turn % 2)):
            print(f"{name}: turn {turn + 1} of {repeats}, {side}", file=sys.stderr, flush=True)
            out = folder / f"{name}-{side}-{turn}"
            command = [sys.executable, "-m", "benchmarks.parts.extract_side", str(file), str(out), *sides[side]]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            runs[side].append(json.loads(done.stdout))
    rates = {side: median(run["rows_per_second"] for run in some) for side, some in runs.items()}
    return {
        "set": name,
        "rows": len(texts),
        "one_core_rows_per_second": rates["one"],
        "two_workers_rows_per_second": rates["two"],
        "ratio": rates["two"] / rates["one"],
        "one_core_seconds": median(run["seconds"] for run in runs["one"]),
        "two_workers_seconds": median(run["seconds"] for run in runs["two"]),
        "same_bytes": len({run["digest"] for some in runs.values() for run in some}) == 1,
    }


def extraction(texts: list[str], model: str) -> Extract:
    """Extract the texts in many small tasks."""
    recipe = replace(ExtractRecipe(), pool="mean", device="cpu", batch_tokens=FAULT_BATCH)

    def run(out: Path, executor: str | Workers) -> str:
        run_extraction(frozen_model(model, recipe), read_rows(texts), Destination(out), executor=executor)
        return digest(out)

    return run


def kills(run: Extract, expected: str, count: int, folder: Path) -> dict[str, Any]:
    """Kill a worker at random moments of as many extractions by two processes."""
    generator = np.random.default_rng(SEED)
    same, runs, killed, longest = 0, 0, list[int](), 0.0
    with open_workers("processes:2") as workers:
        run(folder / "first", workers)  # starts them
        begun = perf_counter()
        run(folder / "second", workers)
        usual = perf_counter() - begun
        while len(killed) < count:  # a run may end before its moment
            timer = Timer(generator.random() * usual, partial(_kill, workers, runs, killed))
            begun = perf_counter()
            timer.start()
            same += run(folder / str(runs), workers) == expected
            timer.cancel()
            timer.join()
            runs, longest = runs + 1, max(longest, perf_counter() - begun)
            print(f"{len(killed)} of {count} killed; {same} of {runs} runs the same", file=sys.stderr, flush=True)
    return {"runs": runs, "killed": len(killed), "same_bytes": same, "seconds": usual, "longest_seconds": longest}


def _kill(workers: Workers, number: int, killed: list[int]) -> None:
    processes = list(getattr(workers.pool, "_processes", None) or ())
    if processes:
        with suppress(ProcessLookupError):
            os.kill(processes[number % len(processes)], signal.SIGKILL)
            killed.append(processes[number % len(processes)])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The race, the kills, the many workers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        races = []
        for name, usual in {} if options.only else SETS.items():
            texts = texts_of(options.data, name, options.rows or usual)
            races.append(race(name, texts, options.model, options.repeats, folder))
        run = extraction(texts_of(options.data, "sst2", options.rows or FAULT_ROWS), options.model)
        expected = run(folder / "here", "here")
        faults = kills(run, expected, options.kills, folder) if options.kills else None
        many = [run(folder / f"many-{count}", f"processes:{count}") == expected for count in options.workers]
    ratios = {one["set"]: one["ratio"] for one in races}
    targets = dict.fromkeys(ratios, TARGET)
    if races:
        ratios["same bytes, two workers against one process"] = float(all(one["same_bytes"] for one in races))
    if faults:
        ratios["share of runs with the same bytes while workers are killed"] = faults["same_bytes"] / faults["runs"]
    for count, same in zip(options.workers, many, strict=True):
        ratios[f"same bytes, {count} workers"] = float(same)
    return {"ratios": ratios, "targets": dict.fromkeys(ratios, 1.0) | targets, "measured": races, "kills": faults}


def show(found: dict[str, Any]) -> str:
    """The tables as text."""
    lines = [
        {
            "set": line["set"],
            "rows": line["rows"],
            "one core, rows/s": f"{line['one_core_rows_per_second']:.1f}",
            "two workers, rows/s": f"{line['two_workers_rows_per_second']:.1f}",
            "ratio": f"{line['ratio']:.2f}",
            "target": TARGET,
            "with starting, s": f"{line['one_core_seconds']:.1f} and {line['two_workers_seconds']:.1f}",
        }
        for line in found["measured"]
    ]
    others = [
        {"case": name, "ratio": f"{value:.2f}", "target": found["targets"][name]}
        for name, value in found["ratios"].items()
        if name not in SETS
    ]
    faults = found["kills"]
    killed = f"Killed {faults['killed']} workers in {faults['runs']} runs." if faults else ""
    info = found["machine"]
    where = f"{info['cpu']}, {info['cores']} cores, torch {info['versions']['torch']}"
    return "\n\n".join(filter(None, [markdown(lines) if lines else "", markdown(others), killed, where]))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--data", type=Path, help="folder with sst2/train.parquet and imdb/train.parquet")
    parser.add_argument("--rows", type=int, help="rows of each set (default: 12,000 of sst2, 2,000 of imdb)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--kills", type=int, default=0, help="workers to kill")
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="numbers of workers to compare as well")
    parser.add_argument("--only", action="store_true", help="leave out the race")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="another model folder, for a trial of the script")
    options = parser.parse_args(arguments)
    found = measure(options)
    found["machine"] = machine(1)
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
