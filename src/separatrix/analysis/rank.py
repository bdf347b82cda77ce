"""The verb `rank`: which frozen encoder, pooling and layer suits these labels, and how sure that is.

Each model runs once over all texts; every pooling of every layer is read from that pass. What decides is measured on
the training rows by leave-one-out, or on the validation part; the test part is shown and never decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.compared import short_names
from separatrix.analysis.curve import probe_curve
from separatrix.analysis.labelled_parts import read_targets, sampled_parts, task_of, vectors_of
from separatrix.errors import DataError, public_name
from separatrix.geometry.baselines import Part
from separatrix.geometry.measures import (
    ACCURACY,
    SET_F1,
    NumberTask,
    RankedTask,
    find_neighbors,
    rounded,
)
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.resample import certainty
from separatrix.models.frozen_blocks import FrozenPass, about_cls, frozen_blocks, plan_options, same_weights, told_apart
from separatrix.models.load import load_backbone
from separatrix.models.precision import settled
from separatrix.progress import Progress, silent
from separatrix.recipe import option_names
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.options import RankOptions
from separatrix.recipe.score import RankRecipe
from separatrix.store.files import Schema
from separatrix.store.result import NUMBER, Lines, Listing, Result, optional, out_line
from separatrix.store.table import write_table
from separatrix.texts import Splits, duplicates, overlap
from separatrix.texts.load import SPLITTING, given_splits
from separatrix.texts.rare import settle_rare
from separatrix.texts.set_checks import joined_labels
from separatrix.texts.table import refuse_equal

if TYPE_CHECKING:
    import pandas as pd


TITLES = {
    "knn_loo": "{unit} of k-NN, leave-one-out on the training rows",
    "knn_validation": "{unit} of k-NN on the validation rows",
    "probe_validation": "{unit} of a linear probe on the validation rows",
}
OF_SETS = "several labels a row: figures are the F1 of a row's labels, in the mean over the rows"
TABLE, PICTURE, DATA = "table.parquet", "heatmap.png", "heatmap.csv"
# Figure -> heading: k-NN by leave-one-out, on validation and on test; a linear probe on test or validation.
COLUMNS = {
    "knn_loo": "loo",
    "knn_validation": "val",
    "knn_test": "test",
    "probe_validation": "probe val",
    "probe_test": "probe",
    "logme": "LogME",
    "h_score": "H",
}


@dataclass(frozen=True, eq=False, repr=False)
class Ranking(Result):
    """Encoders compared: an option for each model, layer and pooling, the best first."""

    kind: ClassVar[str] = "ranking"
    schema: ClassVar[Schema] = {
        "table": [dict], "best": dict, "criterion": str, "unit": str, "rows": {"*": int}, "majority": NUMBER,
        "warnings": [str], "notes": [str], "seconds": float, "grid": dict,
    }  # fmt: skip

    options: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any]
    criterion: str
    unit: str  # accuracy; F1 of several labels a row; R2 of numbers
    rows: Mapping[str, int]
    majority: float | None  # figure of always the most frequent class (or set) in the last part; None for numbers
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    seconds: float = 0.0
    grid: RankRecipe = field(default_factory=RankRecipe)
    curve: Sequence[Mapping[str, Any]] | None = optional()  # of each model's best pooling: figure against rows

    @classmethod
    def stored(cls, _folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The options, and the recipe."""
        return {"options": plain["table"], "grid": recipes.from_dict(RankRecipe, plain["grid"])}

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds, with ten digits."""
        plain = rounded(super().figures())
        return {"table": plain.pop("options")} | plain

    @property
    def table(self) -> pd.DataFrame:
        """A line for each option; intervals become two columns."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.options])

    def parts(self) -> list[Listing | Lines]:
        """The table with ranks, and the recommendation."""
        shown = [name for name in COLUMNS if any(row.get(name) is not None for row in self.options)]
        rows = []
        for row in self.options:
            layer = "all" if row["layer"] is None else str(row["layer"])
            low, high = row["rank_interval"]
            cells = ["-" if row.get(name) is None else f"{row[name]:.3f}" for name in shown]
            ends = [f"{low}-{high}", f"{row['probability_best']:.2f}", f"{row['rows_per_second']:.0f}"]
            rows.append([Path(row["model"]).name, row["pool"], layer, *cells, *ends])
        headings = ["model", "pool", "layer", *(COLUMNS[name] for name in shown), "rank", "best", "rows/s"]
        lines = [*(("note", note) for note in self.notes), *self._recommended(), *out_line(self.folder)]
        curves = [] if self.curve is None else [_curve_listing(self.curve, self.unit)]
        return [Listing(headings, rows, [row == 0 for row in range(len(rows))]), *curves, lines]

    def _recommended(self) -> list[tuple[str, object]]:
        best = self.best
        low, high = best["interval"]
        figure = f"{best['criterion']} {best['value']:.3f} ({low:.3f} to {high:.3f})"
        sure = (
            f"the best in {best['probability_best']:.0%} of bootstrap samples, its model in "
            f"{best['probability_model_best']:.0%}; rank {best['rank_interval'][0]} to {best['rank_interval'][1]} "
            f"of {len(self.options)}"
        )
        lines: list[tuple[str, object]] = [("best", f"{best['model']}, {best['pool']}, {_layer(best)}: {figure}")]
        lines.append(("sure", sure))
        one = "set of labels" if self.unit == SET_F1 else "class"
        majority = (
            [] if self.majority is None else [("majority", f"{self.majority:.3f} (always the most frequent {one})")]
        )
        return lines + majority

    def write_files(self, folder: Path) -> None:
        """Write the table, and the heat map of the criterion with its data."""
        from separatrix.view.canvas import save
        from separatrix.view.cells import heatmap

        write_table(folder / TABLE, self.table)
        cells = cells_of(self)
        write_table(folder / DATA, cells.rename_axis("model").reset_index())
        # The options stand in the order of the criterion: the first one is the recommendation.
        row, column = _cell(self.options[0])
        figure = heatmap(
            cells.to_numpy(dtype=np.float64),
            (list(map(str, cells.index)), list(map(str, cells.columns))),
            title=TITLES[self.criterion].format(unit=self.unit),
            note=f"{self.rows['train']} training rows; framed: recommended, "
            f"the best in {self.best['probability_best']:.0%} of bootstrap samples",
            best=(list(cells.index).index(row), list(cells.columns).index(column)),
        )
        save(figure, folder / PICTURE)


