"""A table of figures as coloured cells with the numbers written in: encoders and layers by poolings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain
from separatrix.view.palette import ACCENT, HAIR, INK, MUTED


def heatmap(
    values: np.ndarray,
    names: tuple[Sequence[str], Sequence[str]],
    *,
    title: str,
    note: str,
    best: tuple[int, int] | None = None,
) -> Figure:
    """Draw figures as cells, the darker the higher; a missing one (NaN) stays empty.

    Args:
        values: (rows, columns).
        names: names of the rows and of the columns.
        title: what the figures are.
        note: what decides, and what they would be for nothing.
        best: row and column of the cell that is framed.

    Raises:
        ShapeError: the names do not fit, or no figure at all.
    """
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or (len(names[0]), len(names[1])) != cells.shape or not np.isfinite(cells).any():
        got = f"shape {cells.shape} with {len(names[0])} and {len(names[1])} names"
        raise ShapeError("a heat map needs figures with names", got=got, expected="(rows, columns) as many")
    left, bottom, right, top = 2.6, 0.55, 0.3, 0.75
    side = (max(0.85 * cells.shape[1], 3.2), max(0.34 * cells.shape[0], 0.7))
    width, height = left + side[0] + right, bottom + side[1] + top
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, side[0] / width, side[1] / height))
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    colours = LinearSegmentedColormap.from_list("accent", ["#ffffff", "#a9d0cf", ACCENT])
    axes.imshow(np.ma.masked_invalid(cells), cmap=colours, vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
    _label(axes, names)
    _write(axes, cells, low, high)
    if best is not None:
        row, column = best
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.6, clip_on=False)
        )
    figure.text(0.15 / width, 1 - 0.2 / height, plain(title, 80), fontsize=10.5, fontweight="bold", color=INK, va="top")
    figure.text(0.15 / width, 1 - 0.42 / height, plain(note, 120), fontsize=8, color=MUTED, va="top")
    return figure


def _label(axes: Axes, names: tuple[Sequence[str], Sequence[str]]) -> None:
    axes.set_yticks(range(len(names[0])), [plain(name, 36) for name in names[0]])
    axes.set_xticks(range(len(names[1])), [plain(name, 16) for name in names[1]])
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_color(HAIR)


def _write(axes: Axes, cells: np.ndarray, low: float, high: float) -> None:
    span = max(high - low, 1e-9)
    for row, column in np.argwhere(np.isfinite(cells)):
        value = cells[row, column]
        colour = "white" if (value - low) / span > 0.75 else INK
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color=colour)
