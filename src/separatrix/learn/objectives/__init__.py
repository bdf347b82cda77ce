"""What is asked of the outputs: the objectives, by name, behind the dictionary `OBJECTIVES`.

An objective is a loss that trains and scores that decide, with the tensors that both need. Most are a loss function and
one of a few classes that own the tensors: `centroids` (a centroid per class, moved by a rule), `means` (the class means
decide), `heads` (a linear head), `words` (logits of label words). A new one is a function and an entry here:

    OBJECTIVES["margin"] = centroid_objective(my_loss)

where `my_loss(z, y, centroids, options)` gives the terms of the loss by name. The entry may be made by a module of your
own (`--plugin`); its name is an option of `--loss` at once. Objectives over pairs of training rows (`--method align`)
are in `contrast`, `pairs` and `alignment`.

Everything is computed in float32 (float64 stays float64), whatever the number format of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from separatrix.learn.objectives.base import LossBatch, LossValue, Objective, TrainingRows
from separatrix.learn.objectives.centroids import (
    CentroidLoss,
    CentroidObjective,
    CentroidScores,
    attract_repel,
    centroid,
    centroid_ce,
    near_centroid,
    near_centroid_scaled,
)
from separatrix.learn.objectives.heads import HeadObjective, ScoreLoss, linear, mse
from separatrix.learn.objectives.label_sets import binary_ce
from separatrix.learn.objectives.means import BatchLoss, MeanScores, MeansObjective, cosine, distance, near_mean
from separatrix.learn.objectives.metric import cosines
from separatrix.learn.objectives.words import WordObjective
from separatrix.recipe import LOSSES, TrainRecipe
from separatrix.recipe.registry import Registry

__all__ = [
    "OBJECTIVES",
    "LossBatch",
    "LossValue",
    "Objective",
    "ObjectiveEntry",
    "TrainingRows",
    "centroid_objective",
    "head_objective",
    "mean_objective",
]


@dataclass(frozen=True)
class ObjectiveEntry:
    """How an objective is made, and what must be known of it before."""

    # Makes it from the options of a training and the number of classes (0 for numbers).
    build: Callable[[TrainRecipe, int], Objective]
    task: Literal["classify", "regress"] = "classify"  # whether classes or numbers are predicted
    readout: Literal["any", "logits"] = "any"  # what it reads at the prompt; "logits" needs a language-model head


def centroid_objective(loss: CentroidLoss, scores: CentroidScores = near_centroid) -> ObjectiveEntry:
    """An objective over centroids from its loss `(z, y, centroids, options)`."""
    return ObjectiveEntry(
        lambda r, classes: CentroidObjective(classes, loss, scores, r.objective, r.centroids, r.loop.seed)
    )


def mean_objective(loss: BatchLoss, scores: MeanScores = near_mean) -> ObjectiveEntry:
    """An objective over the rows of a batch from its loss `(z, y, options)`; the class means decide."""
    return ObjectiveEntry(lambda r, classes: MeansObjective(classes, loss, scores, r.objective, r.loop.seed))


def head_objective(loss: ScoreLoss, task: Literal["classify", "regress"] = "classify") -> ObjectiveEntry:
    """An objective over the columns of a linear head from its loss `(scores, y, options)`."""
    return ObjectiveEntry(lambda r, classes: HeadObjective(classes, loss, r.objective, r.loop.seed), task)


OBJECTIVES: Registry[ObjectiveEntry] = Registry(
    LOSSES,
    {
        "centroid_ce": centroid_objective(centroid_ce, near_centroid_scaled),
        "centroid": centroid_objective(centroid),
        "attract_repel": centroid_objective(attract_repel),
        "cosine": mean_objective(cosine, cosines),
        "distance": mean_objective(distance),
        "token": ObjectiveEntry(lambda _recipe, classes: WordObjective(classes), readout="logits"),
        "linear": head_objective(linear),
        "mse": head_objective(mse, "regress"),
        "binary_ce": head_objective(binary_ce),
    },
)
