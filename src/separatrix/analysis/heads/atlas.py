"""Fourth stage: everything gathered by head and by cluster, drawn, and put into one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.association import association, cells_of, controls
from separatrix.analysis.heads.cluster import CLUSTERS, LEFT_OUT, NOISE
from separatrix.analysis.heads.extract import RESULT, Reading
from separatrix.analysis.heads.importance import COLUMN, answered, importance_by_cluster, weigh_heads
from separatrix.errors import public_name
from separatrix.heads.descriptors import NAMES, head_distances
from separatrix.heads.maps import maps_of
from separatrix.heads.windows import Window
from separatrix.points import Points
from separatrix.progress import Progress
from separatrix.recipe.heads import HeadsRecipe
from separatrix.reports.atlas import AtlasPage, Shown, write_atlas
from separatrix.store.files import read_json, read_tensors, write_json, write_tensors
from separatrix.store.table import read_table, write_table
from separatrix.view.canvas import save
from separatrix.view.head_plots import pictures
from separatrix.view.head_sheet import Findings

PAGE, HEADS, PICTURES, DISTANCES = "atlas.html", "heads.parquet", "pictures", "distances.safetensors"
DISTANCE_WINDOWS = 24  # windows behind the distances between heads
EXEMPLARS = 4  # maps shown beside each cluster's mean


@dataclass(frozen=True)
class Gathered:
    """What the pictures and the page are made of."""

    heads: pd.DataFrame  # one line a head: layer, head, descriptors, cluster, share, noise, importance
    distances: NDArray[np.float64]  # (heads, heads), Jensen-Shannon
    cluster_maps: dict[int, NDArray[np.float32]]  # cluster -> (1 + exemplars, cells, cells), the mean first
    exemplars: dict[int, list[tuple[int, int, int]]]  # cluster -> window, layer and head of each exemplar


def atlas_stage(
    out: Path, folders: dict[str, Path], reading: Reading, rows: Points, values: NDArray[Any], recipe: HeadsRecipe,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Draw the atlas into `out`; gives the statistics as plain data."""
    table = read_table(folders["cluster"] / CLUSTERS)
    place = folders["atlas"]
    if not (place / RESULT).is_file():
        _measure(place, table, reading, rows, values, recipe, progress)
    found, heads = read_json(place / RESULT, dict), read_table(place / HEADS)
    if "importance" in found:
        found["importance"] = answered(found["importance"], heads)
    distances = read_tensors(place / DISTANCES)[0]["distances"]
    gathered = Gathered(heads, distances, *cluster_maps(table, rows))
    write_table(out / HEADS, heads)
    progress("atlas", 2, 4, "pictures")
    drawn = draw(out / PICTURES, folders, table, gathered)
    progress("atlas", 3, 4, "page")
    page = AtlasPage(
        title=f"Attention heads of {public_name(reading.backbone.source.name)}",
        summary=summary(rows, table, recipe),
        heads=gathered.heads,
        distances=gathered.distances,
        windows=shown_windows(reading, recipe),
        cluster_maps=gathered.cluster_maps,
        association=found["association"],
        controls=found["controls"],
        importance=found.get("importance", {}),
        pictures=drawn,
        notes=reading.notes,
    )
    found["page"] = write_atlas(out / PAGE, page).bytes
    return found


def _measure(
    place: Path, table: pd.DataFrame, reading: Reading, rows: Points, values: NDArray[Any],
    recipe: HeadsRecipe, progress: Progress,
) -> None:  # fmt: skip
    """Everything that takes time: statistics, importance, distances; written into the stage's folder."""
    seed, shuffles = recipe.reading.seed, recipe.clusters.permutations
    progress("atlas", 0, 4, "statistics")
    found: dict[str, Any] = {
        "association": association(table, permutations=shuffles, seed=seed),
        "controls": controls(table, values, seed=seed),
    }
    progress("atlas", 1, 4, "heads")
    heads = head_table(table, rows)
    weighed = weigh_heads(reading, recipe)
    if weighed is not None:
        heads[COLUMN.format("gradient")] = weighed.gradient.ravel()
        heads[COLUMN.format("ablation")] = weighed.ablation.ravel()
        found["importance"] = importance_by_cluster(weighed, heads, shuffles, seed)
    write_table(place / HEADS, heads)
    write_tensors(place / DISTANCES, {"distances": mean_distances(reading)})
    write_json(place / RESULT, found)


def summary(rows: Points, table: pd.DataFrame, recipe: HeadsRecipe) -> tuple[tuple[str, Any], ...]:
    """The first lines of the page."""
    origin = rows.origin
    return (
        ("windows", origin["windows"]),
        ("examples", origin["examples"]),
        ("contexts", origin["contexts"]),
        ("maps", origin["maps"]),
        ("layers x heads", f"{origin['layers']} x {origin['heads']}"),
        ("clusters", f"{int(table['cluster'].max()) + 1} by {recipe.clusters.method}"),
        ("feature", recipe.clusters.feature),
    )


