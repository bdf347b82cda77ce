"""Vectors as a map where none was asked for, and classes that are alike."""

import numpy as np

from separatrix.analysis.flat import class_order, flat_map
from separatrix.analysis.project import project
from separatrix.points import Points
from separatrix.reports.columns import section_data


def heaps(classes, rows, label=None):
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % classes
    means = 9 * rng.normal(size=(5, 6))[np.arange(classes) % 5] + rng.normal(size=(classes, 6))
    values = (means[kind] + 0.1 * rng.normal(size=(rows, 6))).astype(np.float32)
    return values, kind


def test_all_rows_are_on_the_plane_with_its_faithfulness():
    values, _ = heaps(3, 60)
    flat = flat_map(values, 0)
    assert flat.positions.shape == (1, 60, 2)
    assert flat.note.startswith("PCA plane fitted on 60 of 60 rows; trustworthiness 0.")
    assert flat_map(values[:10], 0) is None


def test_alike_classes_have_one_colour_on_the_page_of_a_map(tmp_path):
    values, kind = heaps(30, 300)
    names = [f"kind {k}" for k in kind]
    names[7] = None  # no label: a class of its own, in a group of its own
    points = Points.of(values, {"label": names, "text": [f"text {k}" for k in range(300)]})
    project(points, "pca", page=True, out=tmp_path / "map")
    data = section_data((tmp_path / "map" / "map.html").read_text(), "map")
    assert sorted(data["order"]) == list(range(31))
    assert len(data["groups"]) <= 11
    assert data["groups"][-1] == "no label"
    colours = [colour for colour, _ in data["looks"][:30]]
    assert len({tuple(look) for look in data["looks"][:30]}) == 30
    assert len(set(colours)) < 30  # shades of the groups
    assert class_order(names[:3], kind[:3] % 3, values[:3]) is None
