"""LogME, H-score, scatter and collapse against the formulas written out slowly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.scatter import anisotropy, check_features, collapse, effective_rank, scatter


def logme(x, y, classes):
    return Evidence.of(x).of_classes(y, classes)


def h_score(x, y, classes):
    return HScore.of(x).of_classes(y, classes)


def clouds(rows=60, width=5, classes=3, gap=2.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    return rng.normal(size=(rows, width)) + gap * rng.normal(size=(classes, width))[y], y


def published_logme(x, y, classes):
    """The fixed point of You et al. (2021), one class at a time, with matrices that are really built."""
    found = []
    for name in range(classes):
        target, (rows, width) = (y == name).astype(float), x.shape
        alpha = beta = 1.0
        for _ in range(500):
            precision = alpha * np.eye(width) + beta * x.T @ x
            m = beta * np.linalg.solve(precision, x.T @ target)
            gamma = (beta * np.linalg.eigvalsh(x.T @ x) / (alpha + beta * np.linalg.eigvalsh(x.T @ x))).sum()
            alpha, beta = gamma / (m @ m), (rows - gamma) / ((x @ m - target) ** 2).sum()
        precision = alpha * np.eye(width) + beta * x.T @ x
        m = beta * np.linalg.solve(precision, x.T @ target)
        evidence = rows / 2 * np.log(beta) + width / 2 * np.log(alpha) - rows / 2 * np.log(2 * np.pi)
        evidence += -beta / 2 * ((x @ m - target) ** 2).sum() - alpha / 2 * m @ m
        found.append((evidence - np.linalg.slogdet(precision)[1] / 2) / rows)
    return np.mean(found)


def test_logme_is_where_the_published_fixed_point_ends():
    x, y = clouds()
    assert logme(x, y, 3) == pytest.approx(published_logme(x, y, 3), abs=1e-6)


def test_logme_is_the_highest_marginal_likelihood():
    """The evidence is the density of the targets under N(0, I / beta + F F' / alpha): no grid point may beat it."""
    x, y = clouds(rows=20, width=3)
    target = y.astype(float)
    values = [
        multivariate_normal(np.zeros(20), np.eye(20) / beta + x @ x.T / alpha).logpdf(target) / 20
        for alpha in np.geomspace(1e-2, 1e3, 40)
        for beta in np.geomspace(1e-2, 1e3, 40)
    ]
    found = Evidence.of(x).of_numbers(target)
    assert found >= max(values)
    assert found == pytest.approx(max(values), abs=0.01)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_logme_is_finite_where_the_fixed_point_runs_away(shape):
    """More columns than rows, columns twice, and a column that is the label itself: the residual is 0."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y = np.arange(shape[0]) % 2
    x[:, 0], x[:, 2] = y, x[:, 1]
    assert np.isfinite(logme(x, y, 2))
    assert logme(x, y, 2) > logme(x, rng.permutation(y), 2)


def test_a_second_set_of_labels_costs_no_second_decomposition_and_gives_the_same():
    x, y = clouds()
    ready, other = Evidence.of(x), np.random.default_rng(3).permutation(y)
    assert ready.of_classes(other, 3) == logme(x, other, 3)
    with pytest.raises(ShapeError, match="differ in length"):
        ready.of_classes(y[:-1], 3)


def slow_h_score(x, y, classes):
    from sklearn.covariance import LedoitWolf

    model = LedoitWolf().fit(x)
    means = np.zeros_like(x)
    for row in range(len(x)):
        means[row] = x[y == y[row]].mean(axis=0)
    centred = means - means.mean(axis=0)
    return np.trace(np.linalg.pinv(model.covariance_) @ ((1 - model.shrinkage_) * centred.T @ centred / len(x)))


def test_h_score_is_the_trace_written_out():
    x, y = clouds()
    assert h_score(x, y, 3) == pytest.approx(slow_h_score(x, y, 3), rel=1e-9)
    assert h_score(x, np.random.default_rng(0).permutation(y), 3) < 0.3 < 1 < h_score(x, y, 3) <= 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_rank_figures_do_not_depend_on_the_order_of_rows_or_names_of_classes(seed):
    x, y = clouds(rows=40, seed=seed)
    order = np.random.default_rng(seed).permutation(40)
    for figure in (logme, h_score, lambda *a: scatter(*a).between_share, lambda *a: collapse(*a).nc1):
        assert figure(x[order], (y[order] + 1) % 3, 3) == pytest.approx(figure(x, y, 3), rel=1e-7, abs=1e-9)


def test_scatter_within_and_between_add_up_to_the_variance():
    x, y = clouds()
    found = scatter(x, y, 3)
    assert found.within + found.between == pytest.approx(((x - x.mean(axis=0)) ** 2).sum() / len(x))
    slow = sum(((x[row] - x[y == y[row]].mean(axis=0)) ** 2).sum() for row in range(len(x))) / len(x)
    assert found.within == pytest.approx(slow)


def test_effective_rank_counts_directions():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(400, 2)) @ np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    assert effective_rank(plane + 100) == pytest.approx(2, abs=0.05)
    assert 25 < effective_rank(rng.normal(size=(4000, 30))) <= 30
    assert effective_rank(np.ones((5, 3))) == 0
    # Both ways of getting the singular values agree.
    x = rng.normal(size=(6, 9))
    assert effective_rank(x) == pytest.approx(effective_rank(np.hstack([x, np.zeros((6, 0))])))
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    share = values[values > 1e-9] / values.sum()
    assert effective_rank(x) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_anisotropy_is_the_mean_over_all_pairs():
    x = np.random.default_rng(0).normal(size=(12, 4)) + 1
    x[3] = 0
    cosines = []
    for one in range(12):
        for other in range(12):
            if one != other:
                size = np.linalg.norm(x[one]) * np.linalg.norm(x[other])
                cosines.append(x[one] @ x[other] / size if size else 0.0)
    assert anisotropy(x) == pytest.approx(np.mean(cosines))
    with pytest.raises(DataError, match="one row has no pair"):
        anisotropy(x[:1])


def test_collapse_figures_written_out():
    x, y = clouds(rows=90, width=6)
    means = np.stack([x[y == name].mean(axis=0) for name in range(3)])
    arms = means - means.mean(axis=0)
    within = sum(np.outer(x[row] - means[y[row]], x[row] - means[y[row]]) for row in range(90)) / 90
    between = arms.T @ arms / 3
    weight = np.random.default_rng(2).normal(size=(3, 6))
    answers = np.random.default_rng(3).integers(0, 3, 90)
    found = collapse(x, y, 3, weight=weight, predicted=answers)
    assert found.nc1 == pytest.approx(np.trace(within @ np.linalg.pinv(between)) / 3)
    unit = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    pairs = [unit[0] @ unit[1], unit[0] @ unit[2], unit[1] @ unit[2]]
    assert found.nc2_angle == pytest.approx(np.mean([abs(cosine + 0.5) for cosine in pairs]))
    own = weight - weight.mean(axis=0)
    assert found.nc3 == pytest.approx(((own / np.linalg.norm(own) - arms / np.linalg.norm(arms)) ** 2).sum())
    nearest = np.array([np.linalg.norm(row - means, axis=1).argmin() for row in x])
    assert found.nc4 == pytest.approx((nearest != answers).mean())


def test_collapse_falls_as_classes_shrink_to_a_simplex():
    corners = np.eye(3) - 1 / 3
    rng, y = np.random.default_rng(0), np.arange(90) % 3
    loose, tight = (collapse(corners[y] + size * rng.normal(size=(90, 3)), y, 3) for size in (0.5, 0.01))
    assert tight.nc1 < 0.01 < 0.1 < loose.nc1
    assert tight.nc2_angle < 0.01
    with pytest.raises(DataError, match="two classes with rows"):
        collapse(corners[y], np.zeros(90, int), 3)
    with pytest.raises(DataError, match="same point"):
        collapse(np.ones((4, 2)), [0, 0, 1, 1], 2)
    with pytest.raises(ShapeError, match="one row per class"):
        collapse(corners[y], y, 3, weight=np.eye(2, 3))


def test_row_numbers_are_refused_and_constant_columns_are_said():
    x, _ = clouds()
    for column in (np.arange(60.0), np.random.default_rng(0).permutation(60), np.arange(60.0)[::-1] / 60 + 7):
        with pytest.raises(DataError, match="numbers the rows"):
            check_features(np.column_stack([x, column]))
    assert check_features(x)[1] == ()
    assert (
        "1 of 6 columns of the vectors is constant (column 5)" in check_features(np.column_stack([x, 0 * x[:, 0]]))[1]
    )
    with pytest.raises(DataError, match=r"are all equal"):
        check_features(np.ones((30, 2)))


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_collapse_does_not_depend_on_where_the_vectors_lie(classes):
    """Regression: rounding of means far from the origin was taken for a direction and divided by: nc1 of 1e29."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(120, 16)), np.arange(120) % classes
        near, far = collapse(x, y, classes), collapse(x + 100 * rng.normal(size=16), y, classes)
        assert far.nc1 == pytest.approx(near.nc1, rel=1e-6)
        means = np.stack([x[y == k].mean(axis=0) for k in range(classes)])
        between, within = np.cov(means.T, bias=True), np.cov((x - means[y]).T, bias=True)
        assert near.nc1 == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes, rel=1e-6)
