import numpy as np
import pytest
from scipy import stats

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.resample import mean_interval, paired_difference

VALUES = [0.951, 0.962, 0.949, 0.97, 0.958]


def test_interval_equals_scipy():
    found = mean_interval(VALUES)
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.mean, found.runs) == (pytest.approx(np.mean(VALUES)), 5)


def test_one_run_has_no_interval_and_equal_runs_have_none_to_speak_of():
    assert mean_interval([0.5]).to_dict() == {"mean": 0.5, "low": None, "high": None, "runs": 1}
    same = mean_interval([0.5, 0.5, 0.5])
    assert (same.low, same.high) == (0.5, 0.5)


def test_paired_difference_equals_scipy_and_sees_what_separate_intervals_hide():
    better = np.add(VALUES, [0.004, 0.005, 0.006, 0.005, 0.004])
    found = paired_difference(better, VALUES)
    expected = stats.ttest_rel(better, VALUES).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low > 0
    assert mean_interval(better).low < mean_interval(VALUES).high


def test_impossible_input_is_refused():
    with pytest.raises(ShapeError, match="values of a and values of b differ in length: got 1 and 2 rows"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="values have no rows"):
        mean_interval([])
    with pytest.raises(DataError, match="values: row 1 is not finite"):
        mean_interval([1.0, np.nan])
