"""The figures of `score`: what classifiers reach on rows they did not see, and the shape of the cloud.

Every figure that shuffled labels could reach has a null. Three ways: neighbors stay and labels are shuffled (k-NN,
between share); answers stay and the labels they are compared with are shuffled (classifiers, which are not fitted
anew); or the figure is measured again for each of fewer shuffles (silhouette, LogME, H-score, collapse).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from separatrix.analysis.rows import Split
from separatrix.errors import DataError
from separatrix.geometry.baselines import Part
from separatrix.geometry.measures import SHUFFLED, Around, Figure
from separatrix.geometry.nulls import Null, against, between_null, over_rows, permutation_null, sampled
from separatrix.geometry.probe import Probe
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.resample import bootstrap_mean
from separatrix.geometry.scatter import anisotropy, collapse, effective_rank, scatter
from separatrix.geometry.separation import CLASSIFIERS, Silhouettes, lda, out_of_fold
from separatrix.recipe.score import ScoreRecipe

Figures = dict[str, Figure]
Nulls = dict[str, Null]
Measure = Callable[[np.ndarray], dict[str, float]]  # of labels (rows,)

_TIMES = 99  # shuffles for which a figure is measured again
_COLLAPSE = ("nc1", "nc2_norm", "nc2_angle")  # low is good


def class_figures(split: Split, around: Around, recipe: ScoreRecipe) -> tuple[Figures, Nulls]:
    """Every figure of classes by name, and the nulls; `around` are the neighbors of the rows."""
    known, classes = split.known, len(split.names)
    figures, nulls = into = _knn(split, around, recipe)
    for name, classifier in (CLASSIFIERS | {"lda": partial(lda, width=known.vectors.shape[1])}).items():
        own = split if name == "probe" else split.narrow  # a probe standardises the columns, the others turn with them
        x, y = own.known.vectors, known.targets
        for part, other in own.others.items() if name != "probe" else ():
            answered(f"{name}_{part}", other.targets, classifier(x, y, classes, other.vectors), split, recipe, into)
        if not split.others:
            answers = out_of_fold(classifier, x, y, classes, folds=recipe.folds, seed=recipe.seed)
            answered(f"{name}_cv", y, answers, split, recipe, into)
    probe = split.task.probe(known, split.parts.get("validation"))
    _probe(split, probe, recipe, into)
    narrow = split.narrow.known.vectors
    shape = _Shape(known, narrow, classes, probe, recipe)
    figures |= shape.figures() | _cloud(known.vectors, narrow)
    nulls |= shape.nulls()
    nulls["between_share"] = between_null(
        narrow, known.targets, classes, permutations=recipe.permutations, seed=recipe.seed
    )
    return beside(figures, nulls), nulls


def number_figures(split: Split, around: Around, recipe: ScoreRecipe) -> tuple[Figures, Nulls]:
    """Every figure of numbers to predict by name, and the nulls; `around` are the neighbors of the rows."""
    known = split.known
    figures, nulls = _knn(split, around, recipe)
    if split.others:
        _probe(split, split.task.probe(known, split.parts.get("validation")), recipe, (figures, nulls))
    else:
        fold = np.random.default_rng(recipe.seed).permutation(len(known.targets)) % recipe.folds
        answers = np.empty(len(known.targets))
        for number in range(recipe.folds):
            out = fold == number
            probe = split.task.probe(Part(known.vectors[~out], known.targets[~out]), None)
            answers[out] = split.task.read(probe, known.vectors[out])
        answered("probe_cv", known.targets, answers, split, recipe, (figures, nulls))
    evidence = Evidence.of(known.vectors)
    null = permutation_null(evidence.of_numbers, known.targets, permutations=_times(recipe), seed=recipe.seed)
    figures["logme"], nulls["logme"] = Figure(null.observed, null.rows, None, 0.0, SHUFFLED), null
    return beside(figures | _cloud(known.vectors, split.narrow.known.vectors), nulls), nulls


def beside(figures: Figures, nulls: Nulls) -> Figures:
    """Figures with their p-values; the baseline of those beside shuffled labels is the mean of the shuffles."""
    for name, null in nulls.items():
        if name in figures:
            figure = figures[name]
            baseline = null.mean if figure.baseline_is == SHUFFLED else figure.baseline
            figures[name] = replace(figure, baseline=baseline, p_value=null.p_value, permutations=null.permutations)
    return figures


def _knn(split: Split, around: Around, recipe: ScoreRecipe) -> tuple[Figures, Nulls]:
    figures: Figures = {}
    nulls: Nulls = {}
    known, task, k = split.known, split.task, recipe.k
    for name, (part, near) in around.items():
        answers = task.knn(near, known.targets, k)
        if name == "loo":
            figures["knn_loo"] = task.figure(known.targets, answers)
            nulls["knn_loo"] = task.null(near, known.targets, k, recipe.permutations)
        else:
            answered(f"knn_{name}", part.targets, answers, split, recipe, (figures, nulls))
    return figures, nulls


def _probe(split: Split, probe: Probe, recipe: ScoreRecipe, into: tuple[Figures, Nulls]) -> None:
    """The validation part chose the penalty, so its own figure is a little flattered; the test part's is not."""
    for name, part in split.others.items():
        answered(f"probe_{name}", part.targets, split.task.read(probe, part.vectors), split, recipe, into)


