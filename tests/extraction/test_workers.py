"""`extract` by other processes: the bytes of one, whoever is killed; other weights and loaded models are refused."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from separatrix import plugins
from separatrix.analysis.heads import head_atlas
from separatrix.errors import ModelError, OptionError, StoreError
from separatrix.extraction import extract as verb
from separatrix.extraction import workers as reading
from separatrix.extraction.extract import Destination, extract, run_extraction, source_rows, vector_source
from separatrix.extraction.readers import frozen_model
from separatrix.heads.features import CELLS
from separatrix.models import batches
from separatrix.models.pool import LAYER_POOLS
from separatrix.recipe import replace
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale import executors
from separatrix.scale.executors import Workers, open_workers
from separatrix.scale.kernels import one_thread
from separatrix.scale.pending import versions
from separatrix.store.artifacts import claimed
from separatrix.texts import Texts
from served import start_served

HIDDEN = {"pool": ("mean", "cls"), "batch_tokens": 32}
ATTENTION = {"what": "attention", "max_length": 20, "stride": 8, "max_query_length": 6, "cells": 4}
ANY_TIME = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several windows, of several tasks each, whose results are all kept.

    Workers compute with one thread each; those of `threads` are threads of this process, and eight that share two
    threads of PyTorch were seen to differ in a last bit.
    """
    monkeypatch.setattr(verb, "WINDOW_ROWS", 50)
    monkeypatch.setattr(batches, "GROUP", 2)
    monkeypatch.setattr(executors, "WORTH", 0.0)
    monkeypatch.setattr(reading, "_READERS", {})
    monkeypatch.setattr(plugins, "_LOADED", [])
    with one_thread():
        yield


@pytest.fixture
def model(tiny):
    return str(tiny("bert"))


@pytest.fixture
def texts(planted):
    return Texts.of(*planted)


@pytest.fixture
def run(model, texts):
    """Extract into a folder."""

    def run(out, executor="here", *, progress=lambda *_: None, name=model, **options):
        recipe = replace(ExtractRecipe(), device="cpu", **options)
        rows, place = source_rows(texts, recipe), Destination(out)
        return run_extraction(vector_source(name, recipe, rows, place), rows, place, progress, executor)

    return run


def threads(count: int) -> Workers:
    """Workers that cost nothing to start: all that processes do but for being other ones."""
    return Workers(count, lambda: ThreadPoolExecutor(count))


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("bert", HIDDEN),
        ("bert", {"what": "tokens", "batch_tokens": 32}),
        ("gpt2", {"what": "logits", "top": 3, "batch_tokens": 32}),
        ("bert", ATTENTION),
    ],
)
@pytest.mark.parametrize("count", [1, 8])
def test_however_many_workers_the_bytes_are_those_of_one_process(
    tiny, run, tmp_path, family, options, count, monkeypatch
):
    monkeypatch.setitem(CELLS, "cpu", 600)  # of attention maps, a batch
    name, lines = str(tiny(family)), []
    run(tmp_path / "here", name=name, **options)
    made = run(
        tmp_path / "workers", threads(count), name=name, progress=lambda *line: lines.append(line[1:3]), **options
    )
    assert files(tmp_path / "workers") == files(tmp_path / "here")
    assert left(tmp_path) == ["here", "workers"]  # nothing pending
    assert made.computed == 180
    assert len(lines) > 8  # tasks: more than windows
    assert lines[-1] == (180, 180)
    again = run(tmp_path / "workers", threads(count), name=name, **options)
    assert again.computed == 0


def test_maps_of_an_atlas_are_read_by_workers(model, texts, tmp_path, monkeypatch):
    frame = tmp_path / "texts.csv"
    frame.write_text("text\n" + "\n".join(texts.text[:40]) + "\n")
    asked = []
    monkeypatch.setattr(reading, "open_workers", lambda name: asked.append(name) or nullcontext(threads(2)))
    options = {"text": "text", "windows": 40, "max_length": 20, "model": model, "device": "cpu", "steps": ("extract",)}
    head_atlas(str(frame), out=tmp_path / "here", **options)
    head_atlas(str(frame), out=tmp_path / "workers", executor="processes:2", **options)
    (one,), (two,) = ((tmp_path / name).glob("points-*") for name in ("here", "workers"))
    assert asked == ["processes:2"]
    assert files(two) == files(one)


