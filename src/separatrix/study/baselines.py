"""What a prompt must beat: a linear probe and k-NN on the frozen model's own vectors of the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from separatrix.geometry.neighbours import knn_predict
from separatrix.geometry.probe import Probe, fit_probe, fit_ridge

NEIGHBOURS = (1, 3, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class Part:
    """Frozen vectors of a split with their targets."""

    vectors: np.ndarray  # (rows, width)
    targets: np.ndarray  # (rows,) class ids or numbers


@dataclass(frozen=True, eq=False)
class Nearest:
    """k-NN over the training vectors."""

    vectors: np.ndarray
    targets: np.ndarray
    k: int
    classes: int

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Shares of the votes, (rows, classes)."""
        return knn_predict(x, self.vectors, self.targets, self.k, classes=self.classes)


def fit_nearest(train: Part, validation: Part, classes: int) -> Nearest:
    """k-NN by cosine; k is chosen on validation, the smallest on a tie."""
    rights = []
    tried = [k for k in NEIGHBOURS if k <= len(train.targets)]
    for k in tried:
        votes = knn_predict(validation.vectors, train.vectors, train.targets, k, classes=classes)
        rights.append(float((votes.argmax(axis=1) == validation.targets).mean()))
    return Nearest(train.vectors, train.targets, tried[int(np.argmax(rights))], classes)


def fit_baselines(train: Part, validation: Part, classes: int, seed: int) -> dict[str, Probe | Nearest]:
    """The baselines by the name they have in tables; their options are chosen on validation."""
    held = (validation.vectors, validation.targets)
    if not classes:
        return {"ridge": fit_ridge(train.vectors, train.targets, validation=held)}
    nearest = fit_nearest(train, validation, classes)
    probe = fit_probe(train.vectors, train.targets, classes, seed=seed, validation=held)
    return {"linear probe": probe, f"k-NN (k = {nearest.k})": nearest}
