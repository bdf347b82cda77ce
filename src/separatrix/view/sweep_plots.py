"""Pictures of a sweep: a figure against an axis, and against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import MUTED, look

NAMED = 14  # settings that are named in the picture of costs
_EDGE, _BESIDE = 1.0, 1.05  # share of the axes where lines end, and where their names begin
_LINE_HEIGHT = 0.062  # of a name, in shares of the axes
_NAME = 42  # signs of a name
_DASHES = (0, (4, 3))
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
    ends = list[_End]()
    for number, (name, points) in enumerate(series.items()):
        style, x = look(number), [point.x for point in points]
        for point in points:
            if point.low is not None and point.high is not None:
                axes.plot([point.x, point.x], [point.low, point.high], color=style.colour, linewidth=1, alpha=0.6)
        axes.plot(
            x, [point.mean for point in points], color=style.colour, marker=style.marker, markersize=4, linewidth=1.6,
        )  # fmt: skip
        ends.append(_End(points[-1].mean, name, style.colour, style.marker))
    for name, level in levels.items():
        axes.axhline(level, color=MUTED, linestyle=_DASHES, linewidth=1.1)
        ends.append(_End(level, name, MUTED))
    every = sorted({point.x for points in series.values() for point in points})
    if every[0] > 0 and every[-1] / every[0] >= FAR:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(every, [f"{x:g}" for x in every])
    axes.set_xlabel(plain(names[0], 40))
    axes.set_ylabel(plain(names[1], 60))
    _name_ends(axes, ends)
    return figure


@dataclass(frozen=True)
class _End:
    """Where a line ends, at the right edge, and what it is called there."""

    y: float
    name: str
    colour: str
    marker: str | None = None  # of a series; a level is dashed


def _name_ends(axes: Axes, ends: Sequence[_End]) -> None:
    """Write each name beside the end of its line, or as near as the names beside it let it stand."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    ends = sorted(ends, key=lambda end: end.y)
    wanted = [(end.y - low) / (high - low) for end in ends]
    beside = axes.get_yaxis_transform()  # x in shares of the axes, y in data
    for end, height in zip(ends, pushed_apart(wanted, _LINE_HEIGHT), strict=True):
        y = low + height * (high - low)
        axes.plot(
            [_EDGE, _BESIDE], [end.y, y], transform=beside, clip_on=False, color=end.colour, linewidth=0.9,
            linestyle="-" if end.marker else _DASHES,
        )  # fmt: skip
        axes.plot(
            [_BESIDE], [y], transform=beside, clip_on=False, color=end.colour, marker=end.marker or "", markersize=4
        )
        axes.annotate(
            plain(_middle_left_out(end.name, _NAME), _NAME), (_BESIDE + 0.025, y), xycoords=("axes fraction", "data"),
            fontsize=7.5, color=MUTED, va="center", annotation_clip=False,
        )  # fmt: skip


def pushed_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved as little as it takes to stand a gap apart, in the mean where they were.

    >>> [round(height, 2) for height in pushed_apart([0.1, 0.5, 0.5, 0.52], 0.1)]
    [0.1, 0.41, 0.51, 0.61]
    """
    heaps: list[list[float]] = []  # that touch: what each of their names wants
    for height in heights:
        heaps.append([height])
        while len(heaps) > 1 and _low(heaps[-1], gap) < _low(heaps[-2], gap) + gap * len(heaps[-2]):
            last = heaps.pop()
            heaps[-1] += last
    return [_low(heap, gap) + gap * number for heap in heaps for number in range(len(heap))]


def _low(heap: Sequence[float], gap: float) -> float:
    """Height of the lowest of names that touch."""
    return sum(heap) / len(heap) - gap * (len(heap) - 1) / 2


def _middle_left_out(name: str, limit: int) -> str:
    """A long name by its beginning and its end, where names of one kind differ.

    >>> _middle_left_out("probe, model=a-very-long-name, depth=10", 25)
    'probe, mode...e, depth=10'
    """
    half = (limit - 3) // 2
    return name if len(name) <= limit else f"{name[:half]}...{name[-(limit - half - 3) :]}"


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
