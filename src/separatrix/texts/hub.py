"""Data sets of the `datasets` library: objects in memory and names on the hub.

The library is imported only when such an object or name is met. Class numbers with names (`ClassLabel`) become names.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from separatrix.errors import DataError, MissingExtra, OptionError
from separatrix.texts.columns import UNLABELLED, Columns, label_column
from separatrix.texts.folder import PART_NAMES, PARTS
from separatrix.texts.table import Texts

HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?")
BATCH = 1000
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
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"{name} is no file here, and hub names need the datasets library", hint=INSTALL) from error
    form = HUB_NAME.fullmatch(name)
    path, configuration, own_revision = form.groups() if form else (name, None, None)
    if revision and own_revision:
        raise OptionError("the revision is given twice", got=f"{own_revision} and {revision}", expected="one")
    try:
        return datasets.load_dataset(path, configuration, revision=own_revision or revision)
    except Exception as error:  # the library has no common base class for its many errors
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        hint = "check the name, or give a file or folder that is here"
        raise DataError(f"{name} is no file here and cannot be loaded from the hub", got=reason, hint=hint) from error


def dataset_parts(data: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parts of a `DatasetDict` in the order train, validation, test, and the names of those left out.

    Raises:
        DataError: two parts with the same meaning (dev and validation), or none that is known.
    """
    found: dict[str, str] = {}
    for name in data:
        part = PART_NAMES.get(str(name).lower())
        if part is not None and part in found:
            raise DataError(f"the data set has two {part} parts", got=f"{found[part]} and {name}", hint="remove one")
        if part is not None:
            found[part] = name
    if not found:
        got = ", ".join(map(str, data)) or "no parts"
        raise DataError("the data set has no part that is known", got=got, expected="one of " + ", ".join(PART_NAMES))
    left_out = tuple(str(name) for name in data if name not in found.values())
    return {part: data[found[part]] for part in PARTS if part in found}, left_out


def read_dataset(data: Any, columns: Columns, source: str) -> Texts:
    """The named columns of one `datasets.Dataset`, read in batches."""
    columns.check(data.column_names, source)
    cells: dict[str, list[Any]] = {name: [] for name in columns.names}
    for batch in data.with_format(None).select_columns(list(columns.names)).iter(batch_size=BATCH):
        for name, kept in cells.items():
            kept.extend(batch[name])
    label = None if columns.label is None else _named(cells[columns.label], data.features[columns.label], source)
    group = None if columns.group is None else _words(cells[columns.group], data.features[columns.group])
    return Texts.of(cells[columns.text], label, group, source=source)


def _named(labels: list[Any], feature: Any, source: str) -> list[Any]:
    if any(label is None or label == UNLABELLED for label in labels) and hasattr(feature, "names"):
        label_column(labels, source)  # raises, with the rows
    return _words(labels, feature)


def _words(values: list[Any], feature: Any) -> list[Any]:
    names = getattr(feature, "names", None)
    return values if names is None else [None if value in (None, UNLABELLED) else names[value] for value in values]