def head_table(table: pd.DataFrame, rows: Points) -> pd.DataFrame:
    """One line a head: means of its descriptors, its most frequent cluster, how often it is there, its noise."""
    cells = cells_of(table)
    count = int(cells.max()) + 1
    heads_a_layer = int(table["head"].max()) + 1
    made: dict[str, Any] = {"layer": np.arange(count) // heads_a_layer, "head": np.arange(count) % heads_a_layer}
    if "descriptors" in rows.blocks:
        block = rows.blocks["descriptors"]
        sums = np.zeros((count, block.shape[1]))
        for start in range(0, len(rows), 65536):
            part = slice(start, start + 65536)
            np.add.at(sums, cells[part], np.asarray(block[part], np.float64))
        means = sums / np.bincount(cells, minlength=count)[:, None]
        made |= {name: means[:, place] for place, name in enumerate(NAMES)}
    used = table["cluster"].to_numpy() > LEFT_OUT
    labels = table["cluster"].to_numpy()[used]
    counts = np.zeros((count, int(labels.max()) + 2), np.int64)  # column 0: noise
    np.add.at(counts, (cells[used], labels + 1), 1)
    made["cluster"] = counts.argmax(axis=1) - 1
    made["cluster_share"] = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)
    for name in ("dbscan", "hdbscan"):
        given = table[name].to_numpy() > LEFT_OUT
        noise = np.bincount(cells[given], table[name].to_numpy()[given] == NOISE, count)
        made[f"{name}_noise"] = noise / np.maximum(np.bincount(cells[given], minlength=count), 1)
    return pd.DataFrame(made)


def mean_distances(reading: Reading) -> NDArray[np.float64]:
    """Mean Jensen-Shannon distance between heads over some windows, (heads, heads)."""
    windows = reading.windows
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(DISTANCE_WINDOWS, len(windows))).round().astype(int))
    total = sum(head_distances(maps_of(reading.backbone, windows[place]).flatten(0, 1)).double() for place in chosen)
    return (total / len(chosen)).cpu().numpy()  # type: ignore[union-attr]


def cluster_maps(
    table: pd.DataFrame, rows: Points
) -> tuple[dict[int, NDArray[np.float32]], dict[int, list[tuple[int, int, int]]]]:
    """The mean grid of each cluster and those of the rows nearest to it, one of each head; and which rows these are."""
    grid, labels, cells = rows.blocks["grid"], table["cluster"].to_numpy(), cells_of(table)
    identity = table[["window", "layer", "head"]].to_numpy()
    side = round(grid.shape[1] ** 0.5)
    made, named = {}, {}
    for cluster in range(int(labels.max()) + 1):
        places = np.flatnonzero(labels == cluster)
        some = places[np.unique(np.linspace(0, len(places) - 1, min(len(places), 2000)).round().astype(int))]
        grids = np.sqrt(np.asarray(grid[some], np.float32))
        mean = grids.mean(axis=0)
        order = np.linalg.norm(grids - mean, axis=1).argsort()
        _, first = np.unique(cells[some][order], return_index=True)
        nearest = order[np.sort(first)[:EXEMPLARS]]
        made[cluster] = np.concatenate([mean[None], grids[nearest]]).reshape(-1, side, side)
        named[cluster] = [(int(window), int(layer), int(head)) for window, layer, head in identity[some[nearest]]]
    return made, named


def shown_windows(reading: Reading, recipe: HeadsRecipe) -> list[Shown]:
    """The windows whose maps the page holds: short ones of different contexts, and one of median length.

    No map is larger than `page_tokens`: of a longer window its first tokens are shown, with the weights as they are.
    """
    windows, most = reading.windows, recipe.page.page_tokens
    picked = pick_windows(windows, [_context(reading, window) for window in windows], recipe)
    shown = []
    for place in picked:
        window = windows[place]
        maps = maps_of(reading.backbone, window).flatten(0, 1)[:, :most, :most]
        # Eight bits of the square root: small weights keep their differences.
        levels = (maps.clamp(0, 1).sqrt() * 255).round().byte().cpu().numpy()
        part = f", first {most} of {len(window)} tokens" if len(window) > most else ""
        title = f"{reading.sample.examples[window.example].id}, window {window.place}{part}"
        shown.append(Shown(title, window.words[:most], levels))
    return shown


def _context(reading: Reading, window: Window) -> int:
    return reading.sample.examples[window.example].context


def pick_windows(windows: Sequence[Window], contexts: Sequence[int], recipe: HeadsRecipe) -> list[int]:
    """Places of windows to show, at most `sentences`.

    The longest of those that fit into `page_tokens`, of different contexts, then one of median length.
    """
    most = recipe.page.sentences
    lengths = np.array([len(window) for window in windows])
    order = np.argsort(lengths, kind="stable")
    median = int(order[len(order) // 2])
    fitting = [place for place in order if lengths[place] <= recipe.page.page_tokens] or [int(order[0])]
    picked: list[int] = []
    for place in reversed(fitting):  # the longest of those that fit tell most
        if len(picked) < max(most - 1, 1) and contexts[place] not in {contexts[each] for each in picked}:
            picked.append(int(place))
    return picked if median in picked or len(picked) == most else [*picked, median]


def draw(folder: Path, folders: dict[str, Path], table: pd.DataFrame, gathered: Gathered) -> dict[str, Path]:
    """Every picture as PNG, its numbers as CSV beside it; titles -> files."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    findings = Findings(
        read_json(folders["features"] / RESULT, dict),
        read_json(folders["cluster"] / RESULT, dict),
        table[table["cluster"] >= NOISE],
        gathered.heads,
        gathered.distances,
        gathered.cluster_maps,
        gathered.exemplars,
    )
    for picture in pictures(findings):
        made[picture.title] = save(picture.figure, folder / f"{picture.name}.png")
        write_table(folder / f"{picture.name}.csv", picture.data)
    return made
