"""The two doors: `load_texts` gives one table, `load_splits` gives train, validation and test.

Both take a file, a folder, a pandas frame, a `datasets` object or a hub name. A source is first described as parts
that can be read (nothing is opened yet), then read part by part. Warnings about a source come as
`SeparatrixWarning`s and stands in `warnings`.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar, Unpack

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, choose, public_name, readable, system_path, warn
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import checked, flag, option_names
from separatrix.recipe.load import BY, LABEL, TEST, TEXT, VALIDATION, LoadOptions, LoadRecipe
from separatrix.texts.columns import Columns, as_columns, same_kind
from separatrix.texts.folder import PARTS, class_folders, find_parts, nothing_usable, read_class_folders
from separatrix.texts.holdout import draw_spare, hold_out_part, refuse_last_group
from separatrix.texts.hub import (
    dataset_parts,
    is_datasets_object,
    is_hub_name,
    is_saved,
    load_hub,
    load_saved,
    read_dataset,
)
from separatrix.texts.opened import split_name
from separatrix.texts.read import READERS, check_named, check_reading, read_file
from separatrix.texts.set_checks import bare_rows
from separatrix.texts.table import Texts, joined_weights, read_frame

Read = Callable[[Columns], Texts]
WHOLE = "whole"
T = TypeVar("T", Texts, "Splits")


@dataclass(frozen=True)
class _Source:
    name: str
    parts: Mapping[str, Read]  # "whole" alone, or some of train, validation, test
    left_out: tuple[str, ...] = ()  # parts with other names
    without_test: bool = False  # its test part is not to be read

    def drop_test(self) -> _Source:
        """The same without its test part."""
        parts = {part: read for part, read in self.parts.items() if part != "test"}
        return replace(self, parts=parts, without_test=len(parts) < len(self.parts))


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a data set.

    Attributes:
        train: rows to learn from.
        validation: rows to choose by.
        test: rows for the final figure; `None` = the source has none.
        notes: plain sentences that say where each part comes from.
        seen: rows of the groups that are trained on, to compare those of other groups with; see `with_seen`.
        limited: the training rows are some of those that there are (`--per-class`); no others join them.
    """

    train: Texts
    validation: Texts
    test: Texts | None
    notes: tuple[str, ...]
    seen: Texts | None = None
    limited: bool = False

    @property
    def parts(self) -> dict[str, Texts]:
        """The parts that are there, by name."""
        parts = {"train": self.train, "validation": self.validation, "seen": self.seen, "test": self.test}
        return {name: texts for name, texts in parts.items() if texts is not None}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the sources, each sentence once."""
        return tuple(dict.fromkeys(line for texts in self.parts.values() for line in texts.warnings))

    def with_seen(self, share: float = 0.1, seed: int = 0) -> Splits:
        """Hold out a share of the training rows as the part "seen".

        Where whole groups are held out, scores on them say little alone: they are compared with scores on new rows of
        groups that were trained on. A group gives rows only where it keeps some; where none can be drawn, there is no
        such part, and a note says so.

        >>> table = Texts.of(["a", "b"] * 20, ["x", "y"] * 20)
        >>> {name: len(part) for name, part in Splits(table, table, None, ()).with_seen(0.25).parts.items()}
        {'train': 30, 'validation': 40, 'seen': 10}
        """
        drawn = draw_spare(self.train, share, seed)
        if drawn is None:
            note = "seen: none, because no training row could be held out beside others of its group and class"
            return replace(self, notes=(*self.notes, note))
        train, seen = self.train.where(~drawn), self.train.where(drawn)
        note = f"seen: {len(seen)} of {len(self.train)} training rows held out, of groups that are trained on"
        return replace(self, train=train, seen=seen, notes=(*self.notes, note))


@checks_arguments
def load_texts(
    source: Any,
    *,
    text: str | Sequence[str] = TEXT,
    label: str | None = LABEL,
    group: str | None = None,
    weight: str | None = None,
    label_separator: str | None = None,
    revision: str | None = None,
    keep_blank: bool = False,
    **reading: Unpack[LoadOptions],
) -> Texts:
    """Read texts with their labels and groups into one table.

    Args:
        source: a csv, tsv, jsonl, json (lines or one array) or parquet file, packed (.gz, .bz2, .xz, .zst, .lz4,
            .zip) or not; a folder of splits, of class folders, or written by `datasets.save_to_disk`; a pandas frame;
            `Texts`; a `datasets.Dataset` or `DatasetDict`; or a hub name `owner/name[:configuration][@revision]`,
            unless a folder `owner` is here. Several parts are put one after the other: train, validation, test.
        text: name of the column of texts; two names for pairs of texts (a premise and a hypothesis).
        label: name of the column of labels; `None` = no labels wanted (to predict them). A column of lists, or
            `label_separator`, gives several labels a row.
        group: name of the column of groups; `None` = no groups.
        weight: name of the column of weights, what each row counts in training; `None` = all alike.
        label_separator: what joins several labels in one cell, such as ",".
        revision: branch, tag or commit on the hub.
        keep_blank: keep rows without a text, as "", and take a source without rows; `predict` gives them no answer.
        reading: options of `LoadRecipe` by name: `sep`, `quoting`, `drop_unlabelled`.

    Returns:
        The table; `id` counts the rows of the source from 0 on.

    Raises:
        DataError: the source cannot be read or a row cannot be used; file and rows are named.
        MissingExtra: a hub name or a saved data set, and `datasets` is not installed.
        OptionError: an unknown option, or one without effect on this source.

    >>> import pandas as pd
    >>> load_texts(pd.DataFrame({"text": ["Who?"], "label": ["human"]})).label.tolist()
    ['human']
    """
    opened = _open(source, revision)
    read, names = recipes.replace(LoadRecipe(), **reading), as_columns(text)
    columns = Columns(names, label, group, read, keep_blank, weight=weight, label_separator=label_separator)
    return _warned(_join(list(_read(opened, columns).values()), opened.name))


@checks_arguments
def load_splits(
    source: Any,
    *,
    text: str | Sequence[str] = TEXT,
    label: str | None = LABEL,
    group: str | None = None,
    weight: str | None = None,
    label_separator: str | None = None,
    validation: float = VALIDATION,
    test: float = TEST,
    seed: int = 0,
    by: str = "label",
    **reading: Unpack[LoadOptions],
) -> Splits:
    """Read a source as train, validation and test, holding out what it lacks.

    Parts that the source has are taken as they are. A missing validation part is held out of the training rows. A
    missing test part stays `None` - unless the source is one table: then test is held out first, and validation
    out of the remaining rows.

    Args:
        source: as for `load_texts`.
        text: name of the column of texts, or two names for pairs.
        label: name of the column of labels, or `None`.
        group: name of the column of groups, or `None`.
        weight: name of the column of weights, which a test part need not have, or `None`.
        label_separator: what joins several labels in one cell, such as ",".
        validation: share of the training rows to hold out, between 0 and 1.
        test: share of a single table to hold out; 0 = no test part: one that the source has is not even read (its
            labels may be secret).
        seed: seed of the draw.
        by: "label" keeps the class shares, "group" holds out whole groups, "rows" draws plainly (right for
            integers that are numbers to predict).
        reading: as for `load_texts`.

    Raises:
        DataError: as for `load_texts`; no train part; a part without labels (-1); too few rows to hold out.
    """
    _check_options(group, validation, test, by)
    seed = checked("seed", seed, int, low=0)
    opened = _open(source, None)
    if WHOLE not in opened.parts and "train" not in opened.parts:
        got, hint = ", ".join(opened.parts), "to split one part, give its file"
        raise DataError(f"{opened.name} has no train part", got=got, hint=hint)
    opened = opened if test else opened.drop_test()
    read, names = recipes.replace(LoadRecipe(), **reading), as_columns(text)
    parts = _read(opened, Columns(names, label, group, read, weight=weight, label_separator=label_separator))
    if WHOLE in parts:
        splits = _split_table(parts[WHOLE], validation, test, seed, by)
    else:
        splits = _complete(opened, parts, validation, seed, by)
    return _warned(replace(splits, notes=(*splits.notes, *bare_rows(splits.parts))))


SPLITTING = frozenset(
    {*inspect.signature(load_splits).parameters, *option_names(LoadRecipe())}
    - {"source", "reading", "seed", "weight"}  # which few verbs have
)


def given_splits(data: Any, reading: Mapping[str, Any], options: Collection[str] = (), *, seed: int = 0) -> Splits:
    """What a verb reads: `Splits` as they are, anything else by `load_splits`.

    Args:
        data: `Splits`, or a source.
        reading: options of `load_splits`, by name.
        options: other options of the verb, for the message about one that splits have no use for.

    Raises:
        OptionError: options of reading for splits that are read, or a share to hold out of data that come in parts.
    """
    if isinstance(data, Splits):
        for name in reading:
            choose(name, options, "option of splits that are read already")
        return data
    splits = load_splits(data, **reading, seed=seed)
    held_out = " ".join(note for note in splits.notes if "held out" in note)
    for part in ("validation", "test"):
        if reading.get(part) and f"{part}: " not in held_out:
            raise OptionError(f"{flag(part)} has no effect: {data} comes in parts", hint=f"leave {flag(part)} away")
    return splits


def _warned(loaded: T) -> T:
    warn(loaded.warnings)
    return loaded


def _check_options(group: str | None, validation: float, test: float, by: str) -> None:
    choose(by, BY, "way to split")
    validation, test = (
        checked(name, value, float, low=0, high=1) for name, value in (("validation", validation), ("test", test))
    )
    if by == "group" and group is None:
        raise OptionError("a split by group needs groups", hint="name their column with --group")
    if not 0 < validation < 1:
        raise OptionError(
            "validation is out of range", got=validation, expected="a share between 0 and 1, both excluded"
        )
    if not 0 <= test < 1:
        raise OptionError("test is out of range", got=test, expected="a share from 0 to below 1")


def _split_table(table: Texts, validation: float, test: float, seed: int, by: str) -> Splits:
    notes: list[str] = []
    rest, tested = table, None
    if test > 0:
        rest, tested, how = hold_out_part("test", table, test, seed, by)
        notes.append(f"test: {len(tested)} of {len(table)} rows of {table.name} held out {how}")
    if by == "group" and tested is not None:
        refuse_last_group(table, rest)
    train, checked, how = hold_out_part("validation", rest, validation, seed, by)
    which = "rows" if tested is None else "remaining rows"
    notes.append(f"validation: {len(checked)} of {len(rest)} {which} of {table.name} held out {how}")
    if by != "group":
        notes += _mixed_groups(train, {"test": tested, "validation": checked})
    return Splits(train, checked, tested, tuple(notes))


def _complete(opened: _Source, parts: dict[str, Texts], validation: float, seed: int, by: str) -> Splits:
    train, checked = parts["train"], parts.get("validation")
    notes = [f"{part}: the {len(table)} rows of {table.name}" for part, table in parts.items() if part != "train"]
    if checked is None:
        whole = train
        train, checked, how = hold_out_part("validation", whole, validation, seed, by)
        notes.insert(0, f"validation: {len(checked)} of {len(whole)} rows of {whole.name} held out {how}")
        notes += _mixed_groups(train, {"validation": checked}) if by != "group" else []
    if "test" not in parts:
        why = (
            "left out, as asked"
            if opened.without_test
            else f"none, because {public_name(opened.name)} has no test part"
        )
        notes.append(f"test: {why}")
    if opened.left_out:
        notes.append(f"left out: {', '.join(opened.left_out)}")
    if by == "group":
        given = {"validation": checked, "test": parts.get("test")}
        notes += [
            note for part, table in given.items() if table is not None for note in _shared_groups(train, table, part)
        ]
    return Splits(train, checked, parts.get("test"), tuple(notes))


def _mixed_groups(train: Texts, held_out: Mapping[str, Texts | None]) -> list[str]:
    """That rows were held out without regard to their groups, where they were."""
    lines = []
    for part, table in held_out.items():
        if table is None or table.group is None or train.group is None:
            continue
        groups = {*table.group.tolist()}
        if shared := groups & {*train.group.tolist()}:
            of = f"{len(shared)} of its {len(groups)} groups are" if len(groups) > 1 else "its one group is"
            lines.append(f"{part}: {of} trained on as well (--by group holds out whole groups)")
    return lines


def _shared_groups(train: Texts, other: Texts, part: str) -> list[str]:
    if train.group is None or other.group is None:
        return []
    shared = len(set(train.group.tolist()) & set(other.group.tolist()))
    return [f"{shared} groups stand in both train and {part}"] if shared else []


def _read(opened: _Source, columns: Columns) -> dict[str, Texts]:
    unweighted = replace(columns, weight=None)  # a figure counts rows
    parts = {part: read(unweighted if part == "test" else columns) for part, read in opened.parts.items()}
    labels = {part: table.label for part, table in parts.items() if table.label is not None}
    if not any(table.kind == "sets" for table in parts.values()):
        labels = same_kind(labels)
    elif any(table.kind != "sets" for table in parts.values() if table.label is not None):
        got = ", ".join(
            f"{'sets' if table.kind == 'sets' else 'single labels'} in {part}" for part, table in parts.items()
        )
        raise DataError(
            f"{opened.name}: some parts have several labels a row", got=got, expected="the same in all parts"
        )
    return {part: replace(table, label=labels.get(part)) for part, table in parts.items()}


def _join(tables: list[Texts], source: str) -> Texts:
    if len(tables) == 1:
        return tables[0]
    labels = [table.label for table in tables if table.label is not None]
    groups = [table.group for table in tables if table.group is not None]
    return Texts(
        text=tuple(line for table in tables for line in table.text),
        label=np.concatenate(labels) if labels else None,
        group=np.concatenate(groups) if groups else None,
        id=np.arange(sum(map(len, tables)), dtype=np.int64),
        source=source,
        warnings=tuple(dict.fromkeys(line for table in tables for line in table.warnings)),
        weight=joined_weights(tables),
    )


def _open(source: Any, revision: str | None) -> _Source:
    """Describe a source as parts that can be read; nothing is read yet."""
    check_named(source)
    source = type(source)(system_path(source)) if isinstance(source, str | Path) else source
    on_hub = isinstance(source, str) and _is_on_hub(source)
    if revision is not None and not on_hub:
        raise OptionError("a revision belongs to a hub name", got=repr(str(source)), hint="leave --revision away")
    if on_hub:
        return _open_dataset(load_hub(source, revision), source)
    if is_datasets_object(source):
        return _open_dataset(source, "the data set")
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return _Source("the data frame", {WHOLE: lambda columns: _read_frame(source, columns)})
    if isinstance(source, str | Path):
        return _open_path(Path(source))
    if isinstance(source, Texts):
        return _Source("the texts", {WHOLE: lambda columns: _as_read(source, columns)})
    expected = "texts, a file, a folder, a hub name, a pandas frame, a datasets.Dataset or DatasetDict"
    raise DataError("texts cannot be read from this", got=type(source).__name__, expected=expected)


def _as_read(texts: Texts, columns: Columns) -> Texts:
    """Texts that were read before: without their labels or groups where none are wanted."""
    given = replace(columns, label=columns.label and LABEL)
    if given != Columns(label=given.label, keep_blank=columns.keep_blank):
        raise OptionError("columns are named where texts are read: these are read already", hint="leave the names away")
    return texts if columns.label else replace(texts, label=None)


def _read_frame(frame: Any, columns: Columns) -> Texts:
    check_reading(columns, "the data frame", separated=False)
    return read_frame(frame, columns)


def _is_on_hub(source: str) -> bool:
    # "data/trec" beside a folder `data` is a mistyped path: looking for it on the hub would only waste time.
    here = os.path.exists(source) or os.path.isdir(source.split("/")[0])
    return not here and is_hub_name(source) and split_name(Path(source)).kind not in READERS


def _open_path(path: Path) -> _Source:
    if not os.path.isdir(path):
        return _Source(readable(str(path)), {WHOLE: lambda columns: read_file(path, columns)})
    name = readable(str(path))
    if is_saved(path):
        return _open_dataset(load_saved(path), name)
    parts = find_parts(path)
    if parts:
        return _Source(name, {part: _reader(entry) for part, entry in parts.items()})
    if class_folders(path):
        return _Source(name, {WHOLE: _reader(path)})
    raise nothing_usable(path)


def _reader(path: Path) -> Read:
    read = read_class_folders if path.is_dir() else read_file
    return lambda columns: read(path, columns)


def _open_dataset(data: Any, name: str) -> _Source:
    if hasattr(data, "column_names") and not isinstance(data, dict):
        return _Source(name, {WHOLE: lambda columns: read_dataset(data, columns, name)})
    parts, left_out = dataset_parts(data)
    return _Source(name, {part: _dataset_reader(table, f"{name} ({part})") for part, table in parts.items()}, left_out)


def _dataset_reader(data: Any, name: str) -> Read:
    return lambda columns: read_dataset(data, columns, name)


def load_demo() -> Splits:
    """The shipped questions with their fixed train, validation and test parts.

    The label is the kind of answer asked for (abbreviation, description, entity, human, location or number), the
    group is the topic.
    """
    parts = {part: _part(part) for part in PARTS}
    notes = tuple(f"{part}: the {len(table)} rows of {table.name}" for part, table in parts.items())
    return Splits(parts["train"], parts["validation"], parts["test"], notes)


def _part(name: str) -> Texts:
    with as_file(files("separatrix.texts") / "questions" / f"{name}.csv") as path:
        table = read_file(path, Columns("question", "kind", "topic"))
    return replace(table, source=f"questions/{name}.csv")  # the place of the package on disk tells nothing
