"""Clusters against a column: counts, coloured by how far each cell lies from what no association would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED

WRITTEN = 16  # columns up to which counts are written in
REACH = 4.0  # standardised residual at which a colour is full at the earliest


def association_map(
    table: np.ndarray,
    residuals: np.ndarray,
    names: tuple[Sequence[str], Sequence[str]],
    axes_names: tuple[str, str],
    note: str,
) -> Figure:
    """Draw a contingency table.

    Args:
        table: (first, second) rows.
        residuals: (first, second) adjusted standardised residuals; beyond 2 either way they are worth a look.
        names: names of the rows and of the columns of the table.
        axes_names: what the rows and the columns are.
        note: effect sizes and p-value, written on the picture.

    Raises:
        ShapeError: residuals or names do not fit the table.
    """
    counts, shown = np.asarray(table), np.asarray(residuals)
    if counts.ndim != 2 or shown.shape != counts.shape or (len(names[0]), len(names[1])) != counts.shape:
        got = f"{shown.shape} residuals, {len(names[0])} x {len(names[1])} names"
        raise ShapeError("the parts of an association do not fit", got=got, expected=f"{counts.shape}")
    reach = max(REACH, float(np.abs(shown).max()))
    written = counts.shape[1] <= WRITTEN
    cell = (0.62, 0.34) if written else (0.24, 0.24)
    side = (max(cell[0] * counts.shape[1], 3.6), max(cell[1] * counts.shape[0], 1.0))
    left, bottom, right, top = 1.5, 1.25, 1.0, 0.75
    width, height = left + side[0] + right, bottom + side[1] + top
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, side[0] / width, side[1] / height))
    colours = LinearSegmentedColormap.from_list("residual", [COLOURS[6], "#ffffff", ACCENT])
    drawn = axes.imshow(shown, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    _label(axes, counts, names, axes_names)
    if written:
        _write(axes, counts, shown, reach)
    bar = figure.add_axes(((left + side[0] + 0.15) / width, bottom / height, 0.12 / width, side[1] / height))
    figure.colorbar(drawn, cax=bar, extend="both")
    bar.tick_params(labelsize=7, labelcolor=MUTED, length=0)
    bar.set_ylabel("standardised residual", fontsize=7.5, color=MUTED)
    title = f"{axes_names[0]} x {axes_names[1]}"
    figure.text(0.15 / width, 1 - 0.2 / height, plain(title, 60), fontsize=10.5, fontweight="bold", color=INK, va="top")
    figure.text(0.15 / width, 1 - 0.43 / height, plain(note, 140), fontsize=7.5, color=MUTED, va="top")
    return figure


def _label(
    axes: Axes, counts: np.ndarray, names: tuple[Sequence[str], Sequence[str]], axes_names: tuple[str, str]
) -> None:
    size = 8 if counts.shape[1] <= WRITTEN else 6.5
    columns = [plain(name, 20) for name in names[1]]
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    totals = counts.sum(axis=1)
    lines = [f"{plain(name, 16)} ({total})" for name, total in zip(names[0], totals, strict=True)]
    axes.set_yticks(range(len(lines)), lines)
    axes.tick_params(length=0, labelsize=size, labelcolor=INK)
    axes.set_xlabel(plain(axes_names[1], 40), color=MUTED, fontsize=8.5)
    axes.set_ylabel(f"{plain(axes_names[0], 30)} (rows)", color=MUTED, fontsize=8.5)
    for spine in axes.spines.values():
        spine.set_color(HAIR)


def _write(axes: Axes, counts: np.ndarray, residuals: np.ndarray, reach: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if abs(residuals[row, column]) > 0.75 * reach else INK
        axes.text(column, row, str(count), ha="center", va="center", fontsize=7.5, color=colour)
