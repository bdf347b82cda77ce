"""The heads of `FrozenClassifier`: probe, k-NN and class means, each a function that fits and one that scores.

A head is plain arrays, so that it can be written and read. Each is judged on rows that it was not fitted to: k-NN and
class means by leave-one-out, the probe on held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from separatrix.errors import DataError
from separatrix.geometry.calibrate import fit_temperature
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.neighbours import neighbours, vote
from separatrix.geometry.probe import Probe, fit_probe
from separatrix.geometry.scatter import class_means
from separatrix.learn.trained.probe import ARRAYS, probe_shapes
from separatrix.recipe.score import FrozenRecipe
from separatrix.store.files import Shape
from separatrix.texts.holdout import FEWEST_ROWS, HELD_OUT


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head: arrays that can be written, and what it gave on rows that it was not fitted to."""

    arrays: dict[str, np.ndarray]
    temperature: float
    judged: tuple[np.ndarray, np.ndarray] | None  # gold and answered class numbers, each (rows,)
    judged_on: str  # which rows these are


@dataclass(frozen=True, eq=False)
class HeadData:
    """Vectors with class numbers, and rows held out for choosing (or None)."""

    x: np.ndarray  # (rows, width)
    y: np.ndarray  # (rows,)
    classes: int
    validation: tuple[np.ndarray, np.ndarray] | None
    recipe: FrozenRecipe


def _fit_probe(sample: HeadData) -> FittedHead:
    """The penalty is chosen on held-out rows: those given, else a tenth."""
    x, y, validation = sample.x, sample.y, sample.validation
    if validation is None and len(y) >= FEWEST_ROWS:
        order = np.random.default_rng(sample.recipe.seed).permutation(len(y))
        chosen, rest = np.split(order, [max(1, round(HELD_OUT * len(y)))])
        if len(np.unique(y[rest])) == len(np.unique(y)):  # a class that would be lost is worth more than the choice
            x, y, validation = x[rest], y[rest], (sample.x[chosen], sample.y[chosen])
    probe = fit_probe(x, y, sample.classes, seed=sample.recipe.seed, validation=validation)
    arrays = {name: np.asarray(getattr(probe, name)) for name in ARRAYS} | {"penalty": np.array([probe.penalty])}
    if validation is None:
        return FittedHead(arrays, 1.0, None, "")
    scores = probe.scores(validation[0])
    return FittedHead(
        arrays, fit_temperature(scores, validation[1]), (validation[1], scores.argmax(axis=1)), "held-out rows"
    )


def _probe_scores(arrays: dict[str, np.ndarray], x: np.ndarray, _recipe: FrozenRecipe) -> np.ndarray:
    weight, bias, mean, scale = (arrays[name] for name in ARRAYS)
    return Probe(weight, bias, mean, scale, penalty=1.0, converged=True).scores(x)


def _fit_knn(sample: HeadData) -> FittedHead:
    """The vectors themselves; judged by leave-one-out."""
    recipe, rows = sample.recipe, len(sample.y)
    if recipe.k > rows:
        raise DataError("fewer rows than neighbours", got=f"{rows} rows, k = {recipe.k}", expected="k below the rows")
    arrays = {"vectors": sample.x, "targets": sample.y, "classes": np.array([sample.classes])}
    if recipe.k == rows:
        return FittedHead(arrays, 1.0, None, "")
    nearest = neighbours(sample.x, sample.x, recipe.k, metric=recipe.metric, exclude_self=True)
    answers = vote(nearest, sample.y, sample.classes, recipe.k).argmax(axis=1)
    return FittedHead(arrays, 1.0, (sample.y, answers), "leave-one-out")


def _knn_scores(arrays: dict[str, np.ndarray], x: np.ndarray, recipe: FrozenRecipe) -> np.ndarray:
    nearest = neighbours(x, arrays["vectors"], recipe.k, metric=recipe.metric)
    return vote(nearest, arrays["targets"], int(arrays["classes"][0]), recipe.k)


def _fit_centroid(sample: HeadData) -> FittedHead:
    """Class means; leaving a row out moves its own mean away by rows / (rows - 1), so leave-one-out is exact."""
    x = _directed(sample.x, sample.recipe)
    means, counts = class_means(x, sample.y, sample.classes)
    distance = _distances(x, means)
    own = np.arange(len(x)), sample.y
    share = counts[sample.y] / np.maximum(counts[sample.y] - 1, 1)
    distance[own] = np.where(counts[sample.y] > 1, distance[own] * share, distance.max() + 1)
    order = first_row_order(sample.y, sample.classes)
    answers = order[distance[:, order].argmin(axis=1)]
    temperature = fit_temperature(-distance, sample.y)
    return FittedHead({"means": means, "order": order}, temperature, (sample.y, answers), "leave-one-out")


def _centroid_scores(arrays: dict[str, np.ndarray], x: np.ndarray, recipe: FrozenRecipe) -> np.ndarray:
    """Minus the distances; of equally near means that of the class whose rows begin first is nearer by rounding."""
    means = arrays["means"]
    distance, order = _distances(_directed(x, recipe), means), arrays.get("order", np.arange(len(means)))
    level = distance == distance.min(axis=1, keepdims=True)
    level[np.arange(len(x)), order[level[:, order].argmax(axis=1)]] = False
    distance[level] = np.nextafter(distance[level], np.inf)
    return -distance


def _directed(x: np.ndarray, recipe: FrozenRecipe) -> np.ndarray:
    """Vectors in float64, for cosine of length 1."""
    wide = x.astype(np.float64)
    if recipe.metric == "euclidean":
        return wide
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _distances(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(x - mean, axis=1) for mean in means], axis=1)  # (rows, classes)


@dataclass(frozen=True)
class Head:
    """How a head is fitted, how it scores - arrays, vectors (rows, width), recipe -> (rows, classes) - and its arrays.

    `shapes` gives what is written of a head for a number of classes and a width, as `read_tensors` checks it.
    """

    fit: Callable[[HeadData], FittedHead]
    scores: Callable[[dict[str, np.ndarray], np.ndarray, FrozenRecipe], np.ndarray]
    shapes: Callable[[int, int], dict[str, Shape]]


FITTERS: dict[str, Head] = {
    "probe": Head(_fit_probe, _probe_scores, probe_shapes),
    "knn": Head(
        _fit_knn, _knn_scores, lambda _, width: {"vectors": ("rows", width), "targets": ("rows",), "classes": (1,)}
    ),
    "centroid": Head(  # files of earlier versions hold no order
        _fit_centroid, _centroid_scores, lambda classes, width: {"means": (classes, width), "order?": (classes,)}
    ),
}
