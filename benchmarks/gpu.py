"""What a GPU does: extraction, exact k-NN, PCA, k-means and DBSCAN, each checked against the CPU on a part of the rows.

    python benchmarks/gpu.py [--rows 18720000] [--minutes 9] [--json]
    python benchmarks/gpu.py --device cpu --rows 20000 --tiny   # to see that it runs

Rows are thirty heaps of unequal spread, 64 wide, float16. Each part is written to `--out` as soon as it is done: a
limit on time loses nothing. Rates stand beside those of plain products of large matrices, and of a plain copy, on the
same device in the same run. DBSCAN is run on a sixteenth, a quarter and all of the rows, with a grid of six radii; a
size that would not end in the minutes that are left is left out and said so. Where cuML can be imported, it stands
beside.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from benchmarks.dbscan import GRID_NOISE, MIN_SAMPLES, heaps
from benchmarks.parts.bert import BASE, MINI, TINY, BertSize, random_tokens, save_bert
from studies.common import machine, markdown

from separatrix.geometry.density import DensityGraph, Reading, TileMaker
from separatrix.geometry.neighbors import neighbors as near_on_cpu
from separatrix.geometry.tiles import OutOfTimeError, TileSpace
from separatrix.models.backbone import Tokens
from separatrix.models.config import layer_count
from separatrix.models.device import pick_device
from separatrix.models.extract import Engine, hidden_reader
from separatrix.models.load import load_backbone
from separatrix.models.pool import plan_poolings
from separatrix.recipe import ModelRecipe
from separatrix.recipe.vectors import VectorsRecipe
from separatrix.scale import kmeans as blocks
from separatrix.scale.blocks import BlockSource
from separatrix.scale.device_tiles import device_tiles, nearest
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation, exact_products
from separatrix.scale.moments import fit_plane
from separatrix.scale.nearest import neighbors

WIDTH, K, PASSES, NEAR, DIMENSIONS = 64, 35, 10, 10, 16
SUBSET = 10_000  # rows that the CPU computes too
SHARES = (1 / 16, 1 / 4, 1)  # of the rows, for DBSCAN
OUT = Path(__file__).parent / "results" / "gpu.json"
Line = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What all parts are given."""

    device: str
    rows: int
    ends: float  # reading of `monotonic`
    tiny: bool

    @property
    def on(self) -> torch.device:
        """The device itself."""
        return pick_device(self.device)


def timed(run: Callable[[], Any], on: torch.device) -> tuple[Any, float]:
    """What a function gives, and its seconds until the device is done."""
    if on.type == "cuda":
        torch.cuda.synchronize(on)
    begun = monotonic()
    result = run()
    if on.type == "cuda":
        torch.cuda.synchronize(on)
    return result, monotonic() - begun


def four_products(a: torch.Tensor) -> None:
    """A matrix times itself, four times."""
    for _ in range(4):
        a @ a


def peaks(setting: Setting) -> Iterator[Line]:
    """Rates of plain products in both number formats, and of a copy."""
    size, on = 256 if setting.tiny else 8192, setting.on
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn((size, size), device=on).to(dtype)
        a @ a
        _, seconds = timed(partial(four_products, a), on)
        yield {"part": "product", "case": str(dtype).removeprefix("torch."), "flop": 8.0 * size**3, "seconds": seconds}
    a = torch.zeros(1 << (20 if setting.tiny else 28), device=on)
    _, seconds = timed(lambda: [a.clone() for _ in range(4)], on)
    yield {"part": "copy", "case": "float32", "bytes": 4 * 8.0 * len(a), "seconds": seconds}


