"""Row tables on disk: whatever is read of them is what pandas reads of the whole file, and little is in memory."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.analysis.cluster import Clusters, cluster
from separatrix.codes import encode
from separatrix.errors import DataError, StoreError
from separatrix.points import KEY, Points
from separatrix.rowtable import ExtendedTable, FrameTable, SelectedBlock
from separatrix.store.points import open_points, write_points
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.store.table import join_tables, text_hash, write_table


def frame_of(rows, seed=0):
    """Columns of all kinds, most with gaps; `number` and `flag` have theirs in one place only."""
    rng = np.random.default_rng(seed)
    texts = np.array([f"text {row % 7}" for row in range(rows)], dtype=object)
    texts[rng.random(rows) < 0.2] = None
    number = [None if row == 1 else row for row in range(rows)]
    return pd.DataFrame(
        {
            "id": np.arange(rows) * 3,
            "text": texts,
            "number": pd.array(number, dtype="Int64").astype(object),
            "share": np.where(rng.random(rows) < 0.3, np.nan, rng.random(rows)),
            "flag": [None if row == 2 else bool(row % 2) for row in range(rows)],
            "empty": [None] * rows,
            "words": [[f"w{row}"] * (row % 3) for row in range(rows)],
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows), unit="D"),
        }
    )


def written(folder, frame, group=5):
    """The frame as row groups of so many rows."""
    parts = [folder / f"{start}.parquet" for start in range(0, len(frame), group)]
    for part in parts:
        start = int(part.stem)
        write_table(part, frame.iloc[start : start + group])
    join_tables(parts, folder / "whole.parquet")
    return folder / "whole.parquet"


@pytest.mark.parametrize("last", [["e1", "z"], [None, None], ["e1", None]], ids=["few values", "none", "one"])
def test_shards_with_more_and_fewer_categories_are_one_table(tmp_path, last):
    """pandas gives codes of one byte to 127 categories and of two to more: shards of a column then differ in type."""
    names = [f"e{row}" for row in range(200)]
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for part, values in zip(parts, (names, last), strict=True):
        write_table(part, pd.DataFrame({"example": pd.Series(values, dtype=object).astype("category")}))
    join_tables(parts, tmp_path / "whole.parquet")
    read = pd.read_parquet(tmp_path / "whole.parquet")["example"]
    assert [None if value != value else value for value in read.tolist()] == names + last


@settings(max_examples=12, deadline=None, derandomize=True)
@given(rows=st.integers(3, 23), group=st.integers(1, 9), batch=st.integers(1, 9), seed=st.integers(0, 99))
def test_whatever_is_read_is_what_pandas_reads(tmp_path_factory, rows, group, batch, seed):
    path = written(tmp_path_factory.mktemp("rows"), frame_of(rows, seed), group)
    whole, table = pd.read_parquet(path), ParquetTable.open(path)
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, rows, size=rng.integers(1, 2 * rows)), rng.permutation(rows)[: rows // 2]
    for one, expected in (
        (table, whole),
        (table.take(first), whole.iloc[first]),
        (table.take(second).take(np.arange(len(second))[::-1]), whole.iloc[second[::-1]]),
        (table.where(np.arange(rows) % 3 > 0), whole[np.arange(rows) % 3 > 0]),
        (table.take(np.empty(0, np.int64)), whole.iloc[:0]),
    ):
        expected = expected.reset_index(drop=True)
        assert (len(one), one.columns) == (len(expected), list(expected.columns))
        pd.testing.assert_frame_equal(one.to_pandas(), expected)
        for name in expected.columns:
            column = one.column(name)
            assert column.dtype == np.asarray(expected[name]).dtype
            pd.testing.assert_series_equal(pd.Series(column), pd.Series(np.asarray(expected[name])))
            if name != "words":
                for by_row in (False, True):
                    coded, plain = (encode(rows, by_row=by_row) for rows in (one.series(name), pd.Series(column)))
                    assert coded[0].tolist() == plain[0].tolist()
                    assert coded[1].tolist() == plain[1].tolist()
        for some in (list(expected.columns), ["text", "id"]):
            batches = list(one.batches(batch, some))
            assert all(0 < len(part) <= batch and part.index[0] == 0 for part in batches)
            assert all((part.dtypes == expected[some].dtypes).all() for part in batches)
            if batches:
                pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), expected[some])


def test_equal_texts_are_one_object(tmp_path):
    table = ParquetTable.open(written(tmp_path, pd.DataFrame({"id": range(300), "label": ["a label"] * 300})))
    assert len({id(text) for text in table.column("label")}) == 1


def test_a_column_of_labels_costs_bytes_a_row_and_large_row_groups_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.store.rows._WINDOW", 1000)
    frame = pd.DataFrame(
        {"id": np.arange(300_000), "label": np.array(["right", "wrong", "odd"])[np.arange(300_000) % 3]}
    )
    write_table(tmp_path / "one group.parquet", frame)
    write_rows(tmp_path / "groups.parquet", FrameTable(frame))
    for name in ("one group", "groups"):
        table = ParquetTable.open(tmp_path / f"{name}.parquet")
        tracemalloc.start()
        label = table.series("label")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert label.cat.codes.dtype == np.int8
        assert label.tolist() == frame["label"].tolist()
        assert peak < 16 * len(frame)
    table = ExtendedTable(table, {"cluster": np.arange(300_000) % 7})
    assert table.coded(["label", "cluster"]).dtypes.astype(str).to_dict() == {"label": "category", "cluster": "int64"}


def test_columns_are_added_replaced_and_left_out():
    frame = pd.DataFrame({"id": [1, 2, 3], "cluster": [9, 9, 9], "parent": ["x"] * 3})
    table = ExtendedTable(FrameTable(frame), {"cluster": np.array([0, 1, 2])}, hidden=("parent",))
    expected = pd.DataFrame({"id": [1, 2, 3], "cluster": [0, 1, 2]})
    assert (table.columns, "parent" in table) == (["id", "cluster"], False)
    pd.testing.assert_frame_equal(table.to_pandas(), expected)
    pd.testing.assert_frame_equal(pd.concat(table.batches(2), ignore_index=True), expected)
    assert table.take(np.array([2, 0])).column("cluster").tolist() == [2, 0]
    assert table.take(np.array([2, 0])).frame(["cluster", "id"]).to_numpy().tolist() == [[2, 3], [0, 1]]


def test_a_written_table_comes_back_and_an_empty_first_batch_takes_its_types_from_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.store.rows.GROUP_ROWS", 4)
    frame = frame_of(11)
    frame["late"] = [None] * 9 + ["x", "y"]
    write_rows(tmp_path / "t.parquet", FrameTable(frame))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), pd.read_parquet(written(tmp_path, frame)))
    with pytest.raises(DataError, match=r"t\.parquet cannot be written"):
        write_rows(tmp_path / "t.parquet", FrameTable(pd.DataFrame({"id": ["x", 3]})))
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 11
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_is_gone_damaged_or_another_one_is_refused(tmp_path):
    path = written(tmp_path, frame_of(20))
    table = pickle.loads(pickle.dumps(ParquetTable.open(path)))
    assert table.column("id")[-1] == 57
    with pytest.raises(StoreError, match="the column label is missing"):
        ParquetTable.open(path, ("id", "label"))
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(StoreError, match=r"whole\.parquet cannot be read"):
        table.column("id")
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"whole\.parquet was replaced since it was opened; open it again"):
        table.column("id")
    path.write_bytes(data[:400] + bytes(400) + data[800:])
    with pytest.raises(StoreError, match=r"whole\.parquet is damaged"):
        ParquetTable.open(path).to_pandas()
    with pytest.raises(StoreError, match="does not exist"):
        ParquetTable.open(tmp_path / "none.parquet")


# Identity: rows of a store keep their names however they are chosen.


def heads(folder, windows=24, layers=2, count=3):
    """Points on disk, a row for each window, layer and head, whose numbers say which they are."""
    place = np.stack(np.meshgrid(range(windows), range(layers), range(count), indexing="ij"), -1).reshape(-1, 3)
    names = dict(zip(("id", "layer", "head"), place.T, strict=True))
    hashes = np.array([text_hash(str(window)) for window in place[:, 0]], dtype=object)
    values = place + 0.01 * np.random.default_rng(0).normal(size=place.shape)
    points = Points.of(values, names | {"example": place[:, 0] // 2, "text_hash": hashes})
    write_points(folder, points, dtype="float32", shard_rows=10)
    return open_points(folder)


def check_identity(points, rows):
    """The numbers of each row say who it is."""
    numbers = np.rint(np.asarray(points.values)).astype(int)
    assert numbers.tolist() == rows.frame(("id", "layer", "head")).to_numpy().tolist()
    assert rows.column("example").tolist() == (numbers[:, 0] // 2).tolist()
    assert rows.column("text_hash").tolist() == [text_hash(str(window)) for window in numbers[:, 0]]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_shuffling_choosing_and_clustering_again_keep_identity(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("identity")
    points, rng = heads(folder / "points"), np.random.default_rng(seed)
    shuffled = points.take(rng.permutation(len(points)))
    some = shuffled.where(rng.random(len(points)) < 0.7)
    assert isinstance(some.blocks["vectors"], SelectedBlock)  # nothing was read
    check_identity(some, some.rows)
    outer = cluster(some, "kmeans", k=2, seed=0, starts=1, permutations=19)
    outer.save(folder / "outer")
    read = Clusters.open(folder / "outer")
    assert read.labels.tolist() == outer.labels.tolist()
    check_identity(some, read.row_table)
    inner = cluster(points, "kmeans", within=read, of=1, k=2, seed=0, starts=1, permutations=19)
    inside = {tuple(line) for line in some.where(outer.labels == 1).rows.frame(KEY[:3]).to_numpy().tolist()}
    assert {tuple(line) for line in inner.table[[*KEY[:3]]].to_numpy().tolist()} == inside
    write_points(folder / "again", some, dtype="float32", shard_rows=7)
    check_identity(again := open_points(folder / "again"), again.rows)


def test_opening_and_choosing_reads_neither_numbers_nor_columns(tmp_path):
    """Memory of what Python holds: nothing in it grows with the columns."""
    rows = 60_000
    table = {"id": np.arange(rows), **{f"c{n}": np.random.default_rng(n).random(rows) for n in range(7)}}
    write_points(tmp_path / "p", Points.of(np.zeros((rows, 8)), table))
    tracemalloc.start()
    points = open_points(tmp_path / "p", verify=False)
    chosen = points.take(np.arange(0, rows, 2)).where(np.arange(rows // 2) % 2 == 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * rows * 4  # the places, their copies; the columns are 56 bytes a row, the numbers 32
    assert chosen.column("c3").tolist() == table["c3"][::4].tolist()
