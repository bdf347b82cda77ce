"""A run's directory: whether it may be written, what is in it, and that a mistake leaves nothing half written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separatrix.errors import SeparatrixError, StoreError
from separatrix.learn.loop import CHECKPOINT
from separatrix.learn.trajectory import TRAJECTORY

RECIPE, METRICS, RESULT, REPORT = "recipe.json", "metrics.jsonl", "result.json", "report.html"
TRAIN_ROWS = f"{TRAJECTORY}/train.parquet"  # the training rows whose outputs the trajectory keeps


@contextmanager
def run_folder(out: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Give the directory of a run to be written.

    A directory that is not empty is refused, replaced (`overwrite`) or gone on with (`resume`). If the work inside
    raises one of our errors before anything worth keeping was saved, a directory made here is removed again and one
    that was to be replaced is put back.

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
    except SeparatrixError:
        if (aside is not None or not filled) and not (out / CHECKPOINT).exists():
            shutil.rmtree(out, ignore_errors=True)
            if aside is not None:
                aside.rename(out)
        raise
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _set_aside(out: Path) -> Path:
    """Give a run another name until the one that replaces it has something to show."""
    _check_is_run(out)
    place = out.resolve()
    aside = place.with_name(f".{place.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    return place.rename(aside)


def _check_is_run(out: Path) -> None:
    """Only what looks like a run is ever replaced."""
    known = (RECIPE, RESULT, CHECKPOINT)
    if not any((out / name).exists() for name in known):
        raise StoreError(f"{out} is not empty and not a run, so it is not replaced", hint="choose another --out")
