"""A sweep that is killed, beside a plain loop, with one text cache, and by two workers.

    python benchmarks/sweep.py [--parts kills overhead cache workers] [--kills 10] [--json]

Prompts behind the shipped questions in all-MiniLM-L6-v2, one thread a process, one epoch each:

kills     24 runs (4 lengths x 3 rates x 2 seeds) whose command is killed (SIGKILL) at random moments until it has been
          killed so often, and then ends; its tables are compared byte by byte with those of an uninterrupted sweep.
overhead  The 24 runs as a sweep: all its processor seconds over those in the trainings themselves. Beside it a plain
          Python loop over the same trainings with the same cache, which differs by what the processor's speed does
          between two minutes (up to a fifth on a rented machine).
cache     The 12 lengths and rates of one seed: how often texts ran, and seconds by runs of their own over those spent.
workers   The 24 runs on one core, by `--executor processes:2`, and by two commands at once on one study.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from studies.common import machine, markdown

from separatrix.recipe import DEFAULT_MODEL
from separatrix.texts import load_demo

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("kills", "overhead", "cache", "workers")
TABLES = ("table.csv", "table.md", "runs.csv")
TARGETS = {
    "same tables after kills": 1.0,
    "sweep over its trainings, processor seconds": 1.03,
    "texts run once for 12 runs": 1.0,
    "processes:2 over one core": 1.7,
    "two commands over one core": 1.7,
}
SEED = 0


def make_grid(folder: Path, model: str, epochs: int) -> dict[str, Any]:
    """The grid of 24 runs over the shipped questions, written as a folder of parts."""
    data = folder / "data"
    data.mkdir()
    for part, texts in load_demo().parts.items():
        labels = [] if texts.label is None else texts.label.tolist()
        rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts.text, labels, strict=True)]
        (data / f"{part}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    train = {"model": model, "epochs": epochs, "snapshots": 0, "device": "cpu"}
    axes = {"tokens": [1, 2, 4, 8], "lr": [0.01, 0.03, 0.1]}
    return {"data": str(data), "seeds": [0, 1], "train": train, "grid": axes}


class Bench:
    """A folder with the grid, and the sides as processes."""

    def __init__(self, folder: Path, model: str, epochs: int) -> None:
        self.folder, self.grid = folder, make_grid(folder, model, epochs)
        self.count = 0

    def start(
        self, grid: dict[str, Any], how: str = "sweep", executor: str = "here", core: int | None = None,
        out: Path | None = None,
    ) -> tuple[subprocess.Popen[str], Path]:  # fmt: skip
        """Start a side in a folder of its own, or in one that is given."""
        self.count += 1
        file, out = self.folder / f"grid-{self.count}.json", out or self.folder / f"out-{self.count}"
        file.write_text(json.dumps(grid))
        command = [sys.executable, "-m", "benchmarks.parts.sweep_side", str(file), str(out), how, executor]
        command += [] if core is None else [str(core)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        print(f"{how} {executor}", file=sys.stderr, flush=True)
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment), out

    def run(self, grid: dict[str, Any], **how: Any) -> tuple[dict[str, Any], Path]:
        """What a side prints, once it has ended."""
        process, out = self.start(grid, **how)
        printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a side ended with code {process.returncode}")
        return dict(json.loads(printed)), out


def kills(bench: Bench, count: int) -> dict[str, Any]:
    """Kill a sweep so often, let it end, and compare."""
    generator = np.random.default_rng(SEED)
    whole, wanted = bench.run(bench.grid)
    out, killed, lives = bench.folder / "killed", 0, 0
    while killed < count:
        process, _ = bench.start(bench.grid, out=out)
        try:
            process.communicate(timeout=generator.random() * whole["seconds"] / 5 + 1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        lives += 1
        if lives > 3 * count:
            break  # it ends before its moments
    bench.run(bench.grid, out=out)
    same = all((out / name).read_bytes() == (wanted / name).read_bytes() for name in TABLES)
    return {"ratios": {"same tables after kills": float(same)}, "killed": killed, "runs": whole["done"]}


def overhead(bench: Bench, repeats: int) -> dict[str, Any]:
    """What a sweep spends outside its trainings, and the trainings by a plain loop in turn."""
    sides: dict[str, list[dict[str, Any]]] = {"sweep": [], "loop": []}
    for turn in range(repeats):
        for how in sorted(sides, reverse=bool(turn % 2)):
            sides[how].append(bench.run(bench.grid, how=how)[0])
    outside = median(side["cpu_seconds"] / side["training_seconds"] for side in sides["sweep"])
    kept = {how: [side["cpu_seconds"] for side in own] for how, own in sides.items()}
    kept["in trainings"] = [side["training_seconds"] for side in sides["sweep"]]
    loop = min(kept["sweep"]) / min(kept["loop"])
    ratios = {"sweep over its trainings, processor seconds": outside, "sweep over loop, processor seconds": loop}
    return {"ratios": ratios, "processor seconds": kept}


def cache(bench: Bench, _repeats: int) -> dict[str, Any]:
    """Runs of one seed: the texts of three parts, each run once; validation is used twice in a run."""
    side, _ = bench.run(bench.grid | {"seeds": [0]})
    saved = side["cache"]
    once = float(saved["built"] == 3 and saved["used"] == 4 * side["done"])
    ratios = {"texts run once for 12 runs": once, "text seconds by runs of their own over those spent": saved["ratio"]}
    return {"ratios": ratios, "cache": saved, "seconds": side["seconds"]}


def workers(bench: Bench, repeats: int) -> dict[str, Any]:
    """One core, two workers, two commands; starting is in, for a command that starts and ends is what people type."""
    core = min(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"one core": [], "processes:2": [], "two commands": []}
    for _ in range(repeats):
        for name, own in seconds.items():
            begun = perf_counter()
            if name == "two commands":
                out = bench.folder / f"both-{len(own)}"
                both = [bench.start(bench.grid, out=out)[0] for _ in range(2)]
                done = [json.loads(process.communicate()[0])["seconds"] for process in both]
                own.append(max(done))
            else:
                how: dict[str, Any] = {"core": core} if name == "one core" else {"executor": "processes:2"}
                own.append(bench.run(bench.grid, **how)[0]["seconds"])
            print(f"{name}: {own[-1]:.1f} s, {perf_counter() - begun:.1f} s with importing", file=sys.stderr)
    middle = {name: median(own) for name, own in seconds.items()}
    ratios = {
        "processes:2 over one core": middle["one core"] / middle["processes:2"],
        "two commands over one core": middle["one core"] / middle["two commands"],
    }
    return {"ratios": ratios, "seconds": seconds}


MEASURES: dict[str, Callable[[Bench, int], dict[str, Any]]] = {"overhead": overhead, "cache": cache, "workers": workers}


def measure(parts: Sequence[str], model: str, epochs: int, repeats: int, killed: int) -> dict[str, Any]:
    """All parts asked for, each with its ratios."""
    found: dict[str, Any] = {}
    for part in parts:
        with tempfile.TemporaryDirectory() as place:
            bench = Bench(Path(place), model, epochs)
            found[part] = kills(bench, killed) if part == "kills" else MEASURES[part](bench, repeats)
    ratios = {name: value for one in found.values() for name, value in one.pop("ratios").items()}
    return {"ratios": ratios, "targets": {name: TARGETS[name] for name in ratios if name in TARGETS}, "measured": found}


def show(found: dict[str, Any]) -> str:
    """The ratios as a table."""
    rows = [
        {"case": name, "ratio": f"{value:.3f}", "target": found["targets"].get(name, "-")}
        for name, value in found["ratios"].items()
    ]
    return markdown(rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each side (default 2)")
    parser.add_argument("--kills", type=int, default=10, help="how often the sweep is killed (default 10)")
    parser.add_argument("--epochs", type=int, default=1, help="of each run (default 1)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="another model, for a trial of the script")
    options = parser.parse_args(arguments)
    found = measure(options.parts, options.model, options.epochs, options.repeats, options.kills)
    found["machine"] = machine(1)
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
