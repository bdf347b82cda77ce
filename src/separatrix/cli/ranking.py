"""The commands that say how far labels stand apart: in points already read, or over several frozen encoders."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_result
from separatrix.cli.runs import DataArgument
from separatrix.errors import StoreError
from separatrix.recipe import LoadRecipe, ModelRecipe
from separatrix.recipe.core import option
from separatrix.recipe.score import RankGrid, ScoreRecipe
from separatrix.texts import load_splits

if TYPE_CHECKING:
    import pandas as pd


PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder of points that extract wrote")]
# Of what every model shares; its name comes from --model of the grid.
SHARED = tuple(
    spec.name for cls in (ModelRecipe, LoadRecipe) for spec in fields(cls) if spec.name not in ("model", "revision")
)


@dataclass(frozen=True)
class FolderOptions:
    """Output."""

    out: Path | None = option(None, "folder of the result")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the result in --out")


@dataclass(frozen=True)
class ClustersOption:
    """Clusters to compare with the labels."""

    clusters: Path | None = option(None, "folder that cluster wrote, or a Parquet file with id and cluster")  # noqa: RUF009


@takes(FolderOptions, ClustersOption, ScoreRecipe, opts.ReadOptions, opts.OutputOptions)
def score(parsed: ParsedOptions, points: PointsArgument, /) -> None:
    """Each figure stands beside its interval and what it would be for nothing. Points with a column `split` are scored
    from the training rows to the others, with leave-one-out beside it.

    For example:
        separatrix score points/trec
        separatrix score points/trec --block mean --label fine --k 10 --json
        separatrix score points/trec --clusters clusters/trec --out scores/trec
    """
    place, output = parsed.make(FolderOptions), parsed.make(opts.OutputOptions)
    recipe, clusters = parsed.recipe(ScoreRecipe()), parsed.make(ClustersOption).clusters
    from separatrix.analysis.score import score as run
    from separatrix.store.points import open_points

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        compared = None if clusters is None else _read_clusters(clusters)
        result = run(
            open_points(points, verify=parsed.make(opts.ReadOptions).verify),
            clusters=compared,
            recipe=recipe,
            progress=progress,
            out=place.out,
            overwrite=place.overwrite,
        )
    print_result(result, progress, output)


@takes(
    FolderOptions,
    RankGrid,
    opts.ColumnOptions,
    LoadRecipe,
    opts.SplitOptions,
    ModelRecipe,
    opts.OutputOptions,
    only=SHARED,
)
def rank(parsed: ParsedOptions, data: DataArgument, /) -> None:
    """Each model runs once; every pooling and layer is read from that pass. The test part is shown and never decides.

    For example:
        separatrix rank questions.csv --label kind
        separatrix rank data/trec --label coarse --pool cls mean layer_mean --layers 3 6 --out ranks/trec
        separatrix rank data/sst2 --model sentence-transformers/all-MiniLM-L6-v2 gpt2 --criterion knn_validation --json
    """
    place, output = parsed.make(FolderOptions), parsed.make(opts.OutputOptions)
    grid = parsed.recipe(RankGrid())
    shared = parsed.recipe(ModelRecipe()) if "model" not in parsed else _without_model(parsed)
    parts = parsed.make(opts.SplitOptions)
    splits = load_splits(
        data,
        **opts.reading(parsed),
        validation=parts.validation,
        test=parts.test,
        seed=grid.seed,
        by=parts.by or "label",
    )
    from separatrix.analysis.rank import rank as run

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        result = run(splits, recipe=grid, backbone=shared, progress=progress, out=place.out, overwrite=place.overwrite)
    print_result(result, progress, output)


def _without_model(parsed: ParsedOptions) -> ModelRecipe:
    """What every model shares; `--model` belongs to the grid."""
    kept = {name: value for name, value in parsed.options.items() if name != "model"}
    return ParsedOptions(kept).recipe(ModelRecipe())


def _read_clusters(path: Path) -> pd.DataFrame:
    from separatrix.analysis.cluster import open_clusters
    from separatrix.store.table import read_table

    if path.is_dir():
        return open_clusters(path).table
    if not path.is_file():
        raise StoreError(f"{path} holds no clusters", expected="clusters.parquet", hint="run separatrix cluster first")
    return read_table(path, ("id", "cluster"))
