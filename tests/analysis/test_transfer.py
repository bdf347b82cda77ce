"""Points from files of other programs and back: rows keep their numbers and names, and what is wrong is named."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from separatrix.analysis.transfer import export_vectors, import_vectors
from separatrix.errors import DataError, OptionError, SeparatrixWarning, StoreError
from separatrix.points import Points
from separatrix.store.points import open_points, write_points
from separatrix.store.writer import PointsWriter
from served import run_served

ROWS, WIDTH = 57, 5
X = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Several shards, and pieces that fit neither these nor the row groups."""
    monkeypatch.setattr("separatrix.analysis.transfer.SHARD_ROWS", 10)
    monkeypatch.setattr("separatrix.store.vectors.READ_ROWS", 7)
    monkeypatch.setattr("separatrix.store.exports._BATCH", 9)


def csv_shards(folder, frame, rows=20, **options):
    """Shards whose order by text is not that of their numbers."""
    folder.mkdir()
    for number, start in enumerate(range(0, len(frame), rows)):
        frame.iloc[start : start + rows].to_csv(folder / f"part{9 + number}.csv", **options)
    return folder


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int32"])
def test_a_matrix_of_numpy(tmp_path, dtype, order):
    values = np.asarray(100 * X, dtype, order=order)
    np.save(tmp_path / "x.npy", values)
    points = import_vectors(tmp_path / "x.npy", out=tmp_path / "p")
    np.testing.assert_array_equal(points.values, values.astype(np.float32))
    assert points.column("id").tolist() == list(range(ROWS))
    np.testing.assert_array_equal(import_vectors(tmp_path / "x.npy").values, points.values)
    assert len(points.blocks["vectors"].files) == 6
    assert points.origin["imported"] == {"file": "x.npy", "store_dtype": "float32"}


def test_tensors(tmp_path):
    save_file({"embeddings": X, "bias": X[0]}, tmp_path / "one.safetensors")
    save_file({"a": X, "b": X[:, :2].copy()}, tmp_path / "two.safetensors")
    np.testing.assert_array_equal(import_vectors(tmp_path / "one.safetensors").values, X)
    with pytest.raises(DataError, match=r"holds not one matrix: got a, b of 2 tensors, .*--tensor NAME"):
        import_vectors(tmp_path / "two.safetensors")
    assert import_vectors(tmp_path / "two.safetensors", tensor="b").width == 2
    with pytest.raises(OptionError, match=r"unknown --tensor: got 'c'"):
        import_vectors(tmp_path / "two.safetensors", tensor="c")


