"""Stages of a job and the rates of a machine, against numbers computed by hand."""

import json

import numpy as np
import pytest

from separatrix.errors import StoreError
from separatrix.scale.blocks import BlockSource
from separatrix.scale.calibrate import KERNELS, KernelJob, disk_rates, kernel_rates, reading_rate
from separatrix.scale.costs import (
    ModelShape,
    Shape,
    Stage,
    dbscan_stage,
    kmeans_stages,
    linear_stages,
    map_stages,
    nearest_stage,
    pca_stages,
    prepare_stages,
    resnet_flop,
)
from separatrix.scale.job import BlockJob
from separatrix.scale.machine import Machine

SHAPE = Shape(1000, 10)  # 20,000 bytes


def machine(**changes):
    plain = {
        "name": "a slide rule", "measured": False, "workers": 2, "memory": 10**6, "read": 1e4, "write": 1e3,
        "flops": {"any": {"1": 1e6}},
    }  # fmt: skip
    return Machine(**plain | changes)


def test_kmeans_is_its_products():
    far, first, one, two, labels = kmeans_stages(SHAPE, [3, 4], passes=2, starts=5, sample=100)
    assert (far.flop, far.read) == (4 * 1000 * 10, 20_000)
    assert first.flop == 5 * 100 * 2 * 10 * 7
    assert first.alone
    assert first.read == 0
    assert one.flop == two.flop == labels.flop == 1000 * 2 * 10 * 7
    assert one.read == labels.read == 20_000
    assert labels.written == 8000
    some = kmeans_stages(SHAPE, [3], 3, 1, 10**6, 0.25)  # of no more rows than there are
    assert [stage.flop for stage in some] == [1000 * 2 * 10 * 3 * share for share in (1, 1, 0.25, 0.25, 1)]


def test_pca_multiplies_half_a_square_of_columns():
    products, axes, placing = pca_stages(SHAPE, 2)
    assert products.flop == 1000 * 10 * 10
    assert axes.flop == 9 * 10**3
    assert placing.flop == 1000 * 2 * 10 * 2
    assert [stage.read for stage in (products, axes, placing)] == [20_000, 0, 20_000]
    assert placing.written == 4 * 2 * 1000
    assert placing.kernel == "place"
    assert pca_stages(SHAPE, 64)[2].kernel == "lloyd"  # many columns: a product as of k-means


def test_linear_classifiers_take_four_readings():
    sums, shrinkage, axes, *answers = linear_stages(SHAPE, 3)
    assert [stage.read for stage in (sums, shrinkage, axes, *answers)] == [20_000, 20_000, 0, 20_000, 20_000]
    assert (sums.flop, answers[0].flop) == (1000 * 10 * 10, 1000 * 2 * 10 * 3)


def test_preparing_reads_once_and_whitening_twice():
    assert [stage.read for stage in prepare_stages(SHAPE, "none")] == [20_000]
    assert prepare_stages(SHAPE, "standardise") == prepare_stages(SHAPE, "none")
    assert [stage.kernel for stage in prepare_stages(SHAPE, "whiten")] == ["products", "moments", "eigh"]


def test_pairs_and_neighbors_grow_with_the_rows():
    assert dbscan_stage(SHAPE).flop == 1000 * 1000 * 10
    assert nearest_stage(SHAPE, 50, "near").flop == 2 * 1000 * 50 * 10


def test_a_model_and_its_maps():
    model = ModelShape(layers=2, hidden=4, heads=3, weights=100)
    assert model.flop(texts=5, tokens=8) == 5 * 8 * (2 * 100 + 4 * 8 * 4 * 2)
    forward, resnet, grid = map_stages(model, windows=5, tokens=8, features=["resnet", "grid"], pixels=224)
    assert forward.flop == model.flop(5, 8)
    assert resnet.flop == resnet_flop(30, 224) == 30 * 8.2e9
    assert grid.flop == 30 * 8 * 8 * 4
    assert "30 maps" in grid.name


