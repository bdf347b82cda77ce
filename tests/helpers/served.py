"""Code in a process of its own that does not import the libraries once more: where only the process matters."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from separatrix.scale.processes import process_context


def run_served(code: str, words: Sequence[str], out: Path) -> str:
    """What the code prints, on either stream; `words` stand behind its name in `sys.argv`."""
    process = process_context().Process(target=_run, args=(code, list(words), str(out)))
    process.start()
    process.join()
    process.close()
    return out.read_text()


def _run(code: str, words: list[str], out: str) -> None:
    with open(out, "w") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.argv = ["-c", *words]
    exec(code, {"__name__": "__main__"})
