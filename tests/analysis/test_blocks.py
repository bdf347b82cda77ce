"""Verbs on points that need more memory than they may take: the same result object, and what of it is approximate."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import separatrix as sx
from separatrix.analysis import blocks
from separatrix.analysis.identity import CLUSTER
from separatrix.cli import main
from separatrix.errors import ModelError, OptionError
from separatrix.models import device as models_device
from separatrix.points import Points
from separatrix.scale import device as scale_device
from separatrix.scale import device_tiles, kernels, lloyd
from separatrix.scale.machine import Machine
from separatrix.scale.memory import in_memory
from separatrix.store.points import open_points, write_points
from served import start_served, wait_until

ROWS, WIDTH = 40_000, 64  # 39 MiB in memory at the peak, 26 in blocks
LITTLE = "39MiB"
LAPTOP = Path(__file__).parents[2] / "benchmarks" / "machines" / "laptop.json"
cluster = partial(sx.cluster, permutations=19)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, ROWS)
    x = 2 * rng.normal(size=(4, WIDTH))[classes] + rng.normal(size=(ROWS, WIDTH)) + 5
    table = {"label": np.array(list("abcd"))[classes], "split": np.where(rng.random(ROWS) < 0.7, "train", "test")}
    made = tmp_path_factory.mktemp("points") / "p"
    write_points(made, Points.of(x, table), dtype="float32")
    return made


@pytest.fixture
def points(folder) -> Points:
    return open_points(folder)


def test_kmeans_in_blocks_gives_the_clusters_of_memory(points, tmp_path):
    made = cluster(points, "kmeans", k=4, memory=LITTLE, out=tmp_path / "c")
    expected = cluster(points, "kmeans", k=4)
    assert expected.approximate is None
    assert made.approximate == ("the starts of k-means are the best of a sample; its passes read every row",)
    assert made.engine == "blocks"
    assert adjusted_rand_score(made.labels, expected.labels) == 1
    for name in ("inertia", "distortion"):
        assert getattr(made, name) == pytest.approx(getattr(expected, name), rel=1e-6)
    assert sorted(made.sizes) == sorted(expected.sizes)
    assert set(made.exemplars) == set(expected.exemplars)
    assert made.assignment["matched"]["accuracy"] == expected.assignment["matched"]["accuracy"]
    again = sx.load(tmp_path / "c")
    assert list(again.approximate) == list(made.approximate)
    assert (again.table[CLUSTER] == made.table[CLUSTER]).all()
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["c"]  # nothing pending


def test_the_budget_changes_no_byte(points):
    one, *others = (
        cluster(points, "kmeans", k=3, prepare="standardise", memory=memory) for memory in ("34MiB", "36MiB", LITTLE)
    )
    for other in others:
        assert one.digest == other.digest
        assert (one.inertia, one.distortion) == (other.inertia, other.distortion)


def test_k_is_chosen_on_a_sample_and_it_is_said(points):
    made = cluster(points, "kmeans", choose=True, k_grid=(2, 4, 6), sample_rows=800, memory=LITTLE)
    assert made.clusters == made.choice.value == 4
    assert "k was chosen on 800 rows" in made.approximate


@pytest.mark.parametrize("criterion", ["inertia", "distortion"])
def test_an_elbow_is_that_of_all_rows_from_one_reading(points, criterion):
    ks, stages = (2, 3, 4, 6, 8), []
    options = {"criterion": criterion, "sample_rows": 400, "memory": LITTLE, "starts": 2}
    made = cluster(points, choose=True, k_grid=ks, progress=lambda stage, *_: stages.append(stage), **options)
    assert made.choice.value == made.clusters == 4
    assert f"knee of the {criterion} curve" in made.choice.criterion
    assert list(dict.fromkeys(stages)).count("labels") == 1
    for line in made.choice.table[1:3]:
        alone = cluster(points, k=line["k"], memory=LITTLE, starts=2)
        assert line["rows"] == ROWS
        assert (line["inertia"], line["distortion"]) == pytest.approx((alone.inertia, alone.distortion), rel=1e-6)
    assert "silhouettes and stabilities of the choice are those of 400 rows" in made.approximate
    plan = sx.plan("cluster", points, choose=True, k_grid=ks, machine=Machine.load(LAPTOP), **options)
    assert "all k that --choose tries" in plan.assumptions


def test_hdbscan_in_blocks_says_what_it_measured(points, monkeypatch):
    for module in ("analysis.blocks", "scale.density"):
        monkeypatch.setattr(f"separatrix.{module}.SAMPLE_ROWS", 1000)
    made = cluster(points, "hdbscan", memory=LITTLE)
    assert made.clusters == 4
    assert f"hdbscan saw 1000 of {ROWS} rows" in made.approximate[0]


def test_dbscan_says_what_it_needs(points):
    with pytest.raises(OptionError, match=r"dbscan holds all rows in memory: got 0\.04 GiB needed; pass --memory"):
        cluster(points, "dbscan", eps=3.0, memory=LITTLE)


def test_dbscan_takes_what_is_free_unless_told_otherwise(points, monkeypatch):
    few = points.take(np.arange(2000))
    needed = in_memory(len(few), few.width)
    monkeypatch.setattr("separatrix.scale.memory.free_bytes", lambda: needed + 1)
    assert cluster(few, "dbscan", eps=3.0).approximate is None
    monkeypatch.setattr("separatrix.scale.memory.free_bytes", lambda: needed - 2)
    with pytest.raises(OptionError, match="dbscan holds all rows in memory"):
        cluster(few, "dbscan", eps=3.0)


def test_too_little_for_a_block_is_one_sentence(points):
    with pytest.raises(OptionError, match="--memory is too small for one block of each worker: got 2 MiB, expected"):
        cluster(points, "kmeans", k=4, memory="2MiB")


@pytest.mark.parametrize("prepare", ["none", "standardise"])
def test_pca_in_blocks_is_fitted_to_all_rows(points, prepare):
    made = sx.project(points, "pca", prepare=prepare, memory=LITTLE, fit_rows=500)
    exact = sx.project(points, "pca", prepare=prepare, fit_rows=ROWS)
    assert made.rows_fitted == ROWS
    assert list(made.notes) == list(exact.notes) == []
    np.testing.assert_allclose(made.coordinates, exact.coordinates, atol=1e-3)
    assert made.trustworthiness == pytest.approx(exact.trustworthiness, abs=1e-3)
    assert made.axes == exact.axes
    np.testing.assert_allclose(made.place(points), made.coordinates, atol=1e-3)
    sample = sx.project(points, "pca", prepare=prepare, fit_rows=500)
    assert np.abs(sample.coordinates - exact.coordinates).max() > 0.01  # what all rows change


def test_other_maps_are_fitted_to_their_sample_as_before(points):
    made = sx.project(points, "lda", memory=LITTLE)
    assert made.rows_fitted < ROWS


def test_a_score_of_too_many_rows_is_that_of_a_sample_and_says_so(points):
    made = sx.score(points, memory="5MiB", k=5, permutations=19)
    rows = sum(made.rows.values())
    assert 4000 < rows < 6000
    assert made.warnings[0] == (
        f"scored on {rows} of {ROWS} rows: whole values of 'id', drawn evenly with seed 0"
    )  # fmt: skip
    assert made["knn_loo"].value > 0.95


def test_centroids_and_discriminants_of_many_rows_are_of_all_of_them(points, monkeypatch):
    some = points.take(np.arange(2000))
    expected = sx.score(some, permutations=19)
    monkeypatch.setattr(blocks.ScaleOptions, "in_blocks", lambda *_, **__: True)
    monkeypatch.setattr(blocks, "SCORED", 600)
    made = sx.score(some, permutations=19)
    assert sum(made.rows.values()) <= 600
    for name in ("centroid_test", "lda_test"):
        assert made[name].value == pytest.approx(expected[name].value, abs=2e-3)
        assert (made[name].rows, made[name].p_value) == (expected[name].rows, expected[name].p_value)
    assert "centroid_test, lda_test: of all 2000 rows" in made.warnings
    assert not any("of all" in line for line in sx.score(some, permutations=19, memory="1MiB").warnings)


def test_clusters_are_scored_on_the_same_sample(points):
    clusters = cluster(points, "kmeans", k=4)
    by_table = sx.score(points, clusters=clusters, memory="2MiB", permutations=19)
    by_number = sx.score(points, clusters=clusters.labels, memory="2MiB", permutations=19)
    assert by_table.clusters == by_number.clusters
    assert by_table.clusters["matched"]["accuracy"] == 1


def test_a_command_that_is_killed_goes_on_to_the_same_bytes(folder, tmp_path):
    words = ["cluster", str(folder), "--k", "9", "--starts", "1", "--memory", LITTLE, "--quiet"]
    words += ["--permutations", "19", "--threads", str(torch.get_num_threads()), "--out"]
    command = "import sys\nfrom separatrix.cli import main\nsys.exit(main(sys.argv[1:]))"
    killed = start_served(command, [*words, tmp_path / "c"], tmp_path / "printed")
    wait_until(lambda: list(tmp_path.glob(".c.pending/*.npz")), killed)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    for name in ("c", "whole"):
        assert main([*words, str(tmp_path / name)]) == 0
    one, two = (tmp_path / name / "clusters.parquet" for name in ("c", "whole"))
    assert one.read_bytes() == two.read_bytes()
    assert not list(tmp_path.glob(".c*pending*"))


def test_dbscan_that_is_stopped_goes_on_with_its_lists(tmp_path, monkeypatch):
    from separatrix.geometry import density

    monkeypatch.setattr(density, "_KEEP_SECONDS", 0.0)
    monkeypatch.setattr(density, "_A_ROUND", 1)
    points = Points.of(np.random.default_rng(0).normal(size=(6000, 12)))
    begun = []

    def stop(stage, done, total, note):
        if stage == density.STAGE:
            begun.append(done)
            if len(begun) == 6:
                raise KeyboardInterrupt("stopped")

    options = {"eps": 1.5, "min_samples": 12, "out": tmp_path / "c", "progress": stop}
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        sx.cluster(points, "dbscan", **options)
    assert list(tmp_path.glob(".c.pending/*.npz"))
    made = sx.cluster(points, "dbscan", **options)
    assert begun[6] > begun[0]
    assert made.digest == sx.cluster(points, "dbscan", eps=1.5, min_samples=12).digest
    assert not list(tmp_path.glob(".c*pending*"))


def test_an_unknown_executor_is_refused_before_the_work(points):
    with pytest.raises(OptionError, match="--executor cannot be this: got 'thread:2'"):
        cluster(points, "kmeans", k=4, executor="thread:2")


def test_a_named_executor_takes_blocks_however_few_the_rows(points):
    made = cluster(points, "kmeans", k=4, executor="processes:1")
    assert made.digest == cluster(points, "kmeans", k=4, memory=LITTLE).digest


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that the CPU stands in for: verbs take its way."""
    for module in (models_device, scale_device, device_tiles):
        monkeypatch.setattr(module, "cuda_count", lambda: 1)
    for module in (kernels, device_tiles, lloyd):
        monkeypatch.setattr(module, "device_of", lambda _name: kernels.CPU)


