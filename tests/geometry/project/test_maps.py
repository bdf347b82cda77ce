"""Maps by every method: what they keep, how they are scored, what they refuse."""

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.plane import principal
from separatrix.geometry.prepare import standardise, unit, whiten
from separatrix.geometry.project import METHODS, PREPARES, draw_held_out, make_map, variance_shares
from separatrix.geometry.project.methods import lda
from separatrix.geometry.rowspace import shrinkage
from separatrix.recipe import project as recipes
from separatrix.recipe.project import ProjectRecipe


def blobs(rows=120, width=12, apart=8.0, seed=0):
    """Three classes that differ in their first three columns; rows in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    x = rng.normal(size=(rows, width))
    x[:, :3] += apart * np.eye(3)[labels]
    return x.astype(np.float32), labels


@pytest.mark.parametrize("name", ["faithful", "maps"])
def test_examples_hold(name):
    found = doctest.testmod(importlib.import_module(f"separatrix.geometry.project.{name}"))
    assert found.failed == 0
    assert found.attempted > 0


def test_recipe_and_methods_have_the_same_names():
    assert tuple(METHODS) == tuple(recipes.METHODS)
    assert tuple(PREPARES) == recipes.PREPARES


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("method", ["pca", "lda", "tsne"])
def test_a_map_shows_planted_classes_and_shuffled_labels_are_not_found(method, dimensions):
    x, labels = blobs(90)
    recipe = ProjectRecipe(method=method, dimensions=dimensions, k=5)
    found = make_map(x, recipe, labels=labels)
    assert found.coordinates.shape == (90, dimensions)
    assert len(found.axes) == dimensions
    assert found.votes.after > 0.95
    shuffled = make_map(x, recipe, labels=np.random.default_rng(0).permutation(labels))
    assert shuffled.votes.after < 0.55
    assert abs(shuffled.votes.majority - 1 / 3) < 0.01


def test_the_same_seed_gives_the_same_map():
    x, labels = blobs(60)
    first, again = (make_map(x, ProjectRecipe(method="tsne", seed=3), labels=labels) for _ in range(2))
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert first.faithfulness == again.faithfulness


def test_new_points_are_placed_beside_their_class():
    x, labels = blobs(150)
    for method in ("pca", "lda", "tsne"):
        found = make_map(x[:100], ProjectRecipe(method=method), labels=labels[:100])
        places = found.place(x[100:])
        assert np.isfinite(places).all()
        nearest = np.linalg.norm(places[:, None] - found.coordinates[None], axis=2).argmin(axis=1)
        assert (labels[:100][nearest] == labels[100:]).mean() > 0.95
        np.testing.assert_array_equal(places, found.place(x[100:]))


def test_a_sample_is_fitted_the_rest_is_placed_and_said_so():
    x, labels = blobs(200)
    found = make_map(x, ProjectRecipe(fit_rows=50, seed=1), labels=labels)
    assert found.fitted.sum() == 50
    assert "fitted to 50 of 200 rows, drawn with seed 1" in found.notes
    np.testing.assert_allclose(found.place(x[~found.fitted]), found.coordinates[~found.fitted], atol=1e-5)
    whole = make_map(x, ProjectRecipe(), labels=labels)
    assert abs(found.votes.after - whole.votes.after) < 0.1


def test_blocks_on_disk_give_the_map_of_the_matrix(tmp_path):
    x, labels = blobs(80)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    here, there = (make_map(points, ProjectRecipe(fit_rows=40), labels=labels) for points in (x, mapped))
    np.testing.assert_array_equal(here.coordinates, there.coordinates)
    assert here.to_dict() | {"seconds": 0} == there.to_dict() | {"seconds": 0}


def test_labels_that_guide_a_map_do_not_score_it():
    """Noise with labels at random: a guided map fits them, but held-out rows show that nothing was there."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(120, 60)).astype(np.float32), rng.integers(0, 2, 120)
    found = make_map(x, ProjectRecipe(method="lda", prepare="none"), labels=labels)
    places, known = found.coordinates[found.fitted], labels[found.fitted]
    means = np.stack([places[known == label].mean(axis=0) for label in (0, 1)])
    inside = (np.linalg.norm(places[:, None] - means, axis=2).argmin(axis=1) == known).mean()
    assert inside > 0.8  # what a score on the fitted rows would have said
    assert found.votes.after < 0.7
    assert found.votes.rows == (~found.fitted).sum()
    assert "held-out" in found.votes.how
    assert found.guided


