"""`manifest.json` of a store of points: what is in the folder, how large it is, and what its bytes hash to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from separatrix.errors import StoreError
from separatrix.store.files import AGAIN, Schema, check_format, hash_file, is_count, read_json, write_json

T = TypeVar("T")
FORMAT = 1
ENDINGS = {"float16": "f16", "float32": "f32", "int8": "i8"}
BYTES = {"float16": 2, "float32": 4, "int8": 1}  # of a number
FILE_SCHEMA: Schema = {"bytes": int, "sha256": str}
SHARD_SCHEMA: Schema = {"rows": is_count, "identity": str, "files": {"*": FILE_SCHEMA}, "notes": {"*": int}}
BLOCKS_SCHEMA: Schema = {"*": {"width": is_count, "dtype": lambda name: name in tuple(ENDINGS), "how": dict}}
SCHEMA: Schema = {
    "key": str, "window": is_count, "blocks": BLOCKS_SCHEMA, "shards": [SHARD_SCHEMA], "table": FILE_SCHEMA,
    "origin": dict,
}  # fmt: skip
MANIFEST, TABLE, BLOCKS = "manifest.json", "table.parquet", "blocks"


@dataclass(frozen=True)
class File:
    """Size and hash of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class BlockSpec:
    """Width and format of a block, and how it was made, as plain data."""

    width: int
    dtype: str
    how: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """A run of rows: a hash of their identity, and one file for each block."""

    rows: int
    identity: str
    files: Mapping[str, File]  # block name -> file
    notes: Mapping[str, int] = field(default_factory=dict)  # counts that are summed over the shards


@dataclass(frozen=True)
class Manifest:
    """The whole store."""

    key: str  # digest of everything but the blocks: what may be added to this store
    window: int  # rows given to the writer at a time
    blocks: Mapping[str, BlockSpec]
    shards: tuple[Shard, ...]
    table: File
    origin: Mapping[str, Any]
    recipe: Any = None  # the options that they were made with, plain; earlier versions wrote none

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards and the row table."""
        return self.table.bytes + sum(file.bytes for shard in self.shards for file in shard.files.values())


def row_bytes(width: int, dtype: str) -> int:
    """Bytes of one row.

    >>> row_bytes(384, "float16"), row_bytes(384, "int8")
    (768, 388)
    """
    return width * BYTES[dtype] + (4 if dtype == "int8" else 0)  # and a float32 scale


def shard_path(folder: Path, block: str, dtype: str, index: int) -> Path:
    """Where a shard lies; the block's name is escaped as in a web address.

    >>> shard_path(Path("points"), "mean@3", "float16", 7).as_posix()
    'points/blocks/mean@3/00007.f16'
    """
    return folder / BLOCKS / quote(block, safe="@=+,") / f"{index:05d}.{ENDINGS[dtype]}"


def shard_from_plain(plain: Mapping[str, Any]) -> Shard:
    """The reverse of `asdict`."""
    files = {name: _build(File, file) for name, file in plain["files"].items()}
    return _build(Shard, {**plain, "files": files})


def blocks_from_plain(plain: Mapping[str, Any]) -> dict[str, BlockSpec]:
    """The reverse of `asdict` of each."""
    return {name: _build(BlockSpec, spec) for name, spec in plain.items()}


def _build(cls: type[T], plain: Mapping[str, Any]) -> T:
    return cls(**{spec.name: plain[spec.name] for spec in fields(cls)})  # type: ignore[arg-type]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest whole; `files` lists them as the manifests of other artefacts do."""
    files = {path.relative_to(folder).as_posix(): asdict(file) for path, file in files_of(folder, manifest).items()}
    plain = {"format": FORMAT, "kind": "points", "rows": manifest.rows, "files": files, **asdict(manifest)}
    write_json(folder / MANIFEST, plain)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest, and compare the size of every file with it.

    Raises:
        StoreError: no finished store, written by a newer version, damaged, or a file that is missing or has another
            size (it is named).
    """
    manifest = parse_manifest(folder)
    check_sizes(folder, manifest)
    return manifest


def parse_manifest(folder: Path) -> Manifest:
    """The manifest alone, whatever lies beside it. Raises `StoreError`: as `read_manifest`, but for the files."""
    path = folder / MANIFEST
    if not path.is_file():
        what = f"{folder} holds no finished points"
        raise StoreError(what, expected=MANIFEST, hint="write them with extract, or go on with --resume")
    header = read_json(path)
    if not isinstance(header, dict) or header.get("kind") != "points" or not isinstance(header.get("format"), int):
        raise StoreError(f"{path} is damaged, or does not describe points", hint=AGAIN)
    check_format(header["format"], FORMAT, path)
    plain = read_json(path, SCHEMA)
    parts = {"blocks": blocks_from_plain(plain["blocks"]), "shards": tuple(map(shard_from_plain, plain["shards"]))}
    return _build(Manifest, {"recipe": None, **plain, **parts, "table": _build(File, plain["table"])})


def files_of(folder: Path, manifest: Manifest) -> dict[Path, File]:
    """Every file that the manifest speaks of."""
    files = {folder / TABLE: manifest.table}
    for index, shard in enumerate(manifest.shards):
        for name, spec in manifest.blocks.items():
            files[shard_path(folder, name, spec.dtype, index)] = shard.files[name]
    return files


def check_sizes(folder: Path, manifest: Manifest, sizes: Mapping[str, int] | None = None) -> None:
    """Raise a `StoreError` that names the first file that is missing or has another size.

    Args:
        manifest: of the store.
        sizes: bytes of each file by its path in the folder, where that is not on this machine.
    """
    for index, shard in enumerate(manifest.shards):
        for name, spec in manifest.blocks.items():
            expected = shard.rows * row_bytes(spec.width, spec.dtype)
            if name not in shard.files or shard.files[name].bytes != expected:
                what = f"{folder / MANIFEST} is damaged (shard {index} of block {name!r} does not fit its rows)"
                raise StoreError(what, hint=AGAIN)
    for path, file in files_of(folder, manifest).items():
        if sizes is None:
            check_file(path, file, verify=False)
        else:
            check_size(path, file, sizes.get(path.relative_to(folder).as_posix()))


def check_file(path: Path, file: File, *, verify: bool = True) -> None:
    """Raise a `StoreError` if a file is missing or has another size, or another hash than it was written with."""
    check_size(path, file, path.stat().st_size if path.is_file() else None)
    if verify and (digest := hash_file(path)) != file.sha256:
        raise StoreError(f"{path} was altered", got=f"SHA-256 {digest[:12]}", expected=file.sha256[:12], hint=AGAIN)


def check_size(path: Path, file: File, size: int | None) -> None:
    """Raise a `StoreError` if a file is missing (None), or has another size than it was written with."""
    if size is None:
        raise StoreError(f"{path} is missing", hint=AGAIN)
    if size != file.bytes:
        what = "truncated" if size < file.bytes else "longer than it was written"
        raise StoreError(f"{path} is {what}", got=f"{size} bytes", expected=file.bytes, hint=AGAIN)
