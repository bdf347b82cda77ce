"""Who computes tasks: threads of this process, several processes, or a Dask cluster. The bytes are the same.

    here                     as many threads as PyTorch may use, one task each
    processes:N              N processes of this machine
    dask:local:N             a Dask cluster of N processes on this machine
    dask:tcp://host:8786     a Dask cluster that runs already

A worker that is killed costs the tasks that were with it: they are done again. Finished tasks that took longer than a
second leave their result in a folder, from which the same command, typed again, takes them. A Dask worker with other
versions is refused, also one that joins later.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from separatrix.errors import OptionError, StoreError
from separatrix.models.device import cuda_count
from separatrix.progress import Progress, silent
from separatrix.scale import dask_client, kernels
from separatrix.scale.dask_client import DaskPool, connect, lost_errors
from separatrix.scale.device import number_worker
from separatrix.scale.pending import task_path, versions
from separatrix.scale.processes import OF_MODELS, process_context
from separatrix.store.partials import read_partial, write_partial

Function = Callable[..., kernels.Partial]  # of a module, so that another process finds it; pure
Task = tuple[Any, ...]  # its arguments, which can be pickled

FORMS = "here, processes:N, dask:local:N or dask:tcp://host:port"
_TRIES = 3  # in a row without a finished task
_AHEAD = 2  # tasks of each worker that are begun or finished beyond the one that is waited for
WORTH = 1.0  # seconds of a task whose result is kept
LOOK = 5.0  # seconds without a result after which workers are looked after
_SECONDS = ":seconds"  # beside a result, under a name that none has


def _timed(function: Function, task: Task) -> kernels.Partial:
    """A result, and how long it took."""
    begun = time.monotonic()
    partial = function(*task)
    return {**partial, _SECONDS: np.array(time.monotonic() - begun)}


def _timed_alone(wanted: dict[str, str], function: Function, task: Task) -> kernels.Partial:
    """The same on a Dask worker of these versions, whose threads are somebody else's business."""
    dask_client.check_version(wanted)
    with kernels.one_thread():
        return _timed(function, task)


@dataclass
class Workers:
    """An executor in use. Made by `open_workers`."""

    count: int
    make: Callable[[], Executor | DaskPool]  # a pool; another one after the first is broken
    lost: tuple[type[BaseException], ...] = ()  # errors that say that a worker, or the scheduler, is gone
    tries: int = _TRIES
    note: str = ""  # shown beside the progress
    call: Callable[[Function, Task], kernels.Partial] = _timed
    pool: Executor | DaskPool | None = None
    gpus: Callable[[], int] = cuda_count  # of each worker's machine, at least
    check: Callable[[], object] = lambda: None  # called where a worker lacks a module or a name

    def device(self, name: str) -> str:
        """`cuda` for `auto` where every worker has a GPU, else `cpu`; any other name as it is."""
        return name if name != "auto" else "cuda" if self.gpus() else "cpu"

    def submit(self, function: Function, task: Task) -> Future[kernels.Partial]:
        """Give a task to a worker."""
        self.pool = self.pool or self.make()
        try:
            return self.pool.submit(self.call, function, task)
        except self.lost:  # since the last result
            self.restart()
            self.pool = self.make()
            return self.pool.submit(self.call, function, task)

    def result(self, future: Future[kernels.Partial]) -> kernels.Partial:
        """The result of a task; where it does not come, processes are looked after.

        Python waits without end for the rest of a message in the middle of which a worker was killed.
        """
        dead_before = False
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():
                    raise
                dead = any(not process.is_alive() for process in self._processes())
                if dead and dead_before:  # else the pool would know by now
                    raise BrokenProcessPool("a worker was killed in the middle of a message") from None
                dead_before = dead

    def restart(self) -> None:
        """Let the pool go, whole or broken; the next task starts another one."""
        if self.pool is not None:
            # A worker that is killed in the middle of a message keeps the others from saying goodbye, without end.
            for process in self._processes():
                process.kill()
            if (results := getattr(self.pool, "_result_queue", None)) is not None:
                results._writer.close()  # nobody else can write: who waits for the rest of a message is told so
            self.pool.shutdown(wait=True, cancel_futures=True)
        self.pool = None

    def _processes(self) -> list[Any]:
        return list((getattr(self.pool, "_processes", None) or {}).values())


@contextmanager
def open_workers(name: str = "here") -> Iterator[Workers]:
    """Workers of an executor, closed at the end.

    Raises:
        OptionError: no such executor.
        MissingExtra: dask is not installed.
        StoreError: no answer from the scheduler, or workers with other versions.
    """
    kind, count = parse_executor(name)
    if kind == "dask":
        with connect(name.removeprefix("dask:")) as (client, threads):
            note = f"dashboard {client.dashboard_link}" if client.dashboard_link else ""
            yield Workers(
                threads, lambda: DaskPool(client), lost_errors(), tries=1, note=note,
                call=partial(_timed_alone, versions()),
                gpus=lambda: min(client.run(cuda_count).values(), default=0),
                check=lambda: dask_client.check_workers(client),
            )  # fmt: skip
        return
    if kind == "processes":
        workers = Workers(count, lambda: _processes(count), (BrokenProcessPool,))
    else:
        workers = Workers(threads := kernels.threads(), lambda: _threads(threads))
    with kernels.one_thread() if kind == "here" else nullcontext():
        try:
            yield workers
        finally:
            workers.restart()


