"""Flags out of dataclasses whose fields are `recipe.option`s; nothing about an option is written a second time.

`takes` gives a command the flags of the classes named. The command receives a `ParsedOptions`: the options
that were typed, and only those, so that it can tell a default from a wish.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from cyclopts import Group, Parameter, Token

from separatrix.recipe import check, flag, option_names, part_of, replace
from separatrix.threads import set_threads

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ParsedOptions:
    """The options typed on the command line, by field name.

    >>> from separatrix.recipe import TrainRecipe
    >>> parsed = ParsedOptions({"tokens": 5})
    >>> parsed.recipe(TrainRecipe()).prompt.tokens, "lr" in parsed
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


def takes(
    *classes: type, only: Sequence[str] = (), beside: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Give a command (whose first argument is a `ParsedOptions`) the flags of these classes.

    Args:
        classes: dataclasses of options; of nested ones, each part becomes a panel of the help.
        only: names of the recipe options to offer; all if empty.
        beside: recipes of other methods by the name of the method. Where an option has another text, other choices or
            another default in them, the help of its flag says so.
    """
    others = {method: dict(_options(recipe)) for method, recipe in (beside or {}).items()}

    def dress(command: Command) -> Command:
        def call(*places: Any, **options: Any) -> None:
            set_threads(options.get("threads"))  # before the command loads PyTorch
            command(ParsedOptions(options), *places)

        hints = get_type_hints(command, include_extras=True)
        own = list(inspect.signature(command).parameters.values())[1:]
        places = [place.replace(annotation=hints[place.name]) for place in own]
        flags = _parameters(classes, only, others)
        call.__signature__ = inspect.Signature([*places, *flags])  # type: ignore[attr-defined]
        call.__doc__, call.__name__, call.__module__ = command.__doc__, command.__name__, command.__module__
        return call

    return dress


@dataclass(frozen=True)
class _Option:
    """An option as one method has it."""

    text: str
    choices: Collection[str] | None
    default: Any


def _options(recipe: Any) -> Iterator[tuple[str, _Option]]:
    """The options of a nested recipe, by name."""
    for spec in dataclasses.fields(recipe):
        value = getattr(recipe, spec.name)
        if part_of(spec):
            yield from _options(value)
        else:
            yield spec.name, _Option(spec.metadata["text"], spec.metadata["choices"], value)


def _parameters(
    classes: Sequence[type], only: Sequence[str], others: Mapping[str, Mapping[str, _Option]]
) -> Iterator[inspect.Parameter]:
    seen: set[str] = set()  # a name that two recipes have is one flag, in the panel of the first
    for place, cls in enumerate(_flat(classes)):
        panel = Group(_title(cls), sort_key=place)
        hints = get_type_hints(cls)
        for spec in dataclasses.fields(cls):
            offered = not only or not cls.__name__.endswith("Recipe") or spec.name in only
            if offered and spec.name not in seen:
                seen.add(spec.name)
                also = {method: options[spec.name] for method, options in others.items() if spec.name in options}
                yield _parameter(spec, hints[spec.name], panel, also)


def _flat(classes: Sequence[type]) -> Iterator[type]:
    """Nested recipes taken apart into their parts."""
    for cls in classes:
        parts = [part for spec in dataclasses.fields(cls) if (part := part_of(spec))]
        yield from parts or [cls]


def _title(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


def _parameter(spec: dataclasses.Field[Any], kind: Any, panel: Group, also: Mapping[str, _Option]) -> inspect.Parameter:
    required = spec.default is dataclasses.MISSING
    own = _Option(spec.metadata["text"], spec.metadata["choices"], spec.default)
    settings: dict[str, Any] = {
        "name": flag(spec.name),
        "help": _text(own, also) + _limits(spec.metadata["low"], spec.metadata["high"]),
        "group": panel,
        "negative": "",
        "consume_multiple": _is_list(kind),
        "show_default": _defaults(own, also)
        or (not required and spec.default is not None and spec.default is not False),
    }
    if own.choices is not None:
        # Shown as choices, but checked by the recipe, which names the nearest one.
        every = dict.fromkeys((*own.choices, *(name for other in also.values() for name in other.choices or ())))
        kind, settings["converter"] = Literal[tuple(every)], _raw
    annotation = Annotated[kind, Parameter(**settings)]
    default = inspect.Parameter.empty if required else spec.default
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _text(own: _Option, also: Mapping[str, _Option]) -> str:
    """What the option does, and what it does with other methods (those with one recipe say it once)."""
    texts: dict[str, str] = {}
    for method, other in also.items():
        if other.text != own.text:
            texts.setdefault(other.text, f"; {method}: {other.text}")
        if other.choices is not None and other.choices != own.choices:
            names = ", ".join(other.choices)
            texts.setdefault(names, f"; {method} takes {names}")
    return own.text + "".join(texts.values())


def _defaults(own: _Option, also: Mapping[str, _Option]) -> str | None:
    """All defaults, if methods differ in them."""
    methods: dict[Any, list[str]] = {}
    for method, other in also.items():
        if other.default != own.default:
            methods.setdefault(other.default, []).append(method)
    if not methods:
        return None
    texts = [f"{', '.join(names)}: {default}" for default, names in methods.items()]
    return "; ".join(texts if own.default is None else [str(own.default), *texts])


def _raw(_kind: Any, tokens: Sequence[Token]) -> str:
    return tokens[0].value


def _is_list(kind: Any) -> bool:
    return any(getattr(part, "__origin__", part) is tuple for part in (kind, *get_args(kind)))


def _limits(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    return f" ({low:g} to {high:g})" if high is not None else f" ({low:g} or more)"
