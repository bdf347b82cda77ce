"""A Dask cluster: one on this machine, or one that runs elsewhere and has the same versions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from separatrix.errors import MissingExtra, StoreError, raise_interrupt
from separatrix.scale.pending import versions
from separatrix.scale.processes import METHOD, process_context

_WAIT = 30  # seconds for an answer
_RETRIES = 3  # of a task that fails


def lost_errors() -> tuple[type[BaseException], ...]:
    """What a client says where the scheduler is gone, or where a task has killed every worker that it was given to."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    return CancelledError, CommClosedError, KilledWorker


@dataclass(frozen=True)
class DaskPool:
    """A client with the two methods of Python's executors that are used; its futures have what Python's have."""

    client: Any

    def submit(self, function: Any, *arguments: Any) -> Any:
        """A future of the cluster."""
        return self.client.submit(function, *arguments, pure=False, retries=_RETRIES)

    def shutdown(self, **_how: bool) -> None:
        """The client is closed by whoever made it."""


@contextmanager
def connect(address: str) -> Iterator[tuple[Any, int]]:
    """A client of `local:N` or of `tcp://host:port`, and the number of its workers' threads.

    Raises:
        MissingExtra: dask is not installed.
        StoreError: no scheduler answers, it has no worker, or a worker has other versions.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtra("dask is not installed", hint='pip install "separatrix[scale]"') from error
    with ExitStack() as stack:
        if address.startswith("local:"):
            count = int(address.removeprefix("local:"))
            process_context()
            stack.enter_context(dask.config.set({"distributed.worker.multiprocessing-method": METHOD}))
            cluster = LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
            )
            address = stack.enter_context(cluster)
        try:
            client = stack.enter_context(Client(address, timeout=_WAIT))
        except (OSError, TimeoutError) as error:
            hint = "start one with: dask scheduler"
            raise StoreError(f"no Dask scheduler answers at {address}", hint=hint) from error
        except Exception as error:  # almost any type: no address, or one that wants a certificate
            raise_interrupt(error)
            what = f"the Dask scheduler {address} cannot be asked ({shorten(str(error) or type(error).__name__, 120)})"
            raise StoreError(what, expected="tcp://host:port") from error
        yield client, check_workers(client)


def check_workers(client: Any) -> int:
    """Threads of all workers, which must have the versions of this process."""
    threads = client.nthreads()
    if not threads:
        raise StoreError("the Dask scheduler has no worker", hint="start some with: dask worker ADDRESS")
    mine = versions()
    try:
        theirs = client.run(versions)
    except ImportError as error:
        raise StoreError(f"a Dask worker lacks what is needed ({error})", hint="install separatrix there") from error
    for address, installed in theirs.items():
        _compare(address, installed, mine)
    return sum(threads.values())


def check_version(wanted: dict[str, str]) -> None:
    """Before a task, on the worker.

    Raises:
        StoreError: another version, of a worker that joined after `check_workers`.
    """
    from distributed import get_worker

    _compare(get_worker().address, versions(), wanted)


def _compare(address: str, theirs: dict[str, str], wanted: dict[str, str]) -> None:
    wrong = [name for name in wanted if theirs.get(name) != wanted[name]]
    if wrong:
        what = f"the Dask worker {address} has another version of {wrong[0]}"
        raise StoreError(what, got=theirs.get(wrong[0]), expected=wanted[wrong[0]], hint="install the same versions")
