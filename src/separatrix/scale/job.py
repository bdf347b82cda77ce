"""How a job is computed: by whom, where finished tasks are kept, who is told of the progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from separatrix.progress import Progress, silent
from separatrix.scale.executors import Function, Task, Workers, run
from separatrix.scale.kernels import Partial


@dataclass(frozen=True, eq=False)
class BlockJob:
    """What all passes of a method have in common; see `executors.run`."""

    executor: str | Workers = "here"
    pending: Path | None = None  # folder of finished tasks and passes
    progress: Progress = silent
    device: str = "cpu"  # of the kernels: `cpu`, `cuda` (each worker a GPU of its own) or `cuda:N`

    def run(self, stage: str, function: Function, tasks: Iterable[Task]) -> Iterator[Partial]:
        """Results of tasks, in the order of the tasks; the device is the last argument of each."""
        if self.device != "cpu":
            tasks = ((*task, self.device) for task in tasks)
        return run(function, tasks, executor=self.executor, pending=self.pending, progress=self.progress, stage=stage)
