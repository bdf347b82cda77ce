"""The commands that draw maps of points and set several side by side; they load no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import Said, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import Teller
from separatrix.cli.results import print_json, print_lines, print_table
from separatrix.recipe import option, to_dict
from separatrix.recipe.project import ProjectRecipe

PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder of points that extract wrote")]
SourcesArgument = Annotated[
    Path, Parameter(name="SOURCE", help="folders of runs, points or maps, each under the name that is typed")
]

# Columns that are printed, with their headings; all of them stand in the files and in --json.
RUN_COLUMNS = {
    "source": "source", "kind": "kind", "method": "method", "loss": "loss", "rows": "rows", "rmse": "RMSE",
    "accuracy": "accuracy (95 % interval)", "majority": "majority", "seconds": "seconds",
}  # fmt: skip
MAP_COLUMNS = {
    "source": "map of", "method": "method", "trustworthiness": "trust", "knn_overlap": "overlap",
    "knn_before": "k-NN before", "knn_after": "after", "majority": "majority",
}  # fmt: skip


@dataclass(frozen=True)
class MapOptions:
    """What is read, and where the map goes."""

    out: Path = option(dataclasses.MISSING, "folder of the map")  # noqa: RUF009 - a field, as in the recipes
    label: str | None = option(None, "column of the labels (default: label, where there is one)")
    block: str | None = option(None, "block of numbers, where the points hold several")
    page: bool = option(False, "also write map.html, which shows each text")
    overwrite: bool = option(False, "replace the map that is in --out")


@dataclass(frozen=True)
class CompareOptions:
    """What is set side by side, and where it goes."""

    out: Path = option(dataclasses.MISSING, "folder of table and figures")  # noqa: RUF009 - a field, as in the recipes
    method: tuple[str, ...] = option(("pca",), "maps drawn of each run and of each points: pca, tsne, umap, lda")
    label: str | None = option(None, "column of the labels of points (default: label, where there is one)")
    rows: int = option(2_000, "rows of each source that are drawn", low=10)
    seed: int = option(0, "seed of maps, samples and intervals", low=0)
    overwrite: bool = option(False, "replace the comparison that is in --out")


@takes(MapOptions, ProjectRecipe, opts.ReadOptions, opts.Speech)
def project(said: Said, points: PointsArgument, /) -> None:
    """Neighbours that the picture tears apart or pushes together are counted: trustworthiness and k-NN overlap.

    For example:
        separatrix project points/trec --method umap --out maps/trec
        separatrix project points/trec --method lda --prepare standardise --page --out maps/trec-lda
    """
    options, speech, recipe = said.make(MapOptions), said.make(opts.Speech), said.recipe(ProjectRecipe())

    from separatrix.analysis.project import project as lay_out
    from separatrix.store.points import open_points

    with Teller(quiet=speech.quiet) as teller, mendable():
        found = open_points(points, verify=said.make(opts.ReadOptions).verify)
        found = found if options.block is None else found.pick(options.block)
        teller.say(f"{recipe.method}: {len(found)} rows")
        recipe_options = to_dict(recipe)
        method = recipe_options.pop("method")
        place: dict[str, Any] = {"out": options.out, "overwrite": options.overwrite, "page": options.page}
        made = lay_out(found, method, label=options.label, **place, **recipe_options)
    result = {"out": str(options.out), **made.to_dict()}
    if speech.json:
        print_json(result)
        return
    _print_map(result)


@takes(CompareOptions, opts.ReadOptions, opts.Speech)
def compare(said: Said, /, *sources: SourcesArgument) -> None:
    """Every panel and line carries the name of the folder that was read for it.

    For example:
        separatrix compare runs/cosine runs/distance --out compared
        separatrix compare maps/pca maps/umap points/trec --method pca tsne --out compared
    """
    options, speech = said.make(CompareOptions), said.make(opts.Speech)

    from separatrix.analysis.compare import compare as set_side_by_side

    with Teller(quiet=speech.quiet) as teller, mendable():
        plain = {name: value for name, value in vars(options).items() if name != "method"}
        verify = said.make(opts.ReadOptions).verify
        result = set_side_by_side(sources, methods=options.method, verify=verify, **plain)
        for line in result["warnings"]:
            teller.warn(line)
    if speech.json:
        print_json({"out": str(options.out), **result})
        return
    _print_columns(result["table"], RUN_COLUMNS)
    _print_columns(result["maps"], MAP_COLUMNS)
    _print_pairs(result["pairs"])
    print_lines([("out", options.out)])


def _print_map(result: dict[str, Any]) -> None:
    shown = ("trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority")
    lines = [(name.replace("_", " "), f"{result[name]:.3f}") for name in shown if result[name] is not None]
    lines += [("rows fitted", f"{result['rows_fitted']} of {result['rows']}"), ("seconds", f"{result['seconds']:.1f}")]
    print_lines([*lines, *(("note", note) for note in result["notes"]), ("out", result["out"])])


def _print_columns(lines: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """A table of the columns in which there is anything."""
    shown = [name for name in columns if any(line[name] is not None for line in lines)]
    if lines:
        print_table([columns[name] for name in shown], [[_cell(line, name) for name in shown] for line in lines])


def _print_pairs(pairs: list[dict[str, Any]]) -> None:
    for pair in pairs:
        low, high = pair["interval"]
        difference = (
            f"{pair['difference']:+.3f} [{low:+.3f}, {high:+.3f}], p = {pair['p_holm']:.3g} on {pair['rows']} rows"
        )
        print_lines([(f"{pair['a']} less {pair['b']}", difference)])


def _cell(line: dict[str, Any], name: str) -> str:
    value = line[name]
    if value is None:
        return "-"
    if name == "accuracy":
        return f"{value:.3f} ({line['low']:.3f} to {line['high']:.3f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
