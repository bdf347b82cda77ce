"""What a training method is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from separatrix.errors import OptionError
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets


def refuse(request: TrainingRequest, _targets: Targets, _score: Score) -> NoReturn:
    """Labelled texts, given to a method of other data."""
    raise OptionError(f"--method {request.method} reads questions with contexts", hint="type separatrix heads-qa")


@dataclass(frozen=True)
class TrainingMethod:
    """A way to train: an entry of `METHODS`.

    Attributes:
        recipe: the options that it starts from.
        train: trains on labelled texts; gets the targets of all parts, and what measures an epoch.
        idle: of a recipe and the options that were given, those that change nothing, each with what it would need.
        tasks: "classify", "regress" or both; where both, the loss says which.
        fixed: options that it does not leave open.
        losses: task -> what the result says of the loss, where the recipe does not say it.
        run: of a method of other data than labelled texts, all that it does: (data, out, model, options).
    """

    recipe: Any
    train: Callable[[TrainingRequest, Targets, Score], TrainedModel[Any]] = refuse
    idle: Callable[[Any, Iterable[str]], list[tuple[str, str]]] = lambda _recipe, _given: []
    tasks: tuple[str, ...] = ("classify",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)
    run: Callable[..., Any] | None = None
