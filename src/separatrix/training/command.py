"""What a run says of how it was made: the command that makes it again, and the versions that made it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from separatrix.errors import OptionError, public_name
from separatrix.plugins import loaded
from separatrix.recipe import digest
from separatrix.recipe.command import command_line, differing
from separatrix.texts import Splits, load_demo
from separatrix.training.folder import describe_texts
from separatrix.training.methods import METHODS, build_recipe
from separatrix.training.request import Recipe

DIGITS = 16  # of a hash that is shown
DEMO = "questions/"  # the names of the shipped texts begin so
DEMO_OPTIONS = ("model", "device", "epochs", "seed")  # that the command `demo` has
PACKAGES = ("separatrix", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")


def typed_command(
    data: Any, method: str, recipe: Recipe, reading: Mapping[str, Any], out: str | Path | None
) -> str | None:
    """The command that makes a run again; None where there is none: texts in memory, a recipe that no flags give.

    Paths are reduced to their names.

    Args:
        data: what was trained on.
        method: that was trained.
        recipe: every option.
        reading: how the data were read, by name.
        out: folder of the run.
    """
    options = {"seed": recipe.loop.seed, **differing(recipe, METHODS[method].recipe)}
    try:
        if build_recipe(method, options) != recipe:
            return None
    except OptionError:  # an option of the recipe that has no effect, which Python lets stand
        return None
    paths = {} if out is None else {"out": Path(out).resolve().name}
    plugins = [public_name(module) for module in loaded()]
    if isinstance(data, str | Path):
        given = {name: value for name, value in reading.items() if value is not None}
        return command_line(
            ["train", public_name(data)], {"method": method, **given, **options, **paths}, recipe, plugins
        )
    if is_demo(data) and method == "prompt" and {*options} <= {*DEMO_OPTIONS} and not reading:
        return command_line(["demo"], options | paths, recipe, plugins)
    return None


def origin_lines(result: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Seed, versions and hashes of a run, of its `result.json` and `recipe.json`; runs of earlier versions say less."""
    software = result.get("software") or {}
    hashes = {"recipe": digest(recipe), "weights of the model": str(recipe.get("weights", ""))[:DIGITS]}
    hashes |= {f"{part} rows": texts["digest"] for part, texts in recipe.get("data", {}).items()}
    lines = [
        ("seed", str(recipe["loop"]["seed"])),
        ("versions", ", ".join(f"{name} {number}" for name, number in software.items())),
        ("hashes", ", ".join(f"{name} {one}" for name, one in hashes.items() if one)),
    ]
    return [(name, text) for name, text in lines if text]


def is_demo(data: Any) -> bool:
    """Whether these are the shipped questions in their shipped parts."""
    if not isinstance(data, Splits) or not data.train.name.startswith(DEMO):
        return False
    return describe_texts(data) == describe_texts(load_demo())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a training depends on."""
    known = {"python": python_version()}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:  # run from a source folder that was never installed
            continue
    return known
