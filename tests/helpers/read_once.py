"""Tests that load the same tiny model again get a copy of the first reading: it is a tenth of the suite's time.

Tests of the loading itself, and of folders that come from somebody else, read each time.
"""

import copy
from pathlib import Path

import pytest

READ_EACH_TIME = ("tests/models/", "tests/received/")
_each_time = [True]


def files_in(folder: Path) -> tuple:
    """Names, sizes and times of what lies there: any change is another model."""
    stats = [(str(path), path.stat()) for path in sorted(Path(folder).rglob("*"))]
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)


@pytest.fixture(scope="session", autouse=True)
def _read_once():
    from separatrix.models import load

    read, kept = load._read, {}

    def read_or_copy(source, recipe, config, logits):
        if _each_time[0] or recipe.trust_remote_code:
            return read(source, recipe, config, logits)
        key = (files_in(source.folder), recipe.dtype, config.to_json_string(), logits)
        if key not in kept:
            kept[key] = read(source, recipe, config, logits)
        return copy.deepcopy(kept[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_read", read_or_copy)
        yield


def pytest_runtest_setup(item):
    _each_time[0] = item.nodeid.startswith(READ_EACH_TIME)
