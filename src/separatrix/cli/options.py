"""Options of the commands that are no part of a recipe, panel by panel of the help."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, make_dataclass
from pathlib import Path
from typing import Any

from separatrix.recipe import option
from separatrix.recipe.heads import STEPS
from separatrix.texts.load import load_splits
from separatrix.texts.table import BY
from separatrix.training.request import METHOD_NAMES

_SPLITS = inspect.signature(load_splits).parameters


def _of_splits(name: str, text: str) -> Any:
    """An option of `load_splits`, with the default that it has there."""
    return option(_SPLITS[name].default, text)


def panel(title: str, **options: tuple[Any, Any]) -> Any:
    """A dataclass of options; each is a type and a `recipe.option`. The title heads them in the help."""
    fields = [(name, kind, spec) for name, (kind, spec) in options.items()]
    return make_dataclass(title.title().replace(" ", ""), fields, frozen=True, namespace={"__doc__": title})


_OVERWRITE = (bool, option(False, "replace what this command wrote there before"))
_OUT = (Path, option(MISSING, "folder to write"))

Folder = panel("Output folder", out=_OUT, overwrite=_OVERWRITE)
OptionalFolder = panel(
    "Output folder",
    out=(Path | None, option(None, "folder to write (without it, the result is only printed)")),
    overwrite=_OVERWRITE,
)
ResumableFolder = panel(
    "Output folder",
    out=_OUT,
    overwrite=_OVERWRITE,
    resume=(bool, option(False, "go on with what is in --out, or start where there is nothing")),
)
Demo = panel(
    "Output folder", out=(Path, option(Path("runs/demo"), "folder of the run; an earlier demo in it is replaced"))
)
Report = panel(
    "Output file",
    out=(Path | None, option(None, "the .html file (default: report.html in the run)")),
    overwrite=(bool, option(False, "replace the file in --out")),
)
Columns = panel(
    "Columns of the data",
    text=(str, _of_splits("text", "column of the texts")),
    label=(str, _of_splits("label", "column of the labels")),
    group=(str | None, _of_splits("group", "column of the groups")),
)
Splitting = panel(
    "Parts that the data do not bring are held out",
    validation=(float, _of_splits("validation", "share of the training rows to hold out")),
    test=(float, _of_splits("test", "share of a single table to hold out; 0 leaves out a given part too")),
    by=(
        str | None,
        option(
            None,
            "keep the class shares, keep groups whole (and hold out rows of groups that are trained on, to compare), "
            "or draw plainly (default: label; rows with --loss mse)",
            choices=BY,
        ),
    ),
)
Training = panel(
    "Method",
    method=(
        str,
        option(
            "prompt",
            "what is trained: a soft prompt, the encoder so that classes stand together (align) or with a linear head "
            "(finetune), a linear probe, or a head for answer spans (answers: type heads-qa)",
            choices=METHOD_NAMES,
        ),
    ),
    per_class=(
        int | None,
        option(None, "training rows of each class to keep, drawn by --seed (all if absent)", low=1),
    ),
)
Prediction = panel(
    "Input and output",
    out=(Path, option(MISSING, "file of the answers: .parquet, .csv or .jsonl")),
    overwrite=(bool, option(False, "replace the file in --out")),
    text=(str, _of_splits("text", "column of the texts")),
    label=(str | None, option(None, "column of labels to be copied beside the answers")),
    model=(str | None, option(None, "folder or hub name of the model under the run (default: that of the training)")),
    device=(str, option("auto", "where to compute", choices=("auto", "cpu", "cuda"))),
    trust_remote_code=(bool, option(False, "run code that the model under the run brings (no run can ask for it)")),
)
Run = panel(
    "A trained prompt",
    run=(Path | None, option(None, "folder of a trained prompt: read its outputs instead of the frozen states")),
)
Map = panel(
    "Labels, block and page",
    label=(str | None, option(None, "column of the labels (default: label, where there is one)")),
    block=(str | None, option(None, "block of numbers, where the points hold several")),
    page=(bool, option(False, "also write map.html, which shows each text")),
)
Within = panel(
    "A cluster of clusters",
    within=(Path | None, option(None, "clusters found before, to cluster one of them again")),
    of=(int | None, option(None, "number of the cluster to cluster again; -1 is the noise", low=-1)),
)
With = panel("Columns", with_=(tuple[str, ...], option((), "columns to compare with: label, layer, head, group, ...")))
Clustering = panel(
    "Clusters to compare with the labels",
    clusters=(Path | None, option(None, "folder that cluster wrote, or a Parquet file with id and cluster")),
)
Steps = panel(
    "Steps",
    steps=(tuple[str, ...], option(STEPS, "steps to do, those before them included: " + ", ".join(STEPS))),
)
Questions = panel(
    "Test questions",
    test=(str | None, option(None, "questions to score on (default: contexts of DATA are held out)")),
    test_share=(float, option(0.2, "share of the contexts that is held out", low=0.01, high=0.9)),
)
Verification = panel(
    "Verification",
    no_verify=(bool, option(False, "do not compare what is read with the hashes that were written with it")),
)
_CORES = "threads, at most the cores given to this process (default: OMP_NUM_THREADS, else those cores)"
Output = panel(
    "Printing and threads",
    json=(bool, option(False, "print one JSON object instead of tables")),
    quiet=(bool, option(False, "say nothing on stderr but errors")),
    threads=(int | None, option(None, _CORES, low=1)),  # `verb` reads it, before a command loads PyTorch
)
