"""A map of rows as one offline HTML file: point at a mark and read its text.

As the report, it loads nothing and forbids every request. Flat maps are drawn without WebGL; three dimensions need it,
and its shader code is made by `eval`, which only such a page allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from separatrix.errors import ShapeError
from separatrix.reports.pack import hover_text
from separatrix.reports.page import POLICY, fill, write_page
from separatrix.view.maps import Drawing
from separatrix.view.palette import MUTED, look

MOST = 20_000  # rows that a page draws; of more, so many evenly spread ones


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
    rows = np.linspace(0, len(texts) - 1, min(MOST, len(texts))).astype(int)
    deep = drawing.points.shape[1] == 3
    note = drawing.note + (f"; {len(rows)} of {len(texts)} rows are drawn" if len(rows) < len(texts) else "")
    data = {
        "points": drawing.points[rows].T.tolist(),
        "labels": drawing.labels[rows].tolist(),
        "pale": [0] * len(rows) if drawing.pale is None else drawing.pale[rows].astype(int).tolist(),
        "names": [*(hover_text(name, limit=60) for name in drawing.names), "no label"],
        "looks": [*([look(k).colour, look(k).symbol] for k in range(len(drawing.names))), [MUTED, "circle"]],
        "hovers": [hover_text(texts[row]) for row in rows],
        "axes": [hover_text(name, width=90) for name in drawing.axes],
    }
    policy = POLICY.replace("'unsafe-inline'", "'unsafe-inline' 'unsafe-eval'", 1) if deep else POLICY
    scripts = ("core.js", "sheet.js", "start.js")
    title, count = drawing.title, len(rows)
    return fill("map_page.html", scripts, plotly=True, policy=policy, title=title, note=note, rows=count, data=data)
