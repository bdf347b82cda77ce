"""What a page saved as CSV, or its copied ids, as points and texts again."""

import csv

import numpy as np
import pytest

import separatrix as sx
from separatrix.errors import DataError, OptionError
from separatrix.points import Points
from separatrix.reports.columns import section_data, unpack
from separatrix.texts import Texts

POINTS = Points.of(np.eye(4), {"id": [0, 1, 2, 3], "split": ["test", "test", "validation", "validation"]})


def saved(folder, lines):
    path = folder / "selection.csv"
    path.write_text("\r\n".join(["id,split,label,predicted,probability,text", *lines, ""]), encoding="utf-8")
    return path


def test_rows_come_back_in_the_order_of_the_page(tmp_path):
    path = saved(tmp_path, ["3,validation,a,b,0.5,x", '0,test,a,b,0.5,"a, ""b"""'])
    assert sx.select(POINTS, path).column("id").tolist() == [3, 0]
    texts = Texts.of(["x", "y", "z"], ["a", "b", "a"])
    chosen = sx.select(texts, str(saved(tmp_path, ["1,test,,,,y", "0,test,,,,x"])))
    assert (list(chosen.text), chosen.id.tolist()) == (["y", "x"], [1, 0])
    assert list(sx.select(texts, ["2"]).text) == ["z"]  # ids that were copied are texts
    assert len(sx.select(texts, saved(tmp_path, []))) == 0


def test_what_is_not_there_or_of_another_part_is_refused(tmp_path):
    texts = Texts.of(["x"])
    with pytest.raises(DataError, match=r"rows of the selection are not in the data: got 9; give the same data"):
        sx.select(texts, ["9"])
    with pytest.raises(DataError, match=r"not in the data: got 3 of test"):
        sx.select(POINTS, saved(tmp_path, ["3,test,a,b,0.5,x"]))
    with pytest.raises(DataError, match=r"holds rows of several parts: got test, validation; save them part by part"):
        sx.select(texts, saved(tmp_path, ["0,test,,,,x", "0,validation,,,,y"]))
    with pytest.raises(DataError, match=r"none\.csv"):
        sx.select(texts, tmp_path / "none.csv")
    with pytest.raises(OptionError, match=r"cannot be read as a selection: got \.txt, expected \.csv"):
        sx.select(texts, tmp_path / "none.txt")
    (tmp_path / "other.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match=r"is no selection of a page: got name, expected a column id"):
        sx.select(texts, tmp_path / "other.csv")


def test_an_id_with_another_text_is_refused(tmp_path):
    """Regression: parts count their rows alike, and a row of validation came back as one of training."""
    path = saved(tmp_path, ['1,validation,a,b,0.5,"Who? \u2028 \u202e ""I"""'])
    texts = Texts.of(["x", 'Who?\n "I"'])
    assert sx.select(texts, path).id.tolist() == [1]
    points = Points.of(np.eye(2), {"text": ["x", "Who is it?"]})
    with pytest.raises(
        DataError, match=r"id 1 of the selection has another text in the data: got Who is it\?, expected Who"
    ):
        sx.select(points, path)
    long = Texts.of(["x", "a b " * 2_000])
    assert len(sx.select(long, saved(tmp_path, [f"1,test,,,,{'a b ' * 500}"]))) == 1  # cut on the page


def test_ids_that_several_rows_have_are_refused():
    heads = Points.of(np.eye(2), {"id": ["a", "a"], "layer": [0, 1], "head": [0, 0]})
    with pytest.raises(DataError, match=r"an id of the selection stands twice in the data: got a"):
        sx.select(heads, ["a"])


ODD = [
    "a" * 250 + "1",
    "a" * 250 + "2",
    "1\u00a0000",
    " spaced ",
    "tab\there",
    "x,y",
    'say "no"',
    "two\r\nlines",
    "\u202eleft",
    "NaN",
]


def test_ids_come_back_as_they_are_from_a_page_of_a_map(tmp_path):
    """Regression: they were cut at 100 signs, lost control signs, and a map had row numbers in their place."""
    split = ["train", "test", None, "test", "train", "test", "test", "test", "test", "test"]
    points = Points.of(np.random.default_rng(0).normal(size=(10, 3)), {"id": ODD, "split": split})
    sx.project(points, page=True, out=tmp_path / "map")
    page = (tmp_path / "map" / "map.html").read_text()
    columns = section_data(page, "rows")["columns"]
    assert unpack(columns["id"], page) == ODD
    splits = [section_data(page, "rows")["splits"][k] for k in unpack(columns["split"], page)]
    assert splits == ["-" if one is None else one for one in split]
    with (tmp_path / "selection.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "split"], *zip(ODD[::-1], splits[::-1], strict=True)])
    assert sx.select(points, tmp_path / "selection.csv").column("id").tolist() == ODD[::-1]
    assert sx.select(points, saved(tmp_path, ["NaN,,,,,x"])).column("id").tolist() == ["NaN"]  # a page without splits
