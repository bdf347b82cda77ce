"""Options of the commands that are no part of a recipe, panel by panel of the help."""

from __future__ import annotations

from dataclasses import MISSING, make_dataclass
from pathlib import Path
from typing import Any

from separatrix.figures import FORMATS
from separatrix.recipe import option
from separatrix.recipe.heads import STEPS
from separatrix.recipe.load import BY, LABEL, RARE, TEST, TEXT, VALIDATION
from separatrix.recipe.project import METHODS
from separatrix.recipe.train import as_in_model
from separatrix.training.request import METHOD_NAMES


def _option(kind: Any, default: Any, text: str, **limits: Any) -> tuple[Any, Any]:
    return kind, option(default, text, **limits)


def panel(title: str, **options: tuple[Any, Any]) -> Any:
    """A dataclass of options; the title heads them in the help."""
    fields = [(name, kind, spec) for name, (kind, spec) in options.items()]
    return make_dataclass(title.title().replace(" ", ""), fields, frozen=True, namespace={"__doc__": title})


_OUT = _option(Path, MISSING, "folder to write")
_OPTIONAL = _option(Path | None, None, "folder to write (without it, the result is only printed)")
_OVERWRITE = _option(bool, False, "replace what this command wrote there before")
_RESUME = _option(bool, False, "go on with what is in --out, or start where there is nothing")
_FILE = _option(bool, False, "replace the file in --out")
_TEXT = _option(
    tuple[str, ...], (TEXT,), "column of the texts, or two columns whose texts make pairs (a premise and a hypothesis)"
)
_BY = (
    "keep the class shares, keep groups whole (and hold out rows of groups that are trained on, to compare), or draw "
    "plainly (default: label; rows with --loss mse)"
)
_METHOD = (
    "what is trained: what wins a race of the methods on held-out rows (auto), a soft prompt, the encoder so that "
    "classes stand together (align) or with a linear head (finetune), a linear probe, or PEFT's prompt before the text "
    "(peft); default: auto, or the method that has the options given"
)
_CORES = "threads, at most the cores given to this process (default: OMP_NUM_THREADS, else those cores)"