def test_split_train_says_which_rows_guide():
    x, labels = blobs(90)
    train = np.arange(90) < 60
    found = make_map(x, ProjectRecipe(method="lda"), labels=labels, train=train)
    np.testing.assert_array_equal(found.fitted, train)
    hidden = labels.copy()
    hidden[60:] = -1
    with pytest.raises(DataError, match="too few held-out rows to score a guided map: got 0, expected 5 or more"):
        make_map(x, ProjectRecipe(method="lda"), labels=hidden, train=train)


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60), st.floats(0.05, 0.9), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_held_out_rows_leave_no_class_without_rows(labels, share, seed):
    known = np.array(labels)
    held = draw_held_out(known, share, seed)
    assert held[known < 0].all()
    assert set(known[known >= 0]) == set(known[~held])


def test_lda_equals_the_generalised_eigenproblem():
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 3
    x = rng.normal(size=(90, 8)) @ rng.normal(size=(8, 8)) + 2 * rng.normal(size=(3, 8))[labels]
    means = np.stack([x[labels == label].mean(axis=0) for label in range(3)])[labels]
    within = x - means
    share = shrinkage(within, principal(within, 8, 0)[1] / len(x), within.shape[1])
    spread = within.T @ within / len(x)
    shrunk = (1 - share) * spread + share * np.trace(spread) / 8 * np.eye(8)
    between = (means - x.mean(axis=0)).T @ (means - x.mean(axis=0)) / len(x)
    oracle = (x - x.mean(axis=0)) @ eigh(between, shrunk)[1][:, :-3:-1]
    ours = lda(x, labels, ProjectRecipe(method="lda")).coordinates
    np.testing.assert_allclose(np.abs(ours), np.abs(oracle), atol=1e-4)


def test_lda_of_many_rows_equals_scikit_learn():
    rng = np.random.default_rng(1)
    labels = np.arange(6000) % 3
    x = rng.normal(size=(6000, 4)) @ rng.normal(size=(4, 4)) + 2 * rng.normal(size=(3, 4))[labels]
    other = LinearDiscriminantAnalysis(solver="eigen").fit(x, labels).transform(x)
    ours = lda(x, labels, ProjectRecipe(method="lda")).coordinates
    for ours_axis, other_axis in zip(ours.T, other.T, strict=True):
        assert abs(np.corrcoef(ours_axis, other_axis)[0, 1]) > 0.9999


@pytest.mark.parametrize("shape", [(200, 5), (30, 30), (12, 40)])
def test_shrinkage_equals_scikit_learn(shape):
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 5, shape[1])
    centred = x - x.mean(axis=0)
    variances = principal(centred, min(shape), 0)[1] / len(x)
    expected = ledoit_wolf_shrinkage(centred, assume_centered=True)
    assert shrinkage(centred, variances, centred.shape[1]) == pytest.approx(expected)


def test_whitening_of_few_rows_keeps_neighbors_apart():
    """Without shrinkage, fewer rows than columns all come out at one distance: neighbors are then chance."""
    x, labels = blobs(40, 60, apart=3)
    centred = x - x.mean(axis=0)
    left, _, _ = np.linalg.svd(centred, full_matrices=False)
    plain = left[:, :39]  # what whitening without shrinkage gives, up to a factor
    gaps = [np.linalg.norm(z[:, None] - z[None], axis=2)[np.triu_indices(40, 1)] for z in (plain, whiten(x)(x))]
    assert np.ptp(gaps[0]) / gaps[0].mean() < 1e-3
    assert np.ptp(gaps[1]) / gaps[1].mean() > 0.5
    plainly, shrunk = (make_map(z, ProjectRecipe(k=5), labels=labels) for z in (plain, whiten(x)(x)))
    assert plainly.votes.before < 0.55
    assert shrunk.votes.before > 0.65


def test_preparations_are_fitted_to_the_fitted_rows_alone():
    x, _ = blobs(60)
    new = x + 100
    np.testing.assert_allclose(standardise(x)(x).std(axis=0), 1, atol=1e-5)
    assert standardise(x)(new).mean() > 20
    np.testing.assert_allclose(np.linalg.norm(unit(x)(new), axis=1), 1, atol=1e-6)
    constant = np.hstack([x, np.full((60, 1), 0.1, np.float32)])
    assert (standardise(constant)(constant)[:, -1] == 0).all()


