"""The command line as a function, a small labelled table, and one run that the tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Cli, Ran, write_csv
from separatrix.cli import main


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("train", ...)` runs the command line in this process."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        sys.stdout.flush()
        caught = capsys.readouterr()
        return Ran(code, caught.out, caught.err)

    return run


@pytest.fixture(scope="session")
def rows(planted: tuple[list[str], list[str]]) -> list[tuple[str, str]]:
    """The planted task, 90 rows of it."""
    return list(zip(*planted, strict=True))[:90]


@pytest.fixture(scope="session")
def table(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted task as a csv file."""
    return write_csv(tmp_path_factory.mktemp("data") / "planted.csv", rows)


@pytest.fixture(scope="session")
def quick(tiny: Callable[[str], Path]) -> list[str]:
    """Options of a training that takes a second."""
    return ["--model", str(tiny("bert")), "--epochs", "1", "--tokens", "2", "--snapshots", "1", "--quiet"]


@pytest.fixture(scope="session")
def finished(table: Path, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests read it and leave it as it is."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["train", str(table), *quick, "--out", str(out)]) == 0
    return out
