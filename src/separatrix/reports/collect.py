"""Several results - runs, points, maps, clusters - read into one offline page, each with figures and pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from separatrix.errors import public_name
from separatrix.reports.pack import data_uri
from separatrix.reports.page import ReportFile, render, write_page
from separatrix.reports.result import PictureFile, RunReport
from separatrix.reports.sections import Section, curve_panels
from separatrix.reports.tables import score_rows, tabulate
from separatrix.store.contents import open_artifact
from separatrix.store.files import read_lines
from separatrix.store.folder import METRICS
from separatrix.store.kinds import kind_of
from separatrix.store.manifest import Manifest, read_manifest
from separatrix.store.result import Listing, read_result, read_run_files

ORIGIN = ("model", "revision", "what", "max_length", "cut")  # what a sheet of points says of where they come from
HIDDEN = ("kind", "out", "recipe", "warnings", "notes", "command")
ATLAS_PICTURES = ("clusters", "descriptors", "cluster_maps")
MOST_ROWS = 40  # lines of a table that a sheet shows

# Of files whose name alone says too little.
CAPTIONS = {
    "map": "Map of the rows", "maps": "Maps side by side", "variance": "Variance in the first principal directions",
    "sizes": "Rows of each cluster", "choice": "What each choice of the clustering scored",
    "grid": "Radius and least neighbors of DBSCAN", "tree": "How clusters part", "confusion": "Confusion",
    "scatter": "Outputs of validation rows", "scatter-train": "Outputs of training rows",
    "heatmap": "Encoders by figures", "cost": "Quality beside seconds", "clusters": "Cluster of each head",
    "descriptors": "Descriptors of each head", "cluster_maps": "Mean map of each cluster, and the rows nearest to it",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """One result: what it is called, what kind of thing it is, and what there is to see."""

    title: str  # name of the folder that was read, so that no two can be mixed up
    kind: str  # `run`, `points`, `map`, `clusters`, ...
    figures: tuple[tuple[str, object], ...] = ()  # (label, value), the most important first
    rows: Sequence[Mapping[str, Any]] | Listing = ()  # one mapping a line, whose keys are the columns; or as shown
    strong: tuple[bool, ...] = ()  # which lines of the table are the result's own, not a baseline's
    warnings: tuple[str, ...] = ()  # of the guards
    notes: tuple[str, ...] = ()  # what else is true
    pictures: tuple[PictureFile, ...] = ()  # files put into the page
    command: str = ""  # that makes it again
    metrics: Sequence[Mapping[str, Any]] = ()  # of a training, a line an epoch

    def without_pictures(self, stems: Collection[str]) -> Sheet:
        """The same without pictures of what the page shows alive, by the names of their files."""
        return replace(self, pictures=tuple(one for one in self.pictures if one.path.stem not in stems))


def write_collection(path: str | Path, title: str, sheets: Sequence[Sheet]) -> ReportFile:
    """Write the page as one file that opens offline, whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    return write_page(path, render_collection(title, sheets))


def render_collection(title: str, sheets: Sequence[Sheet]) -> str:
    """The page as text."""
    return render(RunReport(title), [sheet_section(sheet, number) for number, sheet in enumerate(sheets, start=1)])


def sheet_section(sheet: Sheet, number: int) -> Section:
    """The part of a page for one result."""
    return Section(f"part-{number}", sheet.title, "sheet.html", _view(sheet))


def atlas_section(sheets: Sequence[Sheet], number: int) -> Section:
    """One part of a page for several atlases, a model beside the other; under one another where there is no room."""
    title, parts = "Attention heads, side by side", [_view(sheet) for sheet in sheets]
    return Section(f"part-{number}", title, "atlases.html", {"parts": parts})


def _view(sheet: Sheet) -> dict[str, Any]:
    pictures = [(picture.title, data_uri(picture.path)) for picture in sheet.pictures]
    return {"sheet": sheet, "table": _table(sheet), "pictures": pictures, "panels": curve_panels(sheet.metrics)}


def _table(sheet: Sheet) -> Listing | None:
    if isinstance(sheet.rows, Listing):
        return sheet.rows
    return tabulate(sheet.rows, list(sheet.strong)) if sheet.rows else None


