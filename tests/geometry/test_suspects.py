import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError
from separatrix.geometry import suspects as module
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.suspects import (
    confident_joint,
    dynamics,
    graph_size,
    near_groups,
    of_other_folds,
    out_of_fold,
    sampled_neighbors,
    scored_dynamics,
)


def chances(rows=300, classes=4, seed=0, wrong=0.15):
    """Labels, some of them wrong, and the probabilities of a fair judge."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 2.5 * np.eye(classes)[true]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(rng.random(rows) < wrong, rng.integers(0, classes, rows), true)
    return p, labels, true


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seed", range(4))
def test_the_joint_is_that_of_cleanlab(seed):
    count = pytest.importorskip("cleanlab.count")
    rank = pytest.importorskip("cleanlab.rank")
    p, labels, _ = chances(seed=seed)
    found = confident_joint(p, labels)
    raw, issues = count.compute_confident_joint(labels, p, calibrate=False, return_indices_of_off_diagonals=True)
    np.testing.assert_array_equal(np.maximum(found.counts, np.eye(4, dtype=int)), raw)
    np.testing.assert_array_equal(np.flatnonzero(found.flagged), np.sort(issues))
    # cleanlab rounds the estimate to whole rows.
    np.testing.assert_allclose(found.joint, count.estimate_joint(labels, p, confident_joint=raw), atol=1 / len(p))
    np.testing.assert_allclose(found.thresholds, count.get_confident_thresholds(labels, p))
    np.testing.assert_allclose(found.self_confidence, rank.get_self_confidence_for_each_label(labels, p))
    np.testing.assert_allclose((found.margin + 1) / 2, rank.get_normalized_margin_for_each_label(labels, p))


def test_the_noise_is_estimated():
    for wrong in (0.0, 0.2, 0.4):
        p, labels, true = chances(4000, wrong=wrong)
        found = confident_joint(p, labels)
        assert found.joint.sum() == pytest.approx(1)
        assert found.noise == pytest.approx((labels != true).mean(), abs=0.07)


def test_a_class_without_rows_is_no_suspect():
    p, labels, _ = chances()
    found = confident_joint(np.column_stack([p * 0.99, np.full(len(p), 0.01)]), labels)
    assert found.counts[:, 4].sum() == 0
    assert not (found.suggested[found.flagged] == 4).any()
    with pytest.raises(DataError, match="labels: row 0 is outside the classes"):
        confident_joint(p, labels + 4)


folds_of = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=12, max_size=80)


@settings(max_examples=40, deadline=None)
@given(folds_of, st.integers(0, 5))
def test_groups_stay_in_one_fold(rows, seed):
    labels, groups = np.array(rows).T
    if len(np.unique(groups)) < 3:
        with pytest.raises(DataError, match="fewer rows than folds"):
            deal_folds(labels, 3, groups=groups)
        return
    fold = deal_folds(labels, 3, groups=groups, seed=seed)
    assert set(fold.tolist()) == {0, 1, 2}
    for group in np.unique(groups):
        assert len(np.unique(fold[groups == group])) == 1
    single = deal_folds(labels, 3, groups=np.arange(len(labels)), seed=seed)
    for label in np.unique(labels):
        assert np.ptp(np.bincount(single[labels == label], minlength=3)) <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=5, max_size=40), st.integers(0, 5))
def test_classes_smaller_than_the_folds_are_spread_over_them_and_folds_are_even(sizes, seed):
    """Regression: both rows of a class could stand in one fold, whose judges then knew no row of it."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    fold = deal_folds(labels, 5, seed=seed)
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1
    for label in range(len(sizes)):
        assert np.bincount(fold[labels == label]).max() == 1
    renamed = rng.permutation(len(sizes))[labels]
    assert deal_folds(renamed, 5, seed=seed).tolist() == fold.tolist()


