"""Ragged rows: what is written is read, in memory as on disk; whole files or none; bounded resident memory."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import StoreError
from separatrix.store import ragged
from separatrix.store.ragged import RaggedRows

TYPES = ["<f2", "<f4", "<f8", "<u2", "<i8", "|i1"]


def written(arrays, dtype, path=None, order=None):
    shape = arrays[0].shape[1:]
    rows = RaggedRows.allocate(np.array([len(array) for array in arrays]), shape, np.dtype(dtype), path)
    for row in range(len(arrays)) if order is None else order:
        rows.write(row, arrays[row])
    rows.seal()
    return rows


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=10),
    shape=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    dtype=st.sampled_from(TYPES),
    on_disk=st.booleans(),
    data=st.data(),
)
def test_round_trip(lengths, shape, dtype, on_disk, data):
    generator = np.random.default_rng(sum(lengths))
    arrays = [generator.integers(-100, 100, (length, *shape)).astype(dtype) for length in lengths]
    order = data.draw(st.permutations(range(len(arrays))))
    wanted = data.draw(st.lists(st.sampled_from(range(len(arrays))), min_size=1, max_size=12))
    with tempfile.TemporaryDirectory() as folder:
        rows = written(arrays, dtype, Path(folder) / "rows" if on_disk else None, order)
        padded = rows.padded(np.array(wanted))
        assert padded.dtype == np.dtype(dtype)
        assert padded.shape == (len(wanted), max(lengths[row] for row in wanted), *shape)
        for place, row in enumerate(wanted):
            assert np.array_equal(padded[place, : lengths[row]], arrays[row])
            assert not padded[place, lengths[row] :].any()
        assert rows.nbytes == sum(array.nbytes for array in arrays)
        rows.remove()
        assert not os.listdir(folder)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("on_disk", [False, True])
def test_the_length_may_stand_at_any_axis(tmp_path, axis, on_disk):
    """Every row lies in one piece, and is padded along its own axis."""
    generator, lengths = np.random.default_rng(0), [3, 1, 2]
    shape = (2, 4)
    arrays = [generator.random((*shape[:axis], length, *shape[axis:])).astype("<f4") for length in lengths]
    path = tmp_path / "rows" if on_disk else None
    rows = RaggedRows.allocate(np.array(lengths), shape, np.dtype("<f4"), path, axis=axis)
    for place in (2, 0, 1):
        rows.write(place, arrays[place])
    rows.seal()
    assert np.array_equal(rows.block, np.concatenate([array.ravel() for array in arrays]))
    padded = rows.padded(np.array([1, 0]))
    wanted = np.zeros_like(padded)
    wanted[0][(slice(None),) * axis + (slice(1),)] = arrays[1]
    wanted[1] = arrays[0]
    assert np.array_equal(padded, wanted)


def test_a_file_is_the_rows_one_after_the_other(tmp_path):
    arrays = [np.arange(6, dtype="<f4").reshape(3, 2), np.arange(2, dtype="<f4").reshape(1, 2)]
    written(arrays, "<f4", tmp_path / "new" / "rows", order=[1, 0])
    assert (tmp_path / "new" / "rows").read_bytes() == b"".join(array.tobytes() for array in arrays)
    assert os.listdir(tmp_path / "new") == ["rows"]


def test_rows_of_another_type_or_order_in_memory_are_converted(tmp_path):
    turned = np.arange(6, dtype=np.float64).reshape(2, 3).T  # (3, 2), columns first
    for path in (None, tmp_path / "rows"):
        rows = RaggedRows.allocate(np.array([3]), (2,), np.dtype("<f4"), path)
        rows.write(0, turned)
        rows.seal()
        assert rows.padded(np.array([0]))[0].tolist() == turned.tolist()


def test_the_mapped_block_is_read_only(tmp_path):
    rows = written([np.ones((2, 2), "<f4")], "<f4", tmp_path / "rows")
    with pytest.raises(ValueError, match="read-only"):
        rows.block[0] = 2


def test_reading_before_the_seal_is_refused(tmp_path):
    rows = RaggedRows.allocate(np.array([2]), (2,), np.dtype("<f4"), tmp_path / "rows")
    with pytest.raises(StoreError, match="the rows are not sealed yet"):
        rows.padded(np.array([0]))
    assert os.listdir(tmp_path) == ["rows.part"]  # the name is given when it is whole


def test_a_short_write_is_carried_on(tmp_path, monkeypatch):
    """A nearly full disk takes a part and says so by the count alone."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: real(file, bytes(data[:3]), place))
    array = np.arange(20, dtype="<f4").reshape(10, 2)
    assert np.array_equal(written([array], "<f4", tmp_path / "rows").padded(np.array([0]))[0], array)


def test_a_short_write_before_a_full_disk_is_an_error(tmp_path, monkeypatch):
    real, room = os.pwrite, [30]

    def nearly_full(file, data, place):
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(file, bytes(data[: room[0]]), place)
        room[0] -= done
        return done

    monkeypatch.setattr(os, "pwrite", nearly_full)
    rows = RaggedRows.allocate(np.array([10]), (2,), np.dtype("<f4"), tmp_path / "rows")
    with pytest.raises(StoreError, match="No space left on device"):
        rows.write(0, np.ones((10, 2), "<f4"))
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=r"the text cache cannot be written to .*file.*; free some space, or type --cache off"
    ):
        RaggedRows.allocate(np.array([2]), (2,), np.dtype("<f4"), tmp_path / "file" / "rows")


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from separatrix.store.ragged import RaggedRows
rows = RaggedRows.allocate(np.full(9, 100), (8,), np.dtype("<f4"), Path(sys.argv[1]))
for row in range(9):
    if row == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rows.write(row, np.full((100, 8), row))
"""


@pytest.mark.parametrize("at", [0, 5])
def test_a_kill_leaves_a_part_that_the_next_build_replaces(tmp_path, at):
    path = tmp_path / "rows"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(at)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["rows.part"]
    arrays = [np.full((2, 8), 7, "<f4"), np.full((3, 8), 8, "<f4")]
    rows = written(arrays, "<f4", path)
    assert os.listdir(tmp_path) == ["rows"]
    assert path.stat().st_size == rows.nbytes == 5 * 8 * 4
    assert np.array_equal(rows.block, np.concatenate(arrays).ravel())


def mapped_resident(path):
    """Bytes of the file's mapping that count as resident memory."""
    kibibytes, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            inside = str(path) in line
        elif inside and first == "Rss:":
            kibibytes += int(line.split()[1])
    return kibibytes * 1024


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="resident memory by mapping is told on Linux only")
def test_resident_memory_is_bounded_however_large_the_file(tmp_path, monkeypatch):
    path, mebi = tmp_path / "rows", 1 << 20
    arrays = [np.full((mebi // 4, 1), row, "<f4") for row in range(24)]  # 24 rows of 1 MiB
    rows = written(arrays, "<f4", path)
    monkeypatch.setattr(ragged, "RELEASE_BYTES", 1 << 40)  # never handed back: the whole file piles up
    for row in range(24):
        rows.padded(np.array([row]))
    assert mapped_resident(path) >= 20 * mebi
    monkeypatch.setattr(ragged, "RELEASE_BYTES", 4 * mebi)
    rows.padded(np.array([0]))
    seen = []
    for row in range(24):
        assert rows.padded(np.array([row]))[0, 0, 0] == row  # released pages read the same
        if row % 5 in (3, 4):  # the fifth row passes the limit
            seen.append(mapped_resident(path))
    assert max(seen) <= 6 * mebi
    assert min(seen) < mebi
    rows.remove()
