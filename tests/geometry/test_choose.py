import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.neighbors import NearestNeighbors

from separatrix.errors import DataError, OptionError
from separatrix.geometry.choose import _DECIDE, choose_k, knee, stability
from separatrix.geometry.choose_density import choose_eps, choose_size, is_sound, k_distance
from separatrix.geometry.density import DensityGraph, dbscan


def blobs(rows=400, centers=4, seed=3, spread=0.7):
    x, y = make_blobs(rows, 4, centers=centers, cluster_std=spread, random_state=seed)
    return x.astype(np.float32), y


GRID = (2, 3, 4, 5, 6)


@pytest.fixture(scope="module")
def four():
    return choose_k(blobs(200)[0], GRID, seed=0)


@pytest.mark.parametrize("criterion", ["silhouette", "distortion", "inertia", "stability"])
def test_four_heaps_are_four(four, criterion):
    value, sentence, warnings = _DECIDE[criterion](list(four.table))
    assert (value, warnings) == (4, ())
    if criterion == "silhouette":
        assert (four.option, four.value, four.criterion) == ("k", 4, sentence)
    assert [line["k"] for line in four.table] == list(GRID)
    best = four.table[2]
    assert best["silhouette"] > best["silhouette_null"] + 0.2
    assert best["stability"] > 0.95


def test_one_heap_is_said_to_be_one():
    """Seed 002 chose k = 35 from a smooth curve; a curve that one heap has too is no elbow."""
    heap = (np.random.default_rng(0).normal(size=(200, 4)) * [4, 1, 1, 1]).astype(np.float32)
    found = choose_k(heap, GRID, seed=0)
    assert "no sign of separate clusters" in found.warnings[0]
    assert "has no elbow of its own" in _DECIDE["distortion"](list(found.table))[2][0]


def test_curves_bend_where_they_do():
    assert knee([1, 2, 3, 4, 5], [0, 0, 0, 5, 10]) == (2, 0.5)  # flat, then rising
    assert knee([1, 2, 3], [3, 2, 1])[1] == pytest.approx(0)
    assert knee([1, 2, 3], [5, 5, 5]) == (0, 0.0)


def test_chance_agrees_with_nothing():
    rng = np.random.default_rng(0)
    scores = stability(lambda part: rng.integers(0, 3, len(part)), np.zeros((300, 2)))
    assert np.abs(scores).max() < 0.1


def test_a_grid_beyond_the_rows_is_refused():
    x, _ = blobs(12)
    with pytest.raises(OptionError, match="no number of clusters to try fits the rows: got 12 rows"):
        choose_k(x, (7, 9))
    with pytest.raises(OptionError, match="did you mean 'silhouette'"):
        choose_k(x, (2,), criterion="silhouete")


@pytest.mark.parametrize("min_samples", [2, 5, 12])
def test_the_k_distance_curve_is_the_share_of_cores(min_samples):
    """Seed 002 plotted the distance to the nearest neighbor whatever min_samples was."""
    x, _ = blobs(300)
    curve = k_distance(x, min_samples)
    oracle = NearestNeighbors(n_neighbors=min_samples).fit(x).kneighbors(x)[0][:, -1]  # itself counted
    np.testing.assert_allclose(curve, np.sort(oracle), atol=1e-5)
    for share in (0.3, 0.6, 0.9):
        eps = float(np.quantile(curve, share)) + 1e-4
        promised = (curve <= eps).mean()
        assert dbscan(x, eps, min_samples).core.mean() == pytest.approx(promised, abs=0.005)
    if min_samples > 2:  # before: the curve of the nearest neighbor
        wrong = float(np.quantile(k_distance(x, 2), 0.6))
        assert dbscan(x, wrong, min_samples).core.mean() < 0.45


def test_eps_is_the_knee_and_the_grid_is_kept():
    x, _ = blobs()
    found = choose_eps(x, 8)
    assert "k = min_samples = 8" in found.criterion
    assert dbscan(x, found.value, 8).labels.max() == 3
    assert {line["min_samples"] for line in found.table} == {4, 8, 16}
    assert found.value in {line["eps"] for line in found.table}
    for line in found.table:
        labels = dbscan(x, line["eps"], line["min_samples"]).labels
        assert (line["clusters"], line["noise"]) == (labels.max() + 1, (labels < 0).sum())
        assert line["status"] == "done"
    assert [line["distance"] for line in found.curve] == sorted(line["distance"] for line in found.curve)


