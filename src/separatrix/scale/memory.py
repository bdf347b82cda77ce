"""How much memory a job may take: what the user says, else half of what is free, in a container too."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from separatrix.errors import OptionError
from separatrix.recipe.core import shown
from separatrix.scale.blocks import TILE_BYTES, BlockSource, task_rows
from separatrix.store.files import MOST

UNITS = {
    "": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_COPIES = 4  # of the rows as float32 that a clustering in memory has at its peak: measured 3.8 at 200,000 x 384
_TILES = 8  # of what a task holds at a time: rows as stored, prepared, in float64, scores, ...


def parse_bytes(text: str) -> int:
    """Bytes of a size.

    >>> parse_bytes("2GiB"), parse_bytes("1.5 MB")
    (2147483648, 1500000)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    unit = next((name for name in UNITS if match and name.lower() == match[2].lower()), None)
    size = float(match[1]) * UNITS[unit] if match is not None and unit is not None else 0.0
    if not 1 <= size < MOST:
        raise OptionError("--memory is no size", got=shown(text), expected="512MiB, 2GiB, ...")
    return int(size)


def budget(text: str | None) -> int:
    """Bytes that a job may take: those of a text, else half of what is free."""
    return free_bytes() // 2 if text is None else parse_bytes(text)


def free_bytes() -> int:
    """Bytes that this process may still take: of the machine, and of its control group."""
    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")))
    return max(0, min(free + list(_of_groups(Path("/sys/fs/cgroup")))))


def _of_groups(root: Path) -> list[int]:
    """What each control group of this process, and each that holds it, leaves free (version 2, then 1)."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
            _, names, path = line.split(":", 2)
            if names in ("", "memory"):
                top, limit, used = (
                    (root, "memory.max", "memory.current") if not names
                    else (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
                )  # fmt: skip
                inner = top / path.strip("/")
                groups = [one for one in (inner, *inner.parents) if one.is_relative_to(top)]
                return [free for one in groups if (free := _of_group(one, limit, used)) is not None]
    return []


def _of_group(group: Path, limit: str, used: str) -> int | None:
    with suppress(OSError, ValueError):
        # Files that the system keeps in memory for speed count as used, and are given up when memory is needed.
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        kept = int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
        return int((group / limit).read_text()) - int((group / used).read_text()) + kept
    return None


def in_memory(rows: int, width: int) -> int:
    """Bytes that a verb takes at its peak where all rows are in memory."""
    return _COPIES * 4 * rows * width


def in_blocks(rows: int, width: int, workers: int, *, sample: int = 0, squares: int = 0, ks: int = 1) -> int:
    """Bytes that a job takes at its peak where rows are read block by block.

    Args:
        rows, width: of the matrix.
        workers: tasks computed beside each other.
        sample: rows that are drawn and held.
        squares: columns whose products a task gives back.
        ks: of k-means, numbers of clusters that are computed from one reading.
    """
    labels = 12 * rows + 16 * ks * rows  # the bounds of k-means; numbers of clusters, twice
    held = _COPIES * 4 * width * min(sample, rows)
    task = _TILES * max(TILE_BYTES, 4 * width) + 16 * task_rows(rows, width)
    return labels + held + workers * (task + 3 * 8 * squares**2)


def check_budget(source: BlockSource, allowed: int, workers: int, **more: int) -> None:
    """Raise an OptionError where not even the blocks fit into the bytes allowed; the rest as `in_blocks`."""
    check_bytes(in_blocks(source.rows, source.width, workers, **more), allowed)


def check_bytes(needed: int, allowed: int) -> None:
    """Raise an OptionError where the blocks need more than is allowed."""
    if needed > allowed:
        got, expected = f"{allowed / 2**20:.3g} MiB", f"{needed / 2**20:.0f} MiB or more"
        raise OptionError("--memory is too small for one block of each worker", got=got, expected=expected)
