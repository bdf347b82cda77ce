"""One process that makes a head atlas of made-up texts with a toy model, and says how much memory each step took.

python -m benchmarks.parts.heads_memory MODEL TEXTS OUT WINDOWS [STEP ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.memory_disk_cache import Sampler
from benchmarks.parts.extract_memory import peak_mib

LENGTH = 48


def main(arguments: list[str]) -> int:
    """Make the atlas; print the peak memory after each step, what of it is no mapped file, and the rows."""
    from separatrix import recipe as recipes
    from separatrix.analysis.heads import head_atlas
    from separatrix.recipe.heads import STEPS, HeadsRecipe

    model, texts, out, windows, steps = *arguments[:3], int(arguments[3]), arguments[4:] or STEPS
    asked = {"model": model, "text": "text", "windows": windows, "max_length": LENGTH, "device": "cpu"}
    recipe = recipes.replace(HeadsRecipe(), **asked)
    peaks, own, found = {"start": peak_mib()}, {}, {}
    for step in steps:
        with Sampler() as sampler:
            found = head_atlas(Path(texts), recipe=recipe, out=out, steps=(step,), resume=True).figures()
        peaks[step], own[step] = peak_mib(), sampler.highest["RssAnon"] * 1024
    print(json.dumps({"peak_mib": peaks, "own_mib": own, "windows": found["windows"], "maps": found["maps"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
