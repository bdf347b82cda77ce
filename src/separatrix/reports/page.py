"""From a `RunReport` to one HTML file: the sections are filled in, styles, scripts and data put inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from separatrix.reports.paper import ReportFile, fill, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.sections import SECTIONS, Section

SCRIPTS = ("core.js", "map.js", "curves.js", "confusion.js", "start.js")


def write_report(path: str | Path, report: RunReport) -> ReportFile:
    """Write a report as one file that opens offline, whole or not at all.

    Args:
        path: the .html file; an older one is replaced in one step.
        report: what to show.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    return write_page(path, render(report))


def render(report: RunReport, sections: Sequence[Section] | None = None) -> str:
    """The page as text.

    Args:
        report: what to show.
        sections: the parts of the page, if they are not those that `SECTIONS` makes of the report.
    """
    if sections is None:
        sections = [section for make in SECTIONS.values() if (section := make(report)) is not None]
    drawn = any(section.draw for section in sections)
    return fill("page.html", SCRIPTS if drawn else (), plotly=drawn, report=report, sections=sections)
