"""The condensed tree of HDBSCAN as icicles: a bar per node, as wide as it has rows, from its birth to its death."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from separatrix.view.canvas import headline, new_figure, quiet
from separatrix.view.palette import HAIR, INK, MUTED, look

NAMED = 40  # clusters whose number is written in

Row = Mapping[str, Any]


def condensed_tree(lines: Sequence[Row]) -> Figure:
    """Draw the nodes from the root at the top; those taken as clusters are coloured and numbered.

    Args:
        lines: a mapping per node, parents first: node, parent, birth, death (lambda = 1 / distance; None where it is
            infinite), size, cluster (-1: none).
    """
    rows = lines[0]["size"]
    finite = [line[key] for line in lines for key in ("birth", "death") if line[key] is not None]
    depth = 1.05 * max(finite) or 1.0
    figure = new_figure(8.0, 4.6)
    axes = figure.add_axes((0.1, 0.11, 0.87, 0.76))
    quiet(axes)
    axes.grid(visible=False, axis="x")
    for line, left in zip(lines, _places(lines), strict=True):
        _draw_node(axes, line, left, rows, depth)
    axes.set_xlim(0, rows)
    first = min((line["birth"] for line in lines[1:] if line["birth"] is not None), default=0.0)
    axes.set_ylim(depth, 0.85 * first)  # above its first split the root is one bar
    axes.set_xlabel("rows at birth (side by side)")
    axes.set_ylabel("lambda = 1 / distance")
    headline(axes, "Condensed tree")
    clusters = sum(line["cluster"] >= 0 for line in lines)
    note = f"{rows} rows, {len(lines)} nodes, {clusters} taken as clusters"
    figure.text(0.97, 0.93, note, fontsize=8, color=MUTED, ha="right")
    return figure


def _places(lines: Sequence[Row]) -> list[float]:
    """Left edge of each node: children stand side by side in the middle of their parent."""
    children: dict[int, list[int]] = {}
    for place, line in enumerate(lines):
        children.setdefault(line["parent"], []).append(place)
    left = [0.0] * len(lines)
    for place, line in enumerate(lines):
        below = children.get(line["node"], [])
        edge = left[place] + (line["size"] - sum(lines[child]["size"] for child in below)) / 2
        for child in below:
            left[child] = edge
            edge += lines[child]["size"]
    return left


def _draw_node(axes: Axes, line: Row, left: float, rows: int, depth: float) -> None:
    birth = depth if line["birth"] is None else line["birth"]
    death = depth if line["death"] is None else line["death"]
    taken = line["cluster"] >= 0
    colour = look(line["cluster"]).colour if taken else HAIR
    edge = "white" if line["size"] > rows / 200 else colour
    box = Rectangle((left, birth), line["size"], death - birth, facecolor=colour, edgecolor=edge, linewidth=0.8)
    axes.add_patch(box)
    if taken and line["cluster"] < NAMED and line["size"] > rows / 60:
        middle = (left + line["size"] / 2, (birth + death) / 2)
        text = f"{line['cluster']}: {line['size']}"
        axes.annotate(text, middle, ha="center", va="center", fontsize=7.5, color=INK, annotation_clip=True)
