"""What may be replaced: nothing that a command reads, nothing of another kind, no folder with an unknown file in it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from separatrix.errors import StoreError, system_path
from separatrix.store.contents import earlier
from separatrix.store.kinds import KINDS, Kind, files_in, is_filled, kind_of


def check_free(
    target: Path, out: str | Path, kind: str, *, overwrite: bool, resume: bool | None, inputs: Collection[Any]
) -> None:
    """Raise a `StoreError` unless a folder may be written; `resume` is None where nothing can be gone on with."""
    if target.exists() and not target.is_dir():
        raise StoreError(f"{out} is a file", expected=f"a folder for the {kind}", hint="choose another --out")
    if not is_filled(target):
        return
    if not (overwrite or resume):
        ways = "--overwrite to replace it" + ("" if resume is None else ", --resume to go on")
        raise StoreError(f"{out} exists", hint=f"type {ways}, or choose another --out")
    if (known := kind_of(target)) != kind:
        what = f"{out} is not empty and not replaced"
        got = "nothing that separatrix wrote" if known is None else known
        raise StoreError(what, got=got, expected=kind, hint="choose another --out")
    if resume:
        return
    check_no_input(target, out, inputs)
    if unknown := unknown_files(target, kind):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        what = f"{out} is not replaced: it holds {unknown[0]}{more}, which this command did not write"
        raise StoreError(what, hint="choose another --out")


def unknown_files(folder: Path, kind: str) -> list[str]:
    """Files of an artefact that neither its manifest nor the table of kinds knows."""
    known = KINDS.get(kind, Kind(()))
    artifact = None if kind == "points" else earlier(folder)
    listed: Collection[str] = () if artifact is None or artifact.files is None else artifact.files
    patterns = known.files if artifact is None or artifact.files is None else ()
    unknown = [
        name for name in files_in(folder)
        if name not in listed and not known.is_scratch(name) and not any(fnmatch(name, one) for one in patterns)
    ]  # fmt: skip
    return [*unknown, *_unknown_inside(folder, known)]


def _unknown_inside(folder: Path, known: Kind) -> Iterator[str]:
    """Files in folders with locks of their own that neither a run there nor the table of kinds knows."""
    patterns = [pattern for pattern in known.files if pattern.partition("/")[0] in known.inner]
    for path in (path for name in known.inner for path in sorted((folder / name).glob("*"))):
        own = path.relative_to(folder).as_posix()
        if not path.is_symlink() and kind_of(path) == "run":
            yield from (f"{own}/{name}" for name in unknown_files(path, "run"))
            continue
        files = [f"{own}/{name}" for name in files_in(path)] if path.is_dir() and not path.is_symlink() else [own]
        yield from (name for name in files if not any(fnmatch(name, pattern) for pattern in patterns))


def check_no_input(target: Path, out: str | Path, inputs: Collection[Any]) -> None:
    """Raise a `StoreError` if a path, or a part of it, is among those that are read."""
    for given in inputs:
        named = "" if given is None else os.path.expanduser(system_path(given))
        if not os.path.exists(named):  # a hub name, say
            continue
        path = Path(named).resolve()
        inside = path in target.parents and target.is_file() and _is_part(path, target)
        if os.path.samefile(path, target) or target in path.parents or inside:
            raise StoreError(f"{out} is not replaced: the command reads it", hint="choose another --out")


def _is_part(folder: Path, file: Path) -> bool:
    """Whether a file belongs to a folder: one that its manifest lists, or any file of a folder without one."""
    artifact = earlier(folder)
    return artifact is None or artifact.files is None or file.relative_to(folder).as_posix() in artifact.files
