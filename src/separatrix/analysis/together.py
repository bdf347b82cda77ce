"""Results of several kinds as one page: their rows joined, their maps alive, what `compare` computes as its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from separatrix.analysis.cluster import Clusters
from separatrix.analysis.compared import PARTS, READERS, ComparedFolder, short_names
from separatrix.analysis.flat import LEAST, class_order
from separatrix.analysis.project import LABEL, SPLIT, TEXT
from separatrix.analysis.seeds import SeedRun, over_seeds
from separatrix.analysis.side_by_side import draw_panels, find_mixed_up, find_pairs
from separatrix.analysis.suspects import Suspects
from separatrix.recipe.project import CompareRecipe
from separatrix.reports.by_run import by_run
from separatrix.reports.cluster_sizes import cluster_sizes
from separatrix.reports.collect import Sheet, atlas_section, read_sheet, sheet_section
from separatrix.reports.joined import SourceRows, join_rows
from separatrix.reports.page import ReportFile, render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.rows import PageRows, RowMap
from separatrix.reports.sections import Section, certainty, first_map, map_section, row_section
from separatrix.reports.sweep_page import sweep_section
from separatrix.reports.tables import PER_CLASS
from separatrix.reports.together import Comparisons, comparison_sections
from separatrix.store.files import reading
from separatrix.store.kinds import kind_of
from separatrix.store.result import read_result
from separatrix.view.maps import Drawing

# Pictures in the folder of a result that a page with joined rows shows alive.
ALIVE = {"run": ("confusion", "scatter", "scatter-train"), "map": ("map",), "clusters": ("sizes",)}


def show_together(folders: Sequence[Path], out: Path, *, verify: bool = True) -> ReportFile:
    """One page over folders that verbs wrote: what of them can be compared, then a part for each, in their order;
    atlases of heads stand side by side behind them.

    Raises:
        StoreError: a folder holds no result, or the place cannot be written.
    """
    names, parts, atlases = short_names(folders), list[Section](), list[Sheet]()
    joined = sum(kind_of(folder) in {*READERS, *SELECTING} for folder in folders) > 1
    for number, (folder, name) in enumerate(zip(folders, names, strict=True), start=1):
        with reading(folder):
            sheet = read_sheet(folder, verify=verify)
            sheet = sheet.without_pictures(ALIVE.get(sheet.kind, ())) if joined else sheet
            if sheet.kind == "atlas":
                atlases.append(replace(sheet, title=name))
            else:
                parts.append(_part(sheet, folder, name, number, out.absolute().parent))
    if atlases:  # models beside each other
        number = len(folders) + 1
        parts.append(atlas_section(atlases, number) if len(atlases) > 1 else sheet_section(atlases[0], number))
    recipe, sources, more = CompareRecipe(), list[ComparedFolder](), list[SourceRows]()
    if joined:
        for folder, name in zip(folders, names, strict=True):
            with reading(folder):
                if (kind := str(kind_of(folder))) in READERS:
                    sources.append(READERS[kind](folder, name, folder, recipe, verify))
                elif kind in SELECTING:
                    more.append(SELECTING[kind](folder, name, verify))
    pairs, left_out = find_pairs(sources, recipe.seed)
    warnings = [*find_mixed_up(sources), *left_out]
    sections = page_sections(sources, [_drawn(source, recipe) for source in sources], pairs, warnings, more)
    return write_page(out, render(RunReport(out.stem), [*sections, *parts]))


def _drawn(source: ComparedFolder, recipe: CompareRecipe) -> list[Drawing]:
    """Maps of one source; none of a run that kept the plane of its outputs, and of rows too few for a map."""
    if source.plane is not None or (source.points is not None and len(source.points) < LEAST):
        return []
    return [line[0] for line in draw_panels([source], recipe)[0] if line[0] is not None]


def _part(sheet: Sheet, folder: Path, name: str, number: int, beside: Path) -> Section:
    """What a folder says of itself, under its name among the others; a sweep is alive."""
    if sheet.kind == "sweep":
        return sweep_section(name, number, folder.absolute(), read_result(folder), beside)
    return sheet_section(replace(sheet, title=name), number)


def page_sections(
    sources: Sequence[ComparedFolder], drawn: Sequence[Sequence[Drawing]], pairs: Sequence[Mapping[str, Any]],
    warnings: Sequence[str], more: Sequence[SourceRows] = (),
) -> list[Section]:  # fmt: skip
    """Verdict and table of the sources, their maps (some for each) on joined rows, and the list of these rows."""
    if len(sources) + len(more) < 2:
        return []
    named = [*(_by_name(line, sources) for line in warnings), *_guards(sources)]
    recipes, recipe_pairs = over_seeds(_seed_runs(sources))
    lines = [source.figures for source in sources]
    comparisons = Comparisons(lines, pairs, recipes, recipe_pairs, tuple(named))
    sections = comparison_sections(comparisons)
    given = [_source_rows(source, maps) for source, maps in zip(sources, drawn, strict=True)]
    leader = None if comparisons.leader is None else str(comparisons.leader["source"])
    rows, maps = join_rows([one for one in (*given, *more) if len(one)], leader)
    if not len(rows):
        return sections
    if maps and rows.labels is not None:  # by the map that stands first: its rows have labels, as a rule
        first = maps[first_map(maps, rows)]
        at = np.arange(len(rows)) if first.rows is None else first.rows
        rows = replace(rows, groups=class_order(rows.names, rows.labels[at], first.positions[-1]))
    shown = [map_section(maps, rows)] if maps else []
    sure = certainty(RunReport("", rows=rows)) if rows.predicted is not None else None
    views = by_run([_run_views(one, rows) for one in sources if one.name in {each.title for each in rows.answers}])
    sizes = cluster_sizes(rows)
    return [
        *sections,
        *shown,
        row_section(rows),
        *([] if sizes is None else [sizes]),
        *views,
        *([] if sure is None else [sure]),
    ]


def _run_views(source: ComparedFolder, rows: PageRows) -> RunReport:
    """What a run says of its classes, beside the rows of the page."""
    assert source.run is not None
    part = str(source.figures["split"])
    figures = source.run.figures()["scores"][part]
    matrix = np.array(figures["confusion"]) if "confusion" in figures else None
    lines = [{key: line[key] for key in PER_CLASS if key in line} for line in figures.get("per_class", ())]
    return RunReport(
        source.name, confusion=matrix, names=source.classes, confusion_part=part, per_class=lines, rows=rows
    )


def _guards(sources: Sequence[ComparedFolder]) -> list[str]:
    """What the guards of each run said; a sentence of several runs stands once."""
    runs = dict[str, list[str]]()
    for source in sources:
        for line in [] if source.run is None else source.run.figures().get("warnings", ()):
            runs.setdefault(line, []).append(source.name)
    return [f"{', '.join(names)}: {line}" for line, names in runs.items()]


def _by_name(line: str, sources: Sequence[ComparedFolder]) -> str:
    """A warning with the names of its folders: a page says nothing of the machine that it was made on."""
    for source in sorted(sources, key=lambda one: -len(str(one.path))):
        line = line.replace(str(source.path), source.name)
    return line


def _seed_runs(sources: Sequence[ComparedFolder]) -> list[SeedRun]:
    return [
        SeedRun(one.name, one.recipe, str(one.figures["split"]), float(one.figures["accuracy"]))
        for one in sources if one.recipe and one.figures["accuracy"] is not None
    ]  # fmt: skip


def _source_rows(source: ComparedFolder, panels: Sequence[Drawing]) -> SourceRows:
    """Rows of a run, of points or of a map, with the maps that show them."""
    if source.run is not None:
        return _run_rows(source, panels)
    table = source.points.rows if source.points is not None else source.map.row_table if source.map else None
    assert table is not None
    frame = table.frame([name for name in ("id", TEXT, LABEL, SPLIT) if name in table])
    maps = [_row_map(one, None) for one in panels]
    return _of_frame(source.name, frame, maps=maps)


def _run_rows(source: ComparedFolder, panels: Sequence[Drawing]) -> SourceRows:
    """Test and validation rows of a run; its map is the plane of its outputs, or that of the last recorded ones."""
    assert source.run is not None
    parts = [part for part in PARTS if part in source.parts]
    tables = [source.run.answers(part) for part in parts]
    frame = pd.concat(
        [table.assign(**{SPLIT: part}) for part, table in zip(parts, tables, strict=True)], ignore_index=True
    )
    plane, maps = source.plane, list[RowMap]()
    if plane is not None and {*plane.coordinates} == {*parts}:
        flat = np.concatenate([plane.coordinates[part] for part in parts])
        maps = [RowMap("outputs", flat[None], plane.axes, plane.note)]
    elif source.points is not None:
        start = len(frame) - len(tables[-1])  # validation rows stand last
        numbers = dict(zip(map(str, tables[-1]["id"]), range(start, len(frame)), strict=True))
        at = np.array([numbers[str(one)] for one in source.points.column("id")])
        maps = [_row_map(one, at) for one in panels]
    classes = source.classes
    chances = [f"probability_{name}" for name in classes]
    known = bool(classes) and all({*chances} <= {*table.columns} for table in tables)
    return _of_frame(
        source.name, frame, maps=maps, classes=classes if known else (),
        predicted=None if source.figures["accuracy"] is None else [str(one) for one in frame["predicted"]],
        probabilities=frame[chances].to_numpy(np.float64) if known else None,
        unknown=frame["unknown_tokens"].fillna(0).to_numpy(int) if "unknown_tokens" in frame else None,
    )  # fmt: skip


def _of_frame(title: str, frame: pd.DataFrame, **more: Any) -> SourceRows:
    """Rows of a table with their ids, texts, labels and splits, as far as it has them."""

    def column(name: str) -> list[str | None]:
        if name not in frame:
            return [None] * len(frame)
        return [None if missing else str(one) for one, missing in zip(frame[name], frame[name].isna(), strict=True)]

    ids, texts = column("id"), [text or "" for text in column(TEXT)]
    splits = [one or "-" for one in column(SPLIT)] if SPLIT in frame else ()
    return SourceRows(title, [one or "" for one in ids], texts, column(LABEL), splits, **more)


def _row_map(drawing: Drawing, rows: np.ndarray | None) -> RowMap:
    return RowMap("map", drawing.points[None].astype(np.float32), drawing.axes, drawing.note, rows, pale=drawing.pale)


def _cluster_rows(folder: Path, name: str, verify: bool) -> SourceRows:
    """Clusters: rows can be coloured and selected by them."""
    clusters = Clusters.open(folder, verify=verify)
    table = clusters.row_table
    frame = table.frame([name for name in ("id", TEXT, LABEL, SPLIT) if name in table])
    return _of_frame(name, frame, clusters=clusters.labels)


def _suspect_rows(folder: Path, name: str, verify: bool) -> SourceRows:
    """Suspects: rows whose label is doubted can be selected."""
    judged = Suspects.open(folder, verify=verify)
    frame = judged.row_table.to_pandas()
    doubt = np.where(frame["is_label_issue"], 1 - frame["score"], np.nan)
    return _of_frame(name, frame, suspect=doubt)


SELECTING = {"clusters": _cluster_rows, "suspects": _suspect_rows}
