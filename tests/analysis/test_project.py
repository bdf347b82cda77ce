"""Maps with the identity of their rows, in hand and on disk."""

import doctest
import json

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis import project as module
from separatrix.analysis.project import blend, find_classes, project
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.points import Points
from separatrix.reports.columns import section_data, unpack
from separatrix.store import result as results

NASTY = 'a </script><img src=x onerror="alert(1)"> $x$'


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    labels = np.array(["ham", "eggs", "<b>"])[np.arange(90) % 3]
    x = rng.normal(size=(90, 8)) + 6 * np.eye(8)[np.arange(90) % 3]
    table = {"id": [f"row {n}" for n in range(90)], "text": [NASTY] * 90, "label": labels, "group": np.arange(90) // 10}
    return Points.of(x.astype(np.float32), pd.DataFrame(table), origin={"model": "here/tiny"})


def test_examples_hold():
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


def test_every_column_of_the_row_table_comes_along(points, tmp_path):
    made = project(points, "pca", out=tmp_path / "map", k=5)
    table = pd.read_parquet(tmp_path / "map" / "map.parquet")
    assert list(table.columns) == ["id", "text", "label", "group", "x", "y", "fitted"]
    pd.testing.assert_frame_equal(table[["id", "text", "label", "group"]], points.table)
    np.testing.assert_array_equal(table[["x", "y"]].to_numpy(), made.coordinates)
    assert table["fitted"].all()


def test_rows_keep_their_identity_through_a_shuffle(points):
    order = np.random.default_rng(1).permutation(90)
    plain, shuffled = project(points, "pca"), project(points.take(order), "pca")
    one = plain.table.set_index("id")[["x", "y"]]
    other = shuffled.table.set_index("id").loc[one.index, ["x", "y"]]
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_result_says_what_the_verb_says(points, tmp_path):
    made = project(points, "lda", out=tmp_path / "map", dimensions=3, seed=2)
    result = json.loads((tmp_path / "map" / "result.json").read_text())
    assert result["kind"] == "map"
    assert result["recipe"]["seed"] == 2
    for key, value in made.figures().items():
        assert result[key] == value, key
    assert result["guided"] is True
    assert result["rows_fitted"] == 63
    assert 0.3 < result["majority"] < 0.4
    assert result["knn_after"] > 0.9
    assert made.trustworthiness == result["trustworthiness"]
    assert {path.name for path in (tmp_path / "map").iterdir()} == {
        "map.parquet", "map.png", "result.json", "manifest.json",
    }  # fmt: skip


def test_pca_comes_with_its_explained_variance(points, tmp_path):
    project(points, "pca", out=tmp_path / "map")
    curve = pd.read_csv(tmp_path / "map" / "variance.csv")
    assert curve["sum"].iloc[-1] == pytest.approx(1)
    assert len(curve) == 8
    assert (tmp_path / "map" / "variance.png").is_file()


def test_the_page_opens_offline_and_escapes_texts(points, tmp_path):
    project(points, "pca", out=tmp_path / "map", page=True)
    page = (tmp_path / "map" / "map.html").read_text()
    texts = unpack(section_data(page, "rows")["columns"]["text"], page)
    assert any("alert(1)" in text for text in texts)  # the text is there
    assert "<img src=x" not in page  # but never as a tag
    assert "default-src &#39;none&#39;" in page
    assert "unsafe-eval" not in page.partition("<style>")[0]


def test_split_decides_which_rows_guide(points):
    points.table["split"] = np.where(np.arange(90) < 60, "train", "test")
    made = project(points, "lda")
    np.testing.assert_array_equal(made.table["fitted"], np.arange(90) < 60)
    assert made.to_dict()["knn_rows"] == 30
    points.table["split"] = "train"
    assert project(points, "lda").to_dict()["rows_fitted"] == 63


def test_rows_without_a_label_are_drawn_but_not_counted(points):
    points.table.loc[:9, "label"] = None
    made = project(points, "pca")
    assert (made.labels[:10] == -1).all()
    assert made.to_dict()["knn_rows"] == 80
    assert len(made.table) == 90


def test_numbers_are_no_classes(points):
    assert find_classes(Points.of(np.eye(3), {"label": [0.5, 1.5, 2.0]}), None)[0] == ()
    assert find_classes(Points.of(np.eye(3), {"label": [1, 2, 1]}), None)[0] == ("1", "2")
    points.table["label"] = np.linspace(0, 1, 90)
    assert project(points, "pca").to_dict()["knn_after"] is None


def test_what_is_there_is_kept_unless_overwritten(points, tmp_path):
    out = tmp_path / "map"
    project(points, "pca", out=out)
    before = (out / "result.json").read_bytes()
    with pytest.raises(StoreError, match="exists; type --overwrite to replace it"):
        project(points, "lda", out=out)
    assert (out / "result.json").read_bytes() == before
    project(points, "lda", out=out, overwrite=True)
    assert json.loads((out / "result.json").read_text())["method"] == "lda"
    assert not (out / "variance.png").exists()  # nothing of the old one is left
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(StoreError, match="not replaced: got nothing that separatrix wrote, expected map"):
        project(points, "pca", out=tmp_path / "mine", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map", "mine"]


def test_a_failure_leaves_the_old_map_in_place(points, tmp_path, monkeypatch):
    out = tmp_path / "map"
    project(points, "pca", out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_json", full)
    with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\)"):
        project(points, "lda", out=out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


def test_options_are_those_of_the_recipe(points):
    with pytest.raises(OptionError, match=r"unknown option: got 'perplexty'.*did you mean 'perplexity'"):
        project(points, "tsne", perplexty=5)
    with pytest.raises(OptionError, match="these points hold several blocks"):
        project(Points.of({"a": np.eye(6), "b": np.eye(6)}))
    with pytest.raises(DataError, match="points have no column 'kind'"):
        project(points, label="kind")
    points.table["x"] = 0
    with pytest.raises(DataError, match="the row table has a column 'x', which the map needs"):
        project(points)


def test_a_blend_is_weighed_on_validation_rows_and_test_rows_have_no_say():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    good = np.eye(3)[labels] * 3 + rng.normal(size=(300, 3))
    loud = 5 * rng.normal(size=(300, 100))
    table = pd.DataFrame({"label": labels, "split": np.repeat(["train", "validation", "test"], 100)})
    both = Points.of({"good": good, "loud": loud}, table)
    found = blend(both, prepare="none")
    told = found.origin["blend"]
    assert told["chosen_on"] == "100 validation rows against 100 training rows"
    assert told["accuracy"] >= max(told["alone"].values()) > told["plain"] + 0.2
    assert project(found, "pca").to_dict()["knn_before"] > 0.75
    other = table.assign(label=np.where(table["split"] == "test", (labels + 1) % 3, labels))
    assert blend(Points.of({"good": good, "loud": loud}, other), prepare="none").origin["blend"] == told
    with pytest.raises(DataError, match="a blend needs labels"):
        blend(Points.of({"good": good, "loud": loud}))
