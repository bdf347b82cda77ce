"""How many threads compute, and how they wait for each other.

Libraries read the environment once, when they are loaded. So the command line says `wait_briefly` first of all and
`set_threads` before it imports PyTorch; `import separatrix` alone changes nothing.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

from separatrix.errors import OptionError, SeparatrixWarning

VARIABLE = "OMP_NUM_THREADS"
COUNTS = (VARIABLE, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
NUMBA = "NUMBA_NUM_THREADS"
# How long a thread turns in place before it sleeps, in OpenMP of GNU (PyTorch's, scikit-learn's) and of LLVM, and in
# NumPy's OpenBLAS: less than a millisecond each. Their own 8, 200 and 30 take the very core for which the one that is
# waited for stands in the queue. A training step on two cores, alone and beside two busy processes: as they are 104 and
# 600 ms, so 100 and 400, with no turn at all 300 and 275, with one thread 122 and 190 (docs/machine.md).
WAITING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1", "OPENBLAS_THREAD_TIMEOUT": "20"}
POLICY = "OMP_WAIT_POLICY"  # where the user set it, it decides


def wait_briefly() -> None:
    """Let waiting threads soon sleep, in libraries loaded from now on, unless the environment says otherwise."""
    if POLICY not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


def set_threads(count: int | None = None) -> int:
    """Let so many threads compute in PyTorch, NumPy, SciPy, scikit-learn and numba; best called before they are loaded.

    Libraries that are loaded later take the number, and how to wait, from the environment; those that are loaded
    take the number at once and wait as they did.

    Args:
        count: threads; if absent, what OMP_NUM_THREADS says, else as many as there are cores. Never more than the cores
            given to this process (affinity, quota of a cgroup).

    Returns:
        The number that holds from now on.

    Raises:
        OptionError: not a whole number, 1 or more.

    >>> set_threads(1)
    1
    """
    if count is not None and (not isinstance(count, Integral) or isinstance(count, bool) or count < 1):
        got = repr(count) if isinstance(count, int | float | str) else type(count).__name__
        raise OptionError("--threads is out of range", got=got, expected="a whole number, 1 or more")
    count = None if count is None else int(count)
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    cores = cpu_count()
    if count is not None and count > cores:
        warnings.warn(f"{count} threads on {cores} cores: {cores} are used", SeparatrixWarning, stacklevel=2)
    threads = min(count or _environment() or cores, cores)
    wait_briefly()
    os.environ.update(dict.fromkeys(COUNTS, str(threads)))
    # First numba: where it starts its threads, it sets OpenMP's number for everybody.
    if (numba := sys.modules.get("numba")) is not None:  # it forbids another number in the environment from now on
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ[NUMBA] = str(threads)
    threadpool_limits(threads)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    return threads


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give every library of this process its number of threads back at the end.

    Where numba starts its own threads, under UMAP, it sets OpenMP's number for everybody: a training after a map then
    ran PyTorch on all cores although it had been told one, three times as long where another process had the others.

    >>> with threads_kept():
    ...     before = set_threads(1)
    """
    from joblib import cpu_count
    from threadpoolctl import ThreadpoolController

    before = {pool.filepath: pool.num_threads for pool in ThreadpoolController().lib_controllers}
    try:
        yield
    finally:
        for pool in ThreadpoolController().lib_controllers:  # one that was loaded meanwhile: as it would have begun
            pool.set_num_threads(before.get(pool.filepath) or _environment() or cpu_count())


def _environment() -> int | None:
    """The number in OMP_NUM_THREADS (the first of a list: the outermost level), if it is one."""
    first = os.environ.get(VARIABLE, "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
