import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.neighbors import WEIGHTS, knn_predict, neighbors, vote

METRICS = ("cosine", "euclidean")


def cloud(rows, width=12, seed=0, shift=0.0):
    return (np.random.default_rng(seed).standard_normal((rows, width)) + shift).astype(np.float32)


def slow_neighbors(queries, rows, k, metric, exclude_self=False):
    """One pair at a time, in float64; lower row number first on a tie."""
    index, distance = [], []
    for number, q in enumerate(np.asarray(queries, np.float64)):
        found = []
        for row, r in enumerate(np.asarray(rows, np.float64)):
            if exclude_self and row == number:
                continue
            if metric == "euclidean":
                found.append((np.sqrt(((q - r) ** 2).sum()), row))
            else:
                size = np.sqrt((q @ q) * (r @ r))
                found.append((1 - (q @ r) / size if size else 1.0, row))
        found.sort()
        index.append([row for _, row in found[:k]])
        distance.append([d for d, _ in found[:k]])
    return np.array(index), np.array(distance)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("exclude_self", [False, True])
def test_equals_the_slow_loop(metric, exclude_self):
    x = cloud(60)
    index, distance = slow_neighbors(x, x, 7, metric, exclude_self)
    found = neighbors(x, x, 7, metric=metric, exclude_self=exclude_self, block=16)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, atol=1e-6)
    assert (found.index[:, 0] == np.arange(60)).all() != exclude_self


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("block", [100, 700, 4096])  # tiles that crowd, that end raggedly, and one tile for all
def test_equals_scikit_learn_across_blocks(metric, block):
    queries, rows = cloud(150, seed=1), cloud(1500, seed=2)
    expected = NearestNeighbors(n_neighbors=9, metric=metric, algorithm="brute").fit(rows.astype(np.float64))
    distance, index = expected.kneighbors(queries.astype(np.float64))
    found = neighbors(queries, rows, 9, metric=metric, block=block)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, atol=2e-6)


# Whole numbers, so that products are exact in float32 and ties are true ties; for cosine all have length 2.
whole = st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=2, max_size=40)
signs = st.lists(st.lists(st.sampled_from([-1, 1]), min_size=4, max_size=4), min_size=2, max_size=40)


@given(st.one_of(st.tuples(st.just("euclidean"), whole), st.tuples(st.just("cosine"), signs)), st.data())
@settings(max_examples=120, deadline=None)
def test_blocks_never_change_the_result_and_ties_go_to_the_lower_row(case, data):
    metric, points = case
    x = np.array(points, np.float32)
    exclude_self = data.draw(st.booleans())
    k = data.draw(st.integers(1, len(x) - exclude_self))
    index, distance = slow_neighbors(x, x, k, metric, exclude_self)
    for block in (data.draw(st.integers(1, 45)), 4096):
        found = neighbors(x, x, k, metric=metric, exclude_self=exclude_self, block=block)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_allclose(found.distance, distance, atol=1e-6)


@pytest.mark.parametrize("block", [64, 300, 4096])
def test_ties_go_to_the_lower_row_where_hundreds_of_rows_are_equal(block):
    x = np.random.default_rng(0).integers(-1, 2, size=(1500, 3)).astype(np.float32)  # 27 different rows
    index, _ = slow_neighbors(x[:30], x, 12, "euclidean")
    found = neighbors(x[:30], x, 12, metric="euclidean", block=block)
    np.testing.assert_array_equal(found.index, index)


@pytest.mark.parametrize("rows", [30, 50, 53, 5000])
def test_of_equal_rows_the_first_are_listed(rows):
    # As many newcomers as are just sorted, as are just thinned out first, and more than one tile of them.
    x = np.ones((rows, 3), np.float32)
    assert neighbors(x[:2], x, 5, metric="euclidean").index.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_candidates_are_measured_again_where_the_matrix_product_is_too_coarse():
    # Two groups far apart: no centre helps both, and |x|^2 / 2 = 5e5 is held to 0.03 only.
    x = cloud(400, seed=4)
    x[1::2] += 300
    index, distance = slow_neighbors(x[:60], x, 5, "euclidean")
    found = neighbors(x[:60], x, 5, metric="euclidean")
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, atol=1e-4)


def test_far_from_the_origin_near_points_keep_their_order():
    # |x|^2 is 3e8 here and float32 holds it to 32; the gaps are below 10. Bad before centring, good after.
    x = cloud(300, seed=3, shift=5000.0)
    index, distance = slow_neighbors(x[:20], x, 5, "euclidean")
    half = 0.5 * (x**2).sum(axis=1)
    naive = np.argsort(-(x[:20] @ x.T - half), axis=1)[:, :5]
    assert (naive == index).mean() < 0.5
    found = neighbors(x[:20], x, 5, metric="euclidean")
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-5)


def test_rows_sorted_against_the_queries_are_found_all_the_same():
    # Every tile beats the one before: the case that the running comparison is worst at.
    x = np.linspace(100, 1, 800, dtype=np.float32)[:, None]
    found = neighbors(np.zeros((3, 1), np.float32), x, 4, metric="euclidean", block=64)
    assert found.index.tolist() == [[799, 798, 797, 796]] * 3


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_cosine_does_not_care_for_length_even_where_its_square_overflows(scale):
    rows = cloud(40)
    plain = neighbors(rows[:5], rows, 4)
    scaled = neighbors(rows[:5], rows * np.float32(scale), 4)
    np.testing.assert_array_equal(scaled.index, plain.index)
    np.testing.assert_allclose(scaled.distance, plain.distance, atol=1e-6)


