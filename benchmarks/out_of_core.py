"""PCA and k-means of rows on disk under 1 GiB, beside the fastest library that holds them in memory.

    python benchmarks/out_of_core.py [--rows 2000000] [--executor here] [--json]

Rows are float16 on disk, 256 wide, 35 heaps. Both sides start k-means from the same centroids and do the same number of
passes; the inertia of each side's centroids is computed by one and the same function, over all rows. A side in memory
gets its float32 matrix before the clock starts; ours reads inside it. Each measurement runs in a process of its own;
memory is the most that this process holds, Python and PyTorch with it. A quarter, half and all of the rows say whether
time is linear and memory flat.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from benchmarks.exact_knn import resident, watched
from studies.common import machine, markdown

from separatrix.points import Points
from separatrix.scale import kmeans as blocks
from separatrix.scale.blocks import BlockSource
from separatrix.scale.executors import open_workers
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.moments import fit_plane
from separatrix.store.points import write_points
from separatrix.threads import set_threads

WIDTH, K, DIMENSIONS, PASSES = 256, 35, 64, 20
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the rows
TASKS = ("pca", "k-means")
SLOWER, LIMIT, EXPONENT, FLAT, INERTIA = 1.3, 1.0, 1.05, 1.1, 1.001


class Heaps:
    """Rows made when they are read, float32; a block of points that is never whole in memory."""

    dtype = np.dtype(np.float32)

    def __init__(self, rows: int, width: int = WIDTH) -> None:
        self.shape = (rows, width)
        self.centres = 2 * np.random.default_rng(0).normal(size=(K, width)).astype(np.float32)

    def __getitem__(self, part: slice) -> np.ndarray:
        rng = np.random.default_rng(part.start or 0)
        rows = len(range(*part.indices(self.shape[0])))
        width = self.shape[1]
        scale = np.linspace(3, 0.5, width, dtype=np.float32)
        return self.centres[rng.integers(K, size=rows)] + scale * rng.standard_normal((rows, width), dtype=np.float32)


def starts(folder: Path) -> np.ndarray:
    """The centroids that every side begins with: 35 of the rows, float32."""
    source = BlockSource.open(folder)
    return source.take(np.sort(np.random.default_rng(1).choice(source.rows, K, replace=False)))


def ours(task: str, folder: Path, executor: str) -> np.ndarray:
    """Axes or centroids from the rows on disk."""
    source = BlockSource.open(folder)
    with open_workers(executor) as workers:
        job = BlockJob(workers)
        if task == "pca":
            return fit_plane(source, DIMENSIONS, job).axes
        blocks.PASSES, blocks.TOLERANCE = PASSES, -1.0
        first = starts(folder).astype(np.float64)
        offset = first.mean(axis=0)
        run = {K: blocks.Lloyd(first - offset)}
        blocks.finish(run, source, Preparation(offset=offset), job)
        return run[K].centroids + offset


def _sklearn(task: str, x: np.ndarray, first: np.ndarray, package: str) -> np.ndarray:
    decomposition = importlib.import_module(f"{package}.decomposition")
    cluster = importlib.import_module(f"{package}.cluster")
    if task == "pca":
        return decomposition.PCA(DIMENSIONS, svd_solver="covariance_eigh").fit(x).components_
    return cluster.KMeans(K, init=first, n_init=1, max_iter=PASSES, tol=0).fit(x).cluster_centers_


def _faiss(task: str, x: np.ndarray, first: np.ndarray) -> np.ndarray:
    import faiss

    if task == "pca":
        matrix = faiss.PCAMatrix(WIDTH, DIMENSIONS)
        matrix.max_points_per_d = len(x)  # of all rows, as the others; by itself it takes 1,000 a column
        matrix.train(x)
        return faiss.vector_to_array(matrix.A).reshape(-1, WIDTH)[:DIMENSIONS]
    made = faiss.Kmeans(WIDTH, K, niter=PASSES, max_points_per_centroid=len(x))
    made.train(x, init_centroids=first)
    return made.centroids


RUN: dict[str, Callable[[str, np.ndarray, np.ndarray], np.ndarray]] = {
    "scikit-learn": partial(_sklearn, package="sklearn"),
    "scikit-learn-intelex": partial(_sklearn, package="sklearnex"),
    "faiss": _faiss,
}
MODULES = {"scikit-learn": "sklearn", "scikit-learn-intelex": "sklearnex", "faiss": "faiss"}


def measure(side: str, task: str, folder: Path, executor: str, threads: int) -> dict[str, Any]:
    """One side; runs in a process of its own."""
    set_threads(threads)
    first = starts(folder)
    x = None if side == "ours" else BlockSource.open(folder).read(0, 1 << 62)
    begun = perf_counter()
    with watched() as seen:
        found = ours(task, folder, executor) if x is None else RUN[side](task, x, first)
        seconds = perf_counter() - begun
    return {"seconds": seconds, "peak_gib": max(*seen, resident()), "found": np.asarray(found, np.float64)}


def quality(task: str, folder: Path, found: np.ndarray) -> float:
    """Inertia over all rows of centroids, or the squares that axes leave, by one function for every side."""
    source = BlockSource.open(folder)
    if task == "k-means":
        k = len(found)
        return float(blocks.clusterings(source, Preparation(), {k: found}, BlockJob(), 0.0)[k].inertia or 0.0)
    rows = source.take(np.arange(0, source.rows, max(1, source.rows // 100_000))).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    return float((centred**2).sum() - ((centred @ found.T) ** 2).sum())


def _send(pipe: Any, arguments: tuple[Any, ...]) -> None:
    pipe.send(measure(*arguments))


def alone(*arguments: Any) -> dict[str, Any]:
    """`measure` in a fresh process, so that no side inherits another's memory."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    worker = context.Process(target=_send, args=(theirs, arguments))
    worker.start()
    theirs.close()
    found = mine.recv()
    worker.join()
    return found


