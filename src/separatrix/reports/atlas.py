"""The head atlas as one offline HTML file: click on a head, read its maps.

Unlike the viewers there are, it keeps long texts readable: the map is a canvas that zooms under the pointer, and the
window's text stands below it, each word shaded by what the chosen query gives it. The file loads nothing and forbids
every request. Weights are kept as eight bits of their square root, so a small weight keeps its value to about 1 %.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.errors import ShapeError
from separatrix.reports.pack import cut, data_uri
from separatrix.reports.page import ReportFile, fill, write_page
from separatrix.reports.tables import tabulate
from separatrix.store.result import Listing
from separatrix.view.head_sheet import cluster_colour
from separatrix.view.palette import ink_on

NEAREST = 6  # heads listed beside the chosen one
STYLES, SCRIPTS = ("page.css", "atlas.css"), ("core.js", "atlas.js", "atlas_parts.js", "start.js")
NOT_MEASURED = ("layer", "head", "cluster", "sentence")
# Key -> heading, in the order of reading: JSON sorts its keys, and a verdict must not stand outside the window.
ASSOCIATION = {
    "with": "clusters with", "verdict": "verdict", "adjusted_mutual_information": "AMI",
    "cramers_v_corrected": "Cramer's V",
    "mutual_information": "MI (nats)", "null_mean": "null", "p_value": "p", "null_heads": "null, heads",
    "p_heads": "p, heads", "unit": "shuffled",
}  # fmt: skip
CONTROLS = {"rows": "rows", "count": "number", "clusters": "clusters", "ami": "AMI with head"}
WEIGHED = {
    "score": "importance by", "observed": "share between clusters", "mean": "clusters shuffled",
    "high": "95 % of shuffles", "p_value": "p", "by_layer": "share between layers",
}  # fmt: skip
BY_CLUSTER = {
    "cluster": "cluster", "heads": "heads", "gradient": "mean gradient", "ablation": "mean change of the loss",
    "harmless": "heads without which the loss is no higher",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class WindowMaps:
    """A window and all its maps."""

    title: str
    words: tuple[str, ...]
    levels: NDArray[np.uint8]  # (heads, tokens, tokens): 255 times the root of the weight
    number: int | None = None  # of the window in the atlas; none of a text of the reader's own

    def __post_init__(self) -> None:
        expected = (len(self.levels), len(self.words), len(self.words))
        if self.levels.shape != expected:
            raise ShapeError("maps do not fit their words", got=self.levels.shape, expected=expected)


@dataclass(frozen=True, eq=False)
class WindowDeciles:
    """Windows of each head, from the lowest to the highest value of each descriptor."""

    labels: tuple[str, ...]  # of the places in this order
    names: tuple[str, ...]  # of the descriptors
    windows: NDArray[np.integer]  # (heads, descriptors, places)
    values: NDArray[np.floating]  # (heads, descriptors, places)
    ranked: int  # windows that were ranked


@dataclass(frozen=True, eq=False)
class AtlasPage:
    """What the page shows."""

    title: str
    summary: tuple[tuple[str, Any], ...]
    heads: pd.DataFrame  # one line a head: layer, head, cluster, measures, perhaps `sentence`
    distances: NDArray[np.floating]  # (heads, heads)
    windows: Sequence[WindowMaps]
    cluster_maps: Mapping[int, NDArray[np.floating]]  # cluster -> (maps, cells, cells)
    clusters: Sequence[Mapping[str, Any]] = ()  # a line for each: cluster, sentence, heads
    deciles: WindowDeciles | None = None
    beginnings: Mapping[int, str] = field(default_factory=dict)  # of the windows in `deciles`
    association: Sequence[Mapping[str, Any]] = ()
    controls: Sequence[Mapping[str, Any]] = ()
    importance: Mapping[str, Any] = field(default_factory=dict)  # as `study.heads.importance` makes it; may be empty
    pictures: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_atlas(path: Path, page: AtlasPage) -> ReportFile:
    """Write the page, whole or not at all.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
        ShapeError: maps of another number of heads.
    """
    return write_page(path, render_atlas(page))


def render_atlas(page: AtlasPage) -> str:
    """The page as text."""
    for window in page.windows:
        if len(window.levels) != len(page.heads):
            raise ShapeError("maps of another number of heads", got=len(window.levels), expected=len(page.heads))
    tables = [
        ("association", "Do clusters have to do with layer, head, length, context?", page.association, ASSOCIATION),
        ("controls", "The same with length and context held", page.controls, CONTROLS),
    ]
    data = atlas_data(page)
    return fill(
        "atlas.html",
        SCRIPTS,
        styles=STYLES,
        page=page,
        data=data,
        tables=[(name, title, tabulate(list(rows), columns=keys)) for name, title, rows, keys in tables if rows],
        weighed=_weighed(page.importance),
        pictures=[(title, data_uri(file)) for title, file in page.pictures.items()],
    )


def _weighed(importance: Mapping[str, Any]) -> list[tuple[str, Listing]]:
    """The two tables about the importance of heads, each with its name; none if it was not measured."""
    if not importance:
        return []
    scores = [{"score": name, **importance[name]} for name in ("gradient", "ablation")]
    return [
        ("Importance and clusters", tabulate(scores, columns=WEIGHED)),
        ("Importance by cluster", tabulate(importance["by_cluster"], columns=BY_CLUSTER)),
    ]


def atlas_data(page: AtlasPage) -> dict[str, Any]:
    """What the script needs, as plain data."""
    heads = page.heads
    clusters = heads["cluster"].astype(int).tolist()
    nearest = np.argsort(page.distances + 2 * np.eye(len(heads)), axis=1, kind="stable")[:, :NEAREST]
    return {
        "layers": int(heads["layer"].max()) + 1,
        "heads": int(heads["head"].max()) + 1,
        "clusters": clusters,
        "colours": {str(cluster): cluster_colour(cluster) for cluster in sorted(set(clusters))},
        "inks": {str(cluster): ink_on(cluster_colour(cluster)) for cluster in sorted(set(clusters))},
        "measures": {name: heads[name].tolist() for name in heads.columns if name not in NOT_MEASURED},
        "nearest": [
            [[int(other), float(page.distances[head, other])] for other in row if other != head]
            for head, row in enumerate(nearest)
        ],
        "windows": [
            {
                "title": cut(window.title, 80),
                "number": window.number,
                "words": [cut(word, 40) for word in window.words],
                "maps": base64.b64encode(np.ascontiguousarray(window.levels).tobytes()).decode(),
            }
            for window in page.windows
        ],
        "means": {str(cluster): _small(maps[0]) for cluster, maps in page.cluster_maps.items()},
        "sentences": heads["sentence"].tolist() if "sentence" in heads.columns else None,
        "lines": [
            {"cluster": int(line["cluster"]), "sentence": line["sentence"], "heads": int(line["heads"])}
            for line in page.clusters
        ],
        "deciles": None if page.deciles is None else _packed_deciles(page.deciles, page.beginnings),
    }


def _packed_deciles(deciles: WindowDeciles, beginnings: Mapping[int, str]) -> dict[str, Any]:
    """Windows as 16-bit numbers of their beginnings, values as 16-bit steps between the ends of their descriptor."""
    numbers, places = np.unique(deciles.windows, return_inverse=True)
    low, high = deciles.values.min(axis=(0, 2)), deciles.values.max(axis=(0, 2))  # (descriptors,)
    shares = (deciles.values - low[:, None]) / np.maximum(high - low, 1e-12)[:, None]
    return {
        "labels": deciles.labels,
        "names": deciles.names,
        "ranked": deciles.ranked,
        "numbers": numbers.tolist(),
        "texts": [cut(beginnings[int(number)], 90) for number in numbers],
        "windows": _pack16(places.reshape(deciles.windows.shape)),
        "values": _pack16(np.rint(shares * 65535)),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _pack16(numbers: NDArray[Any]) -> str:
    return base64.b64encode(numbers.astype("<u2").tobytes()).decode()


def _small(grid: NDArray[np.floating]) -> dict[str, Any]:
    """A grid as eight bits of its share of the largest cell."""
    levels = np.rint(grid / max(float(grid.max()), 1e-12) * 255).astype(np.uint8)
    return {"cells": int(grid.shape[0]), "map": base64.b64encode(levels.tobytes()).decode()}
