"""Choices that grow: what a user's own module adds to a stage's dictionary is an option at once.

A recipe must not import the stages (torch is slow to load), so it holds the names alone: `Choices`. The stage holds the
functions: a `Registry` over these choices. A new entry in the registry adds its name to the choices.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Names that an option may have, in order: those that are built in, then those that were added.

    >>> losses = Choices("linear", "mse")
    >>> "margin" in losses, list(losses)
    (False, ['linear', 'mse'])
    """

    def __init__(self, *names: str) -> None:
        self.built_in = names
        self._names = dict.fromkeys(names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """One more name."""
        self._names[name] = None

    def remove(self, name: str) -> None:
        """One name less."""
        del self._names[name]


class DeviceNames(Choices):
    """Names of devices, and `cuda:N` for every N.

    >>> "cuda:7" in DeviceNames("cpu", "cuda"), "cuda:x" in DeviceNames("cpu", "cuda")
    (True, False)
    """

    def __contains__(self, name: object) -> bool:
        return name in self._names or re.fullmatch(r"cuda:(0|[1-9]\d?)", str(name), re.ASCII) is not None


class Registry(dict[str, T]):
    """The functions (or classes) of a stage by name; entries of the user's own become choices of the option.

    >>> names = Choices("linear")
    >>> stage = Registry(names, {"linear": abs})
    >>> stage["margin"] = max
    >>> list(names)
    ['linear', 'margin']
    """

    def __init__(self, choices: Choices, entries: Mapping[str, T]) -> None:
        if not set(entries) <= set(choices):
            raise ValueError(f"of the entries {sorted(entries)} some are no choices: {sorted(choices)}")
        self.choices = choices
        super().__init__(entries)

    def __setitem__(self, name: str, entry: T) -> None:
        super().__setitem__(name, entry)
        self.choices.add(name)

    def own_code(self, name: str) -> dict[str, str]:
        """`code`, a hash of the file of an entry of the user's own: other code gives other numbers. Else empty."""
        module = sys.modules.get(getattr(self.get(name), "__module__", None) or "")
        file = getattr(module, "__file__", None)
        if name in self.choices.built_in or file is None:
            return {}
        return {"code": hashlib.sha256(Path(file).read_bytes()).hexdigest()}

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.choices.remove(name)
