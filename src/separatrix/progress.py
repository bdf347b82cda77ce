"""Progress of long work: what the work calls, so that somebody can be shown how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[str, int, int, str], None]  # (stage, done, total, note)


def silent(_stage: str, _done: int, _total: int, _note: str) -> None:
    """Report nothing."""


@dataclass
class Counter:
    """Turns "so many more" into a report with a total."""

    report: Report
    stage: str
    total: int
    done: int = 0

    def __call__(self, more: int) -> None:
        """So many more are done."""
        self.done += more
        self.report(self.stage, self.done, self.total, "")
