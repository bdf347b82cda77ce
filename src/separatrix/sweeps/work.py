"""Runs are done: one after another here, or by workers; each is taken by the lock of its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separatrix.errors import LockedError, SeparatrixError, raise_interrupt
from separatrix.plugins import load_plugins, loaded
from separatrix.progress import Progress, silent
from separatrix.scale import executors
from separatrix.sweeps.plan import Run, SweepPlan, TextReader
from separatrix.sweeps.study import CACHE, STATES, Study, counted
from separatrix.training.verb import carry_out

HERE = "here"
OPEN = ("waiting", "interrupted")


@dataclass(frozen=True)
class Limits:
    """When no further run is begun."""

    until: float | None = None  # seconds since the epoch
    runs: int | None = None  # that this call does

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self.until is not None and time.time() >= self.until


def do_run(run: Run, study: Study, progress: Progress = silent, reader: TextReader | None = None) -> str:
    """Train a run, or go on with it; gives its state. What it fails with stays beside it, and others go on."""
    try:
        request = run.request(study.run_folder(run.id), progress, study.folder / CACHE, reader)
        carry_out(request, resume=True, pictures=False)
    except LockedError:
        return "running"
    except SeparatrixError as error:
        study.fail(run, study.sentence(run, error))
    except Exception as error:  # a library's own: one run of many
        raise_interrupt(error)
        study.fail(run, study.sentence(run, f"{type(error).__name__}: {error}"))
    return study.state(run.id)


def _do_task(run: Run, folder: str, until: float | None, plugins: Sequence[str]) -> dict[str, np.ndarray]:
    """A run as the task of a worker: the number of its state."""
    load_plugins(plugins)
    study = Study(Path(folder))
    state = study.state(run.id)
    if state in OPEN and not Limits(until).passed:
        state = do_run(run, study)
    return {"state": np.array(STATES.index(state))}


@dataclass
class SweepProgress:
    """Says how far a sweep is: a line for each run that ends, and one that moves with the run in hand."""

    sweep: SweepPlan
    study: Study
    progress: Progress
    ended: int = 0

    def begin(self) -> None:
        """What there is to do."""
        states = self.study.states(self.sweep)
        self.ended = sum(state in ("done", "failed") for state in states.values())
        self.progress(f"sweep: {len(states)} runs, {counted(states)}", 0, 0, "")
        self.progress("sweep", self.ended, len(states), "")

    def inside(self, run: Run) -> Progress:
        """The progress of a run as a note behind that of the sweep."""

        def show(stage: str, done: int, total: int, _note: str) -> None:
            if total:
                note = f"{run.label}, seed {run.seed}: {stage} {done} of {total}"
                self.progress("sweep", self.ended, len(self.sweep.runs), note)

        return show

    def end(self, run: Run, state: str) -> None:
        """A run has ended."""
        self.ended += state in ("done", "failed")
        why = self.study.failure(run.id)
        self.progress(f"{state}: {run.label}, seed {run.seed}{'' if why is None else f': {why}'}", 0, 0, "")
        self.progress("sweep", self.ended, len(self.sweep.runs), "")


def work(
    sweep: SweepPlan, study: Study, executor: str, limits: Limits, progress: Progress, reader: TextReader | None = None
) -> int:
    """Do the runs of a plan that nobody has done, until none is open or the limits are reached; gives how many.

    What another process does meanwhile is passed over, and looked at again at the end: it may have been killed. Runs
    that are done here share the texts of the reader; workers read for themselves.
    """
    reader = reader or TextReader()
    report = SweepProgress(sweep, study, progress)
    report.begin()
    all_begun = 0
    while True:
        states = study.states(sweep)
        left = None if limits.runs is None else limits.runs - all_begun
        runs = [sweep.runs[run] for run, state in states.items() if state in OPEN][:left]
        if not runs or limits.passed:
            return all_begun
        begun = 0
        for run, state in _states(runs, study, executor, limits, report, reader):
            report.end(run, state)
            begun += state not in ("waiting", "running")
        all_begun += begun
        if not begun:
            return all_begun


def _states(
    runs: Sequence[Run], study: Study, executor: str, limits: Limits, report: SweepProgress, reader: TextReader
) -> Iterator[tuple[Run, str]]:
    if executor != HERE:
        tasks = [(run, str(study.folder.resolve()), limits.until, loaded()) for run in runs]
        results = executors.run(_do_task, tasks, executor=executor)
        for run, result in zip(runs, results, strict=True):
            yield run, STATES[int(result["state"])]
        return
    for run in runs:
        if limits.passed:
            return
        if study.state(run.id) in OPEN:  # else another process was faster
            yield run, do_run(run, study, report.inside(run), reader)


def wait_for_others(sweep: SweepPlan, study: Study) -> None:
    """Return when no other process is at work on a run."""
    while "running" in study.states(sweep).values():
        time.sleep(1.0)
