"""What came out, to stdout: tables for people, or one JSON object for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from separatrix.errors import readable
from separatrix.store.result import Lines, Listing, Result

if TYPE_CHECKING:
    from separatrix.cli.progress import TerminalProgress

PIPE_WIDTH = 400  # columns where stdout is no terminal: nothing is cut there

# Heading, figure, and the figure whose interval stands behind it.
FIGURES = {
    "accuracy": "accuracy (95 % interval)",
    "macro_f1": "macro-F1",
    "never_predicted": "never predicted",
    "majority": "majority",
    "rmse": "RMSE (95 % interval)",
    "mae": "MAE",
    "r2": "R2",
    "baseline_rmse": "RMSE of the mean",
    "rows": "rows",
}
WITH_INTERVAL = ("accuracy", "rmse")


@dataclass(frozen=True)
class Printout:
    """What a command prints that has no `Result`.

    Attributes:
        values: the JSON object.
        parts: what is printed without --json: tables, and names with values.
        warnings: what goes to stderr.
    """

    values: Mapping[str, Any]
    parts: Sequence[Listing | Lines]
    warnings: Sequence[str] = ()


def show(result: Result | Printout, progress: TerminalProgress, *, as_json: bool) -> None:
    """A result as one JSON object or as tables; its warnings go to stderr."""
    if isinstance(result, Result):
        values = result.to_dict()
        result = Printout(values, () if as_json else result.parts(), values.get("warnings", ()))
    for line in result.warnings:
        progress.warn(line)
    if as_json:
        print_json(result.values)
        return
    for part in result.parts:
        if isinstance(part, Listing):
            print_table(part)
        elif part:
            print_lines(part)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, alone on stdout."""
    text = json.dumps(value, allow_nan=False)
    if "\\udc" in text:  # bytes of a path that the system's encoding does not know
        text = json.dumps(json.loads(readable(json.dumps(value, ensure_ascii=False))))
    print(text)


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
        _console().print(f"{name:<{width}}  {value}", soft_wrap=True)


def score_table(rows: Sequence[Mapping[str, Any]], method: str) -> Listing:
    """The score table of a run: every method on every split, each figure beside its baseline."""
    keys = [key for key in FIGURES if any(key in row for row in rows)]
    cells = [[row["method"], row.get("pool", "-"), row["split"], *(_figure(row, key) for key in keys)] for row in rows]
    headings = ["method", "pooling", "split", *(FIGURES[key] for key in keys)]
    return Listing(headings, cells, [row["method"] == method for row in rows])


def _figure(row: Mapping[str, Any], key: str) -> str:
    if row.get(key) is None:
        return "-"
    if isinstance(row[key], int):
        return str(row[key])
    text = f"{row[key]:.3f}"
    if key in WITH_INTERVAL and "interval" in row:
        low, high = row["interval"]
        text += f" ({low:.3f} to {high:.3f})"
    return text


def _console() -> Console:
    # Made anew each time: stdout may have been replaced since.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
