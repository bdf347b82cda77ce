"""What every page is made with: templates that escape, styles and scripts of the package, a policy that loads nothing.

A page is one file that loads nothing; the plotting library (plotly, about 4.6 MB) is copied from the installed package.
It forbids every request, so that a text in the data cannot call home. The same content gives the same bytes: no date,
no random name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from separatrix.reports.pack import data_json, show
from separatrix.reports.result import RunReport
from separatrix.reports.sections import SECTIONS, Section
from separatrix.store.files import write_bytes
from separatrix.store.result import Lines, Listing, Printed

ASSETS = Path(__file__).parent / "assets"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, repr=False)
class ReportFile(Printed):
    """Where a page is, and its size."""

    path: Path
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"out": str(self.path), "bytes": self.bytes}

    def parts(self) -> Sequence[Listing | Lines]:
        """The same, line by line."""
        return [list(self.to_dict().items())]


def fill(
    template: str,
    scripts: Sequence[str] = (),
    *,
    styles: Sequence[str] = ("page.css",),
    plotly: bool = False,
    policy: str = POLICY,
    **parts: Any,
) -> str:
    """A page as text: every text that is put in is escaped, and a name that nobody gave is an error.

    Args:
        template: of the package's assets.
        scripts: of the assets, one behind the other.
        styles: style sheets of the assets.
        plotly: put the plotting library into the page.
        policy: what the page may do.
        parts: what the template shows.
    """
    assets = {
        "policy": policy,
        "style": Markup("\n".join(map(_asset, styles))),
        "script": inline_script("\n".join(map(_asset, scripts))),
        "plotly": inline_script(get_plotlyjs()) if plotly else "",
    }
    return _templates().get_template(template).render(**assets, **parts)


@cache
def _templates() -> Environment:
    """The package's templates; one that was used is kept, since reading it takes longer than to fill it."""
    loader = FileSystemLoader(ASSETS)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"data_json": lambda value: Markup(data_json(value)), "show": show}
    return pages


def inline_script(source: str) -> Markup:
    r"""A script that can stand between script tags: nothing in it ends the element or opens a comment.

    >>> print(inline_script("a = '</script>'; b = '<!--'"))
    a = '<\/script>'; b = '<\!--'
    """
    return Markup(re.sub(r"<(?=/script|!--)", r"<\\", source, flags=re.IGNORECASE))


def write_page(path: str | Path, text: str) -> ReportFile:
    """Write a page whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written.
    """
    # Half a surrogate pair, from a text in a broken encoding, has no bytes: it becomes a question mark.
    content = text.encode(errors="replace")
    write_bytes(Path(path), content)
    return ReportFile(Path(path), len(content))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


SCRIPTS = ("core.js", "map.js", "curves.js", "confusion.js", "start.js")


def write_report(path: str | Path, report: RunReport) -> ReportFile:
    """Write a report as one file that opens offline, whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    return write_page(path, render(report))


def render(report: RunReport, sections: Sequence[Section] | None = None) -> str:
    """The page as text; its parts are those that `SECTIONS` makes of the report, or these."""
    if sections is None:
        sections = [section for make in SECTIONS.values() if (section := make(report)) is not None]
    drawn = any(section.draw for section in sections)
    return fill("page.html", SCRIPTS if drawn else (), plotly=drawn, report=report, sections=sections)
