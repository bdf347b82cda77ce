"""Writes points shard by shard; killed at any point and opened again, it goes on at the next shard.

A shard is its files and then a note in `pending/` that says that they are whole. A note is believed only because it is
written last. When all shards are there the row table is put together, the manifest is written, `pending/` goes. To a
finished store blocks can be added in the same way: its manifest stays as it is until the new blocks are whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.errors import DataError, ShapeError, StoreError, interrupt_of, system_refusal
from separatrix.points import ID
from separatrix.store.artifacts import claimed, exchange
from separatrix.store.files import check_format, hash_file, is_count, read_json, sweep, write_bytes, write_json
from separatrix.store.kinds import is_filled
from separatrix.store.manifest import (
    BLOCKS,
    BLOCKS_SCHEMA,
    FORMAT,
    MANIFEST,
    SHARD_SCHEMA,
    TABLE,
    BlockSpec,
    File,
    Manifest,
    Shard,
    blocks_from_plain,
    files_of,
    read_manifest,
    shard_from_plain,
    shard_path,
    write_manifest,
)
from separatrix.store.replaceable import check_free
from separatrix.store.shards import encode, sha256
from separatrix.store.table import identity_of, join_tables, write_table

if TYPE_CHECKING:
    import pandas as pd

PENDING, BEGUN = "pending", "begun.json"


@dataclass
class PointsWriter:
    """A store that is being written, under its lock. Made by `open_writer`.

    `missing` says which blocks of the next rows are still to be computed, `add` writes them, `finish` closes.
    """

    folder: Path
    key: str
    window: int  # rows (of the source) for each shard
    dtype: str
    blocks: dict[str, BlockSpec]
    shards: list[Shard]
    origin: Mapping[str, Any] | None = None  # of a finished store
    replaces: Path | None = None  # the store whose name the folder takes when it is whole
    begun: bool = False
    how: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # block name -> how it is made, kept beside it
    seconds: float = field(default=0.0)  # spent on writing

    def missing(self, index: int, rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
        """Blocks of a shard that are not there yet, out of those named.

        Raises:
            StoreError: the shard is there, but holds other rows.
        """
        if index >= len(self.shards):
            return list(names)
        shard = self.shards[index]
        if shard.identity != identity_of(rows):
            first = rows[ID].iloc[0] if len(rows) else "none"
            what = f"{self.folder} holds other rows (shard {index}, which begins here with id {first})"
            raise StoreError(what, hint="type --overwrite to replace it, or choose another --out")
        return [name for name in names if name not in shard.files]

    def add(
        self,
        index: int,
        source: pd.DataFrame,
        blocks: Mapping[str, np.ndarray],
        *,
        table: pd.DataFrame | None = None,
        notes: Mapping[str, int] | None = None,
    ) -> None:
        """Write blocks of one shard.

        Args:
            index: number of the shard; shards come in order.
            source: the rows that the shard was asked for; their hash is what `missing` compares.
            blocks: name -> (rows, width); float32 is kept for blocks whose name ends in `_ids`.
            table: row table of the shard, if it is not `source` itself (tokens, further columns).
            notes: counts that are summed over all shards.

        Raises:
            ShapeError: a block does not fit the table, or its width the earlier shards.
            DataError: NaN or infinity.
            StoreError: numbers too large for the format, or the disk refuses.
        """
        frame = source if table is None else table
        fresh = index == len(self.shards)
        if not fresh and not 0 <= index < len(self.shards):
            raise ShapeError("shards come in order", got=index, expected=f"at most {len(self.shards)}")
        specs = {name: self._spec(name, values, frame) for name, values in blocks.items()}
        ids = frame[ID].tolist()
        data = {name: encode(values, specs[name].dtype, name, ids) for name, values in blocks.items()}
        begun = perf_counter()
        self._begin()
        for name, content in data.items():
            write_bytes(shard_path(self.folder, name, specs[name].dtype, index), content)
        files = {name: File(len(content), sha256(content)) for name, content in data.items()}
        self.blocks |= specs
        if fresh:
            write_table(self._part(index), frame)
            self.shards.append(Shard(len(frame), identity_of(source), files, dict(notes or {})))
        else:
            old = self.shards[index]
            self.shards[index] = Shard(old.rows, old.identity, {**old.files, **files}, old.notes)
        note = {
            "shard": asdict(self.shards[index]),
            "blocks": {name: asdict(spec) for name, spec in self.blocks.items()},
        }
        write_json(self._note(index), note)
        self.seconds += perf_counter() - begun

    def holds(self, index: int, rows: pd.DataFrame, blocks: Mapping[str, np.ndarray]) -> bool:
        """Whether a shard is there already, with these rows and numbers.

        Raises:
            StoreError: the shard is there, but holds other rows or numbers.
        """
        if self.missing(index, rows, list(blocks)):
            return False
        for name, values in blocks.items():
            content = encode(values, self._spec(name, values, rows).dtype, name, rows[ID].tolist())
            if self.shards[index].files[name] != File(len(content), sha256(content)):
                what = f"{self.folder} holds other numbers (shard {index} of block {name!r})"
                raise StoreError(what, hint="type --overwrite to replace it, or choose another --out")
        return True

    def finish(self, shards: int, origin: Mapping[str, Any], recipe: Any = None) -> Manifest:
        """All `shards` are given: write row table and manifest, drop what is not whole.

        Raises:
            DataError: there was no row at all.
            StoreError: the store holds more shards than were given.
        """
        if shards == 0:
            raise DataError("there are no rows to keep", expected="one text or more")
        if shards != len(self.shards):
            what = f"{self.folder} holds more rows than were given now"
            raise StoreError(what, got=f"{len(self.shards)} shards", expected=shards, hint="type --overwrite")
        if self.begun:
            begun = perf_counter()
            self._close(origin, recipe)
            self.seconds += perf_counter() - begun
        # Also where nothing was written now: a kill may have left a part of it.
        shutil.rmtree(self.folder / PENDING, ignore_errors=True)
        sweep(self.folder)
        if self.replaces is not None:
            try:
                exchange(self.folder, self.replaces)
            except OSError as error:
                raise system_refusal(error, self.replaces) from error
            self.folder, self.replaces = self.replaces, None
        return read_manifest(self.folder)

    def abandon(self, keep: bool) -> None:
        """After work that was stopped: keep what can be gone on with, if anybody does."""
        pending = self.folder / PENDING
        if self.begun and not (keep and any(path.name != BEGUN for path in pending.glob("*.json"))):
            whole = (self.folder / MANIFEST).is_file()
            shutil.rmtree(pending if whole else self.folder, ignore_errors=True)

    def is_whole(self, index: int, shard: Shard, blocks: Mapping[str, BlockSpec]) -> bool:
        """Whether the files of a shard are there in their length."""
        files = {shard_path(self.folder, name, blocks[name].dtype, index): file for name, file in shard.files.items()}
        return all(path.is_file() and path.stat().st_size == file.bytes for path, file in files.items())

    def note(self, name: str) -> int:
        """A count summed over the shards."""
        return sum(shard.notes.get(name, 0) for shard in self.shards)

    def _close(self, origin: Mapping[str, Any], recipe: Any) -> None:
        whole = {
            name: spec
            for name, spec in sorted(self.blocks.items())
            if all(name in shard.files for shard in self.shards)
        }
        shards = tuple(
            Shard(shard.rows, shard.identity, {name: shard.files[name] for name in whole}, shard.notes)
            for shard in self.shards
        )
        table = self.folder / TABLE
        if not table.is_file() or self.origin is None:
            join_tables([self._part(index) for index in range(len(shards))], table)
        written = File(table.stat().st_size, hash_file(table))
        manifest = Manifest(self.key, self.window, whole, shards, written, self.origin or origin, recipe)
        write_manifest(self.folder, manifest)
        # Blocks that were begun for another request and never ended.
        ours = files_of(self.folder, manifest)
        for path in (self.folder / BLOCKS).glob("*/*"):
            if path not in ours:
                path.unlink()

    def _spec(self, name: str, values: np.ndarray, frame: pd.DataFrame) -> BlockSpec:
        if values.ndim != 2 or len(values) != len(frame):
            got = f"shape {values.shape}"
            raise ShapeError(f"block {name!r} does not fit the table", got=got, expected=f"({len(frame)}, width)")
        # Token numbers are exact in float32 and in nothing smaller.
        dtype = "float32" if name.endswith("_ids") else self.how.get(name, {}).get("store_dtype", self.dtype)
        spec = BlockSpec(values.shape[1], dtype, self.how.get(name, {}))
        known = self.blocks.get(name, spec)
        if known.width != spec.width:
            raise ShapeError(f"block {name!r} changes its width", got=spec.width, expected=known.width)
        return spec

    def _begin(self) -> None:
        if not self.begun:
            write_json(self.folder / PENDING / BEGUN, {"format": FORMAT, "key": self.key, "window": self.window})
            self.begun = True

    def _part(self, index: int) -> Path:
        return self.folder / PENDING / f"{index:05d}.parquet"

    def _note(self, index: int) -> Path:
        return self.folder / PENDING / f"{index:05d}.json"


@contextmanager
def open_writer(
    folder: Path,
    key: str,
    *,
    window: int,
    dtype: str = "float16",
    overwrite: bool = False,
    resume: bool | None = True,
    inputs: Collection[Any] = (),
    resumable: bool = False,
) -> Iterator[PointsWriter]:
    """Begin a store, go on with one that was stopped, or add blocks to a finished one; the lock is held until the end.

    Work that is stopped before its first shard is whole leaves nothing.

    Args:
        key: digest of what the rows and numbers depend on, the choice of blocks left out. A store with another key
            is refused.
        window: rows of the source for each shard; a store that is there keeps its own.
        dtype: format on disk: float16, float32 or int8.
        overwrite: replace the store that is there. The new one is written beside it, under a hidden name, and the
            old one goes when it is whole; with `resume`, a replacement that was stopped is gone on with.
        resume: go on with a store that is not finished, instead of refusing it; None: refuse a finished one as well.
        inputs: paths that the verb reads; they are never replaced.
        resumable: with `resume` None, whole shards stay where the user stops the work, and the refusal names --resume.

    Raises:
        StoreError: something else is in the folder, another request's store, a damaged one, one of a newer version, or
            another process is writing it.
    """
    with claimed(folder) as target:
        may_grow = (False if resumable else None) if resume is None else not overwrite
        check_free(target, folder, "points", overwrite=overwrite, resume=may_grow, inputs=inputs)
        beside, replaces = target.with_name(f".{target.name}.next"), overwrite and is_filled(target)
        if not (replaces and resume):
            shutil.rmtree(beside, ignore_errors=True)
        options = (key, window, dtype, bool(resume))
        try:
            writer = _open(beside if replaces else folder, *options)
        except StoreError:  # of another request
            if not replaces:
                raise
            shutil.rmtree(beside, ignore_errors=True)
            writer = _open(beside, *options)
        writer.replaces = target if replaces else None
        try:
            yield writer
        except BaseException as error:
            stopped = resumable and interrupt_of(error) is not None
            writer.abandon(keep=resume is not None or stopped)
            raise


def stored_key(folder: Path) -> str | None:
    """The key of the store in a folder, finished or begun; None where there is none."""
    if (folder / MANIFEST).is_file():
        return read_manifest(folder).key
    begun = folder / PENDING / BEGUN
    return str(read_json(begun, {"key": str})["key"]) if begun.is_file() else None


def _open(folder: Path, key: str, window: int, dtype: str, resume: bool) -> PointsWriter:
    fresh = PointsWriter(folder, key, window, dtype, {}, [])
    finished, stopped = (folder / MANIFEST).is_file(), (folder / PENDING / BEGUN).is_file()
    if finished:
        manifest = read_manifest(folder)
        _check_key(folder, manifest.key, key)
        fresh = PointsWriter(
            folder, key, manifest.window, dtype, dict(manifest.blocks), list(manifest.shards), manifest.origin
        )
    elif stopped and not resume:
        hint = "type --resume to go on, --overwrite to replace it, or choose another --out"
        raise StoreError(f"{folder} holds points that were not finished", hint=hint)
    return _go_on(fresh) if stopped else fresh


def _go_on(writer: PointsWriter) -> PointsWriter:
    """Take over the shards whose notes stand in `pending/`, in order, up to the first gap or truncated file."""
    path = writer.folder / PENDING / BEGUN
    begun = read_json(path, {"format": int, "key": str, "window": is_count})
    check_format(begun["format"], FORMAT, path)
    _check_key(writer.folder, begun["key"], writer.key)
    writer.window = begun["window"]
    for index in range(max(len(writer.shards), sum(1 for _ in path.parent.glob("*.json")))):
        if writer._note(index).is_file():
            note = read_json(writer._note(index), {"shard": SHARD_SCHEMA, "blocks": BLOCKS_SCHEMA})
            shard, blocks = shard_from_plain(note["shard"]), blocks_from_plain(note["blocks"])
            if not writer.is_whole(index, shard, blocks):
                break
            writer.shards[index : index + 1] = [shard]
            writer.blocks |= blocks
        elif index >= len(writer.shards):
            break
    writer.begun = True
    return writer


def _check_key(folder: Path, present: str, wanted: str) -> None:
    if present != wanted:
        what = f"{folder} holds points of another request (model, texts' length, format or kind of vectors differ)"
        raise StoreError(what, hint="type --overwrite to replace it, or choose another --out")