@pytest.mark.parametrize("kind", ["fixed", "lists"])
def test_lists_of_parquet(tmp_path, kind):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), WIDTH) if kind == "fixed" else pa.array(list(X))
    names = [f"r{row}" for row in range(ROWS)]
    table = pa.table({"id": names, "vec": lists, "label": [row % 3 for row in range(ROWS)], "more": pa.array(list(X))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=13)
    points = import_vectors(tmp_path / "x.parquet", out=tmp_path / "p")
    assert (list(points.blocks), points.columns) == (["more", "vec"], ["id", "label"])
    np.testing.assert_array_equal(points.pick("vec").values, X)
    assert points.column("id").tolist() == names
    assert points.column("label").tolist() == [row % 3 for row in range(ROWS)]
    assert list(import_vectors(tmp_path / "x.parquet", drop_column="more").blocks) == ["vec"]


def test_shards_of_csv_come_in_the_order_of_their_numbers(tmp_path):
    folder = csv_shards(tmp_path / "shards", pd.DataFrame(X))
    with pytest.raises(DataError, match=r"part9\.csv: column 'Unnamed: 0' numbers the rows by its name; type --drop-c"):
        import_vectors(folder, out=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    points = import_vectors(folder, drop_column="Unnamed: 0", out=tmp_path / "p")
    np.testing.assert_array_equal(points.values, X)
    kept = import_vectors(folder, keep_column="Unnamed: 0")
    assert kept.column("Unnamed: 0").tolist() == list(range(ROWS))
    assert kept.width == WIDTH


def test_csv_without_names_and_with_columns_of_the_table(tmp_path):
    np.savetxt(tmp_path / "plain.csv", X, delimiter=",", fmt="%.9g")
    np.testing.assert_array_equal(import_vectors(tmp_path / "plain.csv").values, X)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(id=[f"r{row}" for row in range(ROWS)], label="x")
    folder = csv_shards(tmp_path / "shards", frame, index=False)
    points = import_vectors(folder, keep_column=("id", "label"))
    np.testing.assert_array_equal(points.values, X)
    assert (points.column("id")[-1], points.column("label")[0]) == ("r56", "x")
    with pytest.raises(DataError, match=r"part9\.csv, row 0: column 'label' holds no number: got 'x'; type --drop"):
        import_vectors(folder, keep_column="id")


@pytest.mark.parametrize("make", [lambda n: np.arange(n), lambda n: np.arange(n)[::-1] / 7 + 3,
                                  lambda n: np.random.default_rng(1).permutation(n)])  # fmt: skip
def test_a_column_that_numbers_the_rows_is_found_by_what_is_in_it(tmp_path, make):
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame.insert(2, "number", make(ROWS))
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match=r"x\.csv: column 'number' numbers the rows: .*--drop-column \"number\""):
        import_vectors(tmp_path / "x.csv", out=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    np.testing.assert_array_equal(import_vectors(tmp_path / "x.csv", drop_column="number").values, X)
    np.save(tmp_path / "x.npy", frame.to_numpy())
    with pytest.raises(DataError, match=r"x\.npy: column '2' numbers the rows: .*leave it out of the file"):
        import_vectors(tmp_path / "x.npy")


LINES = ["a,b", *(f"{row % 5}.5,{row % 3}.25" for row in range(30))]


def lines(tmp_path, **changed):
    path = tmp_path / "x.csv"
    text = list(LINES)
    for line, content in changed.items():
        text[int(line[1:])] = content
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"_12": "1,x"}, r"x\.csv, row 11: column 'b' holds no number: got 'x'"),
        ({"_12": "1,"}, r"x\.csv, row 11: column 'b' is not finite: got nan"),
        ({"_12": "1,inf"}, r"x\.csv, row 11: column 'b' is not finite: got inf"),
        ({"_12": "1e99,2"}, r"x\.csv, row 11: column 'a' is not finite"),
        ({"_12": "1,2,3"}, r"x\.csv, row 11: another number of cells: got 3, expected 2"),
        ({"_12": "1"}, r"x\.csv, row 11: another number of cells: got 1, expected 2"),
        ({"_0": "a,a"}, r"the column 'a' stands twice"),
        ({"_0": "index,a"}, r"column 'index' numbers the rows by its name"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        import_vectors(lines(tmp_path, **changed), out=tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_shard_with_other_columns_or_nothing_in_it_is_named(tmp_path):
    folder = csv_shards(tmp_path / "shards", pd.DataFrame(X, columns=list("abcde")), index=False)
    (folder / "part12.csv").write_text("a,b,c,d,f\n1,2,3,4,5\n")
    with pytest.raises(DataError, match=r"part12\.csv has other columns than part9\.csv: got f, expected e"):
        import_vectors(folder)
    (folder / "part12.csv").write_text("a,b,c,d,e\n1,2,3,4,x\n")
    with pytest.raises(DataError, match=r"part12\.csv, row 0: column 'e' holds no number"):
        import_vectors(folder)
    (folder / "part12.csv").write_text("a,b,c,d,e\n1,2,3,4,\n")
    with pytest.raises(DataError, match=r"part12\.csv, row 0: column 'e' is not finite"):
        import_vectors(folder)
    (folder / "part12.csv").write_text("")
    with pytest.raises(DataError, match=r"part12\.csv is empty"):
        import_vectors(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none holds no \.csv file"):
        import_vectors(tmp_path / "none")


def broken(tmp_path, name):
    """Files that hold no vectors."""
    path = tmp_path / name
    table = {"short.parquet": [[1.0, 2.0], [3.0]], "gap.parquet": [[1.0], None], "text.parquet": ["x", "y"]}
    if name in table:
        pq.write_table(pa.table({"v": table[name]}), path)
    elif name == "vector.npy":
        np.save(path, X[0])
    elif name == "text.npy":
        np.save(path, np.array([["a"]]))
    elif name == "pickle.npy":
        np.save(path, np.array([[None]]), allow_pickle=True)
    elif name == "nan.npy":
        np.save(path, np.where(np.arange(ROWS)[:, None] == 33, np.nan, X))
    elif name == "flat.safetensors":
        save_file({"bias": X[0]}, path)
    else:
        path.write_bytes(b"\x93NUMPY nothing of the kind")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short.parquet", r"short\.parquet, row 1: column 'v' has another width: got 1 numbers, expected 2"),
        ("gap.parquet", r"gap\.parquet, row 1: column 'v' has another width: got nothing, expected 1"),
        ("text.parquet", r"text\.parquet holds no vectors: got v \(string\)"),
        ("vector.npy", r"vector\.npy holds no matrix: got shape \(5,\)"),
        ("text.npy", r"text\.npy holds no numbers that NumPy reads: got <U1"),
        ("pickle.npy", r"pickle\.npy cannot be read"),
        ("nan.npy", r"nan\.npy, row 33: column '0' is not finite: got nan"),
        ("flat.safetensors", r"flat\.safetensors holds not one matrix: got 1 tensors, none of them"),
        ("cut.npy", r"cut\.npy cannot be read"),
        ("cut.parquet", r"cut\.parquet cannot be read"),
        ("cut.safetensors", r"cut\.safetensors cannot be read"),
        ("absent/x.npy", r"x\.npy does not exist"),
    ],
)
def test_a_file_without_vectors_is_named(tmp_path, name, message):
    path = tmp_path / name if name.startswith("absent") else broken(tmp_path, name)
    with pytest.raises(DataError, match=message):
        import_vectors(path, out=tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_options_that_a_file_has_no_use_for_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(OptionError, match=r"--drop-column has no effect on a \.npy file; leave --drop-column away"):
        import_vectors(tmp_path / "x.npy", drop_column="a")
    (tmp_path / "x.txt").write_text("1")
    with pytest.raises(OptionError, match=r"x\.txt cannot be read as vectors: got \.txt, expected \.npy"):
        import_vectors(tmp_path / "x.txt")
    with pytest.raises(OptionError, match=r"unknown --drop-column: got 'z'"):
        import_vectors(lines(tmp_path), drop_column="z")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_lie_beside_the_vectors(tmp_path, ending):
    np.save(tmp_path / "x.npy", X)
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(ROWS)], "label": ["a", None, "b"] * (ROWS // 3)})
    labels = tmp_path / f"rows.{ending}"

    def write(some):
        some.to_csv(labels, index=False) if ending == "csv" else some.to_parquet(labels, index=False)

    write(frame)
    points = import_vectors(tmp_path / "x.npy", labels=str(labels), out=tmp_path / "p")
    pd.testing.assert_frame_equal(points.table, pd.read_parquet(labels) if ending == "parquet" else frame)
    for some, message in (
        (frame[:-1], r"has fewer rows than the vectors: got 56 rows of both"),
        (frame[:50], r"has fewer rows than the vectors: got 50 rows of both"),
        (pd.concat([frame, frame[:1]]), r"has more rows than the vectors: got 57 rows of both"),
        (pd.concat([frame[:55], frame[3:5]]), r"x\.npy, row 55 has the id of an earlier row"),
        (frame.assign(id=frame["id"].where(frame.index != 31)), r"x\.npy, row 31 has no id"),
    ):
        write(some)
        with pytest.raises(DataError, match=message):
            import_vectors(tmp_path / "x.npy", labels=str(labels), out=tmp_path / "q")
        assert not (tmp_path / "q").exists()


def test_labels_of_other_rows_are_refused(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde")).assign(id=range(ROWS))
    frame.to_csv(tmp_path / "x.csv", index=False)
    pd.DataFrame({"id": np.r_[0:40, 41, 40, 42:ROWS], "label": "x"}).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"rows\.csv, row 40: column 'id' differs from that of the vectors: got"):
        import_vectors(tmp_path / "x.csv", keep_column="id", labels=str(tmp_path / "rows.csv"))


def test_what_is_there_stays_and_numbers_too_large_leave_nothing(tmp_path):
    np.save(tmp_path / "x.npy", 1e6 * X)
    with pytest.raises(StoreError, match="is too large for float16"):
        import_vectors(tmp_path / "x.npy", store_dtype="float16", out=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    import_vectors(tmp_path / "x.npy", out=tmp_path / "p")
    with pytest.raises(StoreError, match="p exists; type --overwrite"):
        import_vectors(tmp_path / "x.npy", out=tmp_path / "p")
    np.save(tmp_path / "y.npy", np.where(np.arange(ROWS)[:, None] == 33, np.nan, X))
    with pytest.raises(DataError, match="row 33"):
        import_vectors(tmp_path / "y.npy", out=tmp_path / "p", overwrite=True)
    np.testing.assert_array_equal(open_points(tmp_path / "p").values, (1e6 * X).astype(np.float32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "x.npy", "y.npy"]


# Out, and in again.


@pytest.fixture
def points(tmp_path):
    table = {
        "id": [f"r{row}" for row in range(ROWS)],
        "label": [None if row < 20 else "ab"[row % 2] for row in range(ROWS)],
        "layer": np.arange(ROWS) % 3,
    }
    write_points(tmp_path / "points", Points.of({"mean": X}, table), dtype="float16", shard_rows=11)
    return open_points(tmp_path / "points")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("ending", ["npy", "safetensors", "parquet"])
def test_what_goes_out_comes_in_again(tmp_path, points, ending, dtype):
    written = export_vectors(points, out=tmp_path / f"x.{ending}", dtype=dtype)
    assert (written.rows, written.bytes) == (ROWS, written.path.stat().st_size)
    labels = None if written.table is None else str(written.table)
    again = import_vectors(written.path, labels=labels, out=tmp_path / "again")
    np.testing.assert_array_equal(again.values, points.values)  # float16 on disk: nothing is lost
    pd.testing.assert_frame_equal(again.table, points.table)
    assert len(list(tmp_path.glob("x.*"))) == (1 if ending == "parquet" else 2)
    if ending == "npy":
        assert np.load(written.path).dtype == dtype
    if ending == "parquet":
        kind = pq.read_schema(written.path).field("mean").type
        assert (pa.types.is_fixed_size_list(kind), kind.list_size) == (True, WIDTH)
        assert again.name == "mean"
    with pytest.raises(StoreError, match=r"x\.\w+ exists"):
        export_vectors(points, out=written.path)
    export_vectors(points, out=written.path, overwrite=True, dtype=dtype)


def test_exports_that_cannot_be_are_refused(tmp_path, points):
    both = points.join(points, prefixes=("", "again_"))
    with pytest.raises(OptionError, match="hold several blocks"):
        export_vectors(both, out=tmp_path / "x.npy")
    assert list(pq.read_schema(export_vectors(both, out=tmp_path / "x.parquet").path).names)[-2:] == [
        "mean",
        "again_mean",
    ]
    assert export_vectors(both, out=tmp_path / "x.bin", to="npy", block="mean").path.name == "x.bin"
    with pytest.raises(OptionError, match=r"names no format: got \.txt"):
        export_vectors(points, out=tmp_path / "x.txt")
    with pytest.raises(OptionError, match="an export is a file: got no out"):
        export_vectors(points)
    (tmp_path / "y.rows.parquet").write_text("mine")
    with pytest.raises(StoreError, match=r"y\.rows\.parquet exists"):
        export_vectors(points, out=tmp_path / "y.npy")
    assert not (tmp_path / "y.npy").exists()
    named = Points.of({"label": X}, {"label": ["x"] * ROWS})
    with pytest.raises(DataError, match="a block and a column of the table have one name: got 'label'"):
        export_vectors(named, out=tmp_path / "z.parquet")


# An import is a fork that kills itself before its n-th shard.
KILLED = """
import os, signal, sys
from separatrix.analysis import transfer
from separatrix.store.writer import PointsWriter

transfer.SHARD_ROWS = 10
path, root = sys.argv[1:]
for at in (0, 1, 4):
    if not os.fork():
        add, left = PointsWriter.add, [at]
        def armed(self, *given, **named):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            add(self, *given, **named)
        PointsWriter.add = armed
        transfer.import_vectors(path, out=f"{root}/{at}")
    assert os.WIFSIGNALED(os.wait()[1])
print("killed")
"""


def test_a_killed_import_goes_on_at_its_last_shard(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    import_vectors(tmp_path / "x.npy", out=tmp_path / "whole")
    assert run_served(KILLED, [str(tmp_path / "x.npy"), str(tmp_path)], tmp_path / "printed") == "killed\n"
    written, add = [], PointsWriter.add
    monkeypatch.setattr(PointsWriter, "add", lambda self, at, *given: (written.append(at), add(self, at, *given)))
    for at in (0, 1, 4):
        written.clear()
        if at:
            with pytest.raises(StoreError, match="exists; type --overwrite to replace it, --resume to go on"):
                import_vectors(tmp_path / "x.npy", out=tmp_path / str(at))
        import_vectors(tmp_path / "x.npy", out=tmp_path / str(at), resume=True)
        assert written == list(range(at, 6))
        assert contents(tmp_path / str(at)) == contents(tmp_path / "whole")
    assert import_vectors(tmp_path / "x.npy", out=tmp_path / "whole", resume=True).values.tolist() == X.tolist()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_import_goes_on_with_no_other_numbers_and_stays_where_its_user_stops_it(tmp_path):
    def stop(stage, done, total, note):
        if done == 30:
            raise KeyboardInterrupt("stopped")

    np.save(tmp_path / "x.npy", X)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        import_vectors(tmp_path / "x.npy", out=tmp_path / "p", progress=stop)
    np.save(tmp_path / "x.npy", np.where(np.arange(ROWS)[:, None] == 3, 0, X))
    with pytest.raises(StoreError, match=r"p holds other numbers \(shard 0 of block 'vectors'\); type --overwrite"):
        import_vectors(tmp_path / "x.npy", out=tmp_path / "p", resume=True)
    np.save(tmp_path / "x.npy", X)
    np.testing.assert_array_equal(import_vectors(tmp_path / "x.npy", out=tmp_path / "p", resume=True).values, X)


def test_names_that_look_alike_are_one_class(tmp_path):
    """Regression: a character that nobody sees made a class of its own, and nothing was said."""
    np.save(tmp_path / "x.npy", np.eye(6))
    labels = ["spam", "spam\u200b", None, "caf\u00e9", "cafe\u0301", "ham"]
    pd.DataFrame({"label": labels, "note": labels}).to_parquet(tmp_path / "rows.parquet")
    for out in (None, tmp_path / "points"):
        with pytest.warns(SeparatrixWarning, match=r"rows\.parquet: 2 cells of 'label' held invisible .*: rows 1, 4"):
            points = import_vectors(tmp_path / "x.npy", labels=str(tmp_path / "rows.parquet"), out=out)
        names, notes = (pd.Series(points.column(column)).fillna("-").tolist() for column in ("label", "note"))
        assert names == ["spam", "spam", "-", "caf\u00e9", "caf\u00e9", "ham"]
        assert notes == [label or "-" for label in labels]
        assert len(points.origin["imported"]["warnings"]) == 1
