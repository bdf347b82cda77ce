"""18,720,000 rows of 2,048 numbers, from attention maps to clusters, on paper: bytes and minutes on four machines.

    separatrix plan --calibrate --out benchmarks/machines/laptop.json
    python benchmarks/paper_plan.py [--write]

The seed document's job: 130,000 windows of 384 tokens, 144 heads of a BERT-base, a ResNet-50's 2,048 features of each
map (or the project's own descriptors and grids), k-means, PCA to 64, DBSCAN of these. The laptop's rates were measured,
eight cores are as many of them; GPUs are published peaks in the same formulas. What GPUs leave to the host (starts of
k-means, tables) is the laptop's. `--write` puts the table into docs/scale.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from studies.common import markdown

from separatrix.scale.costs import (
    ModelShape,
    Shape,
    Stage,
    dbscan_stage,
    kmeans_stages,
    map_stages,
    pca_stages,
    prepare_stages,
)
from separatrix.scale.machine import Machine
from separatrix.scale.memory import in_blocks, in_memory
from separatrix.scale.starts import sample_rows

ROOT = Path(__file__).resolve().parents[1]
MACHINES, PAGE = ROOT / "benchmarks" / "machines", ROOT / "docs" / "scale.md"
BLOCK = re.compile(r"(<!-- paper plan[^\n]*-->\n).*?(<!-- /paper plan -->)", re.DOTALL)
WINDOWS, TOKENS, PIXELS, K, PASSES, STARTS, DIMENSIONS = 130_000, 384, 384, 35, 20, 10, 64
BERT = ModelShape(layers=12, hidden=768, heads=12, weights=12 * 12 * 768**2)
SHAPE = Shape(WINDOWS * BERT.layers * BERT.heads, 2048)
SMALL = Shape(SHAPE.rows, DIMENSIONS)


def jobs() -> dict[str, list[Stage]]:
    """The stages of each job."""
    model, resnet = map_stages(BERT, WINDOWS, TOKENS, ["resnet"], PIXELS)
    own = map_stages(BERT, WINDOWS, TOKENS, ["descriptors", "grid"], PIXELS)[1:]
    written = Stage("writing", "writing", 0.0, SHAPE.width, written=SHAPE.bytes)
    return {
        "maps: the model": [model],
        "descriptors and grids of the maps": own,
        "or: a ResNet-50's 2,048 features": [resnet, written],
        f"k-means, k = {K}, {PASSES} passes": [
            *prepare_stages(SHAPE, "none"),
            *kmeans_stages(SHAPE, [K], PASSES, STARTS, sample_rows(K)),
        ],
        f"PCA to {DIMENSIONS}": [*prepare_stages(SHAPE, "none"), *pca_stages(SHAPE, DIMENSIONS)],
        f"DBSCAN of {DIMENSIONS} columns, all pairs": [dbscan_stage(SMALL)],
    }


def machines() -> dict[str, Machine]:
    """Name in the table -> rates."""
    laptop = Machine.load(MACHINES / "laptop.json")
    gpus = [Machine.load(MACHINES / name) for name in ("two_rtx_3090.json", "h200.json")]
    hosted = [replace(gpu, flops={"starts": laptop.flops["starts"], **gpu.flops}) for gpu in gpus]
    eight = replace(laptop, name="eight cores", source="", workers=8, memory=4 * laptop.memory)
    return {
        f"laptop, {laptop.workers} cores (measured)": laptop,
        "eight such cores": eight,
        **{f"{gpu.name} (not measured)": gpu for gpu in hosted},
    }


def duration(seconds: float) -> str:
    """Seconds as they are read.

    >>> duration(30), duration(600), duration(36_000), duration(864_000)
    ('30 s', '10 min', '10 h', '10 days')
    """
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def table() -> str:
    """The plan in Markdown."""
    rates, rows = machines(), []
    for name, stages in jobs().items():
        read, written = (sum(getattr(stage, kind) for stage in stages) for kind in ("read", "written"))
        row = {"job": name, "FLOP": f"{sum(stage.flop for stage in stages):.2g}", "read": f"{read / 1e9:,.0f} GB",
               "written": f"{written / 1e9:,.1f} GB"}  # fmt: skip
        rows.append(row | {each: duration(sum(one.all_seconds(stages))) for each, one in rates.items()})
    blocks = in_blocks(SHAPE.rows, SHAPE.width, 2, sample=sample_rows(K), squares=SHAPE.width)
    held, small = in_memory(SHAPE.rows, SHAPE.width), in_memory(SMALL.rows, SMALL.width)
    lines = [
        f"{SHAPE.rows:,} x {SHAPE.width:,} float16 are {SHAPE.bytes / 1e9:.1f} GB on disk, {held / 1e9:,.0f} GB if a "
        f"verb held them, {blocks / 1e9:.1f} GB at the peak in blocks with two workers; DBSCAN of {DIMENSIONS} columns "
        f"holds {small / 1e9:.0f} GB.",
        *(f"- {each}: {one.source}" for each, one in rates.items() if one.source),
    ]
    return "\n".join([markdown(rows), "", *lines])


def main(arguments: list[str] | None = None) -> int:
    """Print, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="put it into docs/scale.md")
    given = parser.parse_args(arguments)
    if not given.write:
        print(table())
        return 0
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