def answered(
    name: str, gold: np.ndarray, answers: np.ndarray, split: Split, recipe: ScoreRecipe, into: tuple[Figures, Nulls]
) -> None:
    """Add the figure of answers, and what they reach against shuffled labels."""
    figures, nulls = into
    rows = sampled(len(gold), recipe.seed)
    figures[name] = split.task.figure(gold, answers)
    nulls[name] = permutation_null(
        lambda labels: split.task.value(labels, answers[rows]),
        gold[rows], permutations=recipe.permutations, seed=recipe.seed,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Shape:
    """Silhouette, LogME, H-score and collapse: figures of the known rows, and their values for shuffled labels."""

    known: Part
    narrow: np.ndarray  # (rows, directions): the known rows as `Split.narrow` has them
    classes: int
    probe: Probe
    recipe: ScoreRecipe

    def figures(self) -> Figures:
        """Figures by name."""
        known, rows, recipe = self.known, len(self.known.targets), self.recipe
        shape = self._silhouettes(known.vectors).values(known.targets)
        interval = bootstrap_mean(shape, seed=recipe.seed)
        values = self._whole(known.targets)
        values["between_share"] = scatter(self.narrow, known.targets, self.classes).between_share
        figures = {name: Figure(value, rows, None, 0.0, SHUFFLED) for name, value in values.items()}
        figures["silhouette"] = Figure(float(shape.mean()), len(shape), interval, 0.0, SHUFFLED)
        return figures | self._beside_probe()

    def nulls(self) -> Nulls:
        """Nulls by name; of more than 10,000 rows, a seeded sample is measured."""
        rows = sampled(len(self.known.targets), self.recipe.seed)
        targets = self.known.targets[rows]
        measure = self._whole if len(rows) == len(self.known.targets) else self._measure(rows)
        observed = measure(targets)
        drawn = []
        for other in over_rows(targets, np.random.default_rng(self.recipe.seed), _times(self.recipe)):
            with suppress(DataError):  # few rows may be shuffled so that all class means are one and the same
                drawn.append(measure(other))
        if not drawn:
            return {}
        return {
            name: against(value, np.array([one[name] for one in drawn]), len(targets), low=name in _COLLAPSE)
            for name, value in observed.items()
        }

    def _silhouettes(self, vectors: np.ndarray) -> Silhouettes:
        recipe = self.recipe
        return Silhouettes.of(vectors, metric=recipe.metric, rows=recipe.sample_rows, seed=recipe.seed)

    @cached_property
    def _whole(self) -> Measure:
        return self._measure(np.arange(len(self.known.targets)))

    def _measure(self, rows: np.ndarray) -> Measure:
        """Labels (rows,) to figures; what does not depend on the labels is computed once."""
        vectors, narrow = self.known.vectors[rows], self.narrow[rows].astype(np.float64)
        ready, evidence, h_score = self._silhouettes(vectors), Evidence.of(vectors), HScore.of(narrow, vectors.shape[1])

        def measure(labels: np.ndarray) -> dict[str, float]:
            shape = collapse(narrow, labels, self.classes)
            return {
                "silhouette": float(ready.values(labels).mean()),
                "logme": evidence.of_classes(labels, self.classes),
                "h_score": h_score.of_classes(labels, self.classes),
                **{name: getattr(shape, name) for name in _COLLAPSE},
            }

        return measure

    def _beside_probe(self) -> Figures:
        """Collapse compared with the probe. Fitted to these very labels, it beats any shuffle: there is no p-value."""
        vectors, targets, rows = self.known.vectors, self.known.targets, len(self.known.targets)
        answers = self.probe.scores(vectors).argmax(axis=1)
        weight = self.probe.weight / self.probe.scale  # of the vectors as they are
        own = collapse(vectors, targets, self.classes, weight=weight, predicted=answers)
        shuffled = np.random.default_rng(self.recipe.seed).permutation(targets)
        other = collapse(vectors, shuffled, self.classes, weight=weight)
        shares = [np.bincount(ids, minlength=self.classes) / rows for ids in (answers, targets)]
        independent = 1 - float(shares[0] @ shares[1])  # how often two such answers would differ
        return {
            "nc3": Figure(float(own.nc3 or 0.0), rows, None, other.nc3, SHUFFLED),
            "nc4": Figure(float(own.nc4 or 0.0), rows, None, independent, "independent answers"),
        }


def _times(recipe: ScoreRecipe) -> int:
    return min(_TIMES, recipe.permutations)


def _cloud(vectors: np.ndarray, narrow: np.ndarray) -> Figures:
    rows, width = vectors.shape
    return {
        "effective_rank": Figure(effective_rank(narrow), rows, None, float(min(width, rows - 1)), "all directions"),
        "anisotropy": Figure(anisotropy(vectors), rows, None, 0.0, "even directions"),
    }
