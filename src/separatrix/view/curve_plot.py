"""The course of a training as curves, each score beside its baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from separatrix.view.canvas import headline, new_figure, quiet
from separatrix.view.palette import ACCENT, COLOURS, MUTED
from separatrix.view.panels import Panel, panels

LINE_COLOURS = (ACCENT, COLOURS[6], COLOURS[8])


def curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss, validation score with the majority baseline dashed, and centroid distance over the epochs.

    Args:
        metrics: rows of `metrics.jsonl`; panels without numbers are left out, and with none the sheet says so.
    """
    found = panels(metrics)
    figure = new_figure(4.0 * max(len(found), 1), 3.3)
    if not found:
        figure.text(0.5, 0.5, "no metrics were recorded", ha="center", color=MUTED)
    width = 1 / max(len(found), 1)
    for place, panel in enumerate(found):
        edge = 0.16 * width  # room for the numbers of the axis
        axes = figure.add_axes((place * width + edge, 0.15, width - edge - 0.05 * width, 0.7))
        _draw_panel(axes, panel)
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    quiet(axes)
    headline(axes, panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    for place, line in enumerate(panel.lines):
        points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
        x, y = zip(*points, strict=True)
        if line.baseline:
            if len(x) == 1:
                axes.axhline(y[0], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.3, label=line.name)
            else:
                axes.plot(x, y, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.3, label=line.name)
        else:
            colour = LINE_COLOURS[place % len(LINE_COLOURS)]
            axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=3 if len(x) > 1 else 5, label=line.name)
    if len(panel.lines[0].x) == 1:
        axes.set_xticks(panel.lines[0].x)
    axes.margins(x=0.04, y=0.12)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
