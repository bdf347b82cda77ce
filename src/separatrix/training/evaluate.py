"""Figures of a run: every score with its baseline and interval, and what the guards have to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from separatrix.geometry.baselines import Baseline, LabelledBlocks
from separatrix.geometry.guards import check_predictions, with_interval
from separatrix.geometry.ordinal import ordinal
from separatrix.geometry.reliability import reliability
from separatrix.geometry.score import classification, decide, regression
from separatrix.training.label_sets import LabelSetEvaluator

Scores = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Measures scores against class names, or against the mean of the training rows."""

    names: tuple[str, ...]  # empty: numbers are predicted
    mean: float = 0.0
    seed: int = 0
    history: list[np.ndarray] = field(default_factory=list)  # validation scores of each epoch, (rows, classes)
    ranks: np.ndarray | None = None  # (classes,) of classes that have an order, 0 for the lowest

    @classmethod
    def of(cls, targets: np.ndarray, names: tuple[str, ...], seed: int) -> Evaluator | LabelSetEvaluator:
        """Take the mean from training targets, (rows,); where rows have several labels, another evaluator."""
        if targets.ndim == 2:
            return LabelSetEvaluator(names, seed)
        return cls(names, mean=0.0 if names else float(targets.mean()), seed=seed)

    def ordered(self, ranks: Sequence[int]) -> Evaluator:
        """The same for classes that have an order: the rank of each, 0 for the lowest."""
        return replace(self, ranks=np.array(ranks))

    def quick(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Figures of an epoch, without intervals: scores (rows, classes) or (rows, 1), which are kept in `history`."""
        self.history.append(scores)
        if not self.names:
            return {"rmse": float(np.sqrt(np.mean((scores[:, 0] - targets) ** 2)))}
        result = classification(targets, decide(scores, len(self.names)), self.names, resamples=1)
        return {"accuracy": result.accuracy, "macro_f1": result.macro_f1, "majority": result.majority}

    def full(self, scores: np.ndarray, targets: np.ndarray, chance: np.ndarray | None = None) -> Scores:
        """All figures of a split as plain data."""
        if not self.names:
            return regression(targets, scores[:, 0], baseline=self.mean, seed=self.seed).to_dict()
        answers = decide(scores, len(self.names))
        figures = classification(targets, answers, self.names, probabilities=chance, seed=self.seed).to_dict()
        if self.ranks is not None:
            distances = ordinal(self.ranks[targets], self.ranks[answers], len(self.names), seed=self.seed)
            figures["ordinal"] = distances.to_dict()
        return figures

    def judged(self, scores: np.ndarray, targets: np.ndarray, chance: np.ndarray | None) -> Scores:
        """`full`, and with probabilities how far these can be trusted."""
        figures = self.full(scores, targets, chance)
        if chance is not None and self.names:
            figures["reliability"] = reliability(chance, targets, seed=self.seed).to_dict()
        return figures

    def findings(self, scores: np.ndarray, targets: np.ndarray, history: Sequence[np.ndarray]) -> list[str]:
        """What the guards say of the predictions of a split, and of those of the epochs before."""
        if not self.names:
            result = regression(targets, scores[:, 0], baseline=self.mean, seed=self.seed)
            if result.below_baseline:
                return []
            error = with_interval("error", result.rmse, result.interval, ".4g")
            return [f"{error} is not below that of always answering the mean, {result.baseline_rmse:.4g}"]
        past = [decide(earlier, len(self.names)) for earlier in history]
        gold = decide(scores, len(self.names))
        return [finding.message for finding in check_predictions(targets, gold, self.names, past, seed=self.seed)]


def score_baselines(
    fitted: dict[str, Baseline], parts: dict[str, LabelledBlocks], evaluator: Evaluator | LabelSetEvaluator
) -> dict[str, Any]:
    """Scores of each baseline on each split but the training rows: {name: {split: figures}}."""
    if isinstance(evaluator, LabelSetEvaluator):
        return {name: evaluator.baseline_figures(baseline, parts) for name, baseline in fitted.items()}
    table: dict[str, Any] = {}
    for name, baseline in fitted.items():
        table[name] = {}
        for split, blocks in parts.items():
            if split != "train":
                scores = baseline.scores(blocks)
                chance = None if baseline.calibration is None else baseline.calibration.probabilities(scores)
                table[name][split] = evaluator.full(scores, blocks.targets, chance)
    return table
