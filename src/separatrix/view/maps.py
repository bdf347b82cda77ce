"""Maps of points, one or side by side: every row a mark in the colour of its class, below it how far to trust it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain, quiet
from separatrix.view.palette import HAIR, INK, MUTED, look

WIDTH, HEIGHT = 8.0, 6.0  # inches
LINE = 0.155  # inches of a line of the caption
LEGEND = 22  # entries that fit beside a picture
SIDE, GAP, TOP = 2.5, 0.18, 0.62  # inches: a panel, between panels, above each for its texts
MOST_DRAWN = 200_000  # rows of a picture, drawn from all
ENTRY, ENTRY_LINE = 1.4, 0.19  # inches: an entry of the legend, a line of it


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a picture of a map needs.

    Raises:
        ShapeError: lengths or dimensions that do not fit each other.
    """

    points: np.ndarray  # (rows, 2 or 3) places, finite
    labels: np.ndarray  # (rows,) class numbers; -1 is drawn grey
    names: tuple[str, ...]  # class names
    axes: tuple[str, ...]  # names of the axes
    title: str  # what is shown: the model, or the file that was loaded
    note: str  # how it was made and how faithful it is; stands below the picture
    # (rows,) bool, rows whose labels drew the map and which therefore prove nothing; None = no such rows.
    pale: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] not in (2, 3) or not np.isfinite(self.points).all():
            raise ShapeError("a map has finite places", got=self.points.shape, expected="(rows, 2 or 3)")
        if len(self.labels) != len(self.points) or len(self.axes) != self.points.shape[1]:
            got = f"{len(self.labels)} labels and {len(self.axes)} axes for places {self.points.shape}"
            raise ShapeError("a map needs a label for each row and a name for each axis", got=got)
        if len(self.labels) and self.labels.max() >= len(self.names):
            raise ShapeError("a label has no name", got=int(self.labels.max()), expected=f"0 to {len(self.names) - 1}")


def draw_map(drawing: Drawing) -> Figure:
    """Draw one map in two or three dimensions, with its legend, and its note below."""
    count = len(drawing.points)
    cut = f"; {MOST_DRAWN} of {count} rows are drawn" if count > MOST_DRAWN else ""
    lines = textwrap.wrap(plain(drawing.note + cut, 600), 128)
    below = LINE * len(lines) + 0.15
    height = HEIGHT + below
    figure = new_figure(WIDTH, height)
    box = (0.085, (below + 0.5) / height, 0.68, (HEIGHT - 0.95) / height)
    axes = figure.add_axes(box, projection="3d" if drawing.points.shape[1] == 3 else None)
    draw_rows(axes, drawing, size=float(np.clip(9000 / max(count, 1), 4, 34)))
    _name_axes(axes, drawing.axes)
    figure.text(box[0], 1 - 0.3 / height, plain(drawing.title, 90), fontsize=10.5, fontweight="bold", color=INK)
    figure.text(box[0], 0.06 / height, "\n".join(lines), fontsize=7.5, color=MUTED, va="bottom")
    handles, labels = legend_entries(drawing.names, drawing.labels)
    if handles:
        put_legend(figure, handles, labels, (box[0] + box[2] + 0.01, 1 - 0.45 / height))
    return figure


def put_legend(figure: Figure, handles: Sequence[Line2D], texts: Sequence[str], corner: tuple[float, float]) -> None:
    """Put a legend beside a picture, with its upper left corner there."""
    figure.legend(
        handles, texts, loc="upper left", bbox_to_anchor=corner, borderaxespad=0, frameon=False, fontsize=8,
        labelcolor=INK, handletextpad=0.3, labelspacing=0.55 if len(handles) <= 14 else 0.4,
    )  # fmt: skip


