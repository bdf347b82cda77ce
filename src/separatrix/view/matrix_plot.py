"""Who is taken for whom: a confusion matrix, coloured by the share of each gold class, with the counts written in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from separatrix.errors import ShapeError
from separatrix.view.canvas import new_figure, plain
from separatrix.view.palette import ACCENT, HAIR, INK, MUTED

SHARES_UP_TO = 12  # classes; with more there is room for counts only


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; a class without rows keeps zeros.

    Args:
        matrix: (classes, classes) counts, gold by predicted.

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
    totals = counts.sum(axis=1, keepdims=True)
    return counts / np.maximum(totals, 1)


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw counts and row shares; the sheet grows with the number of classes.

    Args:
        matrix: (classes, classes) counts, gold by predicted.
        names: (classes,) class names.

    Raises:
        ShapeError: not square, a count below zero, or another number of names.
    """
    counts, shares = np.asarray(matrix), row_shares(matrix)
    if len(names) != len(counts):
        raise ShapeError("every class needs a name", got=f"{len(names)} names", expected=len(counts))
    cell = 0.62 if len(counts) <= SHARES_UP_TO else 0.3 if len(counts) <= 25 else 0.235  # inches
    side = max(cell * len(counts), 2.2)
    left, bottom, right, top = 1.75, 1.4, 0.25, 0.75
    width, height = left + side + right, bottom + side + top
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    colours = LinearSegmentedColormap.from_list("accent", ["#ffffff", "#a9d0cf", ACCENT])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    _label_axes(axes, counts, names)
    _write_cells(axes, counts, shares)
    figure.text(0.15 / width, 1 - 0.2 / height, "Confusion", fontsize=10.5, fontweight="bold", color=INK, va="top")
    what = (
        "rows and share of the gold class" if len(counts) <= SHARES_UP_TO else "rows; colour: share of the gold class"
    )
    figure.text(0.15 / width, 1 - 0.42 / height, what, fontsize=8, color=MUTED, va="top")
    return figure


def _label_axes(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    size = 8.5 if len(counts) <= SHARES_UP_TO else 7 if len(counts) <= 25 else 6
    totals = counts.sum(axis=1)
    axes.set_xticks(
        range(len(counts)), [plain(name, 20) for name in names], rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(counts)), [f"{plain(name, 20)} ({n})" for name, n in zip(names, totals, strict=True)])
    axes.tick_params(length=0, labelsize=size, labelcolor=INK)
    axes.set_xlabel("predicted", color=MUTED, fontsize=8.5)
    axes.set_ylabel("gold (rows)", color=MUTED, fontsize=8.5)
    for spine in axes.spines.values():
        spine.set_color(HAIR)


def _write_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    few = len(counts) <= SHARES_UP_TO
    size = 8.5 if few else 6.5 if len(counts) <= 25 else 5.8
    for gold, guess in np.argwhere(counts > 0):
        share = shares[gold, guess]
        text = f"{counts[gold, guess]}\n{share:.2f}" if few else f"{counts[gold, guess]}"
        colour = "white" if share > 0.75 else INK
        axes.text(guess, gold, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.1)
