"""The atlas itself: everything gathered by head and by cluster, drawn, and put into one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.clusters import LEFT_OUT, NOISE
from separatrix.analysis.heads.controls import head_numbers
from separatrix.analysis.heads.deciles import beginnings, window_deciles
from separatrix.analysis.heads.reading import AtlasSource
from separatrix.analysis.heads.result import DISTANCES, HEADS, PAGE, PICTURES, HeadAtlas
from separatrix.errors import public_name
from separatrix.heads.descriptors import NAMES, head_distances
from separatrix.heads.maps import maps_of
from separatrix.heads.sentences import cluster_lines, head_sentences
from separatrix.heads.windows import Window, cut_windows
from separatrix.models.backbone import Backbone
from separatrix.points import Block, Points
from separatrix.recipe.heads import HeadsRecipe, PageRecipe
from separatrix.reports.atlas import AtlasPage, WindowMaps, write_atlas
from separatrix.store.files import read_tensors, write_tensors
from separatrix.store.table import read_table, write_table
from separatrix.texts.questions_answers import Example
from separatrix.view.canvas import save
from separatrix.view.head_plots import pictures
from separatrix.view.head_sheet import Findings

DISTANCE_WINDOWS = 24  # windows behind the distances between heads
EXEMPLARS = 4  # maps shown beside each cluster's mean
MEAN_ROWS = 2000  # rows of a cluster behind its mean map
PIECE = 65536  # rows summed at a time


def write_heads(
    out: Path, reading: AtlasSource, points: Points, table: pd.DataFrame, more: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The table of heads with columns `more` and a sentence for each, and the distances between heads.

    Returns:
        A line for each cluster, with its sentence.
    """
    heads = head_table(table, points).assign(**more)
    columns = {name: heads[name].to_numpy() for name in heads.columns}
    write_table(out / HEADS, heads.assign(sentence=head_sentences(columns)))
    write_tensors(out / DISTANCES, {"distances": mean_distances(reading, window_lines(points))})
    labels = table["cluster"].to_numpy()
    return cluster_lines(columns, labels[labels > LEFT_OUT])


def draw_atlas(
    atlas: HeadAtlas, reading: AtlasSource, points: Points, table: pd.DataFrame, recipe: HeadsRecipe
) -> HeadAtlas:
    """Pictures and page of an atlas whose figures are all there; it then says how large the page is."""
    out = atlas.page.parent
    heads, distances = read_table(out / HEADS), read_tensors(out / DISTANCES)[0]["distances"]
    maps, exemplars = cluster_maps(table, points.blocks["grid"])
    drawn = dict[str, Path]()
    shown = table[table["cluster"] >= NOISE]
    findings = Findings(atlas.features or (), atlas.variance or {}, atlas.clusters or {}, atlas.noise_by_layer or {},
                        shown, heads, distances, maps, exemplars)  # fmt: skip
    (out / PICTURES).mkdir(exist_ok=True)
    for picture in pictures(findings):
        drawn[picture.title] = save(picture.figure, out / PICTURES / f"{picture.name}.png")
        write_table(out / PICTURES / f"{picture.name}.csv", picture.data)
    lines, deciles = window_lines(points), window_deciles(points, len(heads))
    page = AtlasPage(
        title=f"Attention heads of {public_name(reading.backbone.source.name)}",
        summary=summary(atlas, recipe),
        heads=heads,
        distances=distances,
        windows=shown_windows(reading, lines, recipe.page),
        clusters=atlas.cluster_sentences or (),
        deciles=deciles,
        beginnings={} if deciles is None else beginnings(reading, lines, np.unique(deciles.windows).tolist()),
        cluster_maps=maps,
        association=atlas.association or (),
        controls=atlas.controls or (),
        importance=atlas.importance or {},
        pictures=drawn,
        notes=tuple(atlas.notes),
    )
    return atlas.written(page_bytes=write_atlas(out / PAGE, page).bytes)


def summary(atlas: HeadAtlas, recipe: HeadsRecipe) -> tuple[tuple[str, Any], ...]:
    """The first lines of the page."""
    return (
        *((name, getattr(atlas, name)) for name in ("windows", "examples", "contexts", "maps")),
        ("layers x heads", f"{atlas.layers} x {atlas.heads}"),
        ("clusters", f"{(atlas.clusters or {})['count']} by {recipe.clusters.method}"),
        ("feature", recipe.clusters.cluster_feature),
    )


def window_lines(points: Points) -> pd.DataFrame:
    """One line a window: its length, context, position, and the number of its example in the sample."""
    maps = len(points) // (int(points.column("window")[-1]) + 1)
    lines = points.rows.take(np.arange(0, len(points), maps)).frame(("length", "context", "position"))
    return lines.assign(number=(lines["position"] == 0).cumsum() - 1)


