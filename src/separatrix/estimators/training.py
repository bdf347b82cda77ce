"""What `fit` does: arguments to a recipe, rows held out, a training, and its figures as attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, warn
from separatrix.estimators.inputs import READERS, TRAINING, VALIDATION, LabelledTexts
from separatrix.learn.objectives import OBJECTIVES
from separatrix.recipe import TrainRecipe
from separatrix.texts import Splits, check_labels
from separatrix.texts.holdout import hold_out, hold_out_whole
from separatrix.training.methods import METHODS
from separatrix.training.request import Recipe, TrainingRequest
from separatrix.training.run import run_training

R = TypeVar("R")


def whole_recipe(named: Mapping[str, Any], rest: R | None, kind: type[R]) -> tuple[R, tuple[str, ...]]:
    """The recipe that the named arguments and `recipe` make together, and where they disagree.

    A named argument at its default says nothing, so that a whole `recipe` can be given by itself. One with another
    value wins. A `recipe` that asks for something else than the default is then reported: nothing that was asked for
    is dropped in silence.

    Raises:
        OptionError: an option is out of range, or `rest` is not of the kind wanted (a `TrainRecipe`, say).

    >>> given = recipes.replace(TrainRecipe(), tokens=20, warmup=0.2)
    >>> recipe, disagreements = whole_recipe({"tokens": 4}, given, TrainRecipe)
    >>> recipe.prompt.tokens, recipe.loop.warmup, disagreements
    (4, 0.2, ('recipe says tokens=20, but the argument tokens=4 wins',))
    >>> recipe, disagreements = whole_recipe({"tokens": 8}, given, TrainRecipe)
    >>> recipe.prompt.tokens, disagreements
    (20, ())
    """
    check_kind(rest, kind)
    base = kind() if rest is None else rest
    stated, defaults = flat(base), flat(kind())
    given = {name: plain(value) for name, value in named.items() if not same(value, defaults[name])}
    recipe = recipes.replace(base, **given)
    disagreements = tuple(
        f"recipe says {name}={stated[name]!r}, but the argument {name}={value!r} wins"
        for name, value in given.items()
        if stated[name] not in (defaults[name], value)
    )
    return recipe, disagreements


def check_kind(recipe: Any, kind: type) -> None:
    """Raise an `OptionError` unless an estimator's `recipe` is of this kind, or None."""
    if recipe is not None and not isinstance(recipe, kind):
        raise OptionError("recipe is not a recipe", got=type(recipe).__name__, expected=f"a {kind.__name__} or None")


def gave_way(named: Mapping[str, Any], recipe: Any) -> tuple[str, ...]:
    """Notes about arguments at their default that gave way to the recipe.

    >>> gave_way({"tokens": 8, "lr": 0.03}, recipes.replace(TrainRecipe(), tokens=20))
    ('recipe says tokens=20, which holds: the argument tokens is at its default',)
    """
    values = flat(recipe)
    return tuple(
        f"recipe says {name}={values[name]!r}, which holds: the argument {name} is at its default"
        for name, value in named.items()
        if not same(value, values[name])
    )


def ignored(method: str, recipe: Recipe) -> tuple[str, ...]:
    """Warnings about options that were set, but change nothing beside the others.

    >>> ignored("prompt", recipes.replace(TrainRecipe(), rate=0.2))
    ('rate=0.2 has no effect here: it needs mover ema|momentum',)
    """
    values, defaults = flat(recipe), flat(type(recipe)())
    changed = [name for name, value in values.items() if value != defaults[name]]
    return tuple(
        f"{name}={values[name]!r} has no effect here: it needs {words.replace('--', '')}"
        for name, words in METHODS[method].idle(recipe, changed)
    )


def plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, paths as text."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def same(value: Any, other: Any) -> bool:
    """Whether an argument says what an option holds; an array holds no option.

    >>> same(np.int64(3), 3), same(np.ones(2), 3)
    (True, False)
    """
    return isinstance(plain(value), str | int | float | None) and plain(value) == other


def flat(recipe: Any) -> dict[str, Any]:
    """Every option of a recipe by its own name."""
    return {name: value for part in recipes.to_dict(recipe).values() for name, value in part.items()}


def check_task(recipe: TrainRecipe, task: str) -> None:
    """Raise an `OptionError` unless the loss of the recipe classifies (or regresses)."""
    loss = recipe.objective.loss
    if OBJECTIVES[loss].task != task:
        other = "it predicts numbers" if task == "classify" else "it predicts classes"
        hint = "use PromptRegressor" if task == "classify" else "use PromptClassifier"
        raise OptionError(f"the loss {loss} does not fit: {other}", hint=hint)


def validation_part(validation: Any, read: Callable[..., LabelledTexts], *, with_groups: bool = False) -> LabelledTexts:
    """Validation rows as they are given to `fit`: (X, y), or with groups (X, y, group)."""
    if not isinstance(validation, tuple | list) or len(validation) not in ((2, 3) if with_groups else (2,)):
        what = "neither a pair nor a triple" if with_groups else "not a pair"
        expected = "(X, y) or (X, y, group)" if with_groups else "(X, y)"
        raise DataError(f"validation is {what}", got=type(validation).__name__, expected=expected)
    X, y, *group = validation
    return read(X, y, VALIDATION, *group)


@dataclass(frozen=True)
class FitInputs:
    """What `fit` gets beside texts and labels: validation rows, groups, weights, and warnings known already."""

    validation: Any = None
    group: Any = None
    with_groups: bool = False
    warnings: tuple[str, ...] = ()
    weight: Any = None


def fit(estimator: Any, recipe: Recipe, X: Any, y: Any, inputs: FitInputs) -> Any:
    """Train, and give an estimator what it learns: model, figures, warnings (which are issued) and notes.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    method, read, groups = estimator._method, READERS[estimator._task], [inputs.group] * inputs.with_groups
    data = read(X, y, TRAINING, *groups, weight=inputs.weight)
    train, seed, notes = data.texts, recipe.loop.seed, tuple[str, ...]()
    known = (*inputs.warnings, *train.warnings, *check_labels(train))
    if inputs.validation is not None:
        validation = validation_part(inputs.validation, read, with_groups=inputs.with_groups).texts
    elif train.group is None:
        train, validation = hold_out(train, seed)
    else:
        train, validation, note = hold_out_whole(train, seed)
        notes = (note,)
    if data.classes is not None:
        estimator.classes_ = data.classes
    request = TrainingRequest(Splits(train, validation, None, notes), recipe, method, compare=False)
    result = run_training(request.with_number_format())
    estimator.model_, estimator.history_ = result.model, result.metrics
    estimator.validation_scores_ = result.scores["validation"]
    if result.race is not None:
        estimator.race_ = result.race
    estimator.groups_ = None if result.groups is None else result.groups.get("validation")
    estimator.warnings_ = tuple(dict.fromkeys((*known, *result.warnings, *ignored(method, recipe))))
    estimator.notes_ = (*result.notes, *gave_way(estimator._named(), recipe))
    warn(estimator.warnings_)
    return estimator
