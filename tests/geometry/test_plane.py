import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from separatrix.errors import DataError, ShapeError
from separatrix.geometry import plane as module
from separatrix.geometry.project import faithfulness, fit_plane


def stretched(rows=80, width=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, width)) * np.linspace(5, 1, width) + 3


@pytest.mark.parametrize("shape", [(80, 10), (10, 80), (30, 30), (5, 2), (200, 3)])
def test_plane_equals_scikit_learn_up_to_sign(shape):
    x = stretched(*shape)
    expected = PCA(2, svd_solver="full").fit(x)
    plane = fit_plane(x)
    np.testing.assert_allclose(np.abs(plane.axes), np.abs(expected.components_), atol=1e-8)
    np.testing.assert_allclose(plane.explained, expected.explained_variance_ratio_, atol=1e-10)
    np.testing.assert_allclose(np.abs(plane.place(x)), np.abs(expected.transform(x)), atol=1e-7)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-10)


def test_a_large_problem_is_solved_by_drawing_and_comes_close(monkeypatch):
    x = stretched(120, 60)
    exact = fit_plane(x)
    monkeypatch.setattr(module, "_EXACT", 10)
    drawn, again = fit_plane(x, seed=1), fit_plane(x, seed=1)
    np.testing.assert_allclose(drawn.axes, exact.axes, atol=0.05)
    np.testing.assert_allclose(drawn.explained, exact.explained, rtol=1e-3)
    np.testing.assert_array_equal(drawn.axes, again.axes)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_order_of_rows_and_mirroring_never_turn_the_picture(seed):
    x = stretched(30, 5, seed)
    plane = fit_plane(x)
    largest = np.abs(plane.axes).argmax(axis=1)
    assert (plane.axes[[0, 1], largest] > 0).all()
    shuffled = fit_plane(np.random.default_rng(seed).permutation(x))
    np.testing.assert_allclose(shuffled.axes, plane.axes, atol=1e-6)
    np.testing.assert_allclose(fit_plane(-x).axes, plane.axes, atol=1e-6)


def test_many_points_are_placed_piece_by_piece(monkeypatch):
    x = stretched(100).astype(np.float32)
    whole = fit_plane(x).place(x)
    monkeypatch.setattr(module, "_PLACED", 7)
    np.testing.assert_allclose(fit_plane(x).place(x), whole, rtol=0, atol=1e-10)


def test_points_without_a_plane_are_placed_all_the_same():
    constant = fit_plane(np.full((5, 3), 0.1))
    assert constant.explained.tolist() == [0, 0]
    assert constant.place(np.full((2, 3), 0.1)).tolist() == [[0, 0], [0, 0]]
    single = fit_plane([[1.0, 2.0]])
    assert single.place([[5.0, 5.0]]).tolist() == [[0, 0]]
    column = fit_plane([[1.0], [3.0]])
    np.testing.assert_allclose(column.place([[1.0], [3.0]]), [[-1, 0], [1, 0]])
    line = fit_plane(np.outer(np.arange(4.0), [1.0, 1.0, 0.0]) + 0.1)
    np.testing.assert_allclose(line.explained, [1, 0], atol=1e-12)
    assert (line.axes[1] == 0).all()


def test_faithfulness_equals_scikit_learn():
    x = stretched(60)
    flat = fit_plane(x).place(x)
    found = faithfulness(x, flat, k=5)
    assert found.trustworthiness == pytest.approx(trustworthiness(x, flat, n_neighbors=5))
    near = [NearestNeighbors(n_neighbors=5).fit(y).kneighbors(return_distance=False) for y in (x, flat)]
    shared = [len(set(a) & set(b)) / 5 for a, b in zip(*near, strict=True)]
    assert found.knn_overlap == pytest.approx(np.mean(shared))
    assert (found.k, found.rows, found.seed) == (5, 60, 0)


def test_a_faithful_picture_scores_high_and_a_random_one_low():
    x = np.hstack([stretched(150, 2), np.zeros((150, 8))])
    good = faithfulness(x, fit_plane(x).place(x))
    bad = faithfulness(x, np.random.default_rng(5).standard_normal((150, 2)))
    assert good.trustworthiness > 0.999
    assert good.knn_overlap > 0.99
    assert bad.trustworthiness < 0.6
    assert bad.knn_overlap < 0.15


def test_many_rows_are_sampled_with_the_seed():
    x = stretched(300)
    flat = fit_plane(x).place(x)
    first, again, other = (faithfulness(x, flat, rows=100, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.rows == 100
    assert other.knn_overlap != first.knn_overlap


def test_k_is_lowered_for_few_points_and_says_so():
    x = stretched(9)
    assert faithfulness(x, x[:, :2], k=10).k == 4


def test_impossible_input_is_refused():
    x = stretched(9)
    with pytest.raises(DataError, match="too few points to compare neighborhoods: got 3, expected 4 or more"):
        faithfulness(x[:3], x[:3, :2])
    with pytest.raises(ShapeError, match="points and flat points differ in length"):
        faithfulness(x, x[:8, :2])
    with pytest.raises(ShapeError, match="points have the wrong width: got 2, expected 10"):
        fit_plane(x).place(x[:, :2])
    with pytest.raises(DataError, match="points: row 0 is not finite"):
        fit_plane(np.full((3, 2), np.inf))
