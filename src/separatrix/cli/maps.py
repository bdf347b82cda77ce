"""The commands that draw maps of points and set several side by side; they load no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_result
from separatrix.recipe import option
from separatrix.recipe.project import CompareRecipe, ProjectRecipe

PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder of points that extract wrote")]
SourcesArgument = Annotated[
    Path, Parameter(name="SOURCE", help="folders of runs, points or maps, each under the name that is typed")
]


@dataclass(frozen=True)
class MapOptions:
    """Input and output."""

    out: Path = option(dataclasses.MISSING, "folder of the map")  # noqa: RUF009 - a field, as in the recipes
    label: str | None = option(None, "column of the labels (default: label, where there is one)")
    block: str | None = option(None, "block of numbers, where the points hold several")
    page: bool = option(False, "also write map.html, which shows each text")
    overwrite: bool = option(False, "replace the map that is in --out")


@dataclass(frozen=True)
class CompareOptions:
    """Output."""

    out: Path = option(dataclasses.MISSING, "folder of table and figures")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the comparison that is in --out")


@takes(MapOptions, ProjectRecipe, opts.ReadOptions, opts.OutputOptions)
def project(parsed: ParsedOptions, points: PointsArgument, /) -> None:
    """Neighbours that the picture tears apart or pushes together are counted: trustworthiness and k-NN overlap.

    For example:
        separatrix project points/trec --method umap --out maps/trec
        separatrix project points/trec --method lda --prepare standardise --page --out maps/trec-lda
    """
    options, output, recipe = parsed.make(MapOptions), parsed.make(opts.OutputOptions), parsed.recipe(ProjectRecipe())

    from separatrix.analysis.project import project as run
    from separatrix.store.points import open_points

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        given = open_points(points, verify=parsed.make(opts.ReadOptions).verify)
        given = given if options.block is None else given.pick(options.block)
        place: dict[str, Any] = {"out": options.out, "overwrite": options.overwrite, "page": options.page}
        result = run(given, label=options.label, recipe=recipe, progress=progress, **place)
    print_result(result, progress, output)


@takes(CompareOptions, CompareRecipe, opts.ReadOptions, opts.OutputOptions)
def compare(parsed: ParsedOptions, /, *sources: SourcesArgument) -> None:
    """Every panel and line carries the name of the folder that was read for it.

    For example:
        separatrix compare runs/cosine runs/distance --out compared
        separatrix compare maps/pca maps/umap points/trec --method pca tsne --out compared
    """
    options, output = parsed.make(CompareOptions), parsed.make(opts.OutputOptions)

    from separatrix.analysis.compare import compare as run

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        place: dict[str, Any] = {"out": options.out, "overwrite": options.overwrite}
        place["verify"] = parsed.make(opts.ReadOptions).verify
        result = run(sources, recipe=parsed.recipe(CompareRecipe()), progress=progress, **place)
    print_result(result, progress, output)
