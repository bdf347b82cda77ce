"""Code in a process of its own that does not import the libraries once more: where only the process matters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from separatrix.scale.processes import process_context


def start_served(code: str, words: Sequence[object], out: Path) -> BaseProcess:
    """Run code with `words` behind its name in `sys.argv`; what it prints on either stream goes to the file `out`."""
    out.touch()
    process = process_context().Process(target=_run, args=(code, [*map(str, words)], str(out), dict(os.environ)))
    process.start()
    return process


def run_served(code: str, words: Sequence[object], out: Path) -> str:
    """What the code prints, once it has ended."""
    process = start_served(code, words, out)
    process.join()
    process.close()
    return out.read_text()


def wait_until(reached: Callable[[], object], process: BaseProcess) -> None:
    """Wait for what the process does; it must not end before."""
    while not reached():
        assert process.exitcode is None, process.exitcode
        time.sleep(0.01)


def _run(code: str, words: list[str], out: str, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(out, "w") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.argv = ["-c", *words]
    exec(code, {"__name__": "__main__"})
