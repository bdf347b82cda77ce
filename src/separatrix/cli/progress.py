"""What goes on, to stderr: a bar with rate, time left and last loss on a terminal, else one line per stage."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

STEPS = ("training",)  # stages that count steps; the others count rows


def unit(stage: str) -> str:
    """What a stage counts."""
    return "steps" if stage in STEPS else "rows"


class RateColumn(ProgressColumn):
    """Rows or steps a second."""

    def render(self, task: Task) -> Text:
        """The rate of a task, empty before it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} {unit(task.description)}/s")


class Teller:
    """Says what goes on; to be used in a `with`. It is the `Report` that the verbs call.

    Args:
        quiet: say nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self.told: set[str] = set()
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

    def __enter__(self) -> Teller:
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
        """Tell how far a stage is; a new stage begins a new bar or line."""
        if self.bars is None:
            if stage not in self.told:
                self.say(f"{stage}: {total} {unit(stage)}")
        elif stage not in self.told:
            # A resumed training does not begin at 0.
            self.bars.add_task(stage, total=total, completed=done, note=note)
        else:
            task = next(task for task in self.bars.tasks if task.description == stage)
            self.bars.update(task.id, completed=done, total=total, note=note)
        self.told.add(stage)