def test_a_zero_vector_is_at_cosine_distance_one_from_everything():
    found = neighbors([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0]], 3)
    assert found.distance.tolist() == [[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    assert found.index.tolist() == [[0, 1, 2], [1, 0, 2]]


def test_input_is_left_alone():
    x, y = cloud(30), cloud(20, seed=1)
    before = x.copy(), y.copy()
    for metric in METRICS:
        neighbors(x, y, 3, metric=metric)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_votes_equal_scikit_learn(metric, weights):
    rows, queries = cloud(200, seed=1), cloud(50, seed=2)
    queries[:5] = rows[:5]  # at distance 0: they alone decide under `distance`
    labels = np.random.default_rng(3).integers(4, size=200)
    expected = KNeighborsClassifier(n_neighbors=6, metric=metric, weights=weights, algorithm="brute")
    expected.fit(rows.astype(np.float64), labels)
    shares = knn_predict(queries, rows, labels, 6, metric=metric, weights=weights)
    if metric == "cosine" and weights == "distance":  # scikit-learn's cosine of equal vectors is only nearly 0
        np.testing.assert_array_equal(shares[:5], np.eye(4)[labels[:5]])
        queries, shares = queries[5:], shares[5:]
    np.testing.assert_allclose(shares, expected.predict_proba(queries.astype(np.float64)), atol=1e-4)
    clear = np.sort(shares, axis=1)[:, -1] - np.sort(shares, axis=1)[:, -2] > 1e-3  # ties are decided otherwise
    predicted = expected.predict(queries.astype(np.float64))
    np.testing.assert_array_equal(shares.argmax(axis=1)[clear], predicted[clear])
    assert clear.sum() > 30


def test_a_query_that_counts_itself_looks_better_than_it_is():
    # Labels drawn at random: nothing to learn. Counting oneself gives every row its own label (the slip of seed 004).
    x, labels = cloud(400), np.random.default_rng(0).integers(2, size=400)
    inflated = knn_predict(x, x, labels, 1).argmax(axis=1)
    honest = knn_predict(x, x, labels, 1, exclude_self=True).argmax(axis=1)
    assert (inflated == labels).mean() == 1.0
    assert (honest == labels).mean() < 0.6


def test_classes_without_rows_get_a_column_of_zeros():
    shares = knn_predict([[0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [0, 1], 2, classes=4)
    assert shares == pytest.approx(np.array([[0.5, 0.5, 0.0, 0.0]]), abs=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_on_a_tie_the_nearest_decides_whatever_it_is_called(weights):
    """Regression: the class that sorts first won, so that renaming classes moved accuracies."""
    rows, queries = cloud(300, seed=1), cloud(80, seed=2)
    labels = np.random.default_rng(3).permutation([0] * 200 + [1] * 100)
    if weights != "uniform":  # rows on a circle are equally near
        turns = np.linspace(0, 2 * np.pi, 300, endpoint=False)
        rows, queries = np.column_stack([np.cos(turns), np.sin(turns)]).round(3), np.zeros((5, 2))
    found = neighbors(queries, rows, 2, metric="euclidean")
    votes = vote(found, labels, 2, 2, weights=weights)
    renamed = vote(found, 1 - labels, 2, 2, weights=weights)
    assert np.array_equal(votes, renamed[:, ::-1])
    tied = labels[found.index[:, 0]] != labels[found.index[:, 1]]
    if weights == "uniform":
        assert tied.sum() > 10
        assert np.array_equal(votes.argmax(axis=1), labels[found.index[:, 0]])
    assert votes.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 4}, DataError, "k is larger than the number of rows to choose from: got 4, expected 3 or fewer"),
        ({"k": 3, "exclude_self": True}, DataError, "got 3, expected 2 or fewer"),
        ({"k": 0}, OptionError, "k is out of range: got 0"),
        ({"k": 1, "block": 0}, OptionError, "block is out of range: got 0"),
        ({"k": 1, "metric": "cosin"}, OptionError, "did you mean 'cosine'"),
        ({"k": 1, "rows": np.ones((3, 5))}, ShapeError, "queries have the wrong width: got 2, expected 5"),
        ({"k": 1, "rows": np.ones((4, 2)), "exclude_self": True}, ShapeError, "got 3 queries, 4 rows"),
        ({"k": 1, "rows": np.full((3, 2), np.nan)}, DataError, "rows: row 0 is not finite"),
        ({"k": 1, "rows": np.empty((0, 2))}, DataError, "rows are empty"),
    ],
)
def test_impossible_input_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        neighbors(**{"queries": np.ones((3, 2)), "rows": np.ones((3, 2)), **options})


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        ([0, 1], {}, ShapeError, "labels and rows differ in length: got 2 and 3 rows"),
        ([0, 1, -1], {}, DataError, "labels: row 2 has no class"),
        ([0, 1, 2], {"classes": 2}, DataError, "labels: row 2 is outside the classes"),
        ([0, 1, 1], {"weights": "distant"}, OptionError, "did you mean 'distance'"),
    ],
)
def test_impossible_votes_are_refused(labels, options, error, message):
    with pytest.raises(error, match=message):
        knn_predict(np.ones((3, 2)), np.ones((3, 2)), labels, 1, **options)
