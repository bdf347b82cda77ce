"""A run's directory: whether it may be written, what is in it, and that a mistake leaves nothing half written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separatrix.errors import SeparatrixError, StoreError

RECIPE, METRICS, RESULT, REPORT = "recipe.json", "metrics.jsonl", "result.json", "report.html"
CHECKPOINT = "checkpoint.safetensors"
TRAJECTORY = "trajectory"
TRAIN_ROWS = f"{TRAJECTORY}/train.parquet"  # the training rows whose outputs the trajectory keeps


@contextmanager
def run_folder(out: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Give the directory of a run to be written.

    A directory that is not empty is refused, replaced (`overwrite`) or gone on with (`resume`). A run that is replaced
    is set aside until the new one has something to show. Whatever stops the work (a mistake, Ctrl-C, a bug): if a
    state was saved, the new run is kept, for `resume` goes on from there; if none was, the old run is put back. After
    one of our errors a directory made here in which no state was saved is removed again.

    Raises:
        StoreError: the directory exists, or a file is in its place.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file", expected="a folder for the run", hint="choose another --out")
    filled = out.is_dir() and any(out.iterdir())
    if filled and not (overwrite or resume):
        raise StoreError(
            f"{out} exists", hint="type --overwrite to replace it, --resume to go on, or choose another --out"
        )
    aside = _set_aside(out) if filled and not resume else None
    try:
        yield out
    except BaseException as error:
        resumable = (out / CHECKPOINT).exists()
        if aside is not None and not resumable:
            _put_back(aside, out)
        elif isinstance(error, SeparatrixError) and not filled and not resumable:
            shutil.rmtree(out, ignore_errors=True)
        elif aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _set_aside(out: Path) -> Path:
    """Give a run another name until the one that replaces it has something to show."""
    _check_is_run(out)
    place = out.resolve()
    aside = place.with_name(f".{place.name}.replaced")
    if aside.is_dir() and not any((place / name).exists() for name in (RESULT, CHECKPOINT)):
        shutil.rmtree(place)  # what a killed overwrite left: the run that it was to replace is still the one set aside
        return aside
    shutil.rmtree(aside, ignore_errors=True)
    return place.rename(aside)


def _put_back(aside: Path, out: Path) -> None:
    """Give a run that was set aside its name again, in place of what was begun."""
    place = out.resolve()
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)


def _check_is_run(out: Path) -> None:
    """Only what looks like a run is ever replaced."""
    known = (RECIPE, RESULT, CHECKPOINT)
    if not any((out / name).exists() for name in known):
        raise StoreError(f"{out} is not empty and not a run, so it is not replaced", hint="choose another --out")
