"""Plans of the verbs that read labelled texts and compare their vectors: `rank` and `suspects`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.blocks import HERE
from separatrix.analysis.labelled_parts import sampled_parts
from separatrix.analysis.plan.job import Measures, Outline, seconds_of, workers_here
from separatrix.analysis.plan.models import PlannedReading, plan_reading
from separatrix.analysis.rank import figures_of
from separatrix.analysis.suspects import suspects
from separatrix.errors import DataError, OptionError
from separatrix.geometry.baselines import Part
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.suspects import MODELS, graph_size
from separatrix.points import Points
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.score import RankRecipe
from separatrix.recipe.train import BEST, POOL_TEXTS
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale.costs import Shape, Stage
from separatrix.scale.machine import Machine
from separatrix.texts import load_texts
from separatrix.texts.label_sets import set_names
from separatrix.texts.load import SPLITTING, given_splits
from separatrix.texts.rare import settle_rare

_ASSUMED_CLASSES = 10  # where there are no labels to count
_SIZES = (400, 1_200)  # rows that are judged to measure
_NEAR_ROWS = 8_000  # whose neighbors are sought to measure
_COPIES = 4  # vectors' worth of memory a row: its own, its neighbors', its tokens and its cells; measured at 100,000
PARTS = {"train": 0.72, "validation": 0.08, "test": 0.2}  # of texts that are not there
READING = {"rank": tuple(sorted(SPLITTING - {"seed"})), "suspects": ("drop", *recipes.option_names(LoadRecipe()))}


@dataclass(frozen=True)
class LabelledSize:
    """How many texts are read, and what is known of them."""

    parts: Mapping[str, int]  # rows
    texts: Sequence[Any] = ()
    classes: int = _ASSUMED_CLASSES
    tokens: int | None = None  # of each, where there are none
    notes: Sequence[str] = ()
    sets: bool = False  # several labels a row

    @property
    def rows(self) -> int:
        """Of all parts."""
        return sum(self.parts.values())


def labelled_size(verb: str, data: Any, recipe: Any, more: Mapping[str, Any], made_up: tuple[int, int]) -> LabelledSize:
    """The rows that the verb would read: of data, or of so many texts of so many tokens.

    Raises:
        DataError: no labels.
    """
    if data is None:
        rows, tokens = made_up
        if verb == "suspects":
            return LabelledSize({"all": rows}, tokens=tokens)
        most = recipe.most_rows or rows
        return LabelledSize({part: min(round(rows * share), most) for part, share in PARTS.items()}, tokens=tokens)
    if verb == "suspects":
        loading: Any = {name: value for name, value in more.items() if name in recipes.option_names(LoadRecipe())}
        columns: dict[str, Any] = {
            "text": recipe.text,
            "label": recipe.label,
            "label_separator": recipe.label_separator,
        }
        texts = load_texts(data, **columns, **loading)
        return LabelledSize({"all": len(texts)}, texts.text, _count(texts), sets=texts.kind == "sets")
    reading = {name: more[name] for name in READING["rank"] if name in more}
    splits = given_splits(data, reading, recipes.option_names(recipe), seed=recipe.seed)
    kept = sampled_parts(settle_rare(splits) if splits.train.kind == "sets" else splits, recipe)
    read = [text for part in kept.parts.values() for text in part.text]
    counts, notes = {name: len(part) for name, part in kept.parts.items()}, kept.notes[len(splits.notes) :]
    return LabelledSize(counts, read, _count(kept.train), None, notes, kept.train.kind == "sets")


def _count(texts: Any) -> int:
    """Classes of texts, or labels where rows have several."""
    if texts.label is None:
        raise DataError(f"{texts.source} was read without labels", hint="name their column with --label")
    if texts.kind == "sets":
        return len(set_names(texts.label, texts.source))
    return max(2, len(set(texts.label.tolist())))


def plan_labelled(verb: str, recipe: Any, size: LabelledSize, machine: Machine | None) -> tuple[Outline, Shape]:
    """A forward of every text for each model, the neighbors of every row, and the judges or figures of each pooling."""
    plan = _plan_rank if verb == "rank" else _plan_suspects
    return plan(recipe, size, machine)


def _plan_rank(recipe: RankRecipe, size: LabelledSize, machine: Machine | None) -> tuple[Outline, Shape]:
    if len(recipe.model) > 1:
        hint = "plan each of them, and add their seconds"
        raise OptionError("a plan of rank is of one model", got=f"{len(recipe.model)} models", hint=hint)
    options = recipes.to_dict(recipe.backbone(recipe.model[0])) | {"pool": recipe.pool, "layers": recipe.layers}
    outline, shape = plan_reading(reading_of(options, size, size.rows, machine))
    width, train = outline.stages[0].width, size.parts["train"]
    blocks = shape.width // width
    near = Stage("neighbors", "neighbors", 2.0 * train * size.rows * shape.width, width)
    rest = Stage(f"figures of {blocks} poolings", "rank", 0.0, width, rows=train)
    measures = Measures(
        {"neighbors": partial(near_rate, width, recipe.k)}, {"rank": partial(_rank_line, recipe, width, size, blocks)}
    )
    notes = [*size.notes, "figures as on made-up rows of the same width and number of classes"]
    return joined(outline, [near, rest], measures, notes), shape


def _plan_suspects(recipe: SuspectsRecipe, size: LabelledSize, machine: Machine | None) -> tuple[Outline, Shape]:
    rows = size.rows
    sampled = recipe.pool == BEST and rows > POOL_TEXTS
    options = {"model": recipe.model, "dtype": recipe.dtype, "device": recipe.device, "pool": ("mean",)}
    outline, shape = plan_reading(reading_of(options, size, rows + (POOL_TEXTS if sampled else 0), machine))
    judging = min(rows, recipe.most_rows or rows)
    listed = graph_size(judging, recipe.k, recipe.folds)
    near = Stage("neighbors", "neighbors", 2.0 * rows * judging * shape.width, shape.width)
    judges = Stage("judges, out of fold", "suspects", 0.0, shape.width, rows=rows)
    measures = Measures(
        {"neighbors": partial(near_rate, shape.width, listed)},
        {"suspects": partial(_suspects_line, recipe, shape.width, size)},
    )
    notes = [f"{judging} of {rows} rows judge"] if judging < rows else []
    notes += ["judges as on made-up rows of the same width and number of classes"]
    if sampled:
        notes.append(f"the pooling is chosen on {POOL_TEXTS} rows; all rows are then read by it alone")
    each = 2 * size.classes if size.sets else size.classes  # has the label, has it not
    held = rows * (_COPIES * 4 * shape.width + listed * 12 + each * 8 * (len(MODELS) + 2))
    whole = joined(replace(outline, memory=outline.memory + held), [near, judges], measures, notes)
    return whole, Shape(rows, shape.width, 4)


def reading_of(options: Mapping[str, Any], size: LabelledSize, rows: int, machine: Machine | None) -> PlannedReading:
    """So many forwards of these texts, by a model and poolings."""
    known = {name: value for name, value in options.items() if name in recipes.option_names(ExtractRecipe())}
    recipe = recipes.replace(ExtractRecipe(), **known)
    texts = [" ".join(one) if isinstance(one, tuple) else one for one in size.texts]
    return PlannedReading(recipe, texts, rows, size.tokens, machine)


def joined(outline: Outline, stages: Sequence[Stage], measures: Measures, notes: Sequence[str]) -> Outline:
    """An outline with further stages, how these are measured, and assumptions."""
    known = outline.measures
    both = Measures({**known.flops, **measures.flops}, {**known.tables, **measures.tables})
    assumptions = [*outline.assumptions, *notes]
    return replace(outline, stages=[*outline.stages, *stages], measures=both, assumptions=assumptions)


# What is measured.


def made_up(rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose classes overlap, and class numbers."""
    rng = np.random.default_rng(0)
    y = np.arange(rows) % classes
    centres = rng.standard_normal((classes, width), dtype=np.float32)
    return centres[y] + 2 * rng.standard_normal((rows, width), dtype=np.float32), y


