"""A map of rows as one offline HTML file: point at a mark and read its text, search, select, and take rows out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from separatrix.errors import ShapeError
from separatrix.reports.page import render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.rows import PageRows, RowMap
from separatrix.reports.sections import map_section, row_section
from separatrix.view.maps import Drawing

MOST = 1_000_000  # rows of a page; of more, so many evenly spread ones


def write_map_page(path: Path, drawing: Drawing, texts: Sequence[str]) -> Path:
    """Write the page, whole or not at all; texts, one a row, are shown on hover.

    Raises:
        ShapeError: not one text a row.
        StoreError: the place cannot be written.
    """
    return write_page(path, render_map_page(drawing, texts)).path


def render_map_page(drawing: Drawing, texts: Sequence[str]) -> str:
    """The page as text; texts, one a row, are escaped here."""
    if len(texts) != len(drawing.points):
        raise ShapeError("a map page needs a text for each row", got=len(texts), expected=len(drawing.points))
    kept = np.linspace(0, len(texts) - 1, min(MOST, len(texts))).astype(int)
    note = drawing.note + (f"; {len(kept)} of {len(texts)} rows are on the page" if len(kept) < len(texts) else "")
    names, labels = list(drawing.names), drawing.labels[kept]
    if not len(names) or (labels < 0).any():
        names, labels = [*names, "no label"], np.where(labels < 0, len(names), labels)
    pale = None if drawing.pale is None else drawing.pale[kept]
    shown = RowMap(drawing.title, drawing.points[None, kept], drawing.axes, note, pale=pale)
    rows = PageRows([texts[row] for row in kept], names, labels, ids=kept.tolist())
    return render(RunReport(drawing.title), [map_section([shown], rows), row_section(rows)])
