"""k-means over blocks: Lloyd's passes, starts, empty clusters, going on."""

from __future__ import annotations

import numpy as np
import pytest

from separatrix.errors import OptionError
from separatrix.geometry.cluster import kmeans as kmeans_of_memory
from separatrix.points import Points
from separatrix.scale import kmeans as kmeans_file
from separatrix.scale.blocks import BlockSource
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation, some_tiles
from separatrix.scale.kmeans import Lloyd, _read, finish, kmeans
from separatrix.scale.prepare import fit_preparation
from separatrix.scale.starts import draw_weighted
from separatrix.store.points import write_points


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(6, 16))
    return (centres[rng.integers(0, 6, 12_000)] + rng.normal(size=(12_000, 16)) + 30).astype(np.float32)


def plain_lloyd(x, centroids, passes):
    """Lloyd's passes as one writes them down."""
    x = x.astype(np.float64)
    for _ in range(passes):
        labels = ((x[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
        centroids = np.array([x[labels == k].mean(axis=0) for k in range(len(centroids))])
    return centroids


@pytest.mark.parametrize("passes", [1, 3])
def test_a_pass_is_that_of_the_plain_loop(x, passes, monkeypatch):
    monkeypatch.setattr(kmeans_file, "PASSES", passes)
    rows = x - x.mean(axis=0)  # as `kmeans` gives them
    one = Lloyd(rows[:6].astype(np.float64))
    finish({6: one}, BlockSource.of(rows), Preparation(), BlockJob())
    np.testing.assert_allclose(one.centroids, plain_lloyd(rows, rows[:6].astype(np.float64), passes), atol=1e-5)
    assert one.passes == passes


@pytest.mark.parametrize(("k", "shift"), [(1, 0), (2, 0), (7, 0), (7, 300)])
def test_bounds_hold_and_let_most_rows_unread(x, k, shift):
    rows = x - x.mean(axis=0) + np.float32(shift)
    one, exact = Lloyd(rows[:k].astype(np.float64)), rows.astype(np.float64)
    one.begin(len(rows))
    squares, read = 0.0, []
    while not one.done:
        used, known = one.narrow, one.bounds.after(one.moves)
        gaps = np.sqrt(((exact[:, None] - used.astype(np.float64)[None]) ** 2).sum(axis=2))
        if one.passes:
            inside = np.arange(len(rows))
            own = gaps[inside, known.labels]
            gaps[inside, known.labels] = np.inf
            assert (own <= known.upper).all()
            assert (gaps.min(axis=1) >= known.lower).all()
            gaps[inside, known.labels] = own
        read.append((known.upper >= known.lower).mean())
        squares += _read([one], [used], BlockSource.of(rows), Preparation(), BlockJob())
        near = np.sort(gaps**2, axis=1)
        rounding = 1e-5 * (exact**2).sum(axis=1)
        clear = np.ones(len(rows), bool) if k == 1 else near[:, 1] - near[:, 0] > rounding
        assert (one.bounds.labels[clear] == gaps.argmin(axis=1)[clear]).all()
        sums = np.array([exact[one.bounds.labels == j].sum(axis=0) for j in range(k)])
        np.testing.assert_allclose(one.sums, sums, atol=1e-6 * np.abs(exact).sum())
        one.step(squares)
        one.measure_moves(used)
    assert read[0] == 1
    assert min(read) < 0.5 or (k, shift) != (7, 0)


@pytest.mark.parametrize("far", [1e9])
def test_a_far_row_hides_no_other(x, far):
    rows = np.concatenate([x, np.full((1, 16), far, np.float32)])
    result = kmeans(BlockSource.of(rows), [7], Preparation(), BlockJob(), starts=1)[7]
    assert result.sizes.min() == 1
    alone = np.array([x[result.labels[:-1] == j].astype(np.float64).sum(axis=0) for j in range(7)])
    means = alone[result.sizes > 1] / result.sizes[result.sizes > 1, None]
    np.testing.assert_allclose(result.centroids[result.sizes > 1], means, atol=0.02)


def test_what_a_far_row_has_rounded_away_leaves_with_it(x):
    rows = x - x.mean(axis=0)
    rows[77] = 1e9
    starts = np.array([rows[0], rows[1], rows[2]], np.float64)  # the far row is with others first, then alone
    one = Lloyd(starts)
    finish({3: one}, BlockSource.of(rows), Preparation(), BlockJob())
    for j in range(3):
        mean = rows[one.bounds.labels == j].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(one.sums[j] / one.counts[j], mean, rtol=1e-6, atol=1e-3)


def test_tiles_of_some_rows_are_those_rows(x, tmp_path):
    points = Points.of(x[:5000])
    some = np.flatnonzero(np.random.default_rng(0).random(5000) < 0.3)
    for dtype in ("float32", "int8"):
        write_points(tmp_path / dtype, points, dtype=dtype)
        source = BlockSource.open(tmp_path / dtype)
        tiles = [(number, tile.clone()) for number, tile in some_tiles(source, None, some)]
        assert (np.concatenate([number for number, _ in tiles]) == some).all()
        expected = source.read(0, 5000)[some]
        np.testing.assert_allclose(np.concatenate([tile.numpy() for _, tile in tiles]), expected, rtol=1e-6)


@pytest.mark.parametrize("how", ["none", "standardise", "whiten"])
def test_clusters_are_those_of_memory(x, how):
    from separatrix.geometry.prepare import prepare

    source = BlockSource.of(x)
    made = kmeans(source, [6], fit_preparation(source, how, BlockJob()), BlockJob())[6]
    expected = kmeans_of_memory(prepare(x, how), 6)
    assert made.inertia == pytest.approx(expected.inertia, rel=1e-5)
    assert made.distortion == pytest.approx(expected.distortion, rel=1e-5)
    assert sorted(made.sizes) == sorted(expected.sizes)
    assert set(made.exemplars) == set(expected.exemplars)
    rows = prepare(x, how).values.astype(np.float64)
    gaps = ((rows[:, None] - made.centroids[None]) ** 2).sum(axis=2)
    assert (gaps.argmin(axis=1) == made.labels).all()
    assert made.inertia == pytest.approx(gaps.min(axis=1).sum(), rel=1e-6)


def test_far_rows_are_among_those_that_k_means_starts_from():
    """A uniform sample lacks the few rows that most of the inertia comes from: 1.3 times scikit-learn's."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40_000, 8)) * (rng.pareto(1.2, size=(40_000, 1)) + 1)).astype(np.float32)
    made = kmeans(BlockSource.of(x), [10], Preparation(), BlockJob(), starts=3)[10]
    assert made.inertia <= 1.1 * kmeans_of_memory(x, 10, starts=3).inertia


def test_rows_that_are_all_alike_are_drawn_evenly_and_stand_for_all():
    rows, weights = draw_weighted(np.ones(50_000), 1000, 0)
    assert np.array_equal(rows // 50, np.arange(1000))  # one of every fifty
    np.testing.assert_allclose(weights, 50)
    assert draw_weighted(np.zeros(50_000), 1000, 0)[0].tolist() == rows.tolist()
    squares = np.random.default_rng(0).pareto(1.2, size=50_000)
    some, counts = draw_weighted(squares, 5000, 0)
    assert len(np.unique(some)) == len(some)
    assert counts.sum() == pytest.approx(50_000, rel=0.02)
    assert (counts * squares[some]).sum() == pytest.approx(squares.sum(), rel=0.02)


@pytest.mark.parametrize("sample", [16_384, 600])  # all rows; some, of which a larger k gets more
def test_several_k_share_a_reading_and_give_what_each_gives_alone(x, sample, monkeypatch):
    monkeypatch.setattr("separatrix.scale.starts.SAMPLE_ROWS", sample)
    source, readings = BlockSource.of(x), []
    job = BlockJob(progress=lambda stage, done, total, note: readings.append(stage) if done == total else None)
    together = kmeans(source, [2, 6, 4], Preparation(), job)
    passes = [stage for stage in readings if "pass" in stage]
    assert len(passes) == len(set(passes))  # one reading a pass, not three
    assert (readings.count("labels"), readings.count("distances from the middle")) == (1, int(sample < len(x)))
    for k, one in together.items():
        alone = kmeans(source, [k], Preparation(), BlockJob())[k]
        assert (one.labels == alone.labels).all()
        assert one.inertia == pytest.approx(alone.inertia, rel=1e-6)


def test_a_cluster_without_rows_begins_anew_far_away(x):
    bad = np.vstack([x[:5], np.full((1, 16), 1e6)]).astype(np.float64)  # nobody is near the last one
    good, one = Lloyd(x[:6].astype(np.float64)), Lloyd(bad)
    for each in (good, one):
        finish({6: each}, BlockSource.of(x), Preparation(), BlockJob())
    assert one.refilled >= 1
    labels = ((x[:, None] - one.centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (np.bincount(labels, minlength=6) > 0).all()


def test_fewer_distinct_rows_than_clusters_end_and_are_said():
    x = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    made = kmeans(BlockSource.of(x), [6], Preparation(), BlockJob())[6]
    assert (made.clusters, made.empty, made.inertia) == (4, 2, pytest.approx(0, abs=1e-9))


def test_passes_that_were_killed_go_on_to_the_same_bytes(x, tmp_path, monkeypatch):
    monkeypatch.setattr(kmeans_file, "KEEP_SECONDS", 0.0)
    source = BlockSource.of(x)
    starts = {6: x[:6].astype(np.float64)}
    whole = {k: Lloyd(start) for k, start in starts.items()}
    finish(whole, source, Preparation(), BlockJob())
    assert whole[6].passes > 3

    def stop(stage, done, total, _note):
        if stage.endswith("pass 3") and done == total:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        finish(
            {k: Lloyd(start) for k, start in starts.items()}, source, Preparation(), BlockJob("here", tmp_path, stop)
        )
    read, again = [], {k: Lloyd(start) for k, start in starts.items()}
    finish(again, source, Preparation(), BlockJob("here", tmp_path, lambda stage, *_: read.append(stage)))
    assert "k-means, pass 2" not in read
    assert again[6].passes == whole[6].passes
    assert again[6].centroids.tobytes() == whole[6].centroids.tobytes()


def test_more_clusters_than_rows_are_refused():
    with pytest.raises(OptionError, match="more clusters than rows: got k = 5, expected 4 or fewer"):
        kmeans(BlockSource.of(np.eye(4)), [2, 5], Preparation(), BlockJob())