def parse_executor(name: str) -> tuple[str, int]:
    """The kind of an executor and its number of workers (0: not said).

    >>> parse_executor("processes:4"), parse_executor("dask:tcp://host:8786")
    (('processes', 4), ('dask', 0))
    """
    match = re.fullmatch(r"(here)|(processes|dask:local):([1-9]\d{0,3})|(dask:(?:tcp|tls)://\S+)", name)
    if match is None:
        raise OptionError("--executor cannot be this", got=repr(name), expected=FORMS)
    kind = match[1] or match[2] or "dask"
    return kind.split(":")[0], int(match[3] or 0)


def load_ahead(executor: str) -> None:
    """Let processes load what transformers need, while the caller still prepares their tasks.

    Raises:
        OptionError: no such executor.
    """
    if parse_executor(executor)[0] == "processes":
        process_context(OF_MODELS)


def _begin_worker(counter: Any) -> None:
    kernels.use_one_thread()
    number_worker(counter)


def _threads(count: int) -> Executor:
    return ThreadPoolExecutor(count, "scale", _begin_worker, (get_context("spawn").Value("i", 0),))


def _processes(count: int) -> Executor:
    context = process_context()
    return ProcessPoolExecutor(count, context, _begin_process, (context.Value("i", 0), dict(os.environ)))


def _begin_process(counter: Any, environment: dict[str, str]) -> None:
    """The first thing that a process does, which ends with its parent."""
    Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _begin_worker(counter)


def _end_with_parent() -> None:
    """A parent that is killed tells nobody."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def run(
    function: Function,
    tasks: Iterable[Task],
    *,
    executor: str | Workers = "here",
    pending: Path | None = None,
    progress: Progress | None = None,
    stage: str = "",
) -> Iterator[kernels.Partial]:
    """Results of tasks, in the order of the tasks.

    Args:
        function: pure, of a module; of a task's arguments.
        tasks: arguments; they are taken as workers become free.
        executor: who computes (see above), or workers that are open.
        pending: folder of finished tasks.
        stage: name of the work.

    Raises:
        StoreError: workers were lost three times in a row without a finished task, or the scheduler was.
    """
    tasks, report = list(tasks), progress or silent
    sizes = [getattr(task[0], "rows", 1) for task in tasks]
    with open_workers(executor) if isinstance(executor, str) else nullcontext(executor) as workers:
        results = in_order(workers, function, tasks, pending)
        for done, result in zip(accumulate(sizes), results, strict=True):
            report(stage, done, sum(sizes), workers.note)
            yield result


@dataclass
class _Entry:
    """A task that is begun."""

    task: Task
    path: Path | None
    future: Future[kernels.Partial] | None
    partial: kernels.Partial | None = None


def in_order(
    workers: Workers, function: Function, tasks: Iterable[Task], pending: Path | None = None
) -> Iterator[kernels.Partial]:
    """Results in the order of the tasks, which are taken as they are needed: a few for each worker are in memory."""
    waiting, line, failures = iter(tasks), deque[_Entry](), 0
    while True:
        for task in islice(waiting, _AHEAD * workers.count - len(line)):
            line.append(_begin(workers, function, task, pending))
        if not line:
            return
        while line[0].partial is None:
            try:
                line[0].partial = _finish(workers, line[0])
                failures = 0
            except workers.lost as error:
                failures += 1
                if failures == workers.tries:
                    raise _given_up(error) from error
                workers.restart()
                failures = _again(workers, function, line, failures)
            except (ImportError, AttributeError):
                workers.check()
                raise
        yield line.popleft().partial or {}


def _begin(workers: Workers, function: Function, task: Task, pending: Path | None) -> _Entry:
    """Take a finished task from its folder, or give it to a worker."""
    path = None if pending is None else task_path(pending, function, task)
    if path is not None and path.exists():
        with suppress(StoreError):  # a damaged one is made again
            return _Entry(task, path, None, read_partial(path))
    return _Entry(task, path, workers.submit(function, task))


def _finish(workers: Workers, entry: _Entry) -> kernels.Partial:
    assert entry.future is not None
    partial = dict(workers.result(entry.future))
    seconds = float(partial.pop(_SECONDS))
    if entry.path is not None and seconds >= WORTH:
        write_partial(entry.path, partial)
    return partial


def _again(workers: Workers, function: Function, line: deque[_Entry], failures: int) -> int:
    """Give tasks that were lost to new workers; those that had ended count as success."""
    for entry in line:
        if entry.partial is None and entry.future is not None:
            if entry.future.done() and not entry.future.cancelled() and entry.future.exception() is None:
                entry.partial, failures = _finish(workers, entry), 0
            else:
                entry.future = workers.submit(function, entry.task)
    return failures


def _given_up(error: BaseException) -> StoreError:
    if isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker":
        hint = "give it more memory or fewer workers; in a script, start it below `if __name__ == '__main__':`"
        return StoreError(f"workers were killed {_TRIES} times without finishing a task", hint=hint)
    return StoreError(
        "the Dask scheduler was lost", hint="start it and the same command again: finished tasks are kept"
    )
