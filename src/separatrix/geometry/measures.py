"""One figure with what it must be read beside, and the kinds of task that figures are measured for.

`ClassTask`, `LabelSetTask` and `NumberTask` answer the same questions (what do neighbors say, what does a probe say,
how good was it), so that ranking is written once for classes, several labels a row, and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import r2_score

from separatrix.codes import majority_share
from separatrix.geometry.baselines import Part
from separatrix.geometry.label_sets import label_f1, most_frequent_set
from separatrix.geometry.neighbors import Neighbors, neighbors, vote
from separatrix.geometry.nulls import Null, knn_null, knn_regression_null
from separatrix.geometry.probe import Probe, fit_probe, fit_ridge, fit_tuned_probe
from separatrix.geometry.ranking import Evidence
from separatrix.geometry.resample import bootstrap_mean, bootstrap_r2
from separatrix.recipe.core import Plain

MAJORITY, MEAN, SHUFFLED = "majority", "mean answer", "shuffled labels"
ACCURACY, SET_F1, R2 = "accuracy", "F1", "R2"  # units; the F1 is that of a row's set of labels, in the mean over rows


@dataclass(frozen=True)
class Figure(Plain):
    """A value, its 95 % interval where it is a mean over rows, and its value by chance."""

    value: float
    rows: int
    interval: tuple[float, float] | None = None
    baseline: float | None = None
    baseline_is: str = ""
    p_value: float | None = None  # share of shuffles (and this one) that do as well
    permutations: int | None = None  # shuffles


@dataclass(frozen=True, eq=False)
class ClassTask:
    """Classes; figures are accuracies."""

    classes: int
    seed: int = 0
    resamples: int = 1000
    unit: str = ACCURACY

    def knn(self, near: Neighbors, known: np.ndarray, k: int) -> np.ndarray:
        """The class with the most votes, that of the nearest on a tie."""
        return vote(near, known, self.classes, k).argmax(axis=1)

    def probe(self, train: Part, validation: Part | None) -> Probe:
        """Logistic regression; its penalty is chosen on validation, or on a fifth of the training rows."""
        return fit_tuned_probe(train.vectors, train.targets, self.classes, seed=self.seed, validation=_pair(validation))

    def read(self, probe: Probe, vectors: np.ndarray) -> np.ndarray:
        """The class with the highest score."""
        return probe.scores(vectors).argmax(axis=1)

    def per_row(self, gold: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """1 where right, else 0."""
        return (gold == answers).astype(np.float64)

    def value(self, gold: np.ndarray, answers: np.ndarray) -> float:
        """Accuracy."""
        return float((gold == answers).mean())

    def figure(self, gold: np.ndarray, answers: np.ndarray) -> Figure:
        """Accuracy beside the best that one answer for all of these rows reaches."""
        right = self.per_row(gold, answers)
        interval = bootstrap_mean(right > 0, seed=self.seed, resamples=self.resamples)
        return Figure(float(right.mean()), len(gold), interval, self.majority(gold), MAJORITY)

    def majority(self, gold: np.ndarray) -> float:
        """The figure of one answer for all of these rows."""
        return majority_share(gold)

    def logme(self, evidence: Evidence, targets: np.ndarray) -> float:
        """Mean over the classes."""
        return evidence.of_classes(targets, self.classes)

    def null(self, near: Neighbors, targets: np.ndarray, k: int, permutations: int) -> Null:
        """Of the accuracy."""
        return knn_null(near.index[:, :k], targets, self.classes, permutations=permutations, seed=self.seed)


@dataclass(frozen=True, eq=False)
class LabelSetTask:
    """Several labels a row, targets (rows, labels) of 0 and 1; figures are the mean over rows of the F1 of their sets.

    A label is given where at least half of the neighbors have it, or a probe's probability is 0.5 or more: no threshold
    is chosen on the rows that judge.
    """

    labels: int
    seed: int = 0
    resamples: int = 1000
    unit: str = SET_F1

    def knn(self, near: Neighbors, known: np.ndarray, k: int) -> np.ndarray:
        """The labels that half of the neighbors have, (rows, labels)."""
        return (known[near.index[:, :k]].mean(axis=1) >= 0.5).astype(np.int64)

    def probe(self, train: Part, validation: Part | None) -> Probe:
        """A logistic regression for each label; its penalty is chosen on validation, and else is 1."""
        return fit_probe(train.vectors, train.targets, self.labels, seed=self.seed, validation=_pair(validation))

    def read(self, probe: Probe, vectors: np.ndarray) -> np.ndarray:
        """The labels with a probability of 0.5 or more, (rows, labels)."""
        return (probe.scores(vectors) >= 0).astype(np.int64)

    def per_row(self, gold: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """F1 of each row's set; 1 where there is nothing to find and nothing was given."""
        hits, own, given = ((one > 0).sum(axis=1) for one in (gold & answers, gold, answers))
        return np.where(own + given > 0, label_f1(hits, own, given), 1.0)

    def value(self, gold: np.ndarray, answers: np.ndarray) -> float:
        """Its mean."""
        return float(self.per_row(gold, answers).mean())

    def figure(self, gold: np.ndarray, answers: np.ndarray) -> Figure:
        """The mean beside that of always answering the set that most of these rows have."""
        right = self.per_row(gold, answers)
        interval = bootstrap_mean(right, seed=self.seed, resamples=self.resamples)
        return Figure(float(right.mean()), len(gold), interval, self.majority(gold), MAJORITY)

    def majority(self, gold: np.ndarray) -> float:
        """The figure of one answer for all of these rows, which may be the empty set."""
        return self.value(gold, np.broadcast_to(most_frequent_set(gold, empty=True), gold.shape))

    def logme(self, evidence: Evidence, targets: np.ndarray) -> float:
        """Mean over the labels."""
        return float(np.mean([evidence.of_numbers(column) for column in targets.T]))


