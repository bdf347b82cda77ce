"""Differences on the same rows: McNemar's test, a paired bootstrap, Holm's correction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.resample import compare_answers, holm


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_both_ways_round_say_the_same(pairs):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    one, other = compare_answers(a, b), compare_answers(b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.interval[0] <= one.difference <= one.interval[1]
    told = one.a_only + one.b_only
    assert one.p_value == (binomtest(one.a_only, told).pvalue if told else 1)


def test_a_planted_difference_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    good, bad = rng.random(800) < 0.9, rng.random(800) < 0.8
    found = compare_answers(good, bad)
    assert found.p_value < 1e-4
    assert found.interval[0] > 0.03
    p_values = [compare_answers(rng.random(200) < 0.8, rng.random(200) < 0.8).p_value for _ in range(200)]
    assert np.mean(np.array(p_values) < 0.05) < 0.08


def test_interval_equals_drawing_rows():
    rng = np.random.default_rng(1)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.7
    rows = rng.integers(300, size=(4000, 300))
    slow = np.percentile(a[rows].mean(axis=1) - b[rows].mean(axis=1), (2.5, 97.5))
    np.testing.assert_allclose(compare_answers(a, b, resamples=4000).interval, slow, atol=0.008)


def test_holm_equals_the_slow_way():
    p = np.array([0.2, 0.001, 0.04, 0.03, 0.5])
    order, running, slow = np.argsort(p), 0.0, np.empty(5)
    for place, row in enumerate(order):
        running = max(running, min(1.0, p[row] * (5 - place)))
        slow[row] = running
    np.testing.assert_allclose(holm(p), slow)
    assert len(holm([])) == 0


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="answers of a have no rows"):
        compare_answers(np.array([], bool), np.array([], bool))
    with pytest.raises(ShapeError, match="answers of b must say right or wrong: got int64"):
        compare_answers([True], [1])
    with pytest.raises(ShapeError, match="answers of a and answers of b differ in length: got 1 and 2 rows"):
        compare_answers([True], [True, False])
