import sys
import types

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from separatrix.errors import DataError, MissingExtra, OptionError
from separatrix.geometry.checks import check_no_index, maybe_index
from separatrix.geometry.cluster import hdbscan, kmeans, nearest_centroid, scikit_hdbscan
from separatrix.geometry.condense import condense, excess_of_mass
from separatrix.geometry.prepare import prepare


def blobs(rows=400, width=4, centers=4, seed=0, spread=1.0):
    x, y = make_blobs(rows, width, centers=centers, cluster_std=spread, random_state=seed)
    return x.astype(np.float32), y


# -- what is let in


@pytest.mark.parametrize("how", ["order", "shuffled", "shifted", "scaled", "halved"])
def test_a_row_number_among_the_features_is_refused(how):
    """Seed 002: the files carried a row index, the first component came out as a ramp, k-means had to be redone."""
    x = np.random.default_rng(0).standard_normal((3000, 5)).astype(np.float32)
    number = np.arange(3000.0)
    column = {
        "order": number,
        "shuffled": np.random.default_rng(1).permutation(number),
        "shifted": number + 129_999,
        "scaled": (number - number.mean()) / number.std(),
        "halved": number.astype(np.float16).astype(np.float32),  # above 2048 float16 keeps every second number only
    }[how]
    x[:, 3] = column
    with pytest.raises(DataError, match="column 3 of the vectors numbers the rows"):
        check_no_index(x)
    with pytest.raises(DataError, match="numbers the rows"):
        kmeans(x, 3)


def test_ordinary_columns_are_no_row_numbers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 6))
    x[:, 1] = rng.integers(0, 2, 2000)  # a switch
    x[:, 2] = rng.integers(0, 2000, 2000)  # counts, some twice
    x[:, 3] = np.sort(x[:, 3])  # rows in the order of a feature
    x[:, 4] = 7.0
    check_no_index(x)
    check_no_index(np.arange(19.0)[:, None])  # too few rows to tell


def test_of_millions_of_rows_hardly_a_column_is_looked_at_as_a_whole():
    """Each look is one more reading of all rows: only what could number them is worth it."""
    rng, rows = np.random.default_rng(0), 3_000_000
    x = np.column_stack([rng.normal(size=rows), rng.random(rows), rng.permutation(rows), np.arange(rows)])
    assert maybe_index(x[:1000].astype(np.float32), x.min(axis=0), x.max(axis=0), rows) == [2, 3]


@pytest.mark.parametrize("how", ["none", "standardise", "whiten", "unit"])
def test_bad_vectors_are_one_sentence(how):
    x, _ = blobs(50)
    broken = x.copy()
    broken[7, 2] = np.nan
    with pytest.raises(DataError, match="vectors: row 7 is not finite"):
        prepare(broken, how)
    with pytest.raises(DataError, match="all rows are the same: got 9 equal rows"):
        prepare(np.full((9, 3), 0.1, np.float32), how)


def test_preparing_does_what_it_says():
    x, _ = blobs(500, 6)
    x = np.column_stack([x * np.array([1, 10, 100, 0.1, 1, 1]), np.full(500, 3.3)]).astype(np.float32)
    scaled = prepare(x, "standardise")
    np.testing.assert_allclose(scaled.values[:, :6].std(axis=0), 1, rtol=1e-4)
    assert (scaled.values[:, 6] == 0).all()
    assert scaled.constant == 1
    white = prepare(x, "whiten").values
    assert (white[:, 6] == 0).all()
    found = np.linalg.eigvalsh(white[:, :6].T @ white[:, :6] / 500)  # shrunk: no longer 30 to 1, not quite 1 to 1
    before = np.linalg.eigvalsh(np.corrcoef(x[:, :6].T))
    assert found[-1] / found[0] < 1.5 < 5 < before[-1] / before[0]
    few = prepare(x[:5], "whiten").values  # fewer rows than columns: shrinkage keeps the distances apart
    assert np.ptp(np.linalg.norm(few[:, None] - few[None], axis=2)[np.triu_indices(5, 1)]) > 0.1
    unit = prepare(x, "unit").values
    np.testing.assert_allclose(unit, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-5)
    assert (unit[:, 6] > 0).all()  # a constant column is a part of the direction
    with pytest.raises(OptionError, match="did you mean 'whiten'"):
        prepare(x, "whitten")


