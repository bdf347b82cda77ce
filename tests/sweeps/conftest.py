"""A small grid over the planted task."""

import pytest

from command_line import write_csv
from separatrix.cli import main


@pytest.fixture(scope="session")
def small(planted, tiny, tmp_path_factory):
    """`small(**changes)` is a grid of two prompt lengths and two seeds; of a value None the key is left away."""
    path = write_csv(tmp_path_factory.mktemp("sweep") / "planted.csv", list(zip(*planted, strict=True))[:90])

    def grid(**changes):
        train = {"model": str(tiny("bert")), "epochs": 1, "snapshots": 0, "batch_size": 64, "device": "cpu"}
        whole = {"data": str(path), "seeds": [0, 1], "train": train, "grid": {"tokens": [1, 2]}}
        whole |= changes
        return {key: value for key, value in whole.items() if value is not None}

    return grid


@pytest.fixture
def cli(capsys):
    def run(*words):
        code = main([str(word) for word in words])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return run
