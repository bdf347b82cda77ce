"""A sweep on a page: what validation chose, the pictures in their order, warnings and what did not run."""

import re

import pytest

import separatrix as sx
from separatrix.reports.columns import section_data

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def test_the_page_of_a_sweep(small, tmp_path, untrained):
    rows = [{"name": "here"}, {"name": "large", "model": "somebody/large"}]
    axes = {"tokens": [1, 2], "lr": [0.01, 0.03]}
    grid = small(rows=rows, grid=axes, tune=["lr"], baselines=["majority"], skip_absent=True)
    untrained.broken = (2,)
    sx.sweep(grid, out=tmp_path / "s")
    page = sx.report([tmp_path / "s"], out=tmp_path / "page.html").path.read_text()
    cells = [re.findall(r"<t[dh][^>]*>\s*(.*?)\s*</t[dh]>", line, re.DOTALL) for line in page.split("<tr")]
    lines = {tuple(line[:4]) for line in cells if line}
    assert ("here", "1", "0.03", "2") in lines
    assert ("large", "-", "-", "not run here") in lines
    assert ("majority", "-", "-", "2") in lines
    assert ("here", "1", "0.01", "2") in lines  # which the page hides until it is asked for all
    data = section_data(page, "part-1")
    known = [line for line in data["lines"] if not line["baseline"]]
    assert [(*line["at"][1:3], line["chosen"]) for line in known if line["at"][1]] == [
        ("1", "0.01", False), ("1", "0.03", True),
    ]  # fmt: skip
    assert not any(line["chosen"] for line in known if line["at"][1] is None)  # of which no run is done
    axes = {column["name"]: column for column in data["axes"]}
    assert axes["lr"]["tuned"]
    assert axes["tokens"]["values"] == ["1"]
    assert {run["seed"] for run in data["runs"]} == {0, 1}
    assert all("page" not in run for run in data["runs"])  # runs of a sweep have no page until report draws it
    assert "failed: here, tokens=2, lr=0.01, seed 0: RuntimeError: no such luck" in page
    assert ("here", "-", "-", "none done") in lines
