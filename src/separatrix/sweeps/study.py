"""The folder of a sweep: its grid, its runs and their states.

grid.json            the lines of the table and what each run is
runs/HASH/           a folder as `train` writes it
failed/HASH.json     why a run failed
cache/               text caches that runs share; removed when no run is left
table.md, table.csv, runs.csv, costs.csv, *.png, result.json, manifest.json
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from separatrix.errors import LockedError, StoreError
from separatrix.recipe import canonical
from separatrix.recipe.core import plain
from separatrix.store.artifacts import resume_artifact
from separatrix.store.contents import open_artifact
from separatrix.store.files import Schema, read_json, reading, tensor_sizes, write_json
from separatrix.store.folder import RECIPE, RESULT
from separatrix.store.lock import is_held, locked
from separatrix.store.manifest import MANIFEST
from separatrix.store.replaceable import unknown_files
from separatrix.store.result import read_run_files
from separatrix.sweeps.plan import Run, SweepPlan, run_key
from separatrix.training.folder import difference
from separatrix.training.methods import METHODS

GRID, RUNS, FAILED, CACHE = "grid.json", "runs", "failed", "cache"
STATES = ("done", "failed", "interrupted", "running", "waiting")
GRID_SCHEMA: Schema = {
    "lines": [{"label": str, "runs": {"*": str}}],
    "runs": {"*": dict},
    "search?": dict,
}
FAILURE: Schema = {"label": str, "seed": int, "why": str}
RETRY = "train it again with --retry"
# folders of a run that hold no trained tensors
UNTRAINED = ("recipe", "trajectory", "index", "cache", "refit", "predictions")
PATIENCE = 60.0  # seconds that another process may take to write the grid or the table


@dataclass(frozen=True)
class RunFigures:
    """What the table takes from a run that is done: `result.json`, its trained numbers and their bytes."""

    result: Mapping[str, Any]
    parameters: int
    bytes: int


@dataclass(frozen=True)
class Study:
    """The folder of a sweep."""

    folder: Path

    @contextmanager
    def written(self, *, overwrite: bool = False, inputs: Collection[Any] = ()) -> Iterator[Path]:
        """Hold the folder while the grid or the table is written; runs are written under locks of their own."""
        begun = monotonic()
        while True:
            with ExitStack() as stack:
                try:
                    work = resume_artifact(
                        self.folder, "sweep", overwrite=overwrite, resume=not overwrite, keep=_is_begun, inputs=inputs
                    )
                    folder = stack.enter_context(work)
                except LockedError:
                    if monotonic() - begun > PATIENCE:
                        raise
                    sleep(0.1)
                    continue
                yield folder
                return

    def begin(
        self, plan: SweepPlan, search: Mapping[str, Any], *, overwrite: bool = False, extend: bool = False
    ) -> None:
        """Write the grid, or compare it with the one that stands there.

        Args:
            plan: all runs, or those of the first round.
            search: what the runs of later rounds follow from.
            overwrite: replace the study.
            extend: take another grid.

        Raises:
            StoreError: the folder holds something else, or a grid of other runs and `extend` is off.
        """
        with self.written(overwrite=overwrite, inputs=plan.inputs) as folder:
            current = {**_as_json(plan), "search": search}
            if (earlier := self._grid()) is not None:
                if canonical(earlier) == canonical(current):
                    return
                if not extend and (changes := _changes(earlier, current)):
                    hint = "type --extend to go on with the grid as it is now, or choose another --out"
                    raise StoreError(f"{self.folder} is the study of another grid", got=changes, hint=hint)
            write_json(folder / GRID, current)

    def begun(self) -> dict[str, str]:
        """Runs of the grid and runs on disk: key -> id, which is another where an earlier version hashed otherwise.

        Of two runs with one key, the finished one counts.
        """
        ids = dict[str, str]()
        for run, identity in self._identities():
            if identity.get("method") not in [*METHODS]:  # a list: in a damaged file it may be anything
                continue  # of a plug-in that is not loaded
            with suppress(StoreError), reading(self.run_folder(run) / RECIPE):
                key = run_key(identity)
                if key not in ids or _is_finished(self.run_folder(run)):
                    ids[key] = run
        return ids

    def _identities(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Those of the grid and those of the runs themselves, which are believed where the two are of other texts."""
        own = dict[str, Mapping[str, Any]]()
        for path in sorted((self.folder / RUNS).glob(f"*/{RECIPE}")):
            with suppress(StoreError):  # that of a damaged run is said when it is trained, or stands in the table
                own[path.parent.name] = read_json(path, dict)
        for run, identity in (self._grid() or {"runs": {}})["runs"].items():
            texts = identity.get("data")
            if own.get(run, identity).get("data", texts) == texts:
                yield run, identity
        yield from own.items()

    def _grid(self) -> Mapping[str, Any] | None:
        """The grid that the study was begun with; None where there is none, or no whole one: it is written anew."""
        try:
            grid: Mapping[str, Any] = read_json(self.folder / GRID, GRID_SCHEMA)
        except StoreError:
            return None
        return grid

    def run_folder(self, run: str) -> Path:
        """The folder of a run."""
        return self.folder / RUNS / run

    def state(self, run: str) -> str:
        """One of `STATES`."""
        folder = self.run_folder(run)
        if _is_finished(folder):
            return "done"
        if self._failure(run).is_file():
            return "failed"
        if is_held(folder):
            return "running"
        return "interrupted" if folder.is_dir() and any(folder.iterdir()) else "waiting"

    def states(self, plan: SweepPlan) -> dict[str, str]:
        """The state of each run of a plan, in its order."""
        return {run: self.state(run) for run in plan.runs}

    def fail(self, run: Run, why: str) -> None:
        """Keep why a run failed."""
        write_json(self._failure(run.id), {"label": run.label, "seed": run.seed, "why": why})

    def failure(self, run: str) -> str | None:
        """Why a run failed; None if it did not."""
        path = self._failure(run)
        try:
            return str(read_json(path, FAILURE)["why"]) if path.is_file() else None
        except StoreError:
            return f"{FAILED}/{path.name}, which says why, is damaged; {RETRY}"

    def figures(self, run: Run) -> RunFigures:
        """What a run that is done has for the table.

        Raises:
            StoreError: files of it are damaged, or it was trained on other texts than those that its id is made of.
        """
        folder = self.run_folder(run.id)
        open_artifact(folder, "run", only=(RESULT, RECIPE))
        recipe, result = read_run_files(folder)
        if (own := recipe.get("data", run.texts)) != run.texts:
            got = difference(run.texts, own)
            raise StoreError(f"{folder} was trained on other texts", got=got, hint=RETRY)
        return RunFigures(result, *trained_size(folder))

    def sentence(self, run: Run, error: Exception | str) -> str:
        """A message about a run as tables keep it: without paths, and with what mends this run and no other."""
        text = run.without_paths(str(error).replace(str(self.run_folder(run.id)), f"{RUNS}/{run.id}"))
        return re.sub(r"; [^;]*--overwrite[^;]*$", f"; {RETRY}", " ".join(text.split()))

    def renew(self, run: Run) -> None:
        """Clear away a run that failed or was damaged, so that it is trained anew; any other stays as it is.

        Raises:
            StoreError: its folder is a link, or a file is in it that no command wrote.
        """
        folder = self.run_folder(run.id)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(LockedError), locked(folder):
            if folder.is_dir() and self._is_lost(run):
                if folder.is_symlink():
                    raise StoreError(f"{folder} is not cleared away: it is a link", hint="remove the link")
                if unknown := unknown_files(folder, "run"):
                    what = f"{folder} is not cleared away: it holds {unknown[0]}, which no command wrote"
                    raise StoreError(what, hint="move that file elsewhere")
                shutil.rmtree(folder)
            self._failure(run.id).unlink(missing_ok=True)

    def _is_lost(self, run: Run) -> bool:
        """Whether a run failed, or is done and damaged."""
        if not _is_finished(self.run_folder(run.id)):
            return self._failure(run.id).is_file()
        try:
            self.figures(run)
        except StoreError:
            return True
        return False

    def _failure(self, run: str) -> Path:
        return self.folder / FAILED / f"{run}.json"


