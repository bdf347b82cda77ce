import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from separatrix.errors import DataError, ShapeError
from separatrix.geometry import probe as probes
from separatrix.geometry.calibrate import probabilities
from separatrix.geometry.probe import Probe, fit_probe, fit_ridge, fit_tuned_probe


def blobs(rows=200, classes=3, width=6, gap=1.5, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=rows)
    centres = np.random.default_rng(99).standard_normal((classes, width))
    return gap * centres[y] + rng.standard_normal((rows, width)), y


@pytest.mark.parametrize("classes", [2, 3])
def test_probe_equals_the_scikit_learn_pipeline(classes):
    x, y = blobs(classes=classes)
    x = x * [1, 100, 0.01, 1, 1, 1] + 5  # columns of different size: standardising matters
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000)).fit(x, y)
    probe = fit_probe(x, y, classes)
    np.testing.assert_allclose(probabilities(probe.scores(x)), expected.predict_proba(x), atol=1e-6)
    assert probe.converged
    assert probe.weight.shape == (classes, 6)


def test_probe_is_plain_arrays():
    x, y = blobs()
    probe = fit_probe(x, y, 3)
    copy = Probe(probe.weight.copy(), probe.bias.copy(), probe.mean.copy(), probe.scale.copy(), 1.0, True)
    np.testing.assert_array_equal(copy.scores(x), probe.scores(x))
    assert {array.dtype for array in (probe.weight, probe.bias, probe.mean, probe.scale)} == {np.dtype(np.float64)}


def test_validation_rows_choose_the_penalty():
    # Few rows, many noisy columns: a weak penalty learns the noise.
    x, y = blobs(rows=40, width=60, gap=0.1)
    held = blobs(rows=400, width=60, gap=0.1, seed=1)
    plain, chosen = fit_probe(x, y, 3), fit_probe(x, y, 3, validation=held)
    losses = [probes.log_loss(probe.scores(held[0]), held[1]) for probe in (plain, chosen)]
    assert chosen.penalty > 1
    assert losses[1] < losses[0] - 0.2
    every = [probes.log_loss(fit_with(x, y, p).scores(held[0]), held[1]) for p in probes.PENALTIES]
    assert losses[1] == min(every)


def test_without_validation_rows_the_penalty_is_cross_validated():
    """The slow way: every row is asked once, of a probe that has not seen it; the least loss wins."""
    x, y = blobs(rows=60, width=20, gap=0.5)
    fold = probes._folds(y[np.random.default_rng([0, 8]).permutation(60)], seed=0)
    rows = np.random.default_rng([0, 8]).permutation(60)
    losses = []
    for penalty in probes.PENALTIES:
        scores = np.empty((60, 3))
        for number in range(5):
            held, known = rows[fold == number], rows[fold != number]
            scores[held] = fit_with(x[known], y[known], penalty).scores(x[held])
        losses.append(probes.log_loss(scores, y))
    assert fit_tuned_probe(x, y, 3).penalty == probes.PENALTIES[int(np.argmin(losses))]


def test_folds_are_even_within_each_class_and_a_lone_row_is_always_known():
    y = np.array([0] * 23 + [1] * 10 + [2])
    fold = probes._folds(y, seed=1)
    assert fold[y == 2].tolist() == [-1]
    assert np.bincount(fold[y == 1]).tolist() == [2] * 5
    assert sorted(np.bincount(fold[y == 0]).tolist()) == [4, 4, 5, 5, 5]


def fit_with(x, y, penalty):
    return probes._logistic(probes._Design.of(np.asarray(x)), y, 3, penalty, 0)


def test_a_probe_cut_short_says_so_and_warns_nobody(monkeypatch):
    monkeypatch.setattr(probes, "_ITERATIONS", 1)
    x, y = blobs()
    assert not fit_probe(x, y, 3).converged


def test_a_class_without_training_rows_is_never_answered():
    x, y = blobs(classes=2)
    for kept in (y * 2, np.where(np.arange(len(y)) % 3 == 0, 3, y)):  # classes 0, 2 and classes 0, 1, 3 of four
        scores = fit_probe(x, kept, 4).scores(1e3 * x)
        assert np.isfinite(scores).all()
        assert set(scores.argmax(axis=1)) <= set(kept)
        assert set(fit_probe(x, kept, 4).scores(x).argmax(axis=1)) <= set(kept)


