"""The same bytes whoever computes; workers and files that are lost or damaged cost what they held, and no more."""

from __future__ import annotations

import os
import signal
import struct
import sys
from itertools import count
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from separatrix.errors import MissingExtra, OptionError, StoreError
from separatrix.points import Points
from separatrix.scale import executors, pending
from separatrix.scale.blocks import BlockSource
from separatrix.scale.executors import open_workers, parse_executor, run
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.kmeans import kmeans
from separatrix.scale.moments import moments
from separatrix.store.points import write_points


def double(number: int) -> dict[str, np.ndarray]:
    return {"number": np.array(2 * number), "process": np.array(os.getpid())}


def die_in_the_middle(number: int, died: str) -> dict[str, np.ndarray]:
    """The first time, begin an answer of a megabyte, and die."""
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    if number == 1 and not Path(died).exists():
        Path(died).touch()
        queue = frame.f_locals["result_queue"]
        queue._wlock.acquire()
        queue._writer._send(struct.pack("!i", 1 << 20) + b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return double(number)


def fail(number: int) -> dict[str, np.ndarray]:
    raise ZeroDivisionError(f"task {number}")


def die(_number: int) -> dict[str, np.ndarray]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def numbers(partials) -> list[int]:
    return [int(each["number"]) for each in partials]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("points") / "p"
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(5, 16))
    x = centres[rng.integers(0, 5, 20_000)] + rng.normal(size=(20_000, 16)) + 30
    write_points(folder, Points.of(x), shard_rows=3000)
    return folder


def computed(folder: Path, job: BlockJob) -> list[bytes]:
    source = BlockSource.open(folder)
    whole, one = moments(source, job, full=True), kmeans(source, [5], Preparation(), job)[5]
    figures = np.array([one.inertia, one.distortion])
    return [array.tobytes() for array in (whole.squares, whole.mean, one.centroids, one.labels, figures)]


@pytest.fixture(scope="module")
def expected(stored) -> list[bytes]:
    return computed(stored, BlockJob())


def test_results_come_in_the_order_of_the_tasks():
    assert numbers(run(double, [(n,) for n in range(20)])) == list(range(0, 40, 2))


def test_as_many_threads_as_one_likes_give_the_same_bytes(stored, expected, monkeypatch):
    monkeypatch.setattr("separatrix.scale.kernels.threads", lambda: 5)
    assert computed(stored, BlockJob()) == expected


def test_rows_in_memory_give_the_same_bytes_as_on_disk(stored, expected):
    x = BlockSource.open(stored).read(0, 20_000)
    assert moments(BlockSource.of(x), BlockJob(), full=True).squares.tobytes() == expected[0]


def test_processes_give_the_same_bytes(stored, expected):
    with open_workers("processes:2") as workers:
        assert computed(stored, BlockJob(workers)) == expected


def test_workers_that_are_killed_cost_their_tasks(stored, expected):
    moments_of_death = set(np.random.default_rng(0).choice(25, 3, replace=False).tolist())
    finished, killed = count(), []
    with open_workers("processes:2") as workers:

        def kill(*_line: object) -> None:
            if next(finished) in moments_of_death:
                process = next(iter(workers.pool._processes.values()))
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

        assert computed(stored, BlockJob(workers, progress=kill)) == expected
    assert len(killed) == 3


def test_a_worker_that_answers_nothing_keeps_nobody_waiting_at_the_end():
    with open_workers("processes:1") as workers:
        assert numbers(run(double, [(1,)], executor=workers)) == [2]
        process = next(iter(workers.pool._processes.values()))
        os.kill(process.pid, signal.SIGSTOP)
        end = Thread(target=workers.restart, daemon=True)
        end.start()
        end.join(60)
        still_waiting = end.is_alive()
        process.kill()
    assert not still_waiting


def test_a_worker_that_is_killed_in_the_middle_of_its_answer_costs_its_task(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "LOOK", 0.3)
    tasks = [(number, str(tmp_path / "died")) for number in range(3)]
    results = []
    work = Thread(
        target=lambda: results.extend(numbers(run(die_in_the_middle, tasks, executor="processes:2"))), daemon=True
    )
    work.start()
    work.join(120)
    assert not work.is_alive()
    assert results == [0, 2, 4]


def test_a_task_that_kills_its_worker_is_tried_three_times():
    with pytest.raises(StoreError, match="workers were killed 3 times without finishing a task; give it more memory"):
        list(run(die, [(1,)], executor="processes:1"))


@pytest.mark.parametrize("executor", ["here", "processes:1"])
def test_a_mistake_in_a_task_is_raised_as_it_is(executor):
    with pytest.raises(ZeroDivisionError, match="task 3"):
        list(run(fail, [(3,)], executor=executor))


def test_finished_tasks_are_taken_from_their_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WORTH", 0.0)
    tasks = [(n,) for n in range(4)]
    first = numbers(run(double, tasks, pending=tmp_path))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    monkeypatch.setattr(executors, "_timed", None)  # nothing can be computed
    with open_workers() as workers:
        workers.call = None
        assert numbers(run(double, tasks, executor=workers, pending=tmp_path)) == first


def test_a_damaged_result_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WORTH", 0.0)
    first = numbers(run(double, [(n,) for n in range(3)], pending=tmp_path))
    for change, file in zip(
        (lambda b: b[:-5], lambda b: b"\0" + b[1:], lambda _: b""), tmp_path.iterdir(), strict=True
    ):
        file.write_bytes(change(file.read_bytes()))
    assert numbers(run(double, [(n,) for n in range(3)], pending=tmp_path)) == first


def test_a_result_of_other_versions_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WORTH", 0.0)
    first = numbers(run(double, [(1,)], pending=tmp_path))
    monkeypatch.setattr(pending, "_computed_by", lambda: f"{pending._FORMAT} {pending.versions() | {'torch': '0.1'}}")
    assert numbers(run(double, [(1,)], pending=tmp_path)) == first
    assert len(list(tmp_path.iterdir())) == 2
    assert set(pending.versions()) == {"separatrix", "numpy", "torch", "python"}


def test_short_tasks_leave_no_file(tmp_path):
    list(run(double, [(1,)], pending=tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WORTH", 0.0)
    tasks = [(n,) for n in range(6)]
    stopped = run(double, tasks, pending=tmp_path)
    [next(stopped) for _ in range(3)]
    stopped.close()
    seen = []
    assert numbers(run(double, tasks, pending=tmp_path, progress=lambda *line: seen.append(line), stage="x")) == [
        0, 2, 4, 6, 8, 10,
    ]  # fmt: skip
    assert [line[:3] for line in seen] == [("x", n, 6) for n in range(1, 7)]


@pytest.mark.parametrize("name", ["there", "processes:0", "processes:", "dask:local", "dask:http://x", "dask:tcp://"])
def test_an_unknown_executor_is_refused(name):
    with pytest.raises(OptionError, match=r"--executor cannot be this: got .*, expected here, processes:N"):
        parse_executor(name)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r'dask is not installed; pip install "separatrix\[scale\]"'):
        list(run(double, [(1,)], executor="dask:local:1"))
