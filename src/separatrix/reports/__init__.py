"""Results in, one offline HTML file out.

`write_report` makes a page that needs no network: styles, scripts and data stand in the file, and the page itself
forbids every request. A part of the page is one function and one entry in `sections.SECTIONS`. Its front end is plain
JavaScript in `assets/`, one file an idea, put one behind the other; what is written there is what ships.
"""

from separatrix.reports.page import ReportFile, render, write_report
from separatrix.reports.result import PictureFile, RunReport
from separatrix.reports.verdict import Verdict, judge

__all__ = ["PictureFile", "ReportFile", "RunReport", "Verdict", "judge", "render", "write_report"]
