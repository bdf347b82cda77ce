"""What goes on, to stderr: a bar with rate, time left and last loss on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from separatrix.progress import Pace, unit

PAUSE = 30.0  # seconds between two lines of a stage where there is no terminal


class RateColumn(ProgressColumn):
    """Texts, steps, ... a second."""

    def render(self, task: Task) -> Text:
        """The rate of a task, empty before it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} {unit(task.description)}/s")


class TerminalProgress:
    """Says what goes on; to be used in a `with`. It is the `Progress` that the verbs call.

    Args:
        quiet: say nothing at all.
        clock: seconds from any start.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = monotonic) -> None:
        self.console = Console(stderr=True, quiet=quiet, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self.clock = clock
        self.stages: dict[str, Pace] = {}
        self.bars: Progress | None = None
        if self.console.is_terminal and not quiet:
            self.bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                RateColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self.console,
            )

    def __enter__(self) -> TerminalProgress:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line)

    def warn(self, line: str) -> None:
        """Print what nobody should miss; lines after the first (a histogram) are set in."""
        self.console.print(Text("warning: " + line.replace("\n", "\n    "), style="bold yellow"))

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Show how far a stage is; a new stage begins a new bar or line, one of no steps is a line by itself.

        The total is 0 where it is not known.
        """
        if not total and not done:
            self.say(stage)
        elif self.bars is None:
            self._print(stage, done, total, note)
        elif (task := next((task for task in self.bars.tasks if task.description == stage), None)) is None:
            # A resumed training does not begin at 0.
            self.bars.add_task(stage, total=total or None, completed=done, note=note)
        else:
            self.bars.update(task.id, completed=done, total=total or None, note=note)

    def _print(self, stage: str, done: int, total: int, note: str) -> None:
        """A line when a stage begins, and then one if the last is some time ago; its end is seen by what comes next."""
        pace, now = self.stages.get(stage), self.clock()
        if pace is None or done < pace.last:  # a training with --refit begins a second time
            self.stages[stage] = Pace(done, now, done, now)
            self.say(stage if total <= 1 else f"{stage}: {total} {unit(stage)}")
            return
        pace.last = done
        if now - pace.printed >= PAUSE and (done < total or not total):
            self.say(pace.line(stage, done, total, note, now))
            pace.printed = now
