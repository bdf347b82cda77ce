"""Recipe of a sweep: how its runs are done; what they are, the grid says."""

from __future__ import annotations

from separatrix.recipe.core import option, recipe_class


@recipe_class
class SweepRecipe:
    """Sweep."""

    reference: str | None = option(
        None, "row that the others are compared with: its name, or an axis as tokens=1 (default: that of the grid)"
    )
    only: tuple[str, ...] | None = option(
        None, "rows that are trained now, by name or as tokens=1; the others wait", affects_result=False
    )
    retry: bool = option(False, "train runs anew that failed or are damaged", affects_result=False)
    extend: bool = option(False, "take a grid that has other runs than those the study was begun with")
    budget: str | None = option(None, "begin no run after this time: 30min, 2h, 90s", affects_result=False)
    max_runs: int | None = option(None, "runs that this command does at most", low=1, affects_result=False)
    keep_cache: bool = option(False, "keep the text caches when no run is left", affects_result=False)
