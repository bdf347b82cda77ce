"""Commands out of functions, and flags out of dataclasses whose fields are `recipe.option`s: nothing about an option
is written a second time.

`verb` gives a function the flags of the classes named. The function receives the options that were typed, and only
those, so that it can tell a default from what was typed; what it returns is printed.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from cyclopts import Group, Parameter, Token

from separatrix.cli.mistakes import mendable
from separatrix.cli.options import Figures, Output, Verification
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout, show
from separatrix.errors import OptionError, choose
from separatrix.figures import FORMATS, figures
from separatrix.recipe import check, flag, option_names, part_of, replace
from separatrix.threads import set_threads

T = TypeVar("T")
R = TypeVar("R")

_TINY = 1e-5  # limits below stand for "not 0"
PERIPHERAL = {
    spec.name for cls in (Output, Verification, Figures) for spec in dataclasses.fields(cls)
}  # no verb has these


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
        options = cls(**self.of(spec.name for spec in dataclasses.fields(cls)))  # type: ignore[arg-type]
        check(options)
        return options

    def recipe(self, start: R) -> R:
        """A recipe, changed by what was typed. Raises `OptionError`: a value is outside its choices or limits."""
        return replace(start, **self.of(option_names(start)))

    def of(self, names: Iterator[str] | Sequence[str]) -> dict[str, Any]:
        """Those of these names that were typed."""
        return {name: self.options[name] for name in names if name in self.options}

    def keywords(self, *left_out: str) -> dict[str, Any]:
        """What was typed as keywords of a verb, without options that only the command line has."""
        return {name: value for name, value in self.options.items() if name not in PERIPHERAL | {*left_out}}

    @property
    def verify(self) -> bool:
        """Whether hashes are compared."""
        return not self.options.get("no_verify", False)


@dataclass(frozen=True)
class Flags:
    """Which flags a command has."""

    classes: tuple[type, ...]  # dataclasses of options; of nested ones, each part becomes a panel of the help
    only: tuple[str, ...] = ()  # names of the recipe options to offer; all if empty
    main: tuple[str, ...] = ()  # the options that the short help shows; all if empty
    # Recipes by the name of the method. Where an option has another text, other choices or another default in
    # them, the help of its flag says so. `main` is then of the default method.
    methods: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    main_of: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)  # the same of each method

    def parameters(self, method: str | None = None) -> list[inspect.Parameter]:
        """The flags; of one method, those that it has, as it has them."""
        others = {name: dict(_options(recipe)) for name, recipe in self.methods.items()}
        every = {name for options in others.values() for name in options}
        own = others.get(method or "")
        parameters, names = [], set[str]()  # a name that two recipes have is one flag, in the panel of the first
        for number, cls in enumerate(_flat(self.classes)):
            panel, hints = Group(panel_title(cls), sort_key=number), get_type_hints(cls)
            for spec in dataclasses.fields(cls):
                name = spec.name
                offered = not self.only or not cls.__name__.endswith("Recipe") or name in self.only
                if not offered or name in names or (own is not None and name in every and name not in own):
                    continue
                names.add(name)
                also = {one: options[name] for one, options in others.items() if name in options}
                known = OptionHelp.of(spec)
                if name == "method" and self.methods:
                    known = dataclasses.replace(known, choices=tuple(self.methods))
                if own is not None:
                    known, also = own.get(name, known), {}
                parameters.append(_parameter(spec, hints[name], panel, known, also))
        return parameters

    def short(self, method: str | None) -> tuple[str, ...]:
        """The options that the short help shows."""
        return self.main_of.get(method or "", self.main)


@dataclass(frozen=True)
class OptionHelp:
    """What the help says of an option, as one method has it."""

    text: str
    choices: Collection[str] | None
    default: Any
    limits: str = ""

    @classmethod
    def of(cls, spec: dataclasses.Field[Any], value: Any = dataclasses.MISSING) -> OptionHelp:
        """Of a field with its default, or another one."""
        data = spec.metadata
        default = spec.default if value is dataclasses.MISSING else value
        return cls(data["text"], data["choices"], default, _limits(data["low"], data["high"]))


def verb(
    *classes: type, main: str = "", main_of: Mapping[str, str] | None = None, **flags: Any
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a command of a function: it gets `ParsedOptions`, a `TerminalProgress` and the arguments.

    Args:
        classes: dataclasses of options beside those of the output, which all commands have.
        main: names of the options that the short help shows, `main_of` of each method, with spaces between.
        flags: further fields of `Flags`.
    """
    shown = {method: tuple(names.split()) for method, names in (main_of or {}).items()}
    offered = Flags((*classes, Output), main=tuple(main.split()), main_of=shown, **flags)

    def dress(function: Callable[..., Any]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            set_threads(options.get("threads"))  # before the command loads PyTorch
            parsed = ParsedOptions(options)
            output = parsed.make(Output)
            for cls in () if offered.methods or offered.only else classes:
                if cls.__name__.endswith("Recipe"):
                    parsed.recipe(cls())  # refuses what is wrong before any work
            if "figures" in options and options.get("out") is None and function.__name__ != "report":
                raise OptionError("--figures has no effect without --out", hint="add --out FOLDER")
            drawn = figures(choose(options.get("figures", FORMATS[0]), FORMATS, "--figures"))
            with TerminalProgress(quiet=output.quiet) as progress, mendable(), drawn:
                result: Printout | Any = function(parsed, progress, *arguments)
            show(result, progress, as_json=output.json)

        hints = get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[2:]
        arguments = [argument.replace(annotation=hints[argument.name]) for argument in own]
        call.__doc__, call.__name__, call.__module__ = function.__doc__, function.__name__, function.__module__
        call.flags, call.arguments = offered, arguments  # type: ignore[attr-defined]
        call.__signature__ = inspect.Signature([*arguments, *offered.parameters()])  # type: ignore[attr-defined]
        return call

    return dress


def with_help(command: Callable[..., None], name: str, words: Sequence[str]) -> tuple[Callable[..., None], str]:
    """A command as its help is to show it, and a last line: the main options, or with `--help-all` every one.

    With `--method`, of commands whose methods differ, only the options of that method.
    """
    offered: Flags = command.flags  # type: ignore[attr-defined]
    method = _method(words) if offered.methods else None
    if method is not None:
        choose(method, offered.methods, "--method")
    parameters = offered.parameters(method)
    main = offered.short(method)
    every = HELP_ALL in words or not main
    shown = [one for one in parameters if every or one.name in main or one.default is inspect.Parameter.empty]

    def shell() -> None:
        """Stands for the command."""

    shell.__signature__ = inspect.Signature([*command.arguments, *shown])  # type: ignore[attr-defined]
    hidden, of_method = len(parameters) - len(shown), f" --method {method}" if method else ""
    more = f"{hidden} more options: separatrix {name}{of_method} {HELP_ALL}" if hidden else ""
    return shell, more


HELP_ALL = "--help-all"


def _method(words: Sequence[str]) -> str | None:
    typed = " ".join(words).replace("--method=", "--method ").split()
    return next((word for before, word in pairwise(typed) if before == "--method"), None)


def _options(recipe: Any) -> Iterator[tuple[str, OptionHelp]]:
    """The options of a nested recipe, by name."""
    for spec in dataclasses.fields(recipe):
        value = getattr(recipe, spec.name)
        if part_of(spec):
            yield from _options(value)
        else:
            yield spec.name, OptionHelp.of(spec, value)


def _flat(classes: Sequence[type]) -> Iterator[type]:
    """Nested recipes taken apart into their parts."""
    for cls in classes:
        parts = [part for spec in dataclasses.fields(cls) if (part := part_of(spec))]
        yield from parts or [cls]


def panel_title(cls: type) -> str:
    """The heading of a class's options: the first line of its docstring."""
    return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


def _parameter(
    spec: dataclasses.Field[Any],
    kind: Any,
    panel: Group,
    own: OptionHelp,
    also: Mapping[str, OptionHelp],
) -> inspect.Parameter:
    required = spec.default is dataclasses.MISSING
    settings: dict[str, Any] = {
        "name": flag(spec.name),
        "help": _text(own, also) + own.limits,
        "group": panel,
        "negative": "",
        "consume_multiple": _is_list(kind),
        "show_default": _defaults(own, also),
    }
    if own.choices is not None:
        # Shown as choices, but checked by the recipe, which names the nearest one.
        every = dict.fromkeys((*own.choices, *(name for other in also.values() for name in other.choices or ())))
        one: Any = Literal[tuple(every)]
        kind, settings["converter"] = (tuple[one, ...], _raw_list) if _is_list(kind) else (one, _raw)
    annotation = Annotated[kind, Parameter(**settings)]
    default = inspect.Parameter.empty if required else own.default
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _text(own: OptionHelp, also: Mapping[str, OptionHelp]) -> str:
    """What the option does, and what it does with other methods (those with one recipe say it once)."""
    texts: dict[str, str] = {}
    for method, other in also.items():
        if other.text != own.text:
            texts.setdefault(other.text, f"; {method}: {other.text}")
        if other.choices is not None and other.choices != own.choices:
            names = ", ".join(other.choices)
            texts.setdefault(names, f"; {method} takes {names}")
    return own.text + "".join(texts.values())


def _defaults(own: OptionHelp, also: Mapping[str, OptionHelp]) -> str | bool:
    """All defaults, if methods differ in them; False where there is none to show."""
    methods: dict[Any, list[str]] = {}
    for method, other in also.items():
        if other.default != own.default:
            methods.setdefault(other.default, []).append(method)
    texts = [f"{', '.join(names)}: {_shown(default)}" for default, names in methods.items()]
    return "; ".join([*filter(None, [_shown(own.default)]), *texts]) or False


def _shown(default: Any) -> str:
    """A default as it would be typed; nothing where it says nothing."""
    if default is None or default is False or default is dataclasses.MISSING:
        return ""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _raw(_kind: Any, tokens: Sequence[Token]) -> str:
    return tokens[0].value


def _raw_list(_kind: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.value for token in tokens)


def _is_list(kind: Any) -> bool:
    return any(getattr(part, "__origin__", part) is tuple for part in (kind, *get_args(kind)))


def _limits(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    if 0 < low < _TINY:
        return " (above 0)" if high is None else f" (above 0, {_plain(high)} at most)"
    return f" ({_plain(low)} or more)" if high is None else f" ({_plain(low)} to {_plain(high)})"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1e6 else f"{number:g}"
