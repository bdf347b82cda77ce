"""What every recipe can do: be checked, changed by name, written as canonical JSON, hashed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeVar

from separatrix.errors import OptionError, choose

R = TypeVar("R")


def option(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A recipe field with its help text and its limits (both ends included)."""
    return field(default=default, metadata={"text": text, "choices": choices, "low": low, "high": high})


def flag(name: str) -> str:
    """The spelling of a recipe field on the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.rstrip("_").replace("_", "-")  # a trailing line avoids Python's own words, as `with_`


def check(recipe: Any) -> None:
    """Raise an `OptionError` for the first field outside its choices or limits."""
    for spec in dataclasses.fields(recipe):
        value, meta = getattr(recipe, spec.name), spec.metadata
        if value is None or not meta:
            continue
        if meta["choices"] is not None:
            choose(value, meta["choices"], flag(spec.name))
        _check_limits(spec.name, value, meta["low"], meta["high"])


def _check_limits(name: str, value: Any, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # `not (low <= value)` also refuses NaN, which compares false with everything.
    if not number or (low is not None and not value >= low) or (high is not None and not value <= high):
        span = f"{low} to {high}" if high is not None else f"{low} or more"
        raise OptionError(f"{flag(name)} is out of range", got=repr(value), expected=f"a number, {span}")


def to_dict(recipe: Any) -> dict[str, Any]:
    """The recipe as plain nested dictionaries."""
    return dataclasses.asdict(recipe)


def from_dict(cls: type[R], values: Mapping[str, Any]) -> R:
    """Build a recipe from a plain dictionary; an unknown key is refused with the nearest name.

    >>> from separatrix.recipe import CentroidRecipe
    >>> from_dict(CentroidRecipe, {"mover": "ema"}).mover
    'ema'
    """
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]
    kept: dict[str, Any] = {}
    for name, value in values.items():
        choose(name, specs, f"option of {cls.__name__}")
        part = part_of(specs[name]) if isinstance(value, Mapping) else None
        kept[name] = from_dict(part, value) if part else value
    return cls(**kept)


def part_of(spec: dataclasses.Field[Any]) -> type | None:
    """The recipe class of a field that holds a recipe; None of a plain option.

    >>> from separatrix.recipe import TrainRecipe
    >>> [part_of(spec).__name__ for spec in dataclasses.fields(TrainRecipe)][:2]
    ['ModelRecipe', 'CacheRecipe']
    """
    return type(spec.default) if dataclasses.is_dataclass(spec.default) else None


def canonical(value: Any) -> str:
    """The one JSON text of a recipe or of plain data: sorted keys, no spaces, no NaN."""
    plain = to_dict(value) if dataclasses.is_dataclass(value) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*values: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the values does.

    >>> from separatrix.recipe import CentroidRecipe
    >>> digest(CentroidRecipe()) == digest(CentroidRecipe())
    True
    >>> digest(CentroidRecipe(every=2)) == digest(CentroidRecipe())
    False
    """
    text = "\n".join(canonical(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def replace(recipe: R, **changes: Any) -> R:
    """A copy with the named options changed, wherever in the nested recipe they stand.

    >>> from separatrix.recipe import TrainRecipe
    >>> replace(TrainRecipe(), tokens=5, lr=0.1).prompt.tokens
    5
    """
    specs = dataclasses.fields(recipe)  # type: ignore[arg-type]
    own = {spec.name for spec in specs}
    here = {name: value for name, value in changes.items() if name in own}
    rest = {name: value for name, value in changes.items() if name not in own}
    for part_name in [spec.name for spec in specs if part_of(spec)]:
        part = here.get(part_name, getattr(recipe, part_name))
        names = {spec.name for spec in dataclasses.fields(part)}
        inner = {name: rest.pop(name) for name in list(rest) if name in names}
        if inner:
            here[part_name] = dataclasses.replace(part, **inner)
    for name in rest:
        choose(name, option_names(recipe), "option")
    return dataclasses.replace(recipe, **here)  # type: ignore[type-var]


def option_names(recipe: Any) -> list[str]:
    """Every option of a nested recipe by its own name."""
    names: list[str] = []
    for spec in dataclasses.fields(recipe):
        part = getattr(recipe, spec.name)
        names += option_names(part) if dataclasses.is_dataclass(part) else [spec.name]
    return names
