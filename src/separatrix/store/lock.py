"""One writer at a time: a lock file beside what is written, which names the process that writes.

The lock is the system's own (`flock`) on that file, so it ends with its process, however that ends; a file that a
killed process left is taken over. Its content (host, process, since when) is for the message that the second writer
gets, and for network drives that do not pass locks on: a file left by another host is never taken over.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from separatrix.errors import LockedError, StoreError, system_refusal

LOCK = ".lock"  # the ending of a lock file; its whole name where it cannot lie beside the folder
PAUSE = 0.2  # seconds between two looks at a lock
FORGOTTEN = 3600.0  # seconds after which a file of another host is no longer waited for


def lock_path(target: Path) -> Path:
    """The lock file of a path: hidden, beside it; inside it where nothing can be written beside it (a mounted drive).

    >>> lock_path(Path("runs/points")).as_posix()
    'runs/.points.lock'
    """
    beside = os.access(target.parent, os.W_OK) or not target.is_dir()
    return target.with_name(f".{target.name}{LOCK}") if beside else target / LOCK


def is_held(target: Path) -> bool:
    """Whether a process holds the lock of a path, as far as this host can tell."""
    try:
        descriptor = os.open(lock_path(target), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)  # with which a lock that was taken ends


@contextmanager
def waiting(target: Path) -> Iterator[Path]:
    """Hold the lock of a path as `locked`, once nobody else does.

    Raises:
        LockedError: another host has held it for an hour; its process may be dead, which cannot be seen from here.
    """
    while True:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(locked(target))
            except LockedError:
                if not is_held(target) and _age(lock_path(target)) > FORGOTTEN:
                    raise
                time.sleep(PAUSE)
                continue
            yield path
            return


@contextmanager
def locked(target: Path) -> Iterator[Path]:
    """Hold the lock of a path whose parent folder exists; gives the lock file.

    Raises:
        StoreError: another process holds it, or the lock file cannot be written.
    """
    path = lock_path(target)
    try:
        descriptor = _acquire(path, target)
    except OSError as error:
        raise system_refusal(error, target) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that nobody takes over a file that is about to go
        os.close(descriptor)


def _acquire(path: Path, target: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _lock(descriptor):
                hint = "wait for it, or choose another --out"
                raise _refusal(target, _holder(descriptor), hint)
            if _is_same(descriptor, path):
                _sign(descriptor, path, target)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the holder before us removed the file between our two calls


def _age(path: Path) -> float:
    """Seconds since a lock file was signed."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock(descriptor: int) -> bool:
    """Take the lock; where the file system has none, ask whether the process named in the file is alive."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return not _is_alive(_holder(descriptor).get("process"))
    return True


def _is_alive(process: object) -> bool:
    if not isinstance(process, int) or process < 1:
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int, path: Path, target: Path) -> None:
    """Write which process holds the lock; a file of another host stays: whether its process lives is not known."""
    holder = _holder(descriptor)
    if holder.get("host", socket.gethostname()) != socket.gethostname():
        raise _refusal(target, holder, f"if that process has ended, delete {path}")
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    note = json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note.encode(), 0)


def _holder(descriptor: int) -> dict[str, object]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:  # killed while it was written
        return {}
    return holder if isinstance(holder, dict) else {}


def _refusal(target: Path, holder: dict[str, object], hint: str) -> StoreError:
    writer = f"process {holder.get('process', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"
    return LockedError(f"{target} is being written by another process", got=writer, hint=hint)
