"""Classifiers out of fold, the silhouette, bootstrap and permutation nulls, against slow loops."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import r2_score, silhouette_samples

from separatrix.errors import DataError, OptionError
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.neighbors import knn_predict, neighbors, vote
from separatrix.geometry.nulls import between_null, knn_null, knn_regression_null, permutation_null
from separatrix.geometry.resample import bootstrap_mean, bootstrap_r2, certainty
from separatrix.geometry.scatter import scatter
from separatrix.geometry.separation import CLASSIFIERS, centroid, lda, out_of_fold, silhouette


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    return rng.normal(size=(150, 4)) + 1.5 * np.eye(3, 4)[y], y


def test_classifiers_answer_as_scikit_learn(clouds):
    x, y = clouds
    train, asked = slice(0, 100), slice(100, 150)
    centres = np.stack([x[train][y[train] == name].mean(axis=0) for name in range(3)])
    expected = [np.linalg.norm(centres - row, axis=1).argmin() for row in x[asked]]
    np.testing.assert_array_equal(centroid(x[train], y[train], 3, x[asked]), expected)
    from sklearn.covariance import ledoit_wolf

    means = np.stack([x[train][y[train] == name].mean(axis=0) for name in range(3)])
    covariance, _ = ledoit_wolf(x[train] - means[y[train]], assume_centered=True)

    class Fixed:
        def fit(self, _):
            self.covariance_ = covariance

    theirs = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Fixed()).fit(x[train], y[train])
    np.testing.assert_array_equal(lda(x[train], y[train], 3, x[asked]), theirs.predict(x[asked]))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_class_without_rows_is_never_answered(clouds, name):
    x, y = clouds
    assert set(CLASSIFIERS[name](x, y, 5, x).tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_out_of_fold_answers_never_saw_their_row(clouds, name):
    """Labels of noise: a model that saw its rows would remember them, an honest one stays at chance."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 100)), rng.integers(0, 2, 60)
    seen = (CLASSIFIERS[name](x, y, 2, x) == y).mean()
    honest = (out_of_fold(CLASSIFIERS[name], x, y, 2) == y).mean()
    assert seen > 0.8
    assert honest < 0.65


def test_folds_are_even_in_size_and_in_classes():
    y = np.array([0] * 50 + [1] * 13 + [2])
    folds = deal_folds(y, 5, seed=3)
    assert np.bincount(folds).max() - np.bincount(folds).min() <= 1
    assert np.bincount(folds[y == 0]).tolist() == [10] * 5
    with pytest.raises(DataError, match="fewer rows than folds"):
        out_of_fold(centroid, np.eye(3), [0, 1, 0], 2, folds=5)


def test_silhouette_is_scikit_learns_mean_and_sampled_with_a_seed(clouds):
    x, y = clouds
    found = silhouette(x, y, 3)
    assert found.value == pytest.approx(silhouette_samples(x, y).mean())
    assert found.interval[0] < found.value < found.interval[1]
    few = silhouette(x, y, 3, rows=50, seed=1)
    assert few.rows == 50
    assert few == silhouette(x, y, 3, rows=50, seed=1) != silhouette(x, y, 3, rows=50, seed=2)
    with pytest.raises(DataError, match="two classes"):
        silhouette(x, np.zeros(150, int), 3)
    with pytest.raises(OptionError, match="did you mean 'cosine'"):
        silhouette(x, y, 3, metric="cosin")


def test_one_search_serves_every_k(clouds):
    x, y = clouds
    found = neighbors(x, x, 20, exclude_self=True)
    for k in (1, 5, 20):
        for weights in ("uniform", "distance"):
            np.testing.assert_array_equal(
                vote(found, y, 3, k, weights=weights), knn_predict(x, x, y, k, exclude_self=True, weights=weights)
            )


def test_crowded_directions_keep_their_neighbors():
    """Hidden states of middle layers point nearly one way: their differences drowned in the float32 product."""
    rng = np.random.default_rng(0)
    x = (100 * rng.normal(size=64) + 0.02 * rng.normal(size=(400, 64))).astype(np.float32)
    assert np.corrcoef(x[:2])[0, 1] > 0.999999
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    distance = ((unit[:, None] - unit[None]) ** 2).sum(axis=2) / 2
    np.fill_diagonal(distance, np.inf)
    exact = np.argsort(distance, axis=1)[:, :5]
    found = neighbors(x, x, 5, exclude_self=True)
    same = np.mean([len(set(one) & set(other)) for one, other in zip(found.index, exact, strict=True)]) / 5
    assert same > 0.99
    near = np.take_along_axis(distance, exact, axis=1)
    np.testing.assert_allclose(found.distance[:, 0], near[:, 0], rtol=1e-2)


