"""Maps side by side: a row for each method, a column for each run, each panel under the name of what it shows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain
from separatrix.view.map_plot import Drawing, draw_rows, legend_entries
from separatrix.view.palette import HAIR, INK, MUTED

SIDE, GAP, TOP = 2.5, 0.18, 0.62  # inches: a panel, between panels, above each for its texts
ENTRY, LINE = 1.4, 0.19  # inches: an entry of the legend, a line of it

Panels = Sequence[Sequence[Drawing | None]]


def draw_grid(panels: Panels) -> Figure:
    """Draw maps in rows and columns; a class has one colour in all of them, whatever its number in each.

    Args:
        panels: rows of drawings, all of one length; None leaves a place empty.

    Raises:
        ShapeError: no drawing at all, or rows of different lengths.
    """
    columns = {len(row) for row in panels}
    if len(columns) != 1 or not any(one is not None for row in panels for one in row):
        raise ShapeError("a grid needs rows of one length with a map in them", got=f"lengths {sorted(columns)}")
    names, shown = _same_classes(panels)
    flat = [one for row in shown for one in row if one is not None]
    handles, texts = legend_entries(names, flat[0].labels)
    texts = [text.rsplit(" (", 1)[0] for text in texts]  # counts differ from panel to panel
    count = columns.pop()
    width = GAP + count * (SIDE + GAP)
    across = max(1, int(width / ENTRY))
    foot = GAP + LINE * -(-len(handles) // across)
    height = len(panels) * (SIDE + TOP) + foot + GAP
    figure = new_figure(width, height)
    for line, row in enumerate(shown):
        for place, drawing in enumerate(row):
            if drawing is not None:
                left, bottom = GAP + place * (SIDE + GAP), height - (line + 1) * (SIDE + TOP) - GAP / 2
                box = (left / width, bottom / height, SIDE / width, SIDE / height)
                _panel(figure, box, drawing, 1 / height)
    if handles:
        figure.legend(
            handles, texts, loc="lower left", bbox_to_anchor=(GAP / width, 0.06 / height), borderaxespad=0,
            ncols=across, frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.2,
        )  # fmt: skip
    return figure


def grid_rows(panels: Panels) -> Iterator[dict[str, Any]]:
    """The numbers of a grid, a line for each row of each panel, ready for `write_data`.

    Args:
        panels: as in `draw_grid`.
    """
    for line, row in enumerate(panels):
        for column, drawing in enumerate(row):
            for place, (point, label) in enumerate(zip(drawing.points, drawing.labels, strict=True)) if drawing else ():
                axes = dict(zip("xyz", map(float, point), strict=False))
                name = drawing.names[label] if drawing is not None and label >= 0 else ""
                title = drawing.title if drawing is not None else ""
                yield {"line": line, "column": column, "title": title, "row": place, **axes, "label": name}


def _same_classes(panels: Panels) -> tuple[tuple[str, ...], list[list[Drawing | None]]]:
    """All class names, and the drawings with the numbers that the classes have among these."""
    names = tuple(dict.fromkeys(name for row in panels for one in row if one is not None for name in one.names))
    places = {name: place for place, name in enumerate(names)}

    def same(drawing: Drawing | None) -> Drawing | None:
        if drawing is None or not drawing.names:
            return drawing
        numbers = np.array([places[name] for name in drawing.names])
        return replace(drawing, names=names, labels=np.where(drawing.labels < 0, -1, numbers[drawing.labels]))

    return names, [[same(one) for one in row] for row in panels]


def _panel(figure: Figure, box: tuple[float, float, float, float], drawing: Drawing, inch: float) -> None:
    flat = drawing.points.shape[1] == 2
    axes = figure.add_axes(box, projection=None if flat else "3d")
    draw_rows(axes, drawing, size=float(np.clip(2500 / max(len(drawing.points), 1), 1.5, 14)))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(HAIR)
    if flat:
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set_zticks([])  # type: ignore[attr-defined]
    top = box[1] + box[3]
    figure.text(box[0], top + 0.36 * inch, plain(drawing.title, 40), fontsize=8.5, fontweight="bold", color=INK)
    note = "\n".join(textwrap.wrap(plain(drawing.note, 120), 52)[:2])
    figure.text(box[0], top + 0.33 * inch, note, fontsize=6.5, color=MUTED, va="top", linespacing=1.25)
