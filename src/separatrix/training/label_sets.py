"""Figures of a training whose rows have several labels: what `evaluate.Evaluator` is for one label a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError
from separatrix.geometry.baselines import Baseline, LabelledBlocks
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.guards import listed, with_interval
from separatrix.geometry.label_sets import choose_thresholds, label_scores
from separatrix.recipe import LossRecipe, TrainRecipe
from separatrix.recipe.align import AlignRecipe, PairRecipe
from separatrix.recipe.auto import AutoRecipe
from separatrix.recipe.train import SET_LOSS
from separatrix.texts import Texts
from separatrix.training.request import TrainingRequest

METHODS = ("auto", "probe", "prompt", "align", "finetune")  # that learn several labels a row
ALIGN_LOSSES = ("nca", "linear")  # of an encoder: votes of the stored rows, a linear head


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
        return {"macro_f1": result.macro_f1, "micro_f1": result.micro_f1, "majority": result.majority_macro_f1}

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
            score = with_interval("micro-F1", result.micro_f1, result.interval)
            lines.append(f"{score} is not above that of {constant}")
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


def for_labels(request: TrainingRequest) -> TrainingRequest:
    """The request as it is trained: where rows have several labels, a prompt's default loss gives way to `binary_ce`.

    Raises:
        OptionError: a method or an option that takes one label a row, or `binary_ce` where rows have one.
        DataError: groups or weights.
    """
    recipe, train = request.recipe, request.splits.train
    loss = None if isinstance(recipe, AutoRecipe) else recipe.objective.loss
    if train.kind != "sets":
        if loss == SET_LOSS:
            hint = "use another --loss, or name what joins the labels with --label-separator"
            raise OptionError(f"--loss {loss} is for rows with several labels, and these have one", hint=hint)
        return request
    if request.method not in METHODS:
        hint = f"type --method {'|'.join(METHODS)}"
        raise OptionError(f"--method {request.method} takes one label a row, and these rows have several", hint=hint)
    _check_rows(train, recipe.loop.class_weight)
    if recipe.evaluation.order is not None:
        what = "--order ranks single labels, and these rows have several"
        raise OptionError(what, hint="leave --order away")
    if isinstance(recipe, TrainRecipe):
        if loss == LossRecipe.loss:
            note = f"--loss {SET_LOSS}, one label against the rest, since rows have several"
            splits = replace(request.splits, notes=(*request.splits.notes, note))
            return replace(request, recipe=recipes.replace(recipe, loss=SET_LOSS), splits=splits)
        if loss != SET_LOSS:
            raise _one_label(f"--loss {loss}", f"--loss {SET_LOSS}")
    if isinstance(recipe, AlignRecipe):
        _check_encoder(recipe)
    return request


def _check_rows(train: Texts, class_weight: Sequence[str] | None) -> None:
    """Groups and weights are for rows with one label."""
    if train.group is not None:
        hint = "leave --group away"
        raise DataError(f"{train.source}: groups are compared where rows have one label each", hint=hint)
    if train.weight is not None or class_weight is not None:
        hint = f"leave {'--weight' if class_weight is None else '--class-weight'} away"
        raise DataError(f"{train.source}: weights count where rows have one label each", hint=hint)


def _check_encoder(recipe: AlignRecipe) -> None:
    if recipe.objective.loss not in ALIGN_LOSSES:
        raise _one_label(f"--loss {recipe.objective.loss}", f"--loss {'|'.join(ALIGN_LOSSES)}")
    if (decision := recipe.answers.decision) not in ("knn", "head"):
        raise _one_label(f"--decision {decision}", "--decision knn|head")
    default = PairRecipe()
    for name in ("pairs", "pairs_per_row", "sampler"):
        if (value := getattr(recipe.pairing, name)) != getattr(default, name):
            raise _one_label(f"{recipes.flag(name)} {value}", f"{recipes.flag(name)} {getattr(default, name)}")


def _one_label(given: str, instead: str) -> OptionError:
    return OptionError(f"{given} takes one label a row, and these rows have several", hint=f"type {instead}")
