"""Several runs, points or maps in one table and one figure, with the differences that the rows can tell.

The folder of a comparison holds

    table.parquet                 a line for each source: scores with interval and baseline, or faithfulness of a map
    pairs.parquet                 accuracy differences on shared rows: interval, McNemar's test, Holm's correction
    result.json                   all of it
    maps.png, maps.csv            a grid: methods down, sources across; maps.parquet has the figures of each panel
    variance.png, variance.csv    explained variance of the sources that have vectors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from separatrix.analysis.project import project, short_caption, variance_rows
from separatrix.analysis.sources import Request, Source, find_mixed_up, read_sources, shared_answers
from separatrix.errors import OptionError, choose
from separatrix.geometry.paired import compare_answers, holm
from separatrix.geometry.project import variance_shares
from separatrix.recipe.project import METHODS
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import write_json
from separatrix.store.folder import RESULT
from separatrix.store.table import write_table
from separatrix.view import save
from separatrix.view.data import write_data
from separatrix.view.grid_plot import draw_grid, grid_rows
from separatrix.view.map_plot import Drawing
from separatrix.view.variance_plot import draw_variance

Panels = list[list[Drawing | None]]
# What is told of each map in the figure.
MAP_FIGURES = (
    "method", "guided", "rows", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "seconds",
)  # fmt: skip


def compare(
    sources: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    methods: Sequence[str] = ("pca",),
    label: str | None = None,
    rows: int = 2000,
    seed: int = 0,
    overwrite: bool = False,
    verify: bool = True,
) -> dict[str, Any]:
    """Set runs, points and maps side by side.

    Args:
        sources: folders; each is named by its path and by nothing else.
        out: folder to write to.
        methods: maps drawn of each run (outputs of its last frame) and of each points; finished maps are drawn as
            they are.
        label: column of the labels of points.
        rows: rows drawn of each points, with the seed.
        seed: of maps, samples and intervals.
        overwrite: replace an earlier comparison in `out`.
        verify: compare what is read with its hashes.

    Returns:
        `table` (a line for each source), `pairs` (a line for each two runs that answered the same rows), `maps` (a
        line for each panel of the figure) and `warnings`, as plain values.

    Raises:
        OptionError: fewer than two sources, or an unknown method.
        StoreError: a folder is none of the three kinds, or `out` is taken.
    """
    if len(sources) < 2:
        raise OptionError("there is nothing to compare", got=f"{len(sources)} folders", expected="two or more")
    chosen = [choose(method, METHODS, "--method") for method in methods]
    recipe = {"methods": chosen, "label": label, "rows": rows, "seed": seed}
    with write_artifact(out, "comparison", recipe, overwrite=overwrite, inputs=sources) as folder:
        found = read_sources([Path(source) for source in sources], Request(rows, seed, label, verify))
        pairs, untold = find_pairs(found, seed)
        panels, maps = draw_panels(found, chosen, seed, label)
        result: dict[str, Any] = {
            "table": [source.figures for source in found],
            "pairs": pairs,
            "maps": maps,
            "warnings": find_mixed_up(found) + untold,
        }
        if folder is not None:
            _write(folder, result, panels, found)
    return result


def find_pairs(sources: Sequence[Source], seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Differences of each two runs on the rows that both answered, and what could not be compared."""
    pairs, untold = [], []
    runs = [source for source in sources if source.answers is not None and source.figures["accuracy"] is not None]
    for one, other in combinations(runs, 2):
        right = shared_answers(one, other)
        if isinstance(right, str):
            untold.append(f"{one.path} and {other.path} are not compared: {right}")
            continue
        pairs.append({"a": one.name, "b": other.name, **compare_answers(*right, seed=seed).to_dict()})
    corrected = holm([pair["p_value"] for pair in pairs])
    return [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)], untold


def draw_panels(
    sources: Sequence[Source], methods: Sequence[str], seed: int, label: str | None
) -> tuple[Panels, list[dict[str, Any]]]:
    """Drawings, a line for each method and a column for each source (None where a source has no such map).

    Beside them the figures of each drawing, with the folder that it shows.
    """
    wanted = [*methods] if any(source.points is not None for source in sources) else []
    own = dict.fromkeys(str(source.method) for source in sources if source.drawing is not None)
    # Finished maps alone stand in one line, whatever their methods.
    lines = [*dict.fromkeys([*wanted, *own])] if wanted else [None] * bool(own)
    panels: Panels = []
    figures: list[dict[str, Any]] = []
    for method in lines:
        made = [_draw(source, method, method in wanted, seed, label) for source in sources]
        panels.append([None if one is None else one[0] for one in made])
        figures += [_told(source, one[1]) for source, one in zip(sources, made, strict=True) if one is not None]
    return panels, figures


def _told(source: Source, result: dict[str, Any]) -> dict[str, Any]:
    return {"source": source.name, "title": source.title} | {key: result[key] for key in MAP_FIGURES}


def _draw(
    source: Source, method: str | None, wanted: bool, seed: int, label: str | None
) -> tuple[Drawing, dict[str, Any]] | None:
    if source.drawing is not None:
        own = method in (None, source.method)
        return (replace(source.drawing, title=source.title), source.map_result or {}) if own else None
    if source.points is None or method is None or not wanted:
        return None
    made = project(source.points, method, label=label, seed=seed)
    found = made.to_dict()
    return replace(made.drawing(), title=source.title, note=short_caption(found)), found


def _write(folder: Path, result: dict[str, Any], panels: Panels, sources: Sequence[Source]) -> None:
    write_table(folder / "table.parquet", pd.DataFrame(result["table"]))
    if result["pairs"]:
        write_table(folder / "pairs.parquet", pd.DataFrame(result["pairs"]))
    if result["maps"]:
        write_table(folder / "maps.parquet", pd.DataFrame(result["maps"]))
        save(draw_grid(panels), folder / "maps.png")
        write_data(list(grid_rows(panels)), folder / "maps.csv")
    shares = {
        source.title: variance_shares(np.asarray(source.points.values))
        for source in sources
        if source.points is not None
    }
    if shares:
        save(draw_variance(shares), folder / "variance.png")
        write_data(variance_rows(shares), folder / "variance.csv")
    write_json(folder / RESULT, {"kind": "comparison", **result})
