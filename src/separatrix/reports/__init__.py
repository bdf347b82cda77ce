"""Results in, one offline HTML file out.

`write_report` makes a page that needs no network: plotly's bundle, styles, data and pictures stand in the file, and the
page itself forbids every request. A part of the page is one function and one entry in `sections.SECTIONS`.
"""

from separatrix.reports.page import ReportFile, render, write_report
from separatrix.reports.result import PictureFile, RunReport
from separatrix.reports.verdict import Verdict, judge

__all__ = ["PictureFile", "ReportFile", "RunReport", "Verdict", "judge", "render", "write_report"]
