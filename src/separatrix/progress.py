"""Progress of long work: what the work calls, so that somebody can be shown how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

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


# What a stage counts, by the words before its colon; the others count rows.
UNITS = {
    **dict.fromkeys(("training", "clusters", "atlas", "suspect labels", "ONNX"), "steps"), "features": "features",
    "scores": "poolings", "association tests": "columns", "comparison": "folders", "report": "folders", "sweep": "runs",
    "evaluation": "windows", "maps": "examples",
    **dict.fromkeys(("vectors", "extraction", "prediction", "texts (train)", "texts (validation)"), "texts"),
}  # fmt: skip


def unit(stage: str) -> str:
    """What a stage counts."""
    return UNITS.get(stage.partition(":")[0], "rows")


@dataclass
class Pace:
    """Where a stage was at first, where it is, and when a line was last printed."""

    first: int
    began: float
    last: int
    printed: float

    def line(self, stage: str, done: int, total: int, note: str, now: float) -> str:
        """How far, how fast, how long still: "training: 300 of 1000 steps, 5.0 steps/s, 0:02:20 left, loss 0.412"."""
        rate = (done - self.first) / max(now - self.began, 1e-9)
        parts = [f"{stage}: {done} of {total} {unit(stage)}" if total else f"{stage}: {done} {unit(stage)}"]
        if rate > 0:
            parts += [f"{rate:,.1f} {unit(stage)}/s" if rate >= 0.1 else f"{1 / rate:,.0f} s each"]
            parts += [f"{timedelta(seconds=round((total - done) / rate))} left"] * bool(total)
        return ", ".join(parts + [note] * bool(note))
