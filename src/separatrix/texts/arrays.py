"""Texts as Python's users have them, in: one column of strings, or the two of pairs, out.

A list, an array, a pandas Series, or a frame or array with one column; for pairs a list of tuples, or a frame or array
with two columns. What cannot be used is refused here with a `DataError`.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, ValuesView
from typing import Any

import numpy as np

from separatrix.errors import DataError
from separatrix.texts.table import Texts

NEW = "new texts"


def column(values: Any, source: str, what: str) -> list[Any]:
    """One column as a plain list of Python values; missing cells (NaN, NaT, pd.NA) become None.

    Raises:
        DataError: a single string, more than one column, or nothing that has rows.

    >>> import pandas as pd
    >>> column(np.array([["a"], ["b"]]), "X", "text")
    ['a', 'b']
    >>> column(pd.Series([1, None], dtype="Int64"), "y", "label")
    [1, None]
    """
    import pandas as pd

    if isinstance(values, str):
        raise DataError(f"{source}: one string where a list of {what}s belongs", hint="write it as [text]")
    cells = _objects(_listed(values))
    if cells.ndim == 2 and cells.shape[1] == 1:
        cells = cells[:, 0]
    if cells.ndim != 1:
        got = f"shape {cells.shape}" if cells.ndim else type(values).__name__
        raise DataError(f"{source}: one column of {what}s is needed", got=got, expected=f"a list of {what}s")
    plain = (cell.item() if isinstance(cell, np.generic) else cell for cell in cells)
    return [None if missing else cell for cell, missing in zip(plain, pd.isna(cells), strict=True)]


def _listed(values: Any) -> Any:
    """What can be gone through once, or is no array to NumPy, as a list; anything else as it is."""
    return list(values) if isinstance(values, Iterator | KeysView | ValuesView) else values


def _objects(values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=object)
    except ValueError:  # rows of several lengths within rows: no column, whatever else it is
        return np.empty((0, 0), dtype=object)


def sides(X: Any, source: str) -> tuple[list[Any], list[Any] | None]:
    """The column of texts, and of pairs (two columns, or a tuple a row) the second one."""
    X = _listed(X)
    cells = _objects(X) if not isinstance(X, str) else None
    if cells is None or cells.ndim != 2 or cells.shape[1] != 2:
        return strings(X, source), None
    return strings(cells[:, 0], source), strings(cells[:, 1], source)


def strings(X: Any, source: str) -> list[Any]:
    """One column of strings; missing ones are None.

    Raises:
        DataError: no column, or a cell that is something else.
    """
    texts = column(X, source, "text")
    strange = [row for row, text in enumerate(texts) if text is not None and not isinstance(text, str)]
    if strange:
        got = f"{type(texts[strange[0]]).__name__} in row {strange[0]} (counted from 0)"
        raise DataError(f"{source}: a text is not a string", got=got, expected="one string a row")
    return texts


def new_texts(X: Any, source: str) -> Texts:
    """Texts to be answered, or pairs: blank ones may be among them, and there may be none.

    >>> new_texts([("It rains.", "It is wet.")], NEW).to_frame().iloc[0].to_dict()
    {'text': 'It rains.', 'text_pair': 'It is wet.', 'id': 0}
    """
    texts, pair = sides(X, source)
    return Texts.of(texts, source=source, keep_blank=True, pair=pair)
