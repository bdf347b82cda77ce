"""Windows of texts read by other processes: each becomes tasks of a few whole batches, which any worker may compute.

The batches are those of one process, and so are the bytes. The process that gives the tasks finds the tokens, puts the
blocks of a window together and writes; it checks the model and then lets its weights go. A worker loads the model with
its first task, and refuses other weights.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix import plugins
from separatrix import recipe as recipes
from separatrix.errors import ModelError, OptionError
from separatrix.extraction.readers import ReaderRequest, VectorReader, VectorSource, frozen_model, trained_prompt
from separatrix.models.batches import CPU_TOKENS, CUDA_TOKENS
from separatrix.models.tokens import TokenPart
from separatrix.progress import Counter
from separatrix.scale.device import worker_device, worker_number
from separatrix.scale.executors import Task, Workers, in_order, open_workers
from separatrix.scale.pending import pending_folder, task_path

HERE = "here"
VectorBlocks = dict[str, NDArray[Any]]  # name -> (rows, width) float32


@dataclass(frozen=True, eq=False)
class TokenizedWindow:
    """Texts that are read next."""

    number: int
    frame: pd.DataFrame
    names: list[str]  # of the blocks that are wanted
    tokens: Any


ReadWindows = Callable[[Iterator[TokenizedWindow]], Iterator[tuple[TokenizedWindow, VectorBlocks]]]


@dataclass(frozen=True)
class WorkerRequest:
    """What a worker reads: how it gets the reader, and what it has to find."""

    reader: ReaderRequest
    identity: tuple[tuple[str, str], ...]  # of the source: hashes of weights, and what else decides the numbers
    plugins: tuple[str, ...] = ()


@contextmanager
def open_reading(
    material: VectorSource, executor: str | Workers, out: Path | None, done: Counter
) -> Iterator[tuple[VectorSource, ReadWindows]]:
    """What tokenizes and makes the row table, and what reads the windows: this process, or workers.

    Args:
        material: what is read.
        executor: who computes, as in `scale.executors`, or workers that are open.
        out: the store; finished tasks are kept beside it until their window is written.
        done: counts texts.

    Raises:
        OptionError: no such executor, or a loaded model, which other processes do not have.
    """
    if executor == HERE:
        yield material, lambda windows: _read_here(material, windows, done)
        return
    if material.request is None:
        got = f"executor {executor!r}" if isinstance(executor, str) else "workers"
        hint = "give its name or folder, from which every worker loads it"
        raise OptionError("a loaded model cannot be given to other processes", got=got, hint=hint)
    with open_workers(executor) if isinstance(executor, str) else nullcontext(executor) as workers:
        done.note = workers.note
        request = _worker_request(material, material.request, workers)
        planner = material if material.planner is None else material.planner(request.reader.recipe)
        source = replace(material, reader=planner.reader, table=planner.table)
        reading = _Reading(source, request, workers, None if out is None else pending_folder(out), done)
        yield source, reading.read


def _read_here(
    material: VectorSource, windows: Iterator[TokenizedWindow], done: Counter
) -> Iterator[tuple[TokenizedWindow, VectorBlocks]]:
    for window in windows:
        yield window, material.reader().read(window.tokens, window.names, done)


def _worker_request(material: VectorSource, request: ReaderRequest, workers: Workers) -> WorkerRequest:
    """Paths are made absolute; device and size of a batch are those that all workers can have."""
    recipe, model, what = request.recipe, request.recipe.backbone.model, request.recipe.vectors.what
    device = workers.device(recipe.backbone.device)
    recipe = recipes.replace(recipe, device=device)
    if what != "attention" and recipe.vectors.batch_tokens is None:
        recipe = recipes.replace(recipe, batch_tokens=CPU_TOKENS if device == "cpu" else CUDA_TOKENS)
    if os.path.exists(model):
        recipe = recipes.replace(recipe, model=os.path.abspath(model))
    run = None if request.run is None else os.path.abspath(request.run)
    identity = tuple((name, str(value)) for name, value in _decisive(material).items())
    return WorkerRequest(replace(request, recipe=recipe, run=run), identity, plugins.loaded())


@dataclass(frozen=True, eq=False)
class _Reading:
    """Windows on their way through the workers."""

    material: VectorSource
    request: WorkerRequest
    workers: Workers
    pending: Path | None
    done: Counter

    def read(self, windows: Iterator[TokenizedWindow]) -> Iterator[tuple[TokenizedWindow, VectorBlocks]]:
        """The blocks of each window, in order; the tasks of a window are forgotten when the next one is asked for."""
        line = deque[tuple[TokenizedWindow, list[TokenPart]]]()
        results = in_order(self.workers, read_part, self._tasks(windows, line), self.pending)
        for first in results:
            window, parts = line.popleft()
            rows, blocks = sum(len(part.rows) for part in parts), VectorBlocks()
            for number, part in enumerate(parts):
                for name, values in (next(results) if number else first).items():
                    blocks.setdefault(name, np.empty((rows, values.shape[1]), np.float32))[part.rows] = values
                self.done(part.texts)
            yield window, blocks
            self._forget(window, parts)
        if self.pending is not None:
            shutil.rmtree(self.pending, ignore_errors=True)

    def _forget(self, window: TokenizedWindow, parts: list[TokenPart]) -> None:
        if self.pending is not None:
            for part in parts:
                task_path(self.pending, read_part, self._task(window, part)).unlink(missing_ok=True)

    def _tasks(
        self, windows: Iterator[TokenizedWindow], line: deque[tuple[TokenizedWindow, list[TokenPart]]]
    ) -> Iterator[Task]:
        for window in windows:
            parts = list(self.material.reader().parts(window.tokens))
            line.append((window, parts))
            yield from (self._task(window, part) for part in parts)

    def _task(self, window: TokenizedWindow, part: TokenPart) -> Task:
        return self.request, tuple(window.names), part.tokens


_READERS: dict[WorkerRequest, VectorReader] = {}  # of a worker: the one that it has loaded
_LOADING = Lock()


def read_part(request: WorkerRequest, names: tuple[str, ...], tokens: Any) -> VectorBlocks:
    """Blocks of a part of a window, on a worker. Raises `ModelError`: the worker finds other weights, or none."""
    with _LOADING:
        if request not in _READERS:
            _READERS.clear()
            _READERS[request] = _load(request)
        reader = _READERS[request]
    return reader.read(tokens, names)


def _load(request: WorkerRequest) -> VectorReader:
    plugins.load_plugins(request.plugins)
    recipe = request.reader.recipe
    device = worker_device(recipe.backbone.device, worker_number())
    source = request_source(replace(request.reader, recipe=recipes.replace(recipe, device=device)))
    decisive = _decisive(source)
    for name, wanted in request.identity:
        if (got := str(decisive.get(name))) != wanted:
            what = f"a worker finds another model under the same name (its {name} differ)"
            hint = "give all machines the same files"
            raise ModelError(what, got=got, expected=wanted, hint=hint)
    return source.reader()


def _decisive(source: VectorSource) -> dict[str, Any]:
    """What the numbers depend on: of the model, and the code of the user's own poolings or features."""
    code = {name: how["code"] for name, how in sorted(source.how.items()) if "code" in how}
    return dict(sorted({**source.identity, **({"code": code} if code else {})}.items()))


def request_source(request: ReaderRequest) -> VectorSource:
    """What a request asks for."""
    if request.run is not None:
        return trained_prompt(Path(request.run), request.recipe, verify=request.verify)
    if request.recipe.vectors.what == "attention":
        from separatrix.extraction.attention import attention_source

        return attention_source(request.recipe.backbone.model, request.recipe)
    return frozen_model(request.recipe.backbone.model, request.recipe)
