"""Recipe of PEFT's prompt tuning: a prompt before the text, the baseline of prompts behind it."""

from __future__ import annotations

from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.train import EvaluationRecipe, LoopRecipe, ModelRecipe, PromptRecipe, as_in_model

INSTALL = 'type: pip install "separatrix[peft]"'


@recipe_class
class PrefixRecipe:
    """Prompt before the text (PEFT)."""

    tokens: int = as_in_model("tokens", PromptRecipe)
    init: str = option("vocabulary", "start of the prompt", choices=("vocabulary", "normal"))


@recipe_class
class HeadLossRecipe:
    """Objective."""

    loss: str = option("linear", "objective", choices=("linear",))


@recipe_class
class PeftRecipe:
    """A whole training: model, prompt, objective, loop."""

    backbone: ModelRecipe = ModelRecipe()
    prompt: PrefixRecipe = PrefixRecipe()
    objective: HeadLossRecipe = HeadLossRecipe()
    loop: LoopRecipe = LoopRecipe(lr=1e-2)
    evaluation: EvaluationRecipe = EvaluationRecipe()
