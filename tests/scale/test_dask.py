"""A Dask cluster gives the same bytes, and says in a sentence what is wrong with it. Skipped where dask is absent."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

pytest.importorskip("distributed")

from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.scale import dask_client, pending
from separatrix.scale.blocks import BlockSource
from separatrix.scale.executors import open_workers, run
from separatrix.scale.job import BlockJob
from separatrix.scale.moments import moments
from separatrix.store.points import write_points
from served import start_served


def wait(seconds: float) -> dict[str, np.ndarray]:
    time.sleep(seconds)
    return {}


def test_a_cluster_here_gives_the_same_bytes_and_refuses_other_versions(tmp_path, monkeypatch):
    x = np.random.default_rng(0).normal(size=(20_000, 8)) + 5
    write_points(tmp_path / "p", Points.of(x))
    source, notes = BlockSource.open(tmp_path / "p"), []
    expected = moments(source, BlockJob(), full=True)
    with open_workers("dask:local:2") as workers:
        made = moments(source, BlockJob(workers, progress=lambda *line: notes.append(line[3])), full=True)
        assert workers.count == 2
        assert made.squares.tobytes() == expected.squares.tobytes()
        assert notes[0].startswith("dashboard http://")
        client = workers.make().client
        monkeypatch.setattr(pending, "version", lambda name: "0.0.1")
        with pytest.raises(StoreError, match=r"the Dask worker tcp://.* has another version of separatrix: got"):
            dask_client.check_workers(client)


DASK = "from distributed.cli.dask_{} import main; main()"  # what the commands `dask scheduler` and `dask worker` do


def test_a_cluster_elsewhere_is_used_and_missed(tmp_path):
    port = 20_000 + hash(str(tmp_path)) % 20_000
    scheduler = start_served(DASK.format("scheduler"), ["--port", port, "--no-dashboard"], tmp_path / "scheduler")
    address = f"tcp://127.0.0.1:{port}"
    worker = None
    try:
        with (
            pytest.raises(
                StoreError, match=re.escape("the Dask scheduler has no worker; start some with: dask worker")
            ),
            open_workers(f"dask:{address}"),
        ):
            pass
        words = [address, "--no-nanny", "--nthreads", 1, "--no-dashboard"]
        worker = start_served(DASK.format("worker"), words, tmp_path / "worker")
        deadline = time.monotonic() + 120
        while True:
            try:
                with open_workers(f"dask:{address}") as workers:
                    partials = run(wait, [(0.0,), (60.0,)], executor=workers)
                    next(partials)
                    scheduler.kill()
                    hint = "start it and the same command again: finished tasks are kept"
                    with pytest.raises(StoreError, match=f"the Dask scheduler was lost; {hint}"):
                        next(partials)
                break
            except StoreError as error:
                if "has no worker" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
    finally:
        for process in (scheduler, worker):
            if process is not None:
                process.kill()
                process.join()


def test_no_scheduler_is_said(monkeypatch):
    monkeypatch.setattr(dask_client, "_WAIT", 1)
    with (
        pytest.raises(StoreError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9; start one with"),
        open_workers("dask:tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://[", "tcp://host", "tcp://host:port", "tls://127.0.0.1:1"])
def test_an_address_that_is_none_is_one_sentence(address):
    """Regression: the client's own errors were tracebacks."""
    with (
        pytest.raises(StoreError, match=r"the Dask scheduler .* cannot be asked|no Dask scheduler answers"),
        open_workers(f"dask:{address}"),
    ):
        pytest.fail("entered")
