"""A matrix read by row ranges is the matrix, wherever it lies and however it is cut."""

from __future__ import annotations

import pickle
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import OptionError, StoreError
from separatrix.points import Points
from separatrix.scale.blocks import BlockSource, parts, ranges, task_rows, tile_rows
from separatrix.scale.kernels import tiles
from separatrix.store.points import write_points


@pytest.fixture(scope="module", params=["float16", "float32", "int8"])
def stored(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    x = np.random.default_rng(0).normal(size=(1000, 5))
    write_points(folder / request.param, Points.of(x), dtype=request.param, shard_rows=96)
    return folder / request.param


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 999), rows=st.integers(1, 400), tile=st.integers(1, 200))
def test_any_part_sent_to_another_process_gives_the_same_rows(stored, start, rows, tile):
    source = BlockSource.open(stored)
    whole = source.read(0, 1000)
    part = source.part(start, min(start + rows, 1000))
    again = pickle.loads(pickle.dumps(part))
    assert (again.read(0, again.rows) == whole[start : start + rows]).all()
    assert (np.concatenate([x.numpy().copy() for _, x in tiles(again, rows=tile)]) == whole[start : start + rows]).all()


def test_what_is_sent_is_no_more_than_the_files_that_hold_the_rows(stored):
    source = BlockSource.open(stored)
    assert [file.name[:5] for file in source.part(100, 190).block.files] == ["00001"]
    assert len(pickle.dumps(source.part(100, 190))) < len(pickle.dumps(source)) / 3


def test_rows_of_a_matrix_in_memory_are_sent_alone():
    source = BlockSource.of(np.zeros((10_000, 8)))
    assert len(pickle.dumps(source.part(5, 15))) < 2000


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "i8", "i1", "?"])
def test_every_kind_of_number_becomes_float32(kind):
    x = np.array([[0, 1], [1, 1], [1, 0]]).astype(kind)
    x.setflags(write=False)
    (_, tile), *_ = tiles(BlockSource.of(x[::-1]))
    assert tile.dtype.is_floating_point
    assert tile.tolist() == [[1, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (5000, 3), (100_000, 256), (2_000_000, 2048), (10**8, 64)])
def test_tasks_hold_whole_tiles_and_all_rows_once(rows, width):
    step = task_rows(rows, width)
    assert step % tile_rows(width) == 0
    edges = list(ranges(rows, step))
    assert edges[0][0] == 0
    assert edges[-1][1] == rows
    assert all(before[1] == after[0] for before, after in pairwise(edges))


def test_an_altered_shard_is_named(tmp_path: Path):
    write_points(tmp_path / "p", Points.of(np.ones((20, 2))), shard_rows=10)
    source = BlockSource.open(tmp_path / "p")
    file = next((tmp_path / "p" / "blocks").rglob("00001.*"))
    file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(StoreError, match=re.escape(f"{file} was altered")):
        source.read(0, 20)


def test_a_block_is_named_where_there_are_several(tmp_path: Path):
    write_points(tmp_path / "p", Points.of({"a": np.ones((20, 2)), "b": np.ones((20, 3))}))
    assert BlockSource.open(tmp_path / "p", "b").width == 3
    with pytest.raises(OptionError, match="these points hold several blocks: got a, b; name one: --block"):
        BlockSource.open(tmp_path / "p")


def test_the_name_of_a_task_follows_its_numbers(stored):
    source = BlockSource.open(stored)
    one, two = (part.fingerprint() for _, part in list(parts(BlockSource.of(np.arange(20_000.0).reshape(-1, 2))))[:2])
    assert one != two
    assert source.part(0, 50).fingerprint() == BlockSource.open(stored).part(0, 50).fingerprint()
    assert source.part(0, 50).fingerprint() != source.part(0, 51).fingerprint()
