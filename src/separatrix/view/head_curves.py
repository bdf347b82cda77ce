"""Curves of the head atlas: noise by depth, variance, radius, number of clusters, what features cost and bring."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from separatrix.view.canvas import plain
from separatrix.view.head_sheet import Findings, Picture, chart
from separatrix.view.palette import ACCENT, COLOURS, HAIR, MUTED


def noise_curve(findings: Findings) -> Picture:
    """Share of noise by layer with its interval."""
    figure, axes = chart("Noise by layer", "layer", "share of noise")
    lines = []
    for place, (name, curve) in enumerate(findings.clusters["noise_by_layer"].items()):
        frame = pd.DataFrame(curve)
        colour = COLOURS[place * 2]
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
    for place, (name, shares) in enumerate(findings.features["variance"].items()):
        total = np.cumsum(shares)
        steps = np.arange(1, len(total) + 1)
        axes.plot(steps, total, color=COLOURS[place % len(COLOURS)], marker="o", markersize=3, label=name)
        lines.append(pd.DataFrame({"feature": name, "components": steps, "share": shares, "cumulative": total}))
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
    return Picture("variance", "Variance of the principal components", figure, pd.concat(lines))


def distance_curve(findings: Findings) -> Picture:
    """The k-distance curve and the radius taken."""
    found = findings.clusters["dbscan"]
    figure, axes = chart(f"Distance to neighbour {found['min_samples']}", "share of rows", "distance")
    frame = pd.DataFrame(findings.clusters["curve"], columns=["share", "distance"])
    axes.plot(frame["share"], frame["distance"], color=ACCENT)
    axes.axhline(found["eps"], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.text(0.02, found["eps"], f"eps {found['eps']:.3g}", fontsize=8, color=MUTED, va="bottom")
    return Picture("k_distance", "k-distance, k = min_samples", figure, frame)


def elbow_curve(findings: Findings) -> Picture:
    """Silhouette and distortion by k, each beside one structureless heap's."""
    table = pd.DataFrame(findings.clusters["kmeans"]["choice"]["table"])
    figure, axes = chart("k-means: silhouette by k", "k", "mean silhouette")
    if len(table):
        axes.plot(table["k"], table["silhouette"], color=ACCENT, marker="o", markersize=3, label="these rows")
        axes.plot(table["k"], table["silhouette_null"], color=MUTED, linestyle=(0, (4, 3)), label="one heap")
        axes.legend(frameon=False, fontsize=8, labelcolor=MUTED)
    k = findings.clusters["kmeans"]["k"]
    axes.axvline(k, color=HAIR, linewidth=4, zorder=0)
    data = table if len(table) else pd.DataFrame({"k": [k]})
    return Picture("elbow", f"Number of clusters: k = {k}", figure, data)


def feature_chart(findings: Findings) -> Picture:
    """What each feature is worth, and what it costs."""
    frame = pd.DataFrame(findings.features["table"])
    figure, axes = chart("Features: heads told apart, by cost", "milliseconds a map", "adjusted mutual information")
    for place, line in frame.iterrows():
        cost, colour = 1e3 * max(line["seconds_per_map"], 1e-7), COLOURS[int(str(place)) % len(COLOURS)]
        low, high = line["ami_interval"]
        if low is not None and low == low:
            axes.plot([cost, cost], [low, high], color=colour, linewidth=1.5)
        axes.plot([cost], [line["ami_head"]], "o", color=colour)
        axes.annotate(plain(line["feature"]), (cost, line["ami_head"]), xytext=(6, 4), textcoords="offset points",
                      fontsize=8, color=MUTED)  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.3, y=0.2)
    axes.set_ylim(bottom=0)
    return Picture("features", "Features compared", figure, frame.drop(columns="ami_interval"))
