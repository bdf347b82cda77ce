"""Small files are whole or not there; damaged ones are named; nothing that JSON cannot say is written."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from separatrix.errors import StoreError
from separatrix.store import files
from separatrix.store.files import (
    read_json,
    read_lines,
    read_tensors,
    write_bytes,
    write_json,
    write_lines,
    write_tensors,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(value=PLAIN)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@settings(max_examples=40, deadline=None, derandomize=True)
@given(values=st.lists(st.dictionaries(st.text(max_size=5), PLAIN, max_size=3), max_size=4))
def test_lines_round_trip(tmp_path_factory, values):
    """One object a line, also with the many line ends that Unicode knows inside a text."""
    path = tmp_path_factory.getbasetemp() / "values.jsonl"
    write_lines(path, [*values, {"text": "a\nb\u2028c\x85d"}])
    assert read_lines(path) == [*values, {"text": "a\nb\u2028c\x85d"}]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    array=arrays.arrays(
        st.sampled_from(["<f2", "<f4", "<f8", "<i4", "<i8", "|u1", "|b1"]), arrays.array_shapes(min_dims=0, max_dims=3)
    ),
    note=st.dictionaries(st.text(max_size=5), PLAIN, max_size=3),
)
def test_tensors_round_trip(tmp_path_factory, array, note):
    path = tmp_path_factory.getbasetemp() / "arrays.safetensors"
    turned = array.T  # not contiguous
    write_tensors(path, {"one": array, "two": turned}, note)
    found, told = read_tensors(path)
    assert list(found) == ["one", "two"]
    assert found["one"].dtype == array.dtype
    assert found["one"].shape == array.shape
    assert found["one"].tobytes() == array.tobytes()
    np.testing.assert_array_equal(found["two"], turned)
    assert told == note


def test_tensors_without_a_note(tmp_path):
    write_tensors(tmp_path / "x", {"one": np.ones(2)})
    assert read_tensors(tmp_path / "x")[1] == {}


def test_the_same_content_is_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_tensors(tmp_path / name, {"a": np.ones(3), "b": np.zeros(2)}, {"y": 1, "x": 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    write_json(tmp_path / "one", {"y": 1, "x": 2})
    write_json(tmp_path / "two", {"x": 2, "y": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_say_are_refused(tmp_path, number):
    (tmp_path / "old").write_text("{}")
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_json(tmp_path / "old", {"loss": number})
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_lines(tmp_path / "old", [{"loss": 1.0}, {"loss": number}])
    assert (tmp_path / "old").read_text() == "{}"


# Whole or not at all


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "state"
    write_bytes(path, b"old")
    monkeypatch.setattr(files.os, step, full)
    with pytest.raises(
        StoreError, match=r"state cannot be written .No space left on device.; free some space or choose"
    ):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_an_interrupt_keeps_the_old_file(tmp_path, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt("stop")

    path = tmp_path / "state"
    write_bytes(path, b"old")
    monkeypatch.setattr(files.os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_bytes(path, b"newer")  # what was left under the temporary name is in nobody's way
    assert os.listdir(tmp_path) == ["state"]


KILLED = """
import os, signal, sys
from pathlib import Path
from separatrix.store import files
setattr(files.os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
files.write_bytes(Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_kill_keeps_the_old_file(tmp_path, step):
    path = tmp_path / "state"
    write_bytes(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), step], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_bytes(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert len(files.parts_of(path)) == 1  # another process may be at work under such a name
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["state"]


def test_missing_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "x.json", 1)
    assert read_json(tmp_path / "a" / "b" / "x.json") == 1


def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"x\.json cannot be written \(.+\); a part of the path is a file: choose"):
        write_json(tmp_path / "file" / "x.json", 1)
    with pytest.raises(StoreError, match=r"x\.json cannot be written \(.+\); a part of the path is a file: choose"):
        write_json(tmp_path / "file" / "deeper" / "x.json", 1)


# Reading


@pytest.mark.parametrize("read", [read_json, read_lines, read_tensors])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(StoreError, match=r"nowhere\.x does not exist"):
        read(tmp_path / "nowhere.x")


@pytest.mark.parametrize("read", [read_json, read_lines, read_tensors])
@pytest.mark.parametrize("content", [b'{"a": ', b"\xff\xfe{}", b"x" * 200])
def test_a_damaged_file_is_named(tmp_path, read, content):
    (tmp_path / "broken.x").write_bytes(content)
    with pytest.raises(StoreError, match=r"broken\.x is damaged"):
        read(tmp_path / "broken.x")


@pytest.mark.parametrize("read", [read_json, read_lines, read_tensors])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, read):
    with pytest.raises(StoreError, match=rf"{tmp_path.name} is damaged"):
        read(tmp_path)


def test_tensors_cut_short_are_damaged(tmp_path):
    write_tensors(tmp_path / "x", {"one": np.ones(100)}, {"a": 1})
    whole = (tmp_path / "x").read_bytes()
    for length in (0, 4, 50, len(whole) - 1):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"x is damaged .*; write it again with --overwrite"):
            read_tensors(tmp_path / "x")