def test_seconds_are_those_of_all_workers_or_of_one():
    stage = Stage("pass", "lloyd", 4e6, 10, read=20_000, written=500)
    assert machine().seconds(stage, held=False) == pytest.approx(2 + 2 + 0.5)
    assert machine().seconds(stage, held=True) == pytest.approx(2 + 0.5)
    assert machine().seconds(Stage("axes", "eigh", 4e6, 10, alone=True), held=True) == pytest.approx(4)
    # Where the memory is slower than the arithmetic, it decides.
    assert machine(bandwidth=1e3).seconds(stage, held=True) == pytest.approx(10 + 0.5)


def test_data_that_fit_are_read_from_disk_once():
    stages = kmeans_stages(SHAPE, [3], 2, 1, 10)[2:]
    assert machine().all_seconds(stages) == pytest.approx([0.03 + 2, 0.03, 0.03 + 8])
    assert machine(memory=100).all_seconds(stages) == pytest.approx([0.03 + 2, 0.03 + 2, 0.03 + 2 + 8])


def test_seconds_grow_linearly_with_the_rows():
    def seconds(rows):
        shape, rates = Shape(rows, 10), machine(memory=1)
        return sum(rates.all_seconds([*prepare_stages(shape, "none"), *kmeans_stages(shape, [3], 4, 1, 0)]))

    assert seconds(4000) == pytest.approx(4 * seconds(1000))


def test_tables_cost_a_start_and_something_a_row():
    rates = machine(tables={"cluster": (2.0, 0.5)})
    assert rates.seconds(Stage("tables", "cluster", 0.0, 10, rows=4), held=True) == 4.0


def test_a_rate_lies_between_those_of_its_neighbors():
    rates = machine(flops={"lloyd": {"100": 1e6, "400": 4e6}, "any": {"1": 7.0}})
    assert rates.rate("lloyd", 200) == pytest.approx(2e6)
    assert rates.rate("lloyd", 10) == pytest.approx(1e6)
    assert rates.rate("assign", 200) == pytest.approx(7.0)
    with pytest.raises(StoreError, match="lack 'lloyd'"):
        machine(flops={"place": {"1": 1.0}}).rate("lloyd", 10)


def test_rates_come_back_from_their_file(tmp_path):
    rates = machine(tables={"cluster": (2.0, 0.5)}, bandwidth=1e9, source="a book")
    rates.save(tmp_path / "rates.json")
    assert Machine.load(tmp_path / "rates.json") == rates


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 0}, {"read": -1}, {"flops": {"any": {"wide": 1.0}}}, {"flops": {"any": {}}}, {"memory": None},
        {"flops": {"any": {"9" * 5000: 1.0}}}, {"flops": {"any": {"9" * 400: 1.0}}}, {"flops": {"any": {"0": 1.0}}},
        {"tables": {"cluster": [1.0]}}, {"flops": {"any": {"1": 0}}},
    ],
)  # fmt: skip
def test_a_file_of_rates_that_holds_something_else_is_refused(tmp_path, changes):
    machine().save(tmp_path / "rates.json")
    plain = json.loads((tmp_path / "rates.json").read_text()) | changes
    (tmp_path / "rates.json").write_text(json.dumps(plain))
    with pytest.raises(StoreError, match=r"rates\.json is damaged"):
        Machine.load(tmp_path / "rates.json")


@pytest.mark.parametrize("how", ["none", "standardise", "whiten", "unit"])
def test_every_kernel_has_a_rate(monkeypatch, how):
    monkeypatch.setattr("separatrix.scale.calibrate.LEAST", 0.0)
    monkeypatch.setattr("separatrix.scale.calibrate._PAIRED", 5000)
    monkeypatch.setattr("separatrix.scale.calibrate.timed", lambda run: (run(), 0.5)[1])
    job = KernelJob.of(Shape(1000, 16), BlockJob(), 1, how=how, k=3)
    names = KERNELS if how == "none" else ("moments", "lloyd")
    rates = kernel_rates([*names, "no kernel"], job)
    assert set(rates) == set(names)
    assert rates["lloyd"]["16"] == 2 * job.source.rows * 16 * 3 / 0.5


def test_disks_have_a_speed(tmp_path):
    assert all(rate > 0 for rate in disk_rates(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert reading_rate(BlockSource.of(np.ones((100, 4), np.float16))) > 0
