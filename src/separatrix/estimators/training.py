"""What `fit` does: arguments to a recipe, rows held out, a training, and its figures as attributes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, SeparatrixWarning
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.trained.frozen_heads import FEWEST_ROWS, HELD_OUT
from separatrix.recipe import TrainRecipe
from separatrix.texts import Splits, Texts
from separatrix.training.methods import METHODS
from separatrix.training.request import Recipe, TrainingRequest
from separatrix.training.run import run_training

R = TypeVar("R")

FEWEST_GROUPS = 5  # one whole group of fewer is too much of the data, and the choice would be that group's


def whole_recipe(named: Mapping[str, Any], rest: R | None, kind: type[R]) -> tuple[R, tuple[str, ...]]:
    """The recipe that the named arguments and `recipe` make together, and where they disagree.

    A named argument at its default says nothing, so that a whole `recipe` can be given by itself. One with another
    value wins. A `recipe` that asks for something else than the default is then reported: nothing that was asked for
    is dropped in silence.

    Raises:
        OptionError: an option is out of range, or `rest` is not of the kind wanted (a `TrainRecipe`, say).

    >>> made, said = whole_recipe({"tokens": 4}, recipes.replace(TrainRecipe(), tokens=20, warmup=0.2), TrainRecipe)
    >>> made.prompt.tokens, made.loop.warmup, said
    (4, 0.2, ('recipe says tokens=20, but the argument tokens=4 wins',))
    >>> made, said = whole_recipe({"tokens": 8}, recipes.replace(TrainRecipe(), tokens=20), TrainRecipe)
    >>> made.prompt.tokens, said
    (20, ())
    """
    if rest is not None and not isinstance(rest, kind):
        raise OptionError("recipe is not a recipe", got=type(rest).__name__, expected=f"a {kind.__name__} or None")
    base = kind() if rest is None else rest
    stated, defaults = flat(base), flat(kind())
    given = {name: plain(value) for name, value in named.items() if plain(value) != defaults[name]}
    said = tuple(
        f"recipe says {name}={stated[name]!r}, but the argument {name}={value!r} wins"
        for name, value in given.items()
        if stated[name] not in (defaults[name], value)
    )
    return recipes.replace(base, **given), said


def gave_way(named: Mapping[str, Any], made: Any) -> tuple[str, ...]:
    """What is to be said of arguments at their default that gave way to the recipe.

    >>> gave_way({"tokens": 8, "lr": 0.03}, recipes.replace(TrainRecipe(), tokens=20))
    ('recipe says tokens=20, which holds: the argument tokens is at its default',)
    """
    held = flat(made)
    return tuple(
        f"recipe says {name}={held[name]!r}, which holds: the argument {name} is at its default"
        for name, value in named.items()
        if held[name] != plain(value)
    )


def ignored(method: str, made: Recipe) -> tuple[str, ...]:
    """What is to be said of options that were set, but change nothing beside the others.

    >>> ignored("prompt", recipes.replace(TrainRecipe(), rate=0.2))
    ('rate=0.2 has no effect here: it needs mover ema|momentum',)
    """
    held, defaults = flat(made), flat(type(made)())
    changed = [name for name, value in held.items() if value != defaults[name]]
    return tuple(
        f"{name}={held[name]!r} has no effect here: it needs {words.replace('--', '')}"
        for name, words in METHODS[method].idle(made, changed)
    )


def plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, paths as text."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


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


def hold_out(table: Texts, seed: int) -> tuple[Texts, Texts]:
    """Training and validation rows: a seeded tenth is held out, stratified by class.

    Raises:
        DataError: too few rows.
    """
    if len(table) < FEWEST_ROWS:
        raise DataError(
            f"{table.source}: too few rows to hold a tenth out for validation",
            got=len(table),
            expected=f"{FEWEST_ROWS} or more",
            hint="give them yourself with validation=(X, y)",
        )
    return table.split(HELD_OUT, seed)


def hold_out_whole(table: Texts, seed: int) -> tuple[Texts, Texts, str]:
    """Training and validation rows of texts with groups, and how they were parted, in words.

    Validation has whole groups where there are five or more: what shall hold for new groups is chosen on new groups.
    Where that would leave it a single class, or less than half of a tenth, it is a tenth stratified by class.

    Raises:
        DataError: too few rows.

    >>> table = Texts.of([f"row {n}" for n in range(40)], ["a", "b"] * 20, [f"p{n // 4}" for n in range(40)])
    >>> rows, held, said = hold_out_whole(table, seed=0)
    >>> set(rows.group) & set(held.group), said
    (set(), 'validation: whole groups were held out (1 of 10)')
    """
    assert table.group is not None
    rows, held = hold_out(table, seed)
    groups, why = len(set(table.group.tolist())), f"fewer than {FEWEST_GROUPS} groups"
    if groups >= FEWEST_GROUPS:
        why = "whole groups would have given too few rows, or one class"
        with suppress(DataError):  # each group holds all rows of some class
            left, whole = table.split(HELD_OUT, seed, by="group")
            assert whole.label is not None
            assert whole.group is not None
            if 2 * len(whole) >= HELD_OUT * len(table) and len(set(whole.label.tolist())) > 1:
                new = len(set(whole.group.tolist()))
                return left, whole, f"validation: whole groups were held out ({new} of {groups})"
    return rows, held, f"validation: a tenth of the rows was held out, stratified by class ({why})"


def fit(estimator: Any, method: str, recipe: Recipe, splits: Splits, said: Sequence[str]) -> None:
    """Train on the splits, and give an estimator what it learns: model, figures, warnings (which are issued) and notes.

    Args:
        estimator: whose attributes are set.
        method: a key of `METHODS`.
        recipe: all options.
        splits: training and validation rows; nothing is written.
        said: warnings that are known already.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    named = {name: value for name, value in estimator.get_params(deep=False).items() if name != "recipe"}
    result = run_training(TrainingRequest(splits, recipe, method, compare=False))
    estimator.model_, estimator.history_ = result.model, result.metrics
    estimator.validation_scores_ = result.scores["validation"]
    estimator.groups_ = None if result.groups is None else result.groups.get("validation")
    found = (*said, *result.warnings, *ignored(method, recipe))
    estimator.warnings_ = tuple(dict.fromkeys(found))
    estimator.notes_ = (*result.notes, *gave_way(named, recipe))
    for line in estimator.warnings_:
        warnings.warn(line, SeparatrixWarning, stacklevel=3)
