"""The command `separatrix`: parse the words, run one command, turn errors into one sentence and an exit code."""

from __future__ import annotations

import errno
import inspect
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword

from cyclopts import App, Group

from separatrix.cli.commands import COMMANDS, GROUPS, spelled
from separatrix.cli.mistakes import DONE, FAILED, mendable, show_all, show_warning, tell
from separatrix.errors import (
    PictureWarning,
    SeparatrixWarning,
    UnverifiedWarning,
    raise_interrupt,
    system_refusal,
    working_directory_is_gone,
)
from separatrix.plugins import load_plugins, plugin_words
from separatrix.threads import wait_briefly

HELP = "Teach a transformer to separate your classes, and see - in numbers and pictures - whether it did."
HELP_WORDS = {"--help", "-h", "--help-all"}

Command = Callable[..., None]


def build(words: Sequence[str]) -> App:
    """The parser for these words; the commands themselves are imported only if one of them is called."""
    app = App(name="separatrix", help=HELP, help_format="plaintext", version=_version)
    app["--help"].group = app["--version"].group = Group("Options", sort_key=len(GROUPS))
    called = words[0] if words and words[0] in COMMANDS else None
    for number, (title, names) in enumerate(GROUPS.items()):
        panel = Group(title, sort_key=number)
        for name in names:
            command, summary = find(name) if name == called else _nothing, COMMANDS[name][1]
            part = getattr(command, "parts", {}).get("".join(words[1:2]))
            if part is None:
                _add(app, (name,), command, summary, words, panel)
            else:
                app.command(inner := App(name=name, help_format="plaintext"))
                _add(inner, (name, words[1]), part, summary, words, panel)
    return app


def _add(app: App, names: tuple[str, ...], command: Command, summary: str, words: Sequence[str], panel: Group) -> None:
    """Put a command, by the words that call it, into a panel of a parser."""
    details, more = joined(inspect.getdoc(command) or "") if command is not _nothing else "", ""
    if details and HELP_WORDS & {*words}:
        from separatrix.cli.flags import with_help

        command, more = with_help(command, " ".join(names), words)
    text = f"{summary}\n\n{details}".strip()
    app.command(command, name=names[-1], group=panel, sort_key=len([*app]), help=text, help_epilogue=more)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after `separatrix`; those of this process if absent.

    Returns:
        The exit code: 0 done, 1 failed, 2 the user's mistake, 130 stopped.
    """
    words = spelled(list(sys.argv[1:] if argv is None else argv))
    wait_briefly()
    show_all()
    try:
        with _terminate_as_interrupt():
            return _run(words)
    except KeyboardInterrupt as error:
        return tell(error, words)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does: what was begun is put right."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(words: list[str]) -> int:
    try:
        if working_directory_is_gone():  # libraries under PyTorch would end the process with a word of their own
            raise system_refusal(FileNotFoundError(errno.ENOENT, ""))
        plugins, words = plugin_words(words)
        load_plugins(plugins)
        parser = build(words)
        words = ["--help" if word == "--help-all" else word for word in words]
        command, bound, _ = parser.parse_args(words, exit_on_error=False, print_error=False)
        # Each of these stands in a result, which is printed; but for those of the pictures, which come after it.
        with mendable(), warnings.catch_warnings(action="ignore", category=SeparatrixWarning):
            warnings.simplefilter("once", PictureWarning)
            warnings.simplefilter("once", UnverifiedWarning)
            warnings.showwarning = show_warning
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone; python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        raise_interrupt(error)
        return tell(error, words)
    return DONE


def joined(text: str) -> str:
    r"""A text whose paragraphs are one line each, so that the help breaks them where the terminal ends.

    >>> joined("One sentence\nin two lines.\n\nFor example:\n    a command")
    'One sentence in two lines.\n\nFor example:\n    a command'
    """
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


def find(name: str) -> Command:
    """The function behind a command; its module is imported now."""
    module, _ = COMMANDS[name]
    own = name.replace("-", "_")
    return getattr(import_module(f"separatrix.cli.{module}"), f"{own}_" if iskeyword(own) else own)


def _nothing() -> None:
    """Stands for a command in the list of commands."""


def _version() -> str:
    from importlib.metadata import version

    return version("separatrix")
