"""The commands that take points in from other programs, give them out, and make them smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.points import PointsArgument, open_given, run_verb
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout
from separatrix.recipe.files import CompressRecipe, ExportRecipe, ImportRecipe
from separatrix.store.result import Printed

FileArgument = Annotated[
    Path, Parameter(name="PATH", help=".npy, .safetensors, .parquet, .csv, or a folder of .csv files")
]


@verb(opts.ResumableFolder, ImportRecipe)
def import_(parsed: ParsedOptions, progress: TerminalProgress, path: FileArgument, /) -> Printout:
    """The file streams by in bounded memory. A column that numbers the rows would decide every distance: it is refused
    unless --drop-column leaves it out or --keep-column puts it into the row table. A killed import goes on with
    --resume.

    For example:
        separatrix import vectors.npy --labels rows.csv --out points/mine
        separatrix import shards --drop-column "Unnamed: 0" --store-dtype float16 --out points/shards
        separatrix import embeddings.parquet --out points/embeddings
    """
    from separatrix.analysis.transfer import import_vectors

    points = import_vectors(path, progress=progress, **parsed.keywords())
    blocks = {name: int(block.shape[1]) for name, block in points.blocks.items()}
    figures = {"rows": len(points), "blocks": blocks, "columns": points.columns, "out": str(parsed.options["out"])}
    shown = {
        **figures,
        "blocks": ", ".join(f"{name} ({width})" for name, width in blocks.items()),
        "columns": ", ".join(points.columns),
    }
    return Printout(figures, [list(shown.items())], points.origin["imported"].get("warnings", ()))


@verb(opts.ExportDestination, ExportRecipe, opts.Verification)
def export(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Printed:
    """Parquet holds the row table too; beside .npy and .safetensors it is written as NAME.rows.parquet, which import
    reads with --labels.

    For example:
        separatrix export points/trec --out trec.npy
        separatrix export points/trec --to parquet --dtype float16 --out trec.parquet
    """
    from separatrix.analysis.transfer import export_vectors

    return export_vectors(open_given(points, parsed), progress=progress, **parsed.keywords())


@verb(
    opts.OptionalFolder, CompressRecipe, opts.Memory, opts.Verification,
    main=("out", "overwrite", "components", "store_dtype", "k", "queries", "label", "block", "memory", "seed", "json"),
)  # fmt: skip
def compress(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Printed:
    """Each step down to what is written stands with its bytes and the share of nearest neighbors that it keeps of
    those of the vectors as given; without --out they are only measured.

    For example:
        separatrix compress points/trec --components 64 --store-dtype int8 --out points/trec-small
        separatrix compress points/trec --store-dtype float16
    """
    return run_verb("compress", parsed, progress, open_given(points, parsed))