def extraction(setting: Setting) -> Iterator[Line]:
    """Rows a second of two encoders with random weights, in two number formats; vectors beside those of the CPU."""
    sizes = {"tiny": TINY} if setting.tiny else {"MiniLM": MINI, "bert-base": BASE}
    rows = 64 if setting.tiny else 32_768
    with tempfile.TemporaryDirectory() as folder:
        for name, size in sizes.items():
            path, tokens = save_bert(size, Path(folder) / name), random_tokens(rows, size)
            recipe = ModelRecipe(model=str(path), device="cpu")
            expected = _read(recipe, random_tokens(64, size), setting)[0]
            for dtype in ("float32", "bfloat16"):
                there = replace(recipe, device=setting.device, dtype=dtype)
                few, _ = _read(there, random_tokens(64, size), setting)
                cosine = float(np.min((few * expected).sum(1) / np.linalg.norm(few, axis=1)
                                      / np.linalg.norm(expected, axis=1)))  # fmt: skip
                _, seconds = _read(there, tokens, setting)
                yield {
                    "part": "extraction", "case": f"{name}, {dtype}", "rows": rows, "seconds": seconds,
                    "rows_per_second": rows / seconds, "flop": flop_of(size, [len(ids) for ids in tokens.ids]),
                    "against": dtype, "lowest_cosine_to_cpu": cosine,
                }  # fmt: skip


def _read(recipe: ModelRecipe, tokens: Any, setting: Setting) -> tuple[np.ndarray, float]:
    """Mean vectors of rows of tokens, and the seconds of the second reading of them."""
    backbone = load_backbone(recipe)
    reader = hidden_reader(
        Engine(backbone), plan_poolings(VectorsRecipe(pool=("mean",)), layer_count(backbone.model.config))
    )
    reader.read(Tokens(tokens.ids[:256], 0), reader.names, None)
    vectors, seconds = timed(lambda: reader.read(tokens, reader.names, None), setting.on)
    return vectors[reader.names[0]].astype(np.float64), seconds


def flop_of(size: BertSize, lengths: list[int]) -> float:
    """Of the matrix products of a reading: layers, and attention."""
    total, squares = float(sum(lengths)), float(sum(length**2 for length in lengths))
    return size.layers * (2 * (4 * size.width**2 + 2 * size.width * size.inner) * total + 4 * size.width * squares)


def nearest_rows(setting: Setting, x: np.ndarray) -> Iterator[Line]:
    """Exact neighbors of some rows among many; the neighbors of fifty of them beside those of NumPy."""
    rows, queries = x[:2_000_000], x[: 2048 if setting.tiny else 16_384]
    job = BlockJob(device=setting.device)
    asked, known = map(BlockSource.of, (queries, rows))
    made, seconds = timed(lambda: neighbors(asked, known, NEAR, job, metric="euclidean"), setting.on)
    expected = near_on_cpu(queries[:50], rows, NEAR, metric="euclidean")
    yield {
        "part": "k-NN", "case": f"{len(queries)} x {len(rows)}, k = {NEAR}", "rows": len(rows), "seconds": seconds,
        "flop": 2.0 * len(queries) * len(rows) * WIDTH, "against": "float32",
        "same_neighbors": float((made.index[:50] == expected.index).mean()),
    }  # fmt: skip


def principal_axes(setting: Setting, x: np.ndarray) -> Iterator[Line]:
    """The plane of largest variance of all rows; that of a part beside the CPU's."""
    whole, part = BlockSource.of(x), BlockSource.of(x[:SUBSET])
    _, seconds = timed(lambda: fit_plane(whole, DIMENSIONS, BlockJob(device=setting.device)), setting.on)
    made, expected = (fit_plane(part, DIMENSIONS, BlockJob(device=each)) for each in (setting.device, "cpu"))
    yield {
        "part": "PCA", "case": f"to {DIMENSIONS}", "rows": len(x), "seconds": seconds, "against": "float32",
        "flop": 2.0 * len(x) * WIDTH**2, "bytes": float(x.nbytes),
        "largest_difference_of_shares": float(np.abs(made.explained - expected.explained).max()),
    }  # fmt: skip
    if importlib.util.find_spec("cuml"):
        from cuml import PCA

        wide = x.astype(np.float32)
        _, seconds = timed(lambda: PCA(DIMENSIONS).fit(wide), setting.on)
        yield {"part": "PCA", "case": "cuml", "rows": len(x), "seconds": seconds}


