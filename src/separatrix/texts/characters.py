"""Characters that nobody sees, and names that look alike.

Invisible are characters that change nothing of how a text looks: zero-width spaces, soft hyphens, byte order marks,
marks of direction, fillers. Joiners, variation selectors and tags are not among them, since emoji and several scripts
are written with them; but a text of nothing else is blank all the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeVar
from unicodedata import is_normalized, normalize

_CLASS = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164"
    r"\ufeff\uffa0\ufff9-\ufffb"
)
T = TypeVar("T")
INVISIBLE = re.compile(f"[{_CLASS}]")
_HIDDEN = rf"{_CLASS}\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0000-\U000e0fff"
HIDDEN = re.compile(f"[{_HIDDEN}]")
BLANK = re.compile(rf"[\s{_HIDDEN}]*")


def is_missing(value: object) -> bool:
    r"""Whether a cell is empty: None, NaN, or nothing but white space and characters that nobody sees.

    >>> is_missing(" \u200b"), is_missing("a\u200b"), is_missing(0)
    (True, False, False)
    """
    if isinstance(value, str):
        return not value.strip() or (not value.isascii() and BLANK.fullmatch(value) is not None)
    return value is None or (isinstance(value, float) and math.isnan(value))


def plain_name(name: T) -> T:
    r"""A name as it looks: composed (NFC), without invisible characters; what is no string stays as it is.

    >>> plain_name("e\u0301te\u0301\u200b")
    'été'
    """
    if not isinstance(name, str) or name.isascii():
        return name
    return normalize("NFC", INVISIBLE.sub("", name))  # type: ignore[return-value]


def likeness(name: str) -> str:
    r"""What is equal for names that differ only in case, white space, width or characters that nobody sees.

    >>> likeness("Spam  Mail") == likeness("\uff53pam mail\ufe0f")
    True
    """
    return " ".join(normalize("NFKC", HIDDEN.sub("", name)).casefold().split())


def normalise(text: str) -> str:
    """Lower case, runs of white space as one blank, none at the ends.

    >>> normalise(" Who  is   SHE ? ")
    'who is she ?'
    """
    return " ".join(text.lower().split())


def listed_characters(values: Sequence[str]) -> str:
    r"""The invisible characters of these strings by their numbers.

    >>> listed_characters(["a\u200b", "\u00adb"])
    'U+00AD, U+200B'
    """
    numbers = sorted({character for value in values for character in INVISIBLE.findall(value)})
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return ", ".join(f"U+{ord(character):04X}" for character in numbers[:5]) + more


def has_invisible(value: str) -> bool:
    """Whether there is an invisible character in it."""
    return not value.isascii() and INVISIBLE.search(value) is not None


def is_decomposed(name: str) -> bool:
    """Whether a name is written otherwise than composed (NFC)."""
    return not name.isascii() and not is_normalized("NFC", name)
