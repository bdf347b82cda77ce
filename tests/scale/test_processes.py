"""Processes begin as copies of a server: it loads libraries alone, and what they see is what this process sees now."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from separatrix.errors import OptionError
from separatrix.scale import processes
from separatrix.scale.executors import load_ahead, run


def look(name: str) -> dict[str, np.ndarray]:
    return {"value": np.array(os.environ.get(name, "")), "path": np.array(sys.path)}


def test_a_process_has_the_environment_and_the_path_of_now(monkeypatch):
    list(run(look, [("PATH",)], executor="processes:1"))  # the server runs by now
    monkeypatch.setenv("SEPARATRIX_LATER", "1")
    monkeypatch.syspath_prepend("/nowhere")
    (seen,) = run(look, [("SEPARATRIX_LATER",)], executor="processes:1")
    assert str(seen["value"]) == "1"
    assert seen["path"][0] == "/nowhere"


@pytest.mark.skipif(processes.METHOD != "forkserver", reason="Linux alone has the server")
@pytest.mark.parametrize("before", [None, "yes"])
def test_the_server_loads_nothing_from_the_current_folder(monkeypatch, before):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    seen = []
    monkeypatch.setattr(processes.forkserver, "ensure_running", lambda: seen.append(os.environ["PYTHONSAFEPATH"]))
    processes.process_context()
    assert seen == ["1"]
    assert os.environ.get("PYTHONSAFEPATH") == before


@pytest.mark.skipif(processes.METHOD != "forkserver", reason="Linux alone has the server")
def test_what_is_loaded_beforehand_starts_no_thread():
    assert processes.process_context().get_start_method() == "forkserver"
    server = processes.forkserver._forkserver._forkserver_pid
    assert len(os.listdir(f"/proc/{server}/task")) == 1


@pytest.mark.skipif(processes.METHOD != "forkserver", reason="Linux alone has the server")
def test_what_processes_will_need_is_loaded_ahead(monkeypatch):
    preloaded = []
    monkeypatch.setattr(processes.forkserver, "ensure_running", lambda: None)
    monkeypatch.setattr(processes.forkserver, "set_forkserver_preload", preloaded.append)
    load_ahead("here")
    load_ahead("processes:2")
    assert [{*processes.OF_MODELS} <= {*names} for names in preloaded] == [True]
    with pytest.raises(OptionError, match="--executor cannot be this: got 'process:2'"):
        load_ahead("process:2")
