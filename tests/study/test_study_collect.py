"""What the verbs left on disk becomes the sheets of one page."""

import numpy as np
import pytest
from matplotlib import image

from separatrix.errors import StoreError
from separatrix.store.files import write_json
from separatrix.study.collect import read_sheet, show_folders


@pytest.fixture
def clusters(tmp_path):
    folder = tmp_path / "clusters"
    folder.mkdir()
    table = [{"cluster": 0, "rows": 7}, {"cluster": 1, "rows": 5}]
    found = {"kind": "clusters", "silhouette": 0.4, "interval": [0.3, 0.5], "sizes": table, "out": "elsewhere"}
    write_json(folder / "result.json", {**found, "warnings": ["a constant column"], "recipe": {"k": 2}})
    image.imsave(folder / "elbow_curve.png", np.zeros((4, 4, 3)))
    return folder


def test_a_folder_becomes_figures_table_and_pictures(clusters):
    sheet = read_sheet(clusters)
    assert sheet.kind == "clusters"
    assert dict(sheet.figures) == {"silhouette": 0.4, "interval": [0.3, 0.5]}
    assert [row["rows"] for row in sheet.rows] == [7, 5]
    assert sheet.warnings == ("a constant column",)
    assert [picture.title for picture in sheet.pictures] == ["elbow curve"]


def test_a_page_over_several_folders_names_each(clusters, tmp_path):
    points = tmp_path / "points"
    write_json(points / "manifest.json", {"rows": 12, "width": 8})
    written = show_folders([clusters, points], tmp_path / "all.html")
    text = written.path.read_text()
    assert str(clusters) in text
    assert str(points) in text
    assert written.bytes == written.path.stat().st_size


def test_a_folder_without_a_result_is_refused_and_nothing_is_written(clusters, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"empty holds no result: expected result.json or manifest.json"):
        show_folders([clusters, tmp_path / "empty"], tmp_path / "all.html")
    assert not (tmp_path / "all.html").exists()