def head_table(table: pd.DataFrame, points: Points) -> pd.DataFrame:
    """One line a head: means of its descriptors, its most frequent cluster, how often it is there, its noise."""
    heads = head_numbers(table)
    count, width = int(heads.max()) + 1, int(table["head"].max()) + 1
    columns: dict[str, Any] = {"layer": np.arange(count) // width, "head": np.arange(count) % width}
    if "descriptors" in points.blocks:
        block = points.blocks["descriptors"]
        sums = np.zeros((count, block.shape[1]))
        for start in range(0, len(points), PIECE):
            part = slice(start, start + PIECE)
            np.add.at(sums, heads[part], np.asarray(block[part], np.float64))
        means = sums / np.bincount(heads, minlength=count)[:, None]
        columns |= {name: means[:, number] for number, name in enumerate(NAMES)}
    labels = table["cluster"].to_numpy()
    used = labels > LEFT_OUT
    counts = np.zeros((count, int(labels.max()) + 2), np.int64)  # column 0: noise
    np.add.at(counts, (heads[used], labels[used] + 1), 1)
    columns["cluster"] = counts.argmax(axis=1) - 1
    columns["cluster_share"] = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)
    for name in ("dbscan", "hdbscan"):
        labels = table[name].to_numpy()
        used = labels > LEFT_OUT
        noise = np.bincount(heads[used], labels[used] == NOISE, count)
        columns[f"{name}_noise"] = noise / np.maximum(np.bincount(heads[used], minlength=count), 1)
    return pd.DataFrame(columns)


def mean_distances(reading: AtlasSource, windows: pd.DataFrame) -> NDArray[np.float64]:
    """Mean Jensen-Shannon distance between heads over some windows, (heads, heads)."""
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(DISTANCE_WINDOWS, len(windows))).round().astype(int))
    lines = windows.iloc[chosen]
    read = (reading.window(*line) for line in zip(lines["number"], lines["position"], strict=True))
    total = sum(head_distances(maps_of(reading.backbone, window).flatten(0, 1)).double() for window in read)
    return (total / len(chosen)).cpu().numpy()  # type: ignore[union-attr]


def cluster_maps(
    table: pd.DataFrame, grid: Block
) -> tuple[dict[int, NDArray[np.float32]], dict[int, list[tuple[int, int, int]]]]:
    """The mean grid of each cluster and those of the rows nearest to it, one of each head; and which rows these are."""
    labels, heads = table["cluster"].to_numpy(), head_numbers(table)
    side = round(grid.shape[1] ** 0.5)
    maps, exemplars = {}, {}
    for cluster in range(int(labels.max()) + 1):
        rows = np.flatnonzero(labels == cluster)
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MEAN_ROWS)).round().astype(int))]
        grids = np.sqrt(np.asarray(grid[some], np.float32))
        mean = grids.mean(axis=0)
        order = np.linalg.norm(grids - mean, axis=1).argsort()
        _, first = np.unique(heads[some][order], return_index=True)
        nearest = order[np.sort(first)[:EXEMPLARS]]
        maps[cluster] = np.concatenate([mean[None], grids[nearest]]).reshape(-1, side, side)
        identity = table[["window", "layer", "head"]].iloc[some[nearest]].to_numpy()
        exemplars[cluster] = [(int(window), int(layer), int(head)) for window, layer, head in identity]
    return maps, exemplars


def shown_windows(reading: AtlasSource, windows: pd.DataFrame, recipe: PageRecipe) -> list[WindowMaps]:
    """The windows whose maps the page holds: own texts, short ones of different contexts, and one of median length.

    No map is larger than `page_tokens`: of a longer window its first tokens are shown, with the weights as they are.
    """
    own = cut_windows(reading.backbone, [Example("", text, "", 0) for text in recipe.sentence], reading.rule)
    shown = [
        _window_maps(reading.backbone, window, f"your text {number}, window {window.position}", recipe)
        for number, cut in enumerate(own, 1)
        for window in cut
    ]
    lengths, contexts = windows["length"].to_numpy(), windows["context"].tolist()
    for number in pick_windows(lengths, contexts, recipe):
        example, position = int(windows["number"][number]), int(windows["position"][number])
        title = f"{reading.sample.examples[example].id}, window {position}"
        shown.append(_window_maps(reading.backbone, reading.window(example, position), title, recipe, number))
    return shown


def _window_maps(
    backbone: Backbone, window: Window, title: str, recipe: PageRecipe, number: int | None = None
) -> WindowMaps:
    most = recipe.page_tokens
    maps = maps_of(backbone, window).flatten(0, 1)[:, :most, :most]
    # Eight bits of the square root: small weights keep their differences.
    levels = (maps.clamp(0, 1).sqrt() * 255).round().byte().cpu().numpy()
    part = f", first {most} of {len(window)} tokens" if len(window) > most else ""
    return WindowMaps(title + part, window.words[:most], levels, number)


def pick_windows(lengths: NDArray[np.integer], contexts: Sequence[int], recipe: PageRecipe) -> list[int]:
    """Numbers of windows to show, at most `sentences`.

    The longest of those that fit into `page_tokens`, of different contexts, then one of median length.
    """
    most, order = recipe.sentences, np.argsort(lengths, kind="stable")
    median = int(order[len(order) // 2])
    fitting = [window for window in order if lengths[window] <= recipe.page_tokens] or [int(order[0])]
    picked: list[int] = []
    for window in reversed(fitting):  # the longest of those that fit tell most
        if len(picked) < max(most - 1, 1) and contexts[window] not in {contexts[each] for each in picked}:
            picked.append(int(window))
    return picked if median in picked or len(picked) == most else [*picked, median]
