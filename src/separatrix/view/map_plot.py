"""A map of points: every row a mark in the colour of its class, and below it how far the picture can be trusted."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain, quiet
from separatrix.view.palette import INK, MUTED, look
from separatrix.view.scatter_plot import LEGEND

WIDTH, HEIGHT = 8.0, 6.0  # inches
LINE = 0.155  # inches of a line of the caption


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a picture of a map needs.

    Args:
        points: (rows, 2 or 3) places, finite.
        labels: (rows,) class numbers; -1 is drawn grey.
        names: class names.
        axes: names of the axes.
        title: what is shown: the model, or the file that was loaded.
        note: how it was made and how faithful it is; stands below the picture.
        pale: (rows,) bool, rows whose labels drew the map and which therefore prove nothing; None = no such rows.

    Raises:
        ShapeError: lengths or dimensions that do not fit each other.
    """

    points: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    axes: tuple[str, ...]
    title: str
    note: str
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
    """Draw one map in two or three dimensions, with its legend, and its note below.

    Args:
        drawing: the map.
    """
    lines = textwrap.wrap(plain(drawing.note, 600), 128)
    below = LINE * len(lines) + 0.15
    height = HEIGHT + below
    figure = new_figure(WIDTH, height)
    place = (0.085, (below + 0.5) / height, 0.68, (HEIGHT - 0.95) / height)
    axes = figure.add_axes(place, projection="3d" if drawing.points.shape[1] == 3 else None)
    draw_rows(axes, drawing, size=float(np.clip(9000 / max(len(drawing.points), 1), 4, 34)))
    name_axes(axes, drawing.axes)
    figure.text(place[0], 1 - 0.3 / height, plain(drawing.title, 90), fontsize=10.5, fontweight="bold", color=INK)
    figure.text(place[0], 0.06 / height, "\n".join(lines), fontsize=7.5, color=MUTED, va="bottom")
    handles, labels = legend_entries(drawing.names, drawing.labels)
    if handles:
        figure.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(place[0] + place[2] + 0.01, 1 - 0.45 / height),
            borderaxespad=0, frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.3, labelspacing=0.5,
        )  # fmt: skip
    return figure


def draw_rows(axes: Axes, drawing: Drawing, *, size: float) -> None:
    """Put the rows of a map on axes, in a mixed order, so that no class covers the others because it comes last.

    Args:
        axes: two- or three-dimensional axes.
        drawing: the map.
        size: area of a mark, in points.
    """
    order = np.random.default_rng(0).permutation(len(drawing.points))
    pale = np.zeros(len(order), bool) if drawing.pale is None else drawing.pale
    marks = [(MUTED, "o") if label < 0 else (look(label).colour, look(label).marker) for label in drawing.labels]
    groups = dict.fromkeys(sorted({(not faint, mark) for faint, (_, mark) in zip(pale, marks, strict=True)}))
    for full, marker in groups:
        chosen = [row for row in order if marks[row][1] == marker and pale[row] != full]
        places, colours = list(drawing.points[chosen].T), [marks[row][0] for row in chosen]
        alpha = 0.7 if full else 0.15
        depth: dict[str, Any] = {"zs": places[2]} if len(places) == 3 else {}
        axes.scatter(places[0], places[1], s=size, c=colours, marker=marker, alpha=alpha, linewidths=0, **depth)


def name_axes(axes: Axes, names: Sequence[str], *, size: float = 8.5) -> None:
    """Name the axes; the unit of a flat map is as long on both.

    Args:
        axes: two- or three-dimensional axes.
        names: as many names as dimensions.
        size: of the letters.
    """
    axes.set_xlabel(plain(names[0], 60), color=MUTED, fontsize=size)
    axes.set_ylabel(plain(names[1], 60), color=MUTED, fontsize=size)
    if len(names) == 3:
        axes.set_zlabel(plain(names[2], 60), color=MUTED, fontsize=size)  # type: ignore[attr-defined]
        axes.tick_params(colors=MUTED, labelsize=size - 1.5)
        return
    quiet(axes)
    axes.set_aspect("equal", adjustable="datalim")


def legend_entries(names: Sequence[str], labels: np.ndarray) -> tuple[list[Line2D], list[str]]:
    """Marks and texts of a legend; a long list is cut and says so.

    Args:
        names: class names.
        labels: (rows,) class numbers, -1 where there is none.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    shown = names if len(names) <= LEGEND else names[: LEGEND - 1]
    styles = [look(place) for place in range(len(shown))]
    handles = [Line2D([], [], color=style.colour, marker=style.marker, ls="", markersize=5.5) for style in styles]
    texts = [f"{plain(name, 20)} ({count})" for name, count in zip(shown, counts, strict=False)]
    if len(shown) < len(names):
        handles.append(Line2D([], [], ls=""))
        texts.append(f"and {len(names) - len(shown)} more classes")
    missing = int((labels < 0).sum())
    if missing:
        handles.append(Line2D([], [], color=MUTED, marker="o", ls="", markersize=5.5))
        texts.append(f"no label ({missing})")
    return handles, texts
