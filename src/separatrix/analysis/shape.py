"""The figures of `score`: what classifiers reach on rows they did not see, and the shape of the cloud."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from separatrix.analysis.rows import Split
from separatrix.geometry.baselines import Part
from separatrix.geometry.collapse import collapse
from separatrix.geometry.measures import SHUFFLED, Figure, shuffles
from separatrix.geometry.neighbours import neighbours
from separatrix.geometry.nulls import Null, between_null
from separatrix.geometry.probe import Probe
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.scatter import anisotropy, effective_rank, scatter
from separatrix.geometry.separation import CLASSIFIERS, out_of_fold, silhouette
from separatrix.recipe.score import ScoreRecipe

Figures = dict[str, Figure]
Nulls = dict[str, Null]


def class_figures(split: Split, recipe: ScoreRecipe) -> tuple[Figures, Nulls]:
    """Every figure of classes by name, and the nulls."""
    known, classes = split.known, len(split.names)
    figures, null = _knn(split, recipe)
    for name, classifier in CLASSIFIERS.items():
        for part, asked in split.others.items():
            if name != "probe":
                answers = classifier(known.vectors, known.targets, classes, asked.vectors)
                figures[f"{name}_{part}"] = split.task.figure(asked.targets, answers)
        if not split.others:
            answers = out_of_fold(
                classifier, known.vectors, known.targets, classes, folds=recipe.folds, seed=recipe.seed
            )
            figures[f"{name}_cv"] = split.task.figure(known.targets, answers)
    probe = split.task.probe(known, split.parts.get("validation"))
    figures |= _probe(split, probe)
    figures |= _estimators(known, classes, recipe)
    figures |= _collapse(known, classes, probe, recipe)
    figures |= _cloud(known.vectors)
    between = between_null(known.vectors, known.targets, classes, permutations=recipe.permutations, seed=recipe.seed)
    return figures, {"knn_loo": null, "between_share": between}


def number_figures(split: Split, recipe: ScoreRecipe) -> tuple[Figures, Nulls]:
    """Every figure of numbers to predict by name, and the null."""
    known = split.known
    figures, null = _knn(split, recipe)
    if split.others:
        figures |= _probe(split, split.task.probe(known, split.parts.get("validation")))
    else:
        fold = np.random.default_rng(recipe.seed).permutation(len(known.targets)) % recipe.folds
        answers = np.empty(len(known.targets))
        for number in range(recipe.folds):
            held = fold == number
            probe = split.task.probe(Part(known.vectors[~held], known.targets[~held]), None)
            answers[held] = split.task.read(probe, known.vectors[held])
        figures["probe_cv"] = split.task.figure(known.targets, answers)
    evidence = Evidence.of(known.vectors)
    figures["logme"] = _beside_shuffled(evidence.of_numbers, known.targets, recipe.seed)
    return figures | _cloud(known.vectors), {"knn_loo": null}


def _knn(split: Split, recipe: ScoreRecipe) -> tuple[Figures, Null]:
    known, task, k = split.known, split.task, recipe.k
    around = neighbours(known.vectors, known.vectors, k, metric=recipe.metric, exclude_self=True)
    figures = {"knn_loo": task.figure(known.targets, task.knn(around, known.targets, k))}
    for name, part in split.others.items():
        found = neighbours(part.vectors, known.vectors, k, metric=recipe.metric)
        figures[f"knn_{name}"] = task.figure(part.targets, task.knn(found, known.targets, k))
    return figures, task.null(around, known.targets, k, recipe.permutations)


def _probe(split: Split, probe: Probe) -> Figures:
    """The validation part chose the penalty, so its own figure is a little flattered; the test part's is not."""
    return {
        f"probe_{name}": split.task.figure(part.targets, split.task.read(probe, part.vectors))
        for name, part in split.others.items()
    }


def _estimators(known: Part, classes: int, recipe: ScoreRecipe) -> Figures:
    """Silhouette, LogME, H-score and between share, each beside its value under shuffled labels."""
    shape = silhouette(
        known.vectors, known.targets, classes, metric=recipe.metric, rows=recipe.sample_rows, seed=recipe.seed
    )
    # A bootstrap of the shuffled silhouette is not needed: its value alone is the baseline.
    nothing = [
        silhouette(known.vectors, other, classes, metric=recipe.metric, rows=recipe.sample_rows, seed=recipe.seed).value
        for other in shuffles(known.targets, recipe.seed, 1)
    ]
    found = {"silhouette": Figure(shape.value, shape.rows, shape.interval, float(np.mean(nothing)), SHUFFLED)}
    evidence, ready = Evidence.of(known.vectors), HScore.of(known.vectors)
    reads: dict[str, Callable[[np.ndarray], float]] = {
        "logme": lambda targets: evidence.of_classes(targets, classes),
        "h_score": lambda targets: ready.of_classes(targets, classes),
        "between_share": lambda targets: scatter(known.vectors, targets, classes).between_share,
    }
    return found | {name: _beside_shuffled(read, known.targets, recipe.seed) for name, read in reads.items()}


def _beside_shuffled(read: Callable[[np.ndarray], float], targets: np.ndarray, seed: int) -> Figure:
    nothing = float(np.mean([read(other) for other in shuffles(targets, seed)]))
    return Figure(read(targets), len(targets), None, nothing, SHUFFLED)


def _collapse(known: Part, classes: int, probe: Probe, recipe: ScoreRecipe) -> Figures:
    rows = len(known.targets)
    answers = probe.scores(known.vectors).argmax(axis=1)
    weight = probe.weight / probe.scale  # of the vectors as they are
    found = collapse(known.vectors, known.targets, classes, weight=weight, predicted=answers)
    other = collapse(known.vectors, shuffles(known.targets, recipe.seed, 1)[0], classes, weight=weight)
    figures = {
        name: Figure(getattr(found, name), rows, None, getattr(other, name), SHUFFLED)
        for name in ("nc1", "nc2_norm", "nc2_angle", "nc3")
    }
    return figures | {"nc4": _nc4(found.nc4, answers, known, classes)}


def _nc4(value: float | None, answers: np.ndarray, known: Part, classes: int) -> Figure:
    """Baseline: how often two independent answers with these class shares would differ."""
    shares = [np.bincount(ids, minlength=classes) / len(ids) for ids in (answers, known.targets)]
    return Figure(float(value or 0.0), len(answers), None, 1 - float(shares[0] @ shares[1]), "independent answers")


def _cloud(vectors: np.ndarray) -> Figures:
    rows, width = vectors.shape
    return {
        "effective_rank": Figure(effective_rank(vectors), rows, None, float(min(width, rows - 1)), "all directions"),
        "anisotropy": Figure(anisotropy(vectors), rows, None, 0.0, "even directions"),
    }
