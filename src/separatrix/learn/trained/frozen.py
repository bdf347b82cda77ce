"""A head on the vectors of a frozen transformer: how each is fitted and scores, the model in use, and its two files.

A head (probe, k-NN or class means) is plain arrays, so that it can be written and read. Each is judged on rows that it
was not fitted to: k-NN and class means by leave-one-out, the probe on held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.classes import first_row_order
from separatrix.geometry.evidence import NEIGHBORS, VoteEvidence, fit_evidence
from separatrix.geometry.neighbors import Neighbors, neighbors, unit_rows, vote
from separatrix.geometry.probe import Probe, fit_probe
from separatrix.geometry.scatter import class_means
from separatrix.learn.trained.probe import ARRAYS, probe_shapes
from separatrix.learn.trained.saved import NOTES, Predictions, PrintedModel, SavedModel, all_of, on_strings
from separatrix.models.backbone import Backbone
from separatrix.models.extract import Vectors, extract
from separatrix.progress import Progress, rows_done
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from separatrix.store.files import Schema, TensorShape
from separatrix.texts import Classes
from separatrix.texts.holdout import FEWEST_ROWS, HELD_OUT


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head: arrays that can be written, and what it gave on rows that it was not fitted to."""

    arrays: dict[str, np.ndarray]
    calibration: ScoreCalibration
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
    weight: np.ndarray | None = None  # (rows,) of the probe


def _fit_probe(sample: HeadData) -> FittedHead:
    """The penalty is chosen on held-out rows: those given, else a tenth."""
    x, y, validation, weight = sample.x, sample.y, sample.validation, sample.weight
    if validation is None and len(y) >= FEWEST_ROWS:
        order = np.random.default_rng(sample.recipe.seed).permutation(len(y))
        chosen, rest = np.split(order, [max(1, round(HELD_OUT * len(y)))])
        if len(np.unique(y[rest])) == len(np.unique(y)):  # a class that would be lost is worth more than the choice
            x, y, validation = x[rest], y[rest], (sample.x[chosen], sample.y[chosen])
            weight = None if weight is None else weight[rest]
    probe = fit_probe(x, y, sample.classes, seed=sample.recipe.seed, validation=validation, weight=weight)
    arrays = {name: np.asarray(getattr(probe, name)) for name in ARRAYS} | {"penalty": np.array([probe.penalty])}
    if validation is None:
        return FittedHead(arrays, ScoreCalibration(), None, "")
    scores = probe.scores(validation[0])
    calibration = fit_calibration(scores, validation[1], seed=sample.recipe.seed)
    return FittedHead(arrays, calibration, (validation[1], scores.argmax(axis=1)), "held-out rows")


def _probe_scores(arrays: dict[str, np.ndarray], x: np.ndarray, _recipe: FrozenRecipe) -> np.ndarray:
    weight, bias, mean, scale = (arrays[name] for name in ARRAYS)
    return Probe(weight, bias, mean, scale, penalty=1.0, converged=True).scores(x)


def _fit_knn(sample: HeadData) -> FittedHead:
    """The vectors themselves; judged, and how sure its votes are fitted, by leave-one-out."""
    recipe, rows = sample.recipe, len(sample.y)
    if recipe.k > rows:
        raise DataError("fewer rows than neighbors", got=f"{rows} rows, k = {recipe.k}", expected="k below the rows")
    arrays = {"vectors": sample.x, "targets": sample.y, "classes": np.array([sample.classes])}
    if recipe.k == rows:
        return FittedHead(arrays, ScoreCalibration(), None, "")
    most = min(max(recipe.k, NEIGHBORS), rows - 1)
    nearest = neighbors(sample.x, sample.x, most, metric=recipe.metric, exclude_self=True)
    answers = vote(nearest, sample.y, sample.classes, recipe.k).argmax(axis=1)
    wide = _directed(sample.x, recipe)
    means, counts = class_means(wide, sample.y, sample.classes)
    scale = 1.0 if recipe.metric == "cosine" else max(float(wide.var(axis=0).sum()), float(np.finfo(np.float32).tiny))
    close, n = _closeness(wide, means, recipe, scale), counts[sample.y][:, None]
    without = (means[sample.y] * n - wide) / np.maximum(n - 1, 1)  # the mean of the row's class without the row
    own = (wide * unit_rows(without)).sum(axis=1)
    if recipe.metric == "euclidean":
        own = 1 - ((wide - without) ** 2).sum(axis=1) / (2 * scale)
    close[np.arange(rows), sample.y] = np.where(n[:, 0] > 1, own, close.min())
    nearest = _as_cosines(nearest, recipe, scale)
    evidence = fit_evidence(nearest, sample.y, close, sample.y)
    scores = evidence.scores(nearest, sample.y, close, answers)
    arrays |= {"means": means, "evidence": np.array([*astuple(evidence), scale])}
    calibration = fit_calibration(scores, sample.y, seed=recipe.seed)
    return FittedHead(arrays, calibration, (sample.y, answers), "leave-one-out")


