"""Pictures of the head atlas: grids of layers and heads, clusters, maps. Each comes with the numbers it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from separatrix.view import head_curves as curves
from separatrix.view.canvas import headline, new_figure
from separatrix.view.head_sheet import RAMP, Findings, Picture, cluster_colour, grid_axes, panels, sheet
from separatrix.view.palette import INK, MUTED, mix

NOT_DESCRIBED = ("layer", "head", "cluster")
DARK = 0.35  # share of the ramp's end from which numbers are written in white


def pictures(findings: Findings) -> Iterator[Picture]:
    """All pictures of an atlas, one after the other."""
    for make in PICTURES:
        yield make(findings)


def cluster_grid(findings: Findings) -> Picture:
    """Which cluster each head is mostly in, and how mostly."""
    layers, heads = findings.shape
    figure, axes = sheet(heads, layers, "Cluster of each head")
    clusters = findings.heads["cluster"].to_numpy(dtype=int).reshape(layers, heads)
    shares = findings.heads["cluster_share"].to_numpy().reshape(layers, heads)
    for (layer, head), cluster in np.ndenumerate(clusters):
        strength = 0.25 + 0.75 * float(shares[layer, head])
        axes.add_patch(_cell(head, layer, mix("#ffffff", cluster_colour(cluster), strength)))
        name = "-" if cluster < 0 else str(cluster)
        axes.text(head, layer, name, ha="center", va="center", fontsize=7.5, color=INK)
    figure.text(0.01, 0.01, "paler: the head is spread over clusters", fontsize=7.5, color=MUTED)
    data = findings.heads[["layer", "head", "cluster", "cluster_share"]]
    return Picture("clusters", "Cluster of each head", figure, data)


def _cell(x: float, y: float, colour: str) -> Any:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1)


def descriptor_grids(findings: Findings) -> Picture:
    """Each descriptor of each head, every panel with its own scale."""
    names = [name for name in findings.heads.columns if name not in NOT_DESCRIBED]
    layers, heads = findings.shape
    figure, boxes = panels(len(names), 4, (2.3, 0.5 + 2.06 * min(layers / heads, 1.6)))
    for name, axes in zip(names, boxes, strict=True):
        values = findings.heads[name].to_numpy(dtype=float).reshape(layers, heads)
        axes.imshow(values, cmap=RAMP, aspect="auto", interpolation="nearest")
        grid_axes(axes, layers, heads, labels=False)
        span = f"{values.min():.2g} to {values.max():.2g}"
        axes.set_title(f"{name.replace('_', ' ')}  {span}", loc="left", fontsize=7.5, color=INK)
    return Picture("descriptors", "Descriptors of each head (layers downwards)", figure, findings.heads)


def mean_maps(findings: Findings) -> Picture:
    """The mean map of each cluster and the rows nearest to it."""
    order = [cluster for cluster in findings.order if cluster in findings.maps]
    shown = max(len(findings.maps[cluster]) for cluster in order)
    figure, boxes = panels(len(order) * shown, shown, (1.25, 1.42))
    lines = []
    for place, axes in enumerate(boxes):
        cluster, number = order[place // shown], place % shown
        maps = findings.maps[cluster]
        grid_axes(axes, 1, 1, labels=False)
        if number >= len(maps):
            axes.set_axis_off()
            continue
        side = maps.shape[-1]
        axes.imshow(maps[number], cmap=RAMP, vmin=0, extent=(-0.5, 0.5, 0.5, -0.5), interpolation="nearest")
        title = f"cluster {cluster}, mean" if number == 0 else "nearest"
        axes.set_title(title, loc="left", fontsize=7, color=INK if number == 0 else MUTED)
        lines += [
            {"cluster": cluster, "map": number, "row": cell // side, "column": cell % side, "value": value}
            for cell, value in enumerate(maps[number].ravel().tolist())
        ]
    return Picture("cluster_maps", "Mean map of each cluster, and its exemplars", figure, pd.DataFrame(lines))


def cluster_density(findings: Findings) -> Picture:
    """Rows of each cluster over layers and heads."""
    layers, heads = findings.shape
    order = findings.order
    figure, boxes = panels(len(order), 5, (1.85, 0.5 + 1.61 * min(layers / heads, 1.6)))
    lines = []
    for cluster, axes in zip(order, boxes, strict=True):
        part = findings.table[findings.table["cluster"] == cluster]
        counts = np.zeros((layers, heads), int)
        np.add.at(counts, (part["layer"].to_numpy(), part["head"].to_numpy()), 1)
        axes.imshow(counts, cmap=RAMP, vmin=0, aspect="auto", interpolation="nearest")
        grid_axes(axes, layers, heads, labels=False)
        axes.set_title(f"cluster {cluster}: {len(part):,} rows", loc="left", fontsize=7.5, color=INK)
        lines += [
            {"cluster": cluster, "layer": layer, "head": head, "rows": int(count)}
            for (layer, head), count in np.ndenumerate(counts)
        ]
    return Picture("density", "Rows of each cluster: layers down, heads across", figure, pd.DataFrame(lines))


def _cross(findings: Findings, column: str) -> Picture:
    order = findings.order
    counts = pd.crosstab(findings.table["cluster"], findings.table[column]).reindex(order)
    shares = counts.div(counts.sum(axis=1), axis=0)
    width, height = 1.3 + 0.36 * len(counts.columns), 1.1 + 0.26 * len(order)
    figure = new_figure(max(width, 3.4), height)
    axes = figure.add_axes((0.85 / max(width, 3.4), 0.5 / height, 0.36 * len(counts.columns) / max(width, 3.4),
                            0.26 * len(order) / height))  # fmt: skip
    axes.imshow(shares, cmap=RAMP, vmin=0, vmax=max(float(shares.to_numpy().max()), 1e-9), aspect="auto")
    axes.set_xticks(range(len(counts.columns)), [str(name) for name in counts.columns])
    axes.set_yticks(range(len(order)), [f"{cluster} ({total:,})" for cluster, total in counts.sum(axis=1).items()])
    axes.tick_params(length=0, labelsize=7, labelcolor=MUTED)
    axes.set_xlabel(column, color=MUTED, fontsize=8)
    headline(axes, f"Cluster by {column}")
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
    axes.imshow(between, cmap=RAMP.reversed(), interpolation="nearest")
    low, high = between.min(), max(between.max(), between.min() + 1e-9)
    for (one, other), value in np.ndenumerate(between):
        colour = "white" if (value - low) / (high - low) < DARK else INK
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
    curves.noise_curve,
    layer_similarity,
    curves.variance_curve,
    curves.distance_curve,
    curves.elbow_curve,
    curves.feature_chart,
)
