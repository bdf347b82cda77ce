"""Compressed points: each step's figures against plain loops, the axes, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.analysis.compress import compress, read_axes
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.points import Points
from separatrix.store.points import open_points, write_points
from separatrix.store.shards import quantised

ROWS, WIDTH, K = 300, 12, 5


def made(seed=0):
    """Three classes in a few directions, the rest noise; two rows have no label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, ROWS)
    x = (3 * rng.normal(size=(3, WIDTH))[labels] + rng.normal(size=(ROWS, WIDTH))).astype(np.float32)
    names = np.array(["a", "b", "c"], dtype=object)[labels]
    names[:2] = None
    return Points.of({"mean": x}, {"id": [f"r{row}" for row in range(ROWS)], "label": names}, origin={"model": "m"})


def nearest(x, row, metric):
    """The K other rows nearest to a row, nearest first."""
    x = x.astype(np.float64)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    order = np.argsort(np.linalg.norm(x - x[row], axis=1), kind="stable")
    return order[order != row][:K].tolist()


def voted(labels, near):
    """Majority, on a tie the class of the nearest."""
    some = [labels[row] for row in near]
    most = max(some.count(one) for one in some)
    return next(one for one in some if some.count(one) == most)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_figures_of_each_step_are_those_of_plain_loops(metric):
    points = made()
    x, labels = points.values, ["none" if pd.isna(one) else one for one in points.column("label")]
    result = compress(points, components=3, store_dtype="int8", k=K, queries=ROWS)
    centred = x - x.mean(axis=0, dtype=np.float64)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    coordinates = (centred @ axes.T).astype(np.float32)  # up to sign, which no distance knows
    kept = {
        "float32": x, "float16": x.astype(np.float16), "pca-3": coordinates.astype(np.float16),
        "int8": quantised(coordinates),
    }  # fmt: skip
    assert [step["step"] for step in result.steps] == list(kept)
    assert [step["bytes"] for step in result.steps] == [ROWS * 48, ROWS * 24, ROWS * 6, ROWS * 7]
    for step, values in zip(result.steps, kept.values(), strict=True):
        near = [nearest(values, row, metric) for row in range(ROWS)]
        share = np.mean([len({*near[row]} & {*nearest(x, row, metric)}) / K for row in range(ROWS)])
        right = np.mean([voted(labels, near[row]) == labels[row] for row in range(2, ROWS)])
        assert step[f"{metric}_overlap"] == pytest.approx(share, abs=2e-3)  # ties of float16
        assert step[f"{metric}_accuracy"] == pytest.approx(right, abs=5e-3)
        low, high = step[f"{metric}_interval"]
        assert low <= step[f"{metric}_overlap"] <= high
    assert result.steps[0][f"{metric}_overlap"] == 1
    assert result.explained == pytest.approx(1 - ((centred - centred @ axes.T @ axes) ** 2).sum() / (centred**2).sum())


def test_compressed_points_are_points_and_new_vectors_are_placed_among_them(tmp_path):
    points = made()
    write_points(tmp_path / "given", points, dtype="float32", shard_rows=64)
    result = compress(open_points(tmp_path / "given"), components=4, k=K, queries=50, out=tmp_path / "small")
    small = sx.load(tmp_path / "small")
    assert (small.width, small.name, len(small)) == (4, "mean", ROWS)
    pd.testing.assert_frame_equal(small.table, open_points(tmp_path / "given").table)
    np.testing.assert_allclose(read_axes(tmp_path / "small").place(points.values), small.values, atol=2e-2)
    assert small.origin["model"] == "m"
    assert small.origin["compressed"]["steps"] == [dict(step) for step in result.steps]
    assert result.to_dict()["out"] == str(tmp_path / "small")
    assert list(result.table["step"]) == ["float32", "float16", "pca-4"]
    assert "pca-4" in str(result)
    np.testing.assert_array_equal(result.points.values, small.values)
    # The axes are part of the points: replaced with them, and not believed when they were altered.
    compress(open_points(tmp_path / "given"), k=K, queries=50, out=tmp_path / "small", overwrite=True)
    with pytest.raises(StoreError, match="small has no axes: expected points that compress --components wrote"):
        read_axes(tmp_path / "small")
    compress(open_points(tmp_path / "given"), components=2, k=K, queries=50, out=tmp_path / "small", overwrite=True)
    path = tmp_path / "small/axes.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(StoreError, match=r"axes\.safetensors was altered"):
        read_axes(tmp_path / "small")


def test_what_is_on_disk_in_float16_begins_there_and_loses_nothing_in_it(tmp_path):
    write_points(tmp_path / "given", made(), dtype="float16")
    given = open_points(tmp_path / "given")
    result = compress(given, k=K, queries=50)
    assert [(step["step"], step["cosine_overlap"]) for step in result.steps] == [("float16", 1.0)]
    result = compress(given, store_dtype="int8", k=K, queries=50, out=tmp_path / "small")
    assert [step["step"] for step in result.steps] == ["float16", "int8"]
    np.testing.assert_array_equal(result.points.values, quantised(given.values))


def test_labels_are_voted_for_only_where_they_are_classes():
    points = made()
    numbered = Points.of(points.values, {"label": np.arange(ROWS)})
    result = compress(numbered, k=K, queries=50)
    assert result.label is None
    assert "cosine_accuracy" not in result.steps[0]
    with pytest.raises(DataError, match=r"the column 'label' holds no classes: got 300 different values"):
        compress(numbered, k=K, queries=50, label="label")
    with pytest.raises(DataError, match="points have no column 'kind'"):
        compress(points, k=K, queries=50, label="kind")


def test_what_cannot_be_is_refused(tmp_path):
    points = made()
    with pytest.raises(OptionError, match="--components is above the width: got 13, expected 12 or fewer"):
        compress(points, components=13)
    with pytest.raises(OptionError, match="--queries must be above --k: got 5 and 10"):
        compress(points, queries=5)
    with pytest.raises(DataError, match=r"fewer rows than neighbors: got 10 rows, k = 10"):
        compress(points.take(np.arange(10)))
    with pytest.raises(DataError, match="vectors are too large for float16"):
        compress(Points.of(1e6 * points.values), out=tmp_path / "p", k=K, queries=50)
    assert not (tmp_path / "p").exists()
    with pytest.raises(StoreError, match="the points were measured, not written"):
        compress(points, k=K, queries=50).points  # noqa: B018
    write_points(tmp_path / "p", points)
    with pytest.raises(StoreError, match="is not replaced: the command reads it"):
        compress(open_points(tmp_path / "p"), k=K, queries=50, out=tmp_path / "p", overwrite=True)


def test_the_figures_are_a_result(tmp_path):
    result = compress(made(), k=K, queries=50)
    result.save(tmp_path / "c")
    again = sx.load(tmp_path / "c")
    assert again.figures() == result.figures()
    assert again._repr_html_().startswith("<table>")
    with pytest.raises(StoreError, match="the points were measured, not written"):
        again.points  # noqa: B018


def test_a_memory_that_holds_no_block_is_refused_and_any_other_changes_nothing():
    options = {"components": 3, "k": K, "queries": 20}
    with pytest.raises(OptionError, match="--memory is too small for one block of each worker: got 1 MiB"):
        compress(made(), memory="1MiB", **options)
    few, many = (compress(made(), memory=memory, **options) for memory in ("500MiB", None))
    assert few.steps == many.steps
