"""Every reduction over blocks against its slow, plain oracle in memory."""

from __future__ import annotations

import numpy as np
import pytest

from separatrix.codes import draw_rows
from separatrix.errors import DataError, ShapeError
from separatrix.geometry.neighbors import neighbors as near_in_memory
from separatrix.geometry.plane import fit_plane as plane_in_memory
from separatrix.geometry.prepare import prepare
from separatrix.geometry.separation import CLASSIFIERS
from separatrix.scale import moments as moments_file
from separatrix.scale.blocks import BlockSource
from separatrix.scale.classes import LINEAR, class_sums
from separatrix.scale.job import BlockJob
from separatrix.scale.moments import coordinates, fit_plane, moments
from separatrix.scale.nearest import neighbors
from separatrix.scale.prepare import fit_preparation
from separatrix.scale.sample import draw_examples

ROWS = 10_000  # three tasks


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(ROWS, 12)) @ rng.normal(size=(12, 12)) + 50).astype(np.float32)


@pytest.fixture(scope="module")
def heaps():
    rng = np.random.default_rng(1)
    centres, classes = rng.normal(size=(5, 8)), rng.integers(0, 5, ROWS)
    return (centres[classes] + rng.normal(size=(ROWS, 8)) + 3).astype(np.float32), classes


def test_moments_are_those_of_all_rows(x):
    whole = moments(BlockSource.of(x), BlockJob(), full=True)
    wide = x.astype(np.float64)
    assert whole.count == ROWS
    np.testing.assert_allclose(whole.mean, wide.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(whole.covariance, np.cov(wide.T, bias=True), atol=1e-6 * np.var(wide, axis=0).max())
    assert (whole.low == x.min(axis=0)).all()
    assert (whole.high == x.max(axis=0)).all()


def test_a_small_spread_about_a_large_mean_is_not_drowned():
    """Bad before, good after: sums of squares lose the spread altogether."""
    x = (1e4 + np.random.default_rng(0).normal(size=(ROWS, 3))).astype(np.float32)
    true = x.astype(np.float64).var(axis=0)
    single = (x**2).mean(axis=0) - x.mean(axis=0) ** 2
    assert np.abs(single / true - 1).max() > 0.5
    np.testing.assert_allclose(moments(BlockSource.of(x), BlockJob()).variance, true, rtol=1e-5)


@pytest.mark.parametrize("how", ["none", "standardise", "whiten", "unit"])
def test_prepared_rows_are_those_of_memory(x, how):
    x = x.copy()
    x[:, 3] = 7  # a constant column
    made, expected = fit_preparation(BlockSource.of(x), how, BlockJob()), prepare(x, how)
    assert made.constant == expected.constant == 1
    np.testing.assert_allclose(made.apply(x), expected.values, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: np.column_stack([x, np.arange(ROWS)]), "column 12 of the vectors numbers the rows"),
        (lambda x: np.ones_like(x), "all rows are the same"),
        (lambda x: x * 1e20, "vectors are too large to be squared"),
    ],
)
def test_bad_rows_are_refused_as_in_memory(x, change, message):
    with pytest.raises(DataError, match=message):
        fit_preparation(BlockSource.of(change(x)), "none", BlockJob())
    with pytest.raises(DataError, match=message):
        prepare(change(x))


@pytest.mark.parametrize("widest", [moments_file.WIDEST, 4])  # the second takes the range finder
def test_the_plane_is_that_of_memory(x, widest, monkeypatch):
    monkeypatch.setattr(moments_file, "WIDEST", widest)
    source = BlockSource.of(x)
    plane, expected = fit_plane(source, 3, BlockJob()), plane_in_memory(x, dimensions=3)
    np.testing.assert_allclose(plane.explained, expected.explained, rtol=1e-5)
    np.testing.assert_allclose(plane.axes, expected.axes, atol=1e-5)
    np.testing.assert_allclose(coordinates(source, plane, BlockJob()), expected.place(x), atol=1e-3)


def test_directions_that_do_not_vary_are_no_axes():
    x = np.repeat(np.random.default_rng(0).normal(size=(ROWS, 1)), 3, axis=1).astype(np.float32)
    plane = fit_plane(BlockSource.of(x), 2, BlockJob())
    assert plane.explained.round(6).tolist() == [1, 0]
    assert not plane.axes[1].any()


@pytest.mark.parametrize("name", ["centroid", "lda"])
def test_classifiers_from_sums_answer_as_in_memory(heaps, name):
    x, classes = heaps
    source = BlockSource.of(x)
    answers = LINEAR[name](class_sums(source, classes, 5, BlockJob())).answers(source, BlockJob())
    assert (answers == CLASSIFIERS[name](x, classes, 5, x)).all()


def test_rows_without_a_class_are_answered_and_not_fitted_to(heaps):
    x, classes = heaps
    some = np.where(np.arange(ROWS) % 3 == 0, -1, classes)
    known, source = some >= 0, BlockSource.of(x)
    answers = LINEAR["lda"](class_sums(source, some, 6, BlockJob())).answers(source, BlockJob())
    assert (answers == CLASSIFIERS["lda"](x[known], classes[known], 6, x)).all()  # class 5 has no row


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_nearest_rows_are_those_of_memory(heaps, metric, exclude_self):
    x = heaps[0]
    queries = x if exclude_self else x[:700] + 1
    tasks = (BlockSource.of(queries), BlockSource.of(x), 7, BlockJob())
    near = neighbors(*tasks, metric=metric, exclude_self=exclude_self)
    expected = near_in_memory(queries, x, 7, metric=metric, exclude_self=exclude_self)
    np.testing.assert_allclose(near.distance, expected.distance, atol=2e-6)
    assert (near.index == expected.index).mean() > 0.999  # those at one distance to within rounding may change places


def test_nearest_rows_refuse_what_cannot_be(heaps):
    x = BlockSource.of(heaps[0][:10])
    with pytest.raises(DataError, match="k is larger than the number of rows to choose from: got 10, expected 9"):
        neighbors(x, x, 10, BlockJob(), exclude_self=True)
    with pytest.raises(ShapeError, match="queries have the wrong width: got 3, expected 8"):
        neighbors(BlockSource.of(np.ones((2, 3))), x, 1, BlockJob())


def test_a_sample_holds_whole_examples_as_many_from_each_shard():
    rng = np.random.default_rng(0)
    examples = np.repeat(np.arange(400), rng.integers(1, 9, 400))
    shards = (len(examples) // 2, len(examples) - len(examples) // 2)
    rows = draw_examples(examples, shards, 200, 0)
    drawn = set(examples[rows])
    assert np.isin(examples, list(drawn)).sum() == len(rows)  # whole
    first = {name: int(np.flatnonzero(examples == name)[0]) for name in drawn}
    sizes = [sum((examples == name).sum() for name in drawn if (first[name] < shards[0]) == half) for half in (1, 0)]
    assert all(90 <= size <= 100 for size in sizes)
    assert (rows == draw_examples(examples, shards, 200, 0)).all()
    assert (
        len(rows) != len(draw_examples(examples, shards, 200, 1))
        or (rows != draw_examples(examples, shards, 200, 1)).any()
    )
    with pytest.raises(ShapeError, match="shards do not fit the rows"):
        draw_examples(examples, (1, 2), 3, 0)


def test_drawn_rows_are_as_many_as_asked_for_each_once():
    rows = draw_rows(10**9, 1000, 3)
    assert len(np.unique(rows)) == 1000
    assert (np.diff(rows) > 0).all()
