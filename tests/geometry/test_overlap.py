"""Neighbors that stay, against plain sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import ShapeError
from separatrix.geometry.neighbors import METRICS, neighbors
from separatrix.geometry.overlap import kept_share, without_self


def nearest(x, row, k, metric):
    """The k other rows nearest to a row."""
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    order = np.argsort(np.linalg.norm(x - x[row], axis=1), kind="stable")
    return {int(other) for other in order[order != row][:k]}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), k=st.integers(1, 8), metric=st.sampled_from(METRICS))
def test_the_share_is_that_of_sets(seed, k, metric):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 4))
    changed = x + 0.3 * rng.normal(size=x.shape)
    own = np.arange(40)
    before, after = (without_self(neighbors(one, one, k + 1, metric=metric), own).index for one in (x, changed))
    expected = [len(nearest(x, row, k, metric) & nearest(changed, row, k, metric)) / k for row in own]
    np.testing.assert_allclose(kept_share(x, x[before], x[after], metric=metric), expected)


def test_which_of_equal_rows_is_listed_does_not_count():
    x = np.repeat(np.random.default_rng(0).normal(size=(5, 3)), 6, axis=0)
    queries = x[::6]
    before, after = (np.arange(0, 30, 6)[:, None] + some for some in ([1, 2, 3], [5, 4, 3]))
    for metric in METRICS:
        assert kept_share(queries, x[before], x[after], metric=metric).tolist() == [1] * 5


def test_a_row_is_left_out_even_if_more_than_k_rows_equal_it():
    x = np.ones((9, 2))
    near = without_self(neighbors(x, x, 4, metric="euclidean"), np.arange(9))
    assert near.index.shape == (9, 3)
    assert not (near.index == np.arange(9)[:, None]).any()


def test_neighbors_of_other_queries_are_refused():
    with pytest.raises(ShapeError, match=r"do not fit the queries: got \(2, 3\), \(1, 4, 3\) and \(1, 4, 3\)"):
        kept_share(np.zeros((2, 3)), np.zeros((1, 4, 3)), np.zeros((1, 4, 3)))
