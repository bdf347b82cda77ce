"""Suspect labels as a part of a page, and as a page of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from separatrix.reports.pack import cut
from separatrix.reports.page import ReportFile, render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.sections import TEXT_LIMIT, Section
from separatrix.reports.tables import tabulate

SHOWN = 300  # suspects on the page; the table on disk has all
COLUMNS = ("id", "label", "suggested", "score", "reason", "text")  # lines do not wrap: the longest stands last

Record = Mapping[str, Any]


def _suspects_section(rows: Sequence[Record], result: Mapping[str, Any]) -> Section | None:
    """The most suspect rows, or None where there are none."""
    if not rows:
        return None
    shown = [
        {
            key: cut(str(row[key]), TEXT_LIMIT) if key in ("text", "reason") else row[key]
            for key in COLUMNS
            if key in row
        }
        for row in rows[:SHOWN]
    ]
    left = f", the first {SHOWN} shown" if len(rows) > SHOWN else ""
    title = f"Suspect labels ({len(rows)} of {result['rows']} rows{left})"
    return Section("suspects", title, "search_table.html", {"table": tabulate(shown)}, "table")


def write_suspects(path: str | Path, rows: Sequence[Record], result: Mapping[str, Any]) -> ReportFile:
    """Write suspects, most suspect first, as one file that opens offline, whole or not at all.

    Raises:
        StoreError: the place cannot be written.
    """
    judges = [{"judge": name, **figures} for name, figures in result["models"].items()]
    summary = (
        ("rows", result["rows"]),
        ("suspects", result["suspects"]),
        ("estimated noise", result["estimated_noise"]),
        ("judged", result["judged"]),
    )
    sections = [
        Section("verdict", "Warnings", "warnings.html", {"warnings": result["warnings"]}),
        Section("judges", "The judges, against the labels given", "table.html", {"table": tabulate(judges)}),
        Section("notes", "How to read it", "notes.html", {"notes": _NOTES}),
    ]
    listed = _suspects_section(rows, result)
    parts = [sections[0], listed, *sections[1:]] if listed else sections
    return write_page(path, render(RunReport(title="Suspect labels", summary=summary), parts))


_NOTES = (
    "A suspect is a reason to look, not a correction. Rows stand by the score: the probability that the label is "
    "right; 0 is the most suspect.",
    "The estimated noise is fitted together with the weights of the judges. Rows that all of them misread count too.",
)
