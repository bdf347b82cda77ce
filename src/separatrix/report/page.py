"""From a `RunReport` to one HTML file: the sections are filled in, styles, scripts and data put inside.

The file loads nothing. Its content security policy forbids every request, so that a text in the data cannot call home
either; the plotting library (plotly, about 4.6 MB) is copied from the installed package. The same report gives the same
bytes: no date, no random name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from separatrix.report.pack import data_json, show
from separatrix.report.result import RunReport
from separatrix.report.sections import SECTIONS
from separatrix.store.files import write_bytes

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("core.js", "map.js", "curves.js", "confusion.js", "start.js")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class ReportWritten:
    """Where a report is, and its size."""

    path: Path
    bytes: int


def write_report(path: str | Path, report: RunReport) -> ReportWritten:
    """Write a report as one file that opens offline, whole or not at all.

    Args:
        path: the .html file; an older one is replaced in one step.
        report: what to show.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    # Half a surrogate pair, from a text in a broken encoding, has no bytes: it becomes a question mark.
    content = render(report).encode(errors="replace")
    write_bytes(Path(path), content)
    return ReportWritten(Path(path), len(content))


def render(report: RunReport) -> str:
    """The page as text.

    Args:
        report: what to show.
    """
    sections = [section for make in SECTIONS.values() if (section := make(report)) is not None]
    return (
        world()
        .get_template("page.html")
        .render(
            report=report,
            sections=sections,
            policy=POLICY,
            style=Markup(asset("page.css")),
            plotly=inline_script(get_plotlyjs()) if any(section.draw for section in sections) else "",
            script=inline_script("\n".join(asset(name) for name in SCRIPTS)),
        )
    )


def world() -> Environment:
    """The templates, with every text that is put in escaped."""
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


def inline_script(source: str) -> Markup:
    r"""A script that can stand between script tags: nothing in it ends the element or opens a comment.

    >>> print(inline_script("a = '</script>'; b = '<!--'"))
    a = '<\/script>'; b = '<\!--'
    """
    return Markup(re.sub(r"<(?=/script|!--)", r"<\\", source, flags=re.IGNORECASE))


def asset(name: str) -> str:
    """A style, script or template that ships with the package."""
    return (ASSETS / name).read_text(encoding="utf-8")
