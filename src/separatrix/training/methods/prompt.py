"""`--method prompt`: a few vectors are trained behind the text; the model stays frozen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from separatrix.recipe import TrainRecipe
from separatrix.recipe.effect import RULES, idle
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets
    from separatrix.learn.trained.prompt import PromptModel


def train(request: TrainingRequest, _targets: Targets, score: Score) -> TrainedModel[PromptModel]:
    """Train a prompt; the frozen vectors of the training rows come along, for the baselines."""
    from separatrix.learn.prompt import train_prompt

    trained = train_prompt(request.job(score))
    return replace(trained, vectors={"train": trained.vectors["train"]}, facts=_words(trained))


def _words(trained: TrainedModel[PromptModel]) -> dict[str, Any]:
    """The label words in the order of the classes, and, where they were chosen, the best ones for each class."""
    model, ranking = trained.model, trained.words
    if model.label_words is None:
        return {}
    names = () if model.classes is None else model.classes.names
    ranked = None if ranking is None else ranking.named(names, model.backbone.tokenizer)
    return {"words": list(model.label_words), "word_ranking": ranked}


METHOD = TrainingMethod(TrainRecipe(), train, partial(idle, rules=RULES), tasks=("classify", "regress"))