def _curve_listing(curve: Sequence[Mapping[str, Any]], unit: str) -> Listing:
    """A line for each model and number of rows; at the last one, what doubling the rows gained."""
    rows = []
    for line in curve:
        for point in line["points"]:
            low, high = point["interval"]
            gain = "-"
            if line["gain"] is not None and point["rows"] == line["gain"]["to"]:
                ends = line["gain"]["interval"]
                gain = f"{line['gain']['difference']:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"
            score = f"{point['value']:.3f} ({low:.3f} to {high:.3f})"
            rows.append([Path(line["model"]).name, line["pool"], str(point["rows"]), score, gain])
    return Listing(["model", "pool", "rows", f"{unit} of a probe, validation", "gained by the last doubling"], rows)


def cells_of(ranking: Ranking) -> pd.DataFrame:
    """The criterion as a frame: a line for each model and layer, a column for each pooling."""
    import pandas as pd

    rows = [(*_cell(row), row[ranking.criterion]) for row in ranking.options]
    frame = pd.DataFrame(rows, columns=["model", "pool", "value"])
    models = list(ranking.grid.model)
    # As the models were named; all layers first, then the layers by number.
    lines = sorted(
        ranking.options, key=lambda row: (models.index(row["model"]), -1 if row["layer"] is None else row["layer"])
    )
    order = list(dict.fromkeys(_cell(row)[0] for row in lines))
    pools = [pool for pool in dict.fromkeys(ranking.grid.pool) if pool in set(frame["pool"])]
    return frame.pivot(index="model", columns="pool", values="value").loc[order, pools]


def _cell(row: Mapping[str, Any]) -> tuple[str, str]:
    """Line and column of an option in the heat map."""
    return f"{Path(row['model']).name}, {_layer(row)}", row["pool"]


def _layer(row: Mapping[str, Any]) -> str:
    return "all layers" if row["layer"] is None else f"layer {row['layer']}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One row of the table before the order is known."""

    row: dict[str, Any]
    per_row: np.ndarray  # (rows,) how good each answer of the criterion is


