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
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.analysis.project import project, short_caption, variance_rows
from separatrix.analysis.sources import Request, Source, find_mixed_up, read_sources, shared_answers
from separatrix.errors import OptionError
from separatrix.geometry.paired import compare_answers, holm
from separatrix.geometry.project import variance_shares
from separatrix.progress import Progress, silent
from separatrix.recipe.options import CompareOptions
from separatrix.recipe.project import CompareRecipe
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import reading, write_json
from separatrix.store.folder import RESULT
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.results import read_result
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


# Columns that are printed, with their headings; all of them stand in the files.
RUN_COLUMNS = {
    "source": "source", "kind": "kind", "method": "method", "loss": "loss", "rows": "rows", "rmse": "RMSE",
    "accuracy": "accuracy (95 % interval)", "majority": "majority", "seconds": "seconds",
}  # fmt: skip
MAP_COLUMNS = {
    "source": "map of", "method": "method", "trustworthiness": "trust", "knn_overlap": "overlap",
    "knn_before": "k-NN before", "knn_after": "after", "majority": "majority",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """Runs, points and maps side by side."""

    kind: ClassVar[str] = "comparison"

    sources: list[dict[str, Any]]  # a line for each source
    pairs: list[dict[str, Any]]  # a line for each two runs that answered the same rows
    maps: list[dict[str, Any]]  # a line for each panel of the figure
    warnings: list[str]
    read: tuple[Source, ...] = field(default=(), repr=False)  # the sources themselves; none where it was read from disk
    panels: Panels = field(default_factory=list, repr=False)
    folder: Path | None = None

    @property
    def table(self) -> pd.DataFrame:
        """A line for each source."""
        return pd.DataFrame(self.sources)

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return {"table": self.sources, "pairs": self.pairs, "maps": self.maps, "warnings": self.warnings}

    def parts(self) -> list[Listing | Lines]:
        """Sources, maps, differences."""
        parts: list[Listing | Lines] = [*_columns(self.sources, RUN_COLUMNS), *_columns(self.maps, MAP_COLUMNS)]
        for pair in self.pairs:
            low, high = pair["interval"]
            span = f"{pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            parts.append(
                [(f"{pair['a']} less {pair['b']}", f"{span}, p = {pair['p_holm']:.3g} on {pair['rows']} rows")]
            )
        return [*parts, out_line(self.folder)]

    def write(self, folder: Path) -> None:
        """Write tables and figures into an empty folder, and (of sources that were read now) the pictures."""
        write_table(folder / "table.parquet", self.table)
        if self.pairs:
            write_table(folder / "pairs.parquet", pd.DataFrame(self.pairs))
        if self.maps:
            write_table(folder / "maps.parquet", pd.DataFrame(self.maps))
        if self.panels:
            save(draw_grid(self.panels), folder / "maps.png")
            write_data(list(grid_rows(self.panels)), folder / "maps.csv")
        with_vectors = [(source.title, source.points) for source in self.read if source.points is not None]
        if with_vectors:
            shares = {title: variance_shares(np.asarray(points.values)) for title, points in with_vectors}
            save(draw_variance(shares), folder / "variance.png")
            write_data(variance_rows(shares), folder / "variance.csv")
        write_json(folder / RESULT, {"kind": self.kind, **self.figures()})


def _columns(lines: list[dict[str, Any]], columns: dict[str, str]) -> list[Listing]:
    """A table of the columns in which there is anything."""
    shown = [name for name in columns if any(line[name] is not None for line in lines)]
    rows = [[_cell(line, name) for name in shown] for line in lines]
    return [Listing([columns[name] for name in shown], rows)] if lines else []


def _cell(line: dict[str, Any], name: str) -> str:
    value = line[name]
    if value is None:
        return "-"
    if name == "accuracy":
        return f"{value:.3f} ({line['low']:.3f} to {line['high']:.3f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def compare(
    sources: Sequence[str | Path],
    *,
    verify: bool = True,
    recipe: CompareRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Unpack[CompareOptions],
) -> Comparison:
    """Set runs, points and maps side by side.

    Args:
        sources: folders; each is named by its path and by nothing else.
        verify: compare what is read with its hashes.
        recipe: all options at once.
        out: folder to write to; nothing is written without it.
        overwrite: replace an earlier comparison there.
        progress: is called with (stage, done, total, note).
        options: single options of `CompareRecipe`, by name; finished maps are drawn as they are.

    Raises:
        OptionError: fewer than two sources, or an unknown method.
        StoreError: a folder is none of the three kinds, or `out` is taken.
    """
    if len(sources) < 2:
        raise OptionError("there is nothing to compare", got=f"{len(sources)} folders", expected="two or more")
    wanted = recipes.replace(recipe or CompareRecipe(), **options)
    seed, label = wanted.seed, wanted.label
    with write_artifact(out, Comparison.kind, wanted, overwrite=overwrite, inputs=sources) as folder:
        progress("comparison", 0, len(sources), "")
        read = read_sources([Path(source) for source in sources], Request(wanted.rows, seed, label, verify))
        pairs, untold = find_pairs(read, seed)
        panels, maps = draw_panels(read, wanted.method, seed, label)
        lines = [source.figures for source in read]
        result = Comparison(lines, pairs, maps, find_mixed_up(read) + untold, tuple(read), panels)
        if folder is not None:
            result.write(folder)
        progress("comparison", len(sources), len(sources), "")
    return result if out is None else replace(result, folder=Path(out))


def open_comparison(folder: str | Path) -> Comparison:
    """Read what `compare` wrote.

    Raises:
        StoreError: the folder holds no comparison.
    """
    path = Path(folder)
    with reading(path):
        plain = read_result(path, {"table": [dict], "pairs": [dict], "maps": [dict], "warnings": [str]})
        return Comparison(plain["table"], plain["pairs"], plain["maps"], plain["warnings"], folder=path)


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
    found = made.result
    return replace(made.drawing(), title=source.title, note=short_caption(found)), found
