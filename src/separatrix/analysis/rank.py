"""The verb `rank`: which frozen encoder, pooling and layer suits these labels, and how sure that is.

Each model runs once over all texts; every pooling of every layer is read from that pass. What decides is measured on
the training rows by leave-one-out, or on the validation part; the test part is shown and never decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.rows import classes_by_row, make_task, read_labels
from separatrix.analysis.sources import short_names
from separatrix.errors import DataError, public_name
from separatrix.geometry.baselines import Part
from separatrix.geometry.measures import Task, rounded
from separatrix.geometry.neighbours import neighbours
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.resample import certainty
from separatrix.models.backbone import load_backbone
from separatrix.models.frozen_blocks import Passed, about_cls, frozen_blocks, same_weights, told_apart
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import RankGrid
from separatrix.texts import Splits, duplicates, overlap

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Ranking:
    """What `rank` found: a row for each model, layer and pooling, the best first."""

    table: tuple[Mapping[str, Any], ...]
    best: Mapping[str, Any]
    criterion: str
    unit: str  # accuracy or R2
    rows: Mapping[str, int]
    majority: float | None  # share of the most frequent class in the last part; None for numbers
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    grid: RankGrid = field(default_factory=RankGrid)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = {**vars(self), "table": [dict(row) for row in self.table], "best": dict(self.best)}
        plain |= {"warnings": list(self.warnings), "notes": list(self.notes), "rows": dict(self.rows)}
        plain |= {"grid": recipes.to_dict(self.grid), "seconds": round(self.seconds, 2)}
        return rounded(plain)

    @property
    def frame(self) -> pd.DataFrame:
        """The table as a pandas frame; intervals become two columns."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.table])


@dataclass(frozen=True, eq=False)
class _Option:
    """One row of the table before the order is known."""

    row: dict[str, Any]
    per_row: np.ndarray  # (rows,) how good each answer of the criterion is


def rank(
    splits: Splits,
    grid: RankGrid | None = None,
    *,
    backbone: ModelRecipe | None = None,
    progress: Progress = silent,
) -> Ranking:
    """Measure every model, layer and pooling on labelled texts.

    Args:
        splits: training, validation and (if there is one) test part, as `load_splits` gives.
        grid: models, poolings, layers, criterion, k.
        backbone: what every model shares: longest text, number format, device. Its `model` is not used.
        progress: is called with (stage, done, total, note).

    Raises:
        OptionError: an unknown pooling, a layer that a model does not have.
        DataError: no labels, one class only, fewer training rows than neighbours.
        ModelError: a model cannot be found or loaded.
    """
    begun = monotonic()
    wanted, shared = grid or RankGrid(), backbone or ModelRecipe()
    names, targets = _targets(splits)
    if len(targets["train"]) <= wanted.k:
        rows = len(targets["train"])
        raise DataError("fewer rows than neighbours", got=f"{rows} training rows, k = {wanted.k}")
    task = make_task(targets["train"], names, wanted.seed, wanted.resamples)
    texts = [text for part in targets for text in splits.parts[part].text]
    options: list[_Option] = []
    said, notes, weights = [*splits.warnings, *_audit(splits)], [*splits.notes], dict[str, str]()
    shown = replace(wanted, model=tuple(_names(wanted.model)))  # results carry names, not paths
    for model, name in zip(wanted.model, shown.model, strict=True):
        found = load_backbone(replace(shared, model=model))
        said += same_weights(weights, name, found)
        notes += [f"{name}: {line}" for line in about_cls(found, wanted.pool)]
        passed = frozen_blocks(found, texts, wanted.pool, wanted.layers, progress=progress)
        cut = [f"{passed.cut} of {len(texts)} texts were cut to {shared.max_length} tokens"] if passed.cut else []
        said += [f"{name}: {line}" for line in (*cut, *passed.unread.warnings, *told_apart(passed.points))]
        for place, plan in enumerate(passed.plans, 1):
            parts = _parts(passed.points.pick(plan.name), targets)
            head = {"model": name, "pool": plan.pool, "layer": plan.layer}
            options.append(_measure(parts, task, wanted, head | _cost(passed, plan.name)))
            progress(f"scores: {name}", place, len(passed.plans), plan.name)
    table, best = _order(options, shown)
    last = list(targets)[-1]
    majority = float(np.bincount(targets[last]).max() / len(targets[last])) if names else None
    counts = {part: len(values) for part, values in targets.items()}
    done = (tuple(said), tuple(notes), monotonic() - begun)
    return Ranking(tuple(table), best, wanted.criterion, task.unit, counts, majority, *done, shown)


