"""What a GGUF file says of itself, checked before anything else reads the file.

GGUF is llama.cpp's format: keys and values, a table of tensors, and the tensors, most of them quantised. Numbers in it
decide what its readers allocate and how far they count, so they are compared with the size of the file first. Nothing
in it is run.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from separatrix.errors import MissingExtra, ModelError, public_name

ENDING = ".gguf"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
LONGEST = 2**22  # of an array: vocabularies have a million words at most
SHORT = 1024  # an array of so many numbers is kept
AXES = 4
ALIGNMENT = 32  # of the tensors, unless the file says otherwise
# Of a model's sizes: none is larger than the largest side of a tensor, or than their number.
SIZES = (
    *("block_count", "embedding_length", "feed_forward_length", "vocab_size", "attention.head_count"),
    *("attention.head_count_kv", "attention.key_length", "attention.value_length", "rope.dimension_count"),
    *("expert_count", "expert_used_count", "expert_feed_forward_length", "ssm.conv_kernel", "ssm.state_size"),
    *("ssm.inner_size", "ssm.time_step_rank", "ssm.group_count", "shortconv.l_cache", "nextn_predict_layers"),
)


@dataclass(frozen=True)
class TensorEntry:
    """A tensor of the table."""

    shape: tuple[int, ...]  # the axis that moves fastest first
    kind: str  # how its numbers are stored, as llama.cpp names it: F32, Q4_1, ...
    elements: int


@dataclass(frozen=True)
class GGUFHeader:
    """Values by key, longer arrays left out, and the table of tensors."""

    values: dict[str, Any]
    tensors: dict[str, TensorEntry]

    @property
    def elements(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.elements for tensor in self.tensors.values())

    @property
    def quantisation(self) -> str | None:
        """How most quantised weights are stored, in words; None where none is quantised."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.kind] += tensor.elements
        kinds = [kind for kind, _ in counts.most_common() if kind not in ("F64", "F32", "F16", "BF16")]
        bits = re.search(r"\d+", kinds[0]) if kinds else None
        return f"{bits[0]}-bit weights ({', '.join(kinds)})" if bits else None


def read_header(path: Path) -> GGUFHeader:
    """The header of a GGUF file, whose numbers fit the file.

    Raises:
        MissingExtra: the package gguf, which knows the kinds of tensors, is not installed.
        ModelError: another file, one that was cut, a later version, or sizes that its tensors do not have.
    """
    try:
        with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
            header = _Cursor(data).header()
    except (struct.error, OverflowError) as error:
        raise unreadable(path, "it ends within its header") from error
    except (OSError, ValueError) as error:
        raise unreadable(path, str(error)) from error
    if header.values.get("split.count", 1) not in (0, 1):
        raise unreadable(path, "it is one of several parts", hint="merge them with llama-gguf-split --merge")
    return header


def unreadable(path: Path, why: str, hint: str | None = None) -> ModelError:
    """The one sentence for a GGUF file that cannot be used."""
    why = " ".join("".join(letter if letter.isprintable() else " " for letter in why).split())
    return ModelError(f"the GGUF file {public_name(path)} cannot be read ({why[:200]})", hint=hint)


class _Cursor:
    """A place in the bytes of a file."""

    def __init__(self, data: mmap) -> None:
        self.data, self.position = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        """The next numbers, little-endian; a `struct.error` beyond the end."""
        form = f"<{form}"
        values = struct.unpack_from(form, self.data, self.position)
        self.position += struct.calcsize(form)
        return values

    def skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self.data):
            raise struct.error("beyond the end")

    def text(self) -> str:
        (length,) = self.numbers("Q")
        self.skip(length)
        return self.data[self.position - length : self.position].decode("utf-8")

    def header(self) -> GGUFHeader:
        magic, version, tensors, count = self.numbers("4sIQQ")
        if magic != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        if version not in VERSIONS:
            raise ValueError(f"its version is {version}, and {' and '.join(map(str, VERSIONS))} are known")
        values: dict[str, Any] = {}
        for _ in range(count):
            name = self.text()
            if name in values:
                raise ValueError(f"{name} stands in it twice")
            values[name] = self.value(*self.numbers("I"))
        if not isinstance(values.get("general.architecture"), str):
            raise ValueError("it does not name its architecture")
        header = GGUFHeader(values, self.table(tensors, values.get("general.alignment", ALIGNMENT)))
        _check_sizes(header)
        return header

    def value(self, kind: int) -> Any:
        """A value; of an array that is long, or of texts, its length is not kept either."""
        if kind in SCALARS:
            return self.numbers(SCALARS[kind])[0]
        if kind == TEXT:
            return self.text()
        if kind != ARRAY:
            raise ValueError(f"it holds a value of the unknown type {kind}")
        inner, count = self.numbers("IQ")
        if count > LONGEST:
            raise ValueError(f"it holds an array of {count} values")
        if inner == TEXT:
            for _ in range(count):
                self.skip(self.numbers("Q")[0])
        elif inner not in SCALARS:
            raise ValueError(f"it holds an array of the unknown type {inner}")
        elif count <= SHORT:
            return self.numbers(f"{count}{SCALARS[inner]}")
        else:
            self.skip(count * struct.calcsize(SCALARS[inner]))
        return None

    def table(self, count: int, alignment: Any) -> dict[str, TensorEntry]:
        """The tensors, each of which lies in the file; together they are not longer than it."""
        kinds, tensors, total, last = _kinds(), dict[str, TensorEntry](), 0, 0
        for _ in range(count):
            name, (axes,) = self.text(), self.numbers("I")
            if name in tensors or not 1 <= axes <= AXES:
                raise ValueError(f"the tensor {name} stands in it twice, or has {axes} axes")
            shape = self.numbers(f"{axes}Q")
            number, offset = self.numbers("IQ")
            if number not in kinds:
                raise ValueError(f"the tensor {name} is stored in the unknown type {number}")
            kind, block, size = kinds[number]
            elements = 1
            for side in shape:
                elements *= side
            if not elements or shape[0] % block:
                raise ValueError(f"the tensor {name} has the shape {shape}, in blocks of {block}")
            tensors[name] = TensorEntry(shape, kind, elements)
            total, last = total + elements // block * size, max(last, offset + elements // block * size)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"its alignment is {alignment}")
        begin = -(-self.position // alignment) * alignment
        if begin + max(total, last) > len(self.data):
            raise ValueError(f"it was cut: it has {len(self.data)} bytes, and {begin + max(total, last)} are named")
        return tensors


def _kinds() -> dict[int, tuple[str, int, int]]:
    """Number of a kind of tensor -> its name, the elements of a block, and its bytes."""
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError as error:
        hint = 'type: pip install "separatrix[lm]"'
        raise MissingExtra("reading a GGUF file needs the packages gguf and accelerate", hint=hint) from error
    return {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}


def _check_sizes(header: GGUFHeader) -> None:
    sides = (side for tensor in header.tensors.values() for side in tensor.shape)
    most = max((len(header.tensors), *sides))
    for size in SIZES:
        name = f"{header.values['general.architecture']}.{size}"
        values = header.values.get(name)
        for value in values if isinstance(values, tuple) else (values,):
            if isinstance(value, int) and not 0 <= value <= most:
                raise ValueError(f"{name} is {value}, and its tensors have sides of {most} at most")
