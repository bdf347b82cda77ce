"""Tables as coloured cells with numbers written in: confusion, encoders by poolings, associations, grids of DBSCAN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED

SHARES_UP_TO = 12  # classes; with more there is room for counts only
WRITTEN = 16  # columns of an association up to which counts are written in
REACH = 4.0  # standardised residual at which a colour is full at the earliest
SHARE = LinearSegmentedColormap.from_list("accent", ["#ffffff", "#a9d0cf", ACCENT])
RESIDUAL = LinearSegmentedColormap.from_list("residual", [COLOURS[6], "#ffffff", ACCENT])
NOISE = LinearSegmentedColormap.from_list("noise", ["#ffffff", COLOURS[3], MUTED])

Record = Mapping[str, Any]
Names = tuple[Sequence[str], Sequence[str]]  # of the rows, of the columns
CellTexts = dict[tuple[int, ...], tuple[str, bool]]  # row and column -> what is written there, whether on dark ground


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches and points."""

    cell: tuple[float, float]  # width, height
    least: tuple[float, float]  # of all cells together
    margins: tuple[float, float, float, float]  # left, bottom, right, top
    label: float  # size of the names
    text: float  # and of what is written into the cells
    slanted: bool = True
    lines: float = 1.2  # distance of two lines in a cell


def _draw(
    values: np.ndarray,
    texts: CellTexts,
    names: Names,
    layout: _Layout,
    colours: Colormap,
    limits: tuple[float, float],
    heading: tuple[str, str],
    axes_names: tuple[str, str] = ("", ""),
) -> tuple[Figure, Axes, AxesImage]:
    """Draw cells (rows, columns); `texts` has what is written into a cell, and whether its ground is dark."""
    left, bottom, right, top = layout.margins
    wide, high = (max(layout.cell[side] * values.shape[1 - side], layout.least[side]) for side in (0, 1))
    width, height = left + wide + right, bottom + high + top
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    ground = np.ma.masked_invalid(values)
    image = axes.imshow(ground, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if layout.slanted else {}
    axes.set_xticks(range(len(names[1])), [plain(name, 20) for name in names[1]], **slant)
    axes.set_yticks(range(len(names[0])), [plain(name, 36) for name in names[0]])
    axes.tick_params(length=0, labelsize=layout.label, labelcolor=INK)
    axes.set_ylabel(plain(axes_names[0], 40), color=MUTED, fontsize=8.5)
    axes.set_xlabel(plain(axes_names[1], 40), color=MUTED, fontsize=8.5)
    for spine in axes.spines.values():
        spine.set_color(HAIR)
    for (row, column), (text, dark) in texts.items():
        axes.text(
            column, row, text, ha="center", va="center", fontsize=layout.text, color="white" if dark else INK,
            linespacing=layout.lines,
        )  # fmt: skip
    title, note = heading
    edge = 0.15 / width
    figure.text(edge, 1 - 0.2 / height, plain(title, 80), fontsize=10.5, fontweight="bold", color=INK, va="top")
    figure.text(edge, 1 - 0.42 / height, plain(note, 140), fontsize=8, color=MUTED, va="top")
    return figure, axes, image


def _frame(axes: Axes, row: int, column: int) -> None:
    """A frame around one cell."""
    box = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.6, clip_on=False)
    axes.add_patch(box)


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Each row of counts (gold by predicted) divided by its sum; a class without rows keeps zeros.

    Raises:
        ShapeError: not square, or a count below zero.

    >>> row_shares(np.array([[3, 1], [0, 0]])).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError("a confusion matrix is square", got=counts.shape, expected="(classes, classes)")
    if counts.min() < 0:
        raise ShapeError("a confusion matrix holds counts", got=counts.min(), expected="0 or more")
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw a confusion matrix (classes, classes), gold by predicted: counts, coloured by their share of the gold class.

    Raises:
        ShapeError: not square, a count below zero, or another number of names.
    """
    counts, shares = np.asarray(matrix), row_shares(matrix)
    if len(names) != len(counts):
        raise ShapeError("every class needs a name", got=f"{len(names)} names", expected=len(counts))
    few, some = len(counts) <= SHARES_UP_TO, len(counts) <= 25
    cell = 0.62 if few else 0.3 if some else 0.235
    layout = _Layout(
        (cell, cell), (2.2, 2.2), (1.75, 1.4, 0.25, 0.75), 8.5 if few else 7 if some else 6,
        8.5 if few else 6.5 if some else 5.8, lines=1.1,
    )  # fmt: skip
    texts: CellTexts = {}
    for gold, guess in np.argwhere(counts > 0).tolist():
        share = shares[gold, guess]
        texts[gold, guess] = (f"{counts[gold, guess]}\n{share:.2f}" if few else f"{counts[gold, guess]}", share > 0.75)
    totals = [f"{plain(name, 20)} ({n})" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    what = "rows and share of the gold class" if few else "rows; colour: share of the gold class"
    axes_names = ("gold (rows)", "predicted")
    return _draw(shares, texts, (totals, names), layout, SHARE, (0, 1), ("Confusion", what), axes_names)[0]


def heatmap(
    values: np.ndarray, names: Names, *, title: str, note: str, best: tuple[int, int] | None = None, digits: str = ".3f"
) -> Figure:
    """Draw figures as cells, the darker the higher; a missing one (NaN) stays empty.

    Args:
        values: (rows, columns).
        names: names of the rows and of the columns.
        title: what the figures are.
        note: what decides, and their value by chance.
        best: row and column of the cell that is framed.
        digits: format of the figures.

    Raises:
        ShapeError: the names do not fit, or no figure at all.
    """
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or (len(names[0]), len(names[1])) != cells.shape or not np.isfinite(cells).any():
        got = f"shape {cells.shape} with {len(names[0])} and {len(names[1])} names"
        raise ShapeError("a heat map needs figures with names", got=got, expected="(rows, columns) as many")
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    span = max(high - low, 1e-9 * abs(high)) or 1.0  # a difference of rounding is none
    indices = map(tuple, np.argwhere(np.isfinite(cells)).tolist())
    texts: CellTexts = {index: (f"{cells[index]:{digits}}", (cells[index] - low) / span > 0.75) for index in indices}
    layout = _Layout((0.85, 0.34), (3.2, 0.7), (2.6, 0.55, 0.3, 0.75), 8, 8, slanted=False)
    figure, axes, _ = _draw(cells, texts, names, layout, SHARE, (low, low + span), (title, note))
    if best is not None:
        _frame(axes, *best)
    return figure


def association_map(
    table: np.ndarray, residuals: np.ndarray, names: Names, axes_names: tuple[str, str], note: str
) -> Figure:
    """Draw a contingency table, coloured by how far each cell lies from what no association would give.

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
    layout = _Layout(
        (0.62, 0.34) if written else (0.24, 0.24), (3.6, 1.0), (1.5, 1.25, 1.0, 0.75), 8 if written else 6.5, 7.5
    )
    indices = np.ndindex(counts.shape) if written else ()
    texts: CellTexts = {index: (str(counts[index]), bool(abs(shown[index]) > 0.75 * reach)) for index in indices}
    totals = [f"{plain(name, 16)} ({n})" for name, n in zip(names[0], counts.sum(axis=1), strict=True)]
    figure, axes, image = _draw(
        shown, texts, (totals, names[1]), layout, RESIDUAL, (-reach, reach),
        (f"{axes_names[0]} x {axes_names[1]}", note), (f"{plain(axes_names[0], 30)} (rows)", axes_names[1]),
    )  # fmt: skip
    box, inch = axes.get_position(), 1 / figure.get_size_inches()[0]
    bar = figure.add_axes((box.x1 + 0.15 * inch, box.y0, 0.12 * inch, box.height))
    figure.colorbar(image, cax=bar, extend="both")
    bar.tick_params(labelsize=7, labelcolor=MUTED, length=0)
    bar.set_ylabel("standardised residual", fontsize=7.5, color=MUTED)
    return figure