def nearest_of_the_most(voters):
    return max(voters, key=lambda one: (voters.count(one), -voters.index(one)))


def slow_knn_null(index, y, classes, permutations, seed):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(permutations):
        labels = rng.permutation(y)
        answers = [nearest_of_the_most(labels[near].tolist()) for near in index]
        right = np.array(answers) == labels
        values.append(np.mean(right))
    return np.array(values)


def test_knn_null_is_the_loop_over_permutations(clouds):
    x, y = clouds
    index = neighbors(x, x, 5, exclude_self=True).index
    found = knn_null(index, y, 3, permutations=50, seed=4)
    values = slow_knn_null(index, y, 3, 50, 4)
    assert found.mean == pytest.approx(values.mean())
    assert found.high == pytest.approx(np.percentile(values, 95))
    assert found.observed == pytest.approx((knn_predict(x, x, y, 5, exclude_self=True).argmax(axis=1) == y).mean())
    assert found.p_value == pytest.approx(1 / 51)


def test_between_null_draws_what_scatter_measures(clouds):
    x, y = clouds
    found = between_null(x, y, 3, permutations=100)
    assert found.observed == pytest.approx(scatter(x, y, 3).between_share, rel=1e-5)
    # Under shuffled labels K - 1 of rows - 1 degrees of freedom lie between the classes.
    assert found.mean == pytest.approx(2 / 149, rel=0.15)
    assert found.p_value == pytest.approx(1 / 101)


@pytest.mark.parametrize("kind", ["knn", "between", "numbers"])
def test_p_values_of_noise_are_even(kind):
    """What is not there is not found: a p-value below 0.1 comes up in about a tenth of 60 draws."""
    low = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
        index = neighbors(x, x, 3, exclude_self=True).index
        null = {
            "knn": lambda i=index, y=y, s=seed: knn_null(i, y, 2, permutations=59, seed=s),
            "between": lambda x=x, y=y, s=seed: between_null(x, y, 2, permutations=59, seed=s),
            "numbers": lambda i=index, r=rng, s=seed: knn_regression_null(
                i, r.normal(size=40), permutations=59, seed=s
            ),
        }[kind]()
        low += null.p_value <= 0.1
    assert low <= 14


def test_a_null_counts_itself():
    found = permutation_null(lambda _labels: 1.0, np.arange(5), permutations=19)
    assert found.p_value == 1.0
    with pytest.raises(OptionError, match="permutations is out of range"):
        permutation_null(lambda _labels: 1.0, np.arange(5), permutations=0)


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_mean(values, resamples=2000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    right = np.arange(400) % 4 == 0
    low, high = bootstrap_mean(right, resamples=2000)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 * 0.75) / 20, rel=0.1)


def test_bootstrap_r2_holds_scikit_learns_value():
    rng = np.random.default_rng(0)
    gold = rng.normal(size=100)
    answers = gold + 0.5 * rng.normal(size=100)
    value, (low, high) = bootstrap_r2(gold, answers)
    assert value == pytest.approx(r2_score(gold, answers))
    assert low < value < high
    assert bootstrap_r2([1.0, 1.0], [1.0, 2.0])[0] == 0.0


def test_certainty_knows_when_it_does_not_know():
    rng = np.random.default_rng(0)
    coin = rng.random((3, 400)) < np.array([[0.9], [0.6], [0.6]])
    found = certainty(coin)
    assert found.best[0] > 0.99
    assert found.best.sum() == pytest.approx(1)
    assert (found.low[0], found.high[0]) == (1, 1)
    assert found.low[1] == found.low[2] == 2
    assert found.high[1] == found.high[2] == 3
    twins = certainty(np.stack([coin[0], coin[0]]))
    np.testing.assert_allclose(twins.best, [0.5, 0.5])
    assert twins.high.tolist() == [1, 1]
