"""Wide matrices: the same figures as the direct solve of width x width, in memory bounded by rows x width."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from separatrix.geometry import probe as probes
from separatrix.geometry.nulls import between_null
from separatrix.geometry.probe import fit_probe
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.rowspace import RowSpace, ShrunkCovariance
from separatrix.geometry.scatter import class_means, effective_rank, scatter
from separatrix.geometry.separation import lda


def logme(x, y, classes):
    return Evidence.of(x).of_classes(y, classes)


def h_score(x, y, classes):
    return HScore.of(x).of_classes(y, classes)


SHAPES = [(60, 200), (40, 41), (50, 50), (200, 30)]  # wide, hardly wide, square, long


def cloud(rows, width, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows)
    x = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width)) / width**0.5
    return x + 0.5 * rng.normal(size=(3, width))[y] + 4, y


def direct(x, y):
    """Shrunk covariance within the classes, class means and rows of each, as one solves them at full width."""
    means, counts = class_means(x, y, 3)
    return ledoit_wolf(x - means[y], assume_centered=True)[0], means, counts


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_keep_their_lengths_and_angles(shape):
    x, _ = cloud(*shape)
    space = RowSpace.of(x)
    assert space.coordinates.shape[1] <= min(shape)
    np.testing.assert_allclose(space.coordinates @ space.coordinates.T, x @ x.T, rtol=1e-9)
    np.testing.assert_allclose(space.widen(space.coordinates), x, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shrinkage_is_that_of_ledoit_and_wolf(shape):
    x = cloud(*shape)[0]
    x = x - x.mean(axis=0)
    covariance, shrinkage = ledoit_wolf(x, assume_centered=True)
    space = RowSpace.of(x)
    found = ShrunkCovariance.of(space.coordinates, shape[1])
    assert found.shrinkage == pytest.approx(shrinkage, rel=1e-9)
    solved = space.widen(found.solve(space.coordinates[:4]))
    np.testing.assert_allclose(solved, np.linalg.solve(covariance, x[:4].T).T, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_discriminants_and_h_score_are_those_of_the_full_width(shape):
    x, y = cloud(*shape)
    covariance, means, counts = direct(x, y)
    weight = np.linalg.solve(covariance, means.T)
    asked = cloud(*shape, seed=1)[0]
    scores = asked @ weight - 0.5 * (means.T * weight).sum(axis=0) + np.log(counts / len(y))
    assert np.array_equal(lda(x, y, 3, asked), scores.argmax(axis=1))

    centred = x - x.mean(axis=0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    means, counts = class_means(centred, y, 3)
    explained = (means.T * np.linalg.solve(covariance, means.T)).sum(axis=0)
    assert h_score(x, y, 3) == pytest.approx((1 - shrinkage) * (counts / len(y) @ explained), rel=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_that_of_the_full_width(shape, classes, monkeypatch):
    monkeypatch.setattr(probes, "_TOLERANCE", 1e-9)
    x, y = cloud(*shape)
    y = np.minimum(y, classes - 1)
    probe = fit_probe(x, y, classes)
    plain = LogisticRegression(C=1.0, max_iter=2000, tol=1e-9).fit((x - x.mean(axis=0)) / x.std(axis=0), y)
    asked = cloud(*shape, seed=1)[0]
    expected = plain.predict_proba((asked - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(softmax(probe.scores(asked), axis=1), expected, atol=1e-4)


def test_the_share_between_classes_is_measured_in_few_directions_too():
    x, y = cloud(40, 300)
    found = between_null(x, y, 3, permutations=20)
    assert found.observed == pytest.approx(scatter(x, y, 3).between_share, rel=1e-5)


def test_no_matrix_of_width_by_width_is_ever_held():
    x, y = cloud(50, 300)
    wide = np.tile(x, (1, 20)).astype(np.float32)  # (50, 6000): width x width would be 288 MB
    tracemalloc.start()
    try:
        lda(wide, y, 3, wide)
        fit_probe(wide, y, 3)
        h_score(wide, y, 3)
        logme(wide, y, 3)
        effective_rank(wide)
        between_null(wide, y, 3, permutations=5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * wide.size * 8
