"""Figures of a training whose rows have several labels: what `evaluate.Evaluator` is for one label a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.geometry.baselines import Baseline, LabelledBlocks
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.guards import listed
from separatrix.geometry.label_sets import choose_thresholds, label_scores
from separatrix.texts import Splits

METHODS = ("probe",)  # that learn several labels a row


@dataclass(frozen=True, eq=False)
class LabelSetEvaluator:
    """Measures scores (rows, labels) against indicator matrices, by the thresholds that validation rows chose."""

    names: tuple[str, ...]
    seed: int = 0
    calibration: ScoreCalibration | None = None  # of the trained model
    history: list[np.ndarray] = field(default_factory=list)  # validation scores of each epoch

    def deciding(self, calibration: ScoreCalibration) -> LabelSetEvaluator:
        """The same, with what decides."""
        return replace(self, calibration=calibration)

    def quick(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Figures of an epoch, at the thresholds that suit these rows best: they choose the epoch, nothing else."""
        self.history.append(scores)
        chance = ScoreCalibration("labels", thresholds=(0.5,) * len(self.names)).probabilities(scores)
        answers = chance >= choose_thresholds(chance, targets)
        result = label_scores(targets, answers.astype(np.int64), self.names, resamples=1)
        return {"macro_f1": result.macro_f1, "micro_f1": result.micro_f1, "majority": result.majority}

    def full(self, scores: np.ndarray, targets: np.ndarray, _chance: np.ndarray | None = None) -> dict[str, Any]:
        """All figures of a split as plain data."""
        assert self.calibration is not None
        answers, cuts = self.calibration.decide(scores), self.calibration.thresholds
        return label_scores(targets, answers, self.names, thresholds=cuts, seed=self.seed).to_dict()

    judged = full

    def findings(self, scores: np.ndarray, targets: np.ndarray, _history: Sequence[np.ndarray]) -> list[str]:
        """Labels that are never given, one set for all rows, and figures that one set for all rows reaches too."""
        assert self.calibration is not None
        answers = self.calibration.decide(scores)
        lines = []
        missed = [name for at, name in enumerate(self.names) if targets[:, at].any() and not answers[:, at].any()]
        if missed:
            lines.append(f"{len(missed)} of {len(self.names)} labels are never given: {listed(missed)}")
        if len(answers) > 1 and (answers == answers[0]).all():
            lines.append(f"all {len(answers)} rows get the same set of labels")
        result = label_scores(targets, answers, self.names, seed=self.seed)
        if result.interval[0] <= result.majority:
            constant = f"always answering {', '.join(result.majority_set) or 'nothing'}, {result.majority:.4f}"
            lines.append(f"the micro-F1 {result.micro_f1:.4f} is not above that of {constant}")
        return lines

    def baseline_figures(self, fitted: Baseline, parts: Mapping[str, LabelledBlocks]) -> dict[str, Any]:
        """Figures of a baseline on each split but the training rows, by thresholds of its own."""
        judged = parts["validation"]
        own = self.deciding(fit_calibration(fitted.scores(judged), judged.targets))
        return {
            split: own.full(fitted.scores(blocks), blocks.targets)
            for split, blocks in parts.items()
            if split != "train"
        }


def check_method(splits: Splits, method: str, class_weight: Sequence[str] | None = None) -> None:
    """Refuse what several labels a row cannot be trained with.

    Raises:
        OptionError: a method that takes one label a row.
        DataError: groups, or weights.
    """
    if splits.train.kind != "sets":
        return
    if method not in METHODS:
        hint = f"type --method {METHODS[0]}"
        raise OptionError(f"--method {method} takes one label a row, and these rows have several", hint=hint)
    if splits.train.group is not None:
        hint = "leave --group away"
        raise DataError(f"{splits.train.source}: groups are compared where rows have one label each", hint=hint)
    if splits.train.weight is not None or class_weight is not None:
        hint = f"leave {'--weight' if class_weight is None else '--class-weight'} away"
        raise DataError(f"{splits.train.source}: weights count where rows have one label each", hint=hint)
