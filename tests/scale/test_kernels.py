"""Kernels on a GPU give what they give on a CPU; what stands twice is compared here, on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from separatrix.scale import kernels
from separatrix.scale import lloyd as lloyd_file
from separatrix.scale.blocks import BlockSource
from separatrix.scale.kernels import Preparation

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
ROWS, WIDTH, CLASSES = 9000, 24, 5


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(ROWS, WIDTH)) @ rng.normal(size=(WIDTH, WIDTH)) + 20).astype(np.float16)


@pytest.fixture(scope="module")
def arguments(x):
    """What each kernel is given after the rows."""
    rng, wide = np.random.default_rng(1), x.astype(np.float64)
    plain = Preparation("standardise", wide.mean(axis=0), 1 / wide.std(axis=0), np.eye(WIDTH), 0, np.full(WIDTH, 0.5))
    classes = rng.integers(-1, CLASSES, ROWS)
    axes, few = np.linalg.qr(rng.normal(size=(WIDTH, 4)))[0].T, x[:40].astype(np.float32)
    return {
        "moments": (plain, True), "fourth_powers": (plain,), "project": (plain, np.zeros(WIDTH), axes),
        "sketch": (plain, np.zeros(WIDTH), axes), "assign": (None, few[:CLASSES].astype(np.float64)),
        "class_moments": (classes, CLASSES), "fourth_within": (classes, rng.normal(size=(CLASSES, WIDTH))),
        "linear": (plain, rng.normal(size=(CLASSES, WIDTH)), rng.normal(size=CLASSES)),
        "nearest_members": (None, few, np.arange(40) % CLASSES, np.full(CLASSES, 30.0)),
    }  # fmt: skip


def agree(one, two):
    """The same arrays; of labels, all but those that stand between two to within rounding."""
    assert one.keys() == two.keys()
    for name, expected in two.items():
        if expected.dtype.kind == "i":
            assert (one[name] == expected).mean() > 0.999, name
        else:
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=1e-30)
            scale *= 300 if name in ("upper", "lower") else 1  # of a row on its centroid, the bounds are rounding
            np.testing.assert_allclose(one[name], expected, atol=3e-6 * scale, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("full", [True, False])
def test_squares_are_the_same_in_numpy_and_in_torch(x, full):
    centred = torch.from_numpy(x.astype(np.float32)) - 20
    rest, share = kernels._squares_by_torch(centred, full)
    expected_rest, expected_share = kernels._squares_by_numpy(centred, full)
    np.testing.assert_allclose(rest, expected_rest, atol=1e-5)
    np.testing.assert_allclose(share, expected_share, rtol=1e-5, atol=1e-4 * float(expected_share.max()))


def test_moments_by_torch_are_those_of_numpy(x, monkeypatch):
    source = BlockSource.of(x)
    expected = kernels.moments(source, None, True)
    monkeypatch.setattr(kernels, "_squares_by_numpy", kernels._squares_by_torch)
    agree(kernels.moments(source, None, True), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_by_class_are_a_product(x, dtype):
    rows, ids = torch.from_numpy(x).to(dtype), torch.arange(ROWS) % CLASSES
    total = torch.zeros((CLASSES, WIDTH), dtype=dtype)
    kernels.add_by_class(total, ids, rows)
    torch.testing.assert_close(kernels.sums_as_product(ids, rows, CLASSES), total, rtol=1e-5, atol=1e-3)


def test_float32_is_multiplied_as_it_is_and_the_users_choice_comes_back():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with kernels.one_thread():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_tiles_of_a_gpu_are_larger_and_hold_the_same_rows(x, monkeypatch):
    """The larger tile is asked for as a GPU asks for it; its memory is that of the test."""
    source = BlockSource.of(x)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (64 * 4 * WIDTH * 6000, 0))
    assert kernels.rows_of_tile(source, torch.device("cuda")) == 6000
    assert kernels.rows_of_tile(source.part(0, 50), torch.device("cuda")) == 50
    assert kernels.rows_of_tile(source, torch.device("cuda"), 0, WIDTH // 2) == 3000  # and so many scores of each row
    assert kernels.rows_of_tile(source, kernels.CPU) == kernels.tile_rows(WIDTH)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=gpu) for name in
     ("moments", "fourth_powers", "project", "sketch", "assign", "class_moments", "fourth_within", "linear",
      "nearest_members")],
)  # fmt: skip
def test_kernels_on_cuda_are_those_of_the_cpu(x, arguments, name):
    kernel, source = getattr(kernels, name), BlockSource.of(x)
    with kernels.one_thread():
        on_gpu, again = (kernel(source, *arguments[name], "cuda") for _ in range(2))
        agree(on_gpu, kernel(source, *arguments[name]))
    assert all(on_gpu[part].tobytes() == again[part].tobytes() for part in on_gpu)  # added in a fixed order


def passes(x, device="cpu"):
    """Two passes of k-means for two k at once."""
    source, made = BlockSource.of(x), []
    ks = tuple(x[:k].astype(np.float32) for k in (CLASSES, 1))
    bounds = tuple(lloyd_file.Bounds.none(ROWS) for _ in ks)
    for step in (0.0, 0.25):
        moves = tuple(np.full(len(one), step * WIDTH**0.5, np.float32) for one in ks)
        made.append(lloyd_file.lloyd(source, None, tuple(one + step for one in ks), moves, bounds, device))
        bounds = tuple(
            lloyd_file.Bounds(*(made[-1][name][k] for name in lloyd_file.Bounds._fields)) for k in range(len(ks))
        )
    return made


def test_a_pass_of_kmeans_by_torch_is_that_of_numpy(x, monkeypatch):
    expected = passes(x)
    assert 0 < np.abs(expected[1]["counts"]).sum() < ROWS  # some rows move
    monkeypatch.setattr(lloyd_file, "_scorer_by_numpy", lloyd_file._scorer_by_torch)
    for one, two in zip(passes(x), expected, strict=True):
        agree(one, two)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_pass_of_kmeans_on_cuda_is_that_of_the_cpu(x):
    with kernels.one_thread():
        for one, two in zip(passes(x, "cuda"), passes(x), strict=True):
            agree(one, two)
