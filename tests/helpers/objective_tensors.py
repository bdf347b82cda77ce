"""Objectives with given tensors, without a training."""

from dataclasses import dataclass

import torch

from separatrix.learn.objectives import OBJECTIVES, Objective
from separatrix.recipe import LossRecipe, TrainRecipe


@dataclass(frozen=True)
class Tensors:
    """Centroids, head and words of any objective; `classes` are those that the training knows."""

    centroids: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    words: torch.Tensor | None = None
    classes: int | None = None


def build(name: str, tensors: Tensors, options: LossRecipe | None = None) -> Objective:
    """The objective of this name with those of the tensors that it has."""
    own = [tensor for tensor in (tensors.centroids, tensors.words, tensors.weight) if tensor is not None]
    classes = tensors.classes if tensors.classes is not None else max(2, len(own[0])) if own else 2
    recipe = TrainRecipe(objective=options or LossRecipe(loss=name))
    objective = OBJECTIVES[name].build(recipe, 0 if name == "mse" else classes)
    for field in ("centroids", "weight", "bias", "words"):
        if hasattr(objective, field):
            setattr(objective, field, getattr(tensors, field))
    return objective
