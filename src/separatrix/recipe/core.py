"""What every recipe can do: be checked, changed by name, written as canonical JSON, hashed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from separatrix.errors import OptionError, choose, public_name

R = TypeVar("R")
_hints = cache(get_type_hints)  # the types of the fields of a recipe
MOST_SHUFFLES = 1_000_000  # of a null, or of a bootstrap: each keeps a number or more
PERMISSION = "trust_remote_code"  # the option that data cannot set


def option(
    default: Any,
    text: str,
    *,
    choices: Collection[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    affects_result: bool = True,
    names_path: bool = False,
    earlier: Mapping[str, str] | None = None,
    earlier_name: str | None = None,
    later: bool = False,
) -> Any:
    """A recipe field with its help text, its limits (both ends included), and whether the result depends on it.

    `names_path`: its texts may be paths of this machine, which `record` leaves out.
    `earlier` maps names that choices once had to those of today, and `earlier_name` is one that the option once had:
    recipes that were written then are still read.
    `later`: it came when there were results already, and its default keeps what was done without it. At the default it
    is not part of what `decisive` gives, so that results of before are those of the same recipe today.
    """
    limits = {"choices": choices, "low": low, "high": high}
    more = {
        "affects_result": affects_result,
        "names_path": names_path,
        "earlier": earlier or {},
        "earlier_name": earlier_name,
        "later": later,
    }
    return field(default=default, metadata={"text": text, **limits, **more})


def flag(name: str) -> str:
    """The spelling of a recipe field on the command line.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.rstrip("_").replace("_", "-")  # a trailing line avoids Python's own words, as `with_`


@dataclass_transform(frozen_default=True)
def recipe_class(cls: type[R]) -> type[R]:
    """A frozen dataclass whose fields are checked when it is made; `__post_init__` checks what lies between them."""
    further = cls.__dict__.get("__post_init__")

    def check_all(recipe: Any) -> None:
        check(recipe)
        if further is not None:
            further(recipe)

    cls.__post_init__ = check_all  # type: ignore[attr-defined]
    return dataclass(frozen=True)(cls)


def check(recipe: Any) -> None:
    """Check every field of a recipe, and give it its plain form (see `checked`).

    Raises:
        OptionError: for the first field of another type, that is not finite, or outside its choices or limits.
    """
    hints = _hints(type(recipe))  # type: ignore[arg-type]
    for spec in dataclasses.fields(recipe):
        value, part = getattr(recipe, spec.name), part_of(spec)
        if part is not None and not isinstance(value, part):
            raise OptionError(f"{spec.name} is not a recipe", got=shown(value), expected=f"a {part.__name__}")
        if part is None and spec.metadata:
            limits = {name: spec.metadata[name] for name in ("choices", "low", "high")}
            value = spec.metadata["earlier"].get(value, value) if isinstance(value, str) else value
            object.__setattr__(recipe, spec.name, checked(spec.name, value, hints[spec.name], **limits))


