"""One family of errors: what went wrong, what was found, what was expected, what to type next.

Every message is one sentence that a person can act on. The command line prints it without a traceback and exits
with 2; in Python it is an ordinary exception. `DataError`, `ShapeError` and `OptionError` are `ValueError` as well, so
that code written for scikit-learn catches them.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType


class SeparatrixError(Exception):
    """A mistake that the user can mend.

    Args:
        what: what went wrong and where (file, row, option).
        got: what was found.
        expected: what would have been right.
        hint: what to do or type next.

    >>> print(SeparatrixError("k is out of range", got=0, expected="1 or more", hint="pass --k 5"))
    k is out of range: got 0, expected 1 or more; pass --k 5
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, hint: str | None = None) -> None:
        details = [f"got {got}"] if got is not None else []
        details += [f"expected {expected}"] if expected is not None else []
        message = what + (": " + ", ".join(details) if details else "") + (f"; {hint}" if hint else "")
        super().__init__(message)


class DataError(SeparatrixError, ValueError):
    """The texts, labels or groups given cannot be used."""


class ShapeError(SeparatrixError, ValueError):
    """An array does not have the shape that its use asks for."""


class OptionError(SeparatrixError, ValueError):
    """An option is unknown, out of range or contradicts another one."""


class ModelError(SeparatrixError):
    """A model cannot be found, loaded or used in the way asked for."""


class StoreError(SeparatrixError):
    """Files on disk are missing, damaged, newer than this version, or in the way."""


class LockedError(StoreError):
    """Another process is writing there."""


class MissingExtra(SeparatrixError, ImportError):
    """An optional dependency is not installed."""


class SeparatrixWarning(UserWarning):
    """What a guard found: the work went on, but look at this before you believe a score."""


# What the system refuses and a person can mend: error number -> what to do.
REFUSALS = {
    errno.ENOSPC: "free some space or choose another --out",
    errno.EDQUOT: "your quota is used up: free some space or choose another --out",
    errno.EROFS: "the disk is read-only: choose another --out",
    errno.EACCES: "choose another path, or ask for the right to use it",
    errno.EPERM: "choose another path, or ask for the right to use it",
    errno.ENOTDIR: "a part of the path is a file: choose another path",
    errno.EEXIST: "a part of the path is a file: choose another path",
    errno.EISDIR: "it is a folder: choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "links go round in a circle: choose another path",
    errno.EMFILE: "raise the number of open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files: end other programs",
}


def system_refusal(error: OSError, path: str | Path | None = None) -> StoreError:
    """What the system refused, as one sentence with what to do; it names this path, or else the file of the error.

    >>> print(system_refusal(OSError(errno.EROFS, "Read-only file system"), "runs/x"))
    runs/x cannot be written (Read-only file system); the disk is read-only: choose another --out
    """
    if error.errno == errno.ENOENT and working_directory_is_gone():
        return StoreError("the working directory was deleted", hint="change to a folder that exists")
    what = f"{path} cannot be written ({error.strerror or error})"
    if path is None:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return StoreError(what, hint=REFUSALS.get(error.errno or 0, "choose another --out" if path else None))


def working_directory_is_gone() -> bool:
    """Whether the folder that this process works in was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def raise_interrupt(error: BaseException) -> None:
    """Raise the Ctrl-C that an error came of, if one did: called where errors of any type are told in words of ours.

    An interrupt inside a context manager whose `__exit__` fails (a mode of PyTorch, say) comes out as another error.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     finally:
    ...         raise RuntimeError("trying to pop from empty mode stack")
    ... except RuntimeError as error:
    ...     try:
    ...         raise_interrupt(error)
    ...     except KeyboardInterrupt:
    ...         print("stopped")
    stopped
    """
    if (interrupt := interrupt_of(error, sys._getframe(1))) is not None:
        raise interrupt


def interrupt_of(error: BaseException, frame: FrameType | None = None) -> KeyboardInterrupt | None:
    """The Ctrl-C that an error is or came of, if any; one that was being handled before is none.

    Args:
        error: that was caught.
        frame: that caught it; the caller's if absent. Of a context manager that is a generator, the one of its `with`.
    """
    here = frame or sys._getframe(1)
    while here.f_back and (here.f_code.co_flags & CO_GENERATOR or here.f_globals.get("__name__") == "contextlib"):
        here = here.f_back
    waiting, known = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, KeyboardInterrupt) and (one is error or _is_below(one, here)):
            return one
        if id(one) not in known:
            known.add(id(one))
            waiting += [cause for cause in (one.__context__, one.__cause__) if cause is not None]
    return None


def _is_below(error: BaseException, frame: FrameType) -> bool:
    """Whether an error came up from a frame or from one that it called; where that is not known, it did."""
    trace = error.__traceback__
    if trace is None:
        return True
    while trace is not None:
        caller: FrameType | None = trace.tb_frame
        while caller is not None and caller is not frame:
            caller = caller.f_back
        if caller is frame:
            return True
        trace = trace.tb_next
    return False


def warn(lines: Iterable[str]) -> None:
    """Issue each line as a `SeparatrixWarning`, at the line of the user's that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("separatrix.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    for line in lines:
        warnings.warn(line, SeparatrixWarning, stacklevel=level)


class UnverifiedWarning(SeparatrixWarning):
    """What is read cannot be compared with the hashes that were written with it."""


class PictureWarning(SeparatrixWarning):
    """A picture could not show everything that it should."""


def choose(value: str, known: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `known`, else raise an `OptionError` that names the nearest one.

    >>> choose("cosine", ["cosine", "distance"], "loss")
    'cosine'
    >>> choose("cosin", ["cosine", "distance"], "loss")
    Traceback (most recent call last):
        ...
    separatrix.errors.OptionError: unknown loss: got 'cosin', expected one of cosine, distance; did you mean 'cosine'?
    """
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    near = get_close_matches(str(value), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else None
    raise OptionError(
        f"unknown {what}", got=" ".join(repr(value).split()), expected="one of " + ", ".join(names), hint=hint
    )


def readable(text: str) -> str:
    r"""Text to show and to store: bytes that the system's encoding did not know (\udcc3\udca9) are read as UTF-8.

    >>> readable("caf\udcc3\udca9"), readable("\udcff")
    ('café', '�')
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape" if _only_escaped(text) else "replace").decode("utf-8", "replace")


def system_path(text: str | Path) -> str:
    """A path that stands in a file or a result, as this system takes it: `readable` turned back.

    >>> system_path("data/texts.csv")
    'data/texts.csv'
    """
    try:
        return os.fsdecode(str(text).encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # no path at all
        return str(text)


def public_name(path: str | Path) -> str:
    """How results name a file, a folder or a model: a path's last part, since a path tells whose machine it was.

    Names of the hub stay.

    >>> public_name("/home/somebody/models/bert"), public_name("sentence-transformers/all-MiniLM-L6-v2")
    ('bert', 'sentence-transformers/all-MiniLM-L6-v2')
    """
    path = system_path(path)
    local = os.path.isabs(path) or os.path.exists(path)
    return readable(Path(path).name or Path(path).resolve().name if local else path)


def _only_escaped(text: str) -> bool:
    """Whether all halves of surrogate pairs stand for bytes."""
    return not any("\ud800" <= character < "\udc80" or "\udcff" < character <= "\udfff" for character in text)
