"""The command `separatrix`: parse the words, run one command, turn errors into one sentence and an exit code."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from cyclopts import App

from separatrix.cli.mistakes import DONE, FAILED, mendable, show_all, show_warning, tell
from separatrix.errors import PictureWarning, SeparatrixWarning
from separatrix.plugins import load_plugins, plugin_words
from separatrix.threads import wait_briefly

HELP = "Teach a transformer to separate your classes, and see - in numbers and pictures - whether it did."
# Name -> (module here, summary), in the order in which a newcomer meets them. A further command is one line here and
# one function of that name in the module, whose docstring is the rest of its help.
COMMANDS = {
    "demo": ("runs", "Train on the shipped questions, print the scores and where the report is."),
    "train": ("runs", "Train on labelled texts, score validation and test, write a run with its report."),
    "predict": ("runs", "Label new texts with a trained run."),
    "report": ("runs", "Write a run's report once more, or one page over several results; nothing is trained."),
    "rank": ("ranking", "Which frozen encoder, layer and pooling suits these texts?"),
    "extract": ("vectors", "Read vectors out of a transformer: hidden states, logits, tokens, or a run's outputs."),
    "score": ("ranking", "Do the classes of these points separate? Every figure with its baseline and its null."),
    "project": ("maps", "Draw points in two or three dimensions, and say how far the map can be trusted."),
    "cluster": ("clusters", "Group points; numbers of clusters and radii are chosen by a stated criterion."),
    "associate": ("clusters", "What do clusters have to do with labels, layers, groups? With a permutation null."),
    "suspects": ("clusters", "Rows whose label is likely wrong, and near-duplicates with different labels."),
    "compare": ("maps", "Several runs, points or maps in one table and one figure."),
    "heads": ("heads", "Cluster every attention head of a model over a corpus, and say what the clusters mean."),
    "heads-qa": ("heads", "Fine-tune a model for question answering; exact match and F1 as the official script."),
}
# Other spellings: the first words -> the command.
SPELLINGS: dict[tuple[str, ...], str] = {("heads", "finetune-qa"): "heads-qa"}

Command = Callable[..., None]


def build(words: Sequence[str]) -> App:
    """The parser for these words; the commands themselves are imported only if one of them is called."""
    app = App(name="separatrix", help=HELP, help_format="plaintext", version=_version)
    called = bool(words) and words[0] in COMMANDS
    for place, (name, (_, summary)) in enumerate(COMMANDS.items()):
        command = find(name) if called else _nothing
        details = inspect.getdoc(command) if called else ""
        app.command(command, name=name, sort_key=place, help=f"{summary}\n\n{details}".strip())
    return app


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
        plugins, words = plugin_words(words)
        load_plugins(plugins)
        command, bound, _ = build(words).parse_args(words, exit_on_error=False, print_error=False)
        # Each of these stands in a result, which is printed; but for those of the pictures, which come after it.
        with mendable(), warnings.catch_warnings(action="ignore", category=SeparatrixWarning):
            warnings.simplefilter("once", PictureWarning)
            warnings.showwarning = show_warning
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone; python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        return tell(error, words)
    return DONE


def spelled(words: list[str]) -> list[str]:
    """The words with the command's own name.

    >>> spelled(["heads", "finetune-qa", "train.json"]), spelled(["heads", "train.json"])
    (['heads-qa', 'train.json'], ['heads', 'train.json'])
    """
    name = SPELLINGS.get(tuple(words[:2]))
    return [name, *words[2:]] if name else words


def find(name: str) -> Command:
    """The function behind a command; its module is imported now."""
    module, _ = COMMANDS[name]
    return getattr(import_module(f"separatrix.cli.{module}"), name.replace("-", "_"))


def _nothing() -> None:
    """Stands for a command in the list of commands."""


def _version() -> str:
    from importlib.metadata import version

    return version("separatrix")