def density_grid(table: Sequence[Record]) -> Figure:
    """Draw the grid of DBSCAN: clusters and share of noise of each cell; cells that did not end say so.

    A cell is a mapping with eps, min_samples, status, clusters, noise_share, and `chosen` at the one taken.
    """
    across, down = (sorted({row[name] for row in table}) for name in ("eps", "min_samples"))
    texts: CellTexts = {}
    share, chosen = np.full((len(down), len(across)), math.nan), None
    for row in table:
        index = (down.index(row["min_samples"]), across.index(row["eps"]))
        done = row["status"] == "done"
        share[index] = row["noise_share"] if done else math.nan
        text = f"{row['clusters']}\n{row['noise_share']:.1%} noise" if done else row["status"]
        texts[index] = (text, done and row["noise_share"] > 0.6)
        chosen = index if row.get("chosen") else chosen
    names = ([str(count) for count in down], [f"{eps:.3g}" for eps in across])
    layout = _Layout((1.0, 0.55), (3.2, 0.7), (0.8, 0.6, 0.25, 0.75), 8, 7.5, slanted=False)
    heading = ("DBSCAN: clusters and noise", "grey: the share of noise; framed: the cell that was taken")
    figure, axes, _ = _draw(share, texts, names, layout, NOISE, (0, 1), heading, ("min_samples", "eps"))
    if chosen is not None:
        _frame(axes, *chosen)
    return figure