def read_sheet(folder: Path, *, verify: bool = True) -> Sheet:
    """What a folder holds: figures, one table, pictures, warnings. Raises `StoreError`: the folder holds no result."""
    name = public_name(folder)
    kind = open_artifact(folder, verify=verify and kind_of(folder) != "points").kind
    if kind == "points":  # of which the manifest alone is read
        return _points_sheet(name, read_manifest(folder))
    if kind == "sweep":
        return Sheet(name, "sweep")  # shown by `sweep_page`
    if kind == "run":
        return _run_sheet(name, folder, read_run_files(folder)[1])
    if kind == "atlas":
        return _atlas_sheet(name, folder, read_result(folder))
    return _sheet(name, folder, read_result(folder))


def _run_sheet(name: str, folder: Path, result: Mapping[str, Any]) -> Sheet:
    rows = score_rows(dict(result))
    figures = (("model", result["model"]["name"]), *((key, result[key]) for key in ("method", "loss", "seconds")))
    strong = tuple(row["method"] == result["method"] for row in rows)
    rest = (tuple(result["warnings"]), tuple(result["notes"]), _pictures(folder / "pictures"))
    lines = read_lines(folder / METRICS) if (folder / METRICS).is_file() else []
    metrics, command = [line for line in lines if "loss" in line], result.get("command") or ""
    sheet = Sheet(name, "run", figures, rows, strong, *rest, command=command, metrics=metrics)
    return sheet.without_pictures({"curves"})


def _atlas_sheet(name: str, folder: Path, result: Mapping[str, Any]) -> Sheet:
    """The model and its heads; a line for each cluster, in words; the grids of heads."""
    figures = [(key, result[key]) for key in ("model", "windows", "examples") if result.get(key) is not None]
    if clusters := result.get("clusters"):
        figures.append(("layers x heads", f"{result['layers']} x {result['heads']}"))
        figures.append(("clusters", f"{clusters['count']} by {clusters['method']}"))
    rows = [
        {"cluster": "noise" if line["cluster"] < 0 else line["cluster"], "what its heads do": line["sentence"]}
        for line in result.get("cluster_sentences") or ()
    ]
    drawn = {picture.path.stem: picture for picture in _pictures(folder / "pictures")}
    pictures = tuple(drawn[stem] for stem in ATLAS_PICTURES if stem in drawn)
    return Sheet(name, "atlas", tuple(figures), rows, notes=tuple(result.get("notes", ())), pictures=pictures)


def _points_sheet(name: str, points: Manifest) -> Sheet:
    """Where the vectors come from, and a line for each block."""
    origin = {key: value for key, value in points.origin.items() if key in ORIGIN and value is not None}
    figures = {"rows": points.rows, "megabytes": points.bytes / 1e6} | origin
    rows = [
        {"block": block, "width": spec.width, "dtype": spec.dtype}
        | {key: value for key, value in spec.how.items() if _is_figure(value)}
        for block, spec in points.blocks.items()
    ]
    return Sheet(name, "points", tuple((key.replace("_", " "), value) for key, value in figures.items()), rows)


def _sheet(name: str, folder: Path, result: Mapping[str, Any]) -> Sheet:
    tables = [value for value in result.values() if _is_table(value)]
    figures = tuple(
        (key.replace("_", " "), value) for key, value in result.items() if key not in HIDDEN and _is_figure(value)
    )
    lines = tables[0][:MOST_ROWS] if tables else ()
    rest = (tuple(result.get("warnings", ())), tuple(result.get("notes", ())), _pictures(folder))
    return Sheet(name, str(result.get("kind", "result")), figures, lines, (), *rest)


def _is_figure(value: Any) -> bool:
    """A number, a word, or an interval of two numbers."""
    pair = isinstance(value, list) and len(value) == 2 and all(isinstance(part, (int, float)) for part in value)
    return pair or isinstance(value, (str, int, float))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _pictures(folder: Path) -> tuple[PictureFile, ...]:
    paths = sorted(folder.glob("*.png")) if folder.is_dir() else []
    return tuple(PictureFile(CAPTIONS.get(path.stem, path.stem.replace("_", " ")), path) for path in paths)
