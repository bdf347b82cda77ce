"""Rows that were selected on a page, as Python objects again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.errors import DataError, OptionError
from separatrix.points import ID, NO_SPLIT, Points
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import shown
from separatrix.recipe.load import LoadRecipe
from separatrix.texts import Texts
from separatrix.texts.read import opening, separated_cells

SPLIT, TEXT = "split", "text"
LETTERS = 200  # of two texts that are compared
D = TypeVar("D", Points, Texts)


@checks_arguments
def select(data: D, selection: str | Path | Sequence[Any]) -> D:
    """The rows of points or texts that were selected on a page, in the order of the selection.

    Args:
        data: points, or texts (one part of `Splits`); what is on disk stays there.
        selection: the file that a page saved, or ids as they were copied. Ids are compared as texts. A file may hold
            rows of several parts: of points with a column `split`, that column tells them apart. Its texts are
            compared with those of the data.

    Raises:
        DataError: an id that the data do not have, have twice, or have with another text; rows of several parts, where
            only one is given; a file that is not there, or no selection.
        OptionError: other data, or a file of another ending.

    >>> points = Points.of([[1.0], [2.0], [3.0]], {"id": ["a", "b", "c"]})
    >>> select(points, ["c", "a"]).column("id").tolist()
    ['c', 'a']
    """
    if not isinstance(data, Points | Texts):
        raise OptionError("rows cannot be selected from this", got=shown(data), expected="points or texts")
    if isinstance(selection, str | Path):
        wanted = _saved(Path(selection))
    else:
        wanted = pd.DataFrame({ID: list(map(str, selection))})
    if SPLIT in wanted and not wanted[SPLIT].any():  # a page that knew of no parts
        wanted = wanted.drop(columns=SPLIT)
    names = [ID]
    if SPLIT in wanted and isinstance(data, Points) and SPLIT in data.columns:
        names.append(SPLIT)
    elif SPLIT in wanted and wanted[SPLIT].nunique() > 1:
        hint = "save them part by part, or give points with a column split"
        raise DataError("the selection holds rows of several parts", got=", ".join(wanted[SPLIT].unique()), hint=hint)
    own = pd.DataFrame({name: _texts(data, name) for name in names})
    places = pd.Series(np.arange(len(own)), pd.MultiIndex.from_frame(own))
    keys = pd.MultiIndex.from_frame(wanted[names])
    if len(absent := keys[~keys.isin(places.index)]):
        raise DataError("rows of the selection are not in the data", got=_named(absent[0]), hint="give the same data")
    if len(twice := keys[keys.isin(places.index[places.index.duplicated()])]):
        raise DataError("an id of the selection stands twice in the data", got=_named(twice[0]))
    rows = places.loc[keys].to_numpy()
    if TEXT in wanted and (isinstance(data, Texts) or TEXT in data.columns):
        _compare_texts(wanted, data, rows)
    return data.take(rows)


def _compare_texts(wanted: pd.DataFrame, data: Points | Texts, rows: NDArray[Any]) -> None:
    """Equal ids with other texts are other rows: of another part, or of other data."""
    column = data.column(TEXT) if isinstance(data, Points) else np.asarray(data.text, dtype=object)
    for name, saved, row in zip(wanted[ID], wanted[TEXT], rows.tolist(), strict=True):
        own = str(column[row])
        if _letters(saved) not in ("", _letters(own)):
            hint = "give the data that the page shows, and of texts the part"
            raise DataError(
                f"id {name} of the selection has another text in the data", got=own[:60], expected=saved[:60], hint=hint
            )


def _letters(text: str) -> str:
    """What a file keeps of a text however it is written and cut: letters and digits, the first of them."""
    return "".join(filter(str.isalnum, text[: 4 * LETTERS]))[:LETTERS]


def _saved(path: Path) -> pd.DataFrame:
    """Ids, parts and texts in a file that a page saved."""

    def choose(present: list[str]) -> Sequence[str]:
        if ID not in present:
            raise DataError(f"{path} is no selection of a page", got=", ".join(present), expected=f"a column {ID}")
        return [name for name in (ID, SPLIT, TEXT) if name in present]

    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path} cannot be read as a selection", got=path.suffix or "no ending", expected=".csv")
    with opening(path):
        return pd.DataFrame(separated_cells(path, LoadRecipe(), choose).columns, dtype=object)


def _texts(data: Points | Texts, name: str) -> NDArray[Any]:
    column = data.column(name) if isinstance(data, Points) else np.asarray(data.id)
    missing = pd.isna(column) if name == SPLIT else np.zeros(len(column), bool)
    return np.array([NO_SPLIT if no else str(value) for value, no in zip(column, missing, strict=True)], dtype=object)


def _named(key: Any) -> str:
    return " of ".join(map(str, key))
