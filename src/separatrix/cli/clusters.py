"""The commands that ask what shape vectors are in: clusters, what they hang together with, suspect labels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.options import OutputOptions, ReadOptions
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_result
from separatrix.errors import OptionError, StoreError
from separatrix.recipe.cluster import AssociateRecipe, ClusterRecipe, SuspectsRecipe
from separatrix.recipe.core import option

if TYPE_CHECKING:
    from separatrix.points import Points

PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder of points that extract wrote")]
ClustersArgument = Annotated[Path, Parameter(name="CLUSTERS", help="folder that cluster wrote")]
SourceArgument = Annotated[Path, Parameter(name="POINTS|RUN", help="folder of points, or of a run that train wrote")]
# `with` is a word of Python, so it cannot be a field of an options class.
WithOption = Annotated[
    tuple[str, ...],
    Parameter(name="--with", consume_multiple=True, help="columns to compare with: label, layer, head, group, ..."),
]


@dataclass(frozen=True)
class OutcomeOptions:
    """Output."""

    out: Path | None = option(None, "folder of the outcome")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the outcome in --out")


@dataclass(frozen=True)
class WithinOptions:
    """A cluster of clusters."""

    within: Path | None = option(None, "clusters found before, to cluster one of them again")  # noqa: RUF009
    of: int | None = option(None, "number of the cluster to cluster again; -1 is the noise", low=-1)


@takes(OutcomeOptions, WithinOptions, ClusterRecipe, ReadOptions, OutputOptions)
def cluster(parsed: ParsedOptions, points: PointsArgument, /) -> None:
    """Every row gets a cluster and keeps all columns of its row table; noise is -1.

    For example:
        separatrix cluster points/trec --method kmeans --k 6 --out clusters/trec
        separatrix cluster points/trec --method dbscan --choose --min-samples 10 --out clusters/dense
        separatrix cluster points/trec --within clusters/trec --of 0 --k 3 --out clusters/trec-0
    """
    outcome, inner, output = parsed.make(OutcomeOptions), parsed.make(WithinOptions), parsed.make(OutputOptions)
    recipe = _recipe(parsed, ClusterRecipe)
    out = _place(outcome)
    if (inner.within is None) != (inner.of is None):
        raise OptionError("--within and --of belong together", hint="pass --within CLUSTERS --of 0")
    from separatrix.analysis.cluster import cluster as run
    from separatrix.analysis.cluster import open_clusters

    within = None if inner.within is None else open_clusters(inner.within, verify=parsed.make(ReadOptions).verify)
    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        result = run(
            _open(points, parsed),
            within=within,
            of=inner.of,
            recipe=recipe,
            progress=progress,
            out=out,
            overwrite=outcome.overwrite,
        )
    print_result(result, progress, output)


@takes(OutcomeOptions, AssociateRecipe, OutputOptions)
def associate(parsed: ParsedOptions, clusters: ClustersArgument, /, *, with_: WithOption = ()) -> None:
    """Mutual information and Cramer's V, with a p-value from shuffling; several columns are corrected for.

    For example:
        separatrix associate clusters/trec --with label --out associations/trec
        separatrix associate clusters/heads --with layer head --within id --out associations/heads
    """
    outcome, output = parsed.make(OutcomeOptions), parsed.make(OutputOptions)
    recipe = _recipe(parsed, AssociateRecipe)
    columns = parsed.options.get("with_", with_)
    from separatrix.analysis.associate import associate as run

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        result = run(clusters, columns, recipe=recipe, progress=progress, out=outcome.out, overwrite=outcome.overwrite)
    print_result(result, progress, output)


@takes(OutcomeOptions, SuspectsRecipe, ReadOptions, OutputOptions)
def suspects(parsed: ParsedOptions, source: SourceArgument, /) -> None:
    """Rows whose label is likely wrong, most suspect first, each with the reason.

    For example:
        separatrix suspects points/trec --out suspects/trec
        separatrix suspects points/trec --run runs/trec --out suspects/trec
        separatrix suspects runs/trec --out suspects/trec
    """
    outcome, output = parsed.make(OutcomeOptions), parsed.make(OutputOptions)
    recipe, out = _recipe(parsed, SuspectsRecipe), _place(outcome)
    from separatrix.analysis.suspects import suspects as run

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        given = source if (source / "predictions").is_dir() else _open(source, parsed)
        result = run(given, out=out, overwrite=outcome.overwrite, recipe=recipe, progress=progress)
    print_result(result, progress, output)


def _recipe(parsed: ParsedOptions, cls: type) -> Any:
    """The recipe of what was typed."""
    names = {spec.name for spec in fields(cls)}
    return cls(**{name: value for name, value in parsed.options.items() if name in names})


def _place(outcome: OutcomeOptions) -> Path:
    if outcome.out is None:
        raise OptionError("there is no place to write to", hint="pass --out FOLDER")

    return outcome.out


def _open(folder: Path, parsed: ParsedOptions) -> Points:
    from separatrix.store.points import open_points

    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder", expected="points that extract wrote")
    return open_points(folder, verify=parsed.make(ReadOptions).verify)
