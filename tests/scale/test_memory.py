"""How much memory may be taken: what is typed, else half of what the machine and its groups leave free."""

from __future__ import annotations

import numpy as np
import pytest

from separatrix.errors import OptionError
from separatrix.scale.blocks import BlockSource
from separatrix.scale.memory import _of_groups, budget, check_budget, free_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 2**29), ("2gib", 2**31), ("1.5 GB", 1_500_000_000), ("1000", 1000), ("3KiB", 3072)]
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "2Moo", "GiB", "-1GiB", "0MiB", "1e3", "1,5GiB", "9" * 400, "9" * 5000 + "GiB", "9000000TiB", "0.1"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(OptionError, match=r"--memory is no size: got .*, expected 512MiB, 2GiB, \.\.\."):
        parse_bytes(text)


def test_without_a_size_half_of_what_is_free_may_be_taken():
    assert 0 < budget(None) < free_bytes()
    assert budget("7MiB") == 7 * 2**20


def test_the_tightest_group_counts(tmp_path, monkeypatch):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for group, limit, used, kept in ((tmp_path / "outer", "1000", "900", 50), (inner, "max", "10", 0)):
        (group / "memory.max").write_text(limit)
        (group / "memory.current").write_text(used)
        (group / "memory.stat").write_text(f"anon 1\ninactive_file {kept}\n")
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    read = type(own).read_text
    monkeypatch.setattr(
        type(own), "read_text", lambda self, *a, **k: read(own if str(self) == "/proc/self/cgroup" else self, *a, **k)
    )
    assert _of_groups(tmp_path) == [150]


def test_less_than_a_block_is_refused_in_one_sentence():
    source = BlockSource.of(np.zeros((10_000, 64), np.float16))
    check_budget(source, 2**26, 2)
    for more in ({"sample": 10_000}, {"squares": 1500}):
        with pytest.raises(OptionError, match="too small"):
            check_budget(source, 20 * 2**20, 2, **more)
    check_budget(source, 20 * 2**20, 2)
    with pytest.raises(
        OptionError, match=r"--memory is too small for one block of each worker: got 1 MiB, expected \d+"
    ):
        check_budget(source, 2**20, 2)