def compare(rows: int, folder: Path, executor: str, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Ours at every share of the rows, the libraries at all of them, in turn; the fastest of each counts."""
    sides = [side for side, module in MODULES.items() if importlib.util.find_spec(module)]
    lines = []
    for share in SHARES:
        count, path = int(share * rows), folder / f"{share:g}"
        write_points(path, Points.of(Heaps(count)), dtype="float16")
        for task in TASKS:
            for side in ["ours", *(sides if share == 1 else [])]:
                print(f"{side}, {task}, {count} rows", file=sys.stderr, flush=True)
                runs = [alone(side, task, path, executor, threads) for _ in range(repeats)]
                line = {"side": side, "task": task, "rows": count, "seconds": min(run["seconds"] for run in runs)}
                line["peak_gib"] = max(run["peak_gib"] for run in runs)
                lines.append(line | {"left": quality(task, path, runs[0]["found"])} if share == 1 else line)
    return lines


def judge(lines: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios, all the better the larger, and what they must reach."""
    ratios: dict[str, float] = {}
    targets: dict[str, float] = {}
    for task in TASKS:
        own = sorted(
            (line for line in lines if (line["side"], line["task"]) == ("ours", task)), key=lambda line: line["rows"]
        )
        whole = own[-1]
        others = [line for line in lines if line["task"] == task and line["side"] != "ours"]
        best = min(others, key=lambda line: line["seconds"])
        logs = {name: np.log([line[name] for line in own]) for name in ("rows", "seconds")}
        exponent = np.polyfit(logs["rows"], logs["seconds"], 1)[0]
        cases = {
            f"{best['side']} / ours, seconds, {task}": (best["seconds"] / whole["seconds"], 1 / SLOWER),
            f"{LIMIT:g} GiB / peak memory, {task}": (LIMIT / whole["peak_gib"], 1.0),
            f"what {best['side']} leaves / what ours leaves, {task}": (best["left"] / whole["left"], 1 / INERTIA),
            f"{EXPONENT} / exponent of the seconds in rows, {task}": (EXPONENT / exponent, 1.0),
            f"{FLAT} x memory of fewest rows / of all rows, {task}": (
                FLAT * own[0]["peak_gib"] / whole["peak_gib"],
                1.0,
            ),
        }
        ratios |= {case: ratio for case, (ratio, _) in cases.items()}
        targets |= {case: target for case, (_, target) in cases.items()}
    return ratios, targets


def show(found: dict[str, Any]) -> str:
    """The tables as text."""
    rows = [
        {"side": line["side"], "task": line["task"], "rows": line["rows"], "seconds": f"{line['seconds']:.2f}",
         "peak GiB": f"{line['peak_gib']:.2f}", "left": f"{line['left']:.6g}" if "left" in line else "-"}
        for line in found["lines"]
    ]  # fmt: skip
    judged = [
        {"case": case, "ratio": f"{ratio:.3f}", "target": f"{found['targets'][case]:.3f}"}
        for case, ratio in found["ratios"].items()
    ]
    info = found["machine"]
    place = f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads, width {WIDTH}, k = {K}, {PASSES} passes"
    return "\n\n".join([markdown(rows), markdown(judged), place])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--executor", default="here", help="who computes ours")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the rows are written (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        lines = compare(given.rows, Path(folder), given.executor, given.threads, given.repeats)
    ratios, targets = judge(lines)
    found = {"ratios": ratios, "targets": targets, "machine": machine(given.threads), "lines": lines}
    print(json.dumps(found) if given.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
