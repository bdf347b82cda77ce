"""What the pictures of the head atlas share: the findings they draw, sheets of layers and heads, panels, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from separatrix.view.canvas import headline, new_figure, quiet
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED, mix

RAMP = LinearSegmentedColormap.from_list("accent", ["#ffffff", "#a9d0cf", ACCENT, "#062f31"])
# For values of both signs: brown below 0, white at 0.
BOTH_SIGNS = LinearSegmentedColormap.from_list(
    "both", ["#5b2c04", "#c2741f", "#f0cfa5", "#ffffff", "#a9d0cf", ACCENT, "#062f31"]
)
CLUSTER_COLOURS = tuple(colour for number, colour in enumerate(COLOURS) if number not in (3, 8))  # grey means noise
CAPTION, FOOT = 0.6, 0.55  # inches for `caption` and `key`
MOST_CLUSTERS = 24  # with a panel of their own


@dataclass(frozen=True)
class Findings:
    """What there is to draw."""

    features: Sequence[Mapping[str, Any]]  # a line for each feature
    variance: Mapping[str, Sequence[float]]  # feature -> shares of its components
    clusters: Mapping[str, Any]  # figures of kmeans and dbscan: option, criterion, what was tried (`grid`), `curve`
    noise: Mapping[str, Sequence[Mapping[str, Any]]]  # method -> a line for each layer
    table: pd.DataFrame  # rows with `cluster`, `layer`, `head`
    heads: pd.DataFrame  # one line a head
    distances: NDArray[np.floating]  # (heads, heads)
    maps: Mapping[int, NDArray[np.floating]]  # cluster -> (1 + exemplars, cells, cells), the mean first
    exemplars: Mapping[int, Sequence[tuple[int, int, int]]]  # cluster -> window, layer and head of each exemplar

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads."""
        return int(self.heads["layer"].max()) + 1, int(self.heads["head"].max()) + 1

    @property
    def order(self) -> list[int]:
        """Clusters, the largest first; noise is left out."""
        counts = self.table["cluster"].value_counts()
        return [int(name) for name in counts.index if name >= 0][:MOST_CLUSTERS]


@dataclass(frozen=True)
class Picture:
    """A figure and its numbers."""

    name: str  # of the file
    title: str
    figure: Figure
    data: pd.DataFrame


def cluster_colour(cluster: int) -> str:
    """The colour of a cluster; eight that stay apart, then lighter ones; noise is grey.

    >>> cluster_colour(0), cluster_colour(-1)
    ('#3f90da', '#d5d8dd')
    """
    if cluster < 0:
        return "#d5d8dd"
    turn, number = divmod(cluster, len(CLUSTER_COLOURS))
    return mix(CLUSTER_COLOURS[number], "#ffffff", min(0.3 * turn, 0.75))


def sheet(columns: int, rows: int, title: str) -> tuple[Figure, Axes]:
    """A figure with one grid of layers and heads."""
    width, height = 1.1 + 0.34 * columns, 1.15 + 0.34 * rows
    figure = new_figure(width, height)
    axes = figure.add_axes((0.65 / width, 0.6 / height, 0.34 * columns / width, 0.34 * rows / height))
    grid_axes(axes, rows, columns)
    headline(axes, title)
    return figure, axes


def grid_axes(axes: Axes, layers: int, heads: int, *, labels: bool = True) -> None:
    """Axes of layers (down) and heads (across), without loud lines."""
    axes.set_xlim(-0.5, heads - 0.5)
    axes.set_ylim(layers - 0.5, -0.5)
    for spine in axes.spines.values():
        spine.set_color(HAIR)
    axes.tick_params(length=0, labelsize=7, labelcolor=MUTED)
    if labels:
        axes.set_xticks(range(heads))
        axes.set_yticks(range(layers))
        axes.set_xlabel("head", color=MUTED, fontsize=8)
        axes.set_ylabel("layer", color=MUTED, fontsize=8)
    else:
        axes.set_xticks([])
        axes.set_yticks([])


def panels(
    count: int, columns: int, cell: tuple[float, float], top: float = 0.1, foot: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, in rows from the top; `top` and `foot` are inches kept free."""
    rows = -(-count // columns)
    width, height = columns * cell[0] + 0.1, rows * cell[1] + top + foot
    figure = new_figure(width, height)
    places = []
    for number in range(count):
        row, column = divmod(number, columns)
        left, bottom = column * cell[0] + 0.12, height - top - (row + 1) * cell[1] + 0.12
        box = (left / width, bottom / height, (cell[0] - 0.24) / width, (cell[1] - 0.42) / height)
        places.append(figure.add_axes(box))
    return figure, places


def caption(figure: Figure, title: str, *notes: str) -> None:
    """The heading of a figure of panels, and what must be known to read it; needs `CAPTION` inches at the top."""
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.08 / height, title, fontsize=10.5, fontweight="bold", color=INK, va="top")
    for line, note in enumerate(notes):
        figure.text(0.012, 1 - (0.3 + 0.16 * line) / height, note, fontsize=7.5, color=MUTED, va="top")


def key(figure: Figure, norm: Normalize, ticks: Sequence[float], text: str, *, unit: float = 1) -> None:
    """A bar at the foot of a figure that says which colour means which number (times `unit`); needs `FOOT` inches."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.15 / width, 0.34 / height, 1.6 / width, 0.1 / height))
    bar = figure.colorbar(ScalarMappable(norm, RAMP), cax=axes, orientation="horizontal", ticks=ticks)
    bar.ax.set_xticklabels([f"{tick * unit:g}" for tick in ticks])
    bar.outline.set_edgecolor(HAIR)
    axes.tick_params(length=0, labelsize=7, labelcolor=MUTED)
    axes.minorticks_off()
    figure.text(1.9 / width, 0.39 / height, text, fontsize=7.5, color=MUTED, va="center")


def chart(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one quiet chart."""
    width = 4.6  # inches
    figure = new_figure(width, 3.0)
    axes = figure.add_axes((0.62 / width, 0.16, 1 - 0.8 / width, 0.7))
    quiet(axes)
    headline(axes, title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
