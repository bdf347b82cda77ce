"""The options of `train` as a page, written by `python docs/options.py > docs/options.md`.

Made from the flags of the command itself, which are made from the recipes, so the page cannot say anything else than
`separatrix train --help`. Added is what the help does not show: which methods have an option.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

from separatrix.cli.runs import train
from separatrix.recipe import TrainRecipe, option_names
from separatrix.recipe.align import ALIGN_RULES, AlignRecipe
from separatrix.recipe.auto import RaceRecipe
from separatrix.recipe.train import ProbeRecipe

HEAD = """# Options of `separatrix train`

Written by `python docs/options.py > docs/options.md`; not by hand. Where other methods have another default, it
stands behind that of `prompt`. *For* names the methods that have an option; where it is empty, `prompt`, `align` and
`finetune` have it. `--method probe` has the options of the model, `--pool`, `--seed`, `--refit` and `--loss mse`,
`--method peft` those of the model and the training, `--tokens` and `--init`, `--method auto` those of the model,
`--seed`, `--budget` and `--candidates`; all of them have `--class-weight` and `--order`. An option that
changes nothing beside the others is refused. What the options mean together: [objectives.md](objectives.md),
[align.md](align.md), [train.md](train.md).
"""
# Options that stand in the encoder's recipe, because it shares a part with the prompt's, but have no effect there.
PROMPT_ONLY = {name for rule in ALIGN_RULES if rule.words == "--method prompt" for name in rule.options}
LIMITS = re.compile(r"^(.*) \((\S+ to \S+|\S+ or more|above 0[^)]*)\)$", re.DOTALL)  # as the help ends
KINDS = {"int": "whole number", "float": "number", "str": "text", "Path": "path", "bool": "switch"}


def page() -> str:
    """The page in Markdown: a table for each panel of the help."""
    lines, panel = [HEAD], ""
    for parameter in inspect.signature(train).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        title = _settings(parameter).group[0].name
        if title != panel:
            lines += [""] if panel else []
            lines += [f"## {title}", "", "| option | default | takes | what it does | for |", "|---|---|---|---|---|"]
            panel = title
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(parameter)) + " |")
    return "\n".join(lines) + "\n"


def _cells(parameter: inspect.Parameter) -> Iterator[str]:
    settings, default = _settings(parameter), parameter.default
    yield f"`{settings.name[0]}`"
    if isinstance(settings.show_default, str):
        yield settings.show_default
    elif default is inspect.Parameter.empty:
        yield "must be given"
    else:
        yield "-" if default is None or default is False else str(default)
    limited = LIMITS.match(settings.help)
    kind = _takes(get_args(parameter.annotation)[0])
    yield f"{kind}, {limited[2]}" if limited else kind
    yield limited[1] if limited else settings.help
    yield _methods(parameter.name)


def _methods(name: str) -> str:
    """The methods that have an option; empty if all have it."""
    if name in option_names(RaceRecipe()):
        return "auto"
    prompt = name in option_names(TrainRecipe())
    encoder = name in option_names(AlignRecipe()) and name not in PROMPT_ONLY
    named = "" if prompt == encoder else "prompt" if prompt else "align, finetune"
    return f"{named}, probe" if named and name in option_names(ProbeRecipe()) else named


def _takes(kind: Any) -> str:
    """What may stand behind the flag: its choices, or a kind of value."""
    inner = [part for part in get_args(kind) if part is not type(None)]
    if inner and isinstance(inner[0], str):
        return ", ".join(f"`{name}`" for name in inner)
    if getattr(kind, "__origin__", None) is tuple:
        return f"{_takes(inner[0])}, several"
    return _takes(inner[0]) if inner else KINDS[kind.__name__]


def _settings(parameter: inspect.Parameter) -> Any:
    """The `cyclopts.Parameter` of a flag."""
    return parameter.annotation.__metadata__[0]


if __name__ == "__main__":
    print(page(), end="")
