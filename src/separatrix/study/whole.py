"""A folder of results appears whole or not at all, and replaces only what looks like one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separatrix.errors import StoreError

RESULT = "result.json"  # every folder of results holds one


def check_free(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that is taken, before any work.

    Raises:
        StoreError: a file is there; or a folder that is not empty, without `overwrite` or without a result in it.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file", expected="a folder", hint="choose another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise StoreError(f"{out} exists", hint="type --overwrite to replace it, or choose another --out")
    if not (out / RESULT).is_file():
        raise StoreError(f"{out} holds no {RESULT}, so it is not replaced", hint="choose another --out")


@contextmanager
def whole_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside `out` to be filled; it takes the place of `out` when the block ends well.

    Raises:
        StoreError: as `check_free`, or the place cannot be written.
    """
    check_free(out, overwrite=overwrite)
    place = out.resolve()
    part, aside = (place.with_name(f".{place.name}.{end}") for end in ("part", "replaced"))
    try:
        for leftover in (part, aside):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if place.exists():
            place.rename(aside)
        part.rename(place)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        what = f"{out} cannot be written ({error.strerror})"
        raise StoreError(what, hint="free some space or choose another --out") from error
    finally:
        for leftover in (part, aside):
            shutil.rmtree(leftover, ignore_errors=True)
