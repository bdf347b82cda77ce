"""The commands over vectors: `extract` reads them out of a model, `rank` compares models, `import`, `export` and
`compress` bring points from and to files, the others ask what shape points are in. What loads torch or scikit-learn is
imported inside, so that mistyped options are refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout
from separatrix.cli.runs import DataArgument, reading
from separatrix.errors import OptionError
from separatrix.recipe import LoadRecipe
from separatrix.recipe.cluster import AssociateRecipe, ClusterRecipe, SuspectsRecipe
from separatrix.recipe.core import flag
from separatrix.recipe.files import HEADVIS, ONNX, ClassifierRecipe, CompressRecipe, ExportRecipe, ImportRecipe
from separatrix.recipe.project import CompareRecipe, ProjectRecipe
from separatrix.recipe.score import RankRecipe, ScoreRecipe
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.store.kinds import kind_of
from separatrix.store.result import Printed, Result

if TYPE_CHECKING:
    from separatrix.points import Points

PointsArgument = Annotated[Path, Parameter(name="POINTS", help="folder that extract or import wrote")]
ExportedArgument = Annotated[
    Path, Parameter(name="RUN|POINTS|ATLAS", help="folder that train, extract, import or heads wrote")
]
ClustersArgument = Annotated[Path, Parameter(name="CLUSTERS", help="folder that cluster wrote")]
LabelledArgument = Annotated[
    str,
    Parameter(name="POINTS|RUN|DATA", help="folder of points, of a run that train wrote, or labelled texts"),
]
FileArgument = Annotated[
    Path, Parameter(name="PATH", help=".npy, .safetensors, .parquet, .csv, or a folder of .csv files")
]
SourcesArgument = Annotated[
    Path, Parameter(name="SOURCE", help="folders of runs, points or maps, each under the name that is typed")
]


@verb(
    opts.ResumableFolder,
    opts.PromptRun,
    opts.DataColumns,
    LoadRecipe,
    ExtractRecipe,
    opts.Extracting,
    opts.Verification,
    main="out overwrite resume text label group model what pool layers max_length device store_dtype json run",
)
def extract(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument, /) -> Printout:
    """Every layer and pooling named is read in one pass. What --out holds already is not computed again: the same
    request loads, another layer or pooling is added.

    For example:
        separatrix extract questions.csv --text question --label kind --out points/questions
        separatrix extract data/trec --pool cls mean layer_mean --layers 3 6 --out points/trec
        separatrix extract new.csv --label "" --what logits --top 50 --model gpt2 --out points/logits
        separatrix extract data/trec --run runs/trec --out points/prompt
        separatrix extract data/squad_v2 --what attention --features descriptors grid --out points/heads
        separatrix extract data/trec --executor processes:4 --out points/trec
    """
    folder, run = parsed.make(opts.ResumableFolder), parsed.make(opts.PromptRun).run
    executor = parsed.make(opts.Extracting).executor
    columns, recipe = reading(parsed), parsed.recipe(ExtractRecipe())
    if run is not None and "model" in parsed:
        raise OptionError("--model has no effect with --run", hint="leave --model away")
    if run is None and "no_verify" in parsed:
        raise OptionError("--no-verify has no effect without --run", hint="leave --no-verify away")
    from separatrix.extraction.extract import Destination, run_extraction, source_rows, vector_source
    from separatrix.extraction.readers import REMARKS, VectorSource, trained_prompt
    from separatrix.scale.executors import parse_executor

    parse_executor(executor)
    if recipe.vectors.what == "attention" and "text" not in parsed:
        columns.pop("text")  # questions with their contexts, where the data hold them
    rows = source_rows(data, recipe, **columns | {"label": columns["label"] or None})
    inputs = [one for one in (data, run, recipe.backbone.model) if one is not None]
    destination = Destination(folder.out, folder.overwrite, folder.resume, inputs)
    material: VectorSource
    if run is None:
        material = vector_source(recipe.backbone.model, recipe, rows, destination)
    else:
        material = trained_prompt(run, recipe, verify=parsed.verify)
    extraction = run_extraction(material, rows, destination, progress, executor)
    warnings = [*rows.warnings, *material.origin.get(REMARKS, ()), *extraction.unread.warnings]
    warnings += [f"{extraction.cut} of {len(rows)} texts were cut"] if extraction.cut else []
    figures = extraction.figures
    blocks = ", ".join(f"{name} ({width})" for name, width in extraction.blocks.items())
    lines = [*{**figures, "blocks": blocks}.items(), ("out", folder.out)]
    return Printout({"out": str(folder.out), **figures}, [lines], warnings)


@verb(
    opts.OptionalFolder,
    RankRecipe,
    opts.DataColumns,
    opts.LabelCells,
    LoadRecipe,
    opts.Splitting,
    opts.Figures,
    main="out overwrite model pool layers criterion k text label test max_length device seed json",
)
def rank(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument, /) -> Result:
    """Each model runs once; every pooling and layer is read from that pass. The test part is shown and never decides.

    For example:
        separatrix rank questions.csv --text question --label kind
        separatrix rank data/trec --label coarse --pool cls mean layer_mean --layers 3 6 --out ranks/trec
        separatrix rank data/sst2 --model sentence-transformers/all-MiniLM-L6-v2 gpt2 --criterion knn_validation --json
    """
    return run_verb("rank", parsed, progress, data)


@verb(
    opts.OptionalFolder,
    opts.ClusterLabels,
    ScoreRecipe,
    opts.Scale,
    opts.Verification,
    main="out overwrite clusters label block k metric folds permutations seed json",
)
def score(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Result:
    """Each figure stands beside its interval and its value by chance. Points with a column `split` are scored from the
    training rows to the others, with leave-one-out beside it.

    For example:
        separatrix score points/trec
        separatrix score points/trec --block mean --k 10 --json
        separatrix score points/trec --clusters clusters/trec --out scores/trec
    """
    path = parsed.options.get("clusters")
    from separatrix.analysis.score import read_clusters

    clusters = None if path is None else read_clusters(path, verify=parsed.verify)
    return run_verb("score", parsed, progress, open_given(points, parsed), clusters=clusters)


@verb(
    opts.Folder,
    opts.MapInput,
    ProjectRecipe,
    opts.Scale,
    opts.Verification,
    opts.Figures,
    main="out overwrite method dimensions prepare label block page guided neighbours perplexity k seed json",
)
def project(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Result:
    """Neighbors that the picture tears apart or pushes together are counted: trustworthiness and k-NN overlap.

    For example:
        separatrix project points/trec --method umap --out maps/trec
        separatrix project points/trec --method lda --prepare standardise --page --out maps/trec-lda
    """
    block, given = parsed.options.get("block"), open_given(points, parsed)
    given = given if block is None else given.pick(block)
    return run_verb("project", parsed, progress, given, without=("block",), **parsed.of(("threads",)))


@verb(
    opts.Folder,
    ClusterRecipe,
    opts.Within,
    opts.Scale,
    opts.Verification,
    opts.Figures,
    main="out overwrite method k choose criterion eps min_samples min_cluster_size prepare label block seed json",
)
def cluster(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Result:
    """Every row gets a cluster and keeps all columns of its row table; noise is -1.

    For example:
        separatrix cluster points/trec --method kmeans --k 6 --out clusters/trec
        separatrix cluster points/trec --method dbscan --choose --min-samples 10 --out clusters/dense
        separatrix cluster points/trec --within clusters/trec --of 0 --k 3 --out clusters/trec-0
    """
    within = parsed.make(opts.Within)
    if (within.within is None) != (within.of is None):
        raise OptionError("--within and --of belong together", hint="pass --within CLUSTERS --of 0")
    from separatrix.analysis.cluster import Clusters

    outer = None if within.within is None else Clusters.open(within.within, verify=parsed.verify)
    return run_verb("cluster", parsed, progress, open_given(points, parsed), within=outer)


@verb(
    opts.OptionalFolder,
    opts.With,
    AssociateRecipe,
    opts.Verification,
    opts.Figures,
    main="out overwrite with_ permutations shuffle_within shuffle_units given bins noise seed json",
)
def associate(parsed: ParsedOptions, progress: TerminalProgress, clusters: ClustersArgument, /) -> Result:
    """Mutual information and Cramer's V, with a p-value from shuffling; several columns are corrected for.

    For example:
        separatrix associate clusters/trec --with label --out associations/trec
        separatrix associate clusters/heads --with layer head label --out associations/heads
    """
    from separatrix.analysis.cluster import Clusters

    columns = parsed.options.get("with_", ())  # without any, that is the mistake to name
    given = Clusters.open(clusters, verify=parsed.verify) if columns else clusters
    return run_verb("associate", parsed, progress, given, columns, without=("with_",))


@verb(
    opts.SuspectsOut,
    SuspectsRecipe,
    LoadRecipe,
    opts.Verification,
    main="out overwrite drop text label model pool folds k near run block seed json",
)
def suspects(parsed: ParsedOptions, progress: TerminalProgress, source: LabelledArgument, /) -> Result:
    """The most suspect rows come first, each with the reason. Texts are turned into vectors by a frozen model first.

    For example:
        separatrix suspects questions.csv --text question --label kind --out suspects/questions
        separatrix suspects questions.csv --text question --label kind --drop clean.csv --out suspects/questions
        separatrix suspects points/trec --run runs/trec --out suspects/trec
        separatrix suspects runs/trec --out suspects/validation
    """
    return run_verb("suspects", parsed, progress, source, verify=parsed.verify)


@verb(opts.Folder, CompareRecipe, opts.Figures, opts.Verification)
def compare(parsed: ParsedOptions, progress: TerminalProgress, /, *sources: SourcesArgument) -> Result:
    """Every panel and line carries the name of the folder that was read for it.

    For example:
        separatrix compare runs/cosine runs/distance --out compared
        separatrix compare maps/pca maps/umap points/trec --method pca tsne --out compared
    """
    return run_verb("compare", parsed, progress, sources, verify=parsed.verify)


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


@verb(opts.ExportDestination, ExportRecipe, ClassifierRecipe, opts.Verification)
def export(parsed: ParsedOptions, progress: TerminalProgress, folder: ExportedArgument, /) -> Printed:
    """Of a run, the whole classifier - transformer, pooling, head or index - is written as ONNX into a folder, and
    compared with the run. Of points, Parquet holds the row table too; beside .npy and .safetensors it is written as
    NAME.rows.parquet, which import reads with --labels. Of a head atlas that kept its maps (heads --raw), the data
    folder of the viewer HeadVis is written.

    For example:
        separatrix export runs/questions --to onnx --int8 --out exported/questions
        separatrix export points/trec --out trec.npy
        separatrix export points/trec --to parquet --dtype float16 --out trec.parquet
        separatrix export runs/heads --to headvis --out headvis/data
    """
    keywords = parsed.keywords()
    if kind_of(folder) == "atlas":
        return _export_atlas(parsed, progress, folder)
    if kind_of(folder) not in ("run", "model"):
        if parsed.options.get("to") == HEADVIS:
            what = f"{folder} holds no head atlas, which HeadVis shows"
            raise OptionError(what, got=kind_of(folder) or "no folder of ours", expected="a folder that heads wrote")
        if parsed.options.get("to") == ONNX or "int8" in parsed:
            what = f"{folder} holds no run that could be written as ONNX"
            raise OptionError(what, got=kind_of(folder) or "no folder of ours", expected="a run of train")
        from separatrix.analysis.transfer import export_vectors

        return export_vectors(open_given(folder, parsed), progress=progress, **keywords)
    if keywords.pop("to", ONNX) != ONNX:
        raise OptionError(f"{folder} holds a run", got=f"--to {parsed.options['to']}", expected=f"--to {ONNX}")
    for name in ("block", "dtype"):
        if name in keywords:
            raise OptionError(f"{flag(name)} has no effect with a run", hint=f"leave {flag(name)} away")
    from separatrix.training.export import export_classifier

    return export_classifier(folder, verify=parsed.verify, progress=progress, **keywords)


def _export_atlas(parsed: ParsedOptions, progress: TerminalProgress, folder: Path) -> Printed:
    """An atlas as the data folder of HeadVis."""
    if (to := parsed.options.get("to", HEADVIS)) != HEADVIS:
        raise OptionError(f"{folder} holds a head atlas", got=f"--to {to}", expected=f"--to {HEADVIS}")
    for name in ("block", "dtype", "int8"):
        if name in parsed:
            raise OptionError(f"{flag(name)} has no effect with a head atlas", hint=f"leave {flag(name)} away")
    from separatrix.analysis.heads.headvis import export_atlas

    options = {name: parsed.options[name] for name in ("out", "overwrite") if name in parsed}
    return export_atlas(folder, verify=parsed.verify, progress=progress, **options)


@verb(
    opts.OptionalFolder,
    CompressRecipe,
    opts.Memory,
    opts.Verification,
    main="out overwrite components store_dtype k queries label block memory seed json",
)
def compress(parsed: ParsedOptions, progress: TerminalProgress, points: PointsArgument, /) -> Printed:
    """Each step down to what is written stands with its bytes and the share of nearest neighbors that it keeps of
    those of the vectors as given; without --out they are only measured.

    For example:
        separatrix compress points/trec --components 64 --store-dtype int8 --out points/trec-small
        separatrix compress points/trec --store-dtype float16
    """
    return run_verb("compress", parsed, progress, open_given(points, parsed))


def run_verb(
    name: str, parsed: ParsedOptions, progress: TerminalProgress, *data: Any, without: Sequence[str] = (), **given: Any
) -> Result:
    """Call a verb of `analysis` with what was typed; what is given here counts more."""
    run = getattr(import_module(f"separatrix.analysis.{name}"), name)
    result: Result = run(*data, progress=progress, **parsed.keywords(*without) | given)
    return result


def open_given(folder: Path, parsed: ParsedOptions) -> Points:
    """Points that were named on the command line."""
    from separatrix.analysis.inputs import opened
    from separatrix.points import Points

    return opened(folder, Points, verify=parsed.verify)
