"""In which formats pictures are written: PNG always, SVG beside each one where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FORMATS = ("png", "svg")
_FORMAT: ContextVar[str] = ContextVar("figures", default=FORMATS[0])


@contextmanager
def figures(kind: str = FORMATS[0]) -> Iterator[None]:
    """Pictures that are written inside the block are PNG files, with `svg` also SVG files.

    >>> with figures("svg"):
    ...     writes_svg()
    True
    >>> writes_svg()
    False
    """
    before = _FORMAT.set(kind)
    try:
        yield
    finally:
        _FORMAT.reset(before)


def writes_svg() -> bool:
    """Whether pictures are written as SVG too."""
    return _FORMAT.get() == "svg"
