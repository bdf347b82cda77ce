"""Several runs, points or maps in one table and one figure, with the differences that the rows can tell.

The folder of a comparison holds

    table.parquet                 a line for each source: scores with interval and baseline, or faithfulness of a map
    pairs.parquet                 accuracy differences on shared rows: interval, McNemar's test, Holm's correction
    result.json                   all of it
    maps.png, maps.csv            a grid: methods down, sources across; maps.parquet has the figures of each panel
    variance.png, variance.csv    explained variance of the sources that have vectors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.analysis.project import Projection, project, write_variance
from separatrix.analysis.sources import Source, find_mixed_up, read_sources, shared_answers
from separatrix.errors import OptionError
from separatrix.geometry.project import variance_shares
from separatrix.geometry.resample import compare_answers, holm
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import CompareOptions
from separatrix.recipe.project import CompareRecipe
from separatrix.store.files import Schema
from separatrix.store.result import Lines, Listing, Result, apart, out_line
from separatrix.store.table import write_table
from separatrix.view import save
from separatrix.view.data import write_data
from separatrix.view.maps import Drawing, Panels, draw_grid, grid_rows

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


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Runs, points and maps side by side."""

    kind: ClassVar[str] = "comparison"
    schema: ClassVar[Schema] = {"table": [dict], "pairs": [dict], "maps": [dict], "warnings": [str]}

    sources: Sequence[Mapping[str, Any]]  # a line for each source
    pairs: Sequence[Mapping[str, Any]]  # a line for each two runs that answered the same rows
    maps: Sequence[Mapping[str, Any]]  # a line for each panel of the figure
    warnings: Sequence[str]
    read: Sequence[Source] = apart(())  # the sources themselves; none where it was read from disk
    panels: Panels = apart(())

    @classmethod
    def stored(cls, _folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The lines of the sources."""
        return {"sources": plain["table"]}

    @property
    def table(self) -> pd.DataFrame:
        """A line for each source."""
        return pd.DataFrame(self.sources)

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        plain = super().figures()
        return {"table": plain.pop("sources")} | plain

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

    def write_files(self, folder: Path) -> None:
        """Write tables, and (of sources that were read now) the pictures."""
        for name, lines in (("table", self.sources), ("pairs", self.pairs), ("maps", self.maps)):
            if lines or name == "table":
                write_table(folder / f"{name}.parquet", pd.DataFrame(lines))
        if self.panels:
            save(draw_grid(self.panels), folder / "maps.png")
            write_data(list(grid_rows(self.panels)), folder / "maps.csv")
        with_vectors = [(source.title, source.points) for source in self.read if source.points is not None]
        if with_vectors:
            write_variance(folder, {title: variance_shares(np.asarray(one.values)) for title, one in with_vectors})


def _columns(lines: Sequence[Mapping[str, Any]], columns: dict[str, str]) -> list[Listing]:
    """A table of the columns in which there is anything."""
    shown = [name for name in columns if any(line[name] is not None for line in lines)]
    rows = [[_cell(line, name) for name in shown] for line in lines]
    return [Listing([columns[name] for name in shown], rows)] if lines else []


def _cell(line: Mapping[str, Any], name: str) -> str:
    value = line[name]
    if value is None:
        return "-"
    if name == "accuracy":
        return f"{value:.3f} ({line['low']:.3f} to {line['high']:.3f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@checks_arguments
def compare(
    sources: Sequence[str | Path],
    *,
    verify: bool = True,
    recipe: CompareRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
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
    progress = progress or silent
    if len(sources) < 2:
        raise OptionError("there is nothing to compare", got=f"{len(sources)} folders", expected="two or more")
    wanted = recipes.replace(recipe or CompareRecipe(), **options)
    return Comparison.produce(
        lambda: _compare(sources, wanted, verify), wanted, out, overwrite=overwrite, inputs=sources, progress=progress,
        stage=("comparison", len(sources)),
    )  # fmt: skip


def _compare(folders: Sequence[str | Path], recipe: CompareRecipe, verify: bool) -> Comparison:
    sources = read_sources([Path(folder) for folder in folders], recipe, verify)
    pairs, left_out = find_pairs(sources, recipe.seed)
    panels, maps = draw_panels(sources, recipe)
    lines = [source.figures for source in sources]
    return Comparison(lines, pairs, maps, find_mixed_up(sources) + left_out, tuple(sources), panels)


def find_pairs(sources: Sequence[Source], seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Differences of each two runs on the rows that both answered, and what could not be compared."""
    pairs, left_out = [], []
    runs = [source for source in sources if source.answers is not None and source.figures["accuracy"] is not None]
    for one, other in combinations(runs, 2):
        right = shared_answers(one, other)
        if isinstance(right, str):
            left_out.append(f"{one.path} and {other.path} are not compared: {right}")
            continue
        pairs.append({"a": one.name, "b": other.name, **compare_answers(*right, seed=seed).to_dict()})
    corrected = holm([pair["p_value"] for pair in pairs])
    return [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)], left_out


def draw_panels(sources: Sequence[Source], recipe: CompareRecipe) -> tuple[Panels, list[dict[str, Any]]]:
    """Drawings, a line for each method and a column for each source (None where a source has no such map).

    Beside them the figures of each drawing, with the folder that it shows.
    """
    wanted = [*recipe.method] if any(source.points is not None for source in sources) else []
    own = dict.fromkeys(source.map.method for source in sources if source.map is not None)
    # Finished maps alone stand in one line, whatever their methods.
    lines = [*dict.fromkeys([*wanted, *own])] if wanted else [None] * bool(own)
    panels: list[list[Drawing | None]] = []
    figures: list[dict[str, Any]] = []
    for method in lines:
        maps = [_map(source, method, method in wanted, recipe) for source in sources]
        pairs = list(zip(sources, maps, strict=True))
        panels.append([
            None if flat is None else replace(flat.drawing(), title=source.title, note=flat.short_caption)
            for source, flat in pairs
        ])  # fmt: skip
        for source, flat in pairs:
            if flat is not None:
                head = {"source": source.name, "title": source.title}
                figures.append(head | {name: getattr(flat, name) for name in MAP_FIGURES})
    return panels, figures


def _map(source: Source, method: str | None, wanted: bool, recipe: CompareRecipe) -> Projection | None:
    """The finished map of a source, or one drawn of its points."""
    if source.map is not None:
        return source.map if method in (None, source.map.method) else None
    if source.points is None or method is None or not wanted:
        return None
    return project(source.points, method, label=recipe.label, seed=recipe.seed)