def test_processes_of_which_one_is_killed_at_any_time_give_the_same_bytes(run, tmp_path):
    moment, killed = int(ANY_TIME.integers(180)), []
    with open_workers("processes:2") as workers:

        def kill(_stage, done, _total, _note):
            if done >= moment and not killed:
                killed.append(next(iter(workers.pool._processes)))
                os.kill(killed[0], signal.SIGKILL)

        run(tmp_path / "p", workers, progress=kill, **HIDDEN)
        run(tmp_path / "heads", workers, **ATTENTION)
    assert len(killed) == 1
    run(tmp_path / "here", **HIDDEN)
    run(tmp_path / "heads-here", **ATTENTION)
    assert files(tmp_path / "p") == files(tmp_path / "here")
    assert files(tmp_path / "heads") == files(tmp_path / "heads-here")


def test_a_dask_cluster_gives_the_same_bytes_and_late_workers_of_other_versions_are_refused(run, tmp_path):
    pytest.importorskip("distributed")
    notes = []
    with open_workers("dask:local:2") as workers:
        run(tmp_path / "p", workers, progress=lambda *line: notes.append(line[3]), **HIDDEN)
        assert notes[-1].startswith("dashboard http://")
        workers.call = partial(executors._timed_alone, versions() | {"numpy": "0.1"})
        with pytest.raises(
            StoreError, match=r"the Dask worker tcp://.* has another version of numpy: got .*0\.1; inst"
        ):
            run(tmp_path / "q", workers, **HIDDEN)
    run(tmp_path / "here", **HIDDEN)
    assert files(tmp_path / "p") == files(tmp_path / "here")


KILLED = """
import os, signal, sys
from pathlib import Path
from separatrix.extraction import extract as verb
from separatrix.extraction.readers import frozen_model
from separatrix.models import batches
from separatrix.models.pool import LAYER_POOLS
from separatrix.recipe import replace
from separatrix.scale import executors

verb.WINDOW_ROWS, batches.GROUP, executors.WORTH = 50, 2, 0.0
model, out, at, *texts = sys.argv[1:]
recipe = replace(verb.ExtractRecipe(), device="cpu", pool=("mean", "cls"), batch_tokens=32)
with executors.open_workers("processes:1") as workers:
    def kill(_stage, done, _total, _note):
        if done >= int(at):
            print(*workers.pool._processes, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    rows = verb.source_rows(texts, recipe)
    verb.run_extraction(frozen_model(model, recipe), rows, verb.Destination(Path(out)), kill, workers)
"""


