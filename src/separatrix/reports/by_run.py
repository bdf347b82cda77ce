"""Confusion and classes of several runs on one page: those of the run whose answers the page shows."""

from __future__ import annotations

from collections.abc import Sequence

from separatrix.reports.result import RunReport
from separatrix.reports.sections import Section, classes, confusion


def by_run(reports: Sequence[RunReport]) -> list[Section]:
    """The views that a page of one run has, once for each run; the scripts show those of one.

    Args:
        reports: one for each of the answers of the page's rows, in their order; a view that a run has not is left out.
    """
    sections = []
    for make in (confusion, classes):
        views = [(number, report, view) for number, report in enumerate(reports) if (view := make(report)) is not None]
        if not views:
            continue
        first = views[0][2]
        parts = [(number, report.title, view) for number, report, view in views]
        data = [dict(view.data) | {"names": list(view.data.get("names", report.names))} for _, report, view in views]
        more = {"draw": first.draw, "parts": data}
        sections.append(Section(first.id, first.title, "by_run.html", {"parts": parts}, "by_run", more))
    return sections
