"""Modules of the user's own that add to the stages' dictionaries: losses, movers, starts, pairs, poolings."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from separatrix.errors import OptionError, raise_interrupt

_LOADED: list[str] = []


def load_plugins(names: Iterable[str]) -> None:
    """Import modules by name or by the path of their file; what they add to a dictionary is an option from then on.

    The code of these modules runs, so load your own only.

    Raises:
        OptionError: no such module, or one that fails.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                _import_name(name)
        except Exception as error:  # whatever the user's own code raises
            raise_interrupt(error)
            what = f"--plugin {name} cannot be imported ({type(error).__name__}: {error})"
            raise OptionError(what, expected="a module, or the path of a .py file") from error
        name = os.path.abspath(name) if name.endswith(".py") else name
        _LOADED.extend({name} - {*_LOADED})


def loaded() -> tuple[str, ...]:
    """The modules that were loaded so far, files by their absolute paths: for other processes."""
    return tuple(_LOADED)


def _import_name(name: str) -> None:
    """A module on Python's path, or of the working directory."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _import_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if path.stem in sys.modules and getattr(sys.modules[path.stem], "__file__", None) == str(path.resolve()):
        return
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[path.stem] = module


def plugin_words(words: list[str]) -> tuple[list[str], list[str]]:
    """The modules named by `--plugin` on a command line, and the words without them.

    They are imported before the other words are read, for they add to what these may be.

    >>> plugin_words(["train", "q.csv", "--plugin", "mine", "--loss", "margin", "--plugin=other"])
    (['mine', 'other'], ['train', 'q.csv', '--loss', 'margin'])
    """
    modules, rest, left = [], [], iter(words)
    for word in left:
        if word == "--plugin":
            module = next(left, None)
            if module is None:
                raise OptionError("--plugin needs the name of a module", hint="type --plugin my_module")
            modules.append(module)
        elif word.startswith("--plugin="):
            modules.append(word.partition("=")[2])
        else:
            rest.append(word)
    return modules, rest
