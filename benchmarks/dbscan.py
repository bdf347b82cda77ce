"""DBSCAN beside scikit-learn-intelex; and a whole grid of radii where a published run halted.

    python benchmarks/dbscan.py [--rows 60000] [--widths 64 384] [--repeats 3] [--json]
    python benchmarks/dbscan.py --grid 561600 [--json]

Thirty heaps of unequal spread, min_samples 10, two radii each: sparse (most rows are noise) and dense (few are). Each
side runs in a process of its own, in turn, after a small warm-up; the fastest of the repeats counts. The partitions of
both sides are compared row by row.

With --grid: six radii, from mostly noise to one dominant cluster, min_samples 10, from one reading of the distances;
and the labels of each radius on the first 30,000 rows beside scikit-learn's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from studies.common import machine, markdown

from separatrix.geometry.density import DensityGraph, dbscan

MIN_SAMPLES = 10
NOISE = {"sparse": 0.75, "dense": 0.15}  # share of noise that a radius is chosen for
GRID_NOISE = (0.99, 0.9, 0.7, 0.4, 0.1, 0.01)
SUBSET = 30_000
PEER = "scikit-learn-intelex"


def heaps(rows: int, width: int) -> np.ndarray:
    """Thirty heaps of unequal spread, float32."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(30, width)).astype(np.float32) * 1.5
    spread = rng.uniform(0.5, 1.5, size=(rows, 1)).astype(np.float32)
    return middles[rng.integers(30, size=rows)] + rng.standard_normal((rows, width), dtype=np.float32) * spread


