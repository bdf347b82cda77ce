"""What verbs are given: an object, or the path of the folder that it was written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from separatrix.errors import OptionError, StoreError
from separatrix.points import Points
from separatrix.store.points import open_points
from separatrix.store.remote import url_of
from separatrix.store.result import Result

T = TypeVar("T")


def opened(given: T | str | Path, kind: type[T], *, verify: bool = True) -> T:
    """The object itself, or what its folder holds.

    Args:
        given: `Points` or a result, or the path of its folder; of points, an address too.
        kind: the class that it must be of.
        verify: compare the files of a folder with their hashes.

    Raises:
        StoreError: no folder is there, or it holds something else.

    >>> opened(Points.of([[1.0]]), Points)
    Points: 1 rows, vectors (1)
        id
    """
    if not isinstance(given, str | Path):
        return given
    if not Path(given).is_dir() and not (kind is Points and url_of(given)):
        what = "points that extract wrote" if kind is Points else f"what gave {kind.__name__}"
        raise StoreError(f"{given} is no folder", expected=what)
    read: Any = open_points if kind is Points else kind.open  # type: ignore[attr-defined]
    result: T = read(given, verify=verify)
    return result


def folder_of(given: Result | str | Path, what: str) -> Path:
    """The folder that a result was written to or read from; a path as it is.

    Raises:
        OptionError: the result is in memory only.
    """
    if isinstance(given, str | Path):
        return Path(given)
    if given.folder is None:
        raise OptionError(f"{what} reads a folder", got=f"a {given.kind} in memory", hint="save it first")
    return given.folder
