"""Charts of the page as SVG: they print, scale, and read without a script; the style sheet gives the colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from separatrix.reports.pack import cut
from separatrix.view import row_shares
from separatrix.view.curves import Line, Panel

WIDTH, HEIGHT = 420, 230  # of a chart of lines, in its own units
LEFT, RIGHT, TOP, LOW = 46, 12, 10, 38  # margins
NAME = 24  # signs of a name at a matrix
NUMBERED = 40  # classes up to which counts are written into a matrix
COLOURS = 6  # of lines, `line-0` and so on in the style sheet


def element(tag: str, content: str = "", **attributes: object) -> Markup:
    """An SVG element; values and content are escaped.

    >>> element("text", "a < b", x=1.50, class_="tick")
    Markup('<text x="1.5" class="tick">a &lt; b</text>')
    """
    pairs = Markup("").join(
        Markup(' {}="{}"').format(
            name.rstrip("_").replace("_", "-"), f"{value:g}" if isinstance(value, float) else value
        )
        for name, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(Markup(tag), pairs, content, Markup(tag))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two ends.

    >>> ticks(0.0, 1.0), ticks(0.13, 0.42, 3)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.2, 0.3, 0.4])
    """
    span = max(high - low, 1e-12)
    size = 10.0 ** math.floor(math.log10(span / count))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if span / (size * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(panel: Panel) -> Markup:
    """Lines over the epochs; a baseline is dashed."""
    values = [y for line in panel.lines for y in line.y if math.isfinite(y)]
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        low, high = min(low, 0.0), max(high, low + 1e-3)
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low if low == 0 else low - margin, high + margin
    xs = panel.lines[0].x
    first, last = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1

    def across(x: float) -> float:
        return round(LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def down(y: float) -> float:
        return round(TOP + (high - y) / (high - low) * (HEIGHT - TOP - LOW), 1)

    parts = []
    for y in ticks(low, high):
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=down(y), y2=down(y)))
        parts.append(element("text", f"{y:g}", class_="tick", x=LEFT - 6, y=down(y) + 4, text_anchor="end"))
    moments = [xs[0]] if len(xs) == 1 else [x for x in ticks(first, last, 6) if x in xs or x == int(x)]
    below = HEIGHT - LOW + 16
    parts += [element("text", f"{x:g}", class_="tick", x=across(x), y=below, text_anchor="middle") for x in moments]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(element("text", panel.x_label, class_="tick", x=middle, y=HEIGHT - 4, text_anchor="middle"))
    for number, line in enumerate(panel.lines):
        parts.append(_line(line, number, across, down))
    label = f"{panel.title}, {panel.y_label}, over {panel.x_label}: " + "; ".join(map(_course, panel.lines))
    return element(
        "svg", Markup("").join(parts), class_="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label
    )


def _line(line: Line, number: int, across: object, down: object) -> Markup:
    known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    style = "even" if line.baseline else f"curve line-{number % COLOURS}"
    points = " ".join(f"{across(x):g},{down(y):g}" for x, y in known)  # type: ignore[operator]
    if line.baseline and len(known) == 1:  # of one epoch: a point has no dashes
        points += f" {WIDTH - RIGHT:g},{down(known[0][1]):g}"  # type: ignore[operator]
    parts = [element("polyline", class_=style, points=points)]
    for x, y in known if not line.baseline else known[-1:]:
        title = element("title", f"{line.name}, {x:g}: {y:.4g}")
        dot = "even-dot" if line.baseline else f"dot line-{number % COLOURS}"
        parts.append(element("circle", title, class_=dot, cx=across(x), cy=down(y), r=3))  # type: ignore[operator]
    return Markup("").join(parts)


def _course(line: Line) -> str:
    known = [y for y in line.y if math.isfinite(y)]
    return f"{line.name} from {known[0]:.3g} to {known[-1]:.3g}"


