"""How far a run is, in a file of its folder, so that another process (`explore`) can look on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from separatrix.errors import SeparatrixError
from separatrix.progress import Pace, Progress
from separatrix.store.files import part_path, read_json

PAUSE = 1.0  # seconds between two writings of one stage
SCHEMA = {"done": int, "line": str, "total": int}


@dataclass
class FollowedProgress:
    """Passes progress on, and writes where it is: at the start of a stage, and then at most once a second.

    A file that cannot be written stops nothing. What is written is not brought to the disk: it is worth nothing after
    a crash.
    """

    path: Path
    progress: Progress
    clock: Callable[[], float] = monotonic
    stage: str = ""
    pace: Pace | None = None

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Pass on, and write if it is time."""
        self.progress(stage, done, total, note)
        now = self.clock()
        if self.pace is None or stage != self.stage or done < self.pace.last:
            self.stage, self.pace = stage, Pace(done, now, done, now)
        elif now - self.pace.printed < PAUSE:
            self.pace.last = done
            return
        self.pace.last, self.pace.printed = done, now
        line = self.pace.line(stage, done, total, note, now) if done or total else stage
        part = part_path(self.path)
        with suppress(OSError):
            part.write_text(json.dumps({"done": done, "line": line, "total": total}), encoding="utf-8")
            os.replace(part, self.path)


def read_progress(path: Path) -> tuple[str, int, int]:
    """The line that was written last, what is done, and of how many (0: not known); "" where there is none."""
    with suppress(SeparatrixError, OSError):  # not there, or of another version
        plain = read_json(path, SCHEMA)
        return str(plain["line"]), int(plain["done"]), int(plain["total"])
    return "", 0, 0
