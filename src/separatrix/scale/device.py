"""Which device a worker computes on: where a machine has several GPUs, each worker has its own."""

from __future__ import annotations

import re
import sys
from threading import local
from typing import Any

from separatrix.models.device import cuda_count, pick_device

_THIS = local()  # of each thread: the number of its worker


def worker_device(device: str, worker_number: int) -> str:
    """The device of one worker, counted from 0: GPU i modulo their count where any will do (`auto`, `cuda`).

    Raises:
        ModelError: no such device on the machine of the worker.

    >>> worker_device("cpu", 3)
    'cpu'
    """
    picked = pick_device(device)
    if picked.type == "cuda" and picked.index is None:
        return f"cuda:{worker_number % cuda_count()}"
    return str(picked)


def worker_number() -> int:
    """The number of the worker that asks, from 0 on; in Dask, what its name ends with (`dask worker --name gpu-1`)."""
    if hasattr(_THIS, "number"):
        return int(_THIS.number)
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            name = str(get_worker().name)
        except ValueError:  # no task of Dask
            return 0
        ending = None if "://" in name else re.search(r"\d+$", name)  # a worker without a name has its address
        return int(ending[0]) if ending else 0
    return 0


def number_worker(counter: Any) -> None:
    """Give this thread the next number of a counter that all workers share (`multiprocessing.Value`)."""
    with counter.get_lock():
        _THIS.number = counter.value
        counter.value += 1