def test_a_cell_that_runs_out_of_time_is_marked_not_dropped(monkeypatch):
    """Seed 002: one cell halted after days, and the table of the others was lost with it."""
    x, _ = blobs(200)
    found = choose_eps(x, 8, cell_seconds=0.0)
    assert {line["status"] for line in found.table} == {"time limit"}  # the distances were not read in time
    assert all(line["clusters"] is None for line in found.table)
    real, slow = DensityGraph.clusters, set()

    def late(first):
        def clusters(self, level, count, *, deadline):
            slow.add((level, count))
            return real(self, level, count, deadline=0.0 if len(slow) <= first else deadline)

        slow.clear()
        return clusters

    monkeypatch.setattr(DensityGraph, "clusters", late(1))
    statuses = [line["status"] for line in choose_eps(x, 8).table]
    assert statuses[0] == "time limit"
    assert set(statuses[1:]) == {"done"}
    monkeypatch.setattr(DensityGraph, "clusters", late(99))
    assert [line["status"] for line in choose_eps(x, 8).table] == ["time limit"] * 2 + ["not begun"] * (
        len(statuses) - 2
    )


def test_eps_needs_a_curve():
    x, _ = blobs(100)
    with pytest.raises(OptionError, match="--min-samples is out of range for this choice: got 1, expected 2 to 100"):
        choose_eps(x, 1)
    equal = np.repeat(x[:2], 50, axis=0)
    with pytest.raises(DataError, match="the k-distance curve has its knee at 0"):
        choose_eps(equal, 5)


def test_the_size_of_hdbscan_is_the_stable_one():
    x, _ = blobs(300)
    found = choose_size(x, 5, seed=0)
    line = next(line for line in found.table if line["min_cluster_size"] == found.value)
    assert line["clusters"] == 4
    assert line["stability"] > 0.9
    with pytest.raises(DataError, match="no min_cluster_size gives two clusters"):
        choose_size(np.linspace(0, 1, 40, dtype=np.float32)[:, None] ** 0.5, 5)


def row_of_blobs(*sizes, apart=3.0):
    generator = np.random.default_rng(0)
    middle = np.repeat(np.arange(len(sizes)), sizes)[:, None] * np.array([apart, 0])
    return (middle + generator.normal(scale=0.05, size=middle.shape)).astype(np.float32)


def test_a_radius_that_leaves_one_cluster_is_not_chosen():
    """The knee may give one cluster with everything, which says nothing; the nearest sound radius is taken."""
    tail = np.c_[np.linspace(0, 3, 18), np.full(18, 0.4)]  # thin rows pull the knee up
    x = np.r_[row_of_blobs(150, 150, apart=0.25), tail].astype(np.float32)
    result = choose_eps(x, 5)
    cells = {line["eps"]: line for line in result.table if line["min_samples"] == 5}
    assert cells[result.value]["clusters"] >= 2
    assert is_sound(cells[result.value], len(x))
    sound = [eps for eps, line in cells.items() if is_sound(line, len(x))]
    assert any(not is_sound(line, len(x)) for line in cells.values())
    assert result.value in sound
    one = choose_eps(np.linspace(0, 1, 80, dtype=np.float32)[:, None] ** 0.9, 5)
    assert "no eps near it gives two clusters or more, the largest below 95 %" in one.criterion


def test_a_size_whose_largest_cluster_holds_nearly_all_is_not_chosen():
    assert choose_size(row_of_blobs(200, 200, 200), 5).criterion.endswith("the largest below 95 % of the rows")
    lines = [{"clusters": 2, "largest": 98}, {"clusters": None, "largest": None}, {"clusters": 2, "largest": 60}]
    assert [is_sound(line, 100) for line in lines] == [False, False, True]


def test_a_number_of_clusters_at_the_end_of_the_grid_is_said():
    x = row_of_blobs(50, 50, 50, 50)
    assert not any("of the numbers tried" in line for line in choose_k(x, (3, 4, 5)).warnings)
    assert any("k = 5 is the smallest of the numbers tried (5 to 8): fewer might do better" in line
               for line in choose_k(x, (5, 8)).warnings)  # fmt: skip
