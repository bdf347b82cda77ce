"""One side of `extract_workers`: a process that extracts texts to disk by an executor, and prints how fast.

    python -m benchmarks.parts.extract_side TEXTS.json OUT EXECUTOR MODEL [CORE]

With CORE the process and all that it starts stay on that core. Starting is left out: the rate counts from where a
quarter of the texts is done to the end, on disk; `seconds` has all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from time import perf_counter

STARTED = 0.25  # share of the texts after which the clock runs


def side(texts: list[str], out: Path, executor: str, model: str) -> dict[str, float | str]:
    """Rows, rows a second, seconds in all, digest of what was written."""
    from separatrix.extraction.extract import Destination, run_extraction
    from separatrix.extraction.readers import frozen_model
    from separatrix.extraction.windows import read_rows
    from separatrix.recipe import replace
    from separatrix.recipe.vectors import ExtractRecipe

    begun, passed = perf_counter(), list[tuple[int, float]]()

    def progress(_stage: str, done: int, total: int, _note: str) -> None:
        if done >= STARTED * total:
            passed.append((done, perf_counter()))

    material = frozen_model(model, replace(ExtractRecipe(), pool="mean", device="cpu"))
    run_extraction(material, read_rows(texts), Destination(out), progress, executor)
    ended = perf_counter()
    rate = (len(texts) - passed[0][0]) / (ended - passed[0][1])
    return {"rows": len(texts), "rows_per_second": rate, "seconds": ended - begun, "digest": digest(out)}


def digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) > 4:
        os.sched_setaffinity(0, {int(words[4])})
    given = json.loads(Path(words[0]).read_text())
    print(json.dumps(side(given, Path(words[1]), words[2], words[3])))
