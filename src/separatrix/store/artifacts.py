"""Folders that verbs write: what they are, that they are whole, and that nothing else is ever replaced.

Every such folder (an artefact) has a `manifest.json`:

    kind      what it is: run, points, clusters, ...
    format    of the folder; a reader refuses a larger number
    recipe    the options that it was made with
    files     path -> bytes, sha256; null while a folder that can be gone on with is not finished

A new artefact is written into a hidden folder beside its path, which takes its name in one step. A training, which can
be gone on with, is written in place. Both hold the lock of the path, and replace an artefact of their own kind only, if
no unknown file is in it. Folders of earlier versions have no manifest: `KINDS` says what they are known by.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, is_dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from separatrix.errors import SeparatrixError, StoreError, UnverifiedWarning, system_path, system_refusal
from separatrix.recipe.core import record
from separatrix.store.files import check_format, damaged, hash_file, part_path, parts_of, read_json, sweep, write_json
from separatrix.store.folder import has_result
from separatrix.store.kinds import KINDS, Kind, files_in, is_filled, kind_of
from separatrix.store.lock import lock_path, locked
from separatrix.store.manifest import MANIFEST, File, check_file, files_of, read_manifest
from separatrix.store.remote import check_local

FORMAT = 2  # 1: folders without a manifest
EVERYTHING = ("*",)
SCHEMA = {
    "kind": str,
    "format": int,
    "recipe": object,
    "files": (None, {"*": {"bytes": int, "sha256": str}}),
}
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of whatever is written in an artefact


@dataclass(frozen=True)
class Artifact:
    """What a folder's manifest says."""

    folder: Path
    kind: str
    format: int
    recipe: Any
    files: Mapping[str, File] | None  # by path in the folder; None: an earlier version wrote no hashes


_RESUMED: dict[Path, Artifact] = {}  # folders that this process goes on with, which may read them meanwhile


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
        artifact = _RESUMED.get(folder.resolve(), artifact)
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


def write_artifact(
    out: str | Path | None, kind: str, recipe: Any = None, *, overwrite: bool = False, inputs: Collection[Any] = ()
) -> AbstractContextManager[Path | None]:
    """`new_folder`, or None where `out` is None and nothing is to be written."""
    return nullcontext() if out is None else new_folder(out, kind, recipe, overwrite=overwrite, inputs=inputs)


