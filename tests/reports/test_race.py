"""The race on the page: a table and a curve that no script draws."""

import re

from separatrix.reports import RunReport, render
from separatrix.reports.race import HEIGHT, MARGIN, WIDTH, race_curve, race_listing

DIFFERENCE = {"difference": 0.2, "interval": [0.1, 0.3]}
CANDIDATES = [
    {"name": "probe", "state": "stopped", "why": "below align by 0.2", "seconds": 1.0, "rows": 80, "accuracy": 0.6,
     "interval": [0.5, 0.7], "difference": DIFFERENCE},
    {"name": "align", "state": "chosen", "why": "", "seconds": 9.0, "rows": 80, "accuracy": 0.8,
     "interval": [0.7, 0.9], "difference": None},
    {"name": "prompt", "state": "left out", "why": "<too> long", "seconds": 0.0, "rows": None, "accuracy": None,
     "interval": None, "difference": None},
]  # fmt: skip
CURVE = [
    {"name": "align", "points": [
        {"rows": 40, "accuracy": 0.6, "interval": [0.5, 0.7]}, {"rows": 80, "accuracy": 0.8, "interval": [0.7, 0.9]}]},
    {"name": "probe", "points": [{"rows": 80, "accuracy": 0.6, "interval": [0.5, 0.7]}]},
]  # fmt: skip
RACE = {"why": ["It won.", "More rows would help."], "candidates": CANDIDATES, "curve": CURVE}


def test_the_table_says_who_was_out_and_why():
    table = race_listing(CANDIDATES)
    assert table.strong == [False, True, False]
    assert table.rows[0][3] == "0.200 (0.100 to 0.300)"
    assert table.rows[2] == ["prompt", "-", "-", "-", "0.0", "left out: <too> long"]


def test_the_curve_lies_in_its_picture_and_rises_with_accuracy():
    picture = race_curve(CURVE)
    align, probe = picture.lines
    (left, low, *_), (right, high, *_) = align.points
    assert (left, right) == (MARGIN, WIDTH - MARGIN)
    assert MARGIN <= high < low <= HEIGHT - MARGIN  # y counts downwards
    assert probe.points[0][:2] == (right, low)
    assert [rows for _, rows in picture.rows] == [40, 80]
    assert race_curve([CURVE[1]]) is None


def test_the_page_has_the_section_without_any_script():
    page = render(RunReport(title="run", race=RACE))
    section = re.search(r'<section id="race".*?</section>', page, re.DOTALL)[0]
    assert "It won. More rows would help." in section
    assert "left out: &lt;too&gt; long" in section
    assert section.count("<polyline") == 2
    assert "<script" not in section
    assert '<section id="race"' not in render(RunReport(title="run"))


def test_of_several_labels_a_row_whole_sets_are_counted():
    assert race_listing(CANDIDATES).headings[2] == "accuracy (95 % interval)"
    assert (
        race_listing(CANDIDATES, [{"micro_f1": 0.7, "subset_accuracy": 0.4}]).headings[2]
        == "whole set right (95 % interval)"
    )
