"""A store of points: what is written comes back with its rows, and whatever is wrong with it is named."""

import errno
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError, ShapeError, StoreError
from separatrix.points import Points
from separatrix.store.contents import open_artifact
from separatrix.store.points import open_points, write_points
from separatrix.store.writer import open_writer


@pytest.fixture(autouse=True, scope="module")
def _no_waiting():
    """Waiting for the disk keeps no promise that these tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


# Largest error of a value x in a row whose largest value is m.
BOUNDS = {
    "float32": lambda x, m: 0 * x,
    "float16": lambda x, m: np.maximum(np.abs(x) * 2**-11, 2**-25),
    "int8": lambda x, m: m / 127 / 2 * 1.001 + 0 * x,
}


def begin(*words, **options):
    """A writer whose lock is let go of at once, as after a kill."""
    with open_writer(*words, **options) as writer:
        return writer


def made(rows, widths=(3,), seed=0, scale=1.0):
    """Points whose first column of every block is the id, so that a row can be recognised by its numbers."""
    generator = np.random.default_rng(seed)
    blocks = {}
    for place, width in enumerate(widths):
        values = generator.normal(size=(rows, width)).astype(np.float32) * scale
        values[:, 0] = np.arange(rows)
        blocks[f"block{place}"] = values
    table = {"id": [f"r{row}" for row in range(rows)], "label": [("a", "b", None)[row % 3] for row in range(rows)]}
    return Points.of(blocks, table, origin={"model": "made"})


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 23),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    shard_rows=st.integers(1, 9),
    dtype=st.sampled_from(sorted(BOUNDS)),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_round_trip_keeps_numbers_and_rows(tmp_path_factory, rows, widths, shard_rows, dtype, scale, seed):
    points = made(rows, widths, seed, scale)
    folder = tmp_path_factory.mktemp("store") / "points"
    manifest = write_points(folder, points, dtype=dtype, shard_rows=shard_rows)
    found = open_points(folder, verify=True)
    assert (len(found), manifest.rows) == (rows, rows)
    pd.testing.assert_frame_equal(found.table, points.table)
    assert found.origin["model"] == "made"
    order = np.random.default_rng(seed).permutation(rows)[: max(1, rows // 2)]
    taken, again = found.take(order), found.take(order).take(np.arange(len(order))[::-1])
    for name, values in points.blocks.items():
        block = found.blocks[name]
        assert block.shape == values.shape
        bound = BOUNDS[dtype](values, np.abs(values).max(axis=1, keepdims=True))
        assert (np.abs(block[:] - values) <= bound).all()
        # Whatever way rows are read, they are the same numbers, and the table goes with them.
        whole, mask = block[:], np.arange(rows) % 3 > 0
        for chosen in (order, mask, slice(1, -1), slice(None, None, 2), slice(0, 0), -order - 1):
            np.testing.assert_array_equal(block[chosen], whole[chosen])
        np.testing.assert_array_equal(taken.blocks[name], whole[order])
        np.testing.assert_array_equal(again.blocks[name], whole[order[::-1]])
        assert block[-1].tolist() == whole[-1].tolist()
        part = np.concatenate([some for _, some in found.pick(name).batches(4)])
        np.testing.assert_array_equal(part, whole)
    if dtype == "float32":
        assert again.column("id").tolist() == [f"r{int(row)}" for row in again.pick("block0").values[:, 0]]


def test_the_bytes_are_those_that_the_specification_says(tmp_path):
    points = made(5, (3, 2), scale=2.0)
    for dtype in BOUNDS:
        write_points(tmp_path / dtype, points, dtype=dtype, shard_rows=2)
    kept = points.blocks["block1"]
    assert sorted(path.name for path in (tmp_path / "float16/blocks/block1").iterdir()) == [
        "00000.f16",
        "00001.f16",
        "00002.f16",
    ]
    half = np.fromfile(tmp_path / "float16/blocks/block1/00001.f16", "<f2").reshape(2, 2)
    np.testing.assert_array_equal(half, kept[2:4].astype(np.float16))
    single = np.fromfile(tmp_path / "float32/blocks/block1/00002.f32", "<f4").reshape(1, 2)
    np.testing.assert_array_equal(single, kept[4:])
    raw = (tmp_path / "int8/blocks/block1/00001.i8").read_bytes()
    scales, levels = np.frombuffer(raw, "<f4", 2), np.frombuffer(raw, "i1", offset=8).reshape(2, 2)
    assert np.abs(levels).max(axis=1).tolist() == [127, 127]
    np.testing.assert_allclose(levels * scales[:, None], kept[2:4], atol=scales.max() / 2 * 1.001)
    manifest = json.loads((tmp_path / "int8/manifest.json").read_text())
    assert (manifest["format"], manifest["rows"], manifest["window"]) == (1, 5, 2)
    assert manifest["blocks"]["block1"] == {"width": 2, "dtype": "int8", "how": {}}
    assert pd.read_parquet(tmp_path / "int8/table.parquet")["id"].tolist() == [f"r{row}" for row in range(5)]


def test_a_row_of_zeros_and_an_odd_name_survive(tmp_path):
    points = Points.of({"mean/of 3@x": np.zeros((2, 2)), "b_ids": np.array([[16777215.0], [49152.0]])})
    write_points(tmp_path / "p", points, dtype="int8")
    found = open_points(tmp_path / "p", verify=True)
    assert found.blocks["mean/of 3@x"][:].tolist() == [[0, 0], [0, 0]]
    # Numbers of tokens are kept in float32, whatever the format of the rest.
    assert found.blocks["b_ids"][:].tolist() == [[16777215.0], [49152.0]]
    assert list(open_points(tmp_path / "p", blocks=["b_ids"]).blocks) == ["b_ids"]
    with pytest.raises(OptionError, match="did you mean 'b_ids'"):
        open_points(tmp_path / "p", blocks=["b_id"])


def test_reading_is_lazy_and_a_file_that_goes_later_is_named(tmp_path):
    write_points(tmp_path / "p", made(6), shard_rows=2)
    found = open_points(tmp_path / "p")
    (tmp_path / "p/blocks/block0/00001.f16").unlink()
    assert found.blocks["block0"][0:2].shape == (2, 3)
    with pytest.raises(StoreError, match=r"00001\.f16 cannot be read"):
        found.blocks["block0"][0:3]
    with pytest.raises(IndexError, match="outside 0 to 5"):
        found.blocks["block0"][np.array([6])]
    with pytest.raises(ShapeError, match="whole numbers"):
        found.blocks["block0"][np.array([0.5])]


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def alter(path):
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("blocks/block0/00001.f16", cut, r"00001\.f16 is truncated: got 10 bytes, expected 12"),
        ("blocks/block0/00002.f16", lambda path: path.unlink(), r"00002\.f16 is missing"),
        ("table.parquet", cut, r"table\.parquet is truncated"),
        ("manifest.json", cut, r"manifest\.json is damaged"),
        ("manifest.json", lambda path: path.write_text("[1]"), "damaged, or does not describe points"),
        ("manifest.json", lambda path: path.unlink(), "holds no finished points"),
        (
            "manifest.json",
            lambda path: path.write_text('{"kind": "run"}'),
            "holds no points: got run; give what",
        ),
    ],
)
def test_a_damaged_store_is_named_when_it_is_opened(tmp_path, name, damage, message):
    write_points(tmp_path / "p", made(6), shard_rows=2)
    damage(tmp_path / "p" / name)
    with pytest.raises(StoreError, match=message):
        open_points(tmp_path / "p")


@pytest.mark.parametrize("name", ["blocks/block0/00001.f16", "table.parquet"])
def test_an_altered_file_is_named_by_its_hash(tmp_path, name):
    write_points(tmp_path / "p", made(6), shard_rows=2)
    assert open_artifact(tmp_path / "p", "points").files
    alter(tmp_path / "p" / name)
    with pytest.raises(StoreError, match=rf"{name} was altered: got SHA-256"):
        open_artifact(tmp_path / "p", "points")
    with pytest.raises(StoreError, match="was altered"):
        open_points(tmp_path / "p").values[4]
    assert open_points(tmp_path / "p", verify=False).values.shape == (6, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "newer version: got format 2, expected format 1 or older; update separatrix"),
        ({"blocks": {"block0": {"width": 4, "dtype": "float16", "how": {}}}}, "shard 0 of block 'block0'"),
        ({"blocks": {"block0": {"width": 3, "dtype": "float64", "how": {}}}}, r"is damaged \(blocks.block0.dtype"),
        ({"shards": None}, r"is damaged \(shards is null"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(tmp_path, change, message):
    write_points(tmp_path / "p", made(6), shard_rows=2)
    path = tmp_path / "p/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = files(tmp_path)
    with pytest.raises(StoreError, match=message):
        open_points(tmp_path / "p")
    assert files(tmp_path) == before


def test_nothing_is_overwritten(tmp_path):
    write_points(tmp_path / "p", made(6), shard_rows=2)
    before = files(tmp_path)
    with pytest.raises(StoreError, match="p exists; type --overwrite"):
        write_points(tmp_path / "p", made(4))
    bad = made(4)
    bad.blocks["block0"][2, 1] = np.nan
    with pytest.raises(DataError, match="'block0' holds NaN or infinity in the row with id 'r2'"):
        write_points(tmp_path / "p", bad, overwrite=True)
    assert files(tmp_path) == before
    write_points(tmp_path / "p", made(2, (2, 2)), overwrite=True)
    assert open_points(tmp_path / "p", verify=True).blocks["block1"].shape == (2, 2)
    assert not (tmp_path / "p/blocks/block0/00001.f16").exists()


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="not replaced: got nothing that separatrix wrote, expected points"):
        write_points(tmp_path / "p", made(2), overwrite=True)
    with pytest.raises(StoreError, match=r"thesis\.txt is a file, *|is a file"):
        write_points(tmp_path / "p/thesis.txt", made(2))
    assert files(tmp_path) == {"p/thesis.txt": b"precious"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, value):
    points = made(3)
    points.blocks["block0"][1, 2] = value
    with pytest.raises(DataError, match="in the row with id 'r1'"):
        write_points(tmp_path / "p", points)
    assert not (tmp_path / "p").exists()


def test_numbers_too_large_for_float16_are_refused_and_fit_the_others(tmp_path):
    points = made(3)
    points.blocks["block0"][1, 2] = 70000
    message = r"row with id 'r1': got 7e\+04, expected at most 65504; type --store-dtype float32"
    with pytest.raises(StoreError, match=message):
        write_points(tmp_path / "p", points)
    for dtype in ("float32", "int8"):
        write_points(tmp_path / dtype, points, dtype=dtype)
        assert open_points(tmp_path / dtype).values[1, 2] == pytest.approx(70000)


def test_shards_that_do_not_fit_are_refused(tmp_path):
    rows = pd.DataFrame({"id": [0, 1]})
    writer = begin(tmp_path / "p", "key", window=2)
    writer.add(0, rows, {"a": np.ones((2, 3))})
    with pytest.raises(ShapeError, match="block 'a' changes its width: got 4, expected 3"):
        writer.add(1, rows, {"a": np.ones((2, 4))})
    with pytest.raises(ShapeError, match=r"does not fit the table: got shape \(3, 3\), expected \(2, width\)"):
        writer.add(1, rows, {"a": np.ones((3, 3))})
    with pytest.raises(ShapeError, match="shards come in order: got 5"):
        writer.add(5, rows, {"a": np.ones((2, 3))})
    with pytest.raises(DataError, match="no rows"):
        begin(tmp_path / "q", "key", window=2).finish(0, {})
    with pytest.raises(OptionError, match="unknown --store-dtype"):
        write_points(tmp_path / "r", made(2), dtype="float8")


def test_a_column_that_is_empty_in_one_shard_takes_its_type_from_the_others(tmp_path):
    points = Points.of(np.eye(4), {"group": [None, None, "x", "y"], "number": [1, 2, 3, 4]})
    write_points(tmp_path / "p", points, shard_rows=2)
    found = open_points(tmp_path / "p").table["group"]
    assert (found.isna().tolist(), found[2:].tolist()) == ([True, True, False, False], ["x", "y"])
    mixed = Points.of(np.eye(4), {"group": np.array(["x", "y", 3, 4], dtype=object)})
    with pytest.raises(StoreError, match="row tables do not fit together"):
        write_points(tmp_path / "q", mixed, shard_rows=2)


def test_blocks_are_added_to_a_finished_store_and_the_rest_stays(tmp_path):
    rows = [pd.DataFrame({"id": [2 * n, 2 * n + 1]}) for n in range(3)]
    first = begin(tmp_path / "p", "key", window=2)
    for place, frame in enumerate(rows):
        first.add(place, frame, {"a": np.full((2, 3), place)})
    first.finish(3, {"by": "first"})
    before = files(tmp_path / "p")
    second = begin(tmp_path / "p", "key", window=99)
    assert second.window == 2
    assert second.missing(0, rows[0], ["a", "b"]) == ["b"]
    second.add(0, rows[0], {"b": np.zeros((2, 1))})
    assert list(open_points(tmp_path / "p", verify=True).blocks) == ["a"]  # half added is not there
    third = begin(tmp_path / "p", "key", window=2)
    assert third.missing(0, rows[0], ["a", "b"]) == []
    assert third.missing(1, rows[1], ["a", "b"]) == ["b"]
    for place in (1, 2):
        third.add(place, rows[place], {"b": np.full((2, 1), place)})
    third.finish(3, {"by": "third"})
    after = files(tmp_path / "p")
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    found = open_points(tmp_path / "p", verify=True)
    assert found.origin["by"] == "first"
    assert found.blocks["b"][:].ravel().tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(StoreError, match=r"holds other rows \(shard 1, which begins here with id 7\)"):
        third.missing(1, pd.DataFrame({"id": [7, 3]}), ["a"])
    with pytest.raises(StoreError, match="holds points of another request"):
        begin(tmp_path / "p", "other", window=2)
    with pytest.raises(StoreError, match="holds more rows than were given now: got 3 shards, expected 2"):
        begin(tmp_path / "p", "key", window=2).finish(2, {})


def test_what_was_stopped_is_gone_on_with_only_if_asked(tmp_path):
    rows = pd.DataFrame({"id": [0, 1]})
    begin(tmp_path / "p", "key", window=2).add(0, rows, {"a": np.ones((2, 3))})
    with pytest.raises(StoreError, match="not finished; type --resume"):
        begin(tmp_path / "p", "key", window=2, resume=False)
    with pytest.raises(StoreError, match="another request"):
        begin(tmp_path / "p", "other", window=2)
    with pytest.raises(StoreError, match="no finished points"):
        open_points(tmp_path / "p")
    (tmp_path / "p/pending/00000.json").write_text("{}")
    with pytest.raises(StoreError, match=r"00000\.json is damaged \(shard is missing"):
        begin(tmp_path / "p", "key", window=2)


@pytest.mark.parametrize("at", [1, 2, 4, 7, 8])
def test_on_a_full_disk_the_store_that_is_replaced_stays(tmp_path, monkeypatch, at):
    """Whenever the disk fills up: while shards, tables and notes are written, or when all of them are put together."""
    write_points(tmp_path / "p", made(6), shard_rows=2)
    before, left = files(tmp_path / "p"), [at]

    def fill_up(_):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(StoreError, match="No space left"):
        write_points(tmp_path / "p", made(4), overwrite=True, shard_rows=2)
    assert files(tmp_path / "p") == before
    monkeypatch.undo()
    write_points(tmp_path / "p", made(4), overwrite=True, shard_rows=2)
    assert len(open_points(tmp_path / "p")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_replacement_that_was_stopped_is_gone_on_with_and_the_old_store_can_be_read_meanwhile(tmp_path):
    write_points(tmp_path / "p", made(4), shard_rows=2)
    new = made(4)
    rows = [new.table.iloc[:2].reset_index(drop=True), new.table.iloc[2:].reset_index(drop=True)]
    options = {"window": 2, "overwrite": True, "resume": True}
    with pytest.raises(KeyboardInterrupt, match="stopped"), open_writer(tmp_path / "p", "new", **options) as writer:  # noqa: PT012
        writer.add(0, rows[0], {"other": np.ones((2, 3))})
        raise KeyboardInterrupt("stopped")
    assert list(open_points(tmp_path / "p").blocks) == ["block0"]
    with open_writer(tmp_path / "p", "new", **options) as writer:
        assert writer.missing(0, rows[0], ["other"]) == []
        writer.add(1, rows[1], {"other": np.ones((2, 3))})
        writer.finish(2, {})
    assert list(open_points(tmp_path / "p").blocks) == ["other"]
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_shards_stay_where_a_stop_came_out_as_another_error(tmp_path):
    new, options = made(4).table, {"window": 2, "resume": None, "resumable": True}
    error = RuntimeError("trying to pop from empty mode stack")
    error.__context__ = KeyboardInterrupt()
    with pytest.raises(RuntimeError, match="mode stack"), open_writer(tmp_path / "p", "new", **options) as writer:  # noqa: PT012
        writer.add(0, new.iloc[:2].reset_index(drop=True), {"other": np.ones((2, 3))})
        raise error
    with open_writer(tmp_path / "p", "new", window=2) as writer:
        assert writer.missing(0, new.iloc[:2].reset_index(drop=True), ["other"]) == []


def test_a_manifest_has_recipe_and_files_as_others_have_and_old_ones_are_read(tmp_path):
    write_points(tmp_path / "p", made(6), dtype="float32", shard_rows=2, recipe={"seed": 3})
    path = tmp_path / "p/manifest.json"
    plain = json.loads(path.read_text())
    files = open_artifact(tmp_path / "p", "points").files
    assert plain["files"] == {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in files.items()}
    assert open_artifact(tmp_path / "p").recipe == plain["recipe"] == {"seed": 3}
    path.write_text(json.dumps({key: value for key, value in plain.items() if key not in ("files", "recipe")}))
    assert open_artifact(tmp_path / "p").recipe is None
    np.testing.assert_array_equal(open_points(tmp_path / "p").values, made(6).values)
