"""Recipe of `--method auto`: which methods are raced, and for how long."""

from __future__ import annotations

from separatrix.errors import OptionError
from separatrix.recipe.budget import read_budget
from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import EvaluationRecipe, LoopRecipe, ModelRecipe, as_in_model

CANDIDATES = Choices("probe", "align", "align_few", "align_many", "finetune", "prompt")


@recipe_class
class RaceRecipe:
    """Race of the methods."""

    budget: str = option("10min", "time for race and training together: 10min, 1h, 90s")
    candidates: tuple[str, ...] = option(
        ("probe", "align", "align_few", "align_many", "finetune", "prompt"),
        "methods that are raced; align_few is align as it suits few rows of each class, and then raced in its "
        "place; align_many as it suits many classes",
        choices=CANDIDATES,
    )

    def __post_init__(self) -> None:
        if not read_budget(self.budget):
            raise OptionError("--budget leaves no time", got=repr(self.budget), expected="a time as 10min, 1h or 90s")
        if not self.candidates:
            raise OptionError("--candidates is empty", expected=f"some of {', '.join(CANDIDATES)}")


@recipe_class
class SeedRecipe:
    """Seed and weights."""

    seed: int = as_in_model("seed", LoopRecipe)
    class_weight: tuple[str, ...] | None = as_in_model("class_weight", LoopRecipe)


@recipe_class
class AutoRecipe:
    """A whole race: model, candidates and budget, seed (of the loop)."""

    backbone: ModelRecipe = ModelRecipe()
    race: RaceRecipe = RaceRecipe()
    loop: SeedRecipe = SeedRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
