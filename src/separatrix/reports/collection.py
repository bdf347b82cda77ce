"""Several results - runs, points, maps, clusters, tables - in one offline page, each with its figures and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.reports.pack import data_uri
from separatrix.reports.paper import POLICY, ReportWritten, style, templates, write_page
from separatrix.reports.result import Picture
from separatrix.reports.tables import tabulate


@dataclass(frozen=True)
class Sheet:
    """One result: what it is called, what kind of thing it is, and what there is to see.

    Args:
        title: name of the folder that was read, so that no two can be mixed up.
        kind: `run`, `points`, `map`, `clusters`, ...
        figures: (label, value), the most important first.
        rows: a table, one mapping a line; its keys are the columns.
        strong: which lines of the table are the result's own, not a baseline's.
        warnings: what the guards said.
        notes: what else is true.
        pictures: files put into the page.
    """

    title: str
    kind: str
    figures: tuple[tuple[str, object], ...] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    strong: tuple[bool, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


def write_collection(path: str | Path, title: str, sheets: Sequence[Sheet]) -> ReportWritten:
    """Write the page as one file that opens offline, whole or not at all.

    Args:
        path: the .html file; an older one is replaced in one step.
        title: heading of the page.
        sheets: in the order of the page.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    return write_page(path, render_collection(title, sheets))


def render_collection(title: str, sheets: Sequence[Sheet]) -> str:
    """The page as text."""
    views = [
        {
            "id": f"part-{place}",
            "sheet": sheet,
            "table": tabulate(sheet.rows, list(sheet.strong)) if sheet.rows else None,
            "pictures": [(picture.title, data_uri(picture.path)) for picture in sheet.pictures],
        }
        for place, sheet in enumerate(sheets, start=1)
    ]
    parts = {"title": title, "views": views, "policy": POLICY, "style": style("page.css")}
    return templates().get_template("collection.html").render(**parts)
