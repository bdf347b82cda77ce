"""Errors of every kind as one sentence with the right exit code; and the examples in the docstrings."""

from __future__ import annotations

import doctest
import errno
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import separatrix.training.verb
from command_line import Cli, check_mistake
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import print_json
from separatrix.errors import SeparatrixError, StoreError


@pytest.fixture
def fail(cli: Cli, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`fail(error)` is what `train` leaves when the error comes up in the middle of the work."""

    def run(error: BaseException):
        def run_training(order):
            (order.folder / "half").mkdir(parents=True)
            raise error

        monkeypatch.setattr(separatrix.training.verb, "run_training", run_training)
        return cli("train", table, "--quiet", "--out", tmp_path / "run")

    return run


def test_a_full_disk_is_a_sentence_and_leaves_nothing(fail, tmp_path: Path) -> None:
    ran = fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x/frame.bin"))
    check_mistake(ran, "runs/x/frame.bin", "No space left", "--out")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_memory_that_runs_out_is_a_sentence(fail, tmp_path: Path, error: Exception) -> None:
    check_mistake(fail(error), "memory ran out", "--batch-size", "--cache disk")
    assert not (tmp_path / "run").exists()


def unwound() -> RuntimeError:
    """What is left of Ctrl-C where a context manager fails on the way out."""
    error = RuntimeError("trying to pop from empty mode stack")
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), unwound()])
def test_stopped_by_hand_says_how_to_go_on(fail, tmp_path: Path, error: BaseException) -> None:
    ran = fail(error)
    assert ran.code == 130
    assert ran.err == "separatrix: stopped; the same command with --resume goes on from the last saved state\n"
    assert not (tmp_path / "run").exists()  # nothing was saved that could be gone on with


def test_a_working_directory_that_was_deleted_is_named(tmp_path: Path) -> None:
    """Regression: a library under PyTorch ended the process with a word of its own."""
    gone = tmp_path / "gone"
    words = [sys.executable, "-m", "separatrix", "cluster", str(tmp_path), "--method", "kmeans", "--k", "3", "--quiet"]
    gone.mkdir()
    script = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); os.execv({words[0]!r}, sys.argv[1:])"
    source = str(Path(separatrix.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": source}
    )
    said = "separatrix: the working directory was deleted; change to a folder that exists\n"
    assert (ran.returncode, ran.stderr) == (2, said)


def test_a_fault_of_ours_is_one_line_and_the_traceback_is_there_to_ask_for(
    fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = fail(KeyError("lost\nand more"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("separatrix: KeyError: ")
    assert ran.err.endswith("; set SEPARATRIX_TRACEBACK=1 to see where\n")
    monkeypatch.setenv("SEPARATRIX_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in fail(ValueError("boom")).err


def test_other_system_errors_pass_through() -> None:
    with pytest.raises(StoreError, match="choose another path"), mendable():
        Path("/dev/null/x").read_text()
    with pytest.raises(ConnectionResetError, match="reset"), mendable():
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(RuntimeError, match="shape"), mendable():
        raise RuntimeError("shape mismatch")
    with pytest.raises(SeparatrixError, match="ours"), mendable():
        raise SeparatrixError("ours")


def test_progress_on_a_terminal_has_rate_time_left_and_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with TerminalProgress() as progress:
        progress.console.file = screen = io.StringIO()
        progress("training", 500, 1000, "")
        task = progress.bars.tasks[0]
        assert task.completed == 500  # as after a resume
        for done in range(520, 600, 20):
            progress("training", done, 1000, f"loss {1000 - done / 1000:.3f}")
        assert task.speed is not None
    shown = screen.getvalue()
    for part in ("training", "580/1000", "steps/s", "loss 999.420", "0:00:"):
        assert part in shown


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress(quiet=True) as progress:
        progress.say("line")
        progress.warn("loud")
        progress("training", 1, 2, "")
    assert capsys.readouterr().err == ""
    with TerminalProgress() as progress:
        progress("training", 1, 2, "")
        progress("training", 2, 2, "")
        progress.warn("one\ntwo [bold]")
    assert capsys.readouterr().err == "training: 2 steps\nwarning: one\n    two [bold]\n"


@pytest.mark.parametrize("name", ["commands", "flags", "mistakes"])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"separatrix.cli.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "caf\\xe9.csv"), ("utf-8", "café.csv"), ("latin-1", "café.csv")]
)
def test_messages_print_what_the_terminal_can_show(encoding: str, shown: str) -> None:
    """Under LC_ALL=C the words of the command line come as bytes that ASCII does not know."""
    words = [sys.executable, "-m", "separatrix", "import", "café.csv", "--out", "points"]  # loads no PyTorch
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    done = subprocess.run([word.encode() for word in words], env=os.environ | plain, capture_output=True, check=False)
    assert done.returncode == 2
    assert f"separatrix: {shown} does not exist:" in done.stderr.decode(encoding)


def test_paths_in_json_are_whole_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"out": "caf\udcc3\udca9", "text": "\U0001f600"})
    assert json.loads(capsys.readouterr().out) == {"out": "café", "text": "\U0001f600"}
