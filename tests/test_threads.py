"""Threads: at most the cores given, in every library; who waits soon sleeps; nothing happens at import."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import threadpoolctl

import separatrix as sx
from separatrix import threads
from separatrix.cli import app
from separatrix.errors import OptionError, SeparatrixWarning
from separatrix.geometry.project.methods import umap
from separatrix.recipe.project import ProjectRecipe

AT_START = os.environ[threads.VARIABLE]  # of all tests


@pytest.fixture
def machine(monkeypatch):
    """`machine(3)` has three cores; afterwards pools and environment are as before."""
    for name in (*threads.COUNTS, *threads.WAITING, threads.NUMBA, threads.POLICY):
        monkeypatch.setitem(os.environ, name, "")  # put back afterwards
        monkeypatch.delenv(name)
    gc.collect()  # what earlier tests left unfinished puts its number of threads back now, not in the middle
    with threadpoolctl.threadpool_limits(1):
        yield lambda cores: monkeypatch.setattr(joblib, "cpu_count", lambda: cores)


def pools() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}


@pytest.mark.parametrize(
    ("cores", "variable", "count", "expected"),
    [(3, None, None, 3), (3, "2", None, 2), (3, "2,1", None, 2), (3, "many", None, 3), (3, "0", None, 3),
     (3, "8", None, 3), (3, "1", 2, 2), (1, None, None, 1)],
)  # fmt: skip
def test_an_argument_counts_more_than_the_environment_and_cores_are_the_limit(
    cores, variable, count, expected, machine, monkeypatch
):
    import torch

    machine(cores)
    if variable is not None:
        monkeypatch.setenv(threads.VARIABLE, variable)
    assert sx.set_threads(count) == expected
    assert torch.get_num_threads() == expected
    assert pools() == {expected}
    assert {os.environ[name] for name in threads.COUNTS} == {str(expected)}
    assert {name: os.environ[name] for name in threads.WAITING} == threads.WAITING


@pytest.mark.parametrize("time", ["first", "again"])
def test_what_one_test_sets_ends_with_it(monkeypatch, time):
    """Regression: after a command with --threads 2, all tests of that process computed with two, slowly."""
    import torch

    before = int(AT_START)
    assert (os.environ[threads.VARIABLE], torch.get_num_threads()) == (AT_START, before)
    if time == "again":
        assert pools() == {before}
    monkeypatch.setattr(joblib, "cpu_count", lambda: before + 1)
    assert sx.set_threads(before + 1) == before + 1
    assert pools() == {before + 1}


def test_more_threads_than_cores_are_not_used_and_it_is_said(machine):
    machine(2)
    with pytest.warns(SeparatrixWarning, match="5 threads on 2 cores: 2 are used"):
        assert sx.set_threads(5) == 2


@pytest.mark.parametrize("count", [np.int64(1), np.uint8(1)])
def test_whole_numbers_of_numpy_are_whole_numbers(count):
    assert sx.set_threads(count) == 1


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, np.int64(0), np.float64(1), np.bool_(True)])
def test_other_numbers_are_refused(count):
    with pytest.raises(OptionError, match=r"--threads is out of range: got .*, expected a whole number, 1 or more"):
        sx.set_threads(count)


def test_the_environment_decides_how_to_wait(machine, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.wait_briefly()
    assert not any(name in os.environ for name in threads.WAITING)
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    threads.wait_briefly()
    assert {name: os.environ[name] for name in threads.WAITING} == {**threads.WAITING, "GOMP_SPINCOUNT": "7"}


def test_every_command_has_the_option_and_sets_it_before_torch_is_loaded():
    """In a process of its own: every command is parsed; what it does is left out."""
    code = f"""
import json, os, sys
import separatrix
assert not any(name in os.environ for name in {[*threads.WAITING, threads.NUMBA]})
from separatrix.cli import app, flags, main
seen = {{}}
class Reached(Exception): pass
def stop(count):
    seen[words[0]] = [count, "torch" in sys.modules, os.environ["GOMP_SPINCOUNT"]]
    raise Reached
flags.set_threads = stop
for name in app.COMMANDS:
    data = {{"predict": ["run", "data"], "demo": [], "plan": []}}.get(name, ["data"])
    words = [name, *data, *([] if name == "explore" else ["--out", "x.csv"]), "--threads", "1"]
    main(words)
print(json.dumps(seen))
"""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in (*threads.WAITING, threads.NUMBA, threads.POLICY)
    }
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    seen = json.loads(ran.stdout)
    assert set(seen) == set(app.COMMANDS), ran.stderr
    assert {tuple(values) for values in seen.values()} == {(1, False, "10000")}


def test_what_is_loaded_later_takes_the_number():
    code = """
import separatrix, sys
from threadpoolctl import threadpool_info
assert separatrix.set_threads(1) == 1 and "torch" not in sys.modules
import torch, sklearn.cluster, numba
print(torch.get_num_threads(), numba.get_num_threads(), {pool["num_threads"] for pool in threadpool_info()})
"""
    environment = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "1", "{1}"]


def test_numbers_of_threads_are_given_back(machine):
    machine(3)
    with threads.threads_kept():
        threadpoolctl.threadpool_limits(2)
        assert pools() == {2}
    assert pools() == {1}


def test_maps_leave_the_number_of_threads_as_it_was(machine, monkeypatch):
    """Regression: UMAP started numba's threads, and with them OpenMP's: PyTorch went on with all cores."""

    class Starting:
        def __init__(self, **_options):
            pass

        def fit(self, x, y=None):
            threadpoolctl.threadpool_limits(2)
            self.embedding_ = x[:, :2]

        def transform(self, x):
            threadpoolctl.threadpool_limits(2)
            return x[:, :2]

    machine(3)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Starting))
    x = np.eye(40, 4, dtype=np.float32)
    layout = umap(x, None, ProjectRecipe(method="umap"))
    assert pools() == {1}
    assert len(layout.transform(x)) == 40
    assert pools() == {1}
