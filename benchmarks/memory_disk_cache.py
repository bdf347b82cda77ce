"""Resident memory of a training whose text cache is a file larger than the memory it may use.

    python benchmarks/memory_disk_cache.py [--gib 4] [--json]

A GPT-2 of small size with random weights (36.9 kB of keys and values a token), random texts, one epoch: the cache is
written to disk, then every row of it is read once by the library's own training loop. Memory is the process's peak
resident size as the system counts it (mapped pages of the cache are in it), from the first line of the script on, so
that Python, torch and the making of the model are in it too.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from benchmarks.parts.gpt2 import TINY, Size, random_labels, random_tokens, save_gpt2
from benchmarks.parts.suffix import TrainingData, train_suffix
from studies.common import machine, markdown

from separatrix import recipe as recipes
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe, TrainRecipe

GIB = float(1 << 30)
LIMIT = 3.0  # GiB resident
TEXT, BATCH = 256, 32
STATUS = Path("/proc/self/status")
CASE = "3 GiB / peak resident memory"


def resident() -> dict[str, float]:
    """Resident memory by kind in GiB (Linux; nothing elsewhere): RssAnon is our own, RssFile are mapped pages."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    pairs = (
        line.split()[:2] for line in lines if line.startswith(("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem"))
    )
    return {name.rstrip(":"): int(value) / 2**20 for name, value in pairs}


def peak() -> float:
    """Peak resident memory of the process so far, GiB."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident().get("VmHWM", highest / (GIB if sys.platform == "darwin" else 2**20))


@dataclass
class Sampler:
    """Looks at the resident memory ten times a second, in a thread of its own, while its block runs."""

    highest: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self._look()

    def _look(self) -> None:
        for name, value in resident().items():
            self.highest[name] = max(value, self.highest.get(name, 0.0))


def measure(gib: float, tokens: int, size: Size, folder: Path) -> dict[str, Any]:
    """One epoch over a cache on disk of `gib` GiB; what it took."""
    model = save_gpt2(size, folder / "gpt2")
    backbone = load_backbone(ModelRecipe(model=str(model), device="cpu"))
    a_row = TEXT * size.layers * 2 * size.width * 2  # bytes: keys and values, 16 bits
    rows = max(BATCH, int(np.ceil(gib * GIB / a_row)))
    recipe = recipes.replace(TrainRecipe(), tokens=tokens, epochs=1, batch_size=BATCH, cache="disk", disk_gib=gib + 1)
    parts = {"train": random_tokens(rows, TEXT, size), "validation": random_tokens(BATCH, TEXT, size, seed=1)}
    material = TrainingData(parts, {"train": random_labels(rows), "validation": random_labels(BATCH)}, 2)
    print(f"{rows} rows of {TEXT} tokens, cache on disk, one epoch", file=sys.stderr, flush=True)
    before = peak()
    with Sampler() as sampler:
        run = train_suffix(backbone, material, recipe, folder=folder / "cache")
    return {
        "ratios": {CASE: LIMIT / peak()},
        "targets": {CASE: 1.0},
        "peak_gib": peak(),
        "peak_before_training_gib": before,
        "sampled_gib": sampler.highest,
        "cache_gib": run.cache_bytes / GIB,
        "place": run.place,
        "rows": rows,
        "seconds": {"cache": run.cache_seconds, "all": run.seconds},
    }


def show(found: dict[str, Any]) -> str:
    """The table as text."""
    lines = {
        "text cache on disk": found["cache_gib"],
        "peak resident memory of the process": found["peak_gib"],
        "the same before the training began (Python, torch, making the model)": found["peak_before_training_gib"],
    }
    kinds = {"RssAnon": "highest of the process's own memory, sampled", "RssFile": "highest of mapped pages, sampled"}
    lines |= {text: found["sampled_gib"][name] for name, text in kinds.items() if name in found["sampled_gib"]}
    table = markdown([{"what": text, "GiB": f"{value:.2f}"} for text, value in lines.items()])
    times = f"Seconds: {found['seconds']['all']:.0f}, of these {found['seconds']['cache']:.0f} for building the cache."
    ratio = f"{CASE}: {found['ratios'][CASE]:.2f}, target 1 or more (with a cache of 4 GiB or more)"
    info = found["machine"]
    return "\n\n".join([table, times, ratio, f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads"])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--gib", type=float, default=4.0, help="size of the cache (default 4)")
    parser.add_argument("--tokens", type=int, default=TrainRecipe().prompt.tokens, help="prompt tokens (default: ours)")
    parser.add_argument("--threads", type=int, default=machine(0)["cores"], help="threads (default: all cores)")
    parser.add_argument("--folder", type=Path, help="where the cache goes (default: the system's temporary folder)")
    parser.add_argument("--tiny", action="store_true", help="a toy model, for a trial of the script")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        found = measure(options.gib, options.tokens, TINY if options.tiny else Size(), Path(place))
    found["machine"] = machine(options.threads)
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