def draw_rows(axes: Axes, drawing: Drawing, *, size: float) -> None:
    """Put the rows of a map on axes, in a mixed order, so that no class covers the others because it comes last."""
    order = np.random.default_rng(0).permutation(len(drawing.points))[:MOST_DRAWN]
    pale = np.zeros(len(order), bool) if drawing.pale is None else drawing.pale[order]
    marks = [(MUTED, "o") if label < 0 else (look(label).colour, look(label).marker) for label in drawing.labels[order]]
    groups = dict.fromkeys(sorted({(not faint, mark) for faint, (_, mark) in zip(pale, marks, strict=True)}))
    for full, marker in groups:
        chosen = [row for row, (_, mark) in enumerate(marks) if mark == marker and pale[row] != full]
        coordinates, colours = list(drawing.points[order[chosen]].T), [marks[row][0] for row in chosen]
        alpha = 0.7 if full else 0.15
        depth: dict[str, Any] = {"zs": coordinates[2]} if len(coordinates) == 3 else {}
        axes.scatter(
            coordinates[0], coordinates[1], s=size, c=colours, marker=marker, alpha=alpha, linewidths=0, **depth
        )


def _name_axes(axes: Axes, names: Sequence[str]) -> None:
    """Name the axes; the unit of a flat map is as long on both."""
    size = 8.5
    axes.set_xlabel(plain(names[0], 60), color=MUTED, fontsize=size)
    axes.set_ylabel(plain(names[1], 60), color=MUTED, fontsize=size)
    if len(names) == 3:
        axes.set_zlabel(plain(names[2], 60), color=MUTED, fontsize=size)  # type: ignore[attr-defined]
        axes.tick_params(colors=MUTED, labelsize=size - 1.5)
        return
    quiet(axes)
    axes.set_aspect("equal", adjustable="datalim")


def mark(*, markersize: float = 5.5, **style: Any) -> Line2D:
    """An entry of a legend, in a style of matplotlib's lines."""
    return Line2D([], [], ls="", markersize=markersize, **style)


def legend_entries(names: Sequence[str], labels: np.ndarray) -> tuple[list[Line2D], list[str]]:
    """Marks and texts of a legend of labels, -1 where there is none; a long list is cut and says so."""
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    shown = names if len(names) <= LEGEND else names[: LEGEND - 1]
    styles = [look(number) for number in range(len(shown))]
    handles = [mark(color=style.colour, marker=style.marker) for style in styles]
    texts = [f"{plain(name, 20)} ({count})" for name, count in zip(shown, counts, strict=False)]
    if len(shown) < len(names):
        handles.append(mark())
        texts.append(f"and {len(names) - len(shown)} more classes")
    missing = int((labels < 0).sum())
    if missing:
        handles.append(mark(color=MUTED, marker="o"))
        texts.append(f"no label ({missing})")
    return handles, texts


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
    foot = GAP + ENTRY_LINE * -(-len(handles) // across)
    height = len(panels) * (SIDE + TOP) + foot + GAP
    figure = new_figure(width, height)
    for line, row in enumerate(shown):
        for column, drawing in enumerate(row):
            if drawing is not None:
                left, bottom = GAP + column * (SIDE + GAP), height - (line + 1) * (SIDE + TOP) - GAP / 2
                box = (left / width, bottom / height, SIDE / width, SIDE / height)
                _panel(figure, box, drawing, 1 / height)
    if handles:
        figure.legend(
            handles, texts, loc="lower left", bbox_to_anchor=(GAP / width, 0.06 / height), borderaxespad=0,
            ncols=across, frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.2,
        )  # fmt: skip
    return figure


def grid_rows(panels: Panels) -> Iterator[dict[str, Any]]:
    """The numbers of a grid, a line for each row of each panel, ready for `write_data`."""
    for line, row in enumerate(panels):
        for column, drawing in enumerate(row):
            for number, (point, label) in (
                enumerate(zip(drawing.points, drawing.labels, strict=True)) if drawing else ()
            ):
                axes = dict(zip("xyz", map(float, point), strict=False))
                name = drawing.names[label] if drawing is not None and label >= 0 else ""
                title = drawing.title if drawing is not None else ""
                yield {"line": line, "column": column, "title": title, "row": number, **axes, "label": name}


def _same_classes(panels: Panels) -> tuple[tuple[str, ...], list[list[Drawing | None]]]:
    """All class names, and the drawings with the numbers that the classes have among these."""
    names = tuple(dict.fromkeys(name for row in panels for one in row if one is not None for name in one.names))
    numbers = {name: number for number, name in enumerate(names)}

    def same(drawing: Drawing | None) -> Drawing | None:
        if drawing is None or not drawing.names:
            return drawing
        own = np.array([numbers[name] for name in drawing.names])
        return replace(drawing, names=names, labels=np.where(drawing.labels < 0, -1, own[drawing.labels]))

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