def test_what_was_killed_leaves_no_worker_and_is_gone_on_with(run, model, texts, tmp_path):
    texts = Texts.of(texts.text)
    place, moment, printed = tmp_path / "killed" / "p", ANY_TIME.integers(60, 170), tmp_path / "printed"
    process = start_served(KILLED, [model, place, moment, *texts.text], printed)
    process.join()
    assert process.exitcode == -signal.SIGKILL, printed.read_text()
    worker = int(printed.read_text().splitlines()[-1])
    for deadline in (time.monotonic() + 60,):
        while is_alive(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not is_alive(worker)
    pending = place.with_name(".p.pending")
    kept = len(list(pending.iterdir()))
    assert kept > 0
    computed = []

    def resumed(folder):
        recipe = replace(ExtractRecipe(), device="cpu", **HIDDEN)
        workers = threads(1)
        workers.call = lambda function, task: computed.append(task) or executors._timed(function, task)
        return run_extraction(
            frozen_model(model, recipe), source_rows(texts, recipe), Destination(folder), executor=workers
        )

    resumed(place)
    again = len(computed)
    resumed(tmp_path / "whole")
    assert again < len(computed) - again
    assert files(place) == files(tmp_path / "whole")
    assert left(place.parent) == ["p"]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stop_after(rows: int):
    def stop(_stage, done, _total, _note):
        if done >= rows:
            raise KeyboardInterrupt("stopped")

    return stop


def test_damaged_results_and_truncated_shards_are_made_again(run, tmp_path):
    run(tmp_path / "here", **HIDDEN)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        run(tmp_path / "p", threads(1), progress=stop_after(140), **HIDDEN)
    partials = sorted((tmp_path / ".p.pending").iterdir())
    assert partials
    partials[0].write_bytes(partials[0].read_bytes()[:-9])
    shard = tmp_path / "p" / "blocks" / "cls" / "00001.npy"
    shard = next(iter(sorted(shard.parent.iterdir())[1:]))
    shard.write_bytes(shard.read_bytes()[:-9])
    run(tmp_path / "p", threads(1), **HIDDEN)
    assert files(tmp_path / "p") == files(tmp_path / "here")


def test_a_full_disk_is_one_sentence_and_the_work_is_gone_on_with(run, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(
            StoreError, match=r"\.p\.pending/\w+\.npz cannot be written \(File too large\); choose another"
        ):
            run(tmp_path / "p", threads(1), **HIDDEN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run(tmp_path / "p", threads(1), **HIDDEN)
    run(tmp_path / "here", **HIDDEN)
    assert files(tmp_path / "p") == files(tmp_path / "here")


def test_a_second_writer_is_refused(run, tmp_path):
    with claimed(tmp_path / "p"), pytest.raises(StoreError, match="is being written by another process"):
        run(tmp_path / "p", threads(1), **HIDDEN)


def test_a_worker_that_finds_other_weights_refuses(run, tiny, tmp_path, monkeypatch):
    other = str(tiny("roberta"))  # what another machine has under the name of the model
    monkeypatch.setattr(reading, "request_source", lambda request: frozen_model(other, request.recipe))
    with pytest.raises(
        ModelError, match=r"a worker finds another model under the same name \(its weights differ\): got"
    ):
        run(tmp_path / "p", threads(1), **HIDDEN)


@pytest.mark.parametrize("what", [{}, {"what": "attention"}])
def test_a_loaded_model_stays_here(loaded, texts, what):
    message = "a loaded model cannot be given to other processes: got executor 'processes:2'; give its name or folder"
    with pytest.raises(OptionError, match=message):
        extract(texts, model=loaded("bert"), executor="processes:2", **what)


def test_an_unknown_executor_is_refused_before_the_work(tmp_path):
    with pytest.raises(OptionError, match="--executor cannot be this: got 'thread:2'"):
        extract("nowhere.csv", executor="thread:2")


def test_the_coordinator_keeps_no_weights(model):
    material = frozen_model(model, ExtractRecipe())
    planner = material.planner(replace(ExtractRecipe(), model=model, device="cuda", batch_tokens=9))
    assert {one.device.type for one in planner.reader().engine.backbone.model.parameters()} == {"meta"}
    tokens = planner.reader().tokenize(["a cat", "the dog is big"])
    assert tokens == material.reader().tokenize(["a cat", "the dog is big"])
    assert [batch.tolist() for batch in planner.reader().engine.batches(tokens)] == [
        [0],
        [1],
    ]  # as the workers have them


def test_without_a_gpu_everywhere_batches_are_those_of_a_cpu(model):
    material = frozen_model(model, replace(ExtractRecipe(), device="auto"))
    for gpus, device, tokens in ((0, "cpu", batches.CPU_TOKENS), (2, "cuda", batches.CUDA_TOKENS)):
        workers = Workers(1, lambda: None, gpus=lambda count=gpus: count)
        recipe = reading._worker_request(material, material.request, workers).reader.recipe
        assert (recipe.backbone.device, recipe.vectors.batch_tokens) == (device, tokens)


def test_each_worker_loads_the_model_on_a_gpu_of_its_own(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(reading, "worker_device", lambda device, number: asked.append((device, number)) or "cpu")
    monkeypatch.setattr(reading, "worker_number", lambda: 1)
    run(tmp_path / "p", threads(1), **HIDDEN)
    assert asked == [("cpu", 1)]  # once, whatever the number of tasks


def test_workers_load_the_modules_of_the_user(run, tmp_path, monkeypatch):
    (tmp_path / "own_pool.py").write_text("import separatrix\n")
    monkeypatch.chdir(tmp_path)
    plugins.load_plugins(["own_pool.py"])
    asked = []
    monkeypatch.setattr(plugins, "load_plugins", asked.append)
    run(tmp_path / "p", threads(1), **HIDDEN)
    assert asked == [(str(tmp_path / "own_pool.py"),)]  # from whatever folder


def test_a_pooling_whose_code_has_changed_is_neither_reused_nor_gone_on_with(model, texts, tmp_path):
    file, keys = tmp_path / "own pööling.py", []

    def read(code, *pools):
        file.write_text(f"from separatrix.models.pool import LAYER_POOLS\n\nLAYER_POOLS['own'] = lambda s, _: {code}\n")
        sys.modules.pop(file.stem, None)
        plugins.load_plugins([str(file)])
        material = frozen_model(model, replace(ExtractRecipe(), pool=pools))
        keys.append(reading._worker_request(material, material.request, Workers(1, lambda: None)))
        return extract(texts, model=model, recipe=replace(ExtractRecipe(), pool=pools), out=tmp_path / "p")

    try:
        read("s[:, 0]", "mean")
        kept = np.asarray(read("s[:, 0]", "own").blocks["own"][:])  # beside the other one
        np.testing.assert_array_equal(np.asarray(read("s[:, 0]", "own").blocks["own"][:]), kept)
        with pytest.raises(StoreError, match=r"the code that gave block .own. of .* has changed"):
            read("s[:, 1]", "own")
        read("s[:, 1]", "mean")
    finally:
        sys.modules.pop(file.stem, None)
        del LAYER_POOLS["own"]
    assert keys[1] == keys[2] != keys[3]  # under which tasks are kept beside the store
    assert keys[0] == keys[4]