def test_constant_columns_do_no_harm():
    x, y = blobs(rows=53)
    for value in (0.0, 0.1, 1e6):
        constant = np.full((len(x), 1), value)  # 0.1 has a standard deviation of 1e-17 here, by rounding
        probe = fit_probe(np.hstack([x, constant]), y, 3)
        assert probe.scale[-1] == 1.0
        np.testing.assert_allclose(probe.scores(np.hstack([x, constant])), fit_probe(x, y, 3).scores(x), atol=1e-3)


@pytest.mark.parametrize("fit", [fit_probe, fit_tuned_probe])
def test_vectors_that_are_all_equal_give_the_shares_of_the_classes(fit):
    """Regression: wide ones ended in an error of scikit-learn, also where only the rows of a fold were equal."""
    probe = fit(np.ones((40, 60)), [0, 0, 0, 1] * 10, 2)
    scores = probe.scores(np.ones((1, 60)))[0]
    assert np.exp(scores[0] - scores[1]) == pytest.approx(3, abs=0.1)
    one_differs = np.ones((40, 60)) + np.eye(40, 60) * (np.arange(40) == 0)[:, None]
    assert fit(one_differs, [0, 1] * 20, 2).scores(np.ones((1, 60))).shape == (1, 2)


def test_ridge_equals_the_scikit_learn_pipeline_and_chooses_on_validation():
    rng = np.random.default_rng(0)
    x, held = rng.standard_normal((50, 40)), rng.standard_normal((200, 40))
    weight = np.r_[np.ones(3), np.zeros(37)]
    y, held_y = x @ weight + rng.standard_normal(50), held @ weight + rng.standard_normal(200)
    expected = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(x, y)
    plain = fit_ridge(x, y)
    np.testing.assert_allclose(plain.scores(held)[:, 0], expected.predict(held), atol=1e-10)
    chosen = fit_ridge(x, y, validation=(held, held_y))
    errors = [((probe.scores(held)[:, 0] - held_y) ** 2).mean() for probe in (plain, chosen)]
    assert chosen.penalty == 10.0
    assert errors[1] < 0.9 * errors[0]


def test_impossible_input_is_refused():
    x, y = blobs(rows=10)
    with pytest.raises(DataError, match="one class only in the training labels: got 0"):
        fit_probe(x, np.zeros(10, int), 2)
    with pytest.raises(DataError, match="labels: row 0 is outside the classes"):
        fit_probe(x, np.full(10, 5), 2)
    with pytest.raises(ShapeError, match="vectors and labels differ in length: got 10 and 9 rows"):
        fit_probe(x, y[:9], 3)
    with pytest.raises(ShapeError, match="validation vectors and labels differ in length"):
        fit_probe(x, y, 3, validation=(x, y[:9]))
    with pytest.raises(ShapeError, match="vectors have the wrong width: got 2, expected 6"):
        fit_probe(x, y, 3).scores(np.zeros((1, 2)))
    with pytest.raises(ShapeError, match="vectors and targets differ in length"):
        fit_ridge(x, np.zeros(9))
    with pytest.raises(DataError, match="targets: row 0 is not finite"):
        fit_ridge(x, np.full(10, np.nan))


