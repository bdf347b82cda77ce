"""What the verbs left on disk becomes the sheets of one page."""

import numpy as np
import pytest
from matplotlib import image

from separatrix.analysis.together import show_together
from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.reports.collect import read_sheet
from separatrix.store.files import write_json
from separatrix.store.points import write_points


@pytest.fixture
def clusters(tmp_path):
    folder = tmp_path / "clusters"
    folder.mkdir()
    table = [{"cluster": 0, "rows": 7}, {"cluster": 1, "rows": 5}]
    found = {"kind": "score", "silhouette": 0.4, "interval": [0.3, 0.5], "sizes": table, "out": "elsewhere"}
    write_json(folder / "result.json", {**found, "warnings": ["a constant column"], "recipe": {"k": 2}})
    image.imsave(folder / "elbow_curve.png", np.zeros((4, 4, 3)))
    return folder


def test_a_folder_becomes_figures_table_and_pictures(clusters):
    sheet = read_sheet(clusters)
    assert sheet.kind == "score"
    assert dict(sheet.figures) == {"silhouette": 0.4, "interval": [0.3, 0.5]}
    assert [row["rows"] for row in sheet.rows] == [7, 5]
    assert sheet.warnings == ("a constant column",)
    assert [picture.title for picture in sheet.pictures] == ["elbow curve"]


def test_points_are_shown_by_their_blocks(tmp_path):
    """Where the vectors come from, and each block in a line; no hash of a shard."""
    points = Points(
        {"mean": np.eye(3), "wide": np.ones((3, 5))}, Points.of(np.eye(3)).table, {"model": "toy", "top": None}
    )
    write_points(tmp_path / "points", points, dtype="float32")
    sheet = read_sheet(tmp_path / "points")
    assert sheet.kind == "points"
    assert {key: value for key, value in sheet.figures if key != "megabytes"} == {"rows": 3, "model": "toy"}
    assert sheet.rows == [
        {"block": "mean", "width": 3, "dtype": "float32"}, {"block": "wide", "width": 5, "dtype": "float32"},
    ]  # fmt: skip


def test_a_page_over_several_folders_names_each(clusters, tmp_path):
    points = tmp_path / "points"
    write_points(points, Points.of(np.eye(3), {"label": ["a", "b", "a"]}))
    written = show_together([clusters, points], tmp_path / "all.html")
    text = written.path.read_text()
    assert clusters.name in text
    assert points.name in text
    assert str(tmp_path) not in text
    assert written.bytes == written.path.stat().st_size


def test_a_folder_without_a_result_is_refused_and_nothing_is_written(clusters, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"empty holds no result: got nothing that separatrix wrote"):
        show_together([clusters, tmp_path / "empty"], tmp_path / "all.html")
    assert not (tmp_path / "all.html").exists()
