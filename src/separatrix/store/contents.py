"""What the manifest of a folder says, and whether its files are still those that were written."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from separatrix.errors import StoreError, UnverifiedWarning
from separatrix.store.files import check_format, damaged, read_json
from separatrix.store.folder import has_result
from separatrix.store.kinds import kind_of
from separatrix.store.manifest import MANIFEST, File, check_file, files_of, read_manifest

FORMAT = 2  # 1: folders without a manifest
EVERYTHING = ("*",)
SCHEMA = {
    "kind": str,
    "format": int,
    "recipe": object,
    "files": (None, {"*": {"bytes": int, "sha256": str}}),
}


@dataclass(frozen=True)
class Artifact:
    """What a folder's manifest says."""

    folder: Path
    kind: str
    format: int
    recipe: Any
    files: Mapping[str, File] | None  # by path in the folder; None: an earlier version wrote no hashes


RESUMED: dict[Path, Artifact] = {}  # folders that this process goes on with, which may read them meanwhile


def open_artifact(
    folder: str | Path, kind: str | None = None, *, verify: bool = True, only: Collection[str] = EVERYTHING
) -> Artifact:
    """Read a manifest, and compare the folder with it.

    Args:
        folder: what a verb wrote.
        kind: that it must be of; any if absent.
        verify: compare the hashes of the files too; kind, format, presence and sizes are always checked.
        only: patterns of the files to be compared; all if absent.

    Raises:
        StoreError: another kind, not finished, written by a newer version, or a file that is missing or was altered
            (it is named).
    """
    folder = Path(folder)
    known = kind_of(folder)
    if known is None or kind not in (None, known):
        got = "nothing that separatrix wrote" if known is None else known
        raise StoreError(
            f"{folder} holds no {f'finished {kind}' if kind else 'result'}",
            got=got,
            hint="give a folder that a command wrote",
        )
    if not (folder / MANIFEST).is_file():
        if verify:
            what = f"{folder} has no {MANIFEST} (early versions wrote none)"
            warnings.warn(f"{what}: its files cannot be compared with their hashes", UnverifiedWarning, stacklevel=2)
        return Artifact(folder, known, 1, None, None)
    artifact = _read_manifest(folder)
    if artifact.files is None:
        artifact = RESUMED.get(folder.resolve(), artifact)
    if artifact.files is None:
        raise StoreError(f"{folder} was not finished", hint="go on with --resume, or write it again with --overwrite")
    for name, file in artifact.files.items():
        if any(fnmatch(name, pattern) for pattern in only):
            check_file(folder / name, file, verify=verify)
    return artifact


def _read_manifest(folder: Path) -> Artifact:
    path = folder / MANIFEST
    if read_json(path, {"kind": str})["kind"] == "points":  # which lists its files by shards
        points = read_manifest(folder)
        files = {each.relative_to(folder).as_posix(): file for each, file in files_of(folder, points).items()}
        return Artifact(folder, "points", 1, points.recipe, files)
    check_format(read_json(path, {"format": int})["format"], FORMAT, path)
    plain = read_json(path, SCHEMA)
    listed = None
    if plain["files"] is not None:
        listed = {_inside(folder, name): File(file["bytes"], file["sha256"]) for name, file in plain["files"].items()}
    return Artifact(folder, plain["kind"], plain["format"], plain["recipe"], listed)


def _inside(folder: Path, name: str) -> str:
    """A path of a manifest, which may not lead out of the folder, by itself or by a link."""
    inside = "\0" not in name and (folder / name).resolve().is_relative_to(folder.resolve())
    if not inside or ".." in PurePosixPath(name).parts:
        raise damaged(folder / MANIFEST, f"{name!r} lies outside the folder")
    return name


def check_unaltered(folder: Path, only: Collection[str] = EVERYTHING) -> None:
    """Raise a `StoreError` if a file of a finished folder was altered; files that are gone, and no folder, are fine.

    `only` are patterns of the files to be compared.
    """
    artifact = earlier(folder)
    if artifact is None or artifact.files is None:
        return
    for name, file in artifact.files.items():
        if (folder / name).is_file() and any(fnmatch(name, pattern) for pattern in only):
            check_file(folder / name, file)


def earlier(folder: Path) -> Artifact | None:
    """The manifest that stands in a folder; None without one that can be read."""
    try:
        return _read_manifest(folder)
    except StoreError:
        return None


def is_finished(folder: Path) -> bool:
    """Whether the work on a folder came to its end."""
    artifact = earlier(folder)
    return has_result(folder) if artifact is None else artifact.files is not None
