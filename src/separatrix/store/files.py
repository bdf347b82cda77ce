"""Small files, whole or not at all: tensors (safetensors), JSON, JSON lines.

Everything is written under a temporary name and renamed, so that a reader - or the next run after a `kill -9` - sees
the old file or the new one. Nothing is pickled. NumPy is loaded where tensors are read or written: the command line
answers without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

from separatrix.errors import OptionError, SeparatrixError, StoreError, readable, system_refusal
from separatrix.recipe.core import from_dict

if TYPE_CHECKING:
    import numpy as np

R = TypeVar("R")
Schema = Any  # see `mismatch`
TensorShape = tuple[int | str, ...]  # see `read_tensors`
MOST = 2**63  # whole numbers stay below
HASH_BYTES = 1 << 22  # read at a time
AGAIN = "write it again with --overwrite"
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.part")  # names that `part_path` gives


def part_path(path: Path) -> Path:
    """A hidden name beside a path, of which no other process makes use."""
    return path.with_name(f".{path.name}.{token_hex(4)}.part")


def parts_of(path: Path) -> list[Path]:
    """What stands under such names beside a path: of processes at work or killed."""
    return [part for part in path.parent.glob(".*.part") if part.name.rsplit(".", 2)[0] == f".{path.name}"]


def sweep(folder: Path, left: Collection[str] = ()) -> None:
    """Delete what killed processes left under such names below a folder; for whoever holds its lock.

    `left` are folders in it that other processes may be writing.
    """
    for part in folder.rglob(".*.part"):
        if TEMPORARY.fullmatch(part.name) and part.relative_to(folder).parts[0] not in left:
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole: temporary name, then rename; see `write_pieces`."""
    write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file piece by piece, but whole or not at all: temporary name, then rename.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        raise system_refusal(error, path) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def hash_file(*paths: Path) -> str:
    """SHA-256 of a file, or of several one behind the other, read piece by piece."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while piece := stream.read(HASH_BYTES):
                total.update(piece)
    return total.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], note: Mapping[str, Any] | None = None) -> None:
    """Named arrays and a JSON note in one safetensors file."""
    import numpy as np
    from safetensors.numpy import save

    meta = {"note": json.dumps(note, sort_keys=True)} if note is not None else None
    write_bytes(path, save({name: np.asarray(array, order="C") for name, array in tensors.items()}, meta))


def read_tensors(
    path: Path, shapes: Mapping[str, TensorShape] | None = None, note: Schema = dict
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of `write_tensors` and its note (empty if there was none).

    Args:
        shapes: what the file must hold: name -> the length of each axis, as a number or by a name that stands for one
            length in the whole file. A name that ends in "?" may be absent. These arrays are finite, and others are
            not read.
        note: schema of the note.

    Raises:
        StoreError: the file is missing, damaged, or holds something else.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder) / "x", {"weight": np.ones((2, 3)), "bias": np.ones(2)})
    ...     arrays, _ = read_tensors(Path(folder) / "x", {"weight": ("classes", "width"), "bias": ("classes",)})
    >>> sorted(arrays)
    ['bias', 'weight']
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("note", "{}")
            names = set(file.keys()) if shapes is None else {key.rstrip("?") for key in shapes} & set(file.keys())
            arrays = {name: file.get_tensor(name) for name in sorted(names)}
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:  # also formats NumPy lacks
        raise StoreError(f"{path} is damaged ({error})", hint=AGAIN) from error
    check_arrays(arrays, shapes or {}, path)
    return arrays, _parse(text, note, path)


def tensor_sizes(path: Path) -> tuple[int, int]:
    """How many numbers a safetensors file holds, and their bytes; none of them is read.

    Raises:
        StoreError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, str(error)) from error
    return sum(math.prod(shape) for shape in shapes), path.stat().st_size


def check_arrays(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, TensorShape], path: Path) -> None:
    """Raise a `StoreError` unless the arrays of a file are there, of these shapes, and finite; see `read_tensors`."""
    import numpy as np

    lengths: dict[str, int] = {}
    for key, axes in shapes.items():
        name = key.rstrip("?")
        if name not in arrays:
            if key == name:
                raise damaged(path, f"{name} is missing")
            continue
        shape = arrays[name].shape
        named = zip(axes, shape, strict=False)
        expected = [axis if isinstance(axis, int) else lengths.setdefault(axis, length) for axis, length in named]
        if len(shape) != len(axes) or list(shape) != expected:
            raise damaged(path, f"{name} has the shape {shape}", f"({', '.join(map(str, axes))})")
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise damaged(path, f"{name} holds NaN or infinity")


def as_json(value: Any, **options: Any) -> str:
    """JSON of finite numbers; paths that the system's encoding does not know have whole characters in it."""
    text = json.dumps(value, allow_nan=False, **options)
    if "\\udc" not in text:
        return text
    return json.dumps(json.loads(readable(json.dumps(value, ensure_ascii=False))), **options)


