"""What looks as if nothing was learnt. The guards always run, and they speak up.

One published run reported 0.4908 for every epoch of its largest model and looked like a training failure; it was the
share of label 0, because the model had one output column. Each guard is a pure function of numbers; those
that find a mistake raise (they stand in `checks`), those that find a bad sign return findings to be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import choose
from separatrix.geometry.checks import check_finite, check_labels, check_names, check_output_width, check_same_rows
from separatrix.geometry.score import ClassificationScores, classification
from separatrix.recipe.core import Plain

__all__ = [
    "Finding", "check_finite", "check_labels", "check_output_width", "check_predictions", "histogram", "listed",
    "with_interval",
]  # fmt: skip

LEVELS = ("warning", "error")

_NEARLY_ALL = 0.95  # share of one answer from which predictions count as nearly constant
_FROZEN_EPOCHS = 3  # epochs without a single changed answer, from the first one on


@dataclass(frozen=True)
class Finding(Plain):
    """Something a person should look at before believing a score."""

    code: str  # short and stable, for machines
    message: str  # one or two lines, for people
    level: str = "warning"  # or "error": the score means nothing

    def __post_init__(self) -> None:
        choose(self.level, LEVELS, "level")


def histogram(ids: ArrayLike, names: Sequence[str], *, most: int = 8) -> str:
    """Count per class as one line of text, most frequent first.

    >>> histogram([0, 0, 1, 0], ["yes", "no", "perhaps"])
    'yes 3 | no 1 | perhaps 0'
    >>> histogram([0, 0, 1], ["yes", "no", "perhaps"], most=1)
    'yes 2 | 2 more classes 1'
    """
    listed = check_names(names)
    counts = np.bincount(check_labels(ids, len(listed)), minlength=len(listed))
    order = np.argsort(-counts, kind="stable")
    parts = [f"{listed[number]} {counts[number]}" for number in order[:most]]
    rest = order[most:]
    if len(rest):
        parts.append(f"{len(rest)} more class{'es' if len(rest) > 1 else ''} {counts[rest].sum()}")
    return " | ".join(parts)


def check_predictions(
    y_true: ArrayLike, y_pred: ArrayLike, names: Sequence[str], history: Sequence[ArrayLike] = (), *, seed: int = 0
) -> tuple[Finding, ...]:
    """Signs that a classifier learnt nothing, the gravest first; an empty tuple if it looks healthy.

    `history` has the predictions (rows,) of the earlier epochs for the same rows, oldest first, without `y_pred`.

    Codes: `constant` (one answer for every row), `class_share` (nearly one answer, and the accuracy is exactly the
    share of a class), `stuck` (the accuracy did not move from the epoch before and is not above the majority
    baseline), `frozen` (three epochs or more and not one answer changed since the first, though some are wrong),
    `no_better` (the 95 % interval of the accuracy does not lie above the majority baseline), `never_predicted` (a class
    that has rows is never the answer).

    >>> for finding in check_predictions([0, 1, 1, 0, 1], [1, 1, 1, 1, 1], ["negative", "positive"]):
    ...     print(finding.code, finding.level)
    ...     print(finding.message)
    constant error
    every one of the 5 predictions is 'positive': the accuracy 0.6000 is only the share of that label
    predictions: positive 5 | negative 0; labels: positive 3 | negative 2
    """
    listed = check_names(names)
    scores = classification(y_true, y_pred, listed, seed=seed)
    gold, predicted = check_labels(y_true, len(listed)), check_labels(y_pred, len(listed), "predictions")
    past = [check_labels(earlier, len(listed), f"predictions of epoch {n}") for n, earlier in enumerate(history, 1)]
    for n, earlier in enumerate(past, 1):
        check_same_rows(len(gold), len(earlier), "labels", f"predictions of epoch {n}")
    counts = f"predictions: {histogram(predicted, listed)}; labels: {histogram(gold, listed)}"
    one_sided = _one_sided(scores, counts)
    moves = _moves(scores, gold, predicted, past, counts)
    # A constant answer explains why the score is no better; saying it twice would only bury it.
    weak = () if one_sided else _no_better(scores, counts)
    missing = () if one_sided else _never_predicted(scores)
    return (*one_sided, *moves, *weak, *missing)


def _one_sided(scores: ClassificationScores, counts: str) -> tuple[Finding, ...]:
    top = max(scores.per_class, key=lambda line: line.predicted)
    if scores.accuracy == 1.0 or top.predicted < _NEARLY_ALL * scores.rows:
        return ()
    if top.predicted == scores.rows:
        message = (
            f"every one of the {scores.rows} predictions is {top.name!r}: "
            f"the accuracy {scores.accuracy:.4f} is only the share of that label\n{counts}"
        )
        return (Finding("constant", message, "error"),)
    right = int(scores.confusion.trace())
    shared = [line.name for line in scores.per_class if line.rows == right]
    if not shared:
        return ()
    message = (
        f"the accuracy {scores.accuracy:.4f} is exactly the share of label {shared[0]!r}, "
        f"and {top.predicted} of {scores.rows} predictions are {top.name!r}\n{counts}"
    )
    return (Finding("class_share", message),)


def _never_predicted(scores: ClassificationScores) -> tuple[Finding, ...]:
    missed = [line.name for line in scores.per_class if line.rows and not line.predicted]
    present = sum(line.rows > 0 for line in scores.per_class)
    verb = "is" if len(missed) == 1 else "are"
    message = f"{len(missed)} of {present} classes with rows {verb} never predicted: {listed(missed)}"
    return (Finding("never_predicted", message),) if missed else ()


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names, the first few of many.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def with_interval(figure: str, value: float, interval: tuple[float, float], digits: str = ".4f") -> str:
    """A figure of a sentence that compares not it but an end of its interval.

    >>> with_interval("accuracy", 0.9, (0.75, 1))
    'the accuracy 0.9000 (95 % interval 0.7500 to 1.0000)'
    """
    low, high = interval
    return f"the {figure} {value:{digits}} (95 % interval {low:{digits}} to {high:{digits}})"


def _moves(
    scores: ClassificationScores,
    gold: NDArray[np.int64],
    predicted: NDArray[np.int64],
    past: list[NDArray[np.int64]],
    counts: str,
) -> tuple[Finding, ...]:
    """Findings from the course of the epochs."""
    right = int((gold == predicted).sum())
    same = 1  # epochs in a row, counted back from this one, with as many right answers
    for earlier in reversed(past):
        if int((gold == earlier).sum()) != right:
            break
        same += 1
    if same >= 2 and scores.accuracy <= scores.majority:
        message = (
            f"the accuracy has been {scores.accuracy:.4f} for {same} epochs, "
            f"not above the majority baseline {scores.majority:.4f}: nothing is being learnt\n{counts}"
        )
        return (Finding("stuck", message, "error"),)
    unchanged = all(np.array_equal(earlier, predicted) for earlier in past)
    if unchanged and len(past) + 1 >= _FROZEN_EPOCHS and right < len(gold):
        message = (
            f"not one of the {len(gold)} predictions has changed since the first of {len(past) + 1} epochs\n{counts}"
        )
        return (Finding("frozen", message),)
    return ()


def _no_better(scores: ClassificationScores, counts: str) -> tuple[Finding, ...]:
    if scores.above_majority or scores.accuracy == 1.0:
        return ()
    accuracy = with_interval("accuracy", scores.accuracy, scores.interval)
    message = f"{accuracy} is not above the majority baseline {scores.majority:.4f}\n{counts}"
    return (Finding("no_better", message),)
