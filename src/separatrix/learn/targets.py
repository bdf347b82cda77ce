"""Labels to what a loss can use: class numbers, or numbers standardised on the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from separatrix.errors import DataError
from separatrix.geometry.checks import check_squared
from separatrix.texts import Classes, Texts
from separatrix.texts.label_sets import indicator, set_names

FARTHEST = 1e15  # standard deviations from the mean of the training rows: float32 holds the square
CLOSEST = 1e-100  # range of the training rows whose square float64 holds


@dataclass(frozen=True)
class Scaling:
    """Numbers to predict are trained standardised; this turns them back, both in float64.

    Float32 has seven digits: beside a large mean, of times in seconds say, it rounds away what tells rows apart.

    >>> scaling = Scaling(mean=1.7e9, scale=100.0)
    >>> scaling.restored(scaling.standardised(np.array([1700000001.5]))).tolist()
    [1700000001.5]
    """

    mean: float = 0.0
    scale: float = 1.0

    def standardised(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers in their own unit as standard deviations from the mean, float64."""
        return (np.asarray(numbers, np.float64) - self.mean) / self.scale

    def restored(self, scores: np.ndarray) -> np.ndarray:
        """Standardised numbers in their own unit, float64."""
        return np.asarray(scores, np.float64) * self.scale + self.mean


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of each part; `classes` is None where numbers are predicted."""

    # part -> (rows,) int64 class numbers, or float64 numbers in their own unit; (rows, labels) 0 and 1 of several a row
    values: dict[str, np.ndarray]
    classes: Classes | None
    scaling: Scaling = field(default_factory=Scaling)

    @property
    def sets(self) -> bool:
        """Whether rows have several labels."""
        return self.values["train"].ndim == 2

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; none where numbers are predicted."""
        return () if self.classes is None else self.classes.names

    @property
    def trained(self) -> dict[str, np.ndarray]:
        """What the loss sees: class numbers, or standardised float32."""
        if self.classes is not None:
            return self.values
        return {part: self.scaling.standardised(values).astype(np.float32) for part, values in self.values.items()}


def encode(parts: Mapping[str, Texts], task: str) -> Targets:
    """Targets of "train" and of every other part, by the classes (or the mean and deviation) of "train".

    The task is "classify" or "regress".

    Raises:
        DataError: labels missing, one class or one number only, a label never seen in training, names to regress on,
            numbers too large, too near or too far from each other to be computed with.

    >>> encode({"train": Texts.of(["x", "y"], ["b", "a"]), "test": Texts.of(["z"], ["b"])}, "classify").values["test"]
    array([1])
    """
    for texts in parts.values():
        if texts.label is None:
            raise DataError(f"{texts.source} has no labels", hint="name their column with --label")
        if task == "regress" and texts.kind in ("names", "sets"):
            raise DataError(
                f"{texts.source}: the loss mse needs numbers as labels", got="names", hint="use another --loss"
            )
    labels = {part: texts.label for part, texts in parts.items() if texts.label is not None}
    train = parts["train"]
    if train.kind == "sets":
        classes = Classes(set_names(labels["train"], train.source))
        matrices = {part: indicator(sets, classes.names, source=parts[part].source) for part, sets in labels.items()}
        return Targets(matrices, classes)
    if task == "classify":
        classes = Classes.of(labels["train"], source=train.source)
        ids = {part: classes.encode(column, source=parts[part].source) for part, column in labels.items()}
        return Targets(ids, classes)
    numbers = {part: check_squared(column, f"{parts[part].source}: the labels") for part, column in labels.items()}
    scaling = _scaling(numbers["train"], train.source)
    for part, values in numbers.items():
        _check_near(values, scaling, parts[part].source)
    return Targets(numbers, None, scaling)


def _scaling(numbers: np.ndarray, source: str) -> Scaling:
    """Mean and deviation of the training rows."""
    spread = float(np.ptp(numbers))  # the deviation of equal numbers may be a rounding error
    if not spread:
        hint = "there is nothing to predict"
        raise DataError(f"{source}: all labels are the same number", got=float(numbers[0]), hint=hint)
    if spread < CLOSEST:
        what, hint = "the labels are too near to each other to be squared", "multiply them by a power of ten"
        raise DataError(f"{source}: {what}", got=f"a range of {spread:.3g}", expected=f"{CLOSEST:g} or more", hint=hint)
    return Scaling(float(numbers.mean()), float(numbers.std()))


def _check_near(numbers: np.ndarray, scaling: Scaling, source: str) -> None:
    """Refuse a label that overflows a loss in float32."""
    row = int(np.abs(numbers - scaling.mean).argmax())
    if abs(numbers[row] - scaling.mean) > FARTHEST * scaling.scale:
        what = f"the label in row {row} (counted from 0) is too far from those of the training rows"
        expected = f"at most {FARTHEST:g} standard deviations ({scaling.scale:.4g}) from their mean, {scaling.mean:.4g}"
        raise DataError(f"{source}: {what}", got=f"{numbers[row]:g}", expected=expected)
