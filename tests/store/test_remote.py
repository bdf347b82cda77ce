"""Points are read by an address as from a folder; nothing is written by one."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

import separatrix as sx
from separatrix.cli import main
from separatrix.errors import MissingExtra, OptionError, StoreError
from separatrix.points import Points
from separatrix.scale.blocks import BlockSource
from separatrix.store.points import open_block, open_points, write_points
from separatrix.store.remote import url_of

X = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32) + np.repeat([[0], [9]], 250, axis=0)


@pytest.fixture(params=["float32", "int8"])
def folder(tmp_path, request) -> Path:
    write_points(
        tmp_path / "p", Points.of({"own name": X}, {"label": ["a", "b"] * 250}), dtype=request.param, shard_rows=128
    )
    return tmp_path / "p"


@pytest.fixture(params=["file", "memory"])
def url(folder, request):
    """The store at an address that PyArrow knows, and at one that fsspec knows."""
    if request.param == "file":
        yield f"file://{folder}"
        return
    files = fsspec.filesystem("memory")
    files.put(str(folder), "/bucket/p", recursive=True)
    yield "memory://bucket/p"
    files.rm("/bucket", recursive=True)


def test_points_are_those_of_the_folder(folder, url):
    far, near = open_points(url), open_points(folder)
    np.testing.assert_array_equal(far.values, near.values)
    np.testing.assert_array_equal(far.blocks["own name"][[3, 400, 3]], near.blocks["own name"][[3, 400, 3]])
    assert far.table.equals(near.table)
    assert far.origin["folder"] == url
    again = pickle.loads(pickle.dumps(open_block(url)))  # as a task takes it to another process
    np.testing.assert_array_equal(again[100:300], near.values[100:300])
    assert BlockSource.open(url).fingerprint() == BlockSource.open(folder).fingerprint()


def test_verbs_take_an_address(folder, url, tmp_path, capsys):
    expected = sx.cluster(folder, "kmeans", k=2)
    assert sx.cluster(url, "kmeans", k=2, executor="here", memory="400MB").digest == expected.digest
    assert main(["cluster", url, "--k", "2", "--out", str(tmp_path / "c"), "--quiet", "--json"]) == 0
    assert sx.load(tmp_path / "c").digest == expected.digest
    capsys.readouterr()


def test_files_that_do_not_fit_are_named(folder):
    shard = next((folder / "blocks").rglob("00001.*"))
    whole, url = shard.read_bytes(), f"file://{folder}"
    changed = bytes([whole[0] ^ 1]) + whole[1:]
    shard.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match=r"00001\.\w+ is truncated: got \d+ bytes, expected \d+"):
        open_points(url)
    shard.write_bytes(changed)
    with pytest.raises(StoreError, match=r"file://.*00001\.\w+ was altered"):
        open_points(url, verify=False).values[:]
    shard.write_bytes(whole)
    points = open_points(url)
    shard.unlink()
    with pytest.raises(StoreError, match=r"file://.*00001\.\w+ cannot be read .*; look at the address"):
        points.values[:]
    with pytest.raises(StoreError, match=r"00001\.\w+ is missing"):
        open_points(url)


@pytest.mark.parametrize("address", ["file:///nowhere/at/all", "memory://nowhere", "odd+kind://x/y"])
def test_an_address_without_points_is_one_sentence(address):
    with pytest.raises(StoreError, match=r"://.* cannot be read \(.*\); look at the address and at your credentials"):
        open_points(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/points", "https://127.0.0.1:1/points"])
def test_a_web_server_is_refused_with_the_way_around(address):
    with pytest.raises(StoreError, match=r"a web server does not say which files it has; copy the folder here \(wget"):
        open_points(address)


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match=r'memory://b/p needs fsspec; pip install "separatrix\[remote\]"'):
        open_points("memory://b/p")


@pytest.mark.parametrize("out", ["s3://bucket/c", Path("s3://bucket/c"), "memory://bucket/c"])
def test_nothing_is_written_by_an_address(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    points = Points.of(X)
    for write in (lambda: sx.cluster(points, "kmeans", k=2, out=out), lambda: write_points(out, points)):
        with pytest.raises(
            StoreError, match=r"://bucket/c can be read but not written: expected a folder of this mach"
        ):
            write()
    assert not list(tmp_path.iterdir())


def test_paths_are_no_addresses():
    for path in ("points/trec", "C:/points", "/a/b:c/d", "a:b", "."):
        assert url_of(path) is None
    assert url_of(Path("file:///a/b/")) == "file:///a/b"
    with pytest.raises((StoreError, OptionError), match="is no folder"):
        sx.cluster("points/nowhere", "kmeans", k=2)
