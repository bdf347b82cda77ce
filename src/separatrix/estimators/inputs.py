"""X and y as scikit-learn's users have them, in; checked `Texts` out.

X is one column of strings: a list, an array, a pandas Series, or a frame or array with one column; for pairs of texts a
list of tuples, or a frame or array with two columns. y is a column of labels. What cannot be used is refused here with
a `DataError`, which is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from separatrix.errors import DataError, warn
from separatrix.estimators.label_sets import read_sets, spelled_classes
from separatrix.learn.trained.saved import check_input_kind
from separatrix.learn.unanswered import run_answerable, unanswered
from separatrix.texts import Texts
from separatrix.texts.arrays import NEW, column, new_texts, sides
from separatrix.texts.columns import name_warnings, refuse_missing, refuse_unlabelled

TRAINING, VALIDATION = "training data", "validation data"
LEAVE_OUT = "leave them out of X and y"


def on_texts(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method on new texts, which then takes any column of texts: blank ones among them, or none at all.

    The method gets a list of texts that can be answered. What it gives, arrays with a row a text, has empty rows for
    the others: NaN among numbers, None among labels, -1 among ids. A `SeparatrixWarning` says which and why.
    """

    @wraps(method)
    def call(self: Any, X: Any, *rest: Any, **options: Any) -> Any:
        check_is_fitted(self)
        texts = list(new_texts(X, NEW).text)
        check_input_kind(self.model_, texts)
        answers, reasons = run_answerable(lambda some: method(self, some, *rest, **options), texts)
        warn(f"{NEW}: {line}" for line in unanswered(reasons, len(texts)))
        return answers

    return call


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts with their targets."""

    texts: Texts
    classes: np.ndarray | None  # (classes,) as the user wrote them, sorted as they look; None: numbers to predict

    @property
    def labels(self) -> np.ndarray:
        """The column of targets."""
        return np.empty(0) if self.texts.label is None else self.texts.label


def labelled(X: Any, y: Any, source: str, group: Any = None, weight: Any = None) -> LabelledTexts:
    """Texts with the labels of a classifier, and perhaps groups and weights.

    An indicator matrix, or lists of labels, give several labels a row, see `read_sets`.

    Booleans and whole floats (0.0, 1.0) are classes too; the table holds them as names and as integers. Of names that
    look alike the first is the class.

    Raises:
        DataError: lengths differ; a text or label is missing or of a wrong kind; labels are numbers to predict.
    """
    groups = None if group is None else column(group, source, "group")
    texts, pair = sides(X, source)
    rows = _weights(weight, source)
    if (sets := None if y is None else read_sets(y, source)) is not None:
        table = Texts.of(texts, sets.cells, groups, source=source, weight=rows, pair=pair)
        return LabelledTexts(table, sets.classes)
    given = _given(y, source)
    refuse_missing(given, source, "label", LEAVE_OUT)
    labels = _whole(given, source)
    if labels and all(type(label) is int for label in labels):
        hint = f"{LEAVE_OUT}; if -1 is a class, write other numbers (0 and 1, say) or names"
        refuse_unlabelled(labels, source, hint)
    table = Texts.of(texts, labels, groups, source=source, weight=rows, pair=pair)
    if groups is not None:
        table = replace(table, warnings=(*table.warnings, *name_warnings(groups, source, "group")))
    return LabelledTexts(table, spelled_classes(given))


def measured(X: Any, y: Any, source: str, *, weight: Any = None) -> LabelledTexts:
    """Texts with numbers to predict, and perhaps weights.

    Raises:
        DataError: lengths differ; a text or number is missing; a target is no number.
    """
    given = _given(y, source)
    refuse_missing(given, source, "label", LEAVE_OUT)
    strange = [row for row, value in enumerate(given) if isinstance(value, bool) or not _is_number(value)]
    if strange:
        got = f"{given[strange[0]]!r} in row {strange[0]} (counted from 0)"
        hint = "use PromptClassifier for classes"
        raise DataError(f"{source}: the targets are not numbers", got=got, expected="numbers", hint=hint)
    numbers = np.array([float(value) for value in given])
    first, pair = sides(X, source)
    texts = Texts.of(first, numbers, source=source, weight=_weights(weight, source), pair=pair)
    return LabelledTexts(texts, None)


READERS: dict[str, Callable[..., LabelledTexts]] = {"classify": labelled, "regress": measured}


def _given(y: Any, source: str) -> list[Any]:
    if y is None:
        raise DataError(f"{source}: fit requires y to be passed, but the target y is None")
    return column(y, source, "label")


def _weights(weight: Any, source: str) -> list[Any] | None:
    return None if weight is None else column(weight, source, "weight")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _whole(labels: list[Any], source: str) -> list[Any]:
    """Floats that are whole are classes; others are not."""
    floats = [label for label in labels if isinstance(label, float)]
    if not floats or not all(_is_number(label) for label in labels):
        return labels
    if all(label.is_integer() for label in floats):
        return [int(label) if isinstance(label, float) else label for label in labels]
    hint = "use PromptRegressor, or make classes of them"
    message = "Unknown label type: the labels are numbers to predict, not classes"
    raise DataError(f"{source}: {message}", got="floats", hint=hint)
