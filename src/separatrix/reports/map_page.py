"""A map of rows as one offline HTML file: point at a mark and read its text, search, select, and take rows out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from separatrix.errors import ShapeError
from separatrix.reports.page import render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.rows import ClassOrder, PageRows, RowMap
from separatrix.reports.sections import Section, map_section, row_section
from separatrix.view.maps import Drawing

MOST = 1_000_000  # rows of a page; of more, so many evenly spread ones


def write_map_page(
    path: Path, drawing: Drawing, texts: Sequence[str], groups: ClassOrder | None = None, **columns: Sequence[object]
) -> Path:
    """Write the page, whole or not at all; texts, one a row, are shown on hover.

    Args:
        columns: `ids` and `splits`, one a row, where there are any.

    Raises:
        ShapeError: not one text a row.
        StoreError: the place cannot be written.
    """
    return write_page(path, render_map_page(drawing, texts, groups, **columns)).path


def render_map_page(
    drawing: Drawing, texts: Sequence[str], groups: ClassOrder | None = None, *,
    ids: Sequence[object] | None = None, splits: Sequence[object] = (),
) -> str:  # fmt: skip
    """The page as text; texts, one a row, are escaped here. Classes of one of the groups look alike."""
    if len(texts) != len(drawing.points):
        raise ShapeError("a map page needs a text for each row", got=len(texts), expected=len(drawing.points))
    kept = np.linspace(0, len(texts) - 1, min(MOST, len(texts))).astype(int)
    note = drawing.note
    if len(kept) < len(texts):
        note += f"; {len(kept)} of {len(texts)} rows are on the page: separatrix explore shows all"
    pale = None if drawing.pale is None else drawing.pale[kept]
    shown = replace(drawing, points=drawing.points[kept], labels=drawing.labels[kept], note=note, pale=pale)
    own = kept.tolist() if ids is None else [ids[row] for row in kept]
    parts = [str(splits[row]) for row in kept] if len(splits) else ()
    sections = map_sections(shown, [texts[row] for row in kept], own, groups=groups, splits=parts)
    return render(RunReport(drawing.title), sections)


def map_sections(
    drawing: Drawing, texts: Sequence[str], ids: Sequence[object] | None = None, *, whole: bool = False,
    groups: ClassOrder | None = None, splits: Sequence[str] = (),
) -> list[Section]:  # fmt: skip
    """The map and the list of rows.

    Args:
        texts: one a row.
        ids: the user's own; row numbers without them.
        whole: no text is cut, since a server reads it when it is shown.
        groups: of classes that are alike.
        splits: of each row, or none.
    """
    names, labels = list(drawing.names), drawing.labels
    if not len(names) or (labels < 0).any():
        names, labels = [*names, "no label"], np.where(labels < 0, len(names), labels)
        groups = groups and groups.with_class("no label")
    shown = RowMap(drawing.title, drawing.points[None], drawing.axes, drawing.note, pale=drawing.pale)
    rows = PageRows(texts, names, labels, ids=ids, splits=splits, whole=whole, groups=groups)
    return [map_section([shown], rows), row_section(rows)]