def test_scale_decides_and_standardising_mends_it():
    """Seed 000: k-means on raw outputs gave about two thirds, after scaling it came within 2 % of the prompt."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 200)
    x = np.column_stack([y * 4 + rng.normal(size=400), 100 * rng.normal(size=400)])
    before = adjusted_rand_score(y, kmeans(x, 2).labels)
    after = adjusted_rand_score(y, kmeans(prepare(x, "standardise"), 2).labels)
    assert before < 0.05
    assert after > 0.7


# -- k-means


def test_kmeans_is_that_of_scikit_learn_and_uses_every_row():
    """faiss trained on a subsample without saying so: here rows used = rows given, and the inertia is of all rows."""
    x, _ = blobs(900, 6, 5)
    found, oracle = kmeans(x, 5, seed=3), KMeans(5, n_init=10, random_state=3).fit(x)
    assert (found.labels == oracle.labels_).all()
    assert found.sizes.sum() == len(x)
    slow = sum(min(((row - c) ** 2).sum() for c in found.centroids) for row in x.astype(float))
    assert found.inertia == pytest.approx(slow, rel=1e-9)
    assert found.inertia == pytest.approx(oracle.inertia_, rel=1e-4)
    gap = np.linalg.norm(x - found.centroids[found.labels], axis=1)
    assert found.distortion == pytest.approx(gap.mean())
    for cluster, row in enumerate(found.exemplars):
        inside = np.flatnonzero(found.labels == cluster)
        assert gap[row] == gap[inside].min()
    assert (kmeans(x, 5, seed=3).labels == found.labels).all()


def test_minibatch_labels_every_row_too():
    x, y = blobs(3000, 4, 3)
    found = kmeans(x, 3, minibatch=True)
    labels, gap = nearest_centroid(x, found.centroids)
    assert (found.labels == labels).all()
    assert found.inertia == pytest.approx((gap**2).sum())
    assert adjusted_rand_score(y, found.labels) > 0.95


def test_equal_rows_leave_clusters_empty_and_it_is_said():
    x = np.repeat([[0.0, 1.0], [5.0, 2.0]], 10, axis=0)
    found = kmeans(x, 3)
    assert (found.clusters, found.empty, found.sizes.tolist()) == (2, 1, [10, 10])
    with pytest.raises(OptionError, match="more clusters than rows: got k = 21, expected 20 or fewer"):
        kmeans(x, 21)


def test_intelex_is_used_where_it_is_installed_with_the_same_labels(monkeypatch):
    used = []

    class Fast(KMeans):
        def fit(self, x, y=None, sample_weight=None):
            used.append("KMeans")
            return super().fit(x, y, sample_weight)

    x, _ = blobs(300)
    before = kmeans(x, 4)
    assert before.engine == "scikit-learn"
    stand_in = types.ModuleType("sklearnex.cluster")
    stand_in.KMeans = Fast
    monkeypatch.setitem(sys.modules, "sklearnex", types.ModuleType("sklearnex"))
    monkeypatch.setitem(sys.modules, "sklearnex.cluster", stand_in)
    after = kmeans(x, 4)
    assert used == ["KMeans"]
    assert after.engine == "scikit-learn-intelex"
    assert (before.labels == after.labels).all()


# -- HDBSCAN


@pytest.mark.parametrize("seed", [0, 2])
def test_hdbscan_is_that_of_scikit_learn_and_the_tree_is_its_tree(seed):
    x, _ = blobs(500, 4, 5, seed=seed, spread=[0.5, 1.0, 1.5, 1.0, 2.0])
    found = hdbscan(x, 15, min_samples=5)
    oracle = HDBSCAN(min_cluster_size=15, min_samples=5, copy=True).fit(x)
    assert (found.labels == oracle.labels_).all()
    tree = found.tree
    assert tree.size[0] == len(x)
    assert (tree.birth[1:] >= tree.birth[tree.parent[1:]]).all()
    # Own selection from the own tree finds the library's clusters: stability and members are right.
    assert adjusted_rand_score(excess_of_mass(tree), oracle.labels_) == 1
    for label, node in enumerate(tree.selected):
        assert tree.size[node] >= found.sizes[label]
    kept = [tree.left[found.labels == label].max() for label in range(found.clusters)]
    assert tree.left[found.exemplars].tolist() == kept


def test_engines_agree_on_clear_heaps():
    x, y = blobs(300, 3, 4, seed=1, spread=0.4)
    pytest.importorskip("fast_hdbscan")
    for engine in ("scikit-learn", "fast_hdbscan"):
        found = hdbscan(x, 20, min_samples=5, engine=engine)
        assert found.engine == engine
        assert adjusted_rand_score(y, found.labels) > 0.97
    with pytest.raises(OptionError, match=r"unknown --engine"):
        hdbscan(x, 20, engine="gpu")
    with pytest.raises(DataError, match="fewer rows than min_samples: got 300 rows"):
        hdbscan(x, 20, min_samples=301)


def test_equal_rows_do_not_break_the_tree():
    x = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 10, axis=0)
    tree = hdbscan(x, 5, min_samples=2).tree
    assert tree.size[0] == 60
    lines = condense(np.array([[0, 1, 0.0, 2], [3, 2, 0.0, 3]]), 2, np.zeros(3, int)).lines()
    assert lines[0]["death"] is None


def fake_cuml(monkeypatch):
    """A `cuml` whose classes are scikit-learn's, and take what cuML takes."""

    class Tree:
        def __init__(self, linkage):
            self.linkage = linkage

        def to_numpy(self):
            return np.rec.fromarrays(self.linkage.T, names="left,right,distance,size")

    class CumlHDBSCAN(HDBSCAN):
        def __init__(self, *, min_cluster_size, min_samples, output_type):
            super().__init__(min_cluster_size, min_samples=min_samples, copy=True)
            assert output_type == "numpy"

        def fit(self, x):
            labels, linkage = scikit_hdbscan(x, self.min_cluster_size, self.min_samples)
            self.labels_, self.single_linkage_tree_ = labels.astype(np.int32), Tree(linkage)
            return self

    def kmeans_class(*, output_type, **options):
        assert output_type == "numpy"
        return KMeans(**options)

    stand_in = types.ModuleType("cuml.cluster")
    stand_in.KMeans, stand_in.HDBSCAN = kmeans_class, CumlHDBSCAN
    monkeypatch.setitem(sys.modules, "cuml", types.ModuleType("cuml"))
    monkeypatch.setitem(sys.modules, "cuml.cluster", stand_in)


def test_cuml_computes_where_it_is_named(monkeypatch):
    fake_cuml(monkeypatch)
    x, _ = make_blobs(200, 4, centers=3, random_state=0)
    for cluster_by in (lambda engine: kmeans(x, 3, engine=engine), lambda engine: hdbscan(x, 20, engine=engine)):
        made, expected = cluster_by("cuml"), cluster_by("scikit-learn")
        assert (made.engine, expected.engine) == ("cuml", "scikit-learn")
        assert made.labels.tolist() == expected.labels.tolist()
    with pytest.raises(OptionError, match="--engine cuml has no --minibatch"):
        kmeans(x, 3, engine="cuml", minibatch=True)
    with pytest.raises(OptionError, match=r"unknown --engine: got .fast_hdbscan."):
        kmeans(x, 3, engine="fast_hdbscan")


@pytest.mark.parametrize("cluster_by", [kmeans, hdbscan])
def test_without_cuml_one_sentence_says_what_to_install(cluster_by, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuml", None)
    with pytest.raises(MissingExtra, match="cuml is not installed; pip install cuml-cu12 on a machine with a GPU"):
        cluster_by(np.random.default_rng(0).normal(size=(60, 3)), 3, engine="cuml")
