"""Columns of numbers and texts on their way into the page: compressed, each in an inert element, read when needed.

Numbers are the raw little-endian bytes of an array. Texts stand in blocks of `STEP` rows: the length of each in bytes
as 32-bit numbers, then all in UTF-8. Each block is a zlib stream in base64. The same columns give the same bytes.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from separatrix.errors import ShapeError

STEP = 4096  # texts of a block
STEPS = 65535  # of a 16-bit number
MISSING = 65535  # where a share is not known
TYPES = {"u1", "u2", "u4", "f4"}  # little-endian
LEVEL = 6  # of zlib

Column = np.ndarray | Sequence[str]


class ColumnPacker:
    """Takes the columns of all sections of a page, and numbers their blocks."""

    source = ""  # where a page may ask for more than stands in it; "": nowhere

    def __init__(self) -> None:
        self.count = 0
        self.numbers: list[Markup] = []  # stand before the script: the first picture needs them
        self.texts: list[Markup] = []  # stand behind it

    def pack(self, columns: Mapping[str, Column]) -> dict[str, dict[str, Any]]:
        """What the script must know of columns: type, shape, and in which blocks they are."""
        return {
            name: self._pack_numbers(name, column) if isinstance(column, np.ndarray) else self._pack_texts(column)
            for name, column in columns.items()
        }

    def _pack_numbers(self, name: str, column: np.ndarray) -> dict[str, Any]:
        kind = f"{column.dtype.kind}{column.dtype.itemsize}"
        if kind not in TYPES:
            raise ShapeError(f"column {name!r} of a page has another type", got=column.dtype, expected=sorted(TYPES))
        content = np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
        return {"type": kind, "shape": list(column.shape), "block": self._block(content, self.numbers)}

    def _pack_texts(self, column: Sequence[str]) -> dict[str, Any]:
        blocks = []
        for start in range(0, len(column), STEP):
            # Half a surrogate pair, from a text in a broken encoding, has no bytes: it becomes a question mark.
            parts = [text.encode(errors="replace") for text in column[start : start + STEP]]
            lengths = np.array([len(part) for part in parts], "<u4")
            blocks.append(self._block(lengths.tobytes() + b"".join(parts), self.texts))
        return {"type": "text", "rows": len(column), "step": STEP, "blocks": blocks}

    def _block(self, content: bytes, elements: list[Markup]) -> int:
        packed = base64.b64encode(zlib.compress(content, LEVEL)).decode()  # no sign of it ends an element
        elements.append(
            Markup('<script type="application/octet-stream" id="block-{}">{}</script>').format(
                self.count, Markup(packed)
            )
        )
        self.count += 1
        return self.count - 1


def unpack(header: Mapping[str, Any], page: str) -> np.ndarray | list[str]:
    """A column as it stands in the text of a page: what the script does, in Python."""
    if header["type"] != "text":
        return np.frombuffer(_content(header["block"], page), f"<{header['type']}").reshape(header["shape"])
    texts: list[str] = []
    for number in header["blocks"]:
        content, count = _content(number, page), min(STEP, header["rows"] - len(texts))
        at = 4 * count
        for length in np.frombuffer(content[:at], "<u4").tolist():
            texts.append(content[at : at + length].decode())
            at += length
    return texts


def _content(number: int, page: str) -> bytes:
    match = re.search(rf'id="block-{number}">([^<]*)<', page)
    if match is None:
        raise ShapeError("the page has no such block", got=number)
    return zlib.decompress(base64.b64decode(match[1]))


def section_data(page: str, section: str) -> dict[str, Any]:
    """The plain data of a section, as they stand in the text of a page."""
    part = page.partition(f'<section id="{section}"')[2]
    plain: dict[str, Any] = json.loads(part.partition('<script type="application/json">')[2].partition("</script>")[0])
    return plain


def in_steps(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Values (..., axes) as 16-bit steps between two ends of each axis."""
    return np.rint((values.astype(np.float64) - low) / (high - low) * STEPS).astype(np.uint16)


def share_steps(shares: np.ndarray) -> np.ndarray:
    """Shares of 0 to 1 as 16-bit steps; what is not finite is `MISSING`."""
    known = np.isfinite(shares)
    steps = np.rint(np.clip(np.where(known, shares, 0), 0, 1) * (STEPS - 1))
    return np.where(known, steps, MISSING).astype(np.uint16)
