"""The loss over all pairs of a batch as one matrix product, against a loop over pairs.

    python benchmarks/all_pairs.py [--json]     seconds, batch 256
    python benchmarks/all_pairs.py --memory     memory of one training step over all pairs of 4,096 rows

Both sides: forward and backward of the mean of (cos - t)^2 over all ordered pairs of different rows. The plain loop
takes the cosines one by one; the other makes a list of pairs row by row, stacks them, and takes all in one call.
`--memory` runs one step of all-MiniLM-L6-v2 with gradient caching; it counts the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from studies.common import machine, markdown
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.learn.objectives.alignment import AlignObjective
from separatrix.learn.objectives.base import LossBatch, TrainingRows
from separatrix.learn.objectives.contrast import cosine_mse, unit
from separatrix.learn.objectives.pairs import RowVectors, everyone
from separatrix.learn.trainables.encoder import EncoderTrainable, start_encoder
from separatrix.models.backbone import Tokens
from separatrix.models.load import load_backbone
from separatrix.recipe.align import AlignRecipe

TARGET = 100.0
MEMORY_GIB = 3.0
WIDTH, CLASSES = 384, 50
TOLERANCE = 1e-5  # of the loss and of the gradient, relative


def loop(z: Tensor, y: Tensor) -> Tensor:
    """One cosine after another."""
    # In float64: a running sum of 65,280 small numbers in float32 loses the fifth digit.
    labels, total, count = y.tolist(), z.new_zeros((), dtype=torch.float64), 0
    for i, label in enumerate(labels):
        for j, other in enumerate(labels):
            if i != j:
                total = total + (torch.cosine_similarity(z[i], z[j], dim=0) - float(label == other)) ** 2
                count += 1
    return total / count


def listed(z: Tensor, y: Tensor) -> Tensor:
    """Lists of pairs made row by row, stacked, and one call for all cosines (as the seed's own code does)."""
    labels, left, right, targets = y.tolist(), [], [], []
    for i, label in enumerate(labels):
        for j, other in enumerate(labels):
            if i != j:
                left.append(z[i])
                right.append(z[j])
                targets.append(float(label == other))
    similar = torch.cosine_similarity(torch.stack(left), torch.stack(right), dim=1)
    return (similar - torch.tensor(targets)).square().sum() / len(targets)


def ours(z: Tensor, y: Tensor) -> Tensor:
    """The library's loss."""
    near = unit(z)
    crowd = RowVectors(near, y, torch.arange(len(y)))
    return cosine_mse(near @ near.T, everyone(crowd, crowd)).total


def timed(side: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor) -> tuple[float, float, Tensor]:
    """Seconds of forward and backward, the loss, and its gradient."""
    rows = z.clone().requires_grad_()
    begun = perf_counter()
    value = side(rows, y)
    value.backward()
    seconds = perf_counter() - begun
    assert rows.grad is not None
    return seconds, value.item(), rows.grad


def measure(rows: int, repeats: int) -> dict[str, Any]:
    """All sides in turn; the first of ours is thrown away, the median counts."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, WIDTH, generator=generator)
    y = torch.randint(0, CLASSES, (rows,), generator=generator)
    found: dict[str, list[float]] = {"loop": [], "listed": [], "ours": []}
    timed(ours, z, y)
    for _ in range(repeats):
        results = {side.__name__: timed(side, z, y) for side in (loop, listed, ours)}
        for name, (seconds, value, grad) in results.items():
            found[name].append(seconds)
            gap = float((grad - results["ours"][2]).norm() / grad.norm())
            if abs(value - results["ours"][1]) > TOLERANCE * value or gap > 1e-4:
                raise SystemExit(
                    f"{name} gives another value: {value} and {results['ours'][1]}, gradients differ by {gap}"
                )
    return {name: median(values) for name, values in found.items()}


def peak_gib(rows: int, loss: str, model: str | None) -> float:
    """Peak memory of the process after one training step over all pairs of so many rows of 5 to 24 tokens."""
    changes = {"batch_size": rows, "pairs": "batch", "loss": loss, "device": "cpu"}
    recipe = recipes.replace(AlignRecipe(), **(changes | ({} if model is None else {"model": model})))
    backbone = load_backbone(recipe.backbone)
    generator = np.random.default_rng(0)
    most = len(backbone.tokenizer)
    ids = tuple(tuple(generator.integers(5, most, int(generator.integers(5, 25))).tolist()) for _ in range(rows))
    learner = EncoderTrainable(start_encoder(backbone, recipe.encoder), {"train": Tokens(ids, 0)}, 0)
    labels, objective = torch.from_numpy(generator.integers(0, CLASSES, rows)), AlignObjective(recipe, CLASSES)
    objective.start(TrainingRows(lambda some: learner.outputs("train", some).detach(), labels, np.arange(1)))
    batch = LossBatch(labels, torch.arange(rows))
    learner.backward(batch, lambda outputs: objective.loss(outputs, batch))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--rows", type=int, help="rows of a batch (default 256; with --memory 4096)")
    parser.add_argument("--model", help="folder of another encoder for --memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found: dict[str, Any]
    if options.memory:
        rows = options.rows or 4096
        peak = peak_gib(rows, "supcon", options.model)
        cases = {f"{MEMORY_GIB:g} GiB over the peak, {rows} rows": MEMORY_GIB / peak}
        found = {"ratios": cases, "targets": dict.fromkeys(cases, 1.0), "gib": peak}
    else:
        rows = options.rows or 256
        seconds = measure(rows, options.repeats)
        cases = {f"{name}, batch {rows}": seconds[name] / seconds["ours"] for name in ("loop", "listed")}
        found = {"ratios": cases, "targets": dict.fromkeys(cases, TARGET), "seconds": seconds}
    found["machine"] = machine(options.threads)
    if options.json:
        print(json.dumps(found))
        return 0
    targets = found["targets"]
    lines = [
        {"case": name, "ratio": f"{value:.4g}", "target": f">= {targets[name]:g}"} for name, value in cases.items()
    ]
    print(markdown(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
