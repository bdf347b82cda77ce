"""What a training method is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from separatrix.training.request import Recipe, TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets


@dataclass(frozen=True)
class TrainingMethod:
    """A way to train: an entry of `METHODS`.

    Attributes:
        recipe: the options that it starts from.
        train: trains as requested; gets the targets of all parts, and what measures an epoch.
        idle: of a recipe and the options that were given, those that change nothing, each with what it would need.
        tasks: "classify", "regress" or both; where both, the loss says which.
        fixed: options that it does not leave open.
        losses: task -> what the result says of the loss, where the recipe does not say it.
    """

    recipe: Recipe
    train: Callable[[TrainingRequest, Targets, Score], TrainedModel[Any]]
    idle: Callable[[Any, Iterable[str]], list[tuple[str, str]]]
    tasks: tuple[str, ...] = ("classify",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)
