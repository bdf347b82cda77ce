"""What large pages of memory are worth to the products of a training step on this machine.

    python benchmarks/huge_pages.py [--json]

A small step multiplies few rows by every weight of a model. Where the system hands memory out in pages of 4 KiB, the
processor looks up hundreds of them for each weight, which a virtual machine makes dear. glibc takes its memory in large
pages when it is asked to before the program starts (`SETTINGS`; Linux whose /sys/kernel/mm/transparent_hugepage/enabled
says `madvise` or `always`). Both ways are measured in processes of their own, in turn; one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from studies.common import machine, markdown

SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}
MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ROWS, WIDTH, INNER, WEIGHTS = 160, 576, 1536, 60  # 32 rows of 5 prompt tokens; the matrices of 20 layers
DTYPES = ("float32", "bfloat16")
SECONDS, TURNS = 1.0, 3


def measure() -> dict[str, float]:
    """Milliseconds of one pass over all weights, by number format."""
    import torch

    torch.set_num_threads(1)
    figures = {}
    for name in DTYPES:
        dtype = getattr(torch, name)
        x = torch.randn(ROWS, WIDTH, dtype=dtype)
        weights = [torch.randn(INNER, WIDTH, dtype=dtype) for _ in range(WEIGHTS)]
        passes: list[float] = []
        while sum(passes) < SECONDS:
            begun = perf_counter()
            for weight in weights:
                torch.nn.functional.linear(x, weight)
            passes.append(perf_counter() - begun)
        figures[name] = 1000 * median(passes)
    return figures


def side(settings: dict[str, str]) -> dict[str, float]:
    """The figures of a process with these settings, and none that this one has."""
    own = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, __file__, "--side"]
    done = subprocess.run(command, env=own | settings, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure both ways in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure()))
        return
    turns = [(side({}), side(SETTINGS)) for _ in range(TURNS)]
    plain, large = ({name: median(turn[way][name] for turn in turns) for name in DTYPES} for way in (0, 1))
    case = f"products of {ROWS} rows with {WEIGHTS} weights"
    ratios = {f"{case}, {name}": round(plain[name] / large[name], 2) for name in DTYPES}
    mode = MODE.read_text().strip() if MODE.is_file() else "unknown"
    rows = [{"format": name, "as it comes, ms": f"{plain[name]:.0f}", "large pages, ms": f"{large[name]:.0f}",
             "ratio": f"{plain[name] / large[name]:.2f}x"} for name in DTYPES]  # fmt: skip
    if options.json:
        seconds = {"as it comes": plain, "large pages": large}
        figures = {"ratios": ratios, "targets": {}, "milliseconds": seconds, "pages": mode, "machine": machine(1)}
        print(json.dumps(figures, indent=1))
    else:
        print(markdown(rows))
        print(f"\ntransparent huge pages of this system: {mode}")


if __name__ == "__main__":
    main()