@checks_arguments
def rank(
    data: Any,
    *,
    recipe: RankRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[RankOptions],
) -> Ranking:
    """Measure every model, layer and pooling on labelled texts.

    Args:
        data: `Splits`, or anything that `load_splits` reads.
        recipe: all options at once: models and how they are read, poolings, layers, criterion, k.
        out: folder to write; nothing is written without it.
        overwrite: replace an earlier ranking there.
        progress: is called with (stage, done, total, note).
        options: single options of `RankRecipe` or of `load_splits`, by name.

    Raises:
        OptionError: an unknown pooling, a layer that a model does not have.
        DataError: no labels, one class (or label) only, fewer training rows than neighbors.
        ModelError: a model cannot be found or loaded.
        StoreError: `out` is taken.
    """
    progress = progress or silent
    reading = {name: options.pop(name) for name in sorted(SPLITTING & {*options})}  # type: ignore[misc]
    wanted = recipes.replace(recipe or RankRecipe(), **options)
    splits = given_splits(data, reading, option_names(wanted), seed=wanted.seed)
    refuse_equal(splits.train)
    splits = sampled_parts(settle_rare(splits) if splits.train.kind == "sets" else splits, wanted)
    return Ranking.produce(
        lambda: _rank(splits, wanted, progress), wanted, out, overwrite=overwrite,
        inputs=(*(part.source for part in splits.parts.values()), *wanted.model),
    )  # fmt: skip


def _rank(splits: Splits, wanted: RankRecipe, progress: Progress) -> Ranking:
    begun = monotonic()
    names, targets = read_targets(splits)
    if len(targets["train"]) <= wanted.k:
        rows = len(targets["train"])
        raise DataError("fewer rows than neighbors", got=f"{rows} training rows, k = {wanted.k}")
    task = task_of(targets["train"], names, wanted)
    texts = [text for part in targets for text in splits.parts[part].text]
    options: list[Candidate] = []
    curve: list[dict[str, Any]] = []
    warnings, notes, weights = [*splits.warnings, *_audit(splits)], [*splits.notes], dict[str, str]()
    warnings += joined_labels(splits.train)
    notes += [OF_SETS] if task.unit == SET_F1 else []
    shown = replace(wanted, model=tuple(_names(wanted.model)))  # results carry names, not paths
    for model, name in zip(wanted.model, shown.model, strict=True):
        chosen, why = settled(wanted.backbone(model), texts, lambda one: plan_options(one, wanted.pool, wanted.layers))
        loaded = load_backbone(chosen)
        warnings += [*loaded.source.warnings, *same_weights(weights, name, loaded)]
        notes += [f"{name}: {line}" for line in (*why, *about_cls(loaded, wanted.pool))]
        passed = frozen_blocks(loaded, texts, wanted.pool, wanted.layers, progress=progress)
        cut = [f"{passed.cut} of {len(texts)} texts were cut to {wanted.max_length} tokens"] if passed.cut else []
        warnings += [f"{name}: {line}" for line in (*cut, *told_apart(passed.points))]
        warnings += passed.unread.warn(name)
        own: list[Candidate] = []
        for number, plan in enumerate(passed.plans, 1):
            parts = vectors_of(passed.points.pick(plan.name), targets)
            head = {"model": name, "pool": plan.pool, "layer": plan.layer}
            own.append(_measure(parts, task, wanted, head | _cost(passed, plan.name)))
            progress(f"scores: {name}", number, len(passed.plans), plan.name)
        options += own
        if wanted.curve:
            curve += _curves(passed, own, targets, task, wanted)
    table, best = _order(options, shown)
    first = {row["model"]: (row["pool"], row["layer"]) for row in reversed(table)}
    curve = [line for line in curve if first[line["model"]] == (line["pool"], line["layer"])]
    last = targets[list(targets)[-1]]
    majority = None if isinstance(task, NumberTask) else task.majority(last)
    counts = {part: len(values) for part, values in targets.items()}
    done = (tuple(warnings), tuple(notes), round(monotonic() - begun, 2))
    return Ranking(
        tuple(table), best, wanted.criterion, task.unit, counts, majority, *done, shown,
        curve if wanted.curve else None,
    )  # fmt: skip


