import csv

import numpy as np
import pytest

from separatrix.errors import ShapeError
from separatrix.view import write_data


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_point_and_centroid_is_written_exactly(make_frames, tmp_path):
    frames = make_frames(names=('a "quoted", name', "b\nc", "d"))
    rows = read(write_data(frames, tmp_path / "a.csv"))
    assert len(rows) == 4 * (30 + 3)
    points = [[float(row["x"]), float(row["y"])] for row in rows if row["kind"] == "row"]
    np.testing.assert_array_equal(np.array(points, np.float32).reshape(4, 30, 2), frames.points)
    centroids = [[float(row["x"]), float(row["y"])] for row in rows if row["kind"] == "centroid"]
    np.testing.assert_array_equal(np.array(centroids, np.float32).reshape(4, 3, 2), frames.centroids)
    assert rows[0]["label"] == 'a "quoted", name'
    assert rows[1]["predicted"] == frames.names[frames.predicted[0, 1]]


def test_metrics_are_flat_and_a_missing_number_is_empty(tmp_path):
    metrics = [{"epoch": 1, "validation": {"accuracy": 0.5}}, {"epoch": 2, "loss": 0.1, "words": ["a", "b"]}]
    rows = read(write_data(metrics, tmp_path / "m.csv"))
    assert rows[0] == {"epoch": "1", "validation.accuracy": "0.5", "loss": "", "words": ""}
    assert rows[1] == {"epoch": "2", "validation.accuracy": "", "loss": "0.1", "words": '["a", "b"]'}


def test_matrix_has_a_line_per_gold_class(tmp_path):
    rows = read(write_data(np.array([[3, 1], [0, 2]]), tmp_path / "c.csv", ["x", "y"]))
    assert rows == [{"gold": "x", "x": "3", "y": "1"}, {"gold": "y", "x": "0", "y": "2"}]
    with pytest.raises(ShapeError, match=r"a confusion matrix is square: got \(2, 2\), expected \(1, 1\)"):
        write_data(np.eye(2), tmp_path / "c.csv", ["x"])


def test_same_source_same_bytes(make_frames, tmp_path):
    first, second = (write_data(make_frames(), tmp_path / name).read_bytes() for name in "ab")
    assert first == second
    assert b"\r" not in first
