"""Runs that are seeds of one recipe: a mean over seeds with its interval, and differences over shared seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from separatrix import recipe as recipes
from separatrix.geometry.resample import holm, mean_interval, paired_difference, paired_p_value

RECIPES = (recipes.TrainRecipe, recipes.AlignRecipe)


@dataclass(frozen=True)
class SeedRun:
    """A run with its recipe and what it scored."""

    name: str
    recipe: Mapping[str, Any]  # of `recipe.json`
    part: str  # that `accuracy` is of
    accuracy: float

    @property
    def seed(self) -> int:
        """Of its draws."""
        return int(self.recipe["loop"]["seed"])

    @property
    def without_seed(self) -> str:
        """Recipe, as every version writes it, and names of the texts; a seed may have drawn other rows of them."""
        loop = {name: value for name, value in self.recipe["loop"].items() if name != "seed"}
        data = {part: {"source": one.get("source")} for part, one in self.recipe.get("data", {}).items()}
        whole = recipes.without_later({**self.recipe, "loop": loop, "data": data}, *RECIPES)
        return json.dumps(whole, sort_keys=True, default=str)


def over_seeds(runs: Sequence[SeedRun]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of the recipes, and of each two that share two seeds or more; none where no recipe has two seeds.

    A recipe is named by its first run.

    >>> runs = [SeedRun(f"{lr}-{seed}", {"loop": {"seed": seed, "lr": lr}}, "test", lr + seed / 100)
    ...         for lr in (0.5, 0.6) for seed in (0, 1)]
    >>> recipes, pairs = over_seeds(runs)
    >>> [(one["recipe"], one["runs"], round(one["mean"], 3)) for one in recipes]
    [('0.5-0', 2, 0.505), ('0.6-0', 2, 0.605)]
    >>> round(pairs[0]["difference"], 3), pairs[0]["seeds"]
    (-0.1, 2)
    """
    kept = dict[tuple[str, str], dict[int, SeedRun]]()
    for run in runs:
        kept.setdefault((run.without_seed, run.part), {})[run.seed] = run
    groups = [group for group in kept.values() if len(group) > 1]
    if not groups:
        return [], []
    lines: list[dict[str, Any]] = []
    for group in groups:
        mean = mean_interval([run.accuracy for run in group.values()])
        first = next(iter(group.values()))
        lines.append({
            "recipe": first.name, "part": first.part, "runs": len(group), "seeds": sorted(group), "mean": mean.mean,
            "low": mean.low, "high": mean.high,
        })  # fmt: skip
    pairs: list[dict[str, Any]] = []
    for (line, one), (next_line, other) in combinations(zip(lines, groups, strict=True), 2):
        shared = sorted({*one} & {*other})
        if len(shared) < 2 or line["part"] != next_line["part"]:
            continue
        values = [[group[seed].accuracy for seed in shared] for group in (one, other)]
        mean = paired_difference(*values)
        pairs.append({
            "a": line["recipe"], "b": next_line["recipe"], "seeds": len(shared), "difference": mean.mean,
            "low": mean.low, "high": mean.high, "p_value": paired_p_value(*values),
        })  # fmt: skip
    known = [pair for pair in pairs if pair["p_value"] is not None]
    for pair, p in zip(known, holm([pair["p_value"] for pair in known]), strict=True):
        pair["p_holm"] = float(p)
    return lines, pairs
