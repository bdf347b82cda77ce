"""Pictures of a sweep: a figure against an axis, and against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import MUTED, look

NAMED = 14  # settings that are named in the picture of costs
FAR = 20.0  # largest value over the smallest, from which an axis is logarithmic


@dataclass(frozen=True)
class MeanPoint:
    """A mean over seeds at a value of an axis, with the ends of its interval where there is one."""

    x: float
    mean: float
    low: float | None = None
    high: float | None = None


def axis_curves(
    series: Mapping[str, Sequence[MeanPoint]], levels: Mapping[str, float], names: tuple[str, str]
) -> Figure:
    """Draw means with their intervals against an axis, a line for each series.

    Args:
        series: name -> its points, in the order of x.
        levels: name -> a figure that has no such axis, a baseline; drawn dashed.
        names: of both axes.
    """
    figure = new_figure(7.6, 3.9)
    axes = figure.add_axes((0.095, 0.14, 0.52, 0.75))
    quiet(axes)
    headline(axes, f"{names[1]} by {names[0]}")
    for number, (name, points) in enumerate(series.items()):
        style, x = look(number), [point.x for point in points]
        for point in points:
            if point.low is not None and point.high is not None:
                axes.plot([point.x, point.x], [point.low, point.high], color=style.colour, linewidth=1, alpha=0.6)
        axes.plot(
            x, [point.mean for point in points], color=style.colour, marker=style.marker, markersize=4,
            linewidth=1.6, label=plain(name, 30),
        )  # fmt: skip
    for name, level in levels.items():
        axes.axhline(level, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.1)
        axes.annotate(plain(name, 20), (1.01, level), xycoords=("axes fraction", "data"), fontsize=7.5, color=MUTED)
    every = sorted({point.x for points in series.values() for point in points})
    if every[0] > 0 and every[-1] / every[0] >= FAR:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(every, [f"{x:g}" for x in every])
    axes.set_xlabel(plain(names[0], 40))
    axes.set_ylabel(plain(names[1], 60))
    axes.legend(frameon=False, fontsize=7.5, labelcolor=MUTED, loc="upper left", bbox_to_anchor=(1.1, 1.0))
    return figure


def quality_by_cost(costs: Mapping[str, tuple[float, float]], quality: str) -> Figure:
    """Draw a figure against the seconds of a run, a dot for each setting: name -> (seconds, figure)."""
    figure = new_figure(7.6, 3.9)
    axes = figure.add_axes((0.095, 0.14, 0.52, 0.75))
    quiet(axes)
    headline(axes, f"{quality} by seconds of a run")
    for number, (name, (seconds, value)) in enumerate(costs.items()):
        style = look(number)
        axes.scatter(
            [seconds], [value], s=32, color=style.colour, marker=style.marker, linewidths=0, zorder=3,
            label=plain(name, 36),
        )  # fmt: skip
    if len(costs) <= NAMED:
        axes.legend(frameon=False, fontsize=7, labelcolor=MUTED, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    spread = [seconds for seconds, _ in costs.values()]
    if min(spread) > 0 and max(spread) / min(spread) >= FAR:
        axes.set_xscale("log")
    axes.margins(x=0.15, y=0.12)
    axes.set_xlabel("seconds of a run (mean over seeds)")
    axes.set_ylabel(plain(quality, 60))
    return figure
