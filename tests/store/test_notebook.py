"""The small form of results: each class once, small, escaped, in the notebook's own colours."""

import re

import numpy as np
import pytest
from PIL import Image

import separatrix.results
from separatrix.points import Points
from separatrix.store.notebook import BYTES, picture, short, table
from separatrix.store.result import Listing, Printed

EVIL = '<img src=x onerror=alert(1)> </script> "quoted" & \u202e'


def made(cls, monkeypatch, parts, **attributes):
    """An object of a class whose figures are those given."""
    one = object.__new__(cls)
    monkeypatch.setattr(cls, "parts", lambda _self: parts)
    for name, value in attributes.items():
        monkeypatch.setattr(cls, name, value, raising=False)
    return one


@pytest.mark.parametrize("name", separatrix.results.__all__)
def test_every_result_is_small_and_escaped(name, monkeypatch, tmp_path):
    cls = getattr(separatrix.results, name)
    assert issubclass(cls, Printed)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)).save(tmp_path / "map.png")
    parts = [
        Listing([EVIL, "n"], [[EVIL * 50, "1"]] * 4000),
        [("verdict", EVIL), (EVIL, EVIL * 1000), ("a number", 0.123456789)],
        [],
    ]
    html = made(cls, monkeypatch, parts, folder=tmp_path)._repr_html_()
    assert 200 < len(html.encode()) < 20_000
    assert not re.search("<(img src=x|/?script)", html)
    assert "more</p>" in html
    assert not re.search(r"color|background|style=", html)  # of the notebook, be it light or dark


@pytest.mark.parametrize("name", ["TrainingResult"])
def test_the_verdict_stands_first_and_once(name, monkeypatch):
    one = made(
        getattr(separatrix.results, name), monkeypatch, [[("verdict", "Yes."), ("x", 1)]], verdict="Yes.", folder=None
    )
    assert one._repr_html_().startswith("<p><strong>Yes.</strong></p>\n<table>")
    assert one._repr_html_().count("Yes.") == 1


def test_a_picture_that_can_be_read_is_shown_small(tmp_path):
    y, x = np.mgrid[:600, :900]
    shade = np.where((x - 300) ** 2 + (y - 300) ** 2 < 40_000, 30, 255).astype(np.uint8)
    Image.fromarray(shade).save(tmp_path / "a_map.png")
    html = picture(tmp_path / "a_map.png")
    assert html.startswith('<p><img alt="a map" width="360" src="data:image/png;base64,')
    assert len(html) < BYTES + 100
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert picture(tmp_path / "b.png") == picture(tmp_path / "nothing.png") == ""


def test_a_warning_is_not_cut_as_a_cell_is(monkeypatch):
    """Regression: a notebook showed the first 80 signs of what a guard says."""
    warning = "validation: 2 of 545 rows stand in the training rows as well " + "(letter by letter) " * 6
    parts = [[("warning", warning)], Listing(["text"], [[warning]])]
    html = made(separatrix.results.TrainingResult, monkeypatch, parts, verdict="Yes.", folder=None)._repr_html_()
    assert html.count(warning) == 1


def test_points_of_long_texts_and_many_columns_are_small():
    """Regression: five texts of 100 kB were 500 kB in a notebook."""
    columns = {f"column {number}": ["x"] * 3 for number in range(40)}
    html = Points.of(np.eye(3), {"text": [EVIL + "x" * 100_000] * 3} | columns)._repr_html_()
    assert len(html) < 5_000
    assert "<p>and 30 more columns</p>" in html
    assert not re.search("<(img src=x|/?script)", html)


def test_a_sweep_shows_its_curve(monkeypatch, tmp_path):
    """Regression: it showed the test figures beside the seconds of a run."""
    for name, shade in (("cost.png", 0), ("accuracy_by_lr.png", 255)):
        Image.new("L", (40, 30), shade).save(tmp_path / name)
    sweep = made(
        separatrix.results.SweepResult, monkeypatch, [[("best", "x")]],
        folder=tmp_path, metric="accuracy", columns=("tokens", "lr"),
    )  # fmt: skip
    assert 'alt="accuracy by lr"' in sweep._repr_html_()


def test_a_short_table_is_whole():
    assert "more" not in table(["x"], [["1"]] * 12)
    assert short("x" * 81) == "x" * 79 + "\u2026"
