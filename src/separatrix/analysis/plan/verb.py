"""The verb `plan`: options of another verb in, its cost out; nothing of its work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix import recipe as recipes
from separatrix.analysis.blocks import ScaleOptions
from separatrix.analysis.cluster import Clusters
from separatrix.analysis.identity import members
from separatrix.analysis.inputs import opened
from separatrix.analysis.plan.job import Outline, PlannedJob
from separatrix.analysis.plan.labelled import READING, labelled_size, plan_labelled
from separatrix.analysis.plan.models import NUMBER_BYTES, PlannedReading, plan_heads, plan_reading, read_texts
from separatrix.analysis.plan.points import plan_cluster, plan_project, plan_score
from separatrix.analysis.plan.rates import measured
from separatrix.analysis.plan.training import READING as OF_TRAINING
from separatrix.analysis.plan.training import plan_training, planned_recipe, training_size
from separatrix.errors import OptionError, choose
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.cluster import ClusterRecipe, SuspectsRecipe
from separatrix.recipe.core import checked
from separatrix.recipe.heads import HeadsRecipe
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.project import ProjectRecipe
from separatrix.recipe.score import RankRecipe, ScoreRecipe
from separatrix.recipe.train import AUTO, DEVICES
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale.costs import Shape
from separatrix.scale.machine import Machine
from separatrix.store.files import Schema
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.table import write_table

if TYPE_CHECKING:
    import pandas as pd

STAGES = "stages.parquet"
POINTS = {"cluster": (plan_cluster, ClusterRecipe), "project": (plan_project, ProjectRecipe),
          "score": (plan_score, ScoreRecipe)}  # fmt: skip
TEXTS = {"extract": ExtractRecipe, "heads": HeadsRecipe}
LABELLED = {"rank": RankRecipe, "suspects": SuspectsRecipe}
VERBS = ("extract", "cluster", "project", "heads", "score", "rank", "suspects", "train")
# Options of the verbs that no recipe has.
_WRITING = ("out", "overwrite", "resume")
_READING = (*recipes.option_names(LoadRecipe()), "text", "label", "group")
_MORE = {
    "cluster": ("within", "of"), "project": ("label", "page", "block"), "score": ("clusters",),
    "extract": (*_READING, "run"), "heads": ("steps",), "train": ("method", *OF_TRAINING), **READING,
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Result):
    """The cost of a verb by stages."""

    kind: ClassVar[str] = "plan"
    schema: ClassVar[Schema] = {"verb": str, "rows": int, "width": int, "stages": [dict], "seconds": float}

    verb: str = ""
    rows: int = 0  # of the matrix that is read, or that is written
    width: int = 0
    bytes: int = 0  # of the matrix on disk
    path: str = ""  # in memory, in blocks, on a sample
    stages: Sequence[Mapping[str, Any]] = ()  # name, kernel, flop, read, written, seconds
    flop: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    memory: int = 0  # bytes at the peak, without the program and its libraries
    workers: int = 1
    machine: str = ""
    measured: bool = True  # False: from published figures
    approximate: Sequence[str] = ()  # in the result that the verb would give
    assumptions: Sequence[str] = ()  # of this plan
    recipe: Any = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each stage."""
        import pandas as pd

        return pd.DataFrame([dict(stage) for stage in self.stages])

    def parts(self) -> list[Listing | Lines]:
        """The stages, then all of them together."""
        rows = [
            [
                str(one["name"]),
                f"{one['flop'] / 1e9:.4g}",
                size(one["read"]),
                size(one["written"]),
                f"{one['seconds']:.3g}",
            ]
            for one in self.stages
        ]
        measured = "measured now" if self.measured else "not measured"
        whole: list[tuple[str, object]] = [
            ("rows x width", f"{self.rows} x {self.width} ({size(self.bytes)})"), ("way", self.path),
            ("GFLOP", self.flop / 1e9), ("read, written", f"{size(self.bytes_read)}, {size(self.bytes_written)}"),
            ("seconds", f"{self.seconds:.3g}"), ("minutes", f"{self.seconds / 60:.3g}"),
            ("memory", f"{size(self.memory)} beyond the program's own"),
            ("machine", f"{self.machine}, {self.workers} at a time ({measured})"),
        ]  # fmt: skip
        whole += [("approximate", line) for line in self.approximate]
        whole += [("assumed", line) for line in self.assumptions]
        return [Listing(["stage", "GFLOP", "read", "written", "seconds"], rows), [*whole, *out_line(self.folder)]]

    def write_files(self, folder: Path) -> None:
        """Write the stages as a table."""
        write_table(folder / STAGES, self.table)


