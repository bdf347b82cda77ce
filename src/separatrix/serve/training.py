"""A run as it is shown: its training while that goes on in another process, then its report with whole texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any

from separatrix.errors import StoreError, public_name
from separatrix.reports.live import FINISHED, STOPPED, TRAINING, LiveTraining, live_page, live_part
from separatrix.reports.page import render
from separatrix.serve.columns import ServedColumns
from separatrix.serve.server import HTML, Query, Reply, Route
from separatrix.store.contents import is_finished, open_artifact
from separatrix.store.files import read_json
from separatrix.store.folder import METRICS, PROGRESS, RACE, RECIPE, RESULT, SHOWN
from separatrix.store.following import read_progress
from separatrix.store.lock import is_held
from separatrix.training.pictures import run_report


@dataclass
class RunView:
    """The page of a run: that of its training until it is finished."""

    folder: Path
    verify: bool = True
    lock: Lock = field(default_factory=Lock)  # the report is made once, whoever asks
    version: tuple[int, ...] = ()  # of the result that the page was made of
    page: bytes = b""
    columns: ServedColumns = field(default_factory=ServedColumns)

    @property
    def routes(self) -> Mapping[str, Route]:
        """What a page may ask for."""
        return {"": self.whole, "progress": self.progress, "texts": lambda query: self.columns.read(query),
                "search": lambda query: self.columns.search(query)}  # fmt: skip

    def whole(self, _query: Query) -> Reply:
        """The page as it stands now."""
        if is_finished(self.folder):
            with self.lock:
                return Reply(self._report(), HTML)
        return Reply(live_page(read_training(self.folder)).encode(errors="replace"), HTML)

    def progress(self, query: Query) -> Reply:
        """What has changed since the state that the page has seen; nothing where nothing has."""
        training = read_training(self.folder)
        if training.seen == query.text("seen"):
            return Reply(b"", HTML, HTTPStatus.NO_CONTENT)
        return Reply(live_part(training).encode(errors="replace"), HTML)

    def _report(self) -> bytes:
        status = (self.folder / RESULT).stat()
        version = status.st_ino, status.st_size, status.st_mtime_ns
        if version != self.version:
            open_artifact(self.folder, "run", verify=self.verify, only=SHOWN)
            report, columns = run_report(self.folder), ServedColumns()
            if report.rows is not None:
                report = replace(report, rows=replace(report.rows, whole=True))
            self.page = render(report, packer=columns).encode(errors="replace")
            self.columns, self.version = columns, version
        return self.page


def read_training(folder: Path) -> LiveTraining:
    """How far the training of a run is; another process may be writing every file.

    Raises:
        StoreError: the folder is gone.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder.name} is not there any more")
    state = FINISHED if is_finished(folder) else TRAINING if is_held(folder) else STOPPED
    recipe: dict[str, Any] = {}
    with suppress(Exception):  # not there yet
        recipe = read_json(folder / RECIPE, dict)
    trials = [line for line in _lines(folder / RACE) if {"candidate", "rows", "seconds", "right"} <= {*line}]
    summary = [("method", recipe.get("method"))]
    with suppress(KeyError, TypeError, AttributeError):
        summary += [("model", public_name(recipe["backbone"]["model"]))]
        summary += [("rows", ", ".join(f"{part['rows']} {name}" for name, part in recipe["data"].items()))]
    epochs = recipe.get("loop", {}).get("epochs", 0) if "race" not in recipe else 0
    metrics = [line for line in _lines(folder / METRICS) if "loss" in line]
    method = str(recipe.get("method", ""))
    line, *steps = read_progress(folder / PROGRESS) if state == TRAINING else ("", 0, 0)
    return LiveTraining(
        folder.resolve().name, state, method, epochs, tuple(summary), metrics, trials, line, (steps[0], steps[1])
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines; a line that is being written is left out."""
    lines = []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    for line in text.splitlines():
        with suppress(ValueError):
            value = json.loads(line)
            lines += [value] if isinstance(value, dict) else []
    return lines
