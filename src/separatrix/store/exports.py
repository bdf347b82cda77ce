"""Points as files of other programs, written batch by batch: .npy, safetensors, Parquet with fixed-size lists."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from separatrix.errors import system_refusal
from separatrix.paths import arrow_file
from separatrix.points import Points
from separatrix.store.files import part_path, write_pieces
from separatrix.store.rows import schema_of

KINDS = {"float32": ("<f4", "F32"), "float16": ("<f2", "F16")}
_BATCH = 8192


def write_npy(path: Path, points: Points, dtype: str) -> None:
    """The only block as NumPy's format, (rows, width)."""
    stream = io.BytesIO()
    shape = (len(points), points.width)
    np.lib.format.write_array_header_1_0(stream, {"descr": KINDS[dtype][0], "fortran_order": False, "shape": shape})
    write_pieces(path, _with_rows(stream.getvalue(), points, dtype))


def write_safetensors(path: Path, points: Points, dtype: str) -> None:
    """The only block as one tensor of its name."""
    size = len(points) * points.width * np.dtype(KINDS[dtype][0]).itemsize
    shape = [len(points), points.width]
    header = json.dumps({points.name: {"dtype": KINDS[dtype][1], "shape": shape, "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    write_pieces(path, _with_rows(len(header).to_bytes(8, "little") + header, points, dtype))


def _with_rows(header: bytes, points: Points, dtype: str) -> Iterator[bytes]:
    yield header
    for _, values in points.batches(_BATCH):
        yield values.astype(KINDS[dtype][0]).tobytes()


def write_parquet(path: Path, points: Points, dtype: str) -> None:
    """The row table, and each block as a column of lists of one size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside, schema = part_path(path), schema_of(points.rows)
    lists = {name: pa.list_(pa.from_numpy_dtype(dtype), int(block.shape[1])) for name, block in points.blocks.items()}
    whole = schema.remove_metadata()
    for name, kind in lists.items():
        whole = whole.append(pa.field(name, kind))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with arrow_file(aside, "wb") as file, pq.ParquetWriter(file, whole) as writer:
            for start, frame in zip(range(0, len(points), _BATCH), points.rows.batches(_BATCH), strict=True):
                columns = pa.Table.from_pandas(frame, schema, preserve_index=False).columns
                for name, block in points.blocks.items():
                    values = np.asarray(block[start : start + _BATCH], dtype).ravel()
                    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(values), type=lists[name]))
                writer.write_table(pa.table(columns, schema=whole))
        aside.replace(path)
    except OSError as error:
        raise system_refusal(error, path) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def is_export(path: Path, to: str) -> bool:
    """Whether a file is of a format, by its beginning."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" if to == "safetensors" else start.startswith(MAGIC[to])


MAGIC = {"npy": b"\x93NUMPY", "parquet": b"PAR1"}
WRITERS = {"npy": write_npy, "safetensors": write_safetensors, "parquet": write_parquet}