def size(count: float) -> str:
    """Bytes as they are read.

    >>> size(0), size(2_000_000), size(76_677_120_000)
    ('0', '1.91 MiB', '71.4 GiB')
    """
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.3g} {unit}"
    return f"{count:.0f}"


@checks_arguments
def plan(
    verb: str, data: Any = None, *, rows: int | None = None, width: int | None = None, dtype: str = "float16",
    texts: int | None = None, tokens_per_text: int | None = None, machine: str | Path | Machine | None = None,
    executor: str = "here", memory: str | None = None, recipe: Any = None, progress: Progress | None = None,
    **options: Any,
) -> Plan:  # fmt: skip
    """Say what a verb would cost: rows, bytes, FLOP, seconds by stage, memory, and which way it would take.

    A few seconds of the verb's own work are measured here on a sample, or on made-up rows of the same width.

    Args:
        verb: `extract`, `cluster`, `project`, `heads`, `score`, or of labelled texts `rank`, `suspects` or `train`
            (with its `method`: `probe`, `align`, `finetune` or `prompt`).
        data: points or their folder; texts, as the verb takes them. None: `rows` and `width`, or `texts` and
            `tokens_per_text`, say how large the data would be.
        rows, width: of points that are not there.
        dtype: number format of such points on disk.
        texts, tokens_per_text: of texts that are not there.
        machine: rates to be taken in place of a measurement: a `Machine`, or a file that `Machine.save` wrote.
        executor, memory: as of the verb.
        recipe: all options of the verb at once.
        progress: is called with (stage, done, total, note).
        options: single options of the verb, by name; `out` says where it would write, and nothing is written.

    Raises:
        OptionError: an unknown option, data and their size, or neither; what the verb itself would refuse.

    >>> result = plan("cluster", rows=300_000, width=8, k=4, machine=Machine(
    ...     "a slide rule", False, 2, 10**9, 1e8, 1e8, {"any": {"1": 1e9}}))
    >>> result.path, result.stages[0]["flop"], result.approximate
    ('in memory', 192000000.0, [])
    """
    choose(verb, VERBS, "verb")
    rates = Machine.load(machine) if isinstance(machine, str | Path) else machine
    device = options.pop("device", AUTO) if verb in POINTS else AUTO
    if rates is None and device not in (AUTO, "cpu"):
        hint = "pass --machine FILE with the rates of the GPU, or leave --device away"
        raise OptionError("a plan measures processors, not a GPU", got=f"--device {device}", hint=hint)
    scale = ScaleOptions.of(executor, memory, None, progress or silent)
    scale = replace(scale, device=checked("device", device, str, choices=DEVICES))  # it need not be here
    wanted, more = _options(verb, recipe, options)
    if verb in POINTS:
        job = _points_job(wanted, more, scale, rates, (data, rows, width, dtype))
        scale.progress("plan", 0, 1, "calibration")
        outline, shape = POINTS[verb][0](job), job.shape
        speeds = rates or measured(outline, job)
    elif verb in LABELLED or verb == "train":
        _check_labelled(verb, data, texts, tokens_per_text, executor, memory)
        made_up = (texts or 0, tokens_per_text or 0)
        scale.progress("plan", 0, 1, "calibration")
        if verb == "train":
            outline, shape = plan_training(wanted, *training_size(data, wanted, more, made_up), rates)
        else:
            size = labelled_size(verb, data, wanted, more, made_up)
            outline, shape = plan_labelled(verb, wanted, size, rates)
        speeds = rates or measured(outline)
    else:
        reading = replace(_reading(verb, wanted, more, (data, texts, tokens_per_text, rates)), executor=executor)
        scale.progress("plan", 0, 1, "calibration")
        outline, shape = plan_heads(wanted, reading) if verb == "heads" else plan_reading(reading)
        speeds = rates or measured(outline, executor=executor)
    scale.progress("plan", 1, 1, "")
    return _plan(verb, outline, shape, speeds, recipes.to_dict(wanted))


