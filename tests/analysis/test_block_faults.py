"""What can go wrong beside a job in blocks: one sentence each, nothing lost, and the same command goes on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

import separatrix as sx
from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.scale import executors
from separatrix.scale import kmeans as kmeans_file
from separatrix.store import files, rows
from separatrix.store.points import open_points, write_points

ROWS, WIDTH = 24_000, 16
MEMORY = "1GiB"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    x = 4 * rng.normal(size=(5, WIDTH))[rng.integers(0, 5, ROWS)] + rng.normal(size=(ROWS, WIDTH)) + 30
    folder = tmp_path_factory.mktemp("points") / "p"
    write_points(folder, Points.of(x), dtype="float32")
    return folder


@pytest.fixture
def keep_all(monkeypatch):
    """Every finished task and every pass is kept, however short."""
    monkeypatch.setattr(executors, "WORTH", 0.0)
    monkeypatch.setattr(kmeans_file, "KEEP_SECONDS", 0.0)


def run(folder, out=None, **more):
    return sx.cluster(open_points(folder), "kmeans", k=5, starts=1, executor="here", memory=MEMORY, out=out, **more)


def in_blocks(monkeypatch):
    """The points are too large for the memory."""
    monkeypatch.setattr("separatrix.analysis.blocks.in_memory", lambda *_: 1 << 40)


def full(*_given, **_more):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("after", [0, 7])
def test_a_disk_that_is_full_of_finished_tasks(whole, tmp_path, monkeypatch, keep_all, after):
    in_blocks(monkeypatch)
    expected, left = run(whole), [after]

    def fill_up(descriptor):
        left[0] -= 1
        if left[0] < 0:
            full()

    monkeypatch.setattr(files.os, "fsync", fill_up)
    with pytest.raises(StoreError, match=r"No space left on device\); free some space or choose another --out"):
        run(whole, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert len(list(tmp_path.glob(".c.pending/*.npz"))) == after
    left[0] = 1 << 30
    assert run(whole, tmp_path / "c").digest == expected.digest
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["c"]


def test_a_disk_that_is_full_when_the_clusters_are_written(whole, tmp_path, monkeypatch, keep_all):
    """The clusters that are there stay, and the work is not done again."""
    in_blocks(monkeypatch)
    earlier = sx.cluster(open_points(whole), "kmeans", k=2, starts=1, out=tmp_path / "c")
    write_rows = rows.write_rows
    monkeypatch.setattr("separatrix.analysis.cluster.write_rows", full)
    with pytest.raises(StoreError, match=r"c cannot be written \(No space left on device\); free some space"):
        run(whole, tmp_path / "c", overwrite=True)
    assert sx.load(tmp_path / "c").digest == earlier.digest
    kept = len(list(tmp_path.glob(".c.pending/*.npz")))
    assert kept > 3
    monkeypatch.setattr("separatrix.analysis.cluster.write_rows", write_rows)
    computed = []
    real = executors._timed
    monkeypatch.setattr(executors, "_timed", lambda *task: (computed.append(task), real(*task))[1])
    assert run(whole, tmp_path / "c", overwrite=True).clusters == 5
    assert not computed  # all of it was kept
    assert not (tmp_path / ".c.pending").exists()


def test_a_shard_that_is_truncated_between_two_passes_is_named(whole, tmp_path, monkeypatch, keep_all):
    in_blocks(monkeypatch)
    shard = next((whole / "blocks").rglob("00002.f32"))
    content = shard.read_bytes()

    def cut(stage, done, total, _note):
        if stage == "k-means, pass 1" and done == total:
            shard.write_bytes(content[: len(content) // 2])

    points, options = open_points(whole), {"k": 5, "starts": 1, "out": tmp_path / "c"}
    try:
        with pytest.raises(StoreError, match=r"00002\.f32 cannot be read \(.*\); extract it again"):
            sx.cluster(points, "kmeans", progress=cut, **options)
        assert not (tmp_path / "c").exists()
        with pytest.raises(StoreError, match=r"00002\.f32 is truncated: got \d+ bytes, expected \d+"):
            open_points(whole)
    finally:
        shard.write_bytes(content)
    stages = []
    made = sx.cluster(points, "kmeans", progress=lambda stage, *_: stages.append(stage), **options)
    assert made.digest == run(whole).digest
    assert "k-means, pass 1" not in stages  # it was kept


def test_a_second_writer_of_one_folder_is_refused_and_harms_nothing(whole, tmp_path, monkeypatch, keep_all):
    in_blocks(monkeypatch)
    refused = []

    def second(stage, _done, _total, _note):
        if stage == "k-means, pass 2" and not refused:
            with pytest.raises(StoreError, match="c is being written by another process: got process") as caught:
                run(whole, tmp_path / "c")
            refused.append(caught)

    points = open_points(whole)
    made = sx.cluster(points, "kmeans", k=5, starts=1, out=tmp_path / "c", progress=second)
    assert refused
    assert made.digest == sx.load(tmp_path / "c").digest == run(whole).digest


@pytest.mark.parametrize("hours", [-9, 9])
def test_clocks_that_differ_decide_nothing(whole, tmp_path, monkeypatch, keep_all, hours):
    """Files of another machine come from its past or its future; what they hold counts, not when."""
    in_blocks(monkeypatch)

    def stop(stage, done, total, _note):
        if stage == "labels" and done == total:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        run(whole, tmp_path / "c", progress=stop)
    for path in [*tmp_path.glob(".c.pending/*"), *(whole / "blocks").rglob("*.f32")]:
        then = path.stat().st_mtime + 3600 * hours
        os.utime(path, (then, then))
    computed = []
    real = executors._timed
    monkeypatch.setattr(executors, "_timed", lambda *task: (computed.append(task), real(*task))[1])
    assert run(whole, tmp_path / "c").digest == sx.load(tmp_path / "c").digest
    assert not computed


def test_a_budget_smaller_than_one_shard_gives_the_same_bytes(whole, tmp_path, monkeypatch):
    """A shard is mapped, not loaded."""
    in_blocks(monkeypatch)
    write_points(tmp_path / "one", open_points(whole), dtype="float32", shard_rows=ROWS)
    shard = next((tmp_path / "one" / "blocks").rglob("*.f32"))
    monkeypatch.setattr("separatrix.analysis.blocks.check_budget", lambda *_a, **_k: None)  # its floor is higher
    small = sx.cluster(open_points(tmp_path / "one"), "kmeans", k=5, starts=1, memory=f"{shard.stat().st_size // 4}")
    assert small.digest == run(whole).digest