def centroids(setting: Setting, x: np.ndarray) -> Iterator[Line]:
    """So many passes of k-means from the same rows; those over a part beside the CPU's."""
    whole, part = BlockSource.of(x), BlockSource.of(x[:SUBSET])
    _, seconds = timed(lambda: _passes(whole, setting.device), setting.on)
    made, expected = (_passes(part, each) for each in (setting.device, "cpu"))
    yield {
        "part": "k-means", "case": f"k = {K}, {PASSES} passes", "rows": len(x), "seconds": seconds,
        "flop": 2.0 * PASSES * len(x) * WIDTH * K, "bytes": float(PASSES * x.nbytes), "against": "float32",
        "inertia_over_cpu": made.inertia / expected.inertia,
    }  # fmt: skip
    if importlib.util.find_spec("cuml"):
        from cuml import KMeans

        wide, first = x.astype(np.float32), _starts(whole).astype(np.float32)
        _, seconds = timed(
            lambda: KMeans(n_clusters=K, init=first, n_init=1, max_iter=PASSES, tol=0).fit(wide), setting.on
        )
        yield {"part": "k-means", "case": "cuml", "rows": len(x), "seconds": seconds}


def _starts(source: BlockSource) -> np.ndarray:
    return source.take(np.sort(np.random.default_rng(1).choice(source.rows, K, replace=False))).astype(np.float64)


def _passes(source: BlockSource, device: str) -> blocks.Lloyd:
    """k-means after so many passes, whatever its inertia does."""
    before = blocks.PASSES, blocks.TOLERANCE
    blocks.PASSES, blocks.TOLERANCE = PASSES, -1.0
    try:
        first = _starts(source)
        offset = first.mean(axis=0)
        run = {K: blocks.Lloyd(first - offset)}
        blocks.finish(run, source, Preparation(offset=offset), BlockJob(device=device))
        return run[K]
    finally:
        blocks.PASSES, blocks.TOLERANCE = before


def density(setting: Setting, x: np.ndarray) -> Iterator[Line]:
    """A grid of six radii on more and more rows; labels of a part beside the CPU's."""
    tiles, last = device_tiles(setting.device), 0.0
    part = x[:SUBSET].astype(np.float32)
    radii = _radii(part, setting.on)
    same = all(np.array_equal(one, two) for one, two in zip(*(_grid(part, radii, one) for one in (tiles, TileSpace.of)),
                                                            strict=True))  # fmt: skip
    yield {"part": "DBSCAN", "case": "labels of the CPU", "rows": len(part), "same_labels": same}
    for share in SHARES:
        rows = x[: int(share * len(x))].astype(np.float32)
        line = {"part": "DBSCAN", "case": f"{len(rows)} rows, six radii", "rows": len(rows)}
        if monotonic() + 16 * last > setting.ends:
            yield line | {"left_out": f"some {16 * last:.0f} s would not fit into what is left"}
            continue
        radii = _radii(rows, setting.on)
        try:
            labels, last = timed(lambda: _grid(rows, radii, tiles, setting.ends), setting.on)  # noqa: B023
        except OutOfTimeError:
            yield line | {"left_out": "the time ran out"}
            continue
        yield line | {
            "seconds": last, "flop": float(len(rows)) ** 2 * WIDTH, "against": "float32",  # each pair once
            "radii": radii, "clusters": [int(each.max()) + 1 for each in labels],
            "noise": [float((each < 0).mean()) for each in labels],
        }  # fmt: skip
        if importlib.util.find_spec("cuml"):
            from cuml import DBSCAN

            _, seconds = timed(lambda: DBSCAN(eps=radii[2], min_samples=MIN_SAMPLES).fit(rows), setting.on)  # noqa: B023
            yield {"part": "DBSCAN", "case": "cuml, the third radius alone", "rows": len(rows), "seconds": seconds}


