"""Pictures of a clustering: sizes, the curves that a choice was made by, the grid of DBSCAN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from separatrix.view.canvas import headline, new_figure, plain, quiet
from separatrix.view.palette import ACCENT, COLOURS, INK, MUTED

Row = Mapping[str, Any]

SHOWN = 60  # bars of the picture of sizes
DASHED = (0, (4, 3))

# Title, column, column of the null, column of the standard error; the order is that of the panels.
K_PANELS = (
    ("Silhouette", "silhouette", "silhouette_null", ""),
    ("Distortion", "distortion", "distortion_null", ""),
    ("Inertia", "inertia", "inertia_null", ""),
    ("Stability (mean ARI)", "stability", "", "stability_error"),
)


def cluster_sizes(sizes: Sequence[int], noise: int = 0, title: str = "Cluster sizes") -> Figure:
    """Draw a bar per cluster, in the order of their numbers, and one for the noise.

    Args:
        sizes: (clusters,) rows of each.
        noise: rows in no cluster.
        title: heading.
    """
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


def k_curves(table: Sequence[Row], chosen: float, criterion: str) -> Figure:
    """Draw the four figures of each number of clusters, with those of the null dashed and the choice marked.

    Args:
        table: a mapping per k, as `choose_k` makes them.
        chosen: the k that was taken.
        criterion: the sentence that says why.
    """
    figure = new_figure(12.5, 3.3)
    for place, (title, name, null, error) in enumerate(K_PANELS):
        axes = figure.add_axes((0.05 + 0.242 * place, 0.16, 0.19, 0.62))
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
        if place == 0:
            axes.legend(frameon=False, fontsize=7, labelcolor=MUTED, loc="best")
    figure.text(0.05, 0.94, f"k = {chosen:g}: {criterion}", fontsize=9, color=INK, va="top")
    return figure


def k_distances(curve: Sequence[Row], eps: float, criterion: str) -> Figure:
    """Draw the k-distance curve: which share of the rows is a core at which eps.

    Args:
        curve: mappings of `share` and `distance`, rising.
        eps: the radius that was taken.
        criterion: the sentence that says why.
    """
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


def density_grid(table: Sequence[Row]) -> Figure:
    """Draw the grid of DBSCAN: clusters and share of noise of each cell; cells that did not end say so.

    Args:
        table: a mapping per cell: eps, min_samples, status, clusters, noise_share, and `chosen` at the one taken.
    """
    across, down = (sorted({row[name] for row in table}) for name in ("eps", "min_samples"))
    figure = new_figure(max(5.0, 1.0 * len(across) + 1.8), max(2.2, 0.55 * len(down) + 1.5))
    axes = figure.add_axes((0.14, 0.25, 0.83, 0.53))
    share = np.full((len(down), len(across)), np.nan)
    for row in table:
        y, x = down.index(row["min_samples"]), across.index(row["eps"])
        done = row["status"] == "done"
        share[y, x] = row["noise_share"] if done else math.nan
        text = f"{row['clusters']}\n{row['noise_share']:.1%} noise" if done else row["status"]
        dark = done and row["noise_share"] > 0.6
        axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
        if row.get("chosen"):
            axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor=INK, linewidth=1.6))
    colours = LinearSegmentedColormap.from_list("noise", ["#ffffff", COLOURS[3], MUTED])
    axes.imshow(share, cmap=colours, vmin=0, vmax=1, aspect="auto")
    _ticks(axes, [f"{eps:.3g}" for eps in across], [str(count) for count in down])
    axes.set_xlabel("eps", fontsize=8.5, color=MUTED)
    axes.set_ylabel("min_samples", fontsize=8.5, color=MUTED)
    headline(axes, "DBSCAN: clusters and noise")
    return figure


def _ticks(axes: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
