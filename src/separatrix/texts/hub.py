"""Data sets of the `datasets` library: objects in memory, folders that `save_to_disk` wrote, and names on the hub.

The library is imported only when such an object or name is met. Class numbers with names (`ClassLabel`) become names.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from separatrix.errors import DataError, MissingExtra, OptionError, raise_interrupt, readable
from separatrix.paths import text_path
from separatrix.texts.columns import UNLABELLED, Columns, label_column
from separatrix.texts.folder import PART_NAMES, PARTS
from separatrix.texts.read import check_reading
from separatrix.texts.table import Texts

HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?")
BATCH = 1000
SAVED, SAVED_STATE, SAVED_DICT = "dataset_info.json", "state.json", "dataset_dict.json"
INSTALL = "pip install 'separatrix[hub]'"


def is_hub_name(source: str) -> bool:
    """Whether a text has the form `owner/name[:configuration][@revision]`.

    >>> is_hub_name("nyu-mll/glue:sst2"), is_hub_name("data/x/train.csv")
    (True, False)
    """
    return HUB_NAME.fullmatch(source) is not None


def is_datasets_object(source: object) -> bool:
    """Whether this is a `Dataset` or `DatasetDict`, without importing the library for it."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(source, datasets.Dataset | datasets.DatasetDict)


def load_hub(name: str, revision: str | None) -> Any:
    """Fetch a data set by its hub name, `owner/name[:configuration][@revision]`, from the cache or the network.

    Raises:
        MissingExtra: the `datasets` library is not installed.
        DataError: it cannot be found or fetched.
    """
    datasets = _library(f"{name} is no file here, and hub names need")
    form = HUB_NAME.fullmatch(name)
    path, configuration, own_revision = form.groups() if form else (name, None, None)
    if revision and own_revision:
        raise OptionError("the revision is given twice", got=f"{own_revision} and {revision}", expected="one")
    try:
        return datasets.load_dataset(path, configuration, revision=own_revision or revision)
    except Exception as error:  # the library has no common base class for its many errors
        raise_interrupt(error)
        hint = "check the name, or give a file or folder that is here"
        what = f"{name} is no file here and cannot be loaded from the hub"
        raise DataError(what, got=_reason(error), hint=hint) from error


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (folder / SAVED_DICT).is_file() or ((folder / SAVED).is_file() and (folder / SAVED_STATE).is_file())


def load_saved(folder: Path) -> Any:
    """A folder that `save_to_disk` wrote, checked whole; the numbers stay on disk.

    Raises:
        MissingExtra: the `datasets` library is not installed.
        DataError: the folder is damaged, or names files outside of it.
    """
    name = readable(str(folder))
    datasets = _library(f"{name} was written by save_to_disk, and reading it needs")
    for state in sorted(folder.glob(f"**/{SAVED_STATE}")):
        _check_inside(state)
    try:
        with text_path(folder) as path:
            data = datasets.load_from_disk(str(path))
            for table in data.values() if isinstance(data, dict) else (data,):
                table.data.table.validate(full=True)  # offsets that lead out of the file would be followed
    except Exception as error:  # as above
        raise_interrupt(error)
        raise DataError(f"{name} cannot be loaded as a saved data set", got=_reason(error)) from error
    return data


def _check_inside(state: Path) -> None:
    """A saved data set names its files; they stand beside the list."""
    try:
        files = json.loads(state.read_bytes())["_data_files"]
        outside = [file["filename"] for file in files if Path(file["filename"]).name != file["filename"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(f"{readable(str(state))} is damaged", got=_reason(error), hint="save the data again") from error
    if outside:
        raise DataError(f"{readable(str(state))} names a file outside its folder", got=repr(outside[0]))


def _library(what: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"{what} the datasets library", hint=INSTALL) from error
    return datasets


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def dataset_parts(data: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parts of a `DatasetDict` in the order train, validation, test, and the names of those left out.

    Raises:
        DataError: two parts with the same meaning (dev and validation), or none that is known.
    """
    names: dict[str, str] = {}
    for name in data:
        part = PART_NAMES.get(str(name).lower())
        if part is not None and part in names:
            raise DataError(f"the data set has two {part} parts", got=f"{names[part]} and {name}", hint="remove one")
        if part is not None:
            names[part] = name
    if not names:
        got = ", ".join(map(str, data)) or "no parts"
        raise DataError("the data set has no part that is known", got=got, expected="one of " + ", ".join(PART_NAMES))
    left_out = tuple(str(name) for name in data if name not in names.values())
    return {part: data[names[part]] for part in PARTS if part in names}, left_out


def read_dataset(data: Any, columns: Columns, source: str) -> Texts:
    """The named columns of one `datasets.Dataset`, read in batches."""
    check_reading(columns, source, separated=False)
    columns.check(data.column_names, source)
    cells: dict[str, list[Any]] = {name: [] for name in columns.names}
    for batch in data.with_format(None).select_columns(list(columns.names)).iter(batch_size=BATCH):
        for name, column in cells.items():
            column.extend(batch[name])
    secret = columns.label is not None and hasattr(data.features[columns.label], "names")
    if secret and not columns.reading.drop_unlabelled and UNLABELLED in cells[str(columns.label)]:
        label_column(cells[str(columns.label)], source)  # raises, with the rows
    named = {name: _words(values, data.features[name]) for name, values in cells.items()}
    return Texts.from_cells(named, columns, source)


def _words(values: list[Any], feature: Any) -> list[Any]:
    names = getattr(feature, "names", None)
    return values if names is None else [None if value in (None, UNLABELLED) else names[value] for value in values]
