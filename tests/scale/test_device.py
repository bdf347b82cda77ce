"""What `--device` means: one word for models and for blocks, and a GPU for each worker."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from separatrix.errors import ModelError, OptionError
from separatrix.models import device as models_device
from separatrix.models.device import pick_device
from separatrix.recipe import ModelRecipe
from separatrix.scale import device as scale_device
from separatrix.scale.device import worker_device, worker_number
from separatrix.scale.executors import Workers, open_workers, run


@pytest.fixture
def gpus(monkeypatch):
    """As many GPUs as a test names."""

    def count(number: int) -> None:
        for module in (models_device, scale_device):
            monkeypatch.setattr(module, "cuda_count", lambda: number)

    return count


@pytest.mark.parametrize(
    ("device", "expected"),
    [("auto", ["cuda:0", "cuda:1", "cuda:0"]), ("cuda", ["cuda:0", "cuda:1", "cuda:0"]),
     ("cuda:1", ["cuda:1"] * 3), ("cpu", ["cpu"] * 3)],
)  # fmt: skip
def test_each_worker_has_a_gpu_of_its_own(gpus, device, expected):
    gpus(2)
    assert [worker_device(device, number) for number in range(3)] == expected


def test_without_a_gpu_auto_is_the_cpu_and_others_are_refused(gpus):
    gpus(0)
    assert worker_device("auto", 3) == "cpu"
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ModelError, match="no CUDA device on this machine; use --device cpu"):
            pick_device(name)
    gpus(2)
    with pytest.raises(ModelError, match="no such CUDA device: got cuda:2, expected cuda:0 to cuda:1"):
        worker_device("cuda:2", 0)


def test_a_recipe_takes_every_number_and_no_other_word():
    assert ModelRecipe(device="cuda:3").device == "cuda:3"
    for name in ("cuda:", "cuda:-1", "cuda:01", "gpu"):
        with pytest.raises(OptionError, match=r"unknown --device: got .*, expected one of auto, cpu, cuda, cuda:0"):
            ModelRecipe(device=name)


@pytest.mark.parametrize(("name", "number"), [(3, 3), ("gpu-1", 1), ("tcp://10.0.0.1:40123", 0), ("last", 0)])
def test_a_worker_of_dask_has_the_number_at_the_end_of_its_name(monkeypatch, name, number):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(name=name))
    assert worker_number() == number


def number_of_worker(_task: int) -> dict[str, np.ndarray]:
    return {"number": np.array(worker_number())}


@pytest.mark.parametrize("executor", ["here", "processes:2"])
def test_workers_are_numbered(executor, monkeypatch):
    monkeypatch.setattr("separatrix.scale.kernels.threads", lambda: 2)
    with open_workers(executor) as workers:
        numbers = {int(each["number"]) for each in run(number_of_worker, [(n,) for n in range(30)], executor=workers)}
    assert numbers <= {0, 1}
    assert worker_number() == 0


def test_auto_takes_a_gpu_where_every_worker_has_one():
    for gpus, expected in ((0, "cpu"), (2, "cuda")):
        workers = Workers(1, lambda: None, gpus=lambda gpus=gpus: gpus)
        assert [workers.device(name) for name in ("auto", "cpu", "cuda:1")] == [expected, "cpu", "cuda:1"]


def test_workers_of_dask_are_numbered_by_their_name():
    pytest.importorskip("distributed")
    numbers = [int(each["number"]) for each in run(number_of_worker, [(n,) for n in range(8)], executor="dask:local:2")]
    assert set(numbers) <= {0, 1}
