"""Diagnostics of a training beside its scores: what the guards found (warnings), and what else is true (notes)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from separatrix.geometry.baselines import LINEAR
from separatrix.geometry.guards import listed
from separatrix.learn.targets import Targets
from separatrix.learn.trained.saved import Predictions, Predictor
from separatrix.models.tokens import is_unread
from separatrix.reports.tables import calibration_text
from separatrix.store.result import digits
from separatrix.texts import Splits, duplicates, overlap
from separatrix.training.evaluate import Evaluator
from separatrix.training.label_sets import LabelSetEvaluator

CUT = re.compile(r"(\w+): (\d+) of (\d+) texts were cut")  # as trainings say it too
FEW_STEPS = 50  # of the optimiser; fewer hardly move what is trained
MISJUDGED = 0.1  # calibration error above that of perfect probabilities from which on no probability is to be believed
MUCH = 0.1  # share of a part's texts: if more of them are cut, the model reads other texts than the reader thinks


def in_unit(model: Predictor, answer: Predictions) -> np.ndarray:
    """Scores in the unit of the targets."""
    return answer.scores if model.classes is not None else np.asarray(answer.labels, dtype=np.float64)[:, None]


def findings(
    model: Predictor,
    answers: Mapping[str, Predictions],
    targets: Mapping[str, np.ndarray],
    evaluator: Evaluator | LabelSetEvaluator,
    history: Sequence[np.ndarray],
) -> list[str]:
    """Warnings of the guards for each split; `history` are the validation scores of every epoch."""
    lines = []
    for part, answer in answers.items():
        past = history[:-1] if part == "validation" else []
        messages = evaluator.findings(in_unit(model, answer), targets[part], past)
        lines += [f"{part}: {message}" for message in messages]
    return lines


def overlaps(splits: Splits) -> list[str]:
    """Warnings about rows of other parts that are training rows as well."""
    warnings = []
    for part, texts in splits.parts.items():
        shared = overlap(splits.train, texts) if part != "train" else None
        if shared is not None and shared.normalised:
            warnings.append(
                f"{part}: {shared.normalised} of {shared.total} rows stand in the training rows as well "
                f"({shared.exact} letter by letter, {shared.conflicting} with another label)"
            )
    return warnings


def below_baselines(method: str, scores: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[str]:
    """A warning where what was trained is worse than a linear probe of the frozen model, on test rows if there are any.

    >>> below_baselines("prompt", {"test": {"accuracy": 0.5}}, {"linear probe": {"test": {"accuracy": 0.6}}})
    ['test: the accuracy of prompt, 0.5000, is below that of the linear probe on the frozen model, 0.6000']
    """
    part = next(name for name in ("test", "validation") if name in scores)
    name = next((name for name in baselines if name in LINEAR.values()), None)
    if name is None:
        return []
    figure = next(name for name in ("accuracy", "rmse", "macro_f1") if name in scores[part])
    own, other = scores[part][figure], baselines[name][part][figure]
    if own <= other if figure == "rmse" else own >= other:
        return []
    side, noun = {"accuracy": ("below", "accuracy"), "macro_f1": ("below", "macro-F1"), "rmse": ("above", "error")}[
        figure
    ]
    shown = digits(figure, ".4f")
    beside = f"that of the {name} on the frozen model, {other:{shown}}"
    return [f"{part}: the {noun} of {method}, {own:{shown}}, is {side} {beside}"]


def misjudged(scores: Mapping[str, Any]) -> list[str]:
    """A warning where probabilities are far from how often answers are right, on test rows if there are any.

    That is, where the lower end of the calibration error is `MISJUDGED` above the error of perfect probabilities.
    """
    part = "test" if "test" in scores else "validation"
    figures = scores[part].get("reliability")
    if not figures or figures["interval"][0] <= figures["error_if_perfect"] + MISJUDGED:
        return []
    hint = "leave unsure rows out by predict --coverage 0.8, which goes by their order, not by --min-probability"
    return [f"{part}: {calibration_text(figures)}; {hint}; more rows of --validation calibrate better"]


def missing_classes(targets: Targets) -> list[str]:
    """A warning for each part that lacks rows of a class: no figure of it says anything of that class."""
    warnings = []
    for part, values in targets.values.items() if targets.names else ():
        has: np.ndarray = np.any(values, axis=0) if targets.sets else np.isin(np.arange(len(targets.names)), values)
        absent = [name for name, present in zip(targets.names, has.tolist(), strict=True) if not present]
        if absent:
            classes = f"{len(absent)} of {len(targets.names)} {'labels' if targets.sets else 'classes'} have no row"
            warnings.append(f"{part}: {classes}, so nothing is known of them: {listed(absent)}")
    return warnings


def few_steps(metrics: Sequence[Mapping[str, Any]], raced: str = "") -> list[str]:
    """A warning where the optimiser took fewer than `FEW_STEPS` steps in all.

    Args:
        metrics: a line an epoch.
        raced: the method and its options as they are typed, where a race chose them: there are none to raise.

    >>> few_steps([{"step": 12}, {"step": 24}])
    ['only 24 optimiser steps in all: raise --epochs or lower --batch-size']
    >>> few_steps([{"step": 50}])
    []
    >>> few_steps([{"step": 12}, {"step": 24}], "--method align")
    ['only 24 optimiser steps in all: type --method align --epochs 5 without --budget and --candidates to train longer']
    """
    steps = metrics[-1]["step"]
    if steps >= FEW_STEPS:
        return []
    longer = "raise --epochs or lower --batch-size"
    if raced:
        epochs = -(-FEW_STEPS * len(metrics) // max(1, steps))
        longer = f"type {raced} --epochs {epochs} without --budget and --candidates to train longer"
    return [f"only {steps} optimiser steps in all: {longer}"]


def repeated(splits: Splits) -> list[str]:
    """How often training rows repeat each other, where any does."""
    repeats = duplicates(splits.train)
    line = f"train: {repeats.normalised} repeated rows ({repeats.conflicting} texts with more than one label)"
    return [line] if repeats.normalised else []


def cut_texts(notes: Sequence[str], answers: Mapping[str, Predictions]) -> tuple[list[str], list[str]]:
    """Warnings and notes: those of a training, and how many texts of each part were cut, each part once.

    A warning where more than a tenth of a part's texts was cut, else a note; what could not be read is a warning.

    >>> cut_texts(["train: 2 of 10 texts were cut to 4 tokens", "validation: 1 of 10 texts were cut", "more"], {})
    (['train: 2 of 10 texts were cut to 4 tokens; a larger --max-length reads more of them'], \
['validation: 1 of 10 texts were cut', 'more'])
    """
    lines = [
        *notes,
        *(
            f"{part}: {answer.cut} of {len(answer.scores)} texts were cut"
            for part, answer in answers.items()
            if answer.cut
        ),
        *(f"{part}: {line}" for part, answer in answers.items() for line in answer.unread.warnings),
    ]
    warnings: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    for line in dict.fromkeys(lines):
        match = CUT.match(line)
        if match is None:
            (warnings if is_unread(line) else others).append(line)
        elif match[1] not in seen:  # the training comes first, and says more
            seen.add(match[1])
            much = int(match[2]) > MUCH * int(match[3])
            (warnings if much else others).append(line + "; a larger --max-length reads more of them" * much)
    return warnings, others
