"""What a training must beat: a linear probe and k-NN on the frozen model's own vectors, at their best pooling.

Every choice - pooling, penalty, number of neighbors - is made on validation rows; no test row takes part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from separatrix.codes import draw_some
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.evidence import NEIGHBORS, VoteEvidence, fit_evidence
from separatrix.geometry.label_sets import label_losses, set_merit, share_scores
from separatrix.geometry.neighbors import neighbors, unit_rows, vote
from separatrix.geometry.probe import PENALTIES, Probe, fit_probe, fit_ridge, log_loss
from separatrix.geometry.scatter import class_means

NEIGHBOURS = (1, 3, 5, 10, 20)
# Training rows that poolings are compared on: the choice of one of a few needs no more, and its time stays bounded.
COMPARED_ROWS = 2000
LINEAR = {True: "linear probe", False: "ridge"}  # of classes, of numbers


@dataclass(frozen=True, eq=False)
class Part:
    """Frozen vectors of a split with their targets."""

    vectors: np.ndarray  # (rows, width)
    targets: np.ndarray  # (rows,) class ids or numbers
    weight: np.ndarray | None = None  # (rows,) of rows that are learnt from; None: all alike

    def take(self, rows: np.ndarray) -> Part:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        return Part(self.vectors[rows], self.targets[rows], weight)


@dataclass(frozen=True, eq=False)
class LabelledBlocks:
    """Frozen vectors of a split by the name of their pooling, with their targets."""

    vectors: Mapping[str, np.ndarray]  # each (rows, width)
    targets: np.ndarray  # (rows,) class ids or numbers
    weight: np.ndarray | None = None  # (rows,) in a linear probe; votes count rows. None: all alike

    def part(self, pool: str) -> Part:
        """The vectors of one pooling."""
        return Part(self.vectors[pool], self.targets, self.weight)


def joined(a: LabelledBlocks, b: LabelledBlocks) -> LabelledBlocks:
    """The rows of one split, then those of another."""
    vectors = {pool: np.concatenate([block, b.vectors[pool]]) for pool, block in a.vectors.items()}
    weight = None
    if a.weight is not None or b.weight is not None:
        weight = np.concatenate([np.ones(len(one.targets)) if one.weight is None else one.weight for one in (a, b)])
    return LabelledBlocks(vectors, np.concatenate([a.targets, b.targets]), weight)


@dataclass(frozen=True, eq=False)
class Nearest:
    """k-NN over the training vectors, by cosine: a vote, or for numbers (no classes) the mean."""

    vectors: np.ndarray
    targets: np.ndarray
    k: int
    classes: int
    evidence: VoteEvidence | None = None  # how sure a vote of classes is

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Scores of classes, (rows, classes), or means of numbers, (rows, 1); of labels, their log-odds.

        With evidence the scores are finer than the shares of the votes; the answers are those of the vote.
        """
        if self.evidence is None:
            return self._scores(x, (self.k,))[0]
        near = neighbors(x, self.vectors, max(self.k, self.evidence.k))
        answers = vote(near, self.targets, self.classes, self.k).argmax(axis=1)
        return self.evidence.scores(near, self.targets, self._mean_cosines(x), answers)

    def with_evidence(self, validation: Part) -> Nearest:
        """The same with what validation rows say of its votes."""
        near = neighbors(validation.vectors, self.vectors, min(NEIGHBORS, len(self.targets)))
        evidence = fit_evidence(near, self.targets, self._mean_cosines(validation.vectors), validation.targets)
        return replace(self, evidence=evidence)

    def _mean_cosines(self, x: np.ndarray) -> np.ndarray:
        """Cosines with the class means, (rows, classes)."""
        return np.asarray(unit_rows(x.astype(np.float64)) @ self._directions.T)

    @cached_property
    def _directions(self) -> np.ndarray:
        """Class means of the unit vectors, of length 1, (classes, width)."""
        means = class_means(unit_rows(self.vectors.astype(np.float64)), self.targets, self.classes)[0]
        return np.asarray(unit_rows(means))

    def _scores(self, x: np.ndarray, ks: tuple[int, ...]) -> list[np.ndarray]:
        """The scores for several numbers of neighbors, which are sought once."""
        near = neighbors(x, self.vectors, max(ks))
        if self.targets.ndim == 2:
            return [share_scores(self.targets[near.index[:, :k]].mean(axis=1), k) for k in ks]
        if self.classes:
            return [vote(near, self.targets, self.classes, k) for k in ks]
        return [self.targets[near.index[:, :k]].mean(axis=1)[:, None] for k in ks]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A model on frozen vectors of one pooling, and among how many it was chosen on validation."""

    model: Probe | Nearest
    pool: str
    pools: int  # poolings that were compared
    calibration: ScoreCalibration | None = None  # of classes, on validation rows

    def scores(self, blocks: LabelledBlocks) -> np.ndarray:
        """Scores of the rows of a split, (rows, classes), or (rows, 1)."""
        return self.model.scores(blocks.vectors[self.pool])

    def calibrated(self, validation: LabelledBlocks, seed: int) -> Baseline:
        """The same with probabilities that suit validation rows with one class each."""
        model, rows = self.model, validation.part(self.pool)
        judged = replace(self, model=model.with_evidence(rows) if isinstance(model, Nearest) else model)
        return replace(judged, calibration=fit_calibration(judged.scores(validation), rows.targets, seed=seed))

    def to_dict(self) -> dict[str, Any]:
        """What was chosen, as plain data: pooling, penalty or k, and the number of candidates of each."""
        chosen: dict[str, Any] = {"pool": self.pool, "pool_candidates": self.pools}
        if isinstance(self.model, Nearest):
            return chosen | {"k": self.model.k, "k_candidates": len(_ks(self.model.targets))}
        return chosen | {"penalty": self.model.penalty, "penalty_candidates": len(PENALTIES)}

    def __str__(self) -> str:
        chosen = self.to_dict()
        name, meaning = ("k", "") if isinstance(self.model, Nearest) else ("penalty", "1/C of scikit-learn, ")
        of_pools = f"best of {self.pools} on validation" if self.pools > 1 else "given"
        tried = chosen[f"{name}_candidates"]
        return f"pooling {self.pool} ({of_pools}), {name} {chosen[name]:g} ({meaning}best of {tried})"


def fit_nearest(train: Part, validation: Part, classes: int) -> Nearest:
    """k-NN by cosine; k is chosen on validation (most right answers, least squared error), the smallest on a tie.

    Args:
        classes: number of classes; 0 = numbers.

    >>> train = Part(np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0]]), np.array([2.0, 4.0, 9.0]))
    >>> fitted = fit_nearest(train, Part(np.array([[0.0, 2.0]]), np.array([2.5])), 0)
    >>> fitted.k, fitted.scores(np.array([[3.0, 0.0]])).tolist()
    (1, [[9.0]])
    """
    return _nearest(train, validation, classes)[0]


def _ks(targets: np.ndarray) -> tuple[int, ...]:
    return tuple(k for k in NEIGHBOURS if k <= len(targets))


def _nearest(train: Part, validation: Part, classes: int) -> tuple[Nearest, tuple[float, float]]:
    """The k-NN of a pooling with its best k, and its merit on validation."""
    ks = _ks(train.targets)
    tried = Nearest(train.vectors, train.targets, ks[0], classes)._scores(validation.vectors, ks)
    merits = [_merit(scores, validation.targets, classes) for scores in tried]
    best = int(np.argmax([merit[0] for merit in merits]))
    return Nearest(train.vectors, train.targets, ks[best], classes), merits[best]


def fit_baselines(
    train: LabelledBlocks, validation: LabelledBlocks, classes: int, seed: int, *, own: Baseline | None = None
) -> dict[str, Baseline]:
    """The baselines by the name they have in tables, each with the pooling that is best for it on validation.

    Args:
        validation: rows to choose pooling, penalty and k by; the first pooling on a tie.
        classes: number of classes; 0 = numbers.
        own: the probe that was trained, which is no baseline of itself: the best one is left out where it is that one.

    Where rows have one class each, probabilities are calibrated on the validation rows.
    """
    fitted = _choose_baselines(train, validation, classes, seed, own)
    if not classes or train.targets.ndim == 2:
        return fitted
    return {name: one.calibrated(validation, seed) for name, one in fitted.items()}


def _choose_baselines(
    train: LabelledBlocks, validation: LabelledBlocks, classes: int, seed: int, own: Baseline | None
) -> dict[str, Baseline]:
    fitted = {pool: _nearest(train.part(pool), validation.part(pool), classes) for pool in train.vectors}
    pool = max(fitted, key=lambda name: fitted[name][1])
    nearest = Baseline(fitted[pool][0], pool, len(fitted))
    baselines = {f"k-NN (k = {fitted[pool][0].k})": nearest}
    if own is not None and own.pools >= len(train.vectors) and own.pool in train.vectors:
        return baselines
    linear = fit_linear(train, validation, classes, seed)
    return baselines if own is not None and own.pool == linear.pool else {LINEAR[classes > 0]: linear, **baselines}


def fit_linear(train: LabelledBlocks, validation: LabelledBlocks, classes: int, seed: int) -> Baseline:
    """A linear probe (for numbers a ridge regression); options as `fit_baselines`.

    Poolings are compared with a penalty of 1, by validation accuracy and then log-loss (or squared error); the penalty
    of the best one is chosen after that.
    """
    pool = next(iter(train.vectors))
    if len(train.vectors) > 1:
        rows = _compared(train.targets, seed)
        merits = {
            name: _merit(
                _linear(train.part(name).take(rows), None, classes, seed).scores(validation.vectors[name]),
                validation.targets,
                classes,
                logits=True,
            )
            for name in train.vectors
        }
        pool = max(merits, key=lambda name: merits[name])
    return Baseline(_linear(train.part(pool), validation.part(pool), classes, seed), pool, len(train.vectors))


def refit_linear(probe: Probe, rows: Part, classes: int, seed: int) -> Probe:
    """A probe with the same penalty, fitted on these rows."""
    if classes:
        return fit_probe(rows.vectors, rows.targets, classes, seed=seed, penalty=probe.penalty, weight=rows.weight)
    return fit_ridge(rows.vectors, rows.targets, penalty=probe.penalty, weight=rows.weight)


def _compared(targets: np.ndarray, seed: int) -> np.ndarray:
    """At most `COMPARED_ROWS` rows, sorted: a seeded sample, and the first row of each class or number in it."""
    first = np.unique(targets, axis=0, return_index=True)[1][:COMPARED_ROWS]
    return draw_some(len(targets), COMPARED_ROWS, [seed, 9], also=first)


def _linear(train: Part, tuned: Part | None, classes: int, seed: int) -> Probe:
    validation = None if tuned is None else (tuned.vectors, tuned.targets)
    if classes:
        return fit_probe(train.vectors, train.targets, classes, seed=seed, validation=validation, weight=train.weight)
    return fit_ridge(train.vectors, train.targets, validation=validation, weight=train.weight)


def _merit(scores: np.ndarray, targets: np.ndarray, classes: int, *, logits: bool = False) -> tuple[float, float]:
    """Higher is better: accuracy, then minus the log-loss of logits; of numbers, minus the squared error.

    Of several labels a row: macro-F1 at the thresholds that suit these rows best, then minus the binary cross-entropy.
    """
    if targets.ndim == 2:
        return set_merit(scores, targets), -float(label_losses(scores, targets).mean())
    if not classes:
        return -float(((scores[:, 0] - targets) ** 2).mean()), 0.0
    right = float((scores.argmax(axis=1) == targets).mean())
    return right, -log_loss(scores, targets) if logits else 0.0
