"""Labels to what a loss can use: class numbers, or numbers standardised on the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from separatrix.errors import DataError
from separatrix.texts import Classes, Texts
from separatrix.texts.label_sets import indicator, set_names


@dataclass(frozen=True)
class Scaling:
    """Numbers to predict are trained standardised; this turns them back."""

    mean: float = 0.0
    scale: float = 1.0


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
        mean, scale = self.scaling.mean, self.scaling.scale
        return {part: ((values - mean) / scale).astype(np.float32) for part, values in self.values.items()}


def encode(parts: Mapping[str, Texts], task: str) -> Targets:
    """Targets of "train" and of every other part, by the classes (or the mean and deviation) of "train".

    The task is "classify" or "regress".

    Raises:
        DataError: labels missing, one class or one number only, a label never seen in training, names to regress on.

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
    numbers = {part: np.asarray(column, dtype=np.float64) for part, column in labels.items()}
    mean, scale = float(numbers["train"].mean()), float(numbers["train"].std())
    if not scale:
        raise DataError(f"{train.source}: all labels are the same number", got=mean, hint="there is nothing to predict")
    return Targets(numbers, None, Scaling(mean, scale))