def planted(rows=600, width=8, flips=0.1, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    true = np.arange(rows) % 3
    x = 2.5 * np.eye(width)[true] + spread * rng.normal(size=(rows, width))
    flipped = rng.random(rows) < flips
    labels = np.where(flipped, (true + rng.integers(1, 3, rows)) % 3, true)
    return x, labels, flipped


def test_planted_flips_are_found():
    x, labels, flipped = planted()
    fold = deal_folds(labels, 5, groups=near_groups(x, near=0.9999)[2])
    p = out_of_fold(x, labels, fold, classes=3)
    for name, chance in p.items():
        found = confident_joint(chance, labels)
        precision, recall = flipped[found.flagged].mean(), found.flagged[flipped].mean()
        assert flipped.mean() < 0.12  # what rows at random would give
        assert precision > 0.6, (name, precision)
        assert recall > 0.6, (name, recall)
        worst = np.argsort(found.margin)[: flipped.sum()]
        assert flipped[worst].mean() > 0.65
        assert found.noise == pytest.approx(flipped.mean(), abs=0.06)


def test_a_copy_with_the_same_wrong_label_does_not_vouch():
    """A copy in the training part would make the wrong label look certain; copies share a fold."""
    x, labels, flipped = planted(300, spread=0.6)
    x, labels, flipped = np.repeat(x, 3, axis=0), np.repeat(labels, 3), np.repeat(flipped, 3)
    groups = near_groups(x, near=1 - 1e-6)[2]
    assert len(np.unique(groups)) == 300
    caught = {}
    for name, fold in (
        ("copies apart", deal_folds(labels, 5, groups=np.arange(900))),
        ("together", deal_folds(labels, 5, groups=groups)),
    ):
        p = out_of_fold(x, labels, fold, classes=3, k=3)["knn"]
        caught[name] = confident_joint(p, labels).flagged[flipped].mean()
    assert caught["together"] > 0.8
    assert caught["copies apart"] < 0.3


def test_near_groups_are_those_of_the_slow_loop():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 6)), 2, axis=0) + 0.05 * rng.normal(size=(40, 6))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    _, cosine, groups = near_groups(x, near=0.97, k=39)
    linked = unit @ unit.T >= 0.97
    for _ in range(40):
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    np.testing.assert_array_equal(groups[:, None] == groups, linked)
    assert cosine.shape == (40, 39)


def test_dynamics_are_mean_spread_and_share_of_right():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(5, 30, 3)), rng.integers(0, 3, 30)
    p = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    found = scored_dynamics(scores, labels)
    own = np.array([[p[e, r, labels[r]] for r in range(30)] for e in range(5)])
    np.testing.assert_allclose(found.confidence, own.mean(axis=0))
    np.testing.assert_allclose(found.variability, own.std(axis=0))
    np.testing.assert_allclose(found.correctness, (p.argmax(axis=2) == labels).mean(axis=0))
    assert (dynamics(own).correctness <= found.correctness).all()  # a lower bound
    with pytest.raises(DataError, match="no training dynamics"):
        dynamics(np.empty((0, 3)))


@pytest.mark.parametrize("listed", [3, 14, 40])
def test_votes_of_other_folds_are_those_that_are_sought_anew(listed):
    """From a long list, a short one, and one that is too short for any row."""
    rng = np.random.default_rng(0)
    x, fold = rng.normal(size=(90, 5)), np.arange(90) % 5
    around = neighbors(x, x, listed, exclude_self=True)
    for number in range(5):
        near = of_other_folds(x, fold, number, 10, around, np.ones(90, bool))
        others = np.flatnonzero(fold != number)
        slow = neighbors(x[fold == number], x[others], 10)
        np.testing.assert_array_equal(near.index, others[slow.index])
        np.testing.assert_allclose(near.distance, slow.distance, atol=1e-6)
    judged = out_of_fold(x, np.arange(90) % 3, fold, classes=3, k=10, around=around)
    for name, chance in out_of_fold(x, np.arange(90) % 3, fold, classes=3, k=10).items():
        np.testing.assert_allclose(judged[name], chance, atol=1e-6)


def test_known_neighbors_give_the_same_near_duplicates():
    x = np.random.default_rng(0).normal(size=(50, 3))
    around = neighbors(x, x, graph_size(50, 20, 5), exclude_self=True)
    for own, known in zip(near_groups(x), near_groups(x, around=around), strict=True):
        np.testing.assert_allclose(own, known, atol=1e-6)


def test_of_a_sample_alone_judges_learn_and_neighbors_come():
    """Against the slow way, and a fifth of the rows judges nearly as well as all of them."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = rng.normal(size=(600, 6)) + 2.5 * np.eye(6)[y]
    sample = np.arange(0, 600, 5)
    near = sampled_neighbors(x, sample, 7)
    for row in (0, 3, 5, 599):
        others = sample[sample != row]
        np.testing.assert_array_equal(near.index[row], others[neighbors(x[[row]], x[others], 7).index[0]])
    fold = deal_folds(y, 5)
    whole, some = (out_of_fold(x, y, fold, classes=3, k=15, sample=rows) for rows in (None, sample))
    for name in ("knn", "probe"):
        assert (some[name].argmax(1) == y).mean() > (whole[name].argmax(1) == y).mean() - 0.05
    moved = x.copy()
    moved[1::5] += 100  # rows that judge nobody
    kept = np.flatnonzero(np.arange(600) % 5 != 1)
    again = out_of_fold(moved, y, fold, classes=3, k=15, sample=sample)["probe"]
    assert (again[kept].argmax(1) == some["probe"][kept].argmax(1)).all()


def test_neighbors_of_a_sample_hold_the_candidates_of_a_block_alone(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 128)
    x, sample = np.random.default_rng(0).normal(size=(12_000, 2)).astype(np.float32), np.arange(0, 12_000, 60)
    tracemalloc.start()
    near = sampled_neighbors(x, sample, 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.4 * (near.index.nbytes + near.distance.nbytes)