@dataclass(frozen=True, eq=False)
class NumberTask:
    """Numbers to predict; figures are R2, and 0 is always answering the mean."""

    seed: int = 0
    resamples: int = 1000
    unit: str = R2

    def knn(self, near: Neighbors, known: np.ndarray, k: int) -> np.ndarray:
        """The mean of the neighbors."""
        return known[near.index[:, :k]].mean(axis=1)

    def probe(self, train: Part, validation: Part | None) -> Probe:
        """Ridge regression."""
        return fit_ridge(train.vectors, train.targets, validation=_pair(validation))

    def read(self, probe: Probe, vectors: np.ndarray) -> np.ndarray:
        """The predicted numbers."""
        return probe.scores(vectors)[:, 0]

    def per_row(self, gold: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Minus the squared error."""
        return -((gold - answers) ** 2)

    def value(self, gold: np.ndarray, answers: np.ndarray) -> float:
        """R2."""
        return float(r2_score(gold, answers)) if gold.var() > 0 else 0.0

    def figure(self, gold: np.ndarray, answers: np.ndarray) -> Figure:
        """R2, 0 for the mean of these very rows."""
        value, interval = bootstrap_r2(gold, answers, seed=self.seed, resamples=self.resamples)
        return Figure(value, len(gold), interval, 0.0, MEAN)

    def logme(self, evidence: Evidence, targets: np.ndarray) -> float:
        """Of the numbers themselves."""
        return evidence.of_numbers(targets)

    def null(self, near: Neighbors, targets: np.ndarray, k: int, permutations: int) -> Null:
        """Of R2."""
        return knn_regression_null(near.index[:, :k], targets, permutations=permutations, seed=self.seed)


Task = ClassTask | NumberTask  # of points, whose rows have one label
RankedTask = Task | LabelSetTask


Around = dict[str, tuple[Part, Neighbors]]  # part -> its rows, and the known rows nearest to each


def find_neighbors(known: Part, parts: Mapping[str, Part], k: int, metric: str) -> Around:
    """The k nearest known rows: `loo`, of these rows themselves without each one, then of the rows of other parts."""
    around = neighbors(known.vectors, known.vectors, k, metric=metric, exclude_self=True)
    others = {name: part for name, part in parts.items() if part is not known}
    return {"loo": (known, around)} | {
        name: (part, neighbors(part.vectors, known.vectors, k, metric=metric)) for name, part in others.items()
    }


def rounded(value: Any) -> Any:
    """Nested plain data whose floats have ten digits, so that results are short and rounding hardly shows in them.

    >>> rounded({"share": 1 / 3})
    {'share': 0.3333333333}
    """
    if isinstance(value, Mapping):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _pair(part: Part | None) -> tuple[np.ndarray, np.ndarray] | None:
    return None if part is None else (part.vectors, part.targets)