def two_labels(y: np.ndarray, labels: int) -> np.ndarray:
    """Rows with two labels each, (rows, labels) of 0 and 1."""
    marks = np.zeros((len(y), labels), np.int64)
    marks[np.arange(len(y)), y] = marks[np.arange(len(y)), (y + 1) % labels] = 1
    return marks


def near_rate(width: int, k: int) -> float:
    """FLOP of a worker a second."""
    x, _ = made_up(_NEAR_ROWS, width, 2)
    seconds = seconds_of(partial(neighbors, x, x, min(k, len(x) - 1), exclude_self=True))
    return 2.0 * len(x) ** 2 * width / seconds / workers_here(HERE)


def _suspects_line(recipe: SuspectsRecipe, width: int, size: LabelledSize) -> tuple[float, float]:
    """Seconds, and seconds a row, of judging rows."""
    sign = "," if size.sets else None

    def run(rows: int) -> float:
        x, y = made_up(rows, width, size.classes)
        second = [f",class {(one + 1) % size.classes}" if size.sets else "" for one in y]
        points = Points.of(x, {"label": [f"class {one}{more}" for one, more in zip(y, second, strict=True)]})
        own = SuspectsRecipe(folds=recipe.folds, k=recipe.k, near=recipe.near, seed=recipe.seed, label_separator=sign)
        return seconds_of(lambda: suspects(points, recipe=own))

    return line(run, size.classes)


def _rank_line(recipe: RankRecipe, width: int, size: LabelledSize, blocks: int) -> tuple[float, float]:
    """Seconds, and seconds a training row, of the figures of all poolings of a model."""
    share = {part: rows / size.parts["train"] for part, rows in size.parts.items()}

    def run(rows: int) -> float:
        parts = {}
        for part, each in share.items():
            x, y = made_up(max(size.classes, round(rows * each)), width, size.classes)
            parts[part] = Part(x, two_labels(y, size.classes) if size.sets else y)
        return seconds_of(partial(figures_of, parts, size.classes, recipe)) * blocks

    return line(run, size.classes)


def line(run: Callable[[int], float], classes: int) -> tuple[float, float]:
    """A straight line through two measurements."""
    low, high = (max(one, 4 * classes) for one in _SIZES)
    high = max(high, 3 * low)
    run(low)  # what is loaded at the first call
    first, second = run(low), run(high)
    slope = max(second - first, 0.0) / (high - low)
    return max(first - slope * low, 0.0), slope
