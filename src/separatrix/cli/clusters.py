"""The commands that ask what shape vectors are in: clusters, what they hang together with, suspect labels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from separatrix.cli.flags import Said, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.options import ReadOptions, Speech
from separatrix.cli.progress import Teller
from separatrix.cli.results import print_json, print_lines, print_table
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

HEAD = 10  # lines of a table that are printed


@dataclass(frozen=True)
class OutcomeOptions:
    """Where it goes."""

    out: Path | None = option(None, "folder of the outcome")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the outcome in --out")


@dataclass(frozen=True)
class WithinOptions:
    """A cluster of clusters."""

    within: Path | None = option(None, "clusters found before, to cluster one of them again")  # noqa: RUF009
    of: int | None = option(None, "number of the cluster to cluster again; -1 is the noise", low=-1)


@takes(OutcomeOptions, WithinOptions, ClusterRecipe, ReadOptions, Speech)
def cluster(said: Said, points: PointsArgument, /) -> None:
    """Every row gets a cluster and keeps all columns of its row table; noise is -1.

    For example:
        separatrix cluster points/trec --method kmeans --k 6 --out clusters/trec
        separatrix cluster points/trec --method dbscan --choose --min-samples 10 --out clusters/dense
        separatrix cluster points/trec --within clusters/trec --of 0 --k 3 --out clusters/trec-0
    """
    outcome, inner, speech = said.make(OutcomeOptions), said.make(WithinOptions), said.make(Speech)
    recipe = _recipe(said, ClusterRecipe)
    out = _place(outcome)
    if (inner.within is None) != (inner.of is None):
        raise OptionError("--within and --of belong together", hint="pass --within CLUSTERS --of 0")
    from separatrix.analysis.cluster import cluster as run
    from separatrix.analysis.cluster import open_clusters

    within = None if inner.within is None else open_clusters(inner.within, verify=said.make(ReadOptions).verify)
    with Teller(quiet=speech.quiet) as teller, mendable():
        given = _open(points, said)
        teller.say(f"clustering: {len(given)} rows, {recipe.method}")
        found = run(given, out=out, overwrite=outcome.overwrite, within=within, of=inner.of, recipe=recipe)
        _warn(teller, found.result)
    if speech.json:
        print_json(found.result)
        return
    _print_cluster(found.result)


def _print_cluster(result: dict[str, Any]) -> None:
    given = result["assignment"]
    rows = [[str(number), str(size)] for number, size in enumerate(result["sizes"][:HEAD])]
    print_table(["cluster", "rows"], rows)
    if given is not None:
        headings = ["classes of clusters", "of", "accuracy", "95 % interval", "shuffled labels", "p", "majority class"]
        parts = {given["named_by"]: given, **given["by_split"]}
        print_table(headings, [_assigned(way, part, parts[part]) for part in parts for way in ("majority", "matched")])
    keys = ("method", "clusters", "noise", "rows_used", "inertia", "eps", "seconds", "out")
    print_lines([(key, result[key]) for key in keys if key in result])
    if result["choice"] is not None:
        print_lines([("chosen", "{option} = {value:g}: {criterion}".format(**result["choice"]))])


def _assigned(way: str, part: str, given: dict[str, Any]) -> list[str]:
    found = given[way]
    low, high = found["interval"]
    figures = [
        f"{found['accuracy']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{found['null']:.3f}",
        f"{found['p_value']:.3g}",
    ]
    named = f"by {way}" if way == "majority" else "matched one to one"
    return [named, part, *figures, f"{given['majority_baseline']:.3f}"]


@takes(OutcomeOptions, AssociateRecipe, Speech)
def associate(said: Said, clusters: ClustersArgument, /, *, with_: WithOption = ()) -> None:
    """Mutual information and Cramer's V, with a p-value from shuffling; several columns are corrected for.

    For example:
        separatrix associate clusters/trec --with label --out associations/trec
        separatrix associate clusters/heads --with layer head --within id --out associations/heads
    """
    outcome, speech = said.make(OutcomeOptions), said.make(Speech)
    recipe = _recipe(said, AssociateRecipe)
    columns = said.options.get("with_", with_)
    from separatrix.analysis.associate import associate as run

    with Teller(quiet=speech.quiet) as teller, mendable():
        found = run(clusters, columns, out=outcome.out, overwrite=outcome.overwrite, recipe=recipe).result
        _warn(teller, found)
    if speech.json:
        print_json(found)
        return
    headings = ["column", "values", "MI (nats)", "adjusted MI", "V", "V corrected", "p", "Holm", "BH"]
    keys = ("mutual_information", "adjusted_mutual_information", "cramers_v", "cramers_v_corrected")
    rows = [
        [name, test["kind"], *(f"{test[key]:.3f}" for key in keys)]
        + [f"{test[key]:.3g}" for key in ("p_value", "p_holm", "p_bh")]
        for name, test in found["columns"].items()
    ]
    print_table(headings, rows)
    if "out" in found:
        print_lines([("out", found["out"])])


@takes(OutcomeOptions, SuspectsRecipe, ReadOptions, Speech)
def suspects(said: Said, source: SourceArgument, /) -> None:
    """Rows whose label is likely wrong, most suspect first, each with the reason.

    For example:
        separatrix suspects points/trec --out suspects/trec
        separatrix suspects points/trec --run runs/trec --out suspects/trec
        separatrix suspects runs/trec --out suspects/trec
    """
    outcome, speech = said.make(OutcomeOptions), said.make(Speech)
    recipe, out = _recipe(said, SuspectsRecipe), _place(outcome)
    from separatrix.analysis.suspects import suspects as run

    with Teller(quiet=speech.quiet) as teller, mendable():
        given = source if (source / "predictions").is_dir() else _open(source, said)
        teller.say("looking for suspect labels")
        found = run(given, out=out, overwrite=outcome.overwrite, recipe=recipe)
        _warn(teller, found.result)
    if speech.json:
        print_json(found.result)
        return
    shown = found.table.head(HEAD).to_dict("records")
    if shown:
        cells = [
            [str(row["id"]), str(row["label"]), row["suggested"], f"{row['score']:.3f}", str(row.get("text", "-"))[:60]]
            for row in shown
        ]
        print_table(["id", "label", "suggested", "score", "text"], cells)
    print_lines([(key, found.result[key]) for key in ("suspects", "rows", "estimated_noise", "judged", "out")])


def _recipe(said: Said, cls: type) -> Any:
    """The recipe of what was typed."""
    names = {spec.name for spec in fields(cls)}
    return cls(**{name: value for name, value in said.options.items() if name in names})


def _place(outcome: OutcomeOptions) -> Path:
    if outcome.out is None:
        raise OptionError("there is no place to write to", hint="pass --out FOLDER")

    return outcome.out


def _open(folder: Path, said: Said) -> Points:
    from separatrix.store.points import open_points

    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder", expected="points that extract wrote")
    return open_points(folder, verify=said.make(ReadOptions).verify)


def _warn(teller: Teller, result: dict[str, Any]) -> None:
    for line in result["warnings"]:
        teller.warn(line)
