"""Peak memory of a head atlas while its number of windows grows: each size in a process of its own, step by step.

    python benchmarks/heads_memory.py [--windows 500 2000 8000] [--json]

A toy encoder (six layers of twelve heads, width 48) over made-up texts of up to 48 words, with the defaults of
`separatrix heads`: the model and one batch take next to nothing, so what grows with the rows is seen. A window has 72
rows of 15 descriptors and a grid. Each step has two figures: the most of the process's own memory within it, and the
peak so far with pages of files that are mapped, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from benchmarks.parts.extract_memory import save_words, stream
from studies.common import machine, markdown

from separatrix.recipe.heads import STEPS

LIMIT = 4.0  # GiB
CASE = "4 GiB / peak memory of the most windows"
GROWTH = "most of its own memory, fewest over most windows"
ROOT = Path(__file__).resolve().parents[1]


def one(model: Path, folder: Path, windows: int, steps: list[str]) -> dict[str, Any]:
    """An atlas of so many windows in a new process."""
    print(f"{windows} windows", file=sys.stderr, flush=True)
    texts = folder / f"{windows}.parquet"
    rows = list(stream(windows, longest=46))
    pd.DataFrame({"text": rows}).to_parquet(texts)
    command = [sys.executable, "-m", "benchmarks.parts.heads_memory", str(model), str(texts)]
    command += [str(folder / f"atlas-{windows}"), str(windows), *steps]
    begun = perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": round(perf_counter() - begun, 1)}


def measure(counts: list[int], steps: list[str]) -> dict[str, Any]:
    """All sizes, and the two ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save_words(folder / "model", hidden_size=48, num_hidden_layers=6, num_attention_heads=12)
        runs = [one(model, folder, count, steps) for count in counts]
    peaks = [run["peak_mib"][steps[-1]] for run in runs]
    own = [max(run["own_mib"].values()) for run in runs]
    more = max(1, counts[-1] - counts[0])
    first, last = runs[0]["own_mib"], runs[-1]["own_mib"]
    grown = {f"{step}_kib_a_window": (last[step] - first[step]) * 1024 / more for step in steps}
    ratios = {CASE: LIMIT * 1024 / peaks[-1], GROWTH: own[0] / own[-1]}
    return {"ratios": ratios, "grown": grown, "runs": runs, "machine": machine(1)}


def show(found: dict[str, Any]) -> str:
    """The table for people."""
    lines = [
        {"windows": run["windows"], "maps": run["maps"], "seconds": run["seconds"]}
        | {f"{step}, MiB": f"{run['own_mib'][step]:.0f} / {run['peak_mib'][step]:.0f}" for step in run["own_mib"]}
        for run in found["runs"]
    ]
    said = "\n".join(f"{name}: {value:.2f}" for name, value in found["ratios"].items())
    grown = ", ".join(f"{name.partition('_')[0]} {value:.1f}" for name, value in found["grown"].items())
    return f"{markdown(lines)}\n\nKiB of its own memory for each window more: {grown}\n{said}"


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measure(options.windows, options.steps)
    print(json.dumps(found) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
