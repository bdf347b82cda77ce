"""Malformed data for every loader, from a seed: a load gives texts, or one sentence; never a traceback.

The tests run some hundred cases in seconds. By hand, for as long as you like:

    python tests/helpers/fuzz_loaders.py --cases 20000 --seed 1
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import shutil
import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from separatrix.errors import SeparatrixError
from separatrix.texts import load_splits, load_texts
from separatrix.texts.characters import is_missing
from separatrix.texts.questions_answers import read_material

PIECES = [
    "text",
    "label",
    "group",
    ",",
    ";",
    '"text"',
    '"label"',
    '""',
    '"',
    "a",
    "1",
    "-1",
    "0.5",
    "nan",
    "[",
    "]",
    "{",
    "}",
    ":",
    "null",
    "1e999",
    "\\ud800",
]
PIECES += ["\t", "\n", "\r\n", " ", "\u200b", "e\u0301", "\ufeff", "\0", "\u2028"]
PLAIN = ["x", "a b", "été", "e\u0301te\u0301", "x\u200b"]
CELLS = ["x", "", " ", "\u200b", "1", "-1", "2.5", "nan", 'a "b" c', "two\nlines", "a,b", "a\tb", "\ufeffé", None]
VALUES = [*CELLS, 1, -1, 0.5, float("nan"), True, [], {}, 10**30, 1e308]
BYTES = [b"\xff", b"\0", b"\xed\xa0\x80", b"\n", b'"', b",", b"\t", b"[", b"{"]


def table(rng: random.Random, separator: str) -> bytes:
    """A csv or tsv that may be right, ragged, badly quoted, or noise."""
    if rng.random() < 0.2:
        return "".join(rng.choices(PIECES, k=rng.randrange(40))).encode()
    names = rng.choice([["text", "label"], ["text", "label", "group"], ["label", "text", "x"], ["text", "text"]])
    some = rng.choice([PLAIN, CELLS])
    rows = [[str(rng.choice(some) or "") for _ in names] for _ in range(rng.randrange(12))]
    quote = rng.random() < 0.5
    cells = [[f'"{cell}"' if quote and rng.random() < 0.6 else cell for cell in row] for row in rows]
    return "\n".join(separator.join(row) for row in [names, *cells]).encode()


def records(rng: random.Random, lines: bool) -> bytes:
    """JSON objects, one a line or in an array, some of them none."""
    if rng.random() < 0.2:
        return "".join(rng.choices(PIECES, k=rng.randrange(40))).encode("utf-8", "surrogatepass")
    values = rng.choice([PLAIN, VALUES])
    names = ["text", "label", *rng.choice([[], ["question", "context"]])]
    rows = [
        {name: rng.choice(values) for name in names if rng.random() < 0.97}
        if rng.random() < 0.97
        else rng.choice(VALUES)
        for _ in range(rng.randrange(8))
    ]
    return ("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)).encode()


def parquet(rng: random.Random) -> bytes:
    """A Parquet file with odd columns."""
    kinds = PLAIN, PLAIN, PLAIN, ["x", None, "\u200b"], [1, -1, None], [0.5], [["a"]]
    rows = rng.randrange(6)
    columns = {name: rng.choices(rng.choice(kinds), k=rows) for name in ("text", "label")}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression=rng.choice(["none", "snappy"]))
    return buffer.getvalue()


MAKERS = {
    ".csv": lambda rng: table(rng, ","),
    ".tsv": lambda rng: table(rng, "\t"),
    ".jsonl": lambda rng: records(rng, lines=True),
    ".json": lambda rng: records(rng, lines=rng.random() < 0.3),
    ".parquet": parquet,
}
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def zipped(raw: bytes) -> bytes:
    """One file in a .zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", raw)
    return buffer.getvalue()


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """The same bytes with a few changed, cut off or put in."""
    data = bytearray(raw)
    for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(4)
        if way == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif way == 1:
            data[at:at] = rng.choice(BYTES)
        elif way == 2:
            del data[at : at + rng.randrange(1, 9)]
        else:
            del data[at:]
    return bytes(data)


def write_file(rng: random.Random, folder: Path, stem: str) -> Path:
    """One file of any kind, packed or not, whole or damaged."""
    kind = rng.choice(list(MAKERS))
    raw, packing = damaged(rng, MAKERS[kind](rng)), rng.choice(["", "", "", *PACKERS, ".zip"])
    if packing:
        raw = damaged(rng, (PACKERS | {".zip": zipped})[packing](raw))
    path = folder / f"{stem}{kind}{packing}"
    path.write_bytes(raw)
    return path


def write_source(rng: random.Random, folder: Path) -> Path:
    """A file, a folder of parts, or class folders."""
    way = rng.random()
    if way < 0.7:
        return write_file(rng, folder, "a")
    for stem in rng.sample(["train", "validation", "dev", "test", "other"], k=rng.randrange(4)):
        if way < 0.85:
            write_file(rng, folder, stem)
        else:
            inner = folder / stem / rng.choice(["pos", "neg", "unsup"])
            inner.mkdir(parents=True)
            (inner / "1.txt").write_bytes(damaged(rng, rng.choice(CELLS[:12]).encode()))
    return folder


def outcome(rng: random.Random, source: Path) -> str:
    """Load one source in one of the three ways; the kind of what came."""
    reading = {"quoting": rng.choice(["double", "none"])} if rng.random() < 0.3 else {}
    reading |= {"sep": rng.choice([";", ",", "tab"])} if rng.random() < 0.2 else {}
    reading |= {"drop_unlabelled": True} if rng.random() < 0.3 else {}
    group = "group" if rng.random() < 0.1 else None
    try:
        way = rng.randrange(3)
        if way == 0:
            texts = load_texts(source, group=group, **reading)
            assert len(texts) == len(texts.label) > 0
            assert not any(is_missing(text) for text in texts.text)
        elif way == 1:
            load_splits(source, seed=rng.randrange(3), group=group, **reading)
        else:
            read_material(source)
    except SeparatrixError as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            raise ValueError(f"no sentence: {str(error)[:3000]}") from error
        return type(error).__name__
    return "loaded"


def run(cases: int, seed: int) -> Counter[str]:
    """Load so many sources; how often which outcome came.

    Raises:
        AssertionError: a load failed in another way; the case is named.
    """
    counts: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp())
    try:
        for case in range(cases):
            rng, place = random.Random(f"{seed} {case}"), folder / str(case)
            place.mkdir()
            try:
                with warnings.catch_warnings(action="ignore"):
                    counts[outcome(rng, write_source(rng, place))] += 1
            except Exception as error:
                raise AssertionError(f"case {case} of seed {seed}: {error!r}") from error
            shutil.rmtree(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(dict(run(options.cases, options.seed)))