Folder = panel("Output folder", out=_OUT, overwrite=_OVERWRITE)
OptionalFolder = panel("Output folder", out=_OPTIONAL, overwrite=_OVERWRITE)
ResumableFolder = panel("Output folder", out=_OUT, overwrite=_OVERWRITE, resume=_RESUME)
SuspectsOut = panel(
    "Output folder",
    out=_OUT,
    overwrite=_OVERWRITE,
    drop=_option(Path | None, None, "of a file of texts: also write it without the suspects, in its own format"),
)
Demo = panel("Output folder", out=_option(Path, Path("runs/demo"), "folder of the run; it replaces an earlier demo"))
Report = panel(
    "Output file", out=_option(Path | None, None, "the .html file (default: report.html in the run)"), overwrite=_FILE
)
Exploring = panel(
    "Page",
    map_=_option(Path | None, None, "of points: a folder that project wrote of them (default: they are projected now)"),
    method=_option(str | None, None, "of points without --map: how the map is made", choices=METHODS),
    block=_option(str | None, None, "block of numbers, where the points hold several"),
    port=_option(int, 0, "port of this machine to listen on (default: a free one)", low=0, high=65535),
    no_browser=_option(bool, False, "print the address, and open no browser"),
)
ExportDestination = panel(
    "Output",
    out=_option(Path, MISSING, "file to write; of a run or an atlas, a folder"),
    overwrite=_option(bool, False, "replace it"),
)
DataColumns = panel(
    "Columns of the data",
    text=_TEXT,
    label=_option(str, LABEL, "column of the labels"),
    group=_option(str | None, None, "column of the groups"),
)
LabelCells = panel(
    "Several labels a row",
    label_separator=_option(
        str | None, None, "what joins several labels in one cell, such as , (a column of lists needs none)"
    ),
)
Splitting = panel(
    "Held-out rows, where the data have no validation or test part",
    validation=_option(float, VALIDATION, "share of the training rows to hold out"),
    test=_option(float, TEST, "share of a single table to hold out; 0 leaves out a given part too"),
    by=_option(str | None, None, _BY, choices=BY),
)
TrainingMethodOptions = panel(
    "Method",
    method=_option(str | None, None, _METHOD, choices=METHOD_NAMES),
    rare=_option(
        str,
        RARE[0],
        "classes with one training row: kept out of all parts and counted, put together as one class named other, or "
        "refused",
        choices=RARE,
    ),
    weight=_option(str | None, None, "column of the weights of rows in training (finite, 0 or more)"),
    per_class=_option(int | None, None, "training rows of each class to keep, drawn by --seed (all if absent)", low=1),
)
Prediction = panel(
    "Input and output",
    out=_option(Path | None, None, "file of the answers: .parquet, .csv or .jsonl (needed unless DATA is -)"),
    overwrite=_FILE,
    jsonl=_option(bool, False, "with DATA -: a JSON object a line from standard input, its answer to standard output"),
    skip_bad=_option(bool, False, "with DATA -: pass over lines that cannot be read, and count them"),
    text=_TEXT,
    label=_option(str | None, None, "column of labels to be copied beside the answers"),
    label_separator=_option(
        str | None,
        None,
        "what joins several labels in a cell of --label, and in a .csv of answers (default there: the training's)",
    ),
    min_probability=_option(
        float | None, None, "leave rows unanswered whose answer has a lower probability", low=0, high=1
    ),
    coverage=_option(
        float | None, None, "answer this share of the rows, those with the highest probability", low=0, high=1
    ),
    explain=_option(
        bool, False, "of a prompt, on the rows of --label: words near its vectors, what leaving one out costs"
    ),
    classes=_option(
        tuple[str, ...],
        (),
        "--explain: THEIRS=OURS, labels of other data that name classes of the run; others are left out",
    ),
    model=_option(str | None, None, "folder or hub name of the model under the run (default: that of the training)"),
    device=(str, as_in_model("device")),
    trust_remote_code=_option(bool, False, "run code that the model under the run brings (no run can ask for it)"),
)
PromptRun = panel("A trained prompt", run=_option(Path | None, None, "folder of a run: read the outputs of its prompt"))
MapInput = panel(
    "Labels, block and page",
    label=_option(str | None, None, "column of the labels (default: label, where there is one)"),
    block=_option(str | None, None, "block of numbers, where the points hold several"),
    page=_option(bool, False, "also write map.html, which shows each text"),
    nearest=_option(
        int, 0, "also list so many nearest rows of each in map.parquet, as Embedding Atlas reads them", low=0, high=100
    ),
)
Within = panel(
    "A cluster of clusters",
    within=_option(Path | None, None, "clusters found before, to cluster one of them again"),
    of=_option(int | None, None, "number of the cluster to cluster again; -1 is the noise", low=-1),
)
With = panel(
    "Columns", with_=_option(tuple[str, ...], (), "columns to compare with: label, layer, head, group, ... (required)")
)
ClusterLabels = panel(
    "Clusters to compare with the labels",
    clusters=_option(Path | None, None, "folder that cluster wrote, or a Parquet file with id and cluster"),
)
Steps = panel(
    "Steps", steps=_option(tuple[str, ...], STEPS, "steps to do, those before them included: " + ", ".join(STEPS))
)
Questions = panel(
    "Test questions",
    test=_option(str | None, None, "questions to score on (default: contexts of DATA are held out)"),
    test_share=_option(float, 0.2, "share of the contexts that is held out", low=0.01, high=0.9),
)
_MEMORY = _option(str | None, None, "memory that may be taken, as 2GiB (default: half of what is free)")
_EXECUTOR = _option(
    str, "here", "who computes: here, processes:N, dask:local:N or dask:tcp://host:port; the result is the same"
)
Scale = panel("Points larger than memory", memory=_MEMORY, executor=_EXECUTOR, device=(str, as_in_model("device")))
Memory = panel("Points larger than memory", memory=_MEMORY)
Extracting = panel("Several processes or machines", executor=_EXECUTOR)
Planned = panel(
    "Output folder",
    out=_option(Path | None, None, "where the verb would write; nothing is written"),
    overwrite=_option(bool, False, "of the verb; nothing is replaced"),
    resume=_option(bool, False, "of the verb"),
)
PointSize = panel(
    "Points that are not there yet",
    rows=_option(int | None, None, "rows", low=1),
    width=_option(int | None, None, "numbers of a row", low=1),
    dtype=_option(str, "float16", "number format on disk", choices=("float16", "float32", "int8")),
)
TextSize = panel(
    "Texts that are not there yet",
    texts=_option(int | None, None, "texts (heads: windows)", low=1),
    tokens_per_text=_option(int | None, None, "tokens of each", low=1),
)
Rates = panel(
    "Machine",
    machine=_option(
        Path | None, None, "file of rates, as plan --calibrate writes it (default: this machine, measured)"
    ),
)
Calibration = panel(
    "Rates of this machine",
    calibrate=_option(bool, False, "measure them, which takes a minute or two"),
    out=_option(Path | None, None, "JSON file to write"),
    overwrite=_FILE,
)
Figures = panel(
    "Pictures",
    figures=_option(str, FORMATS[0], "svg: write each picture as an SVG file too, beside the PNG", choices=FORMATS),
)
Verification = panel(
    "Verification",
    no_verify=_option(bool, False, "do not compare what is read with the hashes that were written with it"),
)
Output = panel(
    "Printing and threads",
    json=_option(bool, False, "print one JSON object instead of tables"),
    quiet=_option(bool, False, "say nothing on stderr but errors"),
    threads=_option(int | None, None, _CORES, low=1),  # `verb` reads it, before a command loads PyTorch
    # Read before anything else, in `cli.app`: here for the help alone.
    plugin=_option(str | None, None, "a module of yours, by name or file, whose loss, pooling, ... become choices"),
)
