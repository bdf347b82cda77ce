"""Exact k nearest neighbors: how near the blocked search comes to a plain matrix product, and what memory it takes.

    python benchmarks/exact_knn.py [--rows 100000] [--json]

Random vectors against themselves, leave one out, k = 10, cosine and Euclidean. Three sides are measured in turn: ours,
scikit-learn's brute force and faiss' `IndexFlat`, each beside the same rows' matrix product alone (one tile after the
other, nothing kept), which is the work that none of them can do without. Memory is what the process holds at its
highest above what it held before the call; each measurement runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from studies.common import machine, markdown

from separatrix.geometry.neighbors import neighbors

GIB = float(1 << 30)
K = 10
TILE = 4096
SIDES = ("ours", "scikit-learn", "faiss")
METRICS = ("cosine", "euclidean")
SHARE, LIMIT = 0.6, 1.0  # of the matrix product's rate; GiB beside the vectors
STATUS = Path("/proc/self/status")


def vectors(rows: int, width: int) -> np.ndarray:
    """Random vectors with some structure: 50 heaps, float32."""
    rng = np.random.default_rng(0)
    heaps = rng.normal(size=(50, width)).astype(np.float32)
    return heaps[rng.integers(50, size=rows)] + rng.standard_normal((rows, width), dtype=np.float32)


def product(x: np.ndarray) -> None:
    """Every inner product of x with itself, tile by tile into one piece of memory."""
    tile = np.empty((TILE, TILE), np.float32)
    for start in range(0, len(x), TILE):
        left = x[start : start + TILE]
        for other in range(0, len(x), TILE):
            right = x[other : other + TILE]
            np.matmul(left, right.T, out=tile[: len(left), : len(right)])


def ours(x: np.ndarray, metric: str) -> np.ndarray:
    """The library's own search."""
    return neighbors(x, x, K, metric=metric, exclude_self=True).index


def scikit(x: np.ndarray, metric: str) -> np.ndarray:
    """scikit-learn's brute force; without queries it leaves a row out of its own neighbors."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric).fit(x).kneighbors(return_distance=False)


def faiss_flat(x: np.ndarray, metric: str) -> np.ndarray:
    """Faiss' exact index; it finds the row itself, so one more is asked for."""
    import faiss

    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(x.shape[1]) if metric == "cosine" else faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    found = index.search(x, K + 1)[1]
    other = found != np.arange(len(x))[:, None]
    other[other.all(axis=1), -1] = False  # a twin may have pushed the row itself out
    return found[other].reshape(len(x), K)


RUN: dict[str, Callable[[np.ndarray, str], np.ndarray]] = {"ours": ours, "scikit-learn": scikit, "faiss": faiss_flat}


def resident() -> float:
    """Resident memory of this process, GiB (Linux; 0 elsewhere)."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 2**20


@contextmanager
def watched() -> Iterator[list[float]]:
    """Resident memory of this process, GiB, every 20 ms of the work inside."""
    stop, seen = threading.Event(), [resident()]

    def watch() -> None:
        while not stop.wait(0.02):
            seen.append(resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def measure(side: str, metric: str, rows: int, width: int, seed_rows: int) -> dict[str, Any]:
    """One side, after a small warm-up; runs in a process of its own."""
    x = vectors(rows, width)
    if side == "product":
        product(x[:seed_rows])
        begun = perf_counter()
        product(x)
        return {"seconds": perf_counter() - begun}
    RUN[side](x[:seed_rows], metric)
    with watched() as seen:
        begun = perf_counter()
        index = RUN[side](x, metric)
        seconds = perf_counter() - begun
    return {"seconds": seconds, "extra_gib": max(seen) - seen[0], "first": np.sort(index[:100], axis=1).tolist()}


def _send(pipe: Any, arguments: tuple[Any, ...]) -> None:
    pipe.send(measure(*arguments))


def alone(*arguments: Any) -> dict[str, Any]:
    """`measure` in a fresh process, so that no side inherits another's memory."""
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_send, args=(theirs, arguments))
    worker.start()
    theirs.close()
    found = mine.recv()
    worker.join()
    return found