def _radii(x: np.ndarray, on: torch.device) -> list[float]:
    """Radii at which about so many rows are noise: from a sample of rows among all."""
    queries = x[:: max(1, len(x) // 1000)]
    reach = nearest(queries, x, MIN_SAMPLES, metric="euclidean", on=on).distance[:, -1]
    return np.unique(np.quantile(reach, 1 - np.array(GRID_NOISE))).tolist()


def _grid(x: np.ndarray, radii: list[float], tiles: TileMaker, ends: float | None = None) -> list[np.ndarray]:
    graph = DensityGraph.build(x, radii, MIN_SAMPLES, deadline=ends, reading=Reading(tiles))
    return [graph.clusters(level, MIN_SAMPLES, deadline=ends).labels for level in range(len(radii))]


def measure(setting: Setting, save: Callable[[list[Line]], None]) -> list[Line]:
    """All parts; after each line, all lines are saved."""
    lines: list[Line] = []
    x = heaps(setting.rows, WIDTH).astype(np.float16)
    with_rows = (nearest_rows, principal_axes, centroids, density)
    parts = (peaks(setting), extraction(setting), *(part(setting, x) for part in with_rows))
    with exact_products():
        for part in parts:
            for line in part:
                lines.append(with_rates(line, lines))
                print(f"{line['part']}, {line['case']}: {line.get('seconds', 0):.2f} s", file=sys.stderr, flush=True)
                save(lines)
    return lines


def with_rates(line: Line, earlier: list[Line]) -> Line:
    """A line with its FLOP and bytes a second, and the share of what plain products and copies reach."""
    plain = {each["case"]: each for each in earlier if each["part"] == "product"}
    if "flop" in line and "seconds" in line:
        line = line | {"flop_per_second": line["flop"] / line["seconds"]}
        if line.get("against") in plain:
            line["share_of_product"] = line["flop_per_second"] / plain[line["against"]]["flop_per_second"]
    if "bytes" in line:
        line = line | {"bytes_per_second": line["bytes"] / line["seconds"]}
    return line


def report(lines: list[Line], device: str) -> dict[str, Any]:
    """The result as one object."""
    shares = {
        f"{line['part']}, {line['case']}": line["share_of_product"] for line in lines if "share_of_product" in line
    }
    on = pick_device(device)
    name = torch.cuda.get_device_name(on) if on.type == "cuda" else "cpu"
    info = machine(torch.get_num_threads()) | {"device": name}
    return {"ratios": shares, "targets": {}, "machine": info, "lines": lines}


def show(result: dict[str, Any]) -> str:
    """The table as text."""
    checks = (
        "lowest_cosine_to_cpu",
        "same_neighbors",
        "largest_difference_of_shares",
        "inertia_over_cpu",
        "same_labels",
    )
    rows = [
        {
            "part": line["part"],
            "case": line["case"],
            "seconds": f"{line['seconds']:.2f}" if "seconds" in line else "-",
            "TFLOP/s": f"{line['flop_per_second'] / 1e12:.2f}" if "flop_per_second" in line else "-",
            "of a plain product": f"{line['share_of_product']:.2f}" if "share_of_product" in line else "-",
            "check": ", ".join(f"{name.replace('_', ' ')} {line[name]:.6g}" for name in checks if name in line)
            or line.get("left_out", "-"),
        }
        for line in result["lines"]
    ]  # fmt: skip
    return "\n\n".join([markdown(rows), f"{result['machine']['device']}, rows of width {WIDTH}"])


def main(arguments: list[str] | None = None) -> int:
    """Measure, save and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=18_720_000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="that all may take; DBSCAN stops then")
    parser.add_argument("--tiny", action="store_true", help="small models and products")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    setting = Setting(given.device, given.rows, monotonic() + 60 * given.minutes, given.tiny)

    def save(lines: list[Line]) -> None:
        given.out.write_text(json.dumps(report(lines, given.device), indent=1) + "\n", encoding="utf-8")

    result = report(measure(setting, save), given.device)
    print(json.dumps(result) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
