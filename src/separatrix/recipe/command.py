"""A command that can be typed again, out of the options that a result was made with."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from separatrix.recipe.core import flag, record


def differing(recipe: Any, start: Any) -> dict[str, Any]:
    """The options of a nested recipe by name that another one of its class has otherwise.

    >>> from separatrix.recipe import TrainRecipe, replace
    >>> differing(replace(TrainRecipe(), tokens=5, lr=0.1), TrainRecipe())
    {'tokens': 5, 'lr': 0.1}
    """
    changed: dict[str, Any] = {}
    for spec in dataclasses.fields(recipe):
        value, before = getattr(recipe, spec.name), getattr(start, spec.name)
        if dataclasses.is_dataclass(value):
            changed |= differing(value, before)
        elif value != before:
            changed[spec.name] = value
    return changed


def command_line(
    words: Sequence[str], options: Mapping[str, Any], recipe: Any, plugins: Sequence[str] = ()
) -> str | None:
    """A command of `separatrix` as it is typed in a shell, or None where an option cannot be typed.

    Args:
        words: the command, and what stands behind it without a flag.
        options: by name, in this order. True is a flag alone; None, False and an empty list are defaults, which
            are not typed.
        recipe: says which options name paths, of which the names are shown: a path tells whose machine it was.
        plugins: modules that add to the options, each behind a flag of its own.

    >>> from separatrix.recipe import ModelRecipe
    >>> options = {"model": "/home/somebody/bert", "words": ("yes", "no thanks"), "lr": 1e-5, "refit": True}
    >>> command_line(["train", "q.csv"], options, ModelRecipe())
    "separatrix train q.csv --model bert --words yes 'no thanks' --lr 1e-05 --refit"
    """
    typed = ["separatrix", *words]
    for name, value in record(recipe, dict(options)).items():
        values = value if isinstance(value, list | tuple) else [value]
        if value is True:
            typed.append(flag(name))
        elif value is None or value is False or not values:
            return None
        elif str(values[0]).startswith("-"):
            typed += [f"{flag(name)}={one}" for one in values]
        else:
            typed += [flag(name), *map(str, values)]
    return shlex.join([*typed, *(word for module in plugins for word in ("--plugin", module))])