@contextmanager
def new_folder(
    out: str | Path, kind: str, recipe: Any = None, *, overwrite: bool = False, inputs: Collection[Any] = ()
) -> Iterator[Path]:
    """Give an empty hidden folder, which becomes `out` if the work inside ends well.

    Args:
        out: path of the artefact.
        kind: of it, a key of `KINDS`.
        recipe: the options that it is made with, a recipe or plain values.
        inputs: paths that the verb reads; they are never replaced.

    Raises:
        StoreError: the path is taken, another process is writing it, or it cannot be written.
    """
    with claimed(Path(out)) as target:
        check_free(target, out, kind, overwrite=overwrite, resume=None, inputs=inputs)
        part = part_path(target)
        try:
            with _refusals(out):
                part.mkdir()
            with _refusals(out, _DISK):
                yield part
            with _refusals(out):
                _seal(part, kind, recipe)
                written = part.stat().st_ino
                exchange(part, target)
                _check_stands(target, written, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def exchange(part: Path, target: Path) -> None:
    """Give a finished folder its name, under the lock of the name; the folder that had it goes last."""
    aside = aside_path(target)
    try:
        if target.exists():
            target.rename(aside)
        part.rename(target)
    except OSError:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def resume_artifact(
    out: str | Path,
    kind: str,
    recipe: Any = None,
    *,
    overwrite: bool = False,
    resume: bool | None = False,
    keep: Callable[[Path], bool] = lambda _folder: False,
    inputs: Collection[Any] = (),
) -> Iterator[Path]:
    """Give the folder `out` itself to be written, by work that can be gone on with.

    A folder that is replaced is set aside until the new one is finished or worth keeping. Whatever stops the work: what
    is worth keeping stays, for `resume` goes on from there; else the folder is removed and the one replaced put back.

    Args:
        out: path of the artefact.
        kind: of it, a key of `KINDS`.
        recipe: the options that it is made with, a recipe or plain values.
        resume: go on with what is there, or start where there is nothing; None: this cannot be gone on with.
        keep: whether an unfinished folder is worth keeping.
        inputs: paths that the verb reads; they are never replaced.

    Raises:
        StoreError: the path is taken, another process is writing it, or it cannot be written.
    """
    with claimed(Path(out), keep) as target:
        check_free(target, out, kind, overwrite=overwrite, resume=resume, inputs=inputs)
        before = _earlier(target) if (stood := is_filled(target)) and resume else None
        recipe = before.recipe if recipe is None and before is not None else recipe
        begun = lock_path(target).stat().st_mtime_ns  # by the clock of the disk
        aside = aside_path(target)
        if stood and resume:
            whole = before if before is not None and before.files is not None else None
            _RESUMED[target.resolve()] = whole or Artifact(target, kind, FORMAT, recipe, {})
        with _refusals(out):
            if stood and not resume:
                target.rename(aside)
        try:
            with _refusals(out):
                target.mkdir(exist_ok=True)
                _write_manifest(target, kind, recipe, None)
            with _refusals(out, _DISK):
                yield Path(out)
            with _refusals(out):
                _seal(target, kind, recipe, before, begun)
        except BaseException:
            if stood and resume:
                _unmark(target, before, begun)
            elif not keep(target):
                shutil.rmtree(target, ignore_errors=True)
                if aside.exists():
                    aside.rename(target)
            raise
        finally:
            _RESUMED.pop(target.resolve(), None)
            shutil.rmtree(aside, ignore_errors=True)


def check_unaltered(folder: Path, only: Collection[str] = EVERYTHING) -> None:
    """Raise a `StoreError` if a file of a finished folder was altered; files that are gone, and no folder, are fine.

    `only` are patterns of the files to be compared.
    """
    artifact = _earlier(folder)
    if artifact is None or artifact.files is None:
        return
    for name, file in artifact.files.items():
        if (folder / name).is_file() and any(fnmatch(name, pattern) for pattern in only):
            check_file(folder / name, file)


def _unmark(target: Path, before: Artifact | None, begun: int) -> None:
    """After work that was gone on with and stopped: what was finished and not touched since is finished again."""
    if before is None:
        (target / MANIFEST).unlink(missing_ok=True)
    elif before.files is not None:
        paths = [target / name for name in before.files]
        if all(path.is_file() and path.stat().st_mtime_ns < begun for path in paths):
            _write_manifest(target, before.kind, before.recipe, before.files)


@contextmanager
def write_file(
    out: str | Path, *, overwrite: bool = False, inputs: Collection[Any] = (),
    own: Callable[[Path], bool] = lambda _file: True,
) -> Iterator[Path]:  # fmt: skip
    """Hold the lock of a single file that the work inside writes (whole, by `store.files`).

    Args:
        out: path of the file.
        own: whether a file is of the kind that the work writes; no other is replaced.
        inputs: paths that the verb reads; neither they nor files of theirs are replaced.

    Raises:
        StoreError: the path is taken, another process is writing it, or it cannot be written.
    """
    path = Path(out)
    with claimed(path) as target:
        if target.is_dir():
            raise StoreError(f"{path} is a folder", expected="a file", hint="choose another --out")
        if target.exists():
            if not overwrite:
                raise StoreError(f"{path} exists", hint="type --overwrite to replace it, or choose another --out")
            _check_no_input(target, path, inputs)
            if not own(target):
                what = f"{path} is not replaced: it holds something else than this command writes"
                raise StoreError(what, hint="choose another --out")
        yield path


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
    _check_no_input(target, out, inputs)
    if unknown := unknown_files(target, kind):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        what = f"{out} is not replaced: it holds {unknown[0]}{more}, which this command did not write"
        raise StoreError(what, hint="choose another --out")


def unknown_files(folder: Path, kind: str) -> list[str]:
    """Files of an artefact that neither its manifest nor the table of kinds knows."""
    known = KINDS.get(kind, Kind(()))
    artifact = None if kind == "points" else _earlier(folder)
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


def aside_path(target: Path) -> Path:
    """Where an artefact waits while its successor is written."""
    return target.with_name(f".{target.name}.replaced")


def _check_no_input(target: Path, out: str | Path, inputs: Collection[Any]) -> None:
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
    artifact = _earlier(folder)
    return artifact is None or artifact.files is None or file.relative_to(folder).as_posix() in artifact.files


@contextmanager
def claimed(out: Path, keep: Callable[[Path], bool] = lambda _folder: False) -> Iterator[Path]:
    """Hold the lock of a path, cleared of what killed processes left; gives it without links.

    Parent folders that are made here and stay empty are removed again.

    Raises:
        StoreError: another process holds the lock, it is an address, or it cannot be written.
    """
    check_local(out)
    with _refusals(out):
        target = Path(os.path.realpath(out))
        if not target.name:
            raise StoreError(f"{out} is the root of the disk", hint="choose another --out")
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(target):
            _recover(target, keep)
            yield target
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def _recover(target: Path, keep: Callable[[Path], bool]) -> None:
    """Under the lock, clear away what killed processes left; what one of them set aside takes its name back."""
    for part in parts_of(target):
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
    aside = aside_path(target)
    if not aside.is_dir():
        return
    if not is_filled(target):
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        return
    kind = kind_of(target)
    if kind is None or kind != kind_of(aside) or unknown_files(target, kind):
        return
    shutil.rmtree(aside if keep(target) or _is_finished(target) else target, ignore_errors=True)
    if not target.exists():
        aside.rename(target)


def _is_finished(folder: Path) -> bool:
    artifact = _earlier(folder)
    return has_result(folder) if artifact is None else artifact.files is not None


def _earlier(folder: Path) -> Artifact | None:
    """The manifest that stands in a folder; None without one that can be read."""
    try:
        return _read_manifest(folder)
    except StoreError:
        return None


def _seal(folder: Path, kind: str, recipe: Any, before: Artifact | None = None, begun: int = 0) -> None:
    """Bring all files to the disk and write the manifest.

    Of a folder that was gone on with, files that were not touched since keep their hashes, and unknown ones stay so.
    """
    known, files, listed = KINDS[kind], {}, {} if before is None or before.files is None else before.files
    for name in files_in(folder):
        path = folder / name
        if path.is_symlink() or known.is_scratch(name):
            continue
        if path.stat().st_mtime_ns < begun:
            if name in listed:
                files[name] = listed[name]
                continue
            if not any(fnmatch(name, pattern) for pattern in known.files):
                continue
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        files[name] = File(path.stat().st_size, hash_file(path))
    sweep(folder, known.inner)
    _write_manifest(folder, kind, recipe, files)


def _write_manifest(folder: Path, kind: str, recipe: Any, files: Mapping[str, File] | None) -> None:
    plain = {
        "kind": kind,
        "format": FORMAT,
        "recipe": record(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else recipe,
        "files": None if files is None else {name: asdict(file) for name, file in files.items()},
    }
    write_json(folder / MANIFEST, plain)


def _check_stands(target: Path, written: int, out: str | Path) -> None:
    if not target.is_dir() or target.stat().st_ino != written:
        raise StoreError(f"{out} was replaced by something else while it was written", hint="choose another --out")


@contextmanager
def _refusals(out: str | Path, numbers: Collection[int] | None = None) -> Iterator[None]:
    """What the system refuses (with these error numbers, if there are any) as a sentence about `out`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, SeparatrixError) or (numbers is not None and error.errno not in numbers):
            raise
        raise system_refusal(error, None if numbers and error.filename else out) from error
