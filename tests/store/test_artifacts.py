"""Artefacts: whole or not there, one writer at a time, replaced only by their own kind, and believed only if hashed."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from separatrix.errors import DataError, StoreError
from separatrix.store import artifacts, lock
from separatrix.store.artifacts import resume_artifact, write_artifact, write_file
from separatrix.store.contents import open_artifact
from separatrix.store.kinds import KINDS, kind_of

STOPS = [KeyboardInterrupt("by hand"), RuntimeError("a bug"), SystemExit("ended"), DataError("one class")]
STOPPED = pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
SAVED = "checkpoint.safetensors"


def write(out, name="result.json", text="{}", kind="map", stop=None, **options):
    """Work that writes one file and may meet an error."""
    with write_artifact(out, kind, {"seed": 0}, **options) as folder:
        (folder / name).write_text(text)
        if stop is not None:
            raise stop


def train(out, name="result.json", text="{}", stop=None, **options):
    """Work on a run that writes one file and may meet an error."""
    with resume_artifact(out, "run", {"seed": 0}, keep=lambda folder: (folder / SAVED).exists(), **options) as folder:
        (folder / name).write_text(text)
        if stop is not None:
            raise stop


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Written whole


def test_the_manifest_says_what_was_written(tmp_path):
    write(tmp_path / "deep" / "map")
    assert names(tmp_path / "deep") == ["map"]
    assert json.loads((tmp_path / "deep/map/manifest.json").read_text()) == {
        "kind": "map",
        "format": 2,
        "recipe": {"seed": 0},
        "files": {
            "result.json": {
                "bytes": 2,
                "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            }
        },
    }
    with write_artifact(None, "map") as folder:
        assert folder is None


@STOPPED
def test_whatever_stops_the_work_leaves_the_old_one(tmp_path, stop):
    out = tmp_path / "deep" / "map"
    with pytest.raises(type(stop), match=str(stop)):
        write(out, "half", stop=stop)
    assert names(tmp_path) == []
    write(out, text="old")
    with pytest.raises(type(stop), match=str(stop)):
        write(out, "half", overwrite=True, stop=stop)
    assert files(tmp_path) == {"deep/map/result.json": b"old"}
    assert names(tmp_path / "deep") == ["map"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("step", ["rename", "mkdir"])
def test_what_the_system_refuses_is_its_own_sentence(tmp_path, monkeypatch, step, number):
    write(tmp_path / "map", text="old")

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    hints = {
        errno.ENOSPC: "free some space",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "ask for the right to use it",
        errno.EMFILE: r"raise the number of open files \(ulimit -n\)",
    }
    monkeypatch.setattr(artifacts.Path, step, refuse)
    with pytest.raises(StoreError, match=rf"map cannot be written \({os.strerror(number)}\).*{hints[number]}"):
        write(tmp_path / "map", overwrite=True)
    monkeypatch.undo()
    assert files(tmp_path) == {"map/result.json": b"old"}


def test_a_working_directory_that_was_deleted_is_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StoreError, match="the working directory was deleted; change to a folder that exists"):
        write("map")


# Replaced only if it is the verb's own


@pytest.mark.parametrize("work", [write, train])
def test_a_path_that_is_taken_is_refused(tmp_path, work):
    work(tmp_path / "out", text="old")
    with pytest.raises(
        StoreError, match=r"out exists; type --overwrite to replace it(, --resume to go on)?, or choose"
    ):
        work(tmp_path / "out")
    (tmp_path / "file").write_text("mine")
    for options in ({}, {"overwrite": True}):
        with pytest.raises(StoreError, match=r"file is a file: expected a folder for the (map|run); choose another"):
            work(tmp_path / "file", **options)
    assert files(tmp_path) == {"out/result.json": b"old", "file": b"mine"}
    work(tmp_path / "out", text="new", overwrite=True)
    assert files(tmp_path / "out") == {"result.json": b"new"}


@pytest.mark.parametrize("work", [write, train])
def test_other_kinds_and_other_folders_are_not_replaced(tmp_path, work):
    write(tmp_path / "score", kind="score")
    home = tmp_path / "home"
    (home / "photos").mkdir(parents=True)
    for name in ("result.json", "thesis.docx", "photos/cat.jpg"):
        (home / name).write_text("years of work")
    before = files(tmp_path)
    with pytest.raises(StoreError, match=r"score is not empty and not replaced: got score, expected (map|run)"):
        work(tmp_path / "score", overwrite=True)
    with pytest.raises(StoreError, match="home is not empty and not replaced: got nothing that separatrix wrote"):
        work(home, overwrite=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize("work", [write, train])
def test_an_artefact_with_an_unknown_file_is_not_replaced(tmp_path, work):
    work(tmp_path / "out")
    (tmp_path / "out" / "photos").mkdir()
    (tmp_path / "out" / ".DS_Store").write_text("the system's")
    work(tmp_path / "out", overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "thesis")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="it holds link and 1 more, which this command did not write; choose another"):
        work(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_folders_of_earlier_versions_are_known_by_their_files(tmp_path):
    for kind, spec in KINDS.items():
        folder = tmp_path / kind
        for name in (*spec.marks, *spec.files):
            path = folder / name.split("|")[0].replace("*", "x")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        assert kind_of(folder) == kind
        assert open_artifact(folder, kind).files is None
        if kind != "points":
            write(folder, text="new", kind=kind, overwrite=True)
            assert files(folder) == {"result.json": b"new"}
    assert kind_of(tmp_path) is None
    assert kind_of(tmp_path / "none") is None


def test_an_input_is_never_replaced(tmp_path):
    write(tmp_path / "map")
    (tmp_path / "link").symlink_to(tmp_path / "map")
    for given in ("map", "map/result.json", "link"):
        with pytest.raises(StoreError, match="map is not replaced: the command reads it"):
            write(tmp_path / "map", overwrite=True, inputs=(None, "hub/name", tmp_path / given))
    table = tmp_path / "in.csv"
    table.write_text("text,label")
    os.link(table, tmp_path / "same.csv")
    for out, given in (("in.csv", table), ("same.csv", table), ("map/result.json", tmp_path / "map")):
        with (
            pytest.raises(StoreError, match=r"(in\.csv|same\.csv|result\.json) is not replaced: the command reads it"),
            write_file(tmp_path / out, overwrite=True, inputs=(given,)),
        ):
            pytest.fail("entered")
    (tmp_path / "map" / "answers.csv").write_text("old")  # of no command: it may be written again
    with write_file(tmp_path / "map" / "answers.csv", overwrite=True, inputs=(tmp_path / "map",)) as path:
        path.write_text("new")
    with pytest.raises(StoreError, match="map is a folder: expected a file"), write_file(tmp_path / "map"):
        pytest.fail("entered")
    with pytest.raises(StoreError, match=r"in\.csv exists; type --overwrite"), write_file(table):
        pytest.fail("entered")


# Work that can be gone on with


@STOPPED
def test_what_was_begun_stays_only_if_it_can_be_gone_on_with(tmp_path, stop):
    with pytest.raises(type(stop), match=str(stop)):
        train(tmp_path / "run", "recipe.json", stop=stop)
    assert names(tmp_path) == []
    with pytest.raises(type(stop), match=str(stop)):
        train(tmp_path / "run", SAVED, stop=stop)
    with pytest.raises(StoreError, match="run was not finished; go on with --resume"):
        open_artifact(tmp_path / "run")
    train(tmp_path / "run", resume=True)
    assert list(open_artifact(tmp_path / "run", "run").files) == ["result.json"]  # the state is no part of it
    assert names(tmp_path / "run") == [SAVED, "manifest.json", "result.json"]


@STOPPED
def test_the_replaced_one_is_put_back_unless_the_new_one_can_be_gone_on_with(tmp_path, stop):
    train(tmp_path / "run", text="old")
    with pytest.raises(type(stop), match=str(stop)):
        train(tmp_path / "run", text="new", overwrite=True, stop=stop)
    assert files(tmp_path) == {"run/result.json": b"old"}
    with pytest.raises(type(stop), match=str(stop)):
        train(tmp_path / "run", SAVED, "new", overwrite=True, stop=stop)
    assert files(tmp_path) == {f"run/{SAVED}": b"new"}


@STOPPED
def test_a_finished_one_that_was_not_touched_is_finished_again(tmp_path, stop):
    train(tmp_path / "run")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    time.sleep(0.05)  # coarser than the clock of any disk
    with pytest.raises(type(stop), match=str(stop)), resume_artifact(tmp_path / "run", "run", resume=True):
        raise stop
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    with pytest.raises(type(stop), match=str(stop)):
        train(tmp_path / "run", text="half", resume=True, stop=stop)
    with pytest.raises(StoreError, match="run was not finished"):
        open_artifact(tmp_path / "run")


def test_going_on_hashes_what_was_touched_and_nothing_else(tmp_path):
    train(tmp_path / "run", "recipe.json")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "recipe.json").write_text("{ }")  # altered by somebody
    time.sleep(0.05)
    train(tmp_path / "run", "report.html", resume=True)
    with pytest.raises(StoreError, match=r"recipe\.json is longer than it was written"):
        open_artifact(tmp_path / "run")
    assert list(open_artifact(tmp_path / "run", only=("report.html",)).files) == ["recipe.json", "report.html"]
    with pytest.raises(StoreError, match=r"it holds notes\.txt, which this command did not write"):
        train(tmp_path / "run", overwrite=True)


# Killed, and two at once

HOST = """
import os, sys, time
from pathlib import Path
from separatrix.store.artifacts import write_artifact, resume_artifact
way, out, options = sys.argv[1], Path(sys.argv[2]), dict.fromkeys(sys.argv[3:], True)
if way == "resume":
    work = resume_artifact(out, "run", **options)
