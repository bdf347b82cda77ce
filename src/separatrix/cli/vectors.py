"""The command that reads vectors out of a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_json, print_lines
from separatrix.cli.runs import DataArgument
from separatrix.errors import OptionError
from separatrix.recipe import LoadRecipe, option
from separatrix.recipe.vectors import ExtractRecipe

if TYPE_CHECKING:
    from separatrix.extraction.extract import Extraction


@dataclass(frozen=True)
class PointsOptions:
    """Where the points go, and whose outputs they are."""

    out: Path = option(dataclasses.MISSING, "folder of the points")  # noqa: RUF009 - a field, as in the recipes
    run: Path | None = option(None, "folder of a trained prompt: read its outputs instead of the frozen model's states")  # noqa: RUF009
    overwrite: bool = option(False, "replace the points that are in --out")
    resume: bool = option(False, "go on with points that were not finished, or start where there are none")


@takes(PointsOptions, opts.ColumnOptions, LoadRecipe, ExtractRecipe, opts.OutputOptions)
def extract(parsed: ParsedOptions, data: DataArgument, /) -> None:
    """Every layer and pooling named is read in one pass. What --out holds already is not computed again: the same
    request loads, another layer or pooling is added.

    For example:
        separatrix extract questions.csv --label kind --out points/questions
        separatrix extract data/trec --pool cls mean layer_mean --layers 3 6 --out points/trec
        separatrix extract new.csv --label "" --what logits --top 50 --model gpt2 --out points/logits
        separatrix extract data/trec --run runs/trec --out points/prompt
    """
    options, output = parsed.make(PointsOptions), parsed.make(opts.OutputOptions)
    reading = opts.reading(parsed)
    recipe = parsed.recipe(ExtractRecipe())
    if options.run is not None and "model" in parsed:
        raise OptionError("--model has no effect with --run", hint="leave --model away")
    from separatrix.extraction.extract import Place, run_extraction
    from separatrix.extraction.readers import VectorSource, frozen_model, trained_prompt
    from separatrix.extraction.windows import read_rows

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        rows = read_rows(data, **reading | {"label": reading["label"] or None})
        material: VectorSource
        if options.run is None:
            material = frozen_model(recipe.backbone.model, recipe)
        else:
            material = trained_prompt(options.run, recipe)
        place = Place(options.out, options.overwrite, options.resume)
        found = run_extraction(material, rows, place, progress)
        for line in (*rows.warnings, *found.unread.warnings):
            progress.warn(line)
        if found.cut:
            progress.warn(f"{found.cut} of {len(rows)} texts were cut")
    figures = describe(found)
    if output.json:
        print_json({"out": str(options.out), **figures})
    else:
        blocks = ", ".join(f"{name} ({width})" for name, width in found.blocks.items())
        print_lines([*{**figures, "blocks": blocks}.items(), ("out", options.out)])


def describe(found: Extraction) -> dict[str, Any]:
    """Figures of an extraction as plain data."""
    return {
        "rows": found.rows,
        "width": found.width,
        "blocks": found.blocks,
        "bytes": found.bytes,
        "computed": found.computed,
        "reused": found.computed == 0,
        "cut": found.cut,
        "seconds": round(found.seconds, 3),
        "writing_seconds": round(found.writing_seconds, 3),
        "rows_per_second": round(found.computed / found.seconds, 1) if found.computed else None,
    }
