"""How much of the variance the first directions hold: what a flat picture by PCA can show at most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import MUTED, look

MOST = 0.9  # share that the legend counts directions for


def draw_variance(shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw the summed share of the variance over the number of directions, a line for each set of points.

    Args:
        shares: name -> (directions,) share of the variance along each principal direction, largest first.
    """
    figure = new_figure(5.4, 3.6)
    axes = figure.add_axes((0.12, 0.15, 0.83, 0.73))
    quiet(axes)
    headline(axes, "Explained variance")
    for place, (name, found) in enumerate(shares.items()):
        total = np.cumsum(found)
        axes.plot(
            np.arange(1, len(total) + 1), total, color=look(place).colour, linewidth=1.8,
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