def _knn_scores(arrays: dict[str, np.ndarray], x: np.ndarray, recipe: FrozenRecipe) -> np.ndarray:
    """Evidence in which the class with the most votes comes first; without one, shares of the votes."""
    k, temperature, by_votes, by_means, scale = arrays.get("evidence", np.zeros(5)).tolist()
    evidence = VoteEvidence(int(k), temperature, by_votes, by_means)
    nearest = neighbors(x, arrays["vectors"], max(recipe.k, evidence.k), metric=recipe.metric)
    votes = vote(nearest, arrays["targets"], int(arrays["classes"][0]), recipe.k)
    if "evidence" not in arrays:
        return votes
    close = _closeness(_directed(x, recipe), arrays["means"], recipe, scale)
    return evidence.scores(_as_cosines(nearest, recipe, scale), arrays["targets"], close, votes.argmax(axis=1))


def _closeness(x: np.ndarray, means: np.ndarray, recipe: FrozenRecipe, scale: float) -> np.ndarray:
    """Cosines with class means, (rows, classes); of Euclidean distances what a cosine is of unit vectors.

    `scale` is the variance of the training rows, summed over the numbers of a row: of unit vectors it would be 1.
    """
    if recipe.metric == "cosine":
        return np.asarray(x @ unit_rows(means).T)
    return 1 - _distances(x, means) ** 2 / (2 * scale)


def _as_cosines(near: Neighbors, recipe: FrozenRecipe, scale: float) -> Neighbors:
    """Distances on the scale of 1 - cosine, that of the temperatures of `fit_evidence`."""
    if recipe.metric == "cosine":
        return near
    return Neighbors(near.index, (near.distance.astype(np.float64) ** 2 / (2 * scale)).astype(np.float32))


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
    calibration = fit_calibration(-distance, sample.y, seed=sample.recipe.seed)
    return FittedHead({"means": means, "order": order}, calibration, (sample.y, answers), "leave-one-out")


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
    return wide if recipe.metric == "euclidean" else unit_rows(wide)


def _distances(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(x - mean, axis=1) for mean in means], axis=1)  # (rows, classes)


@dataclass(frozen=True)
class Head:
    """How a head is fitted, how it scores - arrays, vectors (rows, width), recipe -> (rows, classes) - and its arrays.

    `shapes` gives what is written of a head for a number of classes and a width, as `read_tensors` checks it.
    """

    fit: Callable[[HeadData], FittedHead]
    scores: Callable[[dict[str, np.ndarray], np.ndarray, FrozenRecipe], np.ndarray]
    shapes: Callable[[int, int], dict[str, TensorShape]]


FITTERS: dict[str, Head] = {
    "probe": Head(_fit_probe, _probe_scores, probe_shapes),
    "knn": Head(
        _fit_knn,
        _knn_scores,
        lambda classes, width: {
            "vectors": ("rows", width),
            "targets": ("rows",),
            "classes": (1,),
            "means?": (classes, width),
            "evidence?": (5,),  # earlier versions gave shares of the votes
        },
    ),
    "centroid": Head(  # files of earlier versions hold no order
        _fit_centroid, _centroid_scores, lambda classes, width: {"means": (classes, width), "order?": (classes,)}
    ),
}


