"""One side of `sweep`: a process that does the runs of a grid as a sweep or by a plain loop, and prints its seconds.

    python -m benchmarks.parts.sweep_side GRID.json OUT sweep|loop EXECUTOR [CORE]

Importing is left out; everything else is in. With CORE the process and all that it starts stay on that core.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from typing import Any


def sweep_side(grid: dict[str, Any], out: Path, executor: str) -> dict[str, Any]:
    """Seconds of a sweep, by the wall and of the processor, of these in trainings, and what the shared cache saved."""
    from separatrix.sweeps import work
    from separatrix.sweeps.verb import sweep

    inside = 0.0  # processor seconds in the trainings themselves
    train = work.carry_out

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal inside
        before = process_time()
        try:
            return train(*arguments, **options)
        finally:
            inside += process_time() - before

    work.carry_out = timed
    begun, spent = perf_counter(), process_time()
    result = sweep(grid, out=out, executor=executor)
    seconds = {"seconds": perf_counter() - begun, "cpu_seconds": process_time() - spent, "training_seconds": inside}
    return {**seconds, "done": result.done, "cache": dict(result.cache)}


def loop_side(grid: dict[str, Any], out: Path) -> dict[str, Any]:
    """Seconds of the same trainings by hand: texts read once for each seed, one text cache, a folder for each run."""
    from separatrix import recipe as recipes
    from separatrix.recipe import TrainRecipe
    from separatrix.texts import load_splits
    from separatrix.training.request import TrainingRequest
    from separatrix.training.verb import carry_out

    begun, spent, done = perf_counter(), process_time(), 0
    for seed in grid["seeds"]:
        splits = load_splits(grid["data"], seed=seed)
        for values in product(*grid["grid"].values()):
            options = grid["train"] | dict(zip(grid["grid"], values, strict=True))
            recipe = recipes.replace(TrainRecipe(), **options, seed=seed)
            folder = out / "-".join(map(str, (seed, *values)))
            request = TrainingRequest(splits, recipe, folder=folder, compare=False, shared_texts=out / "cache")
            carry_out(request, pictures=False)
            done += 1
    return {"seconds": perf_counter() - begun, "cpu_seconds": process_time() - spent, "done": done}


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) > 4:
        os.sched_setaffinity(0, {int(words[4])})
    import separatrix.learn.prompt
    import separatrix.sweeps.verb  # noqa: F401  no side's seconds hold the imports

    given, folder = json.loads(Path(words[0]).read_text()), Path(words[1])
    side = loop_side(given, folder) if words[2] == "loop" else sweep_side(given, folder, words[3])
    print(json.dumps(side))
