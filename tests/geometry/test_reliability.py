"""Figures of probabilities beside slow ones, and what no order of the rows may change."""

import numpy as np
import pytest

from separatrix.errors import DataError
from separatrix.geometry.reliability import reliability, threshold_of, wilson


def drawn(rows, classes=3, seed=0, sharpen=1.0):
    """Probabilities, and labels drawn from them before they are sharpened."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(classes, 0.5), size=rows)
    y = (true.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    said = true**sharpen
    return said / said.sum(axis=1, keepdims=True), y


def test_calibration_error_equals_a_slow_one_over_bins_of_equal_mass():
    p, y = drawn(600, sharpen=2.0)
    got = reliability(p, y)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    slow, order = 0.0, np.argsort(confidence)
    for part in np.array_split(order, 15):
        slow += len(part) / 600 * abs(right[part].mean() - confidence[part].mean())
    assert len(got.curve) == 15
    assert {one.rows for one in got.curve} == {40}
    assert got.expected_calibration_error == pytest.approx(slow, abs=1e-12)
    assert got.brier == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(axis=1).mean())
    assert got.log_loss == pytest.approx(-np.log(p[np.arange(600), y]).mean())
    assert got.accuracy == pytest.approx(right.mean())
    assert got.distinct == 1.0


def test_probabilities_that_are_true_have_the_error_of_perfect_ones_and_sharpened_ones_do_not():
    true, y = drawn(2000)
    honest, boastful = reliability(true, y), reliability(drawn(2000, sharpen=3.0)[0], y)
    assert honest.expected_calibration_error < 2 * honest.error_if_perfect
    assert boastful.interval[0] > 3 * boastful.error_if_perfect
    assert boastful.interval[0] <= boastful.expected_calibration_error <= boastful.interval[1]
    means = np.array([[one.confidence, *one.interval] for one in boastful.curve])
    assert (means[2:-3, 0] > means[2:-3, 2]).all()  # what sounds surest is right less often than it says


def test_no_figure_depends_on_the_order_of_the_rows_and_equal_confidences_share_a_bin():
    p, y = drawn(400)
    p[:250] = (0.8, 0.1, 0.1)
    shuffled = np.random.default_rng(1).permutation(400)
    one, other = reliability(p, y), reliability(p[shuffled], y[shuffled])
    assert one.expected_calibration_error == pytest.approx(other.expected_calibration_error, abs=1e-12)
    assert [each.rows for each in one.curve] == [each.rows for each in other.curve]
    assert [each.accuracy for each in one.curve] == [each.accuracy for each in other.curve]
    assert max(each.rows for each in one.curve) >= 250
    assert one.distinct == pytest.approx(151 / 400)


def test_coverage_answers_the_surest_rows_and_equal_ones_together():
    p = np.array([[0.9, 0.1]] * 2 + [[0.8, 0.2]] * 2 + [[0.6, 0.4]] * 2)
    got = reliability(p, [0, 0, 0, 1, 1, 1]).coverage
    shares = [(round(one.coverage, 3), one.min_probability, round(one.accuracy, 3)) for one in got]
    assert shares == [(1.0, 0.6, 0.5), (0.667, 0.8, 0.75), (0.333, 0.9, 1.0)]
    assert threshold_of(p.max(axis=1), 0.5) == 0.8
    assert threshold_of([0.3, 0.2], 1.0) == 0.2


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (40, 50)])
def test_the_interval_of_a_share_holds_it_and_stays_within_0_and_1(hits, rows):
    low, high = wilson(hits, rows)
    assert 0 <= low <= hits / rows <= high <= 1
    assert high - low > 0.1


def test_few_rows_have_one_bin_and_what_is_no_distribution_is_refused():
    p, y = drawn(8)
    assert len(reliability(p, y).curve) == 1
    with pytest.raises(DataError, match="row 1 is no distribution"):
        reliability([[0.5, 0.5], [0.9, 0.9]], [0, 1])
