"""Large labelled files: `train --method probe`, `rank` and `suspects` beside their plans, seconds and peak memory.

    python benchmarks/large_files.py [--rows 10000 100000] [--verbs train rank suspects] [--json]

Made-up texts of 4 to 20 words in six classes, one label in twenty wrong, in a CSV file; a random encoder of one layer
and width 384 reads them, so that all but the model is as large as with all-MiniLM-L6-v2, whose own seconds any plan
says. Each command runs in a process of its own, as it is typed, the plan first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from benchmarks.parts.extract_memory import WORDS, save_words
from studies.common import machine, markdown

CLASSES, WRONG = 6, 0.05
WIDTH = 384
TYPED = {"train": ["--method", "probe"], "rank": [], "suspects": []}


def texts(rows: int, seed: int = 0) -> pd.DataFrame:
    """Texts of words of which a third is of the class alone, and labels of which some are wrong."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, CLASSES, size=rows)
    own = WORDS // (2 * CLASSES)  # words of a class; all others are anybody's
    made = []
    for row in y:
        words = generator.integers(WORDS // 2, WORDS, size=int(generator.integers(4, 21)))
        mine = generator.random(len(words)) < 1 / 3
        words[mine] = row * own + generator.integers(0, own, size=int(mine.sum()))
        made.append(" ".join(f"w{word}" for word in words))
    wrong = generator.random(rows) < WRONG
    y[wrong] = (y[wrong] + generator.integers(1, CLASSES, size=int(wrong.sum()))) % CLASSES
    return pd.DataFrame({"text": made, "label": [f"class {row}" for row in y]})


def run(*words: str) -> tuple[dict[str, Any], float, float]:
    """What a command prints as JSON, its seconds and its peak memory in MiB."""
    begun = perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([sys.executable, "-m", "separatrix", *words, "--json", "--quiet"], stdout=printed)
        _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = perf_counter() - begun, os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"separatrix {' '.join(words)} failed")
        printed.seek(0)
        return json.loads(printed.read()), seconds, used.ru_maxrss / 1024


def one(verb: str, file: Path, model: Path, folder: Path) -> dict[str, Any]:
    """A command planned and done."""
    print(f"{verb} {file.stem}", file=sys.stderr, flush=True)
    words = [str(file), "--model", str(model), *TYPED[verb]]
    planned, _, _ = run("plan", verb, *words)
    _, seconds, peak = run(verb, *words, "--out", str(folder / f"{verb}-{file.stem}"))
    line = {"verb": verb, "rows": int(file.stem), "planned": planned["seconds"], "taken": seconds, "peak_mib": peak}
    return line | {"planned_mib": planned["memory"] / 2**20, "stages": planned["stages"]}


def measure(rows: list[int], verbs: list[str]) -> dict[str, Any]:
    """All verbs with all sizes; ratios are of the largest file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {
            "hidden_size": WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 12,
            "intermediate_size": 4 * WIDTH,
        }
        model = save_words(folder / "model", **sizes)
        lines = []
        for count in rows:
            texts(count).to_csv(folder / f"{count}.csv", index=False)
            lines += [one(verb, folder / f"{count}.csv", model, folder) for verb in verbs]
    last = [line for line in lines if line["rows"] == max(rows)]
    ratios = {
        f"{line['verb']}, {line['rows']} rows, planned over taken": line["planned"] / line["taken"] for line in last
    }
    return {"ratios": ratios, "lines": lines, "machine": machine(0)}


def show(found: dict[str, Any]) -> str:
    """The table for people."""
    return markdown([
        {"verb": line["verb"], "rows": line["rows"], "planned s": f"{line['planned']:.0f}",
         "taken s": f"{line['taken']:.0f}", "peak MiB": f"{line['peak_mib']:.0f}",
         "planned MiB, without the program": f"{line['planned_mib']:.0f}"}
        for line in found["lines"]
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--verbs", nargs="+", choices=list(TYPED), default=list(TYPED))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = measure(given.rows, given.verbs)
    print(json.dumps(found, indent=1) if given.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