else:
    work = write_artifact(out, "map", **options)
with work as folder:
    (folder / "result.json").write_text("theirs")
    print("inside", flush=True)
    time.sleep(60)
"""


def begin(*words):
    """Another process that stands in the middle of its work."""
    process = subprocess.Popen([sys.executable, "-c", HOST, *map(str, words)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "inside\n"
    return process


@pytest.mark.parametrize("way", ["write", "resume"])
def test_a_second_process_is_refused_and_a_killed_one_is_cleared_away(tmp_path, way):
    work = {"write": write, "resume": train}[way]
    other = begin(way, tmp_path / "out")
    message = rf"out is being written by another process: got process {other.pid} on .+ since .+; wait for it, or"
    for options in ({}, {"overwrite": True}):
        with pytest.raises(StoreError, match=message):
            work(tmp_path / "out", **options)
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    work(tmp_path / "out", text="ours", overwrite=way == "resume")
    assert files(tmp_path) == {"out/result.json": b"ours"}
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("way", ["write", "resume"])
def test_a_killed_overwrite_does_not_cost_the_old_one(tmp_path, way):
    work = {"write": write, "resume": train}[way]
    work(tmp_path / "out", text="old")
    other = begin(way, tmp_path / "out", "overwrite")
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    with pytest.raises(StoreError, match="out exists"):
        work(tmp_path / "out")
    assert files(tmp_path) == {"out/result.json": b"old"}
    assert names(tmp_path) == ["out"]


def test_what_was_set_aside_is_lost_neither_for_a_new_one_nor_for_a_stranger(tmp_path):
    train(tmp_path / "run", text="old")
    (tmp_path / "run").rename(tmp_path / ".run.replaced")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="run is not empty and not replaced"):
        train(tmp_path / "run", overwrite=True)
    assert files(tmp_path) == {"run/thesis.txt": b"mine", ".run.replaced/result.json": b"old"}


def test_a_lock_of_another_host_is_not_taken_over(tmp_path, monkeypatch):
    path = lock.lock_path(tmp_path / "map")
    path.write_text(json.dumps({"host": "elsewhere", "process": 1, "since": "then"}))
    with pytest.raises(
        StoreError, match=r"process 1 on elsewhere since then; if that process has ended, delete .*lock"
    ):
        write(tmp_path / "map")
    for left in ("", "{", '{"host": 3}', json.dumps({"host": socket.gethostname(), "process": os.getpid()})):
        path.write_text(left if left != '{"host": 3}' else "[3]")
        write(tmp_path / "map", overwrite=True)
    assert names(tmp_path) == ["map"]


def test_a_lock_of_another_host_is_waited_for_an_hour(tmp_path, monkeypatch):
    """Regression: for ever, and in silence."""
    path = lock.lock_path(tmp_path / "map")
    path.write_text(json.dumps({"host": "elsewhere", "process": 1, "since": "then"}))
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        os.utime(path, (0, path.stat().st_mtime - 1200))

    monkeypatch.setattr(lock.time, "sleep", sleep)
    refused = pytest.raises(StoreError, match="on elsewhere since then; if that process has ended, delete")
    with refused, lock.waiting(tmp_path / "map"):
        pass
    assert 2 <= len(waits) <= 4


def test_where_the_file_system_has_no_locks_a_living_process_counts(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=f"got process {os.getpid()} on"), write_artifact(tmp_path / "map", "map"):
        write(tmp_path / "map")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock.lock_path(tmp_path / "map").write_text(json.dumps({"host": socket.gethostname(), "process": dead.pid}))
    write(tmp_path / "map")


# Read


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, r"result\.json was altered: got SHA-256"),
        (lambda path: path.write_text("{"), r"result\.json is truncated: got 1 bytes, expected 2"),
        (lambda path: path.unlink(), r"result\.json is missing"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_named(tmp_path, damage, message):
    write(tmp_path / "map")
    damage(tmp_path / "map" / "result.json")
    with pytest.raises(StoreError, match=message):
        open_artifact(tmp_path / "map")
    open_artifact(tmp_path / "map", only=("*.parquet",))
    if damage is flip:
        open_artifact(tmp_path / "map", verify=False)


def test_another_kind_or_nothing_is_refused(tmp_path):
    write(tmp_path / "map")
    with pytest.raises(StoreError, match="map holds no finished run: got map; give a folder that a command wrote"):
        open_artifact(tmp_path / "map", "run")
    with pytest.raises(StoreError, match="holds no result: got nothing that separatrix wrote"):
        open_artifact(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "written by a newer version: got format 3, expected format 2 or older; update separatrix"),
        ({"format": "x"}, r"manifest\.json is damaged \(format is text\)"),
        ({"files": []}, r"manifest\.json is damaged \(files is a list\)"),
        ({"files": {"a": 3}}, r"manifest\.json is damaged \(files is an object\)"),
        ({"files": {"../../x": {"bytes": 1, "sha256": ""}}}, "lies outside the folder"),
        ({"files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}}, "lies outside the folder"),
        ({"files": {"out": {"bytes": 1, "sha256": ""}}}, "lies outside the folder"),
        ({"files": {"a\0b": {"bytes": 1, "sha256": ""}}}, r"manifest\.json is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_believed_is_refused(tmp_path, change, message):
    write(tmp_path / "map")
    (tmp_path / "map" / "out").symlink_to(tmp_path)
    path = tmp_path / "map" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreError, match=message):
        open_artifact(tmp_path / "map")
