"""k-means over blocks: Lloyd's passes, starts, empty clusters, going on."""

from __future__ import annotations

import numpy as np
import pytest

from separatrix.errors import OptionError
from separatrix.geometry.cluster import kmeans as in_memory
from separatrix.scale import kmeans as kmeans_file
from separatrix.scale.blocks import BlockSource
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.kmeans import Lloyd, finish, kmeans
from separatrix.scale.prepare import fit_preparation


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


@pytest.mark.parametrize("how", ["none", "standardise", "whiten"])
def test_clusters_are_those_of_memory(x, how):
    from separatrix.geometry.prepare import prepare

    source = BlockSource.of(x)
    made = kmeans(source, [6], fit_preparation(source, how, BlockJob()), BlockJob())[6]
    expected = in_memory(prepare(x, how), 6)
    assert made.inertia == pytest.approx(expected.inertia, rel=1e-5)
    assert made.distortion == pytest.approx(expected.distortion, rel=1e-5)
    assert sorted(made.sizes) == sorted(expected.sizes)
    assert set(made.exemplars) == set(expected.exemplars)
    rows = prepare(x, how).values.astype(np.float64)
    gaps = ((rows[:, None] - made.centroids[None]) ** 2).sum(axis=2)
    assert (gaps.argmin(axis=1) == made.labels).all()
    assert made.inertia == pytest.approx(gaps.min(axis=1).sum(), rel=1e-6)


def test_several_k_share_a_reading_and_give_what_each_gives_alone(x):
    source, readings = BlockSource.of(x), []
    job = BlockJob(progress=lambda stage, done, total, note: readings.append(stage) if done == total else None)
    together = kmeans(source, [2, 6, 4], Preparation(), job)
    passes = [stage for stage in readings if "pass" in stage]
    assert len(passes) == len(set(passes))  # one reading a pass, not three
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
