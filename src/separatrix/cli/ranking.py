"""The commands that say how far labels stand apart: in points already read, or over several frozen encoders."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import Said, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import Teller
from separatrix.cli.results import print_json, print_lines, print_table
from separatrix.cli.runs import DataArgument
from separatrix.errors import StoreError
from separatrix.recipe import LoadRecipe, ModelRecipe
from separatrix.recipe.core import option
from separatrix.recipe.score import RankGrid, ScoreRecipe
from separatrix.texts import load_splits

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.analysis.rank import Ranking

PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder of points that extract wrote")]
# Of what every model shares; its name comes from --model of the grid.
SHARED = tuple(
    spec.name for cls in (ModelRecipe, LoadRecipe) for spec in fields(cls) if spec.name not in ("model", "revision")
)
# Figure -> heading: k-NN by leave-one-out, on validation and on test; a linear probe on test or validation.
COLUMNS = {
    "knn_loo": "loo",
    "knn_validation": "val",
    "knn_test": "test",
    "probe_validation": "probe val",
    "probe_test": "probe",
    "logme": "LogME",
    "h_score": "H",
}


@dataclass(frozen=True)
class FolderOptions:
    """Where it goes."""

    out: Path | None = option(None, "folder of the result")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the result in --out")


@dataclass(frozen=True)
class ClustersOption:
    """What is compared with the labels."""

    clusters: Path | None = option(None, "folder that cluster wrote, or a Parquet file with id and cluster")  # noqa: RUF009


@takes(FolderOptions, ClustersOption, ScoreRecipe, opts.ReadOptions, opts.Speech)
def score(said: Said, points: PointsArgument, /) -> None:
    """Each figure stands beside its interval and what it would be for nothing. Points with a column `split` are scored
    from the training rows to the others, with leave-one-out beside it.

    For example:
        separatrix score points/trec
        separatrix score points/trec --block mean --label fine --k 10 --json
        separatrix score points/trec --clusters clusters/trec --out scores/trec
    """
    place, speech = said.make(FolderOptions), said.make(opts.Speech)
    recipe, clusters = said.recipe(ScoreRecipe()), said.make(ClustersOption).clusters
    from separatrix.analysis.ranking_files import write_score
    from separatrix.analysis.score import score as run
    from separatrix.store.artifacts import write_artifact
    from separatrix.store.points import open_points

    inputs = (points, clusters)
    with (
        Teller(quiet=speech.quiet) as teller,
        mendable(),
        write_artifact(place.out, "score", recipe, overwrite=place.overwrite, inputs=inputs) as folder,
    ):
        given = open_points(points, verify=said.make(opts.ReadOptions).verify)
        teller.say(f"score: {len(given)} rows")
        found = run(given, None if clusters is None else _read_clusters(clusters), recipe=recipe)
        if folder is not None:
            write_score(found, folder)
        for line in found.warnings:
            teller.warn(line)
    out = {} if place.out is None else {"out": str(place.out)}
    if speech.json:
        print_json(found.to_dict() | out)
        return
    print_table(["figure", "value", "95 % interval", "for nothing"], found.lines())
    rows = ", ".join(f"{name} {count}" for name, count in found.rows.items())
    print_lines([("rows", rows), ("width", found.width), *out.items()])


@takes(
    FolderOptions, RankGrid, opts.ColumnOptions, LoadRecipe, opts.SplitOptions, ModelRecipe, opts.Speech, only=SHARED
)
def rank(said: Said, data: DataArgument, /) -> None:
    """Each model runs once; every pooling and layer is read from that pass. The test part is shown and never decides.

    For example:
        separatrix rank questions.csv --label kind
        separatrix rank data/trec --label coarse --pool cls mean layer_mean --layers 3 6 --out ranks/trec
        separatrix rank data/sst2 --model sentence-transformers/all-MiniLM-L6-v2 gpt2 --criterion knn_validation --json
    """
    place, speech = said.make(FolderOptions), said.make(opts.Speech)
    grid = said.recipe(RankGrid())
    shared = said.recipe(ModelRecipe()) if "model" not in said else _without_model(said)
    parts = said.make(opts.SplitOptions)
    splits = load_splits(
        data,
        **opts.reading(said),
        validation=parts.validation,
        test=parts.test,
        seed=grid.seed,
        by=parts.by or "label",
    )
    from separatrix.analysis.rank import rank as run
    from separatrix.analysis.ranking_files import write_ranking
    from separatrix.store.artifacts import write_artifact

    inputs = (data, *grid.model)
    with (
        Teller(quiet=speech.quiet) as teller,
        mendable(),
        write_artifact(place.out, "ranking", grid, overwrite=place.overwrite, inputs=inputs) as folder,
    ):
        found = run(splits, grid, backbone=shared, progress=teller)
        if folder is not None:
            write_ranking(found, folder)
        for line in found.warnings:
            teller.warn(line)
    out = {} if place.out is None else {"out": str(place.out)}
    if speech.json:
        print_json(found.to_dict() | out)
        return
    _print_ranking(found)
    print_lines([*(("note", note) for note in found.notes), *_recommended(found), *out.items()])


def _without_model(said: Said) -> ModelRecipe:
    """What every model shares; `--model` belongs to the grid."""
    kept = {name: value for name, value in said.options.items() if name != "model"}
    return Said(kept).recipe(ModelRecipe())


def _print_ranking(found: Ranking) -> None:
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in found.table)]
    rows = []
    for row in found.table:
        layer = "all" if row["layer"] is None else str(row["layer"])
        low, high = row["rank_interval"]
        cells = ["-" if row.get(name) is None else f"{row[name]:.3f}" for name in shown]
        ends = [f"{low}-{high}", f"{row['probability_best']:.2f}", f"{row['rows_per_second']:.0f}"]
        rows.append([Path(row["model"]).name, row["pool"], layer, *cells, *ends])
    headings = ["model", "pool", "layer", *(COLUMNS[name] for name in shown), "rank", "best", "rows/s"]
    print_table(headings, rows, strong=[place == 0 for place in range(len(rows))])


def _recommended(found: Ranking) -> list[tuple[str, str]]:
    best = found.best
    layer = "all layers" if best["layer"] is None else f"layer {best['layer']}"
    low, high = best["interval"]
    figure = f"{best['criterion']} {best['value']:.3f} ({low:.3f} to {high:.3f})"
    sure = f"the best in {best['probability_best']:.0%} of bootstrap samples, its model in"
    said = [("best", f"{best['model']}, {best['pool']}, {layer}: {figure}")]
    said.append(
        (
            "sure",
            f"{sure} {best['probability_model_best']:.0%}; rank {best['rank_interval'][0]} to "
            f"{best['rank_interval'][1]} of {len(found.table)}",
        )
    )
    nothing = [] if found.majority is None else [("majority", f"{found.majority:.3f} (k-NN and probe for nothing)")]
    return said + nothing


def _read_clusters(path: Path) -> pd.DataFrame:
    from separatrix.analysis.cluster import open_clusters
    from separatrix.store.table import read_table

    if path.is_dir():
        return open_clusters(path).table
    if not path.is_file():
        raise StoreError(f"{path} holds no clusters", expected="clusters.parquet", hint="run separatrix cluster first")
    return read_table(path, ("id", "cluster"))