def checked(
    name: str,
    value: Any,
    kind: Any,
    *,
    choices: Collection[str] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """The value of an option in its plain form: Python's own numbers, paths as text, lists as tuples.

    Args:
        name: of the option, as a field of a recipe.
        value: what was given.
        kind: its type: bool, int, float, str, Path, a tuple of these of any length, or a union of them. A single value
            stands for a tuple of one.
        choices: all texts that it may be.
        low: smallest number; of a tuple, of each of its numbers.
        high: largest number. Every number is finite, and has a largest one: `LARGEST` of its type without this.

    Raises:
        OptionError: the value is of another type, or outside its choices or limits.

    >>> checked("k", 3, int | None, low=1), checked("pool", ["mean"], tuple[str, ...])
    (3, ('mean',))
    >>> checked("lr", float("inf"), float, low=0)
    Traceback (most recent call last):
        ...
    separatrix.errors.OptionError: --lr is out of range: got inf, expected a number, 0 to 1e+16
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    rule = _Rule(flag(name), tuple(one for one in kinds if one is not NoneType), choices, low, high)
    value = value.tolist() if hasattr(value, "tolist") else value  # of NumPy, pandas and torch
    if get_origin(rule.kinds[0]) is not tuple:
        return rule.plain(value)
    rule = dataclasses.replace(rule, kinds=_members(rule.kinds[0]))
    return tuple(map(rule.plain, value if isinstance(value, list | tuple) else (value,)))


# Largest number of an option without a limit of its own. Whole numbers: what every library takes as a seed or a count.
LARGEST = {int: 2**31 - 1, float: 1e16}
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


@dataclass(frozen=True)
class _Rule:
    """What one value of an option may be."""

    spelling: str
    kinds: tuple[type, ...]
    choices: Collection[str] | None
    low: float | None
    high: float | None

    def plain(self, value: Any) -> Any:
        """The value in its plain form."""
        if isinstance(value, os.PathLike) and (str in self.kinds or Path in self.kinds):
            value = os.fspath(value)
        if isinstance(value, bool):
            return value if bool in self.kinds else self._refuse(value)
        if isinstance(value, int) and int in self.kinds:
            return value if self._holds(value, int) else self._refuse(value)
        if isinstance(value, int | float) and float in self.kinds:
            return value if self._holds(value, float) else self._refuse(value)
        if isinstance(value, str) and "\0" not in value and (str in self.kinds or Path in self.kinds):
            if self.choices is not None and value not in self.choices:
                choose(value, self.choices, self.spelling)
            return str(value) if str in self.kinds else Path(value)
        return self._refuse(value)

    def _holds(self, value: float, kind: type) -> bool:
        low = -LARGEST[kind] if self.low is None else self.low
        return low <= value <= (LARGEST[kind] if self.high is None else self.high)  # false for NaN

    def _refuse(self, value: Any) -> NoReturn:
        expected = tuple(self.choices or ()) or tuple(_WORDS[kind] for kind in self.kinds)
        number = next((kind for kind in self.kinds if kind in LARGEST), None)
        words = " or ".join(expected)
        if number is None:
            raise OptionError(f"{self.spelling} cannot be this", got=shown(value), expected=words)
        low, high = self.low, self.high
        if high is None and not (isinstance(value, int | float) and low is not None and value < low):
            low, high = -LARGEST[number] if low is None else low, LARGEST[number]
        span = f"{low} or more" if high is None else f"{low} to {high}"
        raise OptionError(f"{self.spelling} is out of range", got=shown(value), expected=f"{words}, {span}")


def _members(kind: Any) -> tuple[type, ...]:
    """The types in a tuple of any length."""
    inner = get_args(kind)[0]
    return get_args(inner) if isinstance(inner, UnionType) else (inner,)


def shown(value: Any) -> str:
    """A value as it is written, on one line and cut to a length that can be read; of other things, their type."""
    if not isinstance(value, str | bytes | int | float | complex | list | tuple | dict | set | os.PathLike | None):
        return f"a {type(value).__name__}" if not isinstance(value, type) else f"the class {value.__name__}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of more than 4,300 digits, or what a list holds
        return "a number of more digits than can be written" if isinstance(value, int) else type(value).__name__
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


SHOWN = 60  # characters of a wrong value


def to_dict(recipe: Any) -> dict[str, Any]:
    """The recipe as plain nested dictionaries."""
    return dataclasses.asdict(recipe)


def record(recipe: Any, values: Any = None) -> dict[str, Any]:
    """The recipe as folders keep it, plain: models and files by their names, since a path tells whose machine it was.

    Args:
        recipe: whose fields say which options name paths.
        values: plain data that hold such a recipe, to be used in place of its own.

    >>> from separatrix.recipe import ModelRecipe
    >>> record(ModelRecipe(model="/home/somebody/bert"))["model"]
    'bert'
    """
    paths = {spec.name for spec in _fields(recipe) if spec.metadata.get("names_path")}

    def name(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {inner: name(inner, part) for inner, part in value.items()}
        if isinstance(value, list | tuple):
            return [name(key, part) for part in value]
        return public_name(value) if key in paths and isinstance(value, str) else value

    result: dict[str, Any] = name("", to_dict(recipe) if values is None else values)
    return result


def plain(value: Any) -> Any:
    """Nested results as JSON takes them: recipes and results as mappings, arrays and tuples as lists.

    >>> import numpy as np
    >>> plain({"interval": (0.1, np.float64(0.2)), "counts": np.eye(2, dtype=int)})
    {'interval': [0.1, 0.2], 'counts': [[1, 0], [0, 1]]}
    """
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return plain(to_dict(value))
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value  # NumPy's arrays and numbers


class Plain:
    """For a dataclass of figures: `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: plain(value) for name, value in vars(self).items()}


def decisive(recipe: Any, values: Any = None) -> Any:
    """The options on which the result depends, as plain nested dictionaries: what hashes and comparisons are made of.

    Options that came later are left out at their default (see `option`), and names are those of today: a recipe of an
    earlier version gives the same as today's of the same training.

    Args:
        recipe: whose fields say which these are.
        values: plain data that hold such a recipe, to be used in place of its own.

    >>> from separatrix.recipe import LoopRecipe
    >>> decisive(LoopRecipe(checkpoint_seconds=5)) == decisive(LoopRecipe(checkpoint_seconds=90))
    True
    """
    specs = {spec.name: spec for spec in _fields(recipe)}
    left_out = {name for name, spec in specs.items() if not spec.metadata["affects_result"]}
    today = earlier_names(recipe)

    def strip(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            named = {str(today.get(inner, inner)): part for inner, part in value.items() if inner not in left_out}
            return {inner: strip(inner, part) for inner, part in named.items()}
        earlier = specs[name].metadata["earlier"] if name in specs else {}
        return earlier.get(value, value) if isinstance(value, str) else value

    return without_later(strip("", to_dict(recipe) if values is None else values), recipe)


def without_later(values: Any, *recipes: Any) -> Any:
    """Plain data without the options that came later and stand at their default: as an earlier version wrote them.

    Args:
        values: plain data that hold recipes, or parts of them, at any depth.
        recipes: whose fields say which options came later, and what their defaults are.

    >>> from separatrix.recipe import TrainRecipe
    >>> without_later({"max_length": 64, "depth": None, "evaluation": {"order": None}}, TrainRecipe)
    {'max_length': 64}
    """
    later = {spec.name: spec.default for recipe in recipes for spec in _fields(recipe) if spec.metadata.get("later")}

    def strip(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [strip(part) for part in value]
        if not isinstance(value, Mapping):
            return value
        parts = {name: (part, strip(part)) for name, part in value.items() if name not in later or part != later[name]}
        return {name: stripped for name, (part, stripped) in parts.items() if stripped != {} or part == {}}

    return strip(values)


def from_dict(cls: type[R], values: Mapping[str, Any], *, trust_remote_code: bool = False) -> R:
    """Build a recipe from a plain dictionary; an unknown key is refused with the nearest name.

    Args:
        cls: the recipe's class.
        values: option -> value.
        trust_remote_code: whether code that a model brings may run. What the dictionary says of it is ignored: it
            may come from somebody else.

    >>> from separatrix.recipe import CentroidRecipe, ModelRecipe
    >>> from_dict(CentroidRecipe, {"mover": "ema"}).mover
    'ema'
    >>> from_dict(ModelRecipe, {"model": "theirs", "trust_remote_code": True}).trust_remote_code
    False
    """
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]
    today, chosen = earlier_names(cls), dict[str, Any]()
    for name, value in values.items():
        name = today.get(name, name)
        choose(name, specs, f"option of {cls.__name__}")
        part = part_of(specs[name]) if isinstance(value, Mapping) else None
        chosen[name] = from_dict(part, value, trust_remote_code=trust_remote_code) if part else value
    if PERMISSION in specs:
        chosen[PERMISSION] = trust_remote_code
    return cls(**chosen)


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
    return [spec.name for spec in _fields(recipe)]


def earlier_names(recipe: Any) -> dict[str, str]:
    """Names that options of a recipe, or of its class, once had -> those of today.

    >>> from separatrix.recipe import TrainRecipe
    >>> earlier_names(TrainRecipe)
    {'layers': 'prompt_layers'}
    """
    return {name: spec.name for spec in _fields(recipe) if (name := spec.metadata.get("earlier_name"))}


def _fields(recipe: Any) -> Iterator[dataclasses.Field[Any]]:
    """The fields of every option of a nested recipe."""
    for spec in dataclasses.fields(recipe):
        part = getattr(recipe, spec.name)
        if dataclasses.is_dataclass(part):
            yield from _fields(part)
        else:
            yield spec
