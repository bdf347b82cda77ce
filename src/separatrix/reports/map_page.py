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
    names, labels = list(drawing.names), drawing.labels
    if not len(names) or (labels < 0).any():
        names, labels = [*names, "no label"], np.where(labels < 0, len(names), labels)
    shown = RowMap(drawing.title, drawing.points[None], drawing.axes, drawing.note, pale=drawing.pale)
    rows = PageRows(texts, names, labels)
    return render(RunReport(drawing.title), [map_section([shown], rows), row_section(rows)])
