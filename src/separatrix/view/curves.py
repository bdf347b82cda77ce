"""Curves: the course of a training (loss, score with its baseline, centroids, shape), and the variance explained.

The panels of a training are drawn by matplotlib (`curves`) and by the report. A panel without any number is left out,
a number that is missing is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import ACCENT, COLOURS, MUTED, look

LINE_COLOURS = (ACCENT, COLOURS[6], COLOURS[8])
MOST = 0.9  # share that the legend of a variance counts directions for

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line: x and y of the same length, NaN where a number is missing. A baseline is drawn dashed."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    baseline: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines that share two axes."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


# Title, y axis, (name, path into the row, is a baseline).
PANELS: tuple[tuple[str, str, tuple[tuple[str, str, bool], ...]], ...] = (
    ("Loss", "loss", (("train", "loss", False), ("validation", "validation.loss", False))),
    ("Validation score", "score (fraction)", (
        ("accuracy", "validation.accuracy", False), ("macro F1", "validation.macro_f1", False),
        ("majority", "validation.majority", True),
    )),
    ("Validation error", "root mean square error", (
        ("model", "validation.rmse", False), ("mean of train", "validation.baseline_rmse", True),
    )),
    ("Centroids", "Euclidean distance", (
        ("mean pair", "centroids.mean", False), ("nearest pair", "centroids.min", False),
        ("moved", "centroids.moved", False),
    )),
    ("Shape of the validation vectors", "0 when collapsed", (
        ("alignment", "validation.alignment", False), ("NC1: within over between", "validation.nc1", False),
        ("NC2: angles", "validation.nc2_angle", False), ("NC2: lengths", "validation.nc2_norm", False),
        ("NC4: other than nearest mean", "validation.nc4", False),
    )),
)  # fmt: skip


def panels(metrics: Sequence[Record]) -> tuple[Panel, ...]:
    """Collect the panels for which there are numbers in the rows of `metrics.jsonl`; any key may be missing.

    >>> [panel.title for panel in panels([{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.5}])]
    ['Loss']
    >>> panels([{"epoch": 1, "loss": 0.9}, {"epoch": 2}])[0].lines[0]
    Line(name='train', x=(1.0, 2.0), y=(0.9, nan), baseline=False)
    """
    x_label, x = _moments(metrics)
    drawn = []
    for title, y_label, specs in PANELS:
        lines = [Line(name, x, tuple(number(row, path) for row in metrics), dashed) for name, path, dashed in specs]
        lines = [line for line in lines if any(math.isfinite(value) for value in line.y)]
        if lines:
            drawn.append(Panel(title, x_label, y_label, tuple(lines)))
    return tuple(drawn)


def _moments(metrics: Sequence[Record]) -> tuple[str, tuple[float, ...]]:
    """Find the first of epoch, step and row number that every row has."""
    for key in ("epoch", "step"):
        values = tuple(number(row, key) for row in metrics)
        if values and all(math.isfinite(value) for value in values):
            return key, values
    return "row", tuple(map(float, range(1, len(metrics) + 1)))


def number(row: Record, path: str) -> float:
    """Read the finite number at a path of a nested row, keys joined by dots, or NaN.

    >>> number({"validation": {"loss": 0.5}}, "validation.loss"), number({"validation": None}, "loss")
    (0.5, nan)
    """
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return math.nan
    return float(value)


def curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss, validation score with the majority baseline dashed, and centroid distance over the epochs.

    Args:
        metrics: rows of `metrics.jsonl`; panels without numbers are left out, and with none the sheet says so.
    """
    drawn = panels(metrics)
    figure = new_figure(4.0 * max(len(drawn), 1), 3.3)
    if not drawn:
        figure.text(0.5, 0.5, "no metrics were recorded", ha="center", color=MUTED)
    width = 1 / max(len(drawn), 1)
    for column, panel in enumerate(drawn):
        edge = 0.16 * width  # room for the numbers of the axis
        axes = figure.add_axes((column * width + edge, 0.15, width - edge - 0.05 * width, 0.7))
        _draw_panel(axes, panel)
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    quiet(axes)
    headline(axes, panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    for index, line in enumerate(panel.lines):
        points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
        x, y = zip(*points, strict=True)
        if line.baseline:
            dashed: dict[str, Any] = {"color": MUTED, "linestyle": (0, (4, 3)), "linewidth": 1.3, "label": line.name}
            _ = axes.axhline(y[0], **dashed) if len(x) == 1 else axes.plot(x, y, **dashed)
        else:
            colour = LINE_COLOURS[index % len(LINE_COLOURS)]
            axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=3 if len(x) > 1 else 5, label=line.name)
    if len(panel.lines[0].x) == 1:
        axes.set_xticks(panel.lines[0].x)
    axes.margins(x=0.04, y=0.12)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)


def draw_variance(shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw the summed share of the variance over the number of directions, a line for each set of points.

    Shares are (directions,) along the principal directions, largest first.
    """
    figure = new_figure(5.4, 3.6)
    axes = figure.add_axes((0.12, 0.15, 0.83, 0.73))
    quiet(axes)
    headline(axes, "Explained variance")
    for line, (name, share) in enumerate(shares.items()):
        total = np.cumsum(share)
        axes.plot(
            np.arange(1, len(total) + 1), total, color=look(line).colour, linewidth=1.8,
            marker="o", markersize=3, label=f"{plain(name, 40)}: {_reach(total)}",
        )  # fmt: skip
    axes.axvline(2, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
    axes.set_xlabel("principal directions (dashed: the two that a flat picture shows)")
    axes.set_ylabel("share of the variance, summed")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_ylim(0, 1.03)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED, loc="lower right")
    return figure


def _reach(total: np.ndarray) -> str:
    """In words, how many directions hold most of the variance."""
    if not len(total) or total[-1] < MOST:
        return f"{total[-1] if len(total) else 0:.0%} in {len(total)}"
    return f"{MOST:.0%} in {int(np.argmax(total >= MOST)) + 1}, {total[min(1, len(total) - 1)]:.0%} in 2"
