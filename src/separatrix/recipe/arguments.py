"""Checks of the arguments of public functions: each is compared with its annotation before any work begins."""

from __future__ import annotations

import collections.abc
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from separatrix.errors import REFUSALS, OptionError, SeparatrixError, choose, system_refusal
from separatrix.recipe.core import shown

P = ParamSpec("P")
R = TypeVar("R")

_WORDS = {
    str: "a text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    NoneType: "None",
}
_NUMBERS = {int: "iu", float: "fiu", bool: "b"}  # kinds of NumPy's numbers that pass for Python's


def checks_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses what its annotations do not name, in one sentence; numbers of NumPy become Python's.

    What a name is imported for type checkers only, and `Any`, is for the function itself to check.

    >>> @checks_arguments
    ... def half(number: float, *, out: str | Path | None = None) -> float:
    ...     return number / 2
    >>> half(np.float32(3)), half(2, out="x")
    (1.5, 1.0)
    >>> half(1, out=5)
    Traceback (most recent call last):
        ...
    separatrix.errors.OptionError: half: out cannot be this: got 5, expected a text, a path or None
    >>> half(1, ouf="x")
    Traceback (most recent call last):
        ...
    separatrix.errors.OptionError: unknown argument of half: got 'ouf', expected one of number, out; did you mean 'out'?
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = _bind(function.__name__, signature, args, kwargs)
        kinds = _kinds(function)
        for name, value in bound.arguments.items():
            if signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = _plain(function.__name__, name, value, kinds[name])
        try:
            return function(*bound.args, **bound.kwargs)
        except OSError as error:
            if isinstance(error, SeparatrixError) or error.errno not in REFUSALS:
                raise
            raise system_refusal(error) from error

    return call


def _bind(name: str, signature: inspect.Signature, args: Any, kwargs: Any) -> inspect.BoundArguments:
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = [each for each in signature.parameters if each not in ("self", "cls")]
        for each in kwargs:
            if str(error).endswith(f"unexpected keyword argument {each!r}"):
                choose(each, known, f"argument of {name}")
        first = [each.name for each in signature.parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
        named = [f"{each}=..." for each in known if each not in first][:3]
        words = ", ".join([*(each for each in first if each in known), *named])
        raise OptionError(f"{name}: {error}", hint=f"write {name}({words})") from error


@dataclass(frozen=True)
class UnresolvedType:
    """A class that only type checkers import, by its name."""

    __name__: str


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """The types that each argument may be of."""
    scope = vars(inspect.getmodule(function))
    written = {name: str(function.__annotations__.get(name, "Any")) for name in inspect.signature(function).parameters}
    return {name: tuple(_resolve(part.strip(), scope) for part in _union(text)) for name, text in written.items()}


def _union(text: str) -> Iterator[str]:
    """The parts of an annotation, as it is written.

    >>> list(_union("str | Sequence[int | str] | None"))
    ['str ', ' Sequence[int | str] ', ' None']
    """
    depth, start = 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and not depth:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _resolve(text: str, scope: dict[str, Any]) -> Any:
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"it": text}), scope | {"Any": Any})["it"]
    except NameError:
        return UnresolvedType(text.partition("[")[0].rpartition(".")[2])


def _plain(function: str, name: str, value: Any, written: tuple[Any, ...]) -> Any:
    """The value, if it is of one of these kinds; numbers of NumPy as Python's, texts as paths where these are meant."""
    kinds = [one for kind in written for one in (get_args(kind) if isinstance(kind, UnionType) else (kind,))]
    for one in kinds:
        if _fits(value, one):
            if one in _NUMBERS and hasattr(value, "item"):
                return value.item()
            return Path(value) if one is Path and str not in kinds else value
    expected = [_words(one) for one in kinds]
    words = " or ".join(filter(None, [", ".join(expected[:-1]), expected[-1]]))
    raise OptionError(f"{function}: {name} cannot be this", got=shown(value), expected=words)


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if isinstance(kind, UnresolvedType):
        return any(base.__name__ == kind.__name__ for base in type(value).__mro__)
    if kind is Any or isinstance(kind, TypeVar) or kind is None:
        return kind is not None or value is None
    if kind in _NUMBERS:
        dtype = getattr(getattr(value, "dtype", None), "kind", None)
        same = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        return same or (dtype is not None and dtype in _NUMBERS[kind] and getattr(value, "shape", None) == ())
    if kind in (str, Path):
        path = os.fspath(value) if isinstance(value, os.PathLike) and kind is Path else value
        return isinstance(path, str) and "\0" not in path
    if origin is Sequence or origin in (tuple, list):
        listed = hasattr(value, "__len__") and hasattr(value, "__getitem__") and getattr(value, "shape", (1,)) != ()
        listed = listed and not isinstance(value, str | bytes | Mapping | type)
        if not listed or origin is not tuple or Ellipsis in get_args(kind):
            return listed  # what a list holds, its function checks
        return len(value) == len(get_args(kind)) and all(map(_fits, value, get_args(kind)))
    if origin is collections.abc.Callable:
        return callable(value)
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name in vars(kind) if not name.startswith("_"))
    return not isinstance(origin or kind, type) or isinstance(value, origin or kind)


def _words(kind: Any) -> str:
    """A type in words."""
    if kind in _WORDS:
        return _WORDS[kind]
    if get_origin(kind) is Sequence:
        return "a list"
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    return "a function" if name == "Callable" else name