def test_standardising_shows_what_a_loud_column_hides():
    x, labels = blobs(90)
    x[:, -1] *= 200
    hidden = make_map(x, ProjectRecipe(k=5), labels=labels)
    shown = make_map(x, ProjectRecipe(k=5, prepare="standardise"), labels=labels)
    assert hidden.votes.before < 0.75
    assert shown.votes.before > 0.95
    assert hidden.votes.after < 0.5
    assert shown.votes.after > 0.7


def test_seed_000_pca_misses_classes_that_a_discriminant_finds():
    """Seed 000, P2: classes a prompt tells at 92 % lie across a small direction; PCA draws the large ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    x = rng.normal(size=(600, 20)) * np.linspace(6, 3, 20)
    x[:, -1] = rng.normal(size=600) + np.where(labels == 0, -1.4, 1.4)  # 92 % by the sign of this column
    by_hand = ((x[:, -1] > 0) == labels).mean()
    pca, guided = (make_map(x, ProjectRecipe(method=method), labels=labels) for method in ("pca", "lda"))
    assert 0.9 < by_hand < 0.94
    assert pca.votes.after < 0.6
    assert guided.votes.after > 0.85


def test_variance_shares_sum_to_one_and_fall():
    x, _ = blobs(50, 6)
    shares = variance_shares(x)
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) <= 0).all()
    assert variance_shares(np.ones((5, 3))).tolist() == [0, 0, 0]


def test_small_sets_lower_perplexity_and_say_so():
    found = make_map(blobs(20)[0], ProjectRecipe(method="tsne"))
    assert "perplexity lowered from 30 to 6.33 for 20 rows" in found.notes
    assert found.votes is None


def test_bad_input_is_refused_in_one_sentence():
    x, labels = blobs(30)
    with pytest.raises(DataError, match="points: row 7 is not finite: expected finite numbers"):
        make_map(np.where(np.arange(30)[:, None] == 7, np.nan, x))
    with pytest.raises(DataError, match="every row is the same point, so there is no map: got 30 equal rows"):
        make_map(np.ones((30, 3)))
    with pytest.raises(DataError, match="column 2 of the vectors numbers the rows"):
        make_map(np.hstack([x[:, :2], np.arange(30)[:, None]]))
    with pytest.raises(DataError, match="too few rows or columns for a map: got 4 rows of 12 numbers"):
        make_map(x[:4])
    with pytest.raises(OptionError, match="--guided has no effect with --method pca: expected --method umap, lda"):
        make_map(x, ProjectRecipe(guided=True), labels=labels)
    with pytest.raises(DataError, match="a guided map needs labels of two classes or more: got 0 classes"):
        make_map(x, ProjectRecipe(method="lda"))
    with pytest.raises(DataError, match="got 1 class among 21 rows; name their column"):
        make_map(x, ProjectRecipe(method="lda"), labels=np.zeros(30, int))
    with pytest.raises(ShapeError, match="labels and points differ in length: got 29 and 30 rows"):
        make_map(x, labels=labels[:29])
    with pytest.raises(ShapeError, match="labels must be class numbers"):
        make_map(x, labels=np.array(["a"] * 30))
    with pytest.raises(ShapeError, match="points have the wrong width: got 3, expected 12"):
        make_map(x).place(x[:, :3])
    with pytest.raises(OptionError, match="--dimensions is out of range: got 4"):
        ProjectRecipe(dimensions=4)
    with pytest.raises(OptionError, match=r"unknown --method: got 'umpa'.*did you mean 'umap'"):
        ProjectRecipe(method="umpa")


def test_constant_columns_are_counted_and_one_class_gives_no_accuracy():
    x, _ = blobs(30)
    found = make_map(np.hstack([x, np.ones((30, 2))]), labels=np.zeros(30, int))
    assert "2 of 14 columns are constant" in found.notes
    assert found.votes is None
    assert "no k-NN accuracy: fewer than two classes are known" in found.notes


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    import sys

    from separatrix.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(MissingExtra, match=r'type: pip install "separatrix\[maps\]"'):
        make_map(blobs(30)[0], ProjectRecipe(method="tsne"))
