"""The commands that train a model or use a trained one; their docstrings are the help behind the summaries in `app`.

What loads torch is imported inside them, so that `--help` and mistyped options answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from separatrix import recipe as recipes
from separatrix.cli import options as opts
from separatrix.cli.commands import STDIN
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout
from separatrix.errors import DataError, OptionError, StoreError, choose
from separatrix.recipe import ModelRecipe, TrainRecipe, flag
from separatrix.recipe.align import DecisionRecipe, EncoderRecipe, GroupRecipe, PairRecipe
from separatrix.recipe.auto import RaceRecipe
from separatrix.recipe.project import ReportRecipe
from separatrix.recipe.sweep import SweepRecipe
from separatrix.store.kinds import kind_of
from separatrix.store.result import Lines, Listing, Printed, digits
from separatrix.training.methods import METHODS, build_recipe, method_of

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.learn.trained.saved import Predictions, Predictor
    from separatrix.texts import Texts
    from separatrix.training.explain import PromptExplanation
    from separatrix.training.result import TrainingResult

DataArgument = Annotated[
    str,
    Parameter(
        name="DATA",
        help="a csv, tsv, jsonl or parquet file; a folder with a file for each of train, validation and test, or a "
        "folder for each class; or a hub name",
    ),
]
RunArgument = Annotated[Path, Parameter(name="RUN", help="folder that train wrote")]
GridArgument = Annotated[str, Parameter(name="GRID.toml", help="the grid: data, options, axes, rows, seeds")]
FoldersArgument = Annotated[Path, Parameter(name="FOLDER", help="folders that train or another command wrote")]

HEAD = 5  # answers that `predict` shows
MAIN = "out overwrite resume text label method model epochs lr batch_size seed json"


def reading(parsed: ParsedOptions) -> dict[str, Any]:
    """How the data are read, as keywords of `load_texts`, `load_splits` and `read_rows`."""
    return {**vars(parsed.make(opts.DataColumns)), **recipes.to_dict(parsed.make(recipes.LoadRecipe))}


@verb(opts.Demo, ModelRecipe, recipes.LoopRecipe, only=("model", "device", "epochs", "seed"))
def demo(parsed: ParsedOptions, progress: TerminalProgress) -> Printout:
    """A second demo replaces the first one; nothing else is ever replaced.

    For example:
        separatrix demo
        separatrix demo --epochs 3 --out runs/short
    """
    from separatrix.texts import load_demo

    out, splits = parsed.make(opts.Demo).out, load_demo()
    parsed.recipe(TrainRecipe())
    from separatrix.training.folder import is_run_of

    again = is_run_of(out, splits)
    if not again and out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out} exists and holds no earlier demo", hint="choose another --out")
    return _train(splits, parsed, progress, out=out, overwrite=again, method="prompt")


@verb(
    opts.ResumableFolder,
    opts.TrainingMethodOptions,
    opts.DataColumns,
    opts.LabelCells,
    recipes.LoadRecipe,
    opts.Splitting,
    TrainRecipe,
    EncoderRecipe,
    PairRecipe,
    DecisionRecipe,
    GroupRecipe,
    RaceRecipe,
    opts.Figures,
    methods={name: method.recipe for name, method in METHODS.items() if method.run is None},
    main=f"{MAIN} budget loss tokens",
    main_of={
        "auto": "out overwrite resume text label method model budget candidates seed json",
        "prompt": f"{MAIN} loss tokens readout",
        "align": f"{MAIN} loss pool frozen_layers decision",
        "finetune": f"{MAIN} pool frozen_layers head_lr",
        "probe": f"{MAIN} pool max_length",
    },
)
def train(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument, /) -> Printout:
    """Without --method, the methods are raced on held-out rows and the one that wins is trained on all of them.

    --method prompt trains a soft prompt behind the text, probe a linear probe: the transformer stays as it is; with
    align and finetune the transformer itself learns. An option that only some methods have chooses the first of them,
    prompt before the others.

    Options and defaults of one method: separatrix train --method align --help

    For example:
        separatrix train questions.csv --text question --label kind --out runs/questions
        separatrix train questions.csv --text question --label kind --budget 5min --out runs/best
        separatrix train data/trec --label fine --method align --out runs/aligned
        separatrix train data/trec --label coarse --method probe --out runs/probe
        separatrix train reviews.jsonl --label stars --loss mse --out runs/stars
    """
    method = parsed.options.get("method") or method_of(parsed.options)
    of_labels = [name for name, entry in METHODS.items() if entry.run is None]
    if method in METHODS and method not in of_labels:
        raise OptionError(f"--method {method} reads questions with contexts", hint="type separatrix heads-qa")
    choose(method, of_labels, "--method")
    parsed.make(opts.TrainingMethodOptions)
    build_recipe(parsed.options.get("method"), parsed.options)  # refuses what is wrong before torch is loaded
    return _train(data, parsed, progress)


def _train(data: Any, parsed: ParsedOptions, progress: TerminalProgress, **keywords: Any) -> Printout:
    from separatrix.training.verb import train as run

    result: TrainingResult = run(data, progress=progress, **parsed.keywords() | keywords)
    values = {"run": str(result.folder), "report": str(result.report), **result.to_dict(), "verdict": result.verdict}
    unseen = result.warnings if parsed.options.get("json") else ()  # else they stand on stdout, beside the scores
    return Printout(values, result.parts(), unseen)


@verb(
    opts.Prediction,
    recipes.LoadRecipe,
    opts.Verification,
    main="out overwrite text label explain model device json",
)
def predict(parsed: ParsedOptions, progress: TerminalProgress, run: RunArgument, data: DataArgument, /) -> Printout:
    """An answer has a label, a probability and a distance to the centroid of each class.

    Of an aligned or fine-tuned encoder, the distance is 1 - cosine to the class mean, and the nearest training rows
    are named as well.

    With DATA - and --jsonl, each line of standard input is answered on a line of standard output, in order.

    For example:
        separatrix predict runs/questions new.csv --out answers.csv
        tail -f log.jsonl | separatrix predict runs/questions - --jsonl --text body
        separatrix predict runs/questions new.jsonl --text body --out answers.parquet
        separatrix predict runs/films new.csv --label stars --explain --out a.csv
        separatrix predict runs/films books.csv --label mood --explain --classes glad=positive sad=negative --out b.csv
    """
    options, begun = parsed.make(opts.Prediction), monotonic()
    if data == STDIN:
        return _stream(parsed, progress, run)
    for name in ("jsonl", "skip_bad"):
        if name in parsed:
            hint = "give - in the place of DATA, or leave it away"
            raise OptionError(f"{flag(name)} has no effect: it belongs to standard input", hint=hint)
    if options.out is None:
        raise OptionError("predict writes a file", got="no --out", hint="add --out answers.csv, or read lines from -")
    if options.explain and options.label is None:
        raise OptionError("--explain needs labels", hint="name their column with --label")
    from separatrix.training.predict import (
        answer_table,
        answered_figures,
        check_limits,
        own_ids,
        own_separator,
        unknown_label_warnings,
        with_own_ids,
        withhold,
        written_answers,
    )

    check_limits(options.min_probability, options.coverage)
    if options.classes and not options.explain:
        raise OptionError("--classes has no effect here", expected="--explain", hint="leave --classes away")
    from separatrix.store.table import answers_file
    from separatrix.texts import load_texts

    with answers_file(options.out, overwrite=options.overwrite, inputs=(run, data, options.model)) as write:
        separator = None if options.label is None else options.label_separator
        columns = {"label": options.label, "label_separator": separator, "keep_blank": True}
        texts = load_texts(data, **reading(parsed) | columns)
        ids = own_ids(data, parsed.make(recipes.LoadRecipe))
        joining = options.label_separator or own_separator(run)
        model, answer, warnings = _predict(parsed, run, texts, progress, joining)
        kept = withhold(answer, options.min_probability, options.coverage)
        frame = answer_table(texts, model.classes, kept)
        explanation = None
        if options.explain:
            shown, left = _answered(model, texts, answer, options.classes)
            explanation, warnings = _explain(model, shown, progress), [*warnings, *left]
        frame = with_own_ids(frame, ids)
        write(written_answers(frame, options.out, joining))
    warnings = [*warnings, *unknown_label_warnings(frame, model.classes)]
    figures = answered_figures(frame, model.classes)
    counts = {"rows": len(frame), "unanswered": len(answer.reasons), "cut": answer.cut} | figures
    values = {**counts, "out": str(options.out), "warnings": warnings, "seconds": round(monotonic() - begun, 2)}
    parts: list[Listing | Lines] = [_answers(frame)]
    if explanation is not None:
        values, parts = {**values, "explanation": explanation.to_dict()}, [*parts, *explanation.parts()]
    left = f", the first {HEAD} shown" if len(frame) > HEAD else ""
    lines = [("rows", f"{len(frame)}{left}"), *_figure_lines(figures), ("out", options.out)]
    return Printout(values, [*parts, lines], warnings)


def _figure_lines(figures: dict[str, Any]) -> Lines:
    """What `answered_figures` says, each figure with its interval."""
    lines = list[tuple[str, object]]()
    for name, value in figures.items():
        if isinstance(value, float):
            (low, high), shown = figures["interval"], digits(name)
            lines.append((name, f"{value:{shown}} ({low:{shown}} to {high:{shown}})"))
        elif name != "interval":
            lines.append((name, value))
    return lines


LINE_OPTIONS = {"jsonl", "skip_bad", "text", "min_probability", "model", "device", "trust_remote_code", "quiet"}


def _stream(parsed: ParsedOptions, progress: TerminalProgress, run: Path) -> Printout:
    """Answers to lines of standard input, each on a line of standard output as soon as it is known."""
    options = parsed.make(opts.Prediction)
    if not options.jsonl:
        raise OptionError("standard input is read as JSON lines", hint="type --jsonl behind -")
    for name in parsed.options:
        if name not in LINE_OPTIONS | {"threads", "no_verify"}:
            raise OptionError(f"{flag(name)} has no effect on lines of standard input", hint="leave it away")
    from separatrix.learn.trained.loading import load_model
    from separatrix.texts.columns import Columns
    from separatrix.training.stream import LineStream

    columns = Columns(options.text, None)
    model = load_model(run, **parsed.of(("model", "device", "trust_remote_code")), verify=parsed.verify)
    stream, begun = LineStream(sys.stdin.buffer, columns, options.skip_bad, options.min_probability), monotonic()
    done = 0
    for rows, lines in stream.answers(model):
        sys.stdout.write(lines)
        sys.stdout.flush()
        done += rows
        progress("lines", done, 0, "")
    progress(f"{done} rows, {done / max(monotonic() - begun, 1e-9):,.0f} rows/s", 0, 0, "")
    return Printout({}, [], [*model.backbone.source.warnings, *stream.warnings])


def _answered(
    model: Predictor, texts: Texts, answer: Predictions, classes: tuple[str, ...]
) -> tuple[Texts, Sequence[str]]:
    """The rows that got an answer, with the labels that they have in the model; and what was left out."""
    from separatrix.training.explain import with_classes

    answered = texts.take([row for row in range(len(texts)) if row not in answer.reasons])
    if not classes:
        return answered, ()
    mapped = with_classes(answered, classes, () if model.classes is None else model.classes.values)
    return mapped, mapped.warnings[len(answered.warnings) :]


def _explain(model: Predictor, texts: Texts, progress: TerminalProgress) -> PromptExplanation:
    from separatrix.training.explain import explain_prompt

    return explain_prompt(model, texts, progress=progress)


def _predict(
    parsed: ParsedOptions, run: Path, texts: Texts, progress: TerminalProgress, separator: str | None
) -> tuple[Predictor, Predictions, list[str]]:
    """The model, its answers (of which several labels a row can be joined by the separator), and warnings."""
    from separatrix.learn.trained.loading import load_model
    from separatrix.learn.unanswered import unanswered
    from separatrix.training.predict import answer_texts, check_limits, check_written

    model = load_model(run, **parsed.of(("model", "device", "trust_remote_code")), verify=parsed.verify)
    check_limits(parsed.options.get("min_probability"), parsed.options.get("coverage"), model)
    check_written(model, texts, parsed.options.get("out"), separator)
    answer = answer_texts(model, texts.text, progress)
    cut = [f"{answer.cut} of {len(texts)} texts were cut"] if answer.cut else []
    known = [*texts.warnings, *model.backbone.source.warnings, *unanswered(answer.reasons, len(texts))]
    return model, answer, [*known, *cut, *answer.unread.warnings]


def _answers(frame: pd.DataFrame) -> Listing:
    """The first answers."""
    import pandas as pd

    from separatrix.texts.pairs import SECOND

    chances = [name for name in frame.columns if name.startswith("probability_")]
    rows = []
    for _, row in frame.head(HEAD).iterrows():
        if isinstance(row.get("reason"), str):
            rows.append(["-", "-", f"({row['reason']})"])
            continue
        chance = f"{max(row[name] for name in chances):.3f}" if chances else "-"
        label = row["predicted"]
        label = ", ".join(label) or "(none)" if isinstance(label, tuple) else "-" if pd.isna(label) else str(label)
        text = row["text"] if SECOND not in frame else " ‖ ".join((row["text"], row[SECOND]))
        rows.append([label, chance, text[:80]])
    return Listing(["predicted", "probability", "text"], rows)


@verb(opts.Report, ReportRecipe, opts.Figures, opts.Verification)
def report(parsed: ParsedOptions, progress: TerminalProgress, /, *folders: FoldersArgument) -> Printed:
    """A report is one HTML file that opens offline: of one run, or of several runs, points, maps, clusters, scores.

    With --study outputs: what PCA, t-SNE, UMAP, k-means and neighbors see of each run's own decision.

    For example:
        separatrix report runs/questions
        separatrix report runs/questions points/minilm maps/umap --out all.html
        separatrix report runs/cosine runs/distance --study outputs --out outputs.html
    """
    if "figures" in parsed and (len(folders) != 1 or kind_of(folders[0]) != "run"):
        what = "--figures has no effect: pictures are drawn of one run alone"
        raise OptionError(what, hint="type --figures with the command that wrote each folder")
    from separatrix.folders import report as run

    return run(folders, verify=parsed.verify, progress=progress, **parsed.keywords())


@verb(opts.Folder, SweepRecipe, opts.Extracting, opts.Figures)
def sweep(parsed: ParsedOptions, progress: TerminalProgress, grid: GridArgument, /) -> Printed | Printout:
    """The grid is checked whole before anything runs. Each run is a folder under the hash of its recipe; the same
    command again skips what is done and goes on with what was stopped. Several processes may work on one study.

    For example:
        separatrix sweep grid.toml --out studies/lengths
        separatrix sweep grid.toml --out studies/lengths --budget 30min
        separatrix sweep grid.toml --out studies/lengths --executor processes:2 --reference probe
    """
    from separatrix.sweeps.verb import sweep as run

    result = run(grid, progress=progress, **parsed.keywords())
    if result.done or not result.failed:
        return result

    def fail() -> None:
        raise DataError("no run could be trained", got=f"{result.failed} failed", hint="mend the grid, and add --retry")

    return Printout(result.to_dict(), result.parts(), result.warnings, fail)