def compare(rows: int, width: int, sides: tuple[str, ...], repeats: int) -> list[dict[str, Any]]:
    """All sides in turn, `repeats` times; the fastest of each counts."""
    lines: list[dict[str, Any]] = []
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(repeats):
        runs.setdefault(("product", ""), []).append(alone("product", "", rows, width, 2000))
        for metric in METRICS:
            for side in sides:
                print(f"{side}, {metric}, {rows} rows", file=sys.stderr, flush=True)
                runs.setdefault((side, metric), []).append(alone(side, metric, rows, width, 2000))
    plain = min(run["seconds"] for run in runs["product", ""])
    for (side, metric), found in runs.items():
        seconds = min(run["seconds"] for run in found)
        line = {"side": side, "metric": metric, "rows": rows, "seconds": seconds, "share": plain / seconds}
        line["gflops"] = 2 * rows * rows * width / seconds / 1e9
        if side != "product":
            line["extra_gib"] = max(run["extra_gib"] for run in found)
            same = zip(found[0]["first"], runs["ours", metric][0]["first"], strict=True)
            line["same_neighbours"] = float(np.mean([len(set(one) & set(other)) / K for one, other in same]))
        lines.append(line)
    return lines


def judge(lines: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios of every number of rows; the targets are those of the largest one, where fixed costs are small."""
    ratios: dict[str, float] = {}
    targets: dict[str, float] = {}
    by = {(line["side"], line["metric"], line["rows"]): line for line in lines}
    most = max(line["rows"] for line in lines)
    for (side, metric, rows), line in by.items():
        case = f"{rows} rows, {metric}"
        if side == "ours":
            ratios[f"share of a plain matrix product, {case}"] = line["share"]
            ratios[f"1 GiB / extra memory, {case}"] = LIMIT / max(line["extra_gib"], 1e-3)
            if rows == most:
                targets |= {f"share of a plain matrix product, {case}": SHARE, f"1 GiB / extra memory, {case}": 1.0}
        elif side != "product":
            ratios[f"{side} / ours, seconds, {case}"] = line["seconds"] / by["ours", metric, rows]["seconds"]
    return ratios, targets


def show(found: dict[str, Any]) -> str:
    """The tables as text."""
    rows = [
        {
            "side": line["side"],
            "metric": line["metric"] or "-",
            "rows": line["rows"],
            "seconds": f"{line['seconds']:.2f}",
            "GFLOP/s": f"{line['gflops']:.0f}",
            "share of the product": f"{line['share']:.2f}",
            "extra GiB": f"{line['extra_gib']:.2f}" if "extra_gib" in line else "-",
            "neighbors as ours": f"{line['same_neighbours']:.4f}" if "same_neighbours" in line else "-",
        }
        for line in found["lines"]
    ]
    judged = [
        {"case": case, "ratio": f"{ratio:.2f}", "target": f"{found['targets'].get(case, '-')}"}
        for case, ratio in found["ratios"].items()
    ]
    info = found["machine"]
    place = f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads, width {found['width']}, k = {K}"
    return "\n\n".join([markdown(rows), markdown(judged), place])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--peer-rows", type=int, default=20_000, help="rows at which the peers are measured as well")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=machine(0)["cores"], help="threads (default: all cores)")
    parser.add_argument("--peers-too", action="store_true", help="measure the peers at --rows as well")
    options = parser.parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # read by the fresh processes
    here = tuple(side for side in SIDES if side != "faiss" or importlib.util.find_spec("faiss"))
    lines: list[dict[str, Any]] = []
    sizes = {options.peer_rows: here, options.rows: here if options.peers_too else SIDES[:1]}
    for rows, sides in sizes.items():
        lines += compare(rows, options.width, sides, options.repeats)
    ratios, targets = judge(lines)
    found = {"ratios": ratios, "targets": targets, "machine": machine(options.threads), "lines": lines}
    found["width"] = options.width
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