def matrix(counts: np.ndarray, names: Sequence[str]) -> Markup:
    """A confusion matrix: only cells with a count are drawn, each with what it says as its title."""
    classes, shares, totals = len(names), row_shares(counts), counts.sum(axis=1)
    shown = [cut(name.replace("\n", " "), NAME) for name in names]
    longest = max(map(len, shown))
    cell = 46 if classes <= 8 else 34 if classes <= 14 else 24 if classes <= NUMBERED else 13
    font = 12.5 if cell >= 24 else 9.5
    left, low = round(font * (0.62 * longest + 4.4)), round(font * 0.45 * longest + 34)
    parts = [element("rect", class_="plate", x=left, y=4, width=cell * classes, height=cell * classes)]
    for gold, guess in np.argwhere(counts > 0).tolist():
        parts.append(_cell(counts, shares, totals, shown, (gold, guess), (left, cell)))
    for k, name in enumerate(shown):
        y, x = 4 + (k + 0.5) * cell + 0.35 * font, left + (k + 0.5) * cell
        parts.append(
            element("text", f"{name} ({totals[k]})", class_="name", x=left - 7, y=y, text_anchor="end", font_size=font)
        )
        turned = f"translate({x + 3:g} {4 + classes * cell + 13:g}) rotate(-38)"
        parts.append(element("text", name, class_="name", transform=turned, text_anchor="end", font_size=font))
    width, height = left + cell * classes + 10, 4 + cell * classes + low
    label = f"Confusion matrix of {classes} classes: {int(np.trace(counts))} of {int(counts.sum())} rows right"
    return element(
        "svg", Markup("").join(parts), class_="matrix", viewBox=f"0 0 {width} {height}", width=width, height=height,
        role="group", aria_label=label,
    )  # fmt: skip


def _cell(
    counts: np.ndarray, shares: np.ndarray, totals: np.ndarray, names: Sequence[str], at: tuple[int, int],
    size: tuple[int, int],
) -> Markup:  # fmt: skip
    (gold, guess), (left, cell) = at, size
    x, y, share = left + guess * cell, 4 + gold * cell, float(shares[gold, guess])
    label = f"{names[gold]} taken for {names[guess]}: {counts[gold, guess]} of {totals[gold]} rows, share {share:.3f}"
    shade = f"shade{' own' if gold == guess else ''}"
    parts = [element("title", label)]
    parts.append(
        element(
            "rect",
            class_=shade,
            x=x + 0.5,
            y=y + 0.5,
            width=cell - 1,
            height=cell - 1,
            fill_opacity=round(0.08 + 0.92 * share, 3),
        )
    )
    if len(names) <= NUMBERED:
        ink = "count deep" if share > 0.55 else "count"
        size_ = 13.0 if cell >= 34 else 10.5
        parts.append(
            element(
                "text",
                str(counts[gold, guess]),
                class_=ink,
                x=x + cell / 2,
                y=y + cell / 2 + 0.35 * size_,
                text_anchor="middle",
                font_size=size_,
            )
        )
    return element(
        "g",
        Markup("").join(parts),
        class_="cell",
        role="button",
        tabindex=-1,
        aria_label=label,
        data_gold=gold,
        data_guess=guess,
    )


def ruler(score: float, low: float | None, high: float | None, majority: float | None) -> Markup:
    """A score on a line, all in percent of it: stroke, bar of the interval, dashed stroke of the majority."""
    parts = [element("line", class_="way", x1=0, x2=100, y1=8, y2=8)]
    if low is not None and high is not None:
        parts.append(element("rect", class_="interval", x=low, y=4, width=round(high - low, 2), height=8))
    if majority is not None:
        parts.append(element("line", class_="majority", x1=majority, x2=majority, y1=1, y2=15))
    parts.append(element("rect", class_="score", x=round(score - 0.6, 2), y=0.5, width=1.2, height=15))
    return element(
        "svg",
        Markup("").join(parts),
        class_="ruler",
        viewBox="0 0 100 16",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
