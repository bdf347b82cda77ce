"""A head on the vectors of a frozen transformer, in use: labels and probabilities of new texts; and its two files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.geometry.calibrate import probabilities
from separatrix.geometry.neighbours import Neighbours, neighbours
from separatrix.learn.trained.frozen_heads import FITTERS
from separatrix.learn.trained.saved import NOTES, Predictions, SavedModel, all_of, describe, write_model
from separatrix.models.backbone import Backbone
from separatrix.models.extract import Vectors, extract
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from separatrix.store.files import Schema
from separatrix.texts import Classes

KIND = "frozen"
_LABELS: Schema = tuple(partial(all_of, kind=kind) for kind in (str, int, bool, float))
SCHEMA: dict[str, Schema] = {
    "backbone": dict,
    "asked": dict,
    "classes": {"classes": _LABELS},  # earlier versions wrote the labels here, booleans and floats among them
    "labels?": _LABELS,
    "scores": (dict, None),
}


@dataclass(frozen=True, eq=False)
class FrozenModel:
    """A frozen transformer with a head behind it. Made by `FrozenClassifier.fit` or `load_model`."""

    backbone: Backbone
    recipe: FrozenRecipe
    arrays: dict[str, np.ndarray]  # what the head has learnt
    classes: Classes
    labels: tuple[Any, ...]  # the classes as the user's labels spell them
    temperature: float = 1.0
    figures: dict[str, Any] | None = None  # on rows that the head was not fitted to

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """The vectors of texts."""
        recipe = self.recipe
        return extract(self.backbone, texts, pool=recipe.pool, layer=recipe.layer, progress=progress)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Scores of vectors (rows, width), one column a class; their argmax decides."""
        return FITTERS[self.recipe.head].scores(self.arrays, vectors, self.recipe)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Shares of the votes, or calibrated scores, (rows, classes)."""
        return scores if self.recipe.head == "knn" else probabilities(scores, self.temperature)

    def answer(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Predictions:
        """Labels and probabilities of texts; the nearest training rows (knn) or distances to the means (centroid)."""
        read, head = self.encode(texts, progress), self.recipe.head
        if not len(read.values):
            none = np.empty((0, len(self.classes)))
            return Predictions(self.classes.decode([]), none, none, None, read.values, read.cut, unread=read.unread)
        scores = self.scores(read.values)
        labels, distances = self.classes.decode(scores.argmax(axis=1)), -scores if head == "centroid" else None
        rows = self.neighbors(read.values).index if head == "knn" else None
        return Predictions(
            labels, scores, self.probabilities(scores), distances, read.values, read.cut, rows, read.unread
        )

    def neighbors(self, vectors: np.ndarray, k: int | None = None) -> Neighbours:
        """The training rows nearest to vectors (rows, width), of a k-NN; as many as vote without k."""
        recipe = self.recipe
        return neighbours(vectors, self.arrays["vectors"], recipe.k if k is None else k, metric=recipe.metric)

    def save(self, folder: Path) -> None:
        """Write the two files, each whole; the transformer is not copied."""
        write_model(
            folder, KIND, self.arrays, self.classes, self.temperature, base_model=describe(self.backbone),
            backbone=recipes.to_dict(self.backbone.recipe), labels=list(self.labels),
            asked=recipes.to_dict(self.recipe), scores=self.figures,
        )  # fmt: skip


def read_frozen(saved: SavedModel) -> FrozenModel:
    """The head of a folder, together with its transformer; errors are those of `load_model`."""
    notes, recipe = saved.notes, saved.recipe(FrozenRecipe, "asked")
    labels = notes.get("labels", notes["classes"]["classes"])  # earlier versions wrote the labels as classes
    classes = Classes.from_dict(notes["classes"]) if "labels" in notes else Classes(plain_labels(labels))
    if len(labels) != len(classes):
        raise saved.damaged("labels and classes differ in number", file=NOTES)
    backbone = saved.backbone(saved.recipe(ModelRecipe, "backbone"))
    arrays = saved.tensors(FITTERS[recipe.head].shapes(len(classes), backbone.width))
    if "targets" in arrays and not np.isin(arrays["targets"], np.arange(len(classes))).all():
        raise saved.damaged("targets are no class numbers")
    if "order" in arrays and not np.array_equal(np.sort(arrays["order"]), np.arange(len(classes))):
        raise saved.damaged("order does not name each class once")
    return FrozenModel(backbone, recipe, arrays, classes, tuple(labels), float(notes["temperature"]), notes["scores"])


def plain_labels(labels: Sequence[Any]) -> tuple[Any, ...]:
    """Labels as classes hold them: booleans as names, whole floats as integers.

    >>> plain_labels([False, True]), plain_labels([0.0, 1.0])
    (('False', 'True'), (0, 1))
    """
    return tuple(
        str(label) if isinstance(label, bool) else int(label) if isinstance(label, float) else label for label in labels
    )
