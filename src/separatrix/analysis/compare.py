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
from separatrix.analysis.cluster import cluster
from separatrix.analysis.compared import READERS, ComparedFolder, find_kind, short_names
from separatrix.analysis.identity import read_decision
from separatrix.analysis.project import LABEL, TEXT, Projection, describe, find_classes, project, write_variance
from separatrix.errors import OptionError
from separatrix.geometry.project import variance_shares
from separatrix.geometry.resample import compare_answers, holm
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe import LOSSES
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import CompareOptions
from separatrix.recipe.project import CompareRecipe
from separatrix.store.files import Schema, reading
from separatrix.store.result import Lines, Listing, Result, apart, out_line
from separatrix.store.table import write_table
from separatrix.view import save
from separatrix.view.data import write_data
from separatrix.view.maps import Drawing, Panels, draw_grid, grid_rows

# Figures of a map that stand in the result.
MAP_FIGURES = (
    "method", "guided", "rows", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "own",
    "seconds",
)  # fmt: skip


# Columns that are printed, with their headings; all of them stand in the files.
RUN_COLUMNS = {
    "source": "source", "kind": "kind", "method": "method", "loss": "loss", "words": "label words", "rows": "rows",
    "rmse": "RMSE",
    "accuracy": "accuracy (95 % interval)", "majority": "majority", "seconds": "seconds",
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
                [(f"{pair['a']} less {pair['b']}", f"{span}, p = {pair['p_holm']:.3g} on {pair['rows']} rows")]
            )
        return [*parts, out_line(self.folder)]

    def _tables(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        return {"table": self.sources, "pairs": self.pairs, "maps": self.maps, "clusters": self.clusters}

    def write_files(self, folder: Path) -> None:
        """Write tables, and (of sources that were read now) the pictures."""
        for name, lines in self._tables().items():
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
    if name == "lost":
        return f"{value:.3f} ({line['lost_low']:.3f} to {line['lost_high']:.3f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


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
    pairs, left_out = _find_pairs(sources, recipe.seed)
    panels, maps = _draw_panels(sources, recipe)
    lines, lost = [source.figures for source in sources], [line for one in sources for line in _clusters(one, recipe)]
    return Comparison(lines, pairs, maps, _find_mixed_up(sources) + left_out, lost, tuple(sources), panels)


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
    return [head | {"part": part} | _lost(figures["matched"]) | {name: figures[name] for name in ("rows", "own")}
            for part, figures in (assigned or {})["lost"].items()]  # fmt: skip


def _lost(pair: Mapping[str, Any] | None) -> dict[str, Any]:
    """A paired difference as columns of a table."""
    if pair is None:
        return dict.fromkeys(("lost", "lost_low", "lost_high", "p_value"))
    low, high = pair["interval"]
    return {"lost": pair["difference"], "lost_low": low, "lost_high": high, "p_value": pair["p_value"]}


def _find_pairs(sources: Sequence[ComparedFolder], seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Differences of each two runs on the rows that both answered, and what could not be compared."""
    pairs, left_out = [], []
    runs = [source for source in sources if source.answers is not None and source.figures["accuracy"] is not None]
    for one, other in combinations(runs, 2):
        right = _shared_answers(one, other)
        if isinstance(right, str):
            left_out.append(f"{one.path} and {other.path} are not compared: {right}")
            continue
        pairs.append({"a": one.name, "b": other.name, **compare_answers(*right, seed=seed).to_dict()})
    corrected = holm([pair["p_value"] for pair in pairs])
    return [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)], left_out


def _draw_panels(sources: Sequence[ComparedFolder], recipe: CompareRecipe) -> tuple[Panels, list[dict[str, Any]]]:
    """Drawings, a line for each method and a column for each source (or None), and the figures of each drawing."""
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
                figures.append(head | {name: getattr(flat, name) for name in MAP_FIGURES} | _lost(flat.lost))
    return panels, figures


def _map(source: ComparedFolder, method: str | None, wanted: bool, recipe: CompareRecipe) -> Projection | None:
    """The finished map of a source, or one drawn of its points."""
    if source.map is not None:
        return source.map if method in (None, source.map.method) else None
    if source.points is None or method is None or not wanted:
        return None
    return project(source.points, method, label=recipe.label, prepare=recipe.prepare, seed=recipe.seed)


def _find_mixed_up(sources: Sequence[ComparedFolder]) -> list[str]:
    """What looks as if files were mixed up: the same folder or numbers twice, a name that is another loss."""
    warnings = []
    for one, other in combinations(sources, 2):
        if one.path.resolve() == other.path.resolve():
            warnings.append(f"{one.path} and {other.path} are the same folder")
        elif one.digest == other.digest:
            warnings.append(
                f"{one.path} and {other.path} hold the same numbers: is one of them a copy under another name?"
            )
    for source in sources:
        words = source.path.name.lower().replace("-", " ").replace(".", " ").split()
        loss = source.figures["loss"]
        named = [other for other in LOSSES if other in words and other != loss]
        if loss is not None and named:
            warnings.append(f"{source.path} is named {named[0]!r} but was trained with the loss {loss!r}")
    return warnings


def _shared_answers(one: ComparedFolder, other: ComparedFolder) -> tuple[np.ndarray, np.ndarray] | str:
    """Whether each is right, (rows,) bool, on the rows that both answered; or why that is not known."""
    if one.answers is None or other.answers is None:
        return "no predictions on both sides"
    columns = [name for name in ("id", TEXT, "label", "predicted") if name in one.answers and name in other.answers]
    if "label" not in columns:
        return "no labels on both sides"
    # Ids may be numbers in one file and texts in another.
    mine, its = (answers[columns].astype({"id": str}) for answers in (one.answers, other.answers))
    both = mine.merge(its, on="id", suffixes=("_a", "_b"))
    if not len(both):
        return "they share no row"
    for name in {TEXT, "label"} & set(columns):
        if (both[f"{name}_a"].astype(str) != both[f"{name}_b"].astype(str)).any():
            return f"the same ids have another {name}: they were not scored on the same rows"
    gold = both["label_a"].astype(str)
    right = [(both[f"predicted_{side}"].astype(str) == gold).to_numpy(bool) for side in "ab"]
    return right[0], right[1]
