import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.score import regression


def some_values(rows=60, ties=False, noise=0.5):
    rng = np.random.default_rng(0)
    gold = rng.integers(5, size=rows).astype(float) if ties else rng.standard_normal(rows)
    return gold, gold + noise * rng.standard_normal(rows)


@pytest.mark.parametrize("ties", [False, True])
def test_figures_equal_scikit_learn_and_scipy(ties):
    gold, answers = some_values(ties=ties)
    scores = regression(gold, answers, baseline=0.3)
    assert scores.rmse == pytest.approx(metrics.root_mean_squared_error(gold, answers))
    assert scores.mae == pytest.approx(metrics.mean_absolute_error(gold, answers))
    assert scores.r2 == pytest.approx(metrics.r2_score(gold, answers))
    assert scores.spearman == pytest.approx(stats.spearmanr(gold, answers).statistic)
    assert scores.baseline_rmse == pytest.approx(metrics.root_mean_squared_error(gold, np.full(60, 0.3)))


def test_interval_agrees_with_drawing_rows_one_by_one():
    gold, answers = some_values(200)
    low, high = regression(gold, answers, resamples=4000).interval
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(2000):
        rows = rng.integers(200, size=200)
        drawn.append(metrics.root_mean_squared_error(gold[rows], answers[rows]))
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.01)


def test_a_useful_answer_lies_below_the_baseline_and_a_constant_one_does_not():
    gold, answers = some_values(200)
    assert regression(gold, answers).below_baseline
    assert not regression(gold, np.full(200, gold.mean() + 0.1)).below_baseline


def test_constant_values_have_no_rank_correlation_and_a_finite_r2():
    for answers, r2 in (([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)):
        scores = regression([2.0, 2.0], answers)
        assert (scores.r2, scores.spearman) == (r2, None)
        assert scores.r2 == metrics.r2_score([2.0, 2.0], answers)
    assert regression([1.0, 2.0], [3.0, 3.0]).spearman is None


def test_bootstrap_does_not_depend_on_its_blocks(monkeypatch):
    gold, answers = some_values()
    whole = regression(gold, answers, resamples=30).interval
    monkeypatch.setattr("separatrix.geometry.resample._BLOCK_DRAWS", 200)
    assert regression(gold, answers, resamples=30).interval == whole


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=20), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_order_of_rows_changes_nothing_and_the_interval_contains_the_error(pairs, seed):
    gold, answers = np.array(pairs, float).T
    order = np.random.default_rng(seed).permutation(len(gold))
    scores = regression(gold, answers, seed=seed, resamples=30)
    shuffled = regression(gold[order], answers[order], seed=seed, resamples=30)
    assert shuffled.rmse == scores.rmse
    assert shuffled.interval == scores.interval
    assert shuffled.r2 == pytest.approx(scores.r2, rel=1e-9, abs=1e-9)
    assert scores.interval[0] <= scores.rmse <= scores.interval[1]


def test_to_dict_is_plain_json():
    plain = regression([1.0, 2.0, 3.0], [1.0, 2.5, 3.0]).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert {"rmse", "mae", "r2", "spearman", "baseline_rmse", "interval"} <= set(plain)


@pytest.mark.parametrize(
    ("gold", "answers", "options", "error", "message"),
    [
        ([1.0], [1.0, 2.0], {}, ShapeError, "targets and predictions differ in length"),
        ([], [], {}, DataError, "targets have no rows"),
        ([1.0, np.nan], [1.0, 2.0], {}, DataError, "targets: row 1 is not finite"),
        ([1.0, 1e306], [1.0, 2.0], {}, DataError, r"targets are too large to be squared: got 1e\+306 in row 1"),
        ([1.0], [[1.0, 2.0]], {}, ShapeError, "predictions must be one number per row"),
        ([1.0], [1.0], {"baseline": np.nan}, DataError, "baseline: row 0 is not finite"),
        ([1.0], [1.0], {"resamples": 0}, OptionError, "resamples is out of range"),
    ],
)
def test_impossible_input_is_refused(gold, answers, options, error, message):
    with pytest.raises(error, match=message):
        regression(gold, answers, **options)
