"""The command `plan`: each verb that can be planned under its own name, with the verb's own options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.heads import heads
from separatrix.cli.points import cluster, extract, open_given, project, rank, score, suspects
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout
from separatrix.cli.runs import train
from separatrix.errors import OptionError
from separatrix.recipe import LoadRecipe
from separatrix.recipe.core import to_dict
from separatrix.scale.machine import is_rates
from separatrix.store.artifacts import write_file
from separatrix.store.result import Result
from separatrix.training.methods import build_recipe

DataArgument = Annotated[
    str | None, Parameter(name="DATA", help="what the verb would read; without it, its size is typed")
]
_METHODS = ("probe", "align", "finetune", "prompt")  # of trainings that are planned
_TEXTS = ("extract", "heads", "rank", "suspects", "train")


@verb(opts.Calibration)
def plan(parsed: ParsedOptions, progress: TerminalProgress) -> Printout:
    """Behind `plan`, type a command as you would type it to do the work. Nothing of the work is done: a few seconds of
    it are measured on a sample.

    For example:
        separatrix plan cluster points/large --k 35 --memory 2GiB
        separatrix plan extract data/trec --model gpt2
        separatrix plan suspects reviews.csv --text body --label stars
        separatrix plan train reviews.csv --text body --label stars --method align
        separatrix plan cluster --rows 18720000 --width 2048 --k 35 --machine rates.json
        separatrix plan --calibrate --out rates.json
    """
    wanted = parsed.make(opts.Calibration)
    if not wanted.calibrate or wanted.out is None:
        hint = "type separatrix plan cluster POINTS --k 35, or separatrix plan --calibrate --out rates.json"
        raise OptionError("plan needs a verb", expected=", ".join(PLANS), hint=hint)
    from separatrix.analysis.plan.rates import calibrate

    with write_file(wanted.out, overwrite=wanted.overwrite, own=is_rates):
        machine = calibrate(progress=progress)
        machine.save(wanted.out)
    lines = [("machine", machine.name), ("read, bytes a second", machine.read), ("out", wanted.out)]
    return Printout({"machine": machine.name, "out": str(wanted.out)}, [lines])


def _planned(name: str, command: Any) -> Callable[..., None]:
    """The command that plans a verb: its flags, and those of data that are not there."""
    own = [cls for cls in command.flags.classes if not {"out", "json"} & {*cls.__dataclass_fields__}]
    size = opts.TextSize if name in _TEXTS else opts.PointSize
    main = [each for each in command.flags.main if each not in ("overwrite", "resume", "page", "json")]

    def planned(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument = None, /) -> Result:
        from separatrix.analysis.plan import plan as run

        source: Any = data
        if data is not None and name not in _TEXTS:
            source = open_given(Path(data), parsed)
        options = parsed.keywords("machine")
        if name == "train":
            build_recipe(options.get("method"), options)  # refuses what train refuses
        if name == "extract" and data is None:
            options = {one: value for one, value in options.items() if one not in to_dict(LoadRecipe())}
        return run(name, source, machine=parsed.options.get("machine"), progress=progress, **options)

    text = f"Nothing is done and nothing is written.\n\nFor example:\n    separatrix plan {name} {_EXAMPLES[name]}"
    planned.__doc__, planned.__name__ = text, name
    shown = " ".join((*main, *size.__dataclass_fields__, "machine", "json"))
    methods = {one: recipe for one, recipe in command.flags.methods.items() if one in _METHODS}
    return verb(opts.Planned, *own, size, opts.Rates, main=shown, methods=methods)(planned)


_EXAMPLES = {
    "extract": "data/trec --pool mean",
    "cluster": "points/trec --k 6",
    "project": "points/trec --method pca --memory 1GiB",
    "heads": "data/squad_v2 --windows 300",
    "score": "points/trec --memory 4GiB",
    "rank": "reviews.csv --text body --label stars",
    "suspects": "reviews.csv --text body --label stars",
    "train": "reviews.csv --text body --label stars --method align",
}
PLANS = {
    name: _planned(name, command)
    for name, command in (
        ("extract", extract), ("cluster", cluster), ("project", project), ("heads", heads), ("score", score),
        ("rank", rank), ("suspects", suspects), ("train", train),
    )
}  # fmt: skip
plan.parts = PLANS  # type: ignore[attr-defined]
