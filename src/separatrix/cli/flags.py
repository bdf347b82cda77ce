"""Flags out of dataclasses whose fields are `recipe.option`s; nothing about an option is written a second time.

`takes` gives a command the flags of the classes named. The command receives a `Said`: the options that were typed,
and only those, so that it can tell a default from a wish.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from cyclopts import Group, Parameter, Token

from separatrix.recipe import check, flag, option_names, part_of, replace

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Said:
    """The options typed on the command line, by field name.

    >>> from separatrix.recipe import TrainRecipe
    >>> said = Said({"tokens": 5})
    >>> said.recipe(TrainRecipe()).prompt.tokens, "lr" in said
    (5, False)
    """

    options: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.options

    def make(self, cls: type[T]) -> T:
        """An options class, filled with what was typed.

        Raises:
            OptionError: a value is outside its choices or limits.
        """
        names = {spec.name for spec in dataclasses.fields(cls)}  # type: ignore[arg-type]
        made = cls(**{name: value for name, value in self.options.items() if name in names})
        check(made)
        return made

    def recipe(self, start: R) -> R:
        """A recipe, changed by what was typed.

        Raises:
            OptionError: a value is outside its choices or limits.
        """
        names = set(option_names(start))
        return replace(start, **{name: value for name, value in self.options.items() if name in names})


Command = Callable[..., None]


def takes(*classes: type, only: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Give a command (whose first argument is a `Said`) the flags of these classes.

    Args:
        classes: dataclasses of options; of nested ones, each part becomes a panel of the help.
        only: names of the recipe options to offer; all if empty.
    """

    def dress(command: Command) -> Command:
        def call(*places: Any, **options: Any) -> None:
            command(Said(options), *places)

        hints = get_type_hints(command, include_extras=True)
        own = list(inspect.signature(command).parameters.values())[1:]
        places = [place.replace(annotation=hints[place.name]) for place in own]
        call.__signature__ = inspect.Signature([*places, *_parameters(classes, only)])  # type: ignore[attr-defined]
        call.__doc__, call.__name__, call.__module__ = command.__doc__, command.__name__, command.__module__
        return call

    return dress


def _parameters(classes: Sequence[type], only: Sequence[str]) -> Iterator[inspect.Parameter]:
    seen: set[str] = set()  # a name that two recipes have is one flag, in the panel of the first
    for place, cls in enumerate(_flat(classes)):
        panel = Group(_title(cls), sort_key=place)
        hints = get_type_hints(cls)
        for spec in dataclasses.fields(cls):
            offered = not only or not cls.__name__.endswith("Recipe") or spec.name in only
            if offered and spec.name not in seen:
                seen.add(spec.name)
                yield _parameter(spec, hints[spec.name], panel)


def _flat(classes: Sequence[type]) -> Iterator[type]:
    """Nested recipes taken apart into their parts."""
    for cls in classes:
        parts = [part for spec in dataclasses.fields(cls) if (part := part_of(spec))]
        yield from parts or [cls]


def _title(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


def _parameter(spec: dataclasses.Field[Any], kind: Any, panel: Group) -> inspect.Parameter:
    choices = spec.metadata["choices"]
    required = spec.default is dataclasses.MISSING
    settings: dict[str, Any] = {
        "name": flag(spec.name),
        "help": spec.metadata["text"] + _limits(spec.metadata["low"], spec.metadata["high"]),
        "group": panel,
        "negative": "",
        "consume_multiple": _is_list(kind),
        "show_default": not required and spec.default is not None and spec.default is not False,
    }
    if choices is not None:
        # Shown as choices, but checked by the recipe, which names the nearest one.
        kind, settings["converter"] = Literal[choices], _raw
    annotation = Annotated[kind, Parameter(**settings)]
    default = inspect.Parameter.empty if required else spec.default
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _raw(_kind: Any, tokens: Sequence[Token]) -> str:
    return tokens[0].value


def _is_list(kind: Any) -> bool:
    return any(getattr(part, "__origin__", part) is tuple for part in (kind, *get_args(kind)))


def _limits(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    return f" ({low:g} to {high:g})" if high is not None else f" ({low:g} or more)"