def radius(x: np.ndarray, share: float, sample: int = 2000) -> float:
    """The radius at which about this share of rows has fewer than MIN_SAMPLES neighbors: from a sample of rows."""
    from separatrix.geometry.neighbors import neighbors

    queries = x[:: max(1, len(x) // sample)]
    reach = neighbors(queries, x, MIN_SAMPLES, metric="euclidean").distance[:, -1]
    return float(np.quantile(reach, 1 - share))


def measure(side: str, rows: int, width: int, eps: float) -> dict[str, Any]:
    """Seconds, highest memory and labels of one side."""
    x = heaps(rows, width)
    if side == "ours":
        dbscan(x[:5000], eps, MIN_SAMPLES)
        begun = perf_counter()
        labels = dbscan(x, eps, MIN_SAMPLES).labels
    else:
        from sklearnex.cluster import DBSCAN

        DBSCAN(eps=eps, min_samples=MIN_SAMPLES).fit(x[:5000])
        begun = perf_counter()
        labels = DBSCAN(eps=eps, min_samples=MIN_SAMPLES).fit(x).labels_
    return {"seconds": perf_counter() - begun, "gib": _highest(), "labels": labels}


def grid(rows: int, width: int, radii: list[float]) -> dict[str, Any]:
    """Every cell of a grid from one reading."""
    x = heaps(rows, width)
    begun = perf_counter()
    graph = DensityGraph.build(x, radii, MIN_SAMPLES, progress=_say)
    read, cells = perf_counter() - begun, []
    for level, eps in enumerate(radii):
        begun = perf_counter()
        labels = graph.clusters(level, MIN_SAMPLES).labels
        sizes = np.bincount(labels[labels >= 0], minlength=1)
        cell = {"eps": eps, "clusters": int(labels.max()) + 1, "noise": float((labels < 0).mean())}
        cells.append(cell | {"largest": int(sizes.max()) / rows, "seconds": perf_counter() - begun})
        print(cells[-1], file=sys.stderr, flush=True)
    return {"read_seconds": read, "cells": cells, "gib": _highest()}


def subset_equal(rows: int, width: int, radii: list[float]) -> list[bool]:
    """Whether the labels of the first rows alone are scikit-learn's, for each radius."""
    from sklearn.cluster import DBSCAN

    x = heaps(rows, width)[:SUBSET]
    graph = DensityGraph.build(x, radii, MIN_SAMPLES)
    ours = [graph.clusters(level, MIN_SAMPLES).labels for level in range(len(radii))]
    theirs = (DBSCAN(eps=eps, min_samples=MIN_SAMPLES, algorithm="brute").fit(x).labels_ for eps in radii)
    return [bool((one == other).all()) for one, other in zip(ours, theirs, strict=True)]


def _say(stage: str, done: int, total: int, note: str) -> None:
    print(f"{stage}: {done} of {total} {note}", file=sys.stderr, flush=True)


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two labellings differ in their numbers only."""
    pairs = np.unique(np.stack([one, other]), axis=1)
    alone = [len(np.unique(each)) for each in pairs]
    return bool(((one < 0) == (other < 0)).all() and alone == [pairs.shape[1]] * 2)


def _send(pipe: Any, function: Any, arguments: tuple[Any, ...]) -> None:
    pipe.send(function(*arguments))


def alone(function: Any, *arguments: Any) -> Any:
    """A function in a fresh process, so that no side inherits another's memory."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    worker = context.Process(target=_send, args=(theirs, function, arguments))
    worker.start()
    theirs.close()
    result = mine.recv()
    worker.join()
    return result


def compare(rows: int, widths: list[int], repeats: int) -> dict[str, Any]:
    """All cases, both sides in turn."""
    sides = ["ours", PEER] if importlib.util.find_spec("sklearnex") else ["ours"]
    lines: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    for width in widths:
        for name, share in NOISE.items():
            eps = radius(heaps(rows, width), share)
            runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
            for _ in range(repeats):
                for side in sides:
                    runs[side].append(alone(measure, side, rows, width, eps))
                    print(f"{side}, {width}, {name}: {runs[side][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
            best = {side: min(run["seconds"] for run in runs[side]) for side in sides}
            labels = runs["ours"][0]["labels"]
            for side in sides:
                line = {"side": side, "rows": rows, "width": width, "radius": name, "eps": eps, "seconds": best[side]}
                line["gib"] = max(run["gib"] for run in runs[side])
                line["ns_a_pair"] = best[side] / rows**2 * 1e9
                line["noise"] = float((labels < 0).mean())
                line["same_labels"] = same_partition(labels, runs[side][0]["labels"])
                lines.append(line)
            if PEER in sides:
                ratios[f"{PEER} / ours, seconds, {rows} x {width}, {name}"] = best[PEER] / best["ours"]
    return {"lines": lines, "ratios": ratios, "targets": dict.fromkeys(ratios, 1.0), "repeats": repeats}


def whole_grid(rows: int, width: int) -> dict[str, Any]:
    """The grid and its check on a subset."""
    x = heaps(rows, width)
    radii = sorted({radius(x, share) for share in GRID_NOISE})
    found = alone(grid, rows, width, radii)
    minutes = (found["read_seconds"] + sum(cell["seconds"] for cell in found["cells"])) / 60
    equal = alone(subset_equal, rows, width, radii)
    for cell, same in zip(found["cells"], equal, strict=True):
        cell["subset_equal"] = same
    ratios = {"30 minutes / minutes": 30 / minutes, "4 GiB / highest memory": 4 / found["gib"]}
    ratios["radii whose labels are scikit-learn's on 30,000 rows"] = sum(equal) / len(equal)
    return found | {"rows": rows, "width": width, "ratios": ratios, "targets": dict.fromkeys(ratios, 1.0)}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 384])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", type=int, metavar="ROWS", help="the grid of six radii on so many rows of width 64")
    parser.add_argument("--threads", type=int, default=machine(0)["cores"], help="threads (default: all cores)")
    options = parser.parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # read by the fresh processes
    found = whole_grid(options.grid, 64) if options.grid else compare(options.rows, options.widths, options.repeats)
    found["machine"] = machine(options.threads)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    rounded = [
        {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in line.items()}
        for line in found.get("lines", found.get("cells"))
    ]
    judged = [{"case": case, "ratio": f"{ratio:.2f}", "target": 1.0} for case, ratio in found["ratios"].items()]
    info = found["machine"]
    print("\n\n".join([markdown(rounded), markdown(judged), f"{info['cpu']}, {info['threads']} threads"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
