"""A sweep on a page: what validation chose, the pictures in their order, warnings and what did not run."""

import re

import pytest

import separatrix as sx

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
    assert ("here", "1", "0.01", "2") not in lines
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["accuracy by tokens", "tokens by lr", "cost"]
    assert "failed: here, tokens=2, lr=0.01, seed 0: RuntimeError: no such luck" in page
    assert ("here", "-", "-", "none done") in lines
    assert "5 more settings, which validation did not choose" in page
