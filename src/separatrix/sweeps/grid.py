"""The grid: a TOML file, or the same as a dictionary, read and checked whole; all mistakes are reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_field
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any

from separatrix.errors import MissingExtra, OptionError, SeparatrixError, choose
from separatrix.recipe import checked, option_names, replace
from separatrix.recipe.core import PERMISSION, shown
from separatrix.recipe.peft import INSTALL as INSTALL_PEFT
from separatrix.sweeps.ask import check_installed
from separatrix.sweeps.search import MOST, RANDOM, Distribution, Search
from separatrix.texts.training_parts import READING
from separatrix.training.methods import METHODS

KEYS = ("data", "train", "grid", "rows", "seeds", "reference", "tune", "baselines", "search", "skip_absent")
BASELINES = ("majority", "probe", "knn", "finetune", "peft")
OF_RUNS = {"per_class", "rare"}  # options of reading that stand beside those of trainings
JUDGED = READING - {"text", "weight", "per_class"}  # those that say which rows are held out, and what their labels are
TRAINED = ("finetune", "peft")  # baselines with options of their own
OWN = ("method", "data")  # options of a row that are no option of a recipe
NAME = "name"
_TABLE = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))\s*[=.]")


@dataclass(frozen=True)
class DataSource:
    """A data set of the grid: its name, where it is, and how it is read."""

    name: str
    source: Any
    reading: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A named list of options."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """What a grid file says; see docs/sweep.md.

    Attributes:
        data: the data sets; where there is one, its name is no column of the table.
        train: options that all rows share.
        axes: option -> its values, or a distribution to draw from.
        rows: named lists of options; empty: the axes alone.
        seeds: every row is trained with each of them.
        baselines: name -> options of its own.
        reference: the row that others are compared with.
        tune: axes whose value is chosen on validation.
        search: how the combinations of the axes are gone through.
        skip_absent: rows whose model is not on this machine are named in the table, and not refused.
        plain: the grid as it was written.
    """

    data: Mapping[str, DataSource]
    train: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any] | Distribution]
    rows: Sequence[Row]
    seeds: Sequence[int]
    baselines: Mapping[str, Mapping[str, Any]]
    reference: str | None
    tune: Sequence[str]
    search: Search
    skip_absent: bool
    plain: Mapping[str, Any]


@dataclass
class Mistakes:
    """All that is wrong with a grid, each with where it stands."""

    title: str  # of the file
    lines: Mapping[tuple[str, str], int]  # (table, key) -> number of the line
    sentences: list[str] = field(default_factory=list)

    def add(self, table: str, key: str, error: SeparatrixError | str) -> None:
        """One more mistake, at a key of a table ("" stands for the top of the file)."""
        number = self.lines.get((table, key), self.lines.get((table, "")))
        key_path = " ".join(part for part in (f"[{table}]" if table else "", key) if part)
        where = ", ".join(part for part in (f"line {number}" if number else "", key_path) if part)
        line = f"{where}: {error}" if where else str(error)
        if line not in self.sentences:
            self.sentences.append(line)

    def check(self) -> None:
        """Raise an `OptionError` with all of them, if there are any."""
        if len(self.sentences) == 1:
            raise OptionError(f"{self.title}, {self.sentences[0]}")
        if self.sentences:
            listed = " ".join(f"({number}) {line}" for number, line in enumerate(self.sentences, 1))
            raise OptionError(f"{self.title} has {len(self.sentences)} mistakes: {listed}")


def read_grid(given: str | Path | Mapping[str, Any]) -> tuple[Grid, Mistakes]:
    """A grid out of a TOML file or a dictionary, and the mistakes found so far.

    Raises:
        OptionError: no such file, or no TOML.
    """
    if isinstance(given, Mapping):
        plain, mistakes = dict(given), Mistakes("the grid", {})
    else:
        text = _read(Path(given))
        try:
            plain = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also numbers of thousands of digits
            what = f"{given} is no TOML ({shorten(str(error), 160)})"
            raise OptionError(what, hint="see docs/sweep.md for the format") from error
        mistakes = Mistakes(Path(given).name, line_numbers(text))
    return _GridReader(plain, mistakes).grid(), mistakes


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OptionError(f"{path} does not exist", expected="a grid, a TOML file") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is no TOML ({error})", hint="see docs/sweep.md for the format") from error


def line_numbers(text: str) -> dict[tuple[str, str], int]:
    r"""Where tables and keys of a TOML file stand: (table, key) -> number of the line; key "" is the table itself.

    >>> line_numbers("seeds = [0]\n[[rows]]\nname = 'a'\n[[rows]]\nlr = 1")[("rows 2", "lr")]
    5
    """
    numbers, table, count = dict[tuple[str, str], int](), "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _TABLE.fullmatch(line)) is not None:
            table = header[2]
            if header[1] == "[[":
                count[table] = count.get(table, 0) + 1
                table = f"{table} {count[table]}"
            numbers[table, ""] = number
        elif (key := _KEY.match(line)) is not None:
            numbers.setdefault((table, key[1] or key[2] or key[3]), number)
    return numbers


def trainable_methods() -> list[str]:
    """Methods that learn from labelled texts."""
    return [name for name, method in METHODS.items() if method.run is None]


def known_options() -> set[str]:
    """Every option that a row may have."""
    every = {name for method in trainable_methods() for name in option_names(METHODS[method].recipe)}
    return ((every | READING | {*OWN}) - {"seed", PERMISSION}) | {"seed"}


@dataclass
class _GridReader:
    """Takes a plain grid apart; what is wrong goes to the mistakes."""

    plain: Mapping[str, Any]
    mistakes: Mistakes

    def grid(self) -> Grid:
        for key in self.plain:
            self._known_key(key)
        data = self._data(self.plain.get("data"))
        train = self._options("train", self._table("train"))
        axes, search = self._axes(), self._search()
        if search.samples is None:
            for name in [name for name, values in axes.items() if isinstance(values, Distribution)]:
                self.mistakes.add("grid", name, "a range needs a search with samples; add [search] samples = 20")
                del axes[name]
        rows = self._rows(axes)
        seeds = self._list("seeds", int, [0])
        if len({*seeds}) < len(seeds):
            self.mistakes.add("", "seeds", f"each seed stands once: got {shown(list(seeds))}")
        tune = self._list("tune", str, [])
        for name in tune:
            self._chosen("", "tune", name, axes, "axis")
        reference = self.plain.get("reference")
        if reference is not None and not isinstance(reference, str):
            self.mistakes.add("", "reference", f"the name of a row, or an axis as tokens=1: got {shown(reference)}")
            reference = None
        skip = self.plain.get("skip_absent", False)
        if not isinstance(skip, bool):
            self.mistakes.add("", "skip_absent", f"true or false: got {shown(skip)}")
        more = (self._baselines(), reference, tune, search, bool(skip), self.plain)
        return Grid(data, train, axes, rows, seeds, *more)

    def _known_key(self, key: str) -> None:
        try:
            choose(key, KEYS, "key")
        except OptionError as error:
            own = key in known_options()
            self.mistakes.add("", key, "an option of the training; put it under [train]" if own else error)

    def _table(self, key: str) -> dict[str, Any]:
        value = self.plain.get(key, {})
        if isinstance(value, Mapping):
            return dict(value)
        self.mistakes.add("", key, f"a table is expected: got {shown(value)}; write [{key}]")
        return {}

    def _list(self, key: str, kind: Any, default: Sequence[Any]) -> tuple[Any, ...]:
        value = self.plain.get(key, default)
        try:
            if not isinstance(value, list | tuple | range):
                raise OptionError("a list is expected", got=shown(value), hint=f"write {key} = [{shown(value)}]")
            if len(value) > MOST:
                raise OptionError("the list is too long", got=len(value), expected=f"at most {MOST}")
            values: tuple[Any, ...] = checked(key, list(value), tuple[kind, ...], low=0 if kind is int else None)
            if not values and key == "seeds":
                raise OptionError("the list is empty", hint="write seeds = [0, 1, 2, 3, 4]")
        except OptionError as error:
            self.mistakes.add("", key, error)
            return tuple(default)
        return values

    def _chosen(self, table: str, key: str, value: str, known: Iterable[str], what: str) -> bool:
        try:
            choose(value, known, what)
        except OptionError as error:
            self.mistakes.add(table, key, error)
            return False
        return True

    def _options(self, table: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those that exist, each with a value that it may have."""
        return {name: value for name, value in options.items() if self._is_option(table, name, [value])}

    def _is_option(self, table: str, name: str, values: Iterable[Any]) -> bool:
        if name in KEYS and name != "data":
            self.mistakes.add(table, name, "it is no option; write it above the first [table] of the file")
            return False
        if name == "seed":
            self.mistakes.add(table, name, "seeds are paired over all rows; write seeds = [0, 1, 2] at the top")
            return False
        if name == PERMISSION:
            self.mistakes.add(table, name, "a file cannot allow that code runs; train such a model by itself")
            return False
        if name in JUDGED and table != "train":
            where = "[train]" if name in OF_RUNS else "[data], or give each its own [data.NAME]"
            what = "rows of the table that are judged on other rows or labels cannot be compared"
            self.mistakes.add(table, name, f"{what}; put it under {where}")
            return False
        if not self._chosen(table, name, name, sorted(known_options()), "option"):
            return False
        right = True
        for value in values:
            try:
                check_value(name, value)
            except OptionError as error:
                self.mistakes.add(table, name, error)
                right = False
        return right

    def _axes(self) -> dict[str, Sequence[Any] | Distribution]:
        axes = dict[str, Sequence[Any] | Distribution]()
        for name, values in self._table("grid").items():
            if isinstance(values, Mapping):
                try:
                    drawn = Distribution.of(values)
                except OptionError as error:
                    self.mistakes.add("grid", name, error)
                    continue
                if self._is_option("grid", name, (drawn.low, drawn.high)):
                    axes[name] = drawn
            elif isinstance(values, list | tuple | range) and len(values) > MOST:
                self.mistakes.add("grid", name, f"an axis has at most {MOST} values: got {len(values)}")
            elif not isinstance(values, list | tuple | range) or not len(values):
                hint = f"write {name} = [{shown(values)}], or put it under [train]"
                self.mistakes.add("grid", name, f"an axis is a list of values: got {shown(values)}; {hint}")
            elif self._is_option("grid", name, values):
                axes[name] = tuple(values)
                if len({repr(value) for value in values}) < len(values):
                    self.mistakes.add("grid", name, f"each value stands once: got {shown(list(values))}")
        return axes

    def _search(self) -> Search:
        search = Search()
        try:
            search = Search.of(self._table("search"))
            if search.is_guided:
                check_installed()
        except SeparatrixError as error:
            self.mistakes.add("search", "", error)
            return replace_field(search, sampler=RANDOM)
        return search

    def _rows(self, axes: Mapping[str, Any]) -> list[Row]:
        given, rows = self.plain.get("rows", []), list[Row]()
        if not isinstance(given, list | tuple) or not all(isinstance(row, Mapping) for row in given):
            self.mistakes.add("", "rows", f"a list of tables is expected: got {shown(given)}; write [[rows]]")
            return rows
        for number, row in enumerate(given, 1):
            table, name = f"rows {number}", row.get(NAME)
            if not isinstance(name, str) or not name or name in [*(other.name for other in rows), *BASELINES]:
                self.mistakes.add(table, NAME, f"each row has a name of its own: got {shown(name)}")
            options = self._options(table, {key: value for key, value in row.items() if key != NAME})
            for key in {*options} & {*axes}:
                self.mistakes.add(table, key, f"{key} is an axis of [grid] already; leave it away here or there")
            rows.append(Row(str(name), options))
        return rows

    def _baselines(self) -> dict[str, dict[str, Any]]:
        given = self.plain.get("baselines", [])
        tables = given if isinstance(given, Mapping) else {}
        if not isinstance(given, list | tuple | Mapping):
            self.mistakes.add("", "baselines", f"a list of names is expected: got {shown(given)}")
            return {}
        known = [str(name) for name in given if self._chosen("", "baselines", name, BASELINES, "baseline")]
        options = {}
        for name in known:
            own = tables.get(name, {})
            if not isinstance(own, Mapping):
                self.mistakes.add("baselines", name, f"a table of options is expected: got {shown(own)}")
                own = {}
            if own and name not in TRAINED:
                self.mistakes.add(f"baselines.{name}", "", f"only {' and '.join(TRAINED)} have options of their own")
            if name == "peft" and find_spec("peft") is None:
                self.mistakes.add("", "baselines", MissingExtra("peft is not installed", hint=INSTALL_PEFT))
            options[name] = self._options(f"baselines.{name}", own)
        return options

    def _data(self, given: Any) -> dict[str, DataSource]:
        if given is None:
            self.mistakes.add("", "data", 'it is missing; write data = "texts.csv", or a table [data] with path')
            return {}
        if type(given) is not dict or "path" in given:
            one = self._source("data", "data", given)
            return {} if one is None else {one.name: one}
        sources = {name: self._source(f"data.{name}", name, value) for name, value in given.items()}
        return {name: one for name, one in sources.items() if one is not None}

    def _source(self, table: str, name: str, given: Any) -> DataSource | None:
        if type(given) is not dict:
            if isinstance(given, bool | int | float | list | None):
                self.mistakes.add("data", name if table != "data" else "", f"a path is expected: got {shown(given)}")
                return None
            return DataSource(name, given, {})
        if "path" not in given:
            self.mistakes.add(table, "", "it has no path")
            return None
        reading = {key: value for key, value in given.items() if key != "path"}
        for key in reading:
            self._chosen(table, key, key, ("path", *sorted(READING - OF_RUNS)), "option of the data")
        return DataSource(name, given["path"], reading)


# Values that need another option beside them.
NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("init", "text"): {"init_text": "-"},
    ("init", "descriptions"): {"descriptions": ("-",)},
}


def check_value(name: str, value: Any) -> None:
    """Raise an `OptionError` unless some method could take the value; which one does, a whole row says."""
    errors = list[OptionError]()
    for method in trainable_methods():
        recipe = METHODS[method].recipe
        if name not in option_names(recipe):
            continue
        more = NEEDED.get((name, value), {}) if isinstance(value, str) else {}
        try:
            replace(recipe, **{name: value}, **more)
        except OptionError as error:
            errors.append(error)
        else:
            return
    if name == "method":
        choose(value, trainable_methods(), "method")
    elif name == "per_class":
        checked(name, value, int, low=1)
    if errors:
        raise errors[0]