def _options(verb: str, recipe: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The recipe of the verb, and options that it has beside it."""
    if verb == "train":
        start: Any = planned_recipe(options.get("method"), recipe)
    else:
        cls: Any = POINTS[verb][1] if verb in POINTS else {**TEXTS, **LABELLED}[verb]
        if recipe is not None and not isinstance(recipe, cls):
            raise OptionError("the recipe is of another verb", got=type(recipe).__name__, expected=cls.__name__)
        start = recipe or cls()
    names = (*_MORE[verb], *_WRITING)
    own = recipes.option_names(start)
    for name in options:
        choose(name, (*own, *names), "option")
    more = {name: value for name, value in options.items() if name in names and name not in own}
    return recipes.replace(start, **{name: value for name, value in options.items() if name in own}), more


def _points_job(
    recipe: Any, more: dict[str, Any], scale: ScaleOptions, machine: Machine | None, size: tuple[Any, ...]
) -> PlannedJob:
    data, rows, width, dtype = size
    if (data is None) == (rows is None or width is None):
        raise OptionError("a plan needs points, or rows and width", hint="pass --rows and --width in place of points")
    if data is None:
        number = NUMBER_BYTES[choose(dtype, NUMBER_BYTES, "dtype")]
        for name, value in (("rows", rows), ("width", width)):
            if value < 1:
                raise OptionError(f"{name} is out of range", got=value, expected="1 or more")
        return PlannedJob(recipe, Shape(rows, width, number), scale, machine, None, more)
    points = opened(data, Points)
    if (within := more.get("within")) is not None:
        points, _ = members(points, opened(within, Clusters).row_table, more.get("of"))
    block = more.get("block") or getattr(recipe, "block", None)
    points = points.pick(block) if block else points
    job = PlannedJob(recipe, Shape(len(points), points.width), scale, machine, points, more)
    assert job.source is not None
    shape = Shape(len(points), points.width, job.source.number_bytes)
    return PlannedJob(recipe, shape, scale, machine, points, more)


def _check_labelled(verb: str, data: Any, texts: Any, tokens: Any, executor: str, memory: str | None) -> None:
    for name, value, default in (("executor", executor, "here"), ("memory", memory, None)):
        if value != default:
            raise OptionError(f"--{name} has no effect: {verb} has no such option", hint=f"leave --{name} away")
    _check_texts(data, texts, tokens)


def _check_texts(data: Any, texts: int | None, tokens: int | None) -> None:
    """Refuse neither data nor their size, or both."""
    if (data is None) == (texts is None or tokens is None):
        hint = "pass --texts and --tokens-per-text in place of data"
        raise OptionError("a plan needs data, or texts and tokens_per_text", hint=hint)
    for name, value in (("texts", texts), ("tokens_per_text", tokens)):
        checked(name, value, int | None, low=1)


def _reading(verb: str, recipe: Any, more: dict[str, Any], size: tuple[Any, ...]) -> PlannedReading:
    data, texts, tokens, machine = size
    _check_texts(data, texts, tokens)
    wanted = recipe.extraction if verb == "heads" else recipe
    on_disk, run = verb == "heads" or more.get("out") is not None, more.get("run")
    common = {"machine": machine, "on_disk": on_disk, "run": None if run is None else Path(run)}
    if data is None:
        return PlannedReading(wanted, count=texts, tokens=tokens, **common)
    keywords = {name: value for name, value in more.items() if name in _READING}
    if verb == "heads":
        keywords = recipes.to_dict(recipe.loading) | ({"text": recipe.reading.text} if recipe.reading.text else {})
    examples = read_texts(data, wanted, keywords)
    count = min(len(examples), recipe.reading.windows) if verb == "heads" else len(examples)
    return PlannedReading(wanted, examples, count, **common)


def _plan(verb: str, outline: Outline, shape: Shape, machine: Machine, recipe: dict[str, Any]) -> Plan:
    seconds = machine.all_seconds(list(outline.stages))
    stages = [stage.to_dict() | {"seconds": each} for stage, each in zip(outline.stages, seconds, strict=True)]
    return Plan(
        verb=verb, rows=shape.rows, width=shape.width, bytes=shape.bytes, path=outline.path, stages=stages,
        flop=sum(stage.flop for stage in outline.stages), bytes_read=sum(stage.read for stage in outline.stages),
        bytes_written=sum(stage.written for stage in outline.stages), seconds=sum(seconds), memory=outline.memory,
        workers=machine.workers, machine=machine.name, measured=machine.measured,
        approximate=list(outline.approximate), assumptions=list(outline.assumptions), recipe=recipe,
    )  # fmt: skip