def _cost(passed: Passed, name: str) -> dict[str, Any]:
    return {
        "width": passed.points.pick(name).width,
        "rows_per_second": passed.rows_per_second,
        "parameters": passed.parameters,
        "megabytes": passed.megabytes,
    }


def _targets(splits: Splits) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Class names, and targets of each part; classes are those of the training rows."""
    labels = {name: part.label for name, part in splits.parts.items()}
    if labels["train"] is None:
        raise DataError(f"{splits.train.source} was read without labels", hint="name their column with --label")
    names, train = read_labels(labels["train"])
    found = {"train": train}
    if names:
        classes = classes_by_row(labels["train"])
        rest = {name: classes.encode(values) for name, values in labels.items() if values is not None}
    else:
        rest = {name: np.asarray(values, dtype=np.float64) for name, values in labels.items() if values is not None}
    return names, found | rest


def _parts(points: Points, targets: Mapping[str, np.ndarray]) -> dict[str, Part]:
    ends = np.cumsum([len(values) for values in targets.values()])
    vectors = np.split(points.values, ends[:-1])
    return {name: Part(part, targets[name]) for name, part in zip(targets, vectors, strict=True)}


def _measure(parts: Mapping[str, Part], task: Task, grid: RankGrid, head: dict[str, Any]) -> _Option:
    """All figures of one option."""
    train, k = parts["train"], grid.k
    around = neighbours(train.vectors, train.vectors, k, metric=grid.metric, exclude_self=True)
    answers = {"knn_loo": (train, task.knn(around, train.targets, k))}
    for name, part in parts.items():
        if name != "train":
            found = neighbours(part.vectors, train.vectors, k, metric=grid.metric)
            answers[f"knn_{name}"] = (part, task.knn(found, train.targets, k))
    if "test" in parts:
        chosen = task.probe(train, parts["validation"])
        answers["probe_test"] = (parts["test"], task.read(chosen, parts["test"].vectors))
    if grid.criterion == "probe_validation":  # judged on validation, so its penalty is not chosen there
        plain, held = task.probe(train, None), parts["validation"]
        answers["probe_validation"] = (held, task.read(plain, held.vectors))
    row = {**head, "knn_test": None, "probe_test": None, "h_score": None}
    for name, (part, given) in answers.items():
        figure = task.figure(part.targets, given)
        row |= {name: figure.value, f"{name}_interval": list(figure.interval or ())}
    row["logme"] = task.logme(Evidence.of(train.vectors), train.targets)
    if task.unit == "accuracy":
        row["h_score"] = HScore.of(train.vectors).of_classes(train.targets, int(train.targets.max()) + 1)
    part, given = answers[grid.criterion]
    return _Option(row, task.per_row(part.targets, given))


def _order(options: Sequence[_Option], grid: RankGrid) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows by the criterion, the highest first, with the interval of the rank; and the recommendation."""
    found = certainty(np.stack([option.per_row for option in options]), seed=grid.seed, resamples=grid.resamples)
    values = [-option.row[grid.criterion] for option in options]
    rows = []
    for place in np.lexsort((-found.best, values)):  # of equal ones the more probable stands first
        span = {"rank_interval": [int(found.low[place]), int(found.high[place])]}
        rows.append(options[place].row | span | {"probability_best": float(found.best[place])})
    top = rows[0]
    named = ("model", "pool", "layer", "rank_interval", "probability_best")
    best = {name: top[name] for name in named} | {"criterion": grid.criterion, "value": top[grid.criterion]}
    best["interval"] = top[f"{grid.criterion}_interval"]
    best["probability_model_best"] = sum(row["probability_best"] for row in rows if row["model"] == top["model"])
    return rows, best


def _audit(splits: Splits) -> list[str]:
    """Repeated and shared rows, which flatter leave-one-out and train-to-test."""
    train = splits.train
    found = duplicates(train)
    said = []
    if found.normalised:
        conflicts = f", {found.conflicting} of them with different labels" if found.conflicting else ""
        said.append(
            f"{found.normalised} of {found.total} training rows repeat an earlier one{conflicts}: "
            "leave-one-out is flattered"
        )
    for name, part in splits.parts.items():
        shared = overlap(train, part).normalised if name != "train" else 0
        if shared:
            said.append(f"{shared} of {len(part)} rows of {name} stand in the training rows as well")
    return said


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_interval"):
            low, high = value
            plain |= {f"{name.removesuffix('_interval')}_low": low, f"{name.removesuffix('_interval')}_high": high}
        else:
            plain[name] = value
    return plain


def _names(models: Sequence[str]) -> list[str]:
    """How the table names the models: folders by as many last parts of their paths as tell them apart."""
    names = [public_name(model) for model in models]
    return names if len(set(names)) == len(names) else short_names([Path(model) for model in models])
