"""Errors as one sentence and an exit code."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cyclopts import CycloptsError

from separatrix.cli.commands import RESUMABLE
from separatrix.errors import (
    REFUSALS,
    SeparatrixError,
    SeparatrixWarning,
    readable,
    system_refusal,
    working_directory_is_gone,
)

DONE, FAILED, MISTAKE, STOPPED = 0, 1, 2, 130
TRACEBACK = "SEPARATRIX_TRACEBACK"
SHOWN = "separatrix.shown"  # name of an error handler of codecs

# How torch says that memory ran out, on CUDA and on the CPU.
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def mendable() -> Iterator[None]:
    """Turn what the system refuses (disk full, no right, no memory) into our errors, so that a run cleans up.

    >>> with mendable():
    ...     raise OSError(errno.ENOSPC, "No space left on device", "runs/x")
    Traceback (most recent call last):
        ...
    separatrix.errors.StoreError: runs/x: No space left on device; free some space or choose another --out
    """
    try:
        yield
    except OSError as error:
        gone = error.errno == errno.ENOENT and working_directory_is_gone()
        if isinstance(error, SeparatrixError) or not (gone or error.errno in REFUSALS):
            raise
        raise system_refusal(error) from error
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in NO_MEMORY):
            raise
        hint = "lower --batch-size or --max-length, or type --cache disk"
        raise SeparatrixError("memory ran out", hint=hint) from error


def tell(error: BaseException, argv: list[str]) -> int:
    """Print one sentence on stderr (and the traceback if it is asked for); return the exit code."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    text, code = _sentence(error, argv)
    text = text.replace("`pick` or --", "--")  # what only Python has
    print(f"separatrix: {' '.join(text.split())}", file=sys.stderr)
    return code


def _sentence(error: BaseException, argv: list[str]) -> tuple[str, int]:
    if isinstance(error, CycloptsError):
        return _usage(str(error), argv), MISTAKE
    if isinstance(error, SeparatrixError):
        return str(error), MISTAKE
    if isinstance(error, KeyboardInterrupt):
        hint = "; the same command with --resume goes on from the last saved state"
        hint = "; the same command goes on" if argv[:1] == ["sweep"] else hint if {*argv[:1]} & {*RESUMABLE} else ""
        return f"stopped{hint}", STOPPED
    first = (str(error).strip().splitlines() or ["no more is known"])[0]
    return f"{type(error).__name__}: {first}; set {TRACEBACK}=1 to see where", FAILED


def _usage(text: str, argv: list[str]) -> str:
    """The parser's message as one sentence of our kind.

    >>> _usage("Unknown option: --los. Did you mean --loss?", ["train"])
    'unknown option: --los; did you mean --loss?'
    >>> _usage("Unused Tokens: ['b.csv', 'c.csv'].", ["train"])
    "train takes no 'b.csv' here; see separatrix train --help"
    >>> _usage("Parameter --lr specified multiple times.", ["train"])
    'parameter --lr specified multiple times; see separatrix train --help'
    >>> _usage('Command "train" parameter DATA requires an argument.', ["train", "--text", "a", "b", "q.csv"])
    'command "train" parameter DATA requires an argument: --text took a b q.csv; write DATA before the options'
    >>> _usage('Invalid value for --test: unable to convert "test.csv" into float.', ["train"])
    '--test takes a share of the rows, not "test.csv": name a folder with train.csv and test.csv as DATA'
    """
    message, near, guess = " ".join(text.split()).partition(" Did you mean ")
    message, _, known = message.partition(" Available commands: ")
    message = message[:1].lower() + message[1:].rstrip(".")
    if part := re.match(r'invalid value for --(test|validation): unable to convert (".*(\.\w+)") into float$', message):
        name, file, kind = part.groups()
        return (
            f"--{name} takes a share of the rows, not {file}: name a folder with train{kind} and {name}{kind} as DATA"
        )
    if unused := re.match(r"unused Tokens: \[('[^']*')", message):
        message = f"{' '.join(argv[:1])} takes no {unused[1]} here"
    if near:
        return f"{message}; did you mean {guess.partition('?')[0]}?"
    if known:
        return f"{message}, expected one of {known.rstrip('.')}"
    absent = re.search(r" parameter ([A-Z][A-Z.a-z]*) requires an argument$", message)
    if absent and (taken := _taken(argv)):
        return f"{message}: {taken}; write {absent.group(1)} before the options"
    command = f" {argv[0]}" if argv and not argv[0].startswith("-") else ""
    return f"{message}; see separatrix{command} --help"


def _taken(argv: list[str]) -> str:
    """Which option took several words, and so perhaps what stands for itself; empty if none did.

    >>> _taken(["train", "--text", "a", "q.csv", "--seed", "1"]), _taken(["train", "--seed", "1"])
    ('--text took a q.csv', '')
    """
    flags = [at for at, word in enumerate(argv) if word.startswith("--")]
    for flag, end in zip(flags, [*flags[1:], len(argv)], strict=True):
        if end - flag > 2:
            return f"{argv[flag]} took {' '.join(argv[flag + 1 : end])}"
    return ""


def show_all() -> None:
    r"""From here on stdout and stderr print what the terminal can show, and the rest as \xe9."""
    codecs.register_error(SHOWN, _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SHOWN)


def _shown(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = readable(error.object[error.start : error.end])
    return text.encode(error.encoding, "backslashreplace"), error.end  # of text, UTF-8 takes ASCII only


def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print a warning as a line on stderr, without the place in the code."""
    name = "warning" if issubclass(category, SeparatrixWarning) else f"warning ({category.__name__})"
    print(f"{name}: {' '.join(str(message).split())}", file=sys.stderr)
