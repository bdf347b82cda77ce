"""Whatever stands in a file of an artefact, who reads it ends with its result or with one sentence.

Half of the altered files are found by their hashes. For the other half the manifest's hashes are written anew, as
somebody would who wants to be believed: what reads the file must then notice. CI alters a few files of each kind, with
a fixed seed. A long run by hand, each file of each kind in 200 ways:

    SEPARATRIX_FUZZ=200 python -m pytest tests/received/test_files.py -q
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import separatrix as sx
from received import QA, QUIET, READ, edit, hash_anew, read
from separatrix.errors import SeparatrixError
from separatrix.store.files import TEMPORARY
from separatrix.store.kinds import KINDS as ARTEFACTS
from separatrix.store.kinds import files_in, kind_of
from separatrix.store.manifest import MANIFEST
from separatrix.store.replaceable import unknown_files

ROUNDS = int(os.environ.get("SEPARATRIX_FUZZ", "0"))
SHARDS = (".f16", ".f32", ".i8")
KINDS = ("*.json", "*.toml", "*.jsonl", "*.parquet", "*.safetensors", *(f"*{ending}" for ending in SHARDS))
WHOLE = ("[" * 100_000, "null", "[]", '"x"', "{}", "NaN", "", "3", '{"a": ', "\ud800")  # in place of a JSON file
VALUES = (None, [], {}, "x", "", -1, 0, 1, 10**18, 10**30, 0.5, -1e308, True, [[1]], {"a": []}, "/etc/passwd", "\0",
          "../..", ["a", 1], float("nan"), float("inf"), "\ud800")  # fmt: skip


def altered(path: Path, chance: random.Random) -> bytes:
    """The bytes of a file with one thing altered."""
    whole = path.read_bytes()
    if chance.random() < 0.15:  # a few bytes, or the end, whatever it means
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 3))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed) if chance.random() < 0.7 else whole[: chance.randrange(len(whole))]
    return ALTER[path.suffix](path, chance)


def alter_json(path: Path, chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return chance.choice(WHOLE).encode("utf-8", "surrogatepass")
    content = json.loads(path.read_text())
    alter_value(content, chance)
    return json.dumps(content).encode()


def alter_lines(path: Path, chance: random.Random) -> bytes:
    lines = path.read_text().splitlines()
    place = chance.randrange(len(lines))
    content = json.loads(lines[place])
    alter_value(content, chance)
    lines[place] = chance.choice((json.dumps(content), json.dumps(content), *WHOLE)).encode("utf-8", "replace").decode()
    return "\n".join(lines).encode()


def alter_value(content: Any, chance: random.Random) -> None:
    """Change, rename or remove one entry anywhere in plain data."""
    if not (entries := list(places(content))):
        return
    held, key = chance.choice(entries)
    deed = chance.random()
    if deed < 0.2:
        del held[key]
    elif deed < 0.3 and isinstance(held, dict):
        held[f"{key}_"] = held.pop(key)
    elif deed < 0.45 and isinstance(held[key], int | float):
        held[key] *= chance.choice((-1, 2, 1000, 1e30))
    else:
        held[key] = chance.choice(VALUES)


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry in plain data, as the thing that holds it and its key; the outer ones more often."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(entries):
        yield content, key
        inner = list(places(value))
        yield from inner[:20]


def alter_table(path: Path, chance: random.Random) -> bytes:
    table = pd.read_parquet(path)
    column, deed = chance.choice(list(table.columns)), chance.randrange(6)
    if deed == 0:
        table = table.drop(columns=column)
    elif deed == 1:
        table = table.rename(columns={column: "other"})
    elif deed == 2:
        table = table.iloc[: chance.choice((0, 1, len(table) // 2))]
    elif deed == 3:
        table[column] = chance.choice((None, "x", -1, 10**12, float("nan")))
    elif deed == 4:
        table = pd.concat([table, table])
    else:
        table[column] = [[1, 2]] * len(table)
    table.to_parquet(path, index=False)
    return path.read_bytes()


def alter_tensors(path: Path, chance: random.Random) -> bytes:
    arrays = load_file(path)
    if not arrays:
        return path.read_bytes()[:-1]
    name, deed = chance.choice(sorted(arrays)), chance.randrange(6)
    array = arrays.pop(name)
    if deed == 1:
        arrays["other"] = array
    elif deed == 2:
        arrays[name] = array[: len(array) // 2]
    elif deed == 3:
        arrays[name] = array.reshape(1, *array.shape)
    elif deed == 4:
        arrays[name] = np.full_like(array, np.nan if array.dtype.kind == "f" else -1)
    elif deed == 5:
        with np.errstate(invalid="ignore", over="ignore"):
            arrays[name] = array.astype(chance.choice((np.int8, np.float16, np.float64)))
    save_file(arrays, path)
    return path.read_bytes()


def alter_numbers(path: Path, chance: random.Random) -> bytes:
    """A shard with other numbers, with those of another file, or shorter or longer than its rows."""
    whole, others = path.read_bytes(), sorted(path.parents[2].rglob("*.parquet"))
    deeds = (
        np.frombuffer(whole, np.uint8)[::-1].tobytes(), bytes(len(whole)), b"\xff" * len(whole), whole[:-2], whole * 2,
        whole[: len(whole) // 2], b"", chance.choice(others).read_bytes(), whole[2:] + whole[:2],
    )  # fmt: skip
    return chance.choice(deeds)


def alter_text(path: Path, chance: random.Random) -> bytes:
    """A TOML file with one line twice, gone, or with another value."""
    lines = path.read_text().splitlines()
    place = chance.randrange(len(lines))
    key = lines[place].partition("=")[0]
    odd = ("[" * 9999, "9" * 5000, "1e400", "nan", "-1", "[]", "[1, nan]", "{low = 1, high = 1e308}", '"\\u0000"', "''",
           '"../../x"', "1979-05-27", "true", '["a", 1]', "{}", "99999999999999999999")  # fmt: skip
    lines[place : place + 1] = chance.choice(([], [lines[place]] * 2, *([f"{key}= {value}"] for value in odd)))
    return "\n".join(lines).encode()


ALTER: dict[str, Callable[[Path, random.Random], bytes]] = {
    ".json": alter_json, ".toml": alter_text, ".jsonl": alter_lines, ".parquet": alter_table,
    ".safetensors": alter_tensors, **dict.fromkeys(SHARDS, alter_numbers),
}  # fmt: skip


def check(root: Path, kind: str, path: Path, chance: random.Random, scratch: Path) -> None:
    """Alter a file, let a command read it, and put the file back."""
    words = chance.choice(READ[kind])
    manifests = [
        folder / MANIFEST for folder in path.parents if root in folder.parents and (folder / MANIFEST).exists()
    ]
    before = {each: each.read_bytes() for each in {path, *manifests}}
    after = altered(path, chance)
    path.write_bytes(after)
    if chance.random() < 0.5 and path not in manifests:
        for each in manifests:
            hash_anew(each.parent)
    try:
        ran = read(root, kind, words, scratch)
        told = (words, path, after[:2000], ran.err)
        assert ran.code in (0, 2), told
        assert ran.code == 0 or (ran.err.startswith("separatrix: ") and ran.err.count("\n") == 1), told
        assert "Traceback" not in ran.err, told
    finally:
        for each, content in before.items():
            each.write_bytes(content)
        for left in scratch.parent.glob(scratch.name + "*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def files_of(folder: Path) -> list[Path]:
    """The files of an artefact that hold data."""
    return sorted(path for pattern in KINDS for path in folder.rglob(pattern))


@pytest.mark.parametrize("kind", [kind for kind in READ if kind != "heads"] + ["heads"] * bool(ROUNDS))
def test_an_altered_file_is_one_sentence(artefacts, tmp_path, kind):
    root, chance = shutil.copytree(artefacts, tmp_path / "root"), random.Random(kind)
    paths = files_of(root / kind)
    for path in paths * ROUNDS if ROUNDS else chance.sample(paths, min(len(paths), 3)):
        check(root, kind, path, chance, tmp_path / "out")


def test_altered_shards_are_one_sentence(artefacts, tmp_path):
    root, chance = shutil.copytree(artefacts, tmp_path / "root"), random.Random(1)
    (path,) = [path for path in files_of(root / "points") if path.suffix in SHARDS]
    for _ in range(12):
        check(root, "points", path, chance, tmp_path / "out")


@pytest.mark.parametrize("column", ["id", "text_hash", "split", "label"])
def test_rows_that_are_lists_are_one_sentence(artefacts, tmp_path, column):
    """Regression, found by a long run: most columns were a traceback."""
    root = shutil.copytree(artefacts / "points", tmp_path / "points")
    table = pd.read_parquet(root / "table.parquet")
    table.assign(**{column: [[1, 2]] * len(table)}).to_parquet(root / "table.parquet", index=False)
    hash_anew(root)
    ran = read(tmp_path, "points", ("score", "RUN", "--quiet"), tmp_path / "out")
    assert (ran.code, ran.err.count(f"the column {column} holds lists")) == (2, 1), ran


def test_other_lists_are_no_classes():
    points = sx.Points.of(np.eye(4), {"label": [[1], [2], [1], [2]]})
    with pytest.raises(SeparatrixError, match="the values of a column cannot be told apart"):
        sx.cluster(points, "kmeans", k=2)


def test_swapped_shards_are_noticed(artefacts, tmp_path):
    """One block's numbers under another's name: the hashes tell, and so does the width."""
    root = shutil.copytree(artefacts, tmp_path / "root")
    (one,), (other,) = (list((root / kind / "blocks").glob("*/*")) for kind in ("points", "outputs"))
    one.write_bytes(other.read_bytes())
    ran = read(root, "points", ("score", "RUN", "--quiet"), tmp_path / "out")
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran
    hash_anew(root / "points")
    ran = read(root, "points", ("score", "RUN", "--quiet"), tmp_path / "out")
    assert (ran.code, ran.err.count("does not fit its rows")) == (2, 1), ran


def test_altered_shards_of_heads_are_one_sentence(artefacts, tmp_path):
    root, chance = shutil.copytree(artefacts, tmp_path / "root"), random.Random(2)
    paths = [path for path in files_of(root / "heads") if path.suffix in SHARDS]
    assert paths
    for _ in range(200 if ROUNDS else 4):
        check(root, "heads", chance.choice(paths), chance, tmp_path / "out")


@pytest.mark.parametrize(("kind", "model"), [("answers", ""), ("align", "encoder")])
def test_a_trained_model_that_was_altered_is_no_model(artefacts, tmp_path, kind, model):
    """Regression: as `--model` of another command, it was read without its hashes."""
    root = shutil.copytree(artefacts, tmp_path / "root")
    words = ("extract", "NEW", "--model", str(root / kind / model), "--out", "OUT", "--device", "cpu", "--quiet")
    assert read(root, kind, words, tmp_path / "out").code == 0
    path = root / kind / model / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ran = read(root, kind, words, tmp_path / "again")
    assert (ran.code, ran.err.count("model.safetensors was altered")) == (2, 1), ran


def test_answers_that_are_no_texts_are_one_sentence(artefacts, tmp_path):
    """Regression, found by a long run: lists in the column were a traceback."""
    root = shutil.copytree(artefacts, tmp_path / "root")
    path = root / "answers" / "answers.parquet"
    pd.read_parquet(path).assign(answer=lambda table: [[1, 2]] * len(table)).to_parquet(path, index=False)
    hash_anew(root / "answers")
    ran = read(root, "answers", READ["answers"][1], tmp_path / "out")
    assert (ran.code, ran.err.count("answers.parquet is damaged (an answer is no text)")) == (2, 1), ran


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "new.csv", "--model", "base", "--out", "OUT", *QUIET),
        ("heads-qa", "questions.json", "--model", "base", *QA, *QUIET, "--out", "OUT"),
        ("heads", "questions.json", "--model", "base", "--max-length", "80", *QUIET, "--out", "OUT"),
    ],
)
def test_a_tokenizer_that_cannot_read_a_text_is_one_sentence(artefacts, tmp_path, words):
    """Regression, found by a long run: the token for unknown words was none of the vocabulary."""
    root = shutil.copytree(artefacts, tmp_path / "root")
    edit(root / "base" / "tokenizer.json", lambda plain: plain["model"].update(unk_token="none"))
    (root / "new.csv").write_text("text,label\n\u4e00,cat\n")
    words = [str(root / word) if word in ("new.csv", "base", "questions.json") else word for word in words]
    ran = read(root, "prompt", tuple(words), tmp_path / "out")
    assert (ran.code, ran.err.count("\n"), ran.err.count("cannot read a text")) == (2, 1, 1), ran


def test_an_option_of_no_value_under_another_name_is_one_sentence(artefacts, tmp_path):
    """Regression, found by a long run: an option that is missing was taken for one that is None, and none differed."""
    root = shutil.copytree(artefacts, tmp_path / "root")
    path = root / "answers" / "recipe.json"
    edit(path, lambda plain: plain["answers"].update(other=plain["answers"].pop("test_examples")))
    hash_anew(root / "answers")
    ran = read(root, "answers", READ["answers"][1], tmp_path / "out")
    assert (ran.code, ran.err.count("got other no such option instead of None")) == (2, 1), ran


def test_a_finished_folder_holds_what_is_needed_and_no_more(artefacts):
    """No state of a training, no cache, no part of a file: nothing goes on from them."""
    folders = [manifest.parent for manifest in artefacts.rglob(MANIFEST)]
    assert {kind_of(folder) for folder in folders} >= {"run", "answers", "atlas", "points", "sweep"}
    for folder in folders:
        kind = kind_of(folder)
        assert unknown_files(folder, kind) == []
        assert not [name for name in files_in(folder) if any(fnmatch(name, one) for one in ARTEFACTS[kind].scratch)]
    assert not [path for path in artefacts.rglob("*") if TEMPORARY.fullmatch(path.name) or path.name.endswith(".lock")]


def test_what_is_not_altered_is_read(artefacts, tmp_path):
    """Otherwise the test above would pass on artefacts that nothing reads."""
    for kind, commands in READ.items():
        if kind != "heads":
            ran = read(artefacts, kind, commands[0], tmp_path / kind)
            assert ran.code == 0, (kind, ran)
