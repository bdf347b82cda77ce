import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.calibrate import (
    ScoreCalibration,
    fit_calibration,
    fit_temperature,
    hold_answers,
    probabilities,
    rescore_single_column,
)
from separatrix.geometry.score import classification

# Stored outputs of the one-column model of seed 003: sst2 validation rows 0..4 and 867..871 with their labels.
STORED = [1.272908, 0.038817, 0.882452, 1.114154, 0.079426, 0.487619, 0.789458, 0.668021, 0.136636, 0.842498]
STORED_LABELS = [1, 0, 1, 1, 0, 0, 1, 0, 0, 1]


def sampled(rows=3000, classes=4, seed=0):
    """Logits whose softmax is exactly the distribution that the labels were drawn from."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((rows, classes))
    gumbel = rng.gumbel(size=logits.shape)
    return logits, (logits + gumbel).argmax(axis=1)


def loss(logits, y, temperature):
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(y)), y].mean()


def test_temperature_equals_a_slow_search():
    logits, y = sampled(300)
    grid = np.exp(np.linspace(-2, 2, 4001))
    slow = grid[np.argmin([loss(logits, y, t) for t in grid])]
    assert fit_temperature(logits, y) == pytest.approx(slow, rel=2e-3)


@pytest.mark.parametrize("factor", [1e-5, 1.0, 5.0, 1e5])
def test_temperature_finds_the_factor_that_made_the_scores_too_sure(factor):
    logits, y = sampled()
    assert fit_temperature(factor * logits, y) == pytest.approx(factor, rel=0.08)
    assert fit_temperature(factor * logits, y) == pytest.approx(factor * fit_temperature(logits, y), rel=1e-4)


def test_calibration_error_is_bad_before_and_good_after():
    logits, y = sampled()
    logits, held, held_y = 6 * logits, 6 * sampled(seed=1)[0], sampled(seed=1)[1]
    temperature = fit_temperature(logits, y)
    errors = [
        classification(
            held_y, held.argmax(axis=1), list("abcd"), probabilities=probabilities(held, t), resamples=1
        ).expected_calibration_error
        for t in (1.0, temperature)
    ]
    assert errors[0] > 0.2
    assert errors[1] < 0.03


def test_all_right_does_not_mean_certain():
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    few = probabilities(logits, fit_temperature(logits, [0, 1, 0])).max()
    more = np.tile(logits, (100, 1))
    many = probabilities(more, fit_temperature(more, [0, 1, 0] * 100)).max()
    assert few == pytest.approx(4 / 5, abs=1e-3)  # (rows + 1) / (rows + 2), Laplace's rule
    assert many == pytest.approx(301 / 302, abs=1e-3)


def test_equal_scores_have_no_temperature_to_find():
    assert fit_temperature(np.ones((3, 2)), [0, 1, 1]) == 1.0


def test_softmax_is_safe_for_large_scores():
    p = probabilities([[1e300, 0.0], [-1e300, -1e300], [700.0, 710.0]], 1e-3)
    np.testing.assert_array_equal(p, [[1, 0], [0.5, 0.5], [0, 1]])


def test_softmax_equals_the_plain_formula():
    scores = np.array([[0.0, 1.0, 3.0]])
    expected = np.exp(scores / 2) / np.exp(scores / 2).sum()
    np.testing.assert_allclose(probabilities(scores, 2.0), expected, rtol=1e-12)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(-50, 50)),
    st.floats(0.01, 100),
)
@settings(max_examples=60, deadline=None)
def test_temperature_never_changes_the_answer(scores, temperature):
    p = probabilities(scores, temperature)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(p[np.arange(len(p)), scores.argmax(axis=1)], p.max(axis=1))


def test_seed_003_stored_rows_are_right_with_a_threshold_and_wrong_with_argmax():
    outputs, labels = np.array(STORED)[:, None], np.array(STORED_LABELS)
    assert (rescore_single_column(outputs)[:5] == labels[:5]).all()
    right = rescore_single_column(outputs) == labels
    assert right.sum() == 9
    assert np.flatnonzero(~right).tolist() == [7]  # row 869, output 0.668: a mistake of the model, not of the scoring
    assert (outputs.argmax(axis=1) == labels).sum() == 5  # the share of label 0
    np.testing.assert_array_equal(rescore_single_column(STORED, threshold=0.7), labels)


@pytest.mark.parametrize(
    ("scores", "y", "error", "message"),
    [
        ([[0.0, 1.0]], [0, 1], ShapeError, "scores and labels differ in length"),
        ([[0.0, 1.0]], [2], DataError, "row 0 is outside the classes"),
        ([[0.0, np.nan]], [0], DataError, "scores: row 0 is not finite"),
        ([0.0, 1.0], [0], ShapeError, "scores must be a matrix"),
    ],
)
def test_impossible_input_is_refused(scores, y, error, message):
    with pytest.raises(error, match=message):
        fit_temperature(scores, y)


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(OptionError, match="temperature is out of range"):
        probabilities([[0.0, 1.0]], temperature)


def test_two_columns_are_no_single_column():
    with pytest.raises(ShapeError, match="outputs must be one number per row"):
        rescore_single_column([[0.1, 0.9]])
    with pytest.raises(DataError, match="threshold: row 0 is not finite"):
        rescore_single_column([0.1], np.nan)


def skewed(rows, seed=0, bias=(0.0, 0.0, 1.5)):
    """Scores of which one class is too loud, with labels drawn before it was."""
    logits, y = sampled(rows, classes=3, seed=seed)
    return logits + np.array(bias), y


def lifted(rows, seed=0):
    """Scores of two classes whose right share rises from 0.5 to 0.7 only, in steps that no temperature has."""
    rng = np.random.default_rng(seed)
    gap = rng.uniform(0, 12, size=rows)
    right = rng.random(rows) < np.where(gap < 8, 0.55, 0.97)
    y = np.where(right, 0, 1)
    return np.column_stack([gap, np.zeros(rows)]), y


@pytest.mark.parametrize(("make", "method"), [(sampled, "temperature"), (skewed, "vector"), (lifted, "isotonic")])
def test_the_calibration_that_suits_the_rows_is_chosen_and_lowers_the_loss_on_others(make, method):
    fitted = fit_calibration(*make(1500))
    assert fitted.method == method
    scores, y = make(3000, seed=5)
    here = np.arange(len(y))
    plain = -np.log(probabilities(scores, fitted.temperature)[here, y]).mean()
    assert -np.log(fitted.probabilities(scores)[here, y]).mean() <= plain + 1e-12 - 0.01 * (method != "temperature")


def test_few_rows_and_rows_that_are_all_right_get_a_temperature():
    assert fit_calibration(*skewed(150)).method == "temperature"
    logits = sampled(400)[0]
    assert fit_calibration(logits, logits.argmax(axis=1)).method == "temperature"


@pytest.mark.parametrize("make", [skewed, lifted])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_calibration_changes_an_answer_or_makes_rows_level(make, seed):
    fitted = fit_calibration(*make(800))
    scores, _ = make(500, seed=seed)
    wild = np.vstack([scores, 1e4 * scores, scores / 1e4])
    chances = fitted.probabilities(wild)
    assert (chances.argmax(axis=1) == wild.argmax(axis=1)).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (chances >= 0).all()
    assert len(np.unique(fitted.probabilities(scores).max(axis=1))) > 0.95 * len(scores)


@pytest.mark.parametrize("make", [sampled, skewed, lifted])
def test_a_calibration_is_read_as_it_was_written(make):
    fitted = fit_calibration(*make(600))
    plain = json.loads(json.dumps(fitted.to_dict()))
    assert not plain or ScoreCalibration.is_plain(plain)
    again = ScoreCalibration.of(fitted.temperature, plain)
    scores = make(50, seed=3)[0]
    np.testing.assert_array_equal(again.probabilities(scores), fitted.probabilities(scores))


@pytest.mark.parametrize(
    "plain",
    [
        7,
        {"method": "magic"},
        {"method": "vector", "weight": [1.0]},
        {"method": "vector", "weight": [1.0, 1.0], "bias": [0.0]},
        {"method": "vector", "weight": [1.0], "bias": ["x"]},
        {"method": "isotonic", "knots": [[0.0, 1.0], [1.0, 1.0]]},
        {"method": "isotonic", "knots": []},
        {"method": "isotonic", "knots": [[0.0, 1.0], [1.0]]},
        {"method": "isotonic", "knots": [[0.0, 1.0]], "more": 1},
    ],
)
def test_what_is_no_calibration_is_known_as_such(plain):
    assert not ScoreCalibration.is_plain(plain)


def test_answers_that_do_not_come_first_are_put_first_alone():
    scores = np.array([[0.0, 5.0, 1.0], [3.0, 3.0, 0.0], [9.0, 0.0, 0.0]])
    held = hold_answers(scores, np.array([2, 1, 0]))
    assert held.argmax(axis=1).tolist() == [2, 1, 0]
    np.testing.assert_allclose(held, [[0, 5, 5], [3, 3, 0], [9, 0, 0]], atol=1e-5)
