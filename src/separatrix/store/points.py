"""Points on disk: write them whole, open them without reading the numbers. `README.md` beside this is the format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import OptionError, StoreError, choose
from separatrix.points import Points
from separatrix.recipe import digest
from separatrix.store.files import damaged
from separatrix.store.kinds import kind_of
from separatrix.store.manifest import (
    MANIFEST,
    TABLE,
    Manifest,
    check_file,
    check_sizes,
    parse_manifest,
    read_manifest,
    shard_path,
)
from separatrix.store.remote import RemoteFile, fetch, list_sizes, url_of
from separatrix.store.rows import ParquetTable
from separatrix.store.shards import KINDS, ShardedBlock
from separatrix.store.table import IDENTITY
from separatrix.store.writer import open_writer

SHARD_ROWS = 4096
FOLDER = "folder"  # in the origin of points that were opened


def open_points(folder: str | Path, *, verify: bool = True, blocks: Sequence[str] | None = None) -> Points:
    """Open a store: nothing is read but who it is; columns and numbers stay on disk until they are asked for.

    Args:
        folder: of the store, or its address (`s3://bucket/points`, see `store.remote`).
        verify: compare the hash of the row table now, and that of a shard when its first row is read; sizes are
            always compared, and so are hashes of what comes from an address.
        blocks: names of the blocks wanted; all if absent.

    Raises:
        StoreError: no finished store, damaged (the file is named), or written by a newer version.
        OptionError: no block of that name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     _ = write_points(f"{place}/eye", Points.of(np.eye(3), {"label": ["a", "b", "a"]}), dtype="int8")
    ...     points = open_points(f"{place}/eye", verify=True)
    ...     points.values.tolist()[0], points.column("label").tolist()
    ([1.0, 0.0, 0.0], ['a', 'b', 'a'])
    """
    url = url_of(folder)
    local = Path(folder) if url is None else fetch(url, (MANIFEST, TABLE))
    if (kind := kind_of(local)) not in (None, "points"):
        raise StoreError(f"{folder} holds no points", got=kind, hint="give what extract wrote")
    manifest = _manifest(local, url)
    if verify or url is not None:
        check_file(local / TABLE, manifest.table)
    names = list(manifest.blocks) if blocks is None else [choose(name, manifest.blocks, "--block") for name in blocks]
    opened = {name: _block(url or local, manifest, name, verify) for name in names}
    rows = ParquetTable.open(local / TABLE)
    if listed := [name for name in rows.nested if name in IDENTITY]:
        raise damaged(local / TABLE, f"the column {listed[0]} holds lists")
    return Points(opened, rows, {**manifest.origin, FOLDER: url or str(folder)})


def open_block(folder: str | Path, name: str | None = None, *, verify: bool = True) -> ShardedBlock:
    """One block of a store, without the row table; its name is not needed where there is one.

    Raises:
        OptionError: no block of that name, or several and no name.
    """
    url = url_of(folder)
    manifest = _manifest(Path(folder) if url is None else fetch(url, (MANIFEST,)), url)
    if name is None and len(manifest.blocks) > 1:
        raise OptionError("these points hold several blocks", got=", ".join(manifest.blocks), hint="name one: --block")
    chosen = next(iter(manifest.blocks)) if name is None else choose(name, manifest.blocks, "--block")
    return _block(url or Path(folder), manifest, chosen, verify)


def _manifest(folder: Path, url: str | None) -> Manifest:
    """The manifest, which the files beside it fit; those at the address, if there is one."""
    if url is None:
        return read_manifest(folder)
    manifest = parse_manifest(folder)
    check_sizes(Path(url), manifest, list_sizes(url))
    return manifest


def _block(folder: Path | str, manifest: Manifest, name: str, verify: bool) -> ShardedBlock:
    """A block of a folder, or of an address."""
    spec, local = manifest.blocks[name], isinstance(folder, Path)
    paths = [shard_path(Path(folder) if local else Path(), name, spec.dtype, n) for n in range(len(manifest.shards))]
    files = tuple(paths) if isinstance(folder, Path) else tuple(RemoteFile(folder, path.as_posix()) for path in paths)
    hashes = tuple(shard.files[name].sha256 for shard in manifest.shards) if verify or not local else ()
    return ShardedBlock(files, tuple(shard.rows for shard in manifest.shards), spec.width, spec.dtype, hashes)


def write_points(
    folder: str | Path, points: Points, *, dtype: str = "float16", overwrite: bool = False,
    shard_rows: int = SHARD_ROWS, recipe: Any = None,
) -> Manifest:  # fmt: skip
    """Write points that are there already; block by block and shard by shard, whatever they are read from.

    Args:
        folder: of the store; not there yet, or empty.
        points: what to write.
        dtype: float16, float32, or int8 (a scale for each row).
        shard_rows: rows of a shard.
        recipe: the options that they were made with, as plain data.

    Raises:
        StoreError: the folder holds a store, or something else; numbers too large for the format.
        DataError: NaN or infinity (the row is named), or no rows.
    """
    choose(dtype, KINDS, "--store-dtype")
    folder = Path(folder)
    origin = {name: value for name, value in points.origin.items() if name != FOLDER}
    key = digest("points in memory", origin, len(points), dtype)
    starts = range(0, len(points), shard_rows)
    options: dict[str, Any] = {"overwrite": overwrite, "resume": None, "inputs": points.folders}
    with open_writer(folder, key, window=shard_rows, dtype=dtype, **options) as writer:
        for index, (start, rows) in enumerate(zip(starts, points.rows.batches(shard_rows), strict=True)):
            part = slice(start, start + shard_rows)
            values = {name: np.asarray(block[part], np.float32) for name, block in points.blocks.items()}
            writer.add(index, rows, values)
        return writer.finish(len(starts), origin, recipe)
