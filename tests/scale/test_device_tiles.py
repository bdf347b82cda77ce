"""Tiles in PyTorch give the neighbors and the labels of NumPy's; on the CPU here, on CUDA where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from separatrix.errors import DataError, OptionError
from separatrix.geometry import tiles as plain_tiles
from separatrix.geometry.density import DensityGraph, Reading, dbscan
from separatrix.geometry.neighbors import neighbors as near_by_numpy
from separatrix.scale import device_tiles
from separatrix.scale.blocks import BlockSource
from separatrix.scale.device_tiles import near_on, nearest
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import CPU, exact_products
from separatrix.scale.nearest import neighbors

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
    ),
]


@pytest.fixture(autouse=True)
def exact():
    with exact_products():
        yield


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles so small that a few hundred rows take every path."""
    for name, value in {"TILE": 16, "_SMALL": 64, "_CELL_ROWS": 20}.items():
        monkeypatch.setattr(plain_tiles, name, value)
    for name, value in {"_LEAST": 16, "_LARGEST": 16, "_MEASURED": 500}.items():
        monkeypatch.setattr(device_tiles, name, value)


def heaps(rows, width, seed=0):
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.3, 1.5, 6)
    which = rng.integers(0, 6, rows)
    x = 4 * rng.normal(size=(6, width))[which] + spread[which, None] * rng.normal(size=(rows, width))
    return (x + 100).astype(np.float32)


def whole_numbers(rows, width, seed=0):
    """Many equal rows, and many pairs exactly at whole distances."""
    return np.random.default_rng(seed).integers(0, 3, (rows, width)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("min_samples", [1, 2, 9])
@pytest.mark.parametrize(
    ("x", "radii"),
    [
        (heaps(500, 12), [1.0, 2.0, 3.5, 6.0, 30.0]),
        (whole_numbers(400, 10), [1.0, 2.0, float(np.sqrt(5)), 3.0]),
        (np.repeat(heaps(12, 9), 30, axis=0), [1e-6, 5.0]),
        (heaps(300, 3), [0.3, 1.0, 4.0]),  # a tree lists, tiles link
    ],
    ids=["heaps", "at_eps", "duplicates", "narrow"],
)
def test_labels_are_those_of_numpys_tiles(small_tiles, device, x, radii, min_samples):
    made = DensityGraph.build(x, radii, min_samples, reading=Reading(device_tiles.device_tiles(device)))
    expected = DensityGraph.build(x, radii, min_samples, engine="numpy")
    for level in range(len(radii)):
        one, two = made.clusters(level, min_samples), expected.clusters(level, min_samples)
        assert one.labels.tolist() == two.labels.tolist()
        assert one.core.tolist() == two.core.tolist()
    assert len({expected.clusters(level, min_samples).labels.tobytes() for level in range(len(radii))}) > 1


@pytest.mark.parametrize("device", DEVICES)
def test_a_tile_gives_what_may_still_matter_and_no_more(small_tiles, device):
    x = whole_numbers(60, 9)
    space = device_tiles.device_tiles(device)(x, np.array([2.0, 9.0]), "numpy", None)
    rows = np.arange(60)
    near = space.near(rows, rows, 1, (np.ones(60), np.full(60, 2)), diagonal=True, most=4)
    assert (near.left < near.right).all()
    assert 60 * 4 / 2 <= len(near.left) <= 60 * 4 * 2 < 60 * 59 / 2  # all are within 9
    one_each = space.near(rows, rows, 1, (rows % 2, 2 + rows % 3), diagonal=True)
    assert sorted(zip(one_each.left % 2, one_each.right % 3, strict=True)) == [(i, j) for i in (0, 1) for j in range(3)]


def test_rows_beyond_the_memory_of_a_device_are_refused(monkeypatch):
    monkeypatch.setattr(device_tiles, "_free", lambda _on: 1000)
    with pytest.raises(OptionError, match=r"the rows do not fit into the memory of cpu: .*; use --device cpu"):
        dbscan(heaps(200, 10), 1.0, reading=Reading(device_tiles.device_tiles("cpu")))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [30, 700])
def test_nearest_rows_are_those_of_numpy(monkeypatch, device, metric, rows):
    monkeypatch.setattr(device_tiles, "_columns", lambda *_: 97)
    x = heaps(rows, 20)
    x[1:rows:150] = x[1]  # equal rows
    x[5] = 0
    queries = x[:100] + np.float32(0.01)
    made = near_on(device)(queries, x, 6, metric=metric)
    expected = near_by_numpy(queries, x, 6, metric=metric)
    np.testing.assert_allclose(made.distance, expected.distance, atol=1e-5)
    assert (made.index == expected.index).mean() > 0.99
    assert (made.index.dtype, made.distance.dtype) == (expected.index.dtype, expected.distance.dtype)


def test_nearest_rows_refuse_what_numpys_refuse():
    x = heaps(30, 4)
    x[3, 1] = np.nan
    with pytest.raises(DataError, match="rows: row 3 is not finite"):
        nearest(x[:2], x, 3, metric="cosine", on=CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_nearest_rows_of_blocks_on_cuda(small_tiles):
    x = BlockSource.of(heaps(6000, 16))
    made, expected = (neighbors(x, x, 5, BlockJob(device=each), exclude_self=True) for each in ("cuda", "cpu"))
    np.testing.assert_allclose(made.distance, expected.distance, atol=1e-5)
    assert (made.index == expected.index).mean() > 0.99
