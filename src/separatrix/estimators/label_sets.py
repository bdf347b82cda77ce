"""y of several labels a row, as scikit-learn's users have it: an indicator matrix, or a list of labels for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from separatrix.errors import DataError
from separatrix.texts.characters import is_missing, plain_name
from separatrix.texts.label_sets import holds_lists

FEWEST = 2  # rows of a label that can be learnt


@dataclass(frozen=True, eq=False)
class SetTargets:
    """Labels of each row, and what the columns of `predict` are."""

    cells: list[list[str]]  # of names whose order is that of the classes
    classes: np.ndarray  # (labels,) as the user wrote them


def read_sets(y: Any, source: str) -> SetTargets | None:
    """The sets of labels that y holds; None of a column with one label a row.

    A matrix of 0 and 1, (rows, labels), also a sparse one or a frame, keeps its columns in their order. Lists of labels
    are sorted as texts are.

    Raises:
        DataError: a matrix of other numbers, a column that no two rows have.

    >>> read_sets([["b"], ["a", "b"]], "y").classes.tolist(), read_sets(np.array([[0, 1], [1, 1], [1, 0]]), "y").cells
    (['a', 'b'], [['1'], ['0', '1'], ['0']])
    >>> read_sets(["a", "b"], "y") is None
    True
    """
    columns = getattr(y, "columns", None)
    dense = y.toarray() if hasattr(y, "toarray") else y
    if hasattr(dense, "ndim") and dense.ndim == 2 and dense.shape[1] > 1:
        return _of_matrix(np.asarray(dense), None if columns is None else list(columns), source)
    if isinstance(dense, str | dict) or not hasattr(dense, "__len__") or not hasattr(dense, "__iter__"):
        return None
    cells = list(dense)
    if not holds_lists(cells) or getattr(dense, "ndim", 1) != 1:
        return None
    if all(not len(cell) or _is_mark(cell[0]) for cell in cells if isinstance(cell, list)) and _is_matrix(cells):
        return _of_matrix(np.array(cells), None, source)
    lists = [list(cell) if isinstance(cell, list | tuple | set | frozenset | np.ndarray) else [cell] for cell in cells]
    classes = spelled_classes([label for labels in lists for label in labels if not is_missing(label)], str)
    return SetTargets(lists, classes)


def spelled_classes(labels: list[Any], name: Callable[[Any], Any] = lambda label: label) -> np.ndarray:
    r"""The classes of some labels, (classes,), in the order of their plain names, which are what is learnt.

    Each is written as in the first of its labels: an answer must equal the labels that it is scored against. Of labels
    in decomposed Unicode the order can be another than that of `np.unique(y)`, by which scikit-learn's scorers read
    probabilities.

    Args:
        labels: one a row, or those of all rows.
        name: a label as it is learnt.

    >>> ascii(spelled_classes(["b", "e\u0301", "\xe9", "a"]).tolist())
    "['a', 'b', 'e\\u0301']"
    """
    known: dict[Any, Any] = {}
    for label in labels:
        known.setdefault(plain_name(name(label)), label)
    return np.array([known[each] for each in sorted(known)])


def _is_mark(value: Any) -> bool:
    return isinstance(value, int | np.integer) and value in (0, 1)


def _is_matrix(cells: list[Any]) -> bool:
    """Whether lists are the rows of a matrix of 0 and 1: all of one length above 1."""
    lengths = {len(cell) for cell in cells}
    return len(lengths) == 1 and lengths.pop() > 1 and all(_is_mark(value) for cell in cells for value in cell)


def _of_matrix(matrix: np.ndarray, columns: list[Any] | None, source: str) -> SetTargets:
    if matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        expected = "0 and 1 in each column, or one column of labels"
        raise DataError(f"{source}: y is no indicator matrix", got=f"shape {matrix.shape}", expected=expected)
    for column, rows in enumerate(matrix.sum(axis=0).tolist()):
        if rows < FEWEST and source != "validation data":
            what = f"{source}: column {column} of y (counted from 0) has {int(rows)} rows with the label"
            raise DataError(what, expected="two rows or more", hint="leave the column away")
    width = len(str(matrix.shape[1] - 1))
    names = [f"{number:0{width}d}" for number in range(matrix.shape[1])]
    cells = [[names[at] for at in np.flatnonzero(row)] for row in matrix]
    return SetTargets(cells, np.arange(matrix.shape[1]) if columns is None else np.array(columns))
