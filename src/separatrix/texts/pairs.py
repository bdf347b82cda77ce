"""Two texts of one row, as a premise and a hypothesis: one string with NUL between them.

No text that is read may hold a NUL, so the string says by itself that it is a pair, and whatever takes, compares,
counts or caches texts takes pairs as well. The tokenizer takes it apart; tables and pages show both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from separatrix.errors import DataError
from separatrix.texts.characters import is_missing

if TYPE_CHECKING:
    import pandas as pd

BETWEEN = "\0"
SECOND = "text_pair"  # the column of the second texts in tables, beside `text`


def join_pairs(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Pairs of two columns.

    >>> [split_pair(pair) for pair in join_pairs(["a", "b"], ["c", ""])]
    [('a', 'c'), ('b', '')]
    """
    return tuple(one + BETWEEN + other for one, other in zip(first, second, strict=True))


def is_blank(text: str) -> bool:
    """Whether a text has nothing to be read, or a pair has such a side.

    >>> [is_blank(text) for text in (" ", *join_pairs(["a", "b"], ["c", ""]))]
    [True, False, True]
    """
    return any(map(is_missing, text.split(BETWEEN)))


def is_pair(text: str) -> bool:
    """Whether a text is a pair of two."""
    return BETWEEN in text


def check_sides(parts: Mapping[str, Sequence[str]]) -> None:
    """Refuse pairs in one part of a data set and single texts in another.

    >>> check_sides({"train": join_pairs(["a"], ["b"]), "validation": ["c"]})
    Traceback (most recent call last):
    separatrix.errors.DataError: pairs of texts in train, single texts in validation: expected the same in all parts
    """
    pairs = [name for name, texts in parts.items() if any(map(is_pair, texts))]
    single = [name for name in parts if name not in pairs]
    if pairs and single:
        what = f"pairs of texts in {', '.join(pairs)}, single texts in {', '.join(single)}"
        raise DataError(what, expected="the same in all parts")


def split_pair(text: str) -> tuple[str, str]:
    """The two texts of a pair; the second of another text is empty."""
    first, _, second = text.partition(BETWEEN)
    return first, second


def shown(text: str) -> str:
    """A text on one line of a page: both of a pair.

    >>> shown(join_pairs(["It rains."], ["It is wet."])[0])
    'It rains. ‖ It is wet.'
    """
    return text.replace(BETWEEN, " ‖ ")


def columns_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """The columns of texts in a table: `text`, and of pairs `text_pair` too.

    >>> columns_of(["a"]), columns_of(join_pairs(["a"], ["b"]))
    ({'text': ['a']}, {'text': ['a'], 'text_pair': ['b']})
    """
    if not any(map(is_pair, texts)):
        return {"text": list(texts)}
    pairs = list(map(split_pair, texts))
    return {"text": [first for first, _ in pairs], SECOND: [second for _, second in pairs]}


def texts_of(table: pd.DataFrame) -> list[str]:
    """The texts of a table that has the columns of `columns_of`."""
    if SECOND not in table:
        return list(table["text"])
    sides: list[list[Any]] = [["" if side is None else side for side in table[name]] for name in ("text", SECOND)]
    return list(join_pairs(*sides))
