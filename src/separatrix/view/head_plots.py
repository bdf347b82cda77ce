"""Pictures of the head atlas: grids of layers and heads, clusters, maps. Each comes with the numbers it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize, PowerNorm, to_hex
from matplotlib.patches import Rectangle
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from separatrix.view.canvas import headline, new_figure, plain
from separatrix.view.cells import density_grid
from separatrix.view.cluster_plots import k_curves
from separatrix.view.head_sheet import (
    BOTH_SIGNS,
    CAPTION,
    FOOT,
    RAMP,
    Findings,
    Picture,
    caption,
    chart,
    cluster_colour,
    grid_axes,
    key,
    panels,
    sheet,
)
from separatrix.view.palette import ACCENT, COLOURS, HAIR, INK, MUTED, ink_on, mix

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
    figure, axes = chart(f"Distance to neighbor {figures['min_samples']}", "share of rows", "distance")
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
    axes.set_xscale("log")
    axes.set_xlim(costs.min() / 2, costs.max() * 2)  # all costs may be equal
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
    steps = (1.0, 2.0, 5.0) if costs.max() < 300 * costs.min() else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    axes.margins(y=0.2)
    axes.set_ylim(bottom=0)
    return Picture("features", "Features compared", figure, frame.drop(columns="ami_interval"))


NOT_DESCRIBED = ("layer", "head", "cluster", "sentence")
MOST_NUMBERS = 40  # columns of a table of shares from which its cells have no numbers
PLACES = "layers down (0 on top), heads across (0 at the left)"
SHARES = PowerNorm(0.5, 0, 1)  # the root of a share: small ones keep their differences


def pictures(findings: Findings) -> Iterator[Picture]:
    """All pictures of an atlas, one after the other."""
    for make in PICTURES:
        yield make(findings)
    for name, make in (("curve", distance_curve), ("grid", radius_grid)):
        if findings.clusters["dbscan"].get(name):
            yield make(findings)


def cluster_grid(findings: Findings) -> Picture:
    """Which cluster each head is mostly in, and how mostly."""
    layers, heads = findings.shape
    figure, axes = sheet(heads, layers, "Cluster of each head")
    clusters = findings.heads["cluster"].to_numpy(dtype=int).reshape(layers, heads)
    shares = findings.heads["cluster_share"].to_numpy().reshape(layers, heads)
    for (layer, head), cluster in np.ndenumerate(clusters):
        strength = 0.25 + 0.75 * float(shares[layer, head])
        ground = mix("#ffffff", cluster_colour(cluster), strength)
        axes.add_patch(_cell(head, layer, ground))
        name = "-" if cluster < 0 else str(cluster)
        axes.text(head, layer, name, ha="center", va="center", fontsize=7.5, color=ink_on(ground))
    figure.text(0.01, 0.01, "paler: the head is spread over clusters", fontsize=7.5, color=MUTED)
    data = findings.heads[["layer", "head", "cluster", "cluster_share"]]
    return Picture("clusters", "Cluster of each head", figure, data)


def _cell(x: float, y: float, colour: str) -> Any:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1)


def descriptor_grids(findings: Findings) -> Picture:
    """Each descriptor of each head, every panel with its own scale; constant ones are named, not drawn."""
    layers, heads = findings.shape
    every = {
        name: findings.heads[name].to_numpy(dtype=float).reshape(layers, heads)
        for name in findings.heads.columns
        if name not in NOT_DESCRIBED
    }
    drawn = {name: values for name, values in every.items() if np.ptp(values) > 1e-9}
    figure, boxes = panels(len(drawn), 4, (2.3, 0.5 + 2.06 * min(layers / heads, 1.6)), CAPTION + 0.2)
    for (name, values), axes in zip(drawn.items(), boxes, strict=True):
        most = float(np.abs(values).max())
        scale = {"cmap": BOTH_SIGNS, "vmin": -most, "vmax": most} if values.min() < 0 else {"cmap": RAMP}
        axes.imshow(values, aspect="auto", interpolation="nearest", **scale)
        grid_axes(axes, layers, heads, labels=False)
        span = f"{values.min():.2g} to {values.max():.2g}"
        axes.set_title(f"{name.replace('_', ' ')}  {span}", loc="left", fontsize=7.5, color=INK)
    same = [f"{name.replace('_', ' ')} = {every[name].flat[0]:.3g}" for name in every if name not in drawn]
    caption(
        figure, "Descriptors of each head",
        f"{PLACES}; each panel has its own scale, from white (least) to dark (most)",
        "where values have both signs white is 0, brown below it"
        + (f"; not drawn, the same for every head: {', '.join(same)}" if same else ""),
    )  # fmt: skip
    return Picture("descriptors", "Descriptors of each head", figure, findings.heads)


def mean_maps(findings: Findings) -> Picture:
    """The mean map of each cluster and the rows nearest to it, on one scale."""
    order = [cluster for cluster in findings.order if cluster in findings.maps]
    shown = max(len(findings.maps[cluster]) for cluster in order)
    figure, boxes = panels(len(order) * shown, shown, (1.45, 1.62), CAPTION, FOOT)
    every = np.concatenate([findings.maps[cluster].ravel() for cluster in order])
    scale = Normalize(0, max(float(np.quantile(every, 0.99)), 1e-9), clip=True)
    lines = []
    for index, axes in enumerate(boxes):
        cluster, number = order[index // shown], index % shown
        grid_axes(axes, 1, 1, labels=False)
        if number >= len(findings.maps[cluster]):
            axes.set_axis_off()
            continue
        drawn = findings.maps[cluster][number]
        axes.imshow(drawn, cmap=RAMP, norm=scale, extent=(-0.5, 0.5, 0.5, -0.5), interpolation="nearest")
        row = findings.exemplars[cluster][number - 1] if number else None
        title = f"cluster {cluster}, mean" if row is None else "window {}, layer {}, head {}".format(*row)
        axes.set_title(title, loc="left", fontsize=7 if row is None else 6, color=MUTED if row else INK)
        lines += _map_lines(cluster, number, row, drawn)
    caption(
        figure, "Mean map of each cluster, and the rows nearest to it", "queries down, keys across, one scale for all"
    )
    key(
        figure,
        scale,
        [0, 1, np.floor(10 * (scale.vmax or 1)) / 10],
        "root of (weight times length): 1 is even attention; darkest: this and more",
    )
    return Picture("cluster_maps", "Mean map of each cluster, and its exemplars", figure, pd.DataFrame(lines))


def _map_lines(
    cluster: int, number: int, row: tuple[int, int, int] | None, drawn: NDArray[np.floating]
) -> list[dict[str, Any]]:
    window, layer, head = row or (None, None, None)
    origin = {"cluster": cluster, "map": number, "window": window, "layer": layer, "head": head}
    return [
        {**origin, "row": down, "column": across, "value": value} for (down, across), value in np.ndenumerate(drawn)
    ]


def cluster_density(findings: Findings) -> Picture:
    """Which share of each head's windows each cluster has."""
    layers, heads = findings.shape
    order, windows = findings.order, int(findings.table["window"].nunique())
    cell, columns = (1.85, 0.5 + 1.61 * min(layers / heads, 1.6)), min(max(len(order), 3), 5)
    figure, boxes = panels(len(order), columns, cell, CAPTION, FOOT)
    lines = []
    for cluster, axes in zip(order, boxes, strict=True):
        part = findings.table[findings.table["cluster"] == cluster]
        counts = np.zeros((layers, heads), int)
        np.add.at(counts, (part["layer"].to_numpy(), part["head"].to_numpy()), 1)
        axes.imshow(counts / windows, cmap=RAMP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        grid_axes(axes, layers, heads, labels=False)
        axes.set_title(f"cluster {cluster}: {len(part):,} rows", loc="left", fontsize=7.5, color=INK)
        lines += [
            {"cluster": cluster, "layer": layer, "head": head, "rows": int(count)}
            for (layer, head), count in np.ndenumerate(counts)
        ]
    caption(figure, "Where each cluster lies", PLACES)
    key(figure, Normalize(0, 1), [0, 0.5, 1], f"% of the head's {windows} windows", unit=100)
    return Picture("density", "Rows of each cluster by layer and head", figure, pd.DataFrame(lines))


def _cross(findings: Findings, column: str) -> Picture:
    order = findings.order
    counts = pd.crosstab(findings.table["cluster"], findings.table[column]).reindex(order)
    shares = counts.div(counts.sum(axis=1), axis=0)
    across, down = 0.36 * len(counts.columns), 0.26 * len(order)
    width, height = max(1.1 + across, 4.2), 1.1 + FOOT + down
    figure = new_figure(width, height)
    axes = figure.add_axes((0.85 / width, (0.5 + FOOT) / height, across / width, down / height))
    axes.imshow(shares, cmap=RAMP, norm=SHARES, aspect="auto")
    if len(counts.columns) <= MOST_NUMBERS:
        for (row, position), share in np.ndenumerate(shares.to_numpy()):
            ink = ink_on(to_hex(RAMP(SHARES(share))))
            if share > 0:
                axes.text(position, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=ink)
    axes.set_xticks(range(len(counts.columns)), [str(name) for name in counts.columns])
    axes.set_yticks(range(len(order)), [f"{cluster} ({total:,})" for cluster, total in counts.sum(axis=1).items()])
    axes.tick_params(length=0, labelsize=7, labelcolor=MUTED)
    for spine in axes.spines.values():
        spine.set_color(HAIR)
    axes.set_xlabel(column, color=MUTED, fontsize=8)
    headline(axes, f"Cluster (rows) by {column}")
    key(figure, SHARES, [0, 0.1, 0.25, 0.5, 1], "% of the cluster's rows", unit=100)
    data = counts.reset_index().melt(id_vars="cluster", var_name=column, value_name="rows")
    return Picture(f"cluster_by_{column}", f"Share of each cluster by {column}", figure, data)


def cluster_by_layer(findings: Findings) -> Picture:
    """Where in depth each cluster lies."""
    return _cross(findings, "layer")


def cluster_by_head(findings: Findings) -> Picture:
    """Which head numbers each cluster has (a number means nothing across layers: an even picture is expected)."""
    return _cross(findings, "head")


def layer_similarity(findings: Findings) -> Picture:
    """Mean Jensen-Shannon distance from each head to the nearest head of every layer."""
    layers, heads = findings.shape
    boxes = np.array(findings.distances, dtype=float).reshape(layers, heads, layers, heads)
    for layer in range(layers):
        for head in range(heads):
            boxes[layer, head, layer, head] = np.inf  # not to itself
    nearest = boxes.min(axis=3)  # (layers, heads, layers)
    between = np.where(np.isfinite(nearest), nearest, 0).mean(axis=1)
    figure, axes = sheet(layers, layers, "Nearest head, layer by layer")
    ramp, scale = RAMP.reversed(), Normalize(between.min(), max(between.max(), between.min() + 1e-9))
    axes.imshow(between, cmap=ramp, norm=scale, interpolation="nearest")
    for (one, other), value in np.ndenumerate(between):
        colour = ink_on(to_hex(ramp(scale(value))))
        text = f"{value:.2f}"[1:] if value < 1 else "1"
        axes.text(other, one, text, ha="center", va="center", fontsize=6, color=colour)
    axes.set_xlabel("to layer", color=MUTED, fontsize=8)
    axes.set_ylabel("from layer", color=MUTED, fontsize=8)
    data = pd.DataFrame(
        [{"from": one, "to": other, "distance": value} for (one, other), value in np.ndenumerate(between)]
    )
    return Picture("layers", "Mean Jensen-Shannon distance to the nearest head of a layer", figure, data)


PICTURES: Sequence[Callable[[Findings], Picture]] = (
    cluster_grid,
    descriptor_grids,
    mean_maps,
    cluster_density,
    cluster_by_layer,
    cluster_by_head,
    noise_curve,
    layer_similarity,
    variance_curve,
    elbow_curve,
    feature_chart,
)
