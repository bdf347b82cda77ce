"""A grid spelled out: one setting for every row x combination of the axes, and for every baseline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

from separatrix.errors import OptionError, public_name
from separatrix.recipe import ModelRecipe, canonical, option_names
from separatrix.sweeps.ask import GuidedSearch
from separatrix.sweeps.grid import OWN, DataSource, Grid, Mistakes, Row
from separatrix.sweeps.search import MOST, Distribution, drawn_settings
from separatrix.texts.training_parts import READING
from separatrix.training.methods import build_recipe
from separatrix.training.request import Recipe

ROW, DATA, MODEL = "row", "data", "model"
# What baselines take over from the rows that they stand beside: the data, the model, how texts are read.
SHARED = frozenset({DATA, *option_names(ModelRecipe()), *READING})
# PEFT's prompt has the budget of the prompts beside it too.
BUDGET = frozenset({"tokens", "epochs", "batch_size", "warmup", "clip", "patience"})
TAKEN = {"majority": READING, "probe": SHARED, "knn": SHARED, "finetune": SHARED, "peft": SHARED | BUDGET}
METHOD_OF = {"majority": "probe", "probe": "probe", "knn": "probe", "finetune": "finetune", "peft": "peft"}


@dataclass(frozen=True)
class Setting:
    """One line of the table: what is trained, but for the seed.

    Attributes:
        coordinates: column of the table -> value; a named row has its name under "row".
        method: of `train`.
        options: of `train`, those of reading the texts included.
        data: what is trained on.
        baseline: name of the baseline; None for a row of the grid.
    """

    coordinates: Mapping[str, Any]
    method: str
    options: Mapping[str, Any]
    data: DataSource
    baseline: str | None = None
    stage: Mapping[str, int] = field(default_factory=dict)  # the option that grows by rounds -> its value in this one

    @property
    def name(self) -> str:
        """The row, then the axes."""
        named = [str(self.coordinates[ROW])] if ROW in self.coordinates else []
        axes = [f"{name}={written(value)}" for name, value in self.coordinates.items() if name != ROW]
        return ", ".join([*named, *axes]) or self.method

    @property
    def label(self) -> str:
        """How messages name it: its name, and what it has in this round."""
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.stage.items())])

    @property
    def recipe(self) -> Recipe:
        """The recipe of the training. Raises `OptionError`: an option without effect, or a value out of range."""
        return build_recipe(self.method, {key: value for key, value in self.options.items() if key not in READING})

    @property
    def reading(self) -> dict[str, Any]:
        """How the texts are read."""
        return {**self.data.reading, **{key: value for key, value in self.options.items() if key in READING}}

    def at(self, option: str, value: int) -> Setting:
        """The same in a round with another value of an option."""
        return replace(self, options={**self.options, option: value}, stage={option: value})


def written(value: Any) -> str:
    """A value of an axis as the table writes it.

    >>> written(0.03), written(["good", "bad"]), written(True)
    ('0.03', 'good bad', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(written, value)) if isinstance(value, list | tuple) else str(value)


def spell_out(grid: Grid, mistakes: Mistakes) -> list[Setting]:
    """All settings of a grid; those that cannot be go to the mistakes."""
    rows: Sequence[Row | None] = grid.rows or [None]
    sizes = [len(values) for values in grid.axes.values() if not isinstance(values, Distribution)]
    count = len(rows) * len(grid.seeds) * (grid.search.samples or prod(sizes))
    if count > MOST:
        mistakes.add("", "", f"it has too many rows: got {count} with their seeds, expected at most {MOST}")
        mistakes.check()
    axes = dict(grid.axes)
    everywhere = [axes, grid.train, *(row.options for row in grid.rows)]
    if len(grid.data) > 1 and not any(DATA in options for options in everywhere):
        axes = {DATA: tuple(grid.data), **axes}
    if DATA in axes and grid.search.is_guided:
        what = "tpe compares combinations on one data set; write [[rows]], each with its data"
        mistakes.add("search", "sampler", what)
    settings = [one for row in rows for one in _of_row(row, axes, grid, mistakes)]
    return [*settings, *_baselines(settings, grid, mistakes)]


def _of_row(row: Row | None, axes: Mapping[str, Any], grid: Grid, mistakes: Mistakes) -> Iterator[Setting]:
    for values in _combinations(axes, grid):
        if (setting := setting_of(row, values, grid, mistakes)) is not None:
            yield setting