def test_without_validation_a_fifth_of_each_class_chooses_the_penalty():
    """Many columns of noise: a weak penalty learns them by heart, and only held-out rows can tell."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 40)
    x = np.column_stack([np.eye(3)[y] + 0.5 * rng.normal(size=(120, 3)), rng.normal(size=(120, 60))])
    tuned = fit_tuned_probe(x, y, 3)
    assert tuned.penalty >= 10.0
    plain = fit_probe(x, y, 3, validation=(x, y))  # choosing on the training rows themselves
    assert plain.penalty == 0.01
    assert np.array_equal(fit_tuned_probe(x, y, 3).weight, tuned.weight)
    assert not np.array_equal(fit_tuned_probe(x, y, 3).weight, plain.weight)


def test_with_validation_or_few_rows_nothing_is_held_out():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), np.arange(40) % 2
    given = fit_tuned_probe(x, y, 2, validation=(x[:10], y[:10]))
    assert np.array_equal(given.weight, fit_probe(x, y, 2, validation=(x[:10], y[:10])).weight)
    assert fit_tuned_probe(x[:12], y[:12], 2).penalty == 1.0
    alone = np.append(np.zeros(30, dtype=int), 1)  # the class of one row stays with the training rows
    assert fit_tuned_probe(rng.normal(size=(31, 4)), alone, 2).penalty in (100.0, 10.0, 1.0, 0.1, 0.01)
    with pytest.raises(ShapeError, match="labels"):
        fit_tuned_probe(x, y[:39], 2)


@pytest.mark.parametrize("wide", [False, True])
def test_a_probe_of_weighted_rows_is_that_of_repeated_rows_whose_penalty_grew_with_them(wide):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(30, 60 if wide else 4)), np.arange(30) % 3
    weight = generator.integers(1, 4, 30)
    again = np.repeat(np.arange(30), weight)
    weighted, repeated = fit_probe(x, y, 3, weight=weight), fit_probe(x[again], y[again], 3, penalty=weight.mean())
    assert np.allclose(weighted.mean, repeated.mean)
    assert np.allclose(weighted.scale, repeated.scale)
    assert np.abs(weighted.scores(x) - repeated.scores(x)).max() < 1e-2  # where the solver stops


def test_a_ridge_of_weighted_rows_is_that_of_repeated_rows_whose_penalty_grew_with_them():
    generator = np.random.default_rng(0)
    x, weight = generator.normal(size=(30, 4)), generator.integers(1, 4, 30)
    y, again = generator.normal(size=30), np.repeat(np.arange(30), weight)
    repeated = fit_ridge(x[again], y[again], penalty=weight.mean())
    assert np.allclose(fit_ridge(x, y, weight=weight).scores(x), repeated.scores(x))


def fits(x, y, weight):
    """Every fit of a probe with weights of rows."""
    marks, held = np.eye(2, dtype=int)[y % 2], (x[::3], y[::3])
    return [
        fit_probe(x, y, 3, weight=weight),
        fit_probe(x, y, 3, weight=weight, validation=held),
        fit_probe(x, marks, 2, weight=weight),
        fit_tuned_probe(x, y, 3, weight=weight),
        fit_ridge(x, x[:, 0] + y, weight=weight),
        fit_ridge(x, x[:, 0] + y, weight=weight, validation=held),
    ]


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 3.0, 1e300])
def test_the_scale_of_the_weights_changes_no_probe(scale):
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(60, 5)), np.arange(60) % 3, rng.uniform(0.5, 2, 60)
    for one, other in zip(fits(x, y, weight), fits(x, y, scale * weight), strict=True):
        assert one.penalty == other.penalty
        np.testing.assert_allclose(one.scores(x), other.scores(x), atol=1e-6)
    for one, other in zip(fits(x, y, None), fits(x, y, np.full(60, scale)), strict=True):
        np.testing.assert_allclose(one.scores(x), other.scores(x), atol=1e-6)


def test_weights_of_mean_1_are_fitted_as_they_are():
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(40, 5)), np.arange(40) % 2, np.repeat([0.5, 1.5], 20)
    solver = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-4, max_iter=2000))
    solver.fit(x, y, standardscaler__sample_weight=weight, logisticregression__sample_weight=weight)
    difference = fit_probe(x, y, 2, weight=weight).scores(x) @ [-1, 1]
    np.testing.assert_allclose(difference, solver.decision_function(x), atol=1e-12)


def test_a_row_of_weight_0_is_as_no_row():
    rng = np.random.default_rng(0)
    x, y, kept = rng.normal(size=(60, 5)), np.arange(60) % 3, np.arange(60) < 45
    weighted, fewer = fit_probe(x, y, 3, weight=np.where(kept, 2.0, 0.0)), fit_probe(x[kept], y[kept], 3)
    np.testing.assert_allclose(weighted.scores(x), fewer.scores(x), atol=1e-9)


@pytest.mark.parametrize("weight", [[1, -1, 1, 1], [0, 0, 0, 0]])
def test_weights_that_cannot_be_used_are_refused(weight):
    with pytest.raises(DataError, match="weights of rows cannot be used"):
        fit_probe([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], 2, weight=weight)


@pytest.mark.parametrize("far", [[1e-300, 1e300, 1, 1], [1, 1e-16, 1, 1], [1e308, 5e-324, 0, 1]])
def test_weights_that_a_sum_cannot_hold_together_are_refused(far):
    with pytest.raises(DataError, match=r"weights of rows are too far apart: got .* to .*, expected the largest at"):
        fit_probe([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], 2, weight=far)


def test_many_classes_of_few_rows_are_no_numbers():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(20), np.arange(10)])  # scikit-learn takes them for numbers, and warns
    assert fit_probe(rng.standard_normal((30, 8)), y, 20).converged
