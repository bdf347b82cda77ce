import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits

from separatrix.errors import OptionError
from separatrix.geometry import density, tiles
from separatrix.geometry.density import DensityGraph, Reading, dbscan
from separatrix.geometry.tiles import OutOfTimeError

ENGINES = ("numpy", "numba")
SPREADS = [0.4, 0.8, 1.5, 1, 1, 0.6]


def heaps(rows=500, width=5, seed=0):
    x, _ = make_blobs(rows, width, centers=6, cluster_std=SPREADS, random_state=seed)
    return x.astype(np.float32)


def radii_of(x, shares=(0.001, 0.01, 0.05, 0.2, 0.9)):
    gaps = np.linalg.norm(x[:, None].astype(np.float64) - x[None], axis=2)
    return np.quantile(gaps[np.triu_indices(len(x), 1)], shares).tolist()


def same(x, eps, min_samples, *results):
    oracle = DBSCAN(eps=eps, min_samples=min_samples, algorithm="brute").fit(x.astype(np.float64))
    for result in results:
        assert result.labels.tolist() == oracle.labels_.tolist()
        assert np.flatnonzero(result.core).tolist() == oracle.core_sample_indices_.tolist()


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles so small that a few hundred rows take every path: order, surroundings, open rows, leading columns."""
    for name, value in {"TILE": 16, "_SMALL": 64, "_FEW": 20, "_CELL_ROWS": 20, "_DRAWN": 8}.items():
        monkeypatch.setattr(tiles, name, value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("width", [2, 8, 9, 40])
@pytest.mark.parametrize("min_samples", [1, 2, 12])
def test_labels_are_those_of_scikit_learn(small_tiles, engine, width, min_samples):
    x = heaps(250, width, seed=width)
    radii = radii_of(x)
    graph = DensityGraph.build(x, radii, min_samples, engine=engine)
    for level, eps in enumerate(radii):
        alone = dbscan(x, eps, min_samples, engine=engine)
        same(x, eps, min_samples, graph.clusters(level, min_samples), alone)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_reading_serves_a_whole_grid_in_any_order(small_tiles, engine):
    x = heaps(400, 12)
    radii = radii_of(x)
    graph = DensityGraph.build(x, radii, 12, engine=engine)
    for level, count in [(4, 12), (0, 12), (2, 5), (3, 5), (3, 12), (1, 5), (1, 1), (2, 12)]:
        same(x, radii[level], count, graph.clusters(level, count))


def test_leading_columns_save_products_and_move_nothing(small_tiles, monkeypatch):
    """Six heaps that differ along a few directions: most pairs of tiles are told apart by those alone."""
    x = np.concatenate([heaps(400, 6) * 4, np.random.default_rng(0).normal(size=(400, 58)) / 8], axis=1)
    x = x.astype(np.float32)
    radii, full = radii_of(x, (0.02,)), []
    product = tiles.TileSpace.product
    monkeypatch.setattr(tiles.TileSpace, "product", lambda self, a, b: full.append(a.shape[1]) or product(self, a, b))
    same(x, radii[0], 5, dbscan(x, radii[0], 5))
    assert np.mean(np.array(full) < 64) > 0.6


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_number_of_threads_moves_nothing(small_tiles, monkeypatch, threads, engine):
    import threadpoolctl

    x = heaps(500, 12, seed=4)
    radii = radii_of(x, (0.01, 0.05))
    pools = [{"user_api": "blas", "num_threads": threads}]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools)
    with threadpool_limits(1):
        graph = DensityGraph.build(x, radii, 6, engine=engine)
        for level, eps in enumerate(radii):
            same(x, eps, 6, graph.clusters(level, 6))


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_that_join_at_once_lose_no_link(small_tiles, monkeypatch, engine):
    """Many short strings of rows: most links between cores are found by threads that join clusters at the same time."""
    import threadpoolctl

    rng = np.random.default_rng(4)
    middles, string = rng.normal(size=(150, 12)) * 5, rng.integers(150, size=1500)
    x = middles[string] + 0.01 * rng.normal(size=(1500, 12))
    x[:, 0] += rng.uniform(0, 8, size=1500)
    x = x.astype(np.float32)
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [{"user_api": "blas", "num_threads": 4}])
    same(x, 1.0, 2, *(dbscan(x, 1.0, 2, engine=engine) for _ in range(4)))


grid = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(grid, st.sampled_from([1.0, 2.0, 5**0.5]), st.integers(1, 5), st.sampled_from(ENGINES), st.booleans())
def test_distances_that_are_exactly_eps(points, eps, min_samples, engine, wide):
    x = np.array(points, dtype=np.float32)
    x = np.concatenate([x, np.zeros((len(x), 8), np.float32)], axis=1) if wide else x
    same(x, eps, min_samples, dbscan(x, eps, min_samples, engine=engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_distances_that_float32_cannot_tell_from_eps(engine):
    x = heaps(60, 20)
    for other in range(1, 30, 3):
        distance = float(np.linalg.norm(x[0].astype(np.float64) - x[other]))
        for eps in (distance * (1 - 1e-9), distance * (1 + 1e-9)):
            for min_samples in (2, 8):
                same(x, eps, min_samples, dbscan(x, eps, min_samples, engine=engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_more_equal_rows_than_a_list_holds(small_tiles, engine):
    for width in (2, 10):
        x = np.repeat(heaps(40, width), [1, 2, 30, 7] * 10, axis=0)
        same(x, 0.5, 6, dbscan(x, 0.5, 6, engine=engine))


@pytest.mark.parametrize("width", [3, 20])
def test_far_from_the_origin_nothing_changes(width):
    x = np.round(heaps(300, width) * 64) / 64  # so that the shift is exact in float32
    eps = radii_of(x, (0.05,))[0]
    assert (dbscan(x + np.float32(4096), eps, 5).labels == dbscan(x, eps, 5).labels).all()


@pytest.mark.parametrize("width", [2, 20])
def test_memory_does_not_grow_with_the_neighbors(width):
    """At eps 0.8 a published run halted on 561,600 rows; lists of neighbors were the square of the rows."""
    x = heaps(5000, width)
    dbscan(x[:100], 50.0, 10)  # what is loaded and compiled at first use
    tracemalloc.start()
    result = dbscan(x, 1000.0, 10)  # everything is a neighbor of everything: 25 million pairs
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.labels.max() == 0
    assert peak < 80e6  # lists of neighbors alone: 200e6


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_whose_squares_vanish(engine):
    x = heaps(300, 12) * np.float32(1e-23)
    eps = radii_of(x, (0.05,))[0]
    same(x, eps, 5, dbscan(x, eps, 5, engine=engine))


def test_progress_ends_at_all_rows(small_tiles):
    seen = []
    dbscan(heaps(200, 12), 1.0, 5, progress=lambda stage, done, total, note: seen.append((done, total)))
    assert seen[-1] == (200, 200)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("width", [3, 20])
def test_it_gives_up_in_time(width):
    with pytest.raises(OutOfTimeError, match="the time limit passed"):
        dbscan(heaps(100, width), 1.0, 5, deadline=0.0)
    graph = DensityGraph.build(heaps(100, width), [1.0], 5)
    with pytest.raises(OutOfTimeError, match="the time limit passed"):
        graph.clusters(0, 5, deadline=0.0)


def test_nonsense_is_refused():
    x = heaps(100)
    for eps in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="eps is out of range"):
            dbscan(x, eps)
    with pytest.raises(OptionError, match="min_samples is out of range"):
        dbscan(x, 1.0, 0)
    with pytest.raises(OptionError, match="radii must ascend"):
        DensityGraph.build(x, [2.0, 1.0])


@dataclass
class InMemory:
    """Keeps lists in memory; stops the work after so many states."""

    stop_after: int
    states: list[dict[str, np.ndarray]] = field(default_factory=list)

    def load(self):
        return self.states[-1] if self.states else {}

    def save(self, arrays):
        self.states.append({name: array.copy() for name, array in arrays.items()})
        if len(self.states) == self.stop_after:
            raise KeyboardInterrupt("stopped")


def test_lists_that_were_stopped_are_gone_on_with(small_tiles, monkeypatch):
    monkeypatch.setattr(density, "_KEEP_SECONDS", 0.0)
    monkeypatch.setattr(density, "_A_ROUND", 2)
    x = heaps(700, 12)
    radii, rows_done = radii_of(x), []
    kept = InMemory(stop_after=2)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        DensityGraph.build(x, radii, 8, reading=Reading(kept=lambda *_: kept))
    graph = DensityGraph.build(
        x, radii, 8, progress=lambda _, done, *rest: rows_done.append(done), reading=Reading(kept=lambda *_: kept)
    )
    assert 0 < rows_done[0] < len(x)
    for level, eps in enumerate(radii):
        same(x, eps, 8, graph.clusters(level, 8))
    # Lists of the rows in another order are of no use.
    kept.states.append(kept.states[-1] | {"order": np.arange(len(x)), "levels": kept.states[-1]["levels"] * 0})
    graph = DensityGraph.build(x, radii, 8, reading=Reading(kept=lambda *_: kept))
    same(x, radii[1], 8, graph.clusters(1, 8))