def setting_of(row: Row | None, values: Mapping[str, Any], grid: Grid, mistakes: Mistakes) -> Setting | None:
    """One combination of the axes in a row; None, with a mistake, where there is no such training."""
    own = {} if row is None else row.options
    options = {**grid.train, **own, **values}
    columns = {name: shown(name, value) for name, value in values.items()}
    coordinates = columns if row is None else {ROW: row.name, **columns}
    data = _data(options, own, values, grid, mistakes)
    if data is None:
        return None
    method = options.get("method", "prompt")
    kept = {name: value for name, value in options.items() if name not in OWN}
    setting = Setting(coordinates, method, kept, data)
    table = "" if row is None else f"rows {list(grid.rows).index(row) + 1}"
    fits = _fits(setting, [(table, own), ("grid", values), ("train", grid.train)], mistakes)
    return setting if fits else None


def _combinations(axes: Mapping[str, Any], grid: Grid) -> list[dict[str, Any]]:
    if grid.search.is_guided:
        return GuidedSearch(axes, grid.search, maximize=True).ask(grid.search.drawn)
    if grid.search.samples is not None:
        return drawn_settings(axes, grid.search.samples, grid.search.seed)
    lists = {name: values for name, values in axes.items() if not isinstance(values, Distribution)}
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def _data(
    options: Mapping[str, Any], own: Mapping[str, Any], values: Mapping[str, Any], grid: Grid, mistakes: Mistakes
) -> DataSource | None:
    """The data set that a row names, or the only one."""
    table = "rows" if DATA in own else "grid" if DATA in values else "train" if DATA in options else ""
    named = options.get(DATA)
    if named is None:
        if len(grid.data) > 1:
            mistakes.add(
                table, DATA, f"some rows name no data set; each of several rows needs data = one of {[*grid.data]}"
            )
        return next(iter(grid.data.values()), None) if len(grid.data) == 1 else None
    if named not in grid.data:
        mistakes.add(table, DATA, f"unknown data set: got {named!r}, expected one of {', '.join(grid.data)}")
    return grid.data.get(named)


def _fits(setting: Setting, tables: Sequence[tuple[str, Mapping[str, Any]]], mistakes: Mistakes) -> bool:
    """Whether there is such a training; what is wrong is placed where the option stands that the message names."""
    try:
        _ = setting.recipe
    except OptionError as error:
        named = [flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z-]*)", str(error))]
        for name in named:
            for table, options in tables:
                if name in options:
                    mistakes.add(table, name, error)
                    return False
        mistakes.add(tables[0][0] or "train", "", error)
        return False
    return True


def _baselines(settings: Sequence[Setting], grid: Grid, mistakes: Mistakes) -> Iterator[Setting]:
    """Each baseline once for all settings that it stands beside; what tells them apart is a column of the table."""
    for name, own in grid.baselines.items():
        first = dict[str, Setting]()
        for setting in settings:
            first.setdefault(canonical([setting.data.name, written_all(beside(name, setting))]), setting)
        several = {
            key
            for setting in first.values()
            for key in beside(name, setting)
            if len({written(other.options.get(key)) for other in first.values()}) > 1
        }
        of_rows = len({setting.data.name for setting in first.values()}) > 1  # which name their data
        for setting in first.values():
            shared = {key: value for key, value in setting.options.items() if key in SHARED or key in TAKEN[name]}
            axes = {key: value for key, value in setting.coordinates.items() if key in TAKEN[name] or key == DATA}
            apart = {DATA: setting.data.name} if of_rows else {}
            apart |= {key: shown(key, value) for key, value in beside(name, setting).items() if key in several}
            task = {"loss": "mse"} if setting.options.get("loss") == "mse" else {}  # numbers are predicted
            options = {**shared, **own, **task}
            one = Setting({ROW: name, **axes, **apart}, METHOD_OF[name], options, setting.data, name)
            if _fits(one, [(f"baselines.{name}", own), ("train", grid.train)], mistakes):
                yield one


def beside(baseline: str, setting: Setting, other: str | None = None) -> dict[str, Any]:
    """The options that a baseline, or one and another, shares with the rows that it stands beside."""
    taken = TAKEN[baseline] & TAKEN[other or baseline]
    return {key: value for key, value in setting.options.items() if key in taken}


def shown(name: str, value: Any) -> Any:
    """A value of an axis as a column has it: of a model its name alone."""
    return public_name(value) if name == MODEL else value


def written_all(options: Mapping[str, Any]) -> dict[str, str]:
    """Values as they are written: of some there is no JSON."""
    return {key: written(value) for key, value in options.items()}
