"""A folder with a verb's results: written whole or not at all, and never over something else.

Everything goes into a hidden folder beside the place asked for, which then takes its name in one step. A mistake, a
`kill` or a full disk leaves the place as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separatrix.errors import StoreError

RESULT = "result.json"


def check_free(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that is taken, before any work.

    Raises:
        StoreError: a file is there, or a folder that is not empty and may not or must not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file", expected="a folder", hint="choose another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise StoreError(f"{out} exists", hint="type --overwrite to replace it, or choose another --out")
    if not (out / RESULT).is_file():
        what = f"{out} is not empty and holds no {RESULT}, so it is not replaced"
        raise StoreError(what, hint="choose another --out")


@contextmanager
def outcome_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty hidden folder beside `out`; it takes that name if the work inside ends well.

    Raises:
        StoreError: as `check_free`, or the place cannot be written.
    """
    check_free(out, overwrite=overwrite)
    place = out.resolve()
    part, aside = (place.with_name(f".{place.name}.{ending}") for ending in ("part", "replaced"))
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)
            place.rename(aside)
        part.rename(place)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        what = f"{out} cannot be written ({error.strerror})"
        raise StoreError(what, hint="free some space or choose another --out") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if aside.exists() and not place.exists():  # the new one could not take the name: the old one takes it back
            aside.rename(place)
