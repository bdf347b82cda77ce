"""The commands that train a model or use a trained one; their docstrings are the help behind the summaries in `app`.

What loads torch is imported inside them, so that `--help` and mistyped options answer at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from separatrix import recipe as recipes
from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_json, print_lines, print_scores, print_table
from separatrix.errors import OptionError, StoreError
from separatrix.recipe import ModelRecipe, TrainRecipe, flag
from separatrix.recipe.align import DecisionRecipe, EncoderRecipe, GroupRecipe, PairRecipe
from separatrix.store.result import Listing
from separatrix.texts import Splits, Texts, load_demo, load_splits, load_texts
from separatrix.texts.few import few
from separatrix.training.methods import METHODS, build_recipe
from separatrix.training.request import Recipe, TrainingRequest

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.learn.trained.saved import Predictions, Predictor
    from separatrix.training.result import TrainingResult

DataArgument = Annotated[
    str,
    Parameter(
        name="DATA", help="a csv, tsv, jsonl or parquet file, a folder of parts or of class folders, or a hub name"
    ),
]
RunArgument = Annotated[Path, Parameter(name="RUN", help="folder that train wrote")]
FoldersArgument = Annotated[Path, Parameter(name="FOLDER", help="folders that train or another command wrote")]

HEAD = 5  # answers that `predict` shows


@takes(
    opts.DemoOptions, ModelRecipe, recipes.LoopRecipe, opts.OutputOptions, only=("model", "device", "epochs", "seed")
)
def demo(parsed: ParsedOptions) -> None:
    """A second demo replaces the first one; nothing else is ever replaced.

    For example:
        separatrix demo
        separatrix demo --epochs 3 --out runs/short
    """
    out, output = parsed.make(opts.DemoOptions).out, parsed.make(opts.OutputOptions)
    recipe, splits = parsed.recipe(TrainRecipe()), load_demo()
    from separatrix.training.folder import is_run_of

    again = is_run_of(out, splits)
    if not again and out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out} exists and holds no earlier demo", hint="choose another --out")
    result = _run(TrainingRequest(splits, recipe, folder=out), output, overwrite=again)
    _print_run(result, output)


@takes(
    opts.TrainOptions,
    opts.ColumnOptions,
    recipes.LoadRecipe,
    opts.SplitOptions,
    TrainRecipe,
    EncoderRecipe,
    PairRecipe,
    DecisionRecipe,
    GroupRecipe,
    opts.OutputOptions,
    beside={name: method.recipe for name, method in METHODS.items() if name != "prompt"},
)
def train(parsed: ParsedOptions, data: DataArgument, /) -> None:
    """A soft prompt behind the text or a linear probe learns, and the model stays frozen; or the model itself learns.

    Where align or finetune have another default than prompt, it stands behind that of prompt.

    For example:
        separatrix train questions.csv --label kind --out runs/questions
        separatrix train data/trec --label fine --method align --out runs/aligned
        separatrix train data/trec --label coarse --method probe --out runs/probe
        separatrix train reviews.jsonl --label stars --loss mse --out runs/stars
    """
    options, output = parsed.make(opts.TrainOptions), parsed.make(opts.OutputOptions)
    recipe = build_recipe(options.method, parsed.options)
    request = TrainingRequest(_read_splits(parsed, data, recipe), recipe, options.method, options.out)
    result = _run(request, output, overwrite=options.overwrite, resume=options.resume)
    _print_run(result, output)


@takes(opts.PredictOptions, recipes.LoadRecipe, opts.ReadOptions, opts.OutputOptions)
def predict(parsed: ParsedOptions, run: RunArgument, data: DataArgument, /) -> None:
    """An answer has a label, a probability and a distance to the centroid of each class.

    Of an aligned or fine-tuned encoder, the distance is 1 - cosine to the class mean, and the nearest training rows
    are named as well.

    For example:
        separatrix predict runs/questions new.csv --out answers.csv
        separatrix predict runs/questions new.jsonl --text body --out answers.parquet
    """
    options, output = parsed.make(opts.PredictOptions), parsed.make(opts.OutputOptions)
    begun = monotonic()
    from separatrix.store.artifacts import write_file
    from separatrix.store.table import check_ending, write_table

    check_ending(options.out)
    with write_file(options.out, overwrite=options.overwrite, inputs=(run, data, options.model)):
        texts = load_texts(data, **opts.reading(parsed) | {"label": options.label, "keep_blank": True})
        from separatrix.training.predict import answer_table

        with ProgressReporter(quiet=output.quiet) as progress:
            model, answer, warnings = _predict(parsed, run, texts, progress)
        frame = answer_table(texts, model.classes, answer)
        write_table(options.out, frame)
    if output.json:
        seconds = round(monotonic() - begun, 2)
        counts = {"rows": len(frame), "unanswered": len(answer.reasons), "cut": answer.cut}
        print_json({**counts, "out": str(options.out), "warnings": warnings, "seconds": seconds})
    else:
        _print_answers(frame, options.out)


def _predict(
    parsed: ParsedOptions, run: Path, texts: Texts, progress: ProgressReporter
) -> tuple[Predictor, Predictions, list[str]]:
    """The model, its answers, and what is to be said of them."""
    from separatrix.learn.trained.loading import load_model
    from separatrix.learn.unanswered import unanswered
    from separatrix.progress import Counter
    from separatrix.training.predict import answer_texts

    options = parsed.make(opts.PredictOptions)
    model = load_model(
        run,
        model=options.model,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        verify=parsed.make(opts.ReadOptions).verify,
    )
    answer = answer_texts(model, texts.text, Counter(progress, "prediction", len(texts)))
    cut = [f"{answer.cut} of {len(texts)} texts were cut"] if answer.cut else []
    warnings = [*texts.warnings, *unanswered(answer.reasons, len(texts)), *cut, *answer.unread.warnings]
    for line in warnings:
        progress.warn(line)
    return model, answer, warnings


@takes(opts.ReportOptions, opts.ReadOptions, opts.OutputOptions)
def report(parsed: ParsedOptions, /, *folders: FoldersArgument) -> None:
    """A report is one HTML file that opens offline: of one run, or of several runs, points, maps, clusters, scores.

    For example:
        separatrix report runs/questions
        separatrix report runs/questions points/minilm maps/umap --out all.html
    """
    options, output = parsed.make(opts.ReportOptions), parsed.make(opts.OutputOptions)
    from separatrix.folders import report as run

    verify = parsed.make(opts.ReadOptions).verify
    written = run(folders, out=options.out, overwrite=options.overwrite, verify=verify)
    figures: dict[str, Any] = {"out": str(written.path), "bytes": written.bytes}
    print_json(figures) if output.json else print_lines(list(figures.items()))


def _read_splits(parsed: ParsedOptions, data: str, recipe: Recipe) -> Splits:
    splits = parsed.make(opts.SplitOptions)
    read = load_splits(
        data,
        **opts.reading(parsed),
        validation=splits.validation,
        test=splits.test,
        seed=recipe.loop.seed,
        # Numbers to predict are no classes whose shares could be kept.
        by=splits.by or ("rows" if recipe.objective.loss == "mse" else "label"),
    )
    held_out = " ".join(note for note in read.notes if "held out" in note)
    for part in ("validation", "test"):
        if part in parsed and f"{part}: " not in held_out and getattr(splits, part):
            raise OptionError(f"{flag(part)} has no effect: {data} comes in parts", hint=f"leave {flag(part)} away")
    if splits.by == "group":
        read = read.with_seen(splits.validation, recipe.loop.seed)
    per_class = parsed.make(opts.TrainOptions).per_class
    if per_class is None:
        return read
    train = few(read.train, per_class, recipe.loop.seed)
    note = f"train: {len(train)} of {len(read.train)} rows, at most {per_class} of each class"
    return replace(read, train=train, notes=(*read.notes, note))


def _run(
    request: TrainingRequest, output: opts.OutputOptions, *, overwrite: bool = False, resume: bool = False
) -> TrainingResult:
    """Train, write, report."""
    from separatrix.training.folder import run_artifact
    from separatrix.training.pictures import show_run
    from separatrix.training.run import run_training

    artifact = run_artifact(request, overwrite=overwrite, resume=resume)
    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        with artifact as folder:
            progress.say(f"model: {request.recipe.backbone.model}")
            result = run_training(replace(request, progress=progress))
            progress.say("pictures and report")
            show_run(folder)
        for line in result.warnings if output.json else ():  # else they stand on stdout, beside the scores
            progress.warn(line)
    return result


def _print_run(result: TrainingResult, output: opts.OutputOptions) -> None:
    paths = {"run": str(result.folder), "report": str(result.report)}
    if output.json:
        print_json({**paths, **result.to_dict(), "verdict": result.verdict})
        return
    print_scores(result.score_rows, result.method)
    warnings = [("warning", line.replace("\n", "\n" + " " * 9)) for line in result.warnings]
    print_lines([("verdict", result.verdict), *warnings, *(("note", note) for note in result.notes), *paths.items()])


def _print_answers(frame: pd.DataFrame, out: Path) -> None:
    import pandas as pd

    chances = [name for name in frame.columns if name.startswith("probability_")]
    rows = []
    for _, row in frame.head(HEAD).iterrows():
        if pd.isna(row["predicted"]):
            rows.append(["-", "-", f"({row['reason']})"])
            continue
        chance = f"{max(row[name] for name in chances):.3f}" if chances else "-"
        rows.append([str(row["predicted"]), chance, row["text"][:80]])
    print_table(Listing(["predicted", "probability", "text"], rows))
    print_lines([("rows", len(frame)), ("out", out)])
