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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, is_dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from separatrix.errors import SeparatrixError, StoreError, system_refusal
from separatrix.recipe.core import record
from separatrix.store.contents import FORMAT, RESUMED, Artifact, earlier, is_finished
from separatrix.store.files import hash_file, part_path, parts_of, sweep, write_json
from separatrix.store.kinds import KINDS, files_in, is_filled, kind_of
from separatrix.store.lock import lock_path, locked
from separatrix.store.manifest import MANIFEST, File
from separatrix.store.remote import check_local
from separatrix.store.replaceable import check_free, check_no_input, unknown_files

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of whatever is written in an artefact


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
        before = earlier(target) if (stood := is_filled(target)) and resume else None
        recipe = before.recipe if recipe is None and before is not None else recipe
        begun = lock_path(target).stat().st_mtime_ns  # by the clock of the disk
        aside = aside_path(target)
        if stood and resume:
            whole = before if before is not None and before.files is not None else None
            RESUMED[target.resolve()] = whole or Artifact(target, kind, FORMAT, recipe, {})
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
            RESUMED.pop(target.resolve(), None)
            shutil.rmtree(aside, ignore_errors=True)


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
            check_no_input(target, path, inputs)
            if not own(target):
                what = f"{path} is not replaced: it holds something else than this command writes"
                raise StoreError(what, hint="choose another --out")
        yield path


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


def aside_path(target: Path) -> Path:
    """Where an artefact waits while its successor is written."""
    return target.with_name(f".{target.name}.replaced")


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
    shutil.rmtree(aside if keep(target) or is_finished(target) else target, ignore_errors=True)
    if not target.exists():
        aside.rename(target)


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
