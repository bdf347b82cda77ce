"""Pictures of a clustering: sizes, the curves that a choice is made by, the condensed tree as icicles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED, look

Record = Mapping[str, Any]

SHOWN = 60  # bars of the picture of sizes
NAMED = 40  # clusters of a tree whose number is written in
DASHED = (0, (4, 3))

# Title, column, column of the null, column of the standard error; the order is that of the panels.
K_PANELS = (
    ("Silhouette", "silhouette", "silhouette_null", ""),
    ("Distortion", "distortion", "distortion_null", ""),
    ("Inertia", "inertia", "inertia_null", ""),
    ("Stability (mean ARI)", "stability", "", "stability_error"),
)


def cluster_sizes(sizes: Sequence[int], noise: int = 0, title: str = "Cluster sizes") -> Figure:
    """Draw a bar per cluster (rows of each), in the order of their numbers, and one for the rows of noise."""
    total = sum(sizes) + noise
    shown = list(sizes[:SHOWN])
    bars = len(shown) + bool(noise)
    figure = new_figure(max(4.5, min(0.32 * bars + 1.6, 14)), 3.2)
    axes = figure.add_axes((0.13, 0.17, 0.84, 0.66))
    quiet(axes)
    axes.grid(visible=False, axis="x")
    axes.bar(range(len(shown)), shown, color=ACCENT, width=0.8)
    ticks = [str(number) for number in range(len(shown))]
    if noise:
        axes.bar([len(shown)], [noise], color=COLOURS[3], width=0.8)
        ticks.append("noise")
    axes.set_xticks(range(bars), ticks, rotation=90 if bars > 25 else 0)
    axes.set_xlabel("cluster")
    axes.set_ylabel("rows")
    axes.margins(x=0.02)
    left_out = f", the first {SHOWN} shown" if len(sizes) > SHOWN else ""
    headline(axes, title)
    note = f"{total} rows, {len(sizes)} clusters{left_out}, {noise} noise ({noise / max(total, 1):.1%})"
    figure.text(0.97, 0.95, note, fontsize=8, color=MUTED, ha="right", va="top")
    return figure


def k_curves(table: Sequence[Record], chosen: float, criterion: str) -> Figure:
    """Draw the four figures of each number of clusters, with those of the null dashed and the choice marked.

    The table is that of `choose_k`, the criterion the sentence that says why.
    """
    figure = new_figure(12.5, 3.3)
    for column, (title, name, null, error) in enumerate(K_PANELS):
        axes = figure.add_axes((0.05 + 0.242 * column, 0.16, 0.19, 0.62))
        quiet(axes)
        headline(axes, title)
        grid = [row["k"] for row in table]
        values = [row[name] for row in table]
        if error:
            spread = [row[error] for row in table]
            axes.errorbar(grid, values, yerr=spread, color=ACCENT, marker="o", markersize=3.5, linewidth=1.6)
        else:
            axes.plot(grid, values, color=ACCENT, marker="o", markersize=3.5, linewidth=1.6, label="data")
            label = "one heap, same covariance"
            axes.plot(grid, [row[null] for row in table], color=MUTED, linestyle=DASHED, linewidth=1.3, label=label)
        axes.axvline(chosen, color=COLOURS[6], linewidth=1.2, zorder=1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_xlabel("k")
        if column == 0:
            axes.legend(frameon=False, fontsize=7, labelcolor=MUTED, loc="best")
    figure.text(0.05, 0.94, f"k = {chosen:g}: {criterion}", fontsize=9, color=INK, va="top")
    return figure


def k_distances(curve: Sequence[Record], eps: float, criterion: str) -> Figure:
    """Draw the k-distance curve (`share` and `distance`, rising): which share of the rows is a core at which eps."""
    figure = new_figure(6.0, 3.6)
    axes = figure.add_axes((0.12, 0.15, 0.84, 0.68))
    quiet(axes)
    share, distance = [row["share"] for row in curve], [row["distance"] for row in curve]
    axes.plot(share, distance, color=ACCENT, linewidth=1.8)
    axes.axhline(eps, color=COLOURS[6], linewidth=1.2)
    cores = sum(value <= eps for value in distance) / len(distance)
    axes.annotate(
        f"eps = {eps:.4g}: {cores:.1%} of the rows are cores",
        (0.02, eps),
        xytext=(2, 4),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of the rows")
    axes.set_ylabel("distance")
    headline(axes, "k-distance")
    figure.text(0.12, 0.965, plain(criterion, 100), fontsize=8, color=MUTED, va="top")
    return figure


def condensed_tree(lines: Sequence[Record]) -> Figure:
    """Draw a bar per node, as wide as it has rows, from its birth to its death; the root is at the top.

    Those taken as clusters are coloured and numbered.

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


def _places(lines: Sequence[Record]) -> list[float]:
    """Left edge of each node: children stand side by side in the middle of their parent."""
    children: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        children.setdefault(line["parent"], []).append(number)
    left = [0.0] * len(lines)
    for number, line in enumerate(lines):
        below = children.get(line["node"], [])
        edge = left[number] + (line["size"] - sum(lines[child]["size"] for child in below)) / 2
        for child in below:
            left[child] = edge
            edge += lines[child]["size"]
    return left


def _draw_node(axes: Axes, line: Record, left: float, rows: int, depth: float) -> None:
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
