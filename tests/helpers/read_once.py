"""Tests that load the same tiny model again get a copy of the first reading, which was checked: a tenth of their time.

Tests of the loading itself, and of folders that come from somebody else, read and check each time.
"""

import copy
from dataclasses import replace
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
    from separatrix.models import attention, load

    read, check, kept, passed = load._read, load.checked, {}, {}

    def read_or_copy(source, recipe, config, logits):
        if _each_time[0] or recipe.trust_remote_code:
            return read(source, recipe, config, logits)
        key = (files_in(source.folder), recipe.dtype, config.to_json_string(), logits)
        if key not in kept:
            kept[key] = read(source, recipe, config, logits)
            kept[key][0].read_as = key
        return copy.deepcopy(kept[key])

    def checked_once(backbone):
        key = (getattr(backbone.model, "read_as", None), backbone.device)
        if key not in passed:
            backbone = check(backbone)
            if key[0] is not None:
                passed[key] = {"plain": backbone.plain, "causal": backbone.causal}
            return backbone
        attention.use(backbone.model, attention.OWN if passed[key]["plain"] else attention.NAME)
        return replace(backbone, **passed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_read", read_or_copy)
        patch.setattr(load, "checked", checked_once)
        yield


def pytest_runtest_setup(item):
    _each_time[0] = item.nodeid.startswith(READ_EACH_TIME)
