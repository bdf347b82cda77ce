"""What came out, to stdout: tables for people, or one JSON object for scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from separatrix.store.files import as_json
from separatrix.store.result import Lines, Listing, Printed, line_text

if TYPE_CHECKING:
    from separatrix.cli.progress import TerminalProgress

PIPE_WIDTH = 400  # columns where stdout is no terminal: nothing is cut there


@dataclass(frozen=True)
class Printout:
    """What a command prints that is no `Printed`."""

    values: Mapping[str, Any]  # the JSON object
    parts: Sequence[Listing | Lines]  # what is printed without --json: tables, and names with values
    # What goes to stderr, with `--quiet` to stdout, and into the JSON object where it does not stand yet.
    warnings: Sequence[str] = ()
    after: Callable[[], None] | None = None  # what goes on once it is printed


def show(result: Printed | Printout, progress: TerminalProgress, *, as_json: bool) -> None:
    """A result as one JSON object or as tables; its warnings go to stderr, or with `--quiet` to stdout."""
    if isinstance(result, Printed):
        values = result.to_dict()
        result = Printout(values, () if as_json else result.parts(), values.get("warnings", ()))
    lines = [line for part in result.parts if not isinstance(part, Listing) for line in part]
    listed = set() if as_json else {str(line) for name, line in lines if name == "warning"}
    apart = [line for line in result.warnings if line not in listed]  # that stand in no table of the result
    for line in apart:
        progress.warn(line)
    if as_json:
        more = {"warnings": [*result.warnings]} if result.warnings else {}
        print_json(more | {**result.values})
        _go_on(result)
        return
    quiet: Lines = [("warning", line) for line in apart] if progress.console.quiet else []
    for part in (*result.parts, quiet):
        if isinstance(part, Listing):
            print_table(part)
        elif part:
            print_lines(part)
    _go_on(result)


def _go_on(printed: Printout) -> None:
    if printed.after is not None:
        sys.stdout.flush()
        printed.after()


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, alone on stdout."""
    print(as_json(value))


def print_table(listing: Listing) -> None:
    """A table; numbers to the right, strong rows in bold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, numeric in zip(listing.headings, listing.numeric, strict=True):
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for number, row in enumerate(listing.rows):
        table.add_row(*map(Text, row), style="bold" if listing.strong and listing.strong[number] else None)
    _console().print(table)


def print_lines(lines: Lines) -> None:
    """Names and values, one pair a line."""
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        _console().print(f"{name:<{width}}  {line_text(value)}", soft_wrap=True)


def _console() -> Console:
    # Made anew each time: stdout may have been replaced since.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
