"""Suspect labels as a part of a page, and as a page of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.reports.pack import cut
from separatrix.reports.page import ReportFile, render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.rows import PageRows, RowMap
from separatrix.reports.sections import TEXT_LIMIT, Section, map_section, row_section
from separatrix.reports.tables import tabulate

SHOWN = 300  # suspects on the page; the table on disk has all
COLUMNS = ("id", "label", "suggested", "score", "reason", "text")  # lines do not wrap: the longest stands last

Record = Mapping[str, Any]


def _suspects_section(
    rows: Sequence[Record], result: Mapping[str, Any], listed: PageRows | None = None
) -> Section | None:
    """The most suspect rows, or None where there are none; linked with the rows that the page lists."""
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
    if listed is None:
        return Section("suspects", title, "search_table.html", {"table": tabulate(shown)}, "table")
    data = {"rows": _most_suspect(listed)[: len(shown)].tolist()}
    return Section("suspects", title, "search_table.html", {"table": tabulate(shown)}, "table", data)


def _most_suspect(listed: PageRows) -> np.ndarray:
    """Numbers of the suspect rows in the order of the table: ids would not do, several rows may have the same."""
    assert listed.suspect is not None
    doubted = np.flatnonzero(np.isfinite(listed.suspect))
    ordered: np.ndarray = doubted[np.argsort(-listed.suspect[doubted], kind="stable")]
    return ordered


def write_suspects(
    path: str | Path, rows: Sequence[Record], result: Mapping[str, Any], listed: PageRows | None = None,
    flat: RowMap | None = None,
) -> ReportFile:  # fmt: skip
    """Write suspects, most suspect first, as one file that opens offline, whole or not at all.

    Args:
        path: the file.
        rows: the suspects.
        result: figures.
        listed: all rows that were judged; with their map, `flat`, a suspect is shown among its neighbors.

    Raises:
        StoreError: the place cannot be written.
    """
    labels = result.get("by_label")
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
        Section("notes", "How to read it", "notes.html", {"notes": _NOTES if labels is None else _OF_SETS}),
    ]
    if labels is not None:
        doubted = [{name: value for name, value in line.items() if value is not None} for line in labels]
        sections.insert(
            1, Section("labels", "What is doubted of each label", "table.html", {"table": tabulate(doubted)})
        )
    listing = _suspects_section(rows, result, listed)
    parts = [sections[0], *([] if listing is None else [listing]), *sections[1:]]
    if listed is not None and flat is not None:
        parts[-2:-2] = [map_section([flat], listed), row_section(listed)]
    return write_page(path, render(RunReport(title="Suspect labels", summary=summary), parts))


_NOTES = (
    "A suspect is a reason to look, not a correction. Rows stand by the score: the probability that the label is "
    "right; 0 is the most suspect.",
    "On the map a ring marks a row that the judges together take for another class; not every one is a suspect.",
    "The estimated noise is fitted together with the weights of the judges. Rows that all of them misread count too.",
)
_OF_SETS = (
    "A suspect is a reason to look, not a correction. Rows stand by the score: the probability that none of a row's "
    "labels is missing or mistaken; 0 is the most suspect.",
    "Each label is judged by itself, whether a row has it or not. A row is suspect where it is more likely that any of "
    "its labels is wrong than that all are right; the reason names labels that it lacks or should not have.",
    "A label without an estimated noise was not judged: too few rows have it, or no judge knows more of it than how "
    "often it is given.",
)
