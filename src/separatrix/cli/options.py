"""Options of the commands that are no part of a recipe; the docstring of each class heads its panel in the help."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.cli.flags import ParsedOptions
from separatrix.recipe import LoadRecipe, option, to_dict
from separatrix.texts.load import load_splits
from separatrix.texts.table import BY
from separatrix.training.request import METHOD_NAMES

TRUST = "run code that the model under the run brings (a run cannot ask for it itself)"
MODEL_OF_RUN = "folder or hub name of the model under the run (default: the one it was trained on)"

_SPLITS = inspect.signature(load_splits).parameters


def _of_splits(name: str, text: str, **meta: Any) -> Any:
    """An option of `load_splits`, with the default that it has there."""
    return option(_SPLITS[name].default, text, **meta)


@dataclass(frozen=True)
class TrainOptions:
    """Method and output folder."""

    out: Path = option(dataclasses.MISSING, "folder of the run")  # noqa: RUF009 - a field, as in the recipes
    method: str = option(
        "prompt",
        "what is trained: a soft prompt, the encoder so that classes stand together (align) or with a linear head "
        "(finetune), or a linear probe",
        choices=METHOD_NAMES,
    )
    per_class: int | None = option(None, "training rows of each class to keep, drawn by --seed (all if absent)", low=1)
    overwrite: bool = option(False, "replace the run that is in --out")
    resume: bool = option(False, "go on with the run in --out, or start where there is none")


@dataclass(frozen=True)
class ColumnOptions:
    """Columns of the data."""

    text: str = _of_splits("text", "column of the texts")
    label: str = _of_splits("label", "column of the labels")
    group: str | None = _of_splits("group", "column of the groups")


def reading(parsed: ParsedOptions) -> dict[str, Any]:
    """How the data are read, as keywords of `load_texts`, `load_splits` and `read_rows`."""
    return {**vars(parsed.make(ColumnOptions)), **to_dict(parsed.make(LoadRecipe))}


@dataclass(frozen=True)
class SplitOptions:
    """Parts that the data do not bring are held out."""

    validation: float = _of_splits("validation", "share of the training rows to hold out")
    test: float = _of_splits("test", "share of a single table to hold out; 0 leaves out a given part too")
    by: str | None = option(
        None,
        "keep the class shares, keep groups whole (and hold out rows of groups that are trained on, to compare), "
        "or draw plainly (default: label; rows with --loss mse)",
        choices=BY,
    )


@dataclass(frozen=True)
class DemoOptions:
    """Output."""

    out: Path = option(Path("runs/demo"), "folder of the run; an earlier demo in it is replaced")  # noqa: RUF009 - a field, as in the recipes


@dataclass(frozen=True)
class PredictOptions:
    """Input and output."""

    out: Path = option(dataclasses.MISSING, "file of the answers: .parquet, .csv or .jsonl")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the file in --out")
    text: str = _of_splits("text", "column of the texts")
    label: str | None = option(None, "column of labels to be copied beside the answers")
    model: str | None = option(None, MODEL_OF_RUN)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    trust_remote_code: bool = option(False, TRUST)


@dataclass(frozen=True)
class ReportOptions:
    """Output."""

    out: Path | None = option(None, "the .html file (default: report.html in the run)")  # noqa: RUF009 - a field, as in the recipes
    overwrite: bool = option(False, "replace the file in --out")


@dataclass(frozen=True)
class ReadOptions:
    """Verification."""

    no_verify: bool = option(False, "do not compare what is read with the hashes that were written with it")

    @property
    def verify(self) -> bool:
        """Whether hashes are compared."""
        return not self.no_verify


@dataclass(frozen=True)
class OutputOptions:
    """Output and threads."""

    json: bool = option(False, "print one JSON object instead of tables")
    quiet: bool = option(False, "say nothing on stderr but errors")
    # `takes` reads it, before a command loads PyTorch.
    threads: int | None = option(
        None, "threads, at most the cores given to this process (default: OMP_NUM_THREADS, else those cores)", low=1
    )