def counted(states: Mapping[str, str]) -> str:
    """How many runs there are of each state, in words.

    >>> counted({"a": "done", "b": "waiting", "c": "done"})
    '2 done, 1 waiting'
    """
    counts = Counter(states.values())
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def trained_size(folder: Path) -> tuple[int, int]:
    """Trained numbers of a run, and their bytes."""
    files = [path for path in folder.rglob("*.safetensors") if path.relative_to(folder).parts[0] not in UNTRAINED]
    sizes = [tensor_sizes(path) for path in files if path.name != "checkpoint.safetensors"]
    return sum(count for count, _ in sizes), sum(size for _, size in sizes)


def _is_begun(folder: Path) -> bool:
    return (folder / GRID).is_file()


def _is_finished(folder: Path) -> bool:
    try:
        return isinstance(read_json(folder / MANIFEST, dict).get("files"), dict)
    except StoreError:
        return False


def _as_json(sweep: SweepPlan) -> dict[str, Any]:
    lines = [
        {
            "label": line.setting.label,
            "coordinates": plain(dict(line.setting.coordinates)),
            "runs": {str(seed): run for seed, run in line.runs.items()},
        }
        for line in sweep.lines
    ]
    return {"lines": lines, "runs": plain(dict(sweep.identities))}


def _changes(earlier: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """What is different between two grids, in words; empty where the runs are the same, now and in later rounds."""
    search = earlier.get("search", {})  # earlier versions wrote none
    current_search = {key: value for key, value in current["search"].items() if key in search}
    words = [] if search == current_search else [difference(search, current_search)]
    if {*earlier["runs"]} == {*current["runs"]}:
        return "".join(words)
    before, now = _by_line(earlier), _by_line(current)
    altered = [
        difference(earlier["runs"][run], current["runs"][now[line]])
        for line, run in before.items()
        if line in now and now[line] != run
    ]
    words += list(dict.fromkeys(altered))[:3]
    for one, other, word in ((now, before, "more"), (before, now, "fewer")):
        if new := [line for line in one if line not in other]:
            label, seed = new[0]
            others = f" and {len(new) - 1} others" if len(new) > 1 else ""
            words.append(f"{len(new)} runs {word} ({label} with seed {seed}{others})")
    return "; ".join(words)


def _by_line(grid: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {(line["label"], seed): run for line in grid["lines"] for seed, run in line["runs"].items()}