KIND = "frozen"
_LABELS: Schema = tuple(partial(all_of, kind=kind) for kind in (str, int, bool, float))
SCHEMA: dict[str, Schema] = {
    "backbone": dict,
    "asked": dict,
    "classes": {"classes": _LABELS},  # earlier versions wrote the labels here, booleans and floats among them
    "labels?": _LABELS,
    "scores": (dict, None),
}


@dataclass(frozen=True, eq=False, repr=False)
class FrozenModel(PrintedModel):
    """A frozen transformer with a head behind it. Made by `FrozenClassifier.fit` or `load_model`."""

    backbone: Backbone
    recipe: FrozenRecipe
    arrays: dict[str, np.ndarray]  # what the head has learnt
    classes: Classes
    labels: tuple[Any, ...]  # the classes as the user's labels spell them
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    figures: dict[str, Any] | None = None  # on rows that the head was not fitted to
    pairs: bool = False

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """The vectors of texts."""
        recipe = self.recipe
        return extract(self.backbone, texts, pool=recipe.pool, layer=recipe.layer, progress=progress)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Scores of vectors (rows, width), one column a class; their argmax decides."""
        return FITTERS[self.recipe.head].scores(self.arrays, vectors, self.recipe)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated scores, (rows, classes); shares of the votes where as many rows vote as there are."""
        shares = self.recipe.head == "knn" and "evidence" not in self.arrays
        return scores if shares else self.calibration.probabilities(scores)

    @on_strings
    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels and probabilities of texts; the nearest training rows (knn) or distances to the means (centroid)."""
        read, head = self.encode(texts, rows_done(progress, len(texts))), self.recipe.head
        if not len(read.values):
            none = np.empty((0, len(self.classes)))
            return Predictions(self.classes.decode([]), none, none, None, read.values, read.cut, unread=read.unread)
        scores = self.scores(read.values)
        labels, distances = self.classes.decode(scores.argmax(axis=1)), -scores if head == "centroid" else None
        rows = self.neighbors(read.values).index if head == "knn" else None
        return Predictions(
            labels, scores, self.probabilities(scores), distances, read.values, read.cut, rows, read.unread
        )

    def neighbors(self, vectors: np.ndarray, k: int | None = None) -> Neighbors:
        """The training rows nearest to vectors (rows, width), of a k-NN; as many as vote without k."""
        recipe = self.recipe
        return neighbors(vectors, self.arrays["vectors"], recipe.k if k is None else k, metric=recipe.metric)

    def write_files(self, folder: Path) -> None:
        """Write the two files, each whole; the transformer is not copied."""
        notes = self.base_notes(
            KIND,
            backbone=recipes.to_dict(self.backbone.recipe), labels=list(self.labels),
            asked=recipes.to_dict(self.recipe), scores=self.figures,
        )  # fmt: skip
        self.write(folder, notes, self.arrays)


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
    _check_evidence(saved, arrays)
    if "order" in arrays and not np.array_equal(np.sort(arrays["order"]), np.arange(len(classes))):
        raise saved.damaged("order does not name each class once")
    return FrozenModel(backbone, recipe, arrays, classes, tuple(labels), saved.calibration, notes["scores"])


def _check_evidence(saved: SavedModel, arrays: dict[str, np.ndarray]) -> None:
    """Refuse numbers that no votes can be weighed by."""
    evidence = arrays.get("evidence")
    if evidence is None:
        return
    if "means" not in arrays or not 1 <= evidence[0] <= len(arrays["targets"]) or not (evidence[[1, 4]] > 0).all():
        raise saved.damaged("its evidence does not fit its rows")


def plain_labels(labels: Sequence[Any]) -> tuple[Any, ...]:
    """Labels as classes hold them: booleans as names, whole floats as integers.

    >>> plain_labels([False, True]), plain_labels([0.0, 1.0])
    (('False', 'True'), (0, 1))
    """
    return tuple(
        str(label) if isinstance(label, bool) else int(label) if isinstance(label, float) else label for label in labels
    )
