from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.assign import assign
from separatrix.geometry.associate import associate, correct, cramers_v, information, quantile_bins, wilson


def pair(rows=600, share=0.3, seed=0, first=4, second=5):
    """Two groupings; a share of the rows has the second one fixed by the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, first, rows), rng.integers(0, second, rows)
    return a, np.where(rng.random(rows) < share, a % second, b)


def slow_information(a, b):
    """Mutual information cell by cell."""
    found = 0.0
    for one in np.unique(a):
        for other in np.unique(b):
            both = ((a == one) & (b == other)).mean()
            found += both * np.log(both / (a == one).mean() / (b == other).mean()) if both else 0.0
    return found


# -- classes of clusters


def test_assignments_equal_the_slow_ones():
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(-1, 4, 200), rng.integers(0, 4, 200)
    found = assign(clusters, labels, tuple("abcd"), permutations=19)
    majority = sum(np.bincount(labels[clusters == c]).max() for c in range(4))
    best = max(
        sum(((clusters == c) & (labels == k)).sum() for c, k in enumerate(way)) for way in permutations(range(4))
    )
    assert found.majority.accuracy == majority / 200
    assert found.matched.accuracy == best / 200
    assert found.covered == (clusters >= 0).mean()
    assert found.majority_class == np.bincount(labels).max() / 200


def test_blobs_are_classified_by_their_clusters_and_shuffled_labels_are_not():
    """Seed 000: known heaps must give 100 %, whatever the clusters are called."""
    labels = np.repeat([0, 1, 2], 50)
    clusters = np.repeat([2, 0, 1], 50)
    found = assign(clusters, labels, ("a", "b", "c"))
    for way in (found.majority, found.matched):
        assert (way.accuracy, way.interval, way.p_value) == (1.0, (1.0, 1.0), 0.001)
        assert way.classes == (1, 2, 0)
        assert way.null < 0.5
    shuffled = assign(clusters, np.random.default_rng(0).permutation(labels), ("a", "b", "c"))
    assert shuffled.majority.p_value > 0.05
    assert shuffled.majority.interval[0] <= shuffled.majority.accuracy <= shuffled.majority.interval[1]


def test_a_cluster_for_each_row_is_perfect_by_majority_and_worthless():
    rows = 60
    labels = np.arange(rows) % 2
    found = assign(np.arange(rows), labels, ("a", "b"), permutations=99)
    assert (found.majority.accuracy, found.majority.null, found.majority.p_value) == (1.0, 1.0, 1.0)
    assert found.matched.accuracy == 2 / rows  # one to one, it is nothing


def test_all_noise_is_all_wrong():
    found = assign([-1, -1, -1], [0, 1, 1], ("a", "b"), permutations=19)
    assert (found.majority.accuracy, found.majority.classes, found.covered, found.majority.p_value) == (0, (), 0, 1.0)
    with pytest.raises(ShapeError, match="clusters and labels differ in length"):
        assign([0, 0], [0, 1, 1], ("a", "b"))


# -- association


def test_figures_equal_those_of_the_libraries():
    a, b = pair()
    found = associate(a, b, permutations=19)
    assert found.mutual_information == pytest.approx(mutual_info_score(a, b))
    assert found.adjusted_mutual_information == pytest.approx(adjusted_mutual_info_score(a, b))
    square = chi2_contingency(found.table, correction=False).statistic
    assert found.cramers_v == pytest.approx(np.sqrt(square / 600 / 3))
    np.testing.assert_allclose(found.expected, chi2_contingency(found.table).expected_freq)
    # A standardised residual squared is the chi-square of its cell made into a 2 x 2 table.
    cell = found.table[0, 0]
    row, column = found.table[0].sum() - cell, found.table[:, 0].sum() - cell
    four = [[cell, row], [column, 600 - cell - row - column]]
    assert found.residuals[0, 0] ** 2 == pytest.approx(chi2_contingency(four, correction=False).statistic)


def test_a_planted_association_is_found_and_a_shuffled_one_is_not():
    """Seed 002 tested nothing: clusters were related to layers and heads by eye."""
    a, b = pair(share=0.3)
    found = associate(a, b)
    gone = associate(a, np.random.default_rng(1).permutation(b))
    assert (found.p_value, gone.p_value > 0.05) == (0.001, True)
    assert found.cramers_v_corrected > 0.2
    assert gone.cramers_v_corrected < 0.06
    assert gone.cramers_v > gone.cramers_v_corrected  # the plain one is never near 0
    assert abs(gone.adjusted_mutual_information) < 0.02


@pytest.mark.parametrize("bound", [False, True])
def test_p_values_are_uniform_where_nothing_is(bound):
    rng = np.random.default_rng(0)
    p = []
    for seed in range(200):
        a, b, groups = rng.integers(0, 3, 120), rng.integers(0, 4, 120), rng.integers(0, 15, 120)
        p.append(associate(a, b, within=groups if bound else None, permutations=99, seed=seed).p_value)
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10


def test_shuffling_within_groups_takes_away_what_the_groups_bring():
    """Both follow the example, and nothing else: the free null cries wolf, the one within examples does not."""
    rng = np.random.default_rng(0)
    example = np.repeat(np.arange(60), 12)
    taste = rng.integers(0, 3, 60)[example]
    a, b = (np.where(rng.random(720) < 0.5, taste, rng.integers(0, 3, 720)) for _ in range(2))
    assert associate(a, b, permutations=199).p_value == 0.005
    assert associate(a, b, within=example, permutations=199).p_value > 0.05
    inner = np.where(rng.random(720) < 0.3, a, b)  # one that is there within each example as well
    assert associate(a, inner, within=example, permutations=199).p_value == 0.005


def test_shuffles_within_groups_of_many_sizes_keep_each_group():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 9, 50)
    a, b = rng.integers(0, 2, 50), rng.integers(0, 3, 50)
    found = associate(a, b, within=groups, permutations=2000, seed=1)
    slow = []
    for _ in range(1000):
        mixed = b.copy()
        for group in range(9):
            mixed[groups == group] = rng.permutation(mixed[groups == group])
        slow.append(slow_information(a, mixed))
    assert found.null_mean == pytest.approx(np.mean(slow), rel=0.06)
    assert found.null_high == pytest.approx(np.percentile(slow, 95), rel=0.2)  # few tables, so it comes in steps


def test_the_free_null_is_that_of_shuffling():
    a, b = pair(80, 0.2)
    rng = np.random.default_rng(0)
    slow = [slow_information(a, rng.permutation(b)) for _ in range(1000)]
    found = associate(a, b, permutations=2000)
    assert found.null_mean == pytest.approx(np.mean(slow), rel=0.05)
    assert found.null_high == pytest.approx(np.percentile(slow, 95), rel=0.08)


def test_corrections_equal_the_slow_ones():
    p = np.array([0.01, 0.2, 0.03, 0.011, 0.9])
    found = correct(p)
    order = np.sort(p)
    for place, value in enumerate(p):
        rank = int((order <= value).sum())
        assert found["holm"][place] == pytest.approx(max(min(1, order[i] * (5 - i)) for i in range(rank)))
        assert found["bh"][place] == pytest.approx(min(1, *(order[i] * 5 / (i + 1) for i in range(rank - 1, 5))))


def test_bins_and_small_helpers():
    places, names = quantile_bins(np.r_[np.zeros(50), np.arange(1, 51)], 4)
    assert len(names) == places.max() + 1 == 3  # equal values share a bin
    with pytest.raises(DataError, match="numbers that are all the same cannot be cut into bins: got 2 in 2 rows"):
        quantile_bins([2, 2], 4)
    with pytest.raises(DataError, match="row 1 is not finite: got inf"):
        quantile_bins([2, np.inf], 4)
    low, high = wilson(0, 0)
    assert (float(low), float(high)) == pytest.approx((0, 1), abs=1e-3)
    assert information(np.array([[[3, 0], [0, 3]]]))[0] == pytest.approx(np.log(2))
    assert cramers_v(np.full((2, 2), 10)) == (0, 0)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(DataError, match="the second grouping is the same for all rows"):
        associate([0, 1], [1, 1])
    with pytest.raises(DataError, match="every group has one row"):
        associate([0, 1], [0, 1], within=[0, 1])
    with pytest.raises(ShapeError, match="differ in length"):
        associate([0, 1], [0, 1, 1])


@pytest.mark.parametrize("given", [False, True])
def test_the_null_of_units_is_that_of_rows_that_are_shuffled_unit_by_unit(given):
    rng = np.random.default_rng(3)
    unit, a = rng.integers(0, 23, 900), rng.integers(0, 4, 900)
    heads = rng.integers(0, 3, 900) if given else None
    b = (unit * 7) % 5
    found = associate(a, b, units=unit, given=heads, permutations=49, seed=1).nulls["units"]
    codes = np.unique(a if heads is None else a * 10 + heads, return_inverse=True)[1]
    codes, unit, b = (first_row_codes(values) for values in (codes, unit, b))
    first = np.unique(unit, return_index=True)[1]
    generator = np.random.default_rng(1)
    drawn = [generator.permutation(b[first])[unit] for _ in range(49)]
    slow = [information(np.histogram2d(codes, each, (codes.max() + 1, 5))[0][None])[0] for each in [b, *drawn]]
    assert found.observed == pytest.approx(slow[0], abs=1e-12)
    assert found.mean == pytest.approx(np.mean(slow[1:]), abs=1e-12)
    assert found.rows == 900


def first_row_codes(values):
    """Numbers by the first rows of the values."""
    names = list(dict.fromkeys(values.tolist()))
    return np.array([names.index(value) for value in values.tolist()])
