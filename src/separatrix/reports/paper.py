"""What every page is made with: templates that escape, styles and scripts of the package, a policy that loads nothing.

A page forbids every request, so that a text in the data cannot call home. The same content gives the same bytes: no
date, no random name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from separatrix.reports.pack import data_json, show
from separatrix.store.files import write_bytes

ASSETS = Path(__file__).parent / "assets"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class ReportWritten:
    """Where a page is, and its size."""

    path: Path
    bytes: int


def templates() -> Environment:
    """The templates; every text that is put in is escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_json"] = lambda value: Markup(data_json(value))
    made.filters["show"] = show
    return made


def style(*names: str) -> Markup:
    """Style sheets of the package, one behind the other."""
    return Markup("\n".join(_asset(name) for name in names))


def scripts(*names: str) -> Markup:
    """Scripts of the package, one behind the other, ready to stand between script tags."""
    return inline_script("\n".join(_asset(name) for name in names))


def inline_script(source: str) -> Markup:
    r"""A script that can stand between script tags: nothing in it ends the element or opens a comment.

    >>> print(inline_script("a = '</script>'; b = '<!--'"))
    a = '<\/script>'; b = '<\!--'
    """
    return Markup(re.sub(r"<(?=/script|!--)", r"<\\", source, flags=re.IGNORECASE))


def write_page(path: str | Path, text: str) -> ReportWritten:
    """Write a page whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written.
    """
    # Half a surrogate pair, from a text in a broken encoding, has no bytes: it becomes a question mark.
    content = text.encode(errors="replace")
    write_bytes(Path(path), content)
    return ReportWritten(Path(path), len(content))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
