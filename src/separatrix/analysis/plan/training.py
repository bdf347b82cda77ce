"""The plan of `train`: forwards of the texts, the steps of the training, and the fits around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from time import monotonic
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.blocks import HERE
from separatrix.analysis.plan.job import Measures, Outline, seconds_of, workers_here
from separatrix.analysis.plan.labelled import (
    PARTS,
    LabelledSize,
    joined,
    line,
    made_up,
    near_rate,
    reading_of,
    two_labels,
)
from separatrix.analysis.plan.models import PlannedReading, plan_reading
from separatrix.codes import draw_rows
from separatrix.errors import OptionError
from separatrix.geometry.baselines import COMPARED_ROWS, LabelledBlocks, fit_linear
from separatrix.geometry.neighbors import TILE_ROWS
from separatrix.learn.align import train_encoder
from separatrix.learn.job import Job
from separatrix.learn.loop import MOST_FRAMES
from separatrix.learn.prompt import START_ROWS, train_prompt
from separatrix.models.cache import attention_shape, cache_bytes
from separatrix.models.load import load_backbone
from separatrix.recipe import ProbingRecipe, TrainRecipe
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.recipe.core import checked
from separatrix.recipe.load import RARE
from separatrix.recipe.train import BEST, MANY_TEXTS, POOL_TEXTS, SET_LOSS, LossRecipe
from separatrix.scale.costs import Shape, Stage
from separatrix.scale.machine import Machine
from separatrix.texts import Classes, Splits, Texts, check_labels
from separatrix.texts.label_sets import set_names
from separatrix.texts.training_parts import READING, training_splits

TrainingRecipe = ProbingRecipe | TrainRecipe | AlignRecipe
PLANNED: Mapping[str, TrainingRecipe] = {
    "probe": ProbingRecipe(),
    "align": AlignRecipe(),
    "finetune": FINETUNE,
    "prompt": TrainRecipe(),
}
ENCODER_PASSES, PROMPT_PASSES = 3, 2  # forward, backward to the states, and to the weights where these learn
COPIES = 5  # of an encoder's weights: as they are, their gradients, two of the optimiser's, the best so far
POOLINGS = 6  # that a probe chooses among
_STEPS = 8  # that are taken to measure, once more than they count: batches of a new shape are slow
_HELD = 8  # texts that stand for the validation rows meanwhile
_NUMBERS = 4  # bytes of one in float32
_TILE = 5  # bytes of an entry of the tiles that `neighbors` multiplies


@dataclass(frozen=True)
class PlannedTraining:
    """A training that is planned.

    Attributes:
        recipe: that of its method.
        size: of its texts.
        splits: the texts, where there are some.
    """

    recipe: TrainingRecipe
    size: LabelledSize
    splits: Splits | None = None

    def rows(self, *parts: str) -> int:
        """Of all these parts."""
        return sum(self.size.parts.get(part, 0) for part in parts)

    @property
    def batch(self) -> int:
        """Rows of a step."""
        return min(self.recipe.loop.batch_size, self.rows("train"))

    @property
    def forwards(self) -> int:
        """Texts that the whole model runs forward, but for those of the training's steps."""
        train, validation = self.rows("train"), self.rows("validation")
        answered = self.rows("validation", "test")
        if isinstance(self.recipe, AlignRecipe):  # baselines; each epoch; pictures; the index; answers
            bank = train if self.recipe.pairing.pairs == "bank" else 0
            return self.size.rows + bank + self.looks("train", "validation") + train + validation + answered
        sampled = POOL_TEXTS if isinstance(self.recipe, ProbingRecipe) and self.samples else 0
        return sampled + train + validation + answered

    def looks(self, *pictured: str) -> int:
        """Rows that are looked at while it learns: the validation rows of each epoch, and some for each picture."""
        loop = self.recipe.loop
        frames = 1 + min(loop.epochs * loop.snapshots, MOST_FRAMES) if loop.snapshots else 0
        shown = sum(min(self.rows(part), loop.frame_rows) for part in pictured)
        return self.rows("validation") * loop.epochs + frames * shown

    @property
    def samples(self) -> bool:
        """Whether a probe chooses its pooling on some of the rows."""
        assert isinstance(self.recipe, ProbingRecipe)
        return self.recipe.probe.pool == BEST and self.rows("train") > MANY_TEXTS

    def step_flop(self, reading: PlannedReading) -> float:
        """Of a training step."""
        texts = reading.flop / reading.count * self.batch
        if isinstance(self.recipe, AlignRecipe):
            return ENCODER_PASSES * texts
        assert isinstance(self.recipe, TrainRecipe)
        share = self.recipe.prompt.tokens / float(reading.lengths.mean())
        return PROMPT_PASSES * texts * share

    @property
    def steps(self) -> int:
        """Of the training; with --refit of a second one, which has the validation rows too."""
        train, refit = self.rows("train"), self.recipe.loop.refit
        counts = [train, *([train + self.rows("validation")] if refit else [])]
        return sum(-(-count // self.batch) for count in counts) * self.recipe.loop.epochs

    @property
    def work(self) -> float:
        """Steps, and of a prompt what is run forward alone, as steps: the start, the epochs, the pictures."""
        if isinstance(self.recipe, AlignRecipe):
            return self.steps
        forward = min(self.rows("train"), START_ROWS) + self.looks("validation")
        return self.steps + forward / self.batch / PROMPT_PASSES

    def step_rate(self, reading: PlannedReading) -> float:
        """FLOP of a worker a second, of training steps on some of the texts."""
        return self.step_flop(reading) / step_seconds(self.recipe, self.some(reading)) / workers_here(HERE)

    def some(self, reading: PlannedReading) -> Texts:
        """Labelled texts of a few steps, of every class that fits."""
        count = min(self.rows("train"), _STEPS * self.recipe.loop.batch_size)
        if self.splits is not None:
            return self.splits.train.take(draw_rows(len(self.splits.train), count, 0))
        return Texts.of(reading.some(count), [f"class {row % self.size.classes}" for row in range(count)])


def planned_recipe(method: str | None, recipe: Any = None) -> TrainingRecipe:
    """The options that a plan starts from: a whole recipe, or those of a method.

    Raises:
        OptionError: a race, which takes what its budget says, or a method that is not planned.
    """
    if recipe is not None and not isinstance(recipe, TrainingRecipe):
        raise OptionError("this recipe is of no training that is planned", got=type(recipe).__name__)
    if recipe is not None:
        return recipe
    if method is None or method not in PLANNED:
        hint = "a race of the methods (auto) takes its --budget, and what wins is one of these"
        raise OptionError(
            "a plan of train is of one method", got=method or "auto", expected=", ".join(PLANNED), hint=hint
        )
    return PLANNED[method]


def training_size(
    data: Any, recipe: TrainingRecipe, more: Mapping[str, Any], made_up_texts: tuple[int, int]
) -> tuple[LabelledSize, Splits | None]:
    """The rows that a training would read: of data, or of so many texts of so many tokens.

    Raises:
        DataError: no labels, or such as a training refuses.
    """
    if recipe.objective.loss == "mse":
        hint = "plan the same options with labels that are classes: the steps are as long"
        raise OptionError("a plan of train is of classes", got="--loss mse, of numbers", hint=hint)
    if data is None:
        checked("rare", more.get("rare", RARE[0]), str, choices=RARE)
        rows, tokens = made_up_texts
        return LabelledSize({part: round(rows * share) for part, share in PARTS.items()}, tokens=tokens), None
    given = {name: value for name, value in more.items() if name in READING}
    splits = training_splits(data, given, recipes.option_names(recipe), seed=recipe.loop.seed)
    check_labels(splits.train)
    texts = [text for part in splits.parts.values() for text in part.text]
    assert splits.train.label is not None
    sets = splits.train.kind == "sets"
    names = set_names(splits.train.label) if sets else Classes.of(splits.train.label, source=splits.train.source).names
    counts = {part: len(rows) for part, rows in splits.parts.items()}
    return LabelledSize(counts, texts, len(names), sets=sets), splits


def plan_training(
    recipe: TrainingRecipe, size: LabelledSize, splits: Splits | None, machine: Machine | None
) -> tuple[Outline, Shape]:
    """All forwards of the texts, then the steps of the training, or the fit of a probe, and the neighbors of k-NN."""
    if size.sets and isinstance(recipe, TrainRecipe) and recipe.objective.loss == LossRecipe.loss:
        recipe = recipes.replace(recipe, loss=SET_LOSS)  # as it is trained
    job = PlannedTraining(recipe, size, splits)
    options = recipes.to_dict(recipe.backbone) | {"pool": ("mean",)}
    reading = reading_of(options, size, job.forwards, machine)
    outline, shape = plan_reading(reading)
    width, train = outline.stages[0].width, job.rows("train")
    answered = job.rows("validation", "test")
    near = Stage("k-NN, a baseline", "neighbors", 2.0 * train * answered * width, width)
    fits = Stage("linear probe", "probe", 0.0, width, rows=train)
    named = isinstance(recipe, ProbingRecipe) and recipe.probe.pool != BEST
    poolings = 1 if named or train > MANY_TEXTS else POOLINGS  # that are held
    compared = 0 if named else POOLINGS
    choice = Stage("pooling of the probe", "pooling", 0.0, width, rows=min(train, COMPARED_ROWS) * compared)
    stages = [near, choice, fits]
    probe = cache(partial(_probe_line, width, size))
    measures = Measures({"neighbors": partial(near_rate, width, 20)}, {"probe": probe, "pooling": probe})
    held, notes = frozen_bytes(width, train, answered, poolings), list(size.notes)
    if isinstance(recipe, ProbingRecipe):
        notes += (
            [f"the pooling is chosen on {POOL_TEXTS} rows; all rows are then read by it alone"] if job.samples else []
        )
    else:
        learning = Stage(f"training, {job.steps} steps", "steps", job.step_flop(reading) * job.work, width)
        stages.insert(0, learning)
        measures = replace(measures, flops={**measures.flops, "steps": partial(job.step_rate, reading)})
        notes.append("every epoch is trained: nothing stops it early; the report comes on top, some ten seconds")
        notes.append("what a batch holds in training comes on top of the memory")
    if isinstance(recipe, AlignRecipe):
        held += COPIES * _NUMBERS * reading.model.weights
    elif isinstance(recipe, TrainRecipe):
        held += _cache_bytes(recipe, reading, job.rows("train", "validation"))
    whole = joined(replace(outline, memory=outline.memory + held), stages, measures, notes)
    return whole, Shape(size.rows, shape.width, _NUMBERS)


def frozen_bytes(width: int, train: int, answered: int, poolings: int) -> int:
    """Of the vectors of all rows, one probe's training rows in float64, and a tile of the neighbors' products.

    >>> round(frozen_bytes(384, train=72_000, answered=28_000, poolings=1) / 2**20)
    437
    """
    vectors = _NUMBERS * width * poolings * (train + answered)
    return vectors + 2 * _NUMBERS * width * train + _TILE * min(train, TILE_ROWS) * min(answered, TILE_ROWS)


def _cache_bytes(recipe: TrainRecipe, reading: PlannedReading, rows: int) -> int:
    """Of the texts' keys and values."""
    shape = attention_shape(load_backbone(recipe.backbone), recipe.prompt.layer)
    lengths = np.resize(reading.lengths, rows)  # those of a sample, again and again
    return cache_bytes(lengths, shape, recipe.text_cache)


# What is measured.


def step_seconds(recipe: TrainingRecipe, texts: Texts) -> float:
    """The mean of a few training steps on these texts.

    Raises:
        SeparatrixError: what the training itself would be refused for.
    """
    ended = list[float]()

    def note(stage: str, _done: int, _total: int, _note: str) -> None:
        if stage == "training":
            ended.append(monotonic())

    changes: dict[str, Any] = {"k": None} if isinstance(recipe, AlignRecipe) else {}  # it may be more than these rows
    brief = recipes.replace(recipe, epochs=2, refit=False, **changes)
    held = texts.take(np.arange(min(len(texts), _HELD)))
    job: Any = Job(
        texts, held, brief, lambda _scores, _targets: dict.fromkeys(("accuracy", "macro_f1"), 0.0), progress=note
    )
    train: Any = train_encoder if isinstance(recipe, AlignRecipe) else train_prompt
    train(job)
    steps = np.diff(ended[len(ended) // 2 :])  # without the first of the second epoch: validation comes before it
    return float(steps.mean() if len(steps) else ended[-1] - ended[0])


def _probe_line(width: int, size: LabelledSize) -> tuple[float, float]:
    """Seconds, and seconds a row, of a probe of one pooling with its penalty chosen on validation."""

    def run(rows: int) -> float:
        train, held = (
            LabelledBlocks({"own": x}, two_labels(y, size.classes) if size.sets else y)
            for x, y in (made_up(n, width, size.classes) for n in (rows, rows // 9))
        )
        return seconds_of(partial(fit_linear, train, held, size.classes, 0))

    return line(run, size.classes)