def _curves(
    passed: FrozenPass,
    own: Sequence[Candidate],
    targets: Mapping[str, np.ndarray],
    task: RankedTask,
    wanted: RankRecipe,
) -> list[dict[str, Any]]:
    """The learning curves of the poolings that are best by the criterion: of equal ones the order of all decides."""
    curves, highest = [], max(option.row[wanted.criterion] for option in own)
    for plan, option in zip(passed.plans, own, strict=True):
        if option.row[wanted.criterion] == highest:
            parts = vectors_of(passed.points.pick(plan.name), targets)
            head = {key: option.row[key] for key in ("model", "pool", "layer")}
            curves.append(head | probe_curve(parts["train"], parts["validation"], task, wanted.seed))
    return curves


def _cost(passed: FrozenPass, name: str) -> dict[str, Any]:
    return {
        "width": passed.points.pick(name).width,
        "rows_per_second": passed.rows_per_second,
        "parameters": passed.parameters,
        "megabytes": passed.megabytes,
    }


def _measure(parts: Mapping[str, Part], task: RankedTask, grid: RankRecipe, head: dict[str, Any]) -> Candidate:
    """All figures of one option."""
    train, k = parts["train"], grid.k
    around = find_neighbors(train, parts, k, grid.metric)
    answers = {f"knn_{name}": (part, task.knn(near, train.targets, k)) for name, (part, near) in around.items()}
    if "test" in parts:
        chosen = task.probe(train, parts["validation"])
        answers["probe_test"] = (parts["test"], task.read(chosen, parts["test"].vectors))
    if grid.criterion == "probe_validation":  # judged on validation, so its penalty is not chosen there
        plain, part = task.probe(train, None), parts["validation"]
        answers["probe_validation"] = (part, task.read(plain, part.vectors))
    row = {**head, "knn_test": None, "probe_test": None, "h_score": None}
    for name, (part, given) in answers.items():
        figure = task.figure(part.targets, given)
        row |= {name: figure.value, f"{name}_interval": list(figure.interval or ())}
    row["logme"] = task.logme(Evidence.of(train.vectors), train.targets)
    if task.unit == ACCURACY:
        row["h_score"] = HScore.of(train.vectors).of_classes(train.targets, int(train.targets.max()) + 1)
    part, given = answers[grid.criterion]
    return Candidate(row, task.per_row(part.targets, given))


def figures_of(parts: Mapping[str, Part], classes: int, grid: RankRecipe) -> None:
    """The work of one option on rows of so many classes or labels, for whom its seconds matter alone."""
    names = tuple(f"class {number}" for number in range(classes))
    _measure(parts, task_of(parts["train"].targets, names, grid), grid, {})


def _order(options: Sequence[Candidate], grid: RankRecipe) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows by the criterion, the highest first, with the interval of the rank; and the recommendation."""
    sure = certainty(np.stack([option.per_row for option in options]), seed=grid.seed, resamples=grid.resamples)
    values = [-option.row[grid.criterion] for option in options]
    rows = []
    for index in np.lexsort((-sure.best, values)):  # of equal ones the more probable stands first
        span = {"rank_interval": [int(sure.low[index]), int(sure.high[index])]}
        rows.append(options[index].row | span | {"probability_best": float(sure.best[index])})
    top = rows[0]
    named = ("model", "pool", "layer", "rank_interval", "probability_best")
    best = {name: top[name] for name in named} | {"criterion": grid.criterion, "value": top[grid.criterion]}
    best["interval"] = top[f"{grid.criterion}_interval"]
    best["probability_model_best"] = sum(row["probability_best"] for row in rows if row["model"] == top["model"])
    return rows, best


def _audit(splits: Splits) -> list[str]:
    """Repeated and shared rows, which flatter leave-one-out and train-to-test."""
    train = splits.train
    repeats = duplicates(train)
    warnings = []
    if repeats.normalised:
        conflicts = f", {repeats.conflicting} of them with different labels" if repeats.conflicting else ""
        warnings.append(
            f"{repeats.normalised} of {repeats.total} training rows repeat an earlier one{conflicts}: "
            "leave-one-out is flattered"
        )
    for name, part in splits.parts.items():
        shared = overlap(train, part).normalised if name != "train" else 0
        if shared:
            warnings.append(f"{shared} of {len(part)} rows of {name} stand in the training rows as well")
    return warnings


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
