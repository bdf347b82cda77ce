"""Progress of long work: what the work calls, so that somebody can be shown how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int, str], None]  # (stage, done, total, note)


def silent(_stage: str, _done: int, _total: int, _note: str) -> None:
    """Show nothing."""


@dataclass
class Counter:
    """Counts what is done of a total, and passes it on."""

    progress: Progress
    stage: str
    total: int
    done: int = 0
    note: str = ""

    def __call__(self, more: int) -> None:
        """So many more are done."""
        self.done += more
        self.progress(self.stage, self.done, self.total, self.note)


def under(progress: Progress, stage: str) -> Progress:
    """The same progress, its work under another name."""
    return lambda _stage, done, total, note: progress(stage, done, total, note)


def rows_done(progress: Progress | None, rows: int) -> Counter:
    """Counts the rows of a prediction."""
    return Counter(progress or silent, "prediction", rows)
