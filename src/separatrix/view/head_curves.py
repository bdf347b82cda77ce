"""Curves of the head atlas: noise by depth, variance, radius, number of clusters, what features cost and bring."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from separatrix.view.canvas import plain
from separatrix.view.cells import density_grid
from separatrix.view.cluster_plots import k_curves
from separatrix.view.head_sheet import Findings, Picture, chart
from separatrix.view.palette import ACCENT, COLOURS, HAIR, MUTED

TAIL = 0.98  # share of the rows that the axis of distances shows where the others are far away
TOO_HIGH = 1.3  # times that height


def noise_curve(findings: Findings) -> Picture:
    """Share of noise by layer with its interval."""
    figure, axes = chart("Noise by layer", "layer", "share of noise")
    lines = []
    for number, (name, curve) in enumerate(findings.noise.items()):
        frame = pd.DataFrame(curve)
        colour = COLOURS[number * 2]
        axes.plot(frame["layer"], frame["noise"], color=colour, marker="o", markersize=3, label=name)
        if "low" in frame:
            axes.fill_between(frame["layer"], frame["low"], frame["high"], color=colour, alpha=0.2, linewidth=0)
        lines.append(frame.assign(method=name))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks(range(findings.shape[0]))
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
    return Picture("noise_by_layer", "Noise by layer (95 % interval over contexts)", figure, pd.concat(lines))


def variance_curve(findings: Findings) -> Picture:
    """Cumulative share of the variance by principal component, for each feature."""
    figure, axes = chart("Variance of the principal components", "components", "cumulative share")
    lines = []
    for number, (name, shares) in enumerate(findings.variance.items()):
        total = np.cumsum(shares)
        steps = np.arange(1, len(total) + 1)
        axes.plot(steps, total, color=COLOURS[number % len(COLOURS)], marker="o", markersize=3, label=name)
        lines.append(pd.DataFrame({"feature": name, "components": steps, "share": shares, "cumulative": total}))
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
    return Picture("variance", "Variance of the principal components", figure, pd.concat(lines))


def distance_curve(findings: Findings) -> Picture:
    """The k-distance curve and the radius taken; a long tail is cut off, and said to be."""
    figures = findings.clusters["dbscan"]
    figure, axes = chart(f"Distance to neighbour {figures['min_samples']}", "share of rows", "distance")
    frame = pd.DataFrame(figures["curve"], columns=["share", "distance"])
    axes.plot(frame["share"], frame["distance"], color=ACCENT)
    axes.axhline(figures["eps"], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.text(0.02, figures["eps"], f"eps {figures['eps']:.3g}", fontsize=8, color=MUTED, va="bottom")
    most, top = float(frame["distance"].max()), 1.2 * max(float(frame["distance"].quantile(TAIL)), figures["eps"])
    if most > TOO_HIGH * top:
        axes.set_ylim(0, top)
        note = f"cut off: the last rows reach {most:.3g}"
        axes.text(0.02, 0.98, note, transform=axes.transAxes, va="top", fontsize=8, color=MUTED)
    return Picture("k_distance", "k-distance, k = min_samples", figure, frame)


def radius_grid(findings: Findings) -> Picture:
    """Clusters and noise of DBSCAN over its grid of radii and densities, the cell that was taken outlined."""
    lines = findings.clusters["dbscan"]["grid"]
    title = "DBSCAN over its grid of radii and densities"
    return Picture("dbscan_grid", title, density_grid(lines), pd.DataFrame(lines))


def elbow_curve(findings: Findings) -> Picture:
    """Silhouette, distortion, inertia and stability by k, beside one structureless heap's."""
    figures = findings.clusters["kmeans"]
    k, table = figures["k"], figures["grid"]
    title = f"Number of clusters: k = {k}"
    if table:
        return Picture("elbow", title, k_curves(table, k, figures["criterion"]), pd.DataFrame(table))
    figure, axes = chart(f"k = {k} was given", "k", "")
    axes.axvline(k, color=HAIR, linewidth=4)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return Picture("elbow", title, figure, pd.DataFrame({"k": [k]}))


def feature_chart(findings: Findings) -> Picture:
    """What each feature is worth, and what it costs."""
    frame = pd.DataFrame(findings.features)
    figure, axes = chart("Features: heads told apart, by cost", "milliseconds a map", "adjusted mutual information")
    costs = (1e3 * frame["seconds_per_map"].clip(lower=1e-7)).to_numpy(dtype=float)
    middle = float(np.sqrt(costs.min() * costs.max()))
    for number, line in enumerate(frame.to_dict("records")):
        cost, colour = costs[number], COLOURS[number % len(COLOURS)]
        low, high = line["ami_interval"]
        if low is not None and low == low:
            axes.plot([cost, cost], [low, high], color=colour, linewidth=1.5)
        axes.plot([cost], [line["ami_head"]], "o", color=colour)
        # Towards the middle, so that no name touches the frame.
        side, step = ("right", -7) if cost > middle else ("left", 7)
        axes.annotate(plain(line["feature"]), (cost, line["ami_head"]), xytext=(step, 4), textcoords="offset points",
                      ha=side, fontsize=8, color=MUTED)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(costs.min() / 2, costs.max() * 2)
    steps = (1.0, 2.0, 5.0) if costs.max() < 300 * costs.min() else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    axes.margins(y=0.2)
    axes.set_ylim(bottom=0)
    return Picture("features", "Features compared", figure, frame.drop(columns="ami_interval"))
