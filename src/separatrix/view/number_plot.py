"""Predicted against true numbers: a dot a text, and the line on which every answer would be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from separatrix.errors import ShapeError
from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import ACCENT, MUTED

UNIT = "unit of the labels"
SIDE = 4.6  # inches


@dataclass(frozen=True, eq=False)
class Numbers:
    """Answers of a regression beside the truth, both in the unit of the labels.

    Raises:
        ShapeError: no rows, or as many answers as labels are missing.
    """

    truth: np.ndarray  # (rows,) what the labels say
    predicted: np.ndarray  # (rows,) what was answered
    note: str = ""  # what stands below the picture, such as the error

    def __post_init__(self) -> None:
        if not len(self.truth) or self.truth.shape != self.predicted.shape:
            got = f"{self.truth.shape} and {self.predicted.shape}"
            raise ShapeError("every true number needs an answer", got=got, expected="two equal lengths")

    @property
    def limits(self) -> tuple[float, float]:
        """The range that both axes have, with a margin.

        >>> Numbers(np.array([0.0, 10.0]), np.array([5.0, 20.0])).limits
        (-1.0, 21.0)
        """
        both = np.concatenate([self.truth, self.predicted])
        low, high = float(both.min()), float(both.max())
        margin = 0.05 * (high - low) or 1.0
        return low - margin, high + margin


def against(numbers: Numbers) -> Figure:
    """Draw predicted against true numbers; both axes have one range, so that the line of equality is a diagonal."""
    figure = new_figure(SIDE, SIDE + 0.3)
    axes = figure.add_axes((0.15, 0.165, 0.8, 0.76))
    quiet(axes)
    limits = numbers.limits
    axes.plot(limits, limits, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.3, label="equal", zorder=2)
    size = float(np.clip(9000 / len(numbers.truth), 8, 34))
    axes.scatter(numbers.truth, numbers.predicted, s=size, color=ACCENT, alpha=0.6, linewidths=0, zorder=3)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    axes.set_xlabel(f"true ({UNIT})")
    axes.set_ylabel(f"predicted ({UNIT})")
    headline(axes, "Predicted against true")
    figure.text(0.02, 0.022, plain(numbers.note, 90), fontsize=7.5, color=MUTED)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED, loc="upper left")
    return figure
