"""The training methods by name: one file and one entry each.

A new method is a file with a `TrainingMethod` and an entry here, or in a module of your own (`--plugin`):

    METHODS["mine"] = TrainingMethod(recipe, train, idle)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from separatrix.errors import OptionError
from separatrix.recipe import flag, option_names, replace
from separatrix.recipe.registry import Registry
from separatrix.store.files import read_json
from separatrix.training.methods import align, answers, auto, finetune, peft, probe, prompt
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import METHOD_NAMES, Recipe

__all__ = ["METHODS", "TrainingMethod", "build_recipe", "chosen_by", "method_of"]

METHODS: Registry[TrainingMethod] = Registry(
    METHOD_NAMES,
    {
        "auto": auto.METHOD,
        "prompt": prompt.METHOD,
        "align": align.METHOD,
        "finetune": finetune.METHOD,
        "probe": probe.METHOD,
        "peft": peft.METHOD,
        "answers": answers.METHOD,
    },
)

BY_OPTIONS = ("auto", "prompt", "align", "probe", "peft")  # where no method is named: the first that has the options


def method_of(given: Iterable[str], start: Recipe | None = None) -> str:
    """The method of a training that names none.

    It is `auto`, unless options are given that a race has not: then `prompt` if it has them all, else the first method
    that has. With a whole recipe it is the method that the recipe is one of.

    >>> method_of(["model", "seed"]), method_of(["tokens"]), method_of(["pairs"]), method_of(["loss", "refit"])
    ('auto', 'prompt', 'align', 'prompt')
    """
    if start is not None:
        return next(name for name in BY_OPTIONS if type(METHODS[name].recipe) is type(start))
    every = {name for method in BY_OPTIONS for name in option_names(METHODS[method].recipe)}
    named = set(given) & every
    for wanted in (named, named - set(option_names(METHODS["auto"].recipe))):  # those of a race will be refused
        able = [name for name in BY_OPTIONS if wanted <= set(option_names(METHODS[name].recipe))]
        if able:
            return able[0]
    return "prompt"


def chosen_by(given: Iterable[str], method: str) -> list[str]:
    """The options given for which a method was chosen that none named: those of it that a race has not.

    >>> chosen_by(["model", "epochs", "tokens"], "prompt"), chosen_by(["model", "budget"], "auto")
    (['epochs', 'tokens'], [])
    """
    own, raced = option_names(METHODS[method].recipe), option_names(METHODS["auto"].recipe)
    return [name for name in given if name in own and name not in raced]


def build_recipe(method: str | None, given: Mapping[str, Any], start: Recipe | None = None) -> Recipe:
    """The recipe of a method with the options given; one that changes nothing is refused.

    Args:
        method: a key of `METHODS`; None where the options choose it, which a refusal then says.
        given: options by name; those that are of no method are passed over.
        start: what is changed; the method's own recipe if absent.

    Raises:
        OptionError: a value out of range, or an option without effect.
    """
    given = with_classes_named(given, "descriptions", str)
    given = with_classes_named(given, "class_weight", float)
    if isinstance(order := given.get("order"), list | tuple):  # of classes that are numbers too
        given = {**given, "order": tuple(str(one) if isinstance(one, int) else one for one in order)}
    choosing = [] if method or start else chosen_by(given, method_of(given))
    method = method or method_of(given, start)
    entry = METHODS[method]
    start = entry.recipe if start is None else start
    own = set(option_names(start))
    for name in given:
        if name not in own and any(name in option_names(other.recipe) for other in METHODS.values()):
            raise _without_effect(name, method, {one: given[one] for one in choosing})
    for name, value in entry.fixed.items():
        if given.get(name, value) != value:
            raise OptionError(f"{method} has one {name}, {value}", got=given[name], hint="type another --method")
    recipe = replace(start, **{name: value for name, value in given.items() if name in own})
    for name, needs in entry.idle(recipe, given):
        where = "here" if needs else f"with --method {method}"
        hint = f"leave {flag(name)} away"
        raise OptionError(f"{flag(name)} has no effect {where}", expected=needs or None, hint=hint)
    return recipe


def _without_effect(name: str, method: str, choosing: Mapping[str, Any]) -> OptionError:
    """An option that a method has not; `choosing` are the options that chose the method, none where it was named."""
    what, hint = f"{flag(name)} has no effect with --method {method}", f"leave {flag(name)} away"
    if not choosing:
        return OptionError(what, hint=hint)
    flags = " ".join(map(flag, choosing))
    if name in option_names(METHODS["auto"].recipe):
        able = [one for one, entry in METHODS.items() if entry.run is None and _takes(one, choosing)]
        hint = f"leave {flags} away for a race, or type --method {'|'.join(able)} in the place of {flag(name)}"
    return OptionError(f"{what}, which {flags} {'chooses' if len(choosing) == 1 else 'choose'}", hint=hint)


def _takes(method: str, given: Mapping[str, Any]) -> bool:
    try:
        build_recipe(method, given)
    except OptionError:
        return False
    return True


def with_classes_named(given: Mapping[str, Any], name: str, kind: type) -> Mapping[str, Any]:
    """Options with what an option says of each class itself, where it is a mapping or the path of a JSON file.

    Args:
        given: options by name.
        name: of the option.
        kind: what there is of each class in a file: a sentence (str) or a number (float).

    Raises:
        StoreError: the file cannot be read, or holds something else.

    >>> with_classes_named({"descriptions": {"cat": "it purrs"}}, "descriptions", str)
    {'descriptions': ('cat=it purrs',)}
    """
    value = given.get(name)
    one = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    if isinstance(one, str | Path) and str(one).endswith(".json"):
        one = read_json(Path(one), {"*": kind})
    if not isinstance(one, Mapping):
        return given
    return {**given, name: tuple(f"{label}={entry}" for label, entry in one.items())}
