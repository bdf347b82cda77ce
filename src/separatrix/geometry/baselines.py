"""What a prompt must beat: a linear probe and k-NN on the frozen model's own vectors of the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from separatrix.geometry.neighbours import knn_predict, neighbours
from separatrix.geometry.probe import Probe, fit_probe, fit_ridge

NEIGHBOURS = (1, 3, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Part:
    """Frozen vectors of a split with their targets."""

    vectors: np.ndarray  # (rows, width)
    targets: np.ndarray  # (rows,) class ids or numbers


@dataclass(frozen=True, eq=False)
class Nearest:
    """k-NN over the training vectors, by cosine: a vote, or for numbers (no classes) the mean."""

    vectors: np.ndarray
    targets: np.ndarray
    k: int
    classes: int

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Shares of the votes, (rows, classes), or means of the neighbours' numbers, (rows, 1)."""
        if not self.classes:
            return self.targets[neighbours(x, self.vectors, self.k).index].mean(axis=1)[:, None]
        return knn_predict(x, self.vectors, self.targets, self.k, classes=self.classes)


def fit_nearest(train: Part, validation: Part, classes: int) -> Nearest:
    """k-NN by cosine; k is chosen on validation (most right answers, least squared error), the smallest on a tie.

    Args:
        train: rows that are neighbours.
        validation: rows to choose k by.
        classes: number of classes; 0 = numbers.

    >>> train = Part(np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0]]), np.array([2.0, 4.0, 9.0]))
    >>> fitted = fit_nearest(train, Part(np.array([[0.0, 2.0]]), np.array([2.5])), 0)
    >>> fitted.k, fitted.scores(np.array([[3.0, 0.0]])).tolist()
    (1, [[9.0]])
    """
    merits = []
    tried = [Nearest(train.vectors, train.targets, k, classes) for k in NEIGHBOURS if k <= len(train.targets)]
    for model in tried:
        scores = model.scores(validation.vectors)
        if classes:
            merits.append(float((scores.argmax(axis=1) == validation.targets).mean()))
        else:
            merits.append(-float(((scores[:, 0] - validation.targets) ** 2).mean()))
    return tried[int(np.argmax(merits))]


def fit_baselines(train: Part, validation: Part, classes: int, seed: int) -> dict[str, Probe | Nearest]:
    """The baselines by the name they have in tables; their options are chosen on validation."""
    held = (validation.vectors, validation.targets)
    nearest = fit_nearest(train, validation, classes)
    if classes:
        name, probe = "linear probe", fit_probe(train.vectors, train.targets, classes, seed=seed, validation=held)
    else:
        name, probe = "ridge", fit_ridge(train.vectors, train.targets, validation=held)
    return {name: probe, f"k-NN (k = {nearest.k})": nearest}
