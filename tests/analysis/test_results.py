"""Every result is printed, shown in a notebook, saved, and read again as what it was."""

import json

import numpy as np
import pytest

from separatrix.analysis.associate import associate
from separatrix.analysis.cluster import cluster
from separatrix.analysis.compare import compare
from separatrix.analysis.project import project
from separatrix.analysis.score import score
from separatrix.analysis.suspects import suspects
from separatrix.errors import OptionError, StoreError
from separatrix.folders import load
from separatrix.points import Points
from separatrix.store.points import open_points, write_points
from separatrix.texts import Texts


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    x = np.repeat([[4.0, 0.0], [0.0, 4.0]], 40, axis=0) + np.random.default_rng(0).normal(size=(80, 2)) / 4
    points = Points.of(x, {"label": ["a"] * 40 + ["<b>"] * 39 + ["a"], "text": [f"text {row}" for row in range(80)]})
    folder = tmp_path_factory.mktemp("points")
    for name in ("one", "two"):
        write_points(folder / name, points.take(np.arange(80) if name == "one" else np.arange(60)), dtype="float32")
    clusters = cluster(points, "kmeans", k=2)
    return {
        "clusters": clusters,
        "association": associate(clusters, "label", permutations=19),
        "map": project(points, "pca"),
        "score": score(points, permutations=19, resamples=19),
        "suspects": suspects(points, near=1.0),
        "comparison": compare([folder / "one", folder / "two"], rows=50),
    }


@pytest.mark.parametrize("kind", ["clusters", "association", "map", "score", "suspects", "comparison"])
def test_a_result_saved_and_loaded_is_the_same(results, kind, tmp_path):
    result = results[kind]
    result.save(tmp_path / kind)
    again = load(tmp_path / kind)
    assert type(again) is type(result)
    assert again.to_dict()["out"] == str(tmp_path / kind)
    same = again.figures()
    assert {name: same[name] for name in result.figures()} == result.figures()
    assert list(again.table.iloc[:, 0]) == list(result.table[again.table.columns[0]])
    assert sorted(again.table.columns) == sorted(result.table.columns)
    assert str(again).splitlines()[0] == str(result).splitlines()[0]


def test_another_kind_of_folder_is_named_and_not_called_damaged(results, tmp_path):
    results["clusters"].save(tmp_path / "c")
    with pytest.raises(StoreError, match="holds nothing to judge: got clusters, expected points, a run or labelled"):
        suspects(tmp_path / "c")
    with pytest.raises(StoreError, match="holds no points: got clusters; give what extract wrote"):
        open_points(tmp_path / "c")


def test_an_altered_result_is_read_where_hashes_are_left_out(results, tmp_path):
    """Regression: the reader compared them once more."""
    results["clusters"].save(tmp_path / "c")
    path = tmp_path / "c" / "result.json"
    path.write_text(path.read_text().replace(" ", "\t", 1))
    with pytest.raises(StoreError, match="was altered"):
        load(tmp_path / "c")
    assert load(tmp_path / "c", verify=False).figures() == results["clusters"].figures()


@pytest.mark.parametrize("kind", ["clusters", "association", "map", "score", "suspects", "comparison"])
def test_html_is_a_table_in_which_nothing_is_markup(results, kind):
    html = results[kind]._repr_html_()
    assert html.startswith("<table>")
    assert "<b>" not in html


def test_points_saved_and_loaded_are_the_same(tmp_path):
    points = Points.of({"mean": np.eye(3) / 3, "cls": np.eye(3)[:, :2]}, {"label": ["a", "b", "a"]}, origin={"seed": 1})
    points.save(tmp_path / "points")
    again = load(tmp_path / "points")
    assert all(np.array_equal(again.pick(name).values, points.pick(name).values) for name in points.blocks)
    assert again.table.equals(points.table)
    same = {"rows": 3, "blocks": {"mean": 3, "cls": 2}, "columns": ["id", "label"]}
    assert points.to_dict() == {**same, "origin": {"seed": 1}}
    described = json.loads(json.dumps(again.to_dict()))
    assert {name: described[name] for name in same} == same
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        points.save(tmp_path / "points")
    points.save(tmp_path / "points", overwrite=True, store_dtype="int8")
    with pytest.raises(OptionError, match="did you mean 'float16'"):
        points.save(tmp_path / "more", store_dtype="float61")


def test_points_and_texts_say_in_two_lines_what_they_are():
    points = Points.of({"mean": np.eye(3), "cls": np.eye(3)[:, :2]}, {"label": ["a", "b", "a"]})
    assert repr(points) == "Points: 3 rows, mean (3), cls (2)\n    id, label"
    assert "<td>a</td>" in points._repr_html_()
    assert "&lt;b&gt; (1)" in Points.of({"<b>": np.eye(2)[:, :1]})._repr_html_()
    assert repr(Texts.of(["How far?", "Who?"], ["x", "y"])) == "Texts: 2 rows of memory\n    id, text, label"