def write_json(path: Path, value: Any) -> None:
    """Plain data as indented JSON with sorted keys."""
    write_bytes(path, (as_json(value, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path, schema: Schema = object) -> Any:
    """The value of `write_json`, which fits a schema (see `mismatch`).

    Raises:
        StoreError: the file is missing, is no JSON, or holds something else.
    """
    return _parse(_read_text(path), schema, path)


def write_lines(path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    text = "".join(as_json(value, sort_keys=True) + "\n" for value in values)
    write_bytes(path, text.encode())


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Add one JSON object to a file of lines, in one piece: several processes may do so at a time."""
    line = (as_json(value, sort_keys=True) + "\n").encode()
    try:
        with path.open("ab", buffering=0) as stream:
            stream.write(line)
    except OSError as error:
        raise system_refusal(error, path) from error


def read_lines(path: Path, schema: Schema = dict) -> list[dict[str, Any]]:
    """The objects of `write_lines`, each of which fits a schema.

    Raises:
        StoreError: the file is missing or damaged.
    """
    return [_parse(line, schema, path) for line in _read_text(path).splitlines()]


def read_recipe(cls: type[R], plain: Mapping[str, Any], path: Path, *, trust_remote_code: bool = False) -> R:
    """A recipe that stands in a file.

    Raises:
        StoreError: an unknown option, or one of another type or out of its limits.
    """
    try:
        return from_dict(cls, plain, trust_remote_code=trust_remote_code)
    except OptionError as error:
        # The name of an entry that a plug-in adds is unknown without it; nothing in the file tells the two apart.
        if "unknown" in str(error) and "unknown option" not in str(error):
            hint = f"name the module that adds it with --plugin; if there is none, the file is damaged: {AGAIN}"
            raise StoreError(f"{path} names what is not here ({error})", hint=hint) from error
        raise StoreError(f"{path} is damaged ({error})", hint=AGAIN) from error


def check_format(number: int, known: int, path: Path) -> None:
    """Raise a `StoreError` if a file was written by a newer version."""
    if number > known:
        raise StoreError(
            f"{path} was written by a newer version",
            got=f"format {number}",
            expected=f"format {known} or older",
            hint="update separatrix",
        )


def damaged(path: Path, what: str, expected: object = None) -> StoreError:
    """The error of a file that holds something else than it should."""
    return StoreError(f"{path} is damaged ({what})", expected=expected, hint=AGAIN)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong while the content of an artefact is put together is a fault of its files.

    Schemas say what a file must hold; whether files fit each other (rows, columns, numbers of classes) shows here.

    Raises:
        StoreError: in place of any error of a value, a type, a key or a place.
    """
    try:
        yield
    except SeparatrixError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise damaged(path, f"{type(error).__name__}: {shorten(str(error), 120)}") from error


def is_count(value: Any) -> bool:
    """A schema: a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def mismatch(value: Any, schema: Schema, name: str = "it") -> str | None:
    """What in a plain value does not fit a schema, in words; None where all does.

    A schema is a type (`float` takes whole numbers as well, `object` anything), None, a list of one schema for all
    items, a tuple of schemas of which one must fit, a test of the value, or a mapping: keys that must be there, keys
    that may be absent ("name?"), and "*" for all others, which otherwise may hold anything.

    >>> schema = {"rows": int, "scores": {"*": {"accuracy": float}}, "note?": (str, None)}
    >>> mismatch({"rows": 3, "scores": {"test": {"accuracy": 1}}}, schema)
    >>> mismatch({"rows": 3, "scores": {"test": {"accuracy": "high"}}}, schema)
    'scores.test.accuracy is text'
    """
    if isinstance(schema, Mapping):
        return _mismatch_of_keys(value, schema, name)
    if isinstance(schema, list):
        if not isinstance(value, list):
            return f"{name} is {_kind(value)}"
        items = (mismatch(one, schema[0], f"{name}[{index}]") for index, one in enumerate(value))
        return next(filter(None, items), None)
    if isinstance(schema, tuple):
        wrong = [mismatch(value, one, name) for one in schema]
        return None if None in wrong else wrong[0]
    if isinstance(schema, type):
        kinds = (int, float) if schema is float else schema
        fits = isinstance(value, kinds) and (schema in (bool, object) or not isinstance(value, bool))
    else:
        fits = value is None if schema is None else schema(value)
    return None if fits else f"{name} is {_kind(value)}"


def _mismatch_of_keys(value: Any, schema: Mapping[str, Any], name: str) -> str | None:
    if not isinstance(value, dict):
        return f"{name} is {_kind(value)}"
    inside = "" if name == "it" else f"{name}."
    wanted = {key.rstrip("?"): part for key, part in schema.items() if key != "*"}
    absent = [key for key in schema if key != "*" and key not in value and not key.endswith("?")]
    if absent:
        return f"{inside}{absent[0]} is missing"
    rest = schema.get("*", object)
    parts = (mismatch(part, wanted.get(key, rest), f"{inside}{key}") for key, part in value.items())
    return next(filter(None, parts), None)


def _kind(value: Any) -> str:
    """A plain value in a word or two."""
    names = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), repr(value))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except (UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged ({error})", hint=AGAIN) from error


def _parse(text: str, schema: Schema, path: Path) -> Any:
    """JSON with finite numbers of 64 bits and text that can be written again, as the schema says."""
    try:
        value = json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_integer)
        if "\\ud" in text.lower():  # half of a character that needs two
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise damaged(path, "it is nested too deeply") from None
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if (wrong := mismatch(value, schema)) is not None:
        raise damaged(path, wrong)
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _integer(text: str) -> int:
    value = int(text) if len(text) < 21 else MOST
    if not -MOST < value < MOST:
        raise ValueError(f"{text[:25]} is too large")
    return value
