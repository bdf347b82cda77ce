"""Several runs, points or maps in one table and one figure, with the differences that the rows can tell.

No file is drawn under the heading of another one: panel, line of the table and pair are named by the path that was
opened, and what the folder says of itself (loss, method, model) stands beside it. Two folders with the same numbers,
and a folder named after another loss than its own, are reported.

The folder of a comparison holds

    table.parquet                 a line for each source: scores with interval and baseline, or faithfulness of a map
    pairs.parquet                 accuracy differences on shared rows: interval, McNemar's test, Holm's correction
    result.json                   all of it
    clusters.parquet              what k-means loses of the decision of sources that have one
    maps.png, maps.csv            a grid: methods down, sources across; maps.parquet has the figures of each panel
    compared.html                 all of it alive on one offline page
    variance.png, variance.csv    explained variance of the sources that have vectors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.analysis.cluster import cluster
from separatrix.analysis.compared import READERS, ComparedFolder, find_kind, short_names
from separatrix.analysis.identity import read_decision
from separatrix.analysis.project import LABEL, describe, find_classes, write_variance
from separatrix.analysis.side_by_side import draw_panels, find_mixed_up, find_pairs, paired_columns
from separatrix.analysis.together import page_sections
from separatrix.errors import OptionError
from separatrix.geometry.project import variance_shares
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import CompareOptions
from separatrix.recipe.project import CompareRecipe
from separatrix.reports.page import render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.together import OF_SETS
from separatrix.store.files import Schema, reading
from separatrix.store.result import Lines, Listing, Result, apart, digits, out_line, p_cell, p_words
from separatrix.store.table import write_table
from separatrix.view import save
from separatrix.view.data import write_data
from separatrix.view.maps import Panels, draw_grid, grid_rows

# Columns that are printed, with their headings; all of them stand in the files.
RUN_COLUMNS = {
    "source": "source", "kind": "kind", "method": "method", "loss": "loss", "words": "label words", "rows": "rows",
    "rmse": "RMSE",
    "accuracy": "accuracy (95 % interval)", "micro_f1": "micro-F1", "macro_f1": "macro-F1", "majority": "majority",
    "seconds": "seconds",
}  # fmt: skip
MAP_COLUMNS = {
    "source": "map of", "method": "method", "trustworthiness": "trust", "knn_overlap": "overlap",
    "knn_before": "k-NN before", "knn_after": "after", "majority": "majority",
    "own": "model itself", "lost": "lost by the map (95 % interval)",
}  # fmt: skip
CLUSTER_COLUMNS = {
    "source": "k-means of", "clusters": "clusters", "rows": "rows", "own": "model itself",
    "lost": "lost by clusters (95 % interval)", "p_value": "p",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Runs, points and maps side by side."""

    kind: ClassVar[str] = "comparison"
    schema: ClassVar[Schema] = {
        "table": [dict], "pairs": [dict], "maps": [dict], "warnings": [str], "clusters?": [dict]
    }  # fmt: skip

    sources: Sequence[Mapping[str, Any]]  # a line for each source
    pairs: Sequence[Mapping[str, Any]]  # a line for each two runs that answered the same rows
    maps: Sequence[Mapping[str, Any]]  # a line for each panel of the figure
    warnings: Sequence[str]
    clusters: Sequence[Mapping[str, Any]] = ()  # what k-means loses of the decision of each source that has one
    read: Sequence[ComparedFolder] = apart(())  # the sources themselves; none where it was read from disk
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
        parts += _columns(self.clusters, CLUSTER_COLUMNS)
        for pair in self.pairs:
            low, high = pair["interval"]
            span = f"{pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            parts.append(
                [(f"{pair['a']} less {pair['b']}", f"{span}, {p_words(pair['p_holm'])} on {pair['rows']} rows")]
            )
        if any(source.get("micro_f1") is not None for source in self.sources):
            parts.append([("note", OF_SETS)])
        return [*parts, out_line(self.folder)]

    def _tables(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        return {"table": self.sources, "pairs": self.pairs, "maps": self.maps, "clusters": self.clusters}

    def page(self) -> str:
        """The sources on one page: verdict, table, maps and rows."""
        drawn = [[one for line in self.panels if (one := line[at]) is not None] for at in range(len(self.read))]
        sections = page_sections(self.read, drawn, self.pairs, self.warnings)
        return render(RunReport(" and ".join(source.name for source in self.read)), sections)

    def write_files(self, folder: Path) -> None:
        """Write tables, and (of sources that were read now) the pictures."""
        for name, lines in self._tables().items():
            if lines or name == "table":
                write_table(folder / f"{name}.parquet", pd.DataFrame(lines))
        if self.panels:
            save(draw_grid(self.panels), folder / "maps.png")
            write_data(list(grid_rows(self.panels)), folder / "maps.csv")
        if self.read:
            write_page(folder / PAGE, self.page())
        with_vectors = [(source.title, source.points) for source in self.read if source.points is not None]
        if with_vectors:
            write_variance(folder, {title: variance_shares(np.asarray(one.values)) for title, one in with_vectors})


PAGE = "compared.html"


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
    if name == "lost":
        return f"{value:.3f} ({line['lost_low']:.3f} to {line['lost_high']:.3f})"
    if name == "p_value":
        return p_cell(value)
    return f"{value:{digits(name)}}" if isinstance(value, float) else str(value)


@checks_arguments
def compare(
    sources: Sequence[str | Path | Points | Result],
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
        sources: runs, points and maps: folders, each named by its path and by nothing else, or what verbs gave.
        verify: compare what is read with its hashes.
        recipe: all options at once.
        out: folder to write to; nothing is written without it.
        overwrite: replace an earlier comparison there.
        progress: is called with (stage, done, total, note).
        options: single options of `CompareRecipe`, by name; finished maps are drawn as they are.

    Raises:
        OptionError: fewer than two sources, one that is none of the three kinds, or an unknown method.
        StoreError: a folder is none of the three kinds, or `out` is taken.
    """
    progress = progress or silent
    if len(sources) < 2:
        raise OptionError("there is nothing to compare", got=f"{len(sources)} folders", expected="two or more")
    wanted = recipes.replace(recipe or CompareRecipe(), **options)
    paths = [_path_of(source, number) for number, source in enumerate(sources, 1)]
    inputs = [*paths, *(folder for source in sources if isinstance(source, Points) for folder in source.folders)]
    return Comparison.produce(
        lambda: _compare(sources, paths, wanted, verify), wanted, out, overwrite=overwrite, inputs=inputs,
        progress=progress, stage=("comparison", len(sources)),
    )  # fmt: skip


def _path_of(source: Any, number: int) -> Path:
    """Where a source stands; of one in memory, a name."""
    if isinstance(source, str | Path):
        return Path(source)
    if isinstance(source, Points):
        return Path(f"{describe(source)} ({number})")
    if isinstance(source, Result) and source.kind in READERS:
        return source.folder or Path(f"{source.method} ({number})")  # type: ignore[attr-defined]
    got = source.kind if isinstance(source, Result) else type(source).__name__
    raise OptionError("this cannot be compared", got=got, expected="runs, points or maps, or their folders")


def _compare(given: Sequence[Any], paths: Sequence[Path], recipe: CompareRecipe, verify: bool) -> Comparison:
    sources = []
    for one, path, name in zip(given, paths, short_names(paths), strict=True):  # as short as they can be and differ
        with reading(path):
            kind = find_kind(Path(one)) if isinstance(one, str | Path) else getattr(one, "kind", "points")
            sources.append(READERS[kind](path, name, one, recipe, verify))
    pairs, left_out = find_pairs(sources, recipe.seed)
    panels, maps = draw_panels(sources, recipe)
    lines, lost = [source.figures for source in sources], [line for one in sources for line in _clusters(one, recipe)]
    return Comparison(lines, pairs, maps, find_mixed_up(sources) + left_out, lost, tuple(sources), panels)


def _clusters(source: ComparedFolder, recipe: CompareRecipe) -> list[dict[str, Any]]:
    """What k-means with a cluster for each class, matched one to one, loses of the accuracy of `predicted`."""
    if source.points is None:
        return []
    names, _ = find_classes(source.points, recipe.label)
    if len(names) < 2 or read_decision(source.points.rows, recipe.label or LABEL, names) is None:
        return []
    options: dict[str, Any] = {"k": len(names), "prepare": recipe.prepare, "label": recipe.label, "seed": recipe.seed}
    assigned = cluster(source.points, "kmeans", **options).assignment
    head = {"source": source.name, "clusters": len(names)}
    shown = ("rows", "own")
    return [head | {"part": part} | paired_columns(figures["matched"]) | {name: figures[name] for name in shown}
            for part, figures in (assigned or {})["lost"].items()]  # fmt: skip
