"""Noise and the judges' weights, fitted together, where the wrong labels are known."""

import numpy as np
import pytest

from separatrix.errors import DataError
from separatrix.geometry.noise import fit_noise


def planted(rows=1500, classes=4, noise=0.06, sharpness=3.0, seed=0):
    """Scores of a judge, labels drawn from their softmax, and some of these made wrong."""
    rng = np.random.default_rng(seed)
    scores = sharpness * rng.standard_normal((rows, classes))
    true = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    wrong = rng.random(rows) < noise
    given = np.where(wrong, (true + rng.integers(1, classes, rows)) % classes, true)
    return scores, given, wrong


@pytest.mark.parametrize(("classes", "noise"), [(2, 0.05), (4, 0.06), (10, 0.15)])
def test_the_share_of_wrong_labels_is_estimated_and_so_is_that_of_the_first_suspects(classes, noise):
    scores, given, wrong = planted(4000, classes, noise, sharpness=6.0)
    fitted = fit_noise({"judge": 7 * scores + 3}, given)  # neither scale nor offset matters
    assert fitted.noise == pytest.approx(wrong.mean(), abs=0.02)
    first = np.argsort(-fitted.error)[:100]
    assert fitted.error[first].mean() == pytest.approx(wrong[first].mean(), abs=0.1)
    issues = fitted.error > 0.5
    assert wrong[issues].mean() > 0.6
    assert issues.sum() < 3 * wrong.sum()


def test_a_judge_that_knows_nothing_has_no_weight():
    scores, given, _ = planted()
    nothing = np.random.default_rng(1).standard_normal(scores.shape)
    both, alone = fit_noise({"good": scores, "bad": nothing}, given), fit_noise({"good": scores}, given)
    assert both.weights["bad"] < 0.1 * both.weights["good"]
    assert np.abs(both.error - alone.error).max() < 0.25
    assert both.chances.sum(axis=1) == pytest.approx(1)


def test_labels_without_noise_leave_next_to_nobody_suspect():
    scores, given, _ = planted(noise=0.0)
    assert fit_noise({"judge": scores}, given).noise < 0.02


def test_no_judge_and_labels_outside_the_scores_are_refused():
    with pytest.raises(DataError, match="no judge of the labels"):
        fit_noise({}, [0, 1])
    with pytest.raises(DataError, match="row 1 is outside the classes"):
        fit_noise({"judge": np.eye(2)}, [0, 2])


@pytest.mark.parametrize(("rows", "classes"), [(16, 2), (40, 2), (48, 6)])
def test_of_few_rows_a_weak_judge_doubts_none_where_no_label_is_wrong(rows, classes):
    """Regression: of 48 right labels 10 were suspects; noise and softer weights explained them alike."""
    doubted = 0
    for seed in range(20):
        scores, given, _ = planted(rows, classes, 0.0, sharpness=1.5, seed=seed)
        doubted += bool((fit_noise({"judge": scores}, given).error > 0.5).any())
    assert doubted <= 3  # one in 20 is expected


def test_noise_beyond_the_judges_own_errors_is_found_among_few_rows_too():
    scores, given, wrong = planted(160, 10, 0.06, sharpness=5.0)
    doubted = fit_noise({"judge": scores}, given).error > 0.5
    assert wrong[doubted].mean() > 0.6
    assert doubted[wrong].mean() > 0.5


def test_no_probability_is_nearer_to_certain_than_its_rows_allow():
    """Regression: the first of 39 rows had a quality of 1e-8."""
    scores = np.repeat(np.eye(2), 20, axis=0) * np.linspace(1, 50, 40)[:, None]
    given = np.repeat([0, 1], 20)
    given[19] = 1
    error = fit_noise({"judge": scores}, given).error
    assert error.argmax() == 19
    assert 0.9 < error.max() <= 41 / 42