def test_a_named_gpu_computes_in_blocks_and_it_is_said(points, gpu):
    made, expected = (cluster(points, "kmeans", k=4, **more) for more in ({"device": "cuda"}, {"memory": LITTLE}))
    assert made.engine == "blocks, cuda"
    assert (made.labels == expected.labels).all()
    flat = sx.project(points, "pca", device="cuda:0")
    assert flat.rows_fitted == ROWS


def test_dbscan_on_a_gpu_gives_the_labels_of_the_cpu(points, gpu, monkeypatch):
    few = points.take(np.arange(0, ROWS, 40))
    made, uploaded = [], []
    real = device_tiles.DeviceSpace.near
    monkeypatch.setattr(device_tiles.DeviceSpace, "near", lambda *a, **k: (uploaded.append(1), real(*a, **k))[1])
    for device in ("cpu", "cuda"):
        made.append(cluster(few, "dbscan", eps=9.5, device=device))
        assert bool(uploaded) == (device == "cuda")
    assert made[0].digest == made[1].digest
    assert made[0].clusters >= 1
    chosen = cluster(few, "dbscan", choose=True, device="cuda")
    assert chosen.digest == cluster(few, "dbscan", choose=True, device="cpu").digest


@pytest.mark.parametrize("verb", [lambda x, **k: cluster(x, "kmeans", k=4, **k), sx.project])
def test_a_gpu_that_is_not_there_is_refused_before_the_work(points, monkeypatch, verb):
    monkeypatch.setattr(models_device, "cuda_count", lambda: 0)
    with pytest.raises(ModelError, match="no CUDA device on this machine; use --device cpu"):
        verb(points, device="cuda")
    with pytest.raises(OptionError, match=r"unknown --device: got .gpu., expected one of auto, cpu, cuda, cuda:0"):
        verb(points, device="gpu")


def test_cuml_is_no_engine_for_blocks(points):
    with pytest.raises(OptionError, match="--engine cuml holds all rows in memory; raise --memory, or leave --engine"):
        cluster(points, "kmeans", k=4, engine="cuml", memory=LITTLE)
