"""Texts that get no answer: those with nothing in them, and those in which the tokenizer finds no token.

The others are answered as if these were not there. In what comes back they have a row of NaN, None among labels, -1
among ids of neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from separatrix.models.tokens import NoTokens
from separatrix.texts.columns import name_rows
from separatrix.texts.pairs import is_blank

T = TypeVar("T")
NO_TEXT, NO_TOKEN = "no text", "no token that the model knows"
NOTHING = ["text"]  # run where there is nothing to run, for the shapes and types of an answer


def run_answerable(run: Callable[[list[str]], T], texts: Sequence[str]) -> tuple[T, dict[int, str]]:
    """What `run` gives for texts, with empty rows for those that get no answer; and why these get none, by row.

    Args:
        run: gives arrays with a row for each text, alone or as fields of a dataclass or tuple.
        texts: any of them may be blank, and there may be none.
    """
    reasons = {row: NO_TEXT for row, text in enumerate(texts) if is_blank(text)}
    while True:
        rows = [row for row in range(len(texts)) if row not in reasons]
        try:
            result = run([texts[row] for row in rows] or NOTHING)
        except NoTokens as error:
            if not rows:
                raise
            reasons |= {rows[row]: NO_TOKEN for row in error.rows}
            continue
        return (result if rows and not reasons else spread(result, np.array(rows, dtype=np.int64), len(texts))), reasons


def spread(result: Any, rows: np.ndarray, total: int) -> Any:
    """Arrays with `len(rows)` rows or more as arrays with `total` rows, empty but for those named.

    >>> spread(np.array(["a", "b"]), np.array([0, 2]), 3).tolist()
    ['a', None, 'b']
    """
    if isinstance(result, np.ndarray):
        if len(rows) == total:
            return result[:total]
        kind, empty = _empty(result)
        spacious = np.full((total, *result.shape[1:]), empty, dtype=kind)
        spacious[rows] = result[: len(rows)]
        return spacious
    if is_dataclass(result) and not isinstance(result, type):
        parts = {spec.name: spread(getattr(result, spec.name), rows, total) for spec in fields(result) if spec.init}
        return replace(result, **parts)
    return tuple(spread(part, rows, total) for part in result) if type(result) is tuple else result


def _empty(array: np.ndarray) -> tuple[np.dtype, float | int | None]:
    """Number format with room for an empty row, and what stands in it."""
    if array.dtype.kind == "f":
        return array.dtype, np.nan
    return (np.dtype(object), None) if array.ndim == 1 else (array.dtype, -1)


def unanswered(reasons: Mapping[int, str], total: int) -> tuple[str, ...]:
    """One sentence for each reason, with the rows.

    >>> unanswered({1: "no text", 4: "no text"}, 9)
    ('2 of 9 texts get no answer (no text): rows 1, 4 (counted from 0)',)
    """
    lines = []
    for reason in dict.fromkeys(reasons.values()):
        rows = [row for row, why in reasons.items() if why == reason]
        lines.append(f"{len(rows)} of {total} texts get no answer ({reason}): {name_rows(rows)}")
    return tuple(lines)
