"""Confusion, classes, probabilities and suspects in a real browser: each selects, and shows what is selected."""

import shutil

import numpy as np
import pytest

from browser_page import box_of, map_data, selected
from separatrix.geometry.reliability import reliability
from separatrix.reports import charts, write_report
from separatrix.reports.rows import PageRows, RowMap
from separatrix.reports.suspects import write_suspects

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]


def test_cell_pair_and_class_select_their_rows(open_page, page):
    browser, report = open_page(), page[0]
    gold, guess = np.argwhere(report.confusion - np.diag(np.diag(report.confusion)) > 0)[0]
    cell = f'.cell[data-gold="{gold}"][data-guess="{guess}"]'
    browser.run(f"document.querySelector('{cell}').dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))")
    assert int(selected(browser)) == report.confusion[gold, guess]
    assert browser.run("document.querySelectorAll('.cell.on').length") == 1
    browser.run(f'document.querySelector(\'.pairs [data-gold="{gold}"][data-guess="{guess}"]\').click()')
    assert selected(browser) == "30"
    browser.run("document.querySelectorAll('.pick')[1].click()")
    assert selected(browser) == "10"
    assert browser.run("document.querySelectorAll('.legend button')[1].getAttribute('aria-pressed')") == "true"
    browser.run("document.querySelector('.only').click()")
    both = ((report.rows.labels == 1) & (report.rows.predicted != 1)).sum()
    assert int(selected(browser)) == both


def test_a_heading_sorts_the_classes(open_page):
    browser = open_page()
    names = "[...document.querySelectorAll('#classes tbody th')].map((cell) => cell.textContent).join('|')"
    before = browser.run(names)
    browser.run("document.querySelector('#classes .sort').click()")
    assert browser.run("document.querySelector('#classes thead th').getAttribute('aria-sort')") == "ascending"
    browser.run("document.querySelector('#classes .sort').click()")
    assert browser.run(names) == "|".join(reversed(before.split("|")))


def test_bars_of_the_histogram_select_by_probability(open_page, page):
    browser, report = open_page(), page[0]
    left, top, wide, high = box_of(browser, ".histogram svg")
    x = [left + (40 + share * 460) / 512 * wide for share in (0.5, 0.8, 1.0)]
    browser.drag([(place, top + high / 2) for place in x])
    top_share = report.rows.probabilities[np.arange(30), report.rows.predicted]
    low = float(browser.run("document.querySelector('.from').value"))
    assert abs(low - 0.5) < 0.02
    count = int(selected(browser))
    assert (top_share >= 0.52).sum() <= count <= (top_share >= 0.48).sum()


def test_the_curve_of_reliability_is_one_and_the_selected_rows_stand_on_it(browser, make_report, tmp_path):
    chance = np.random.default_rng(0).dirichlet([4, 2, 1], size=200)
    figures = reliability(chance, np.random.default_rng(1).integers(3, size=200)).to_dict()
    page = write_report(tmp_path / "page.html", make_report(reliability=figures, reliability_part="test"))
    browser.events.clear()
    browser.open(page.path.as_uri())
    assert browser.run("document.querySelectorAll('#certainty svg .ideal').length") == 1
    assert browser.run("document.querySelectorAll('.ring').length") == 0
    browser.run("document.querySelectorAll('.legend button')[0].click()")
    assert browser.run("document.querySelectorAll('.ring').length") > 0
    assert browser.run("document.querySelector('.gap').textContent").startswith("rows selected: expected calibration")
    browser.run("document.querySelectorAll('.legend button')[0].click()")
    assert browser.run("document.querySelectorAll('.ring').length") == 0
    assert browser.console == []


def test_suspects_and_rows_with_unknown_words_are_selected_in_all_views(open_page, page):
    browser, rows = open_page(), page[0].rows
    doubted = np.flatnonzero(np.isfinite(rows.suspect))
    assert len(doubted) > 1
    browser.run("document.querySelector('[data-only=suspect]').click()")
    assert int(selected(browser)) == len(doubted)
    assert (
        map_data(browser, "kept") == browser.run("document.getElementById('rows').dataset.listed") == str(len(doubted))
    )
    browser.run("document.querySelector('[data-only=unknown]').click()")
    both = [row for row in doubted if row % 5 == 0]
    assert int(selected(browser)) == len(both)
    assert browser.run("document.getElementById('suspects').dataset.shown") == str(len(both))
    browser.run("document.querySelectorAll('.chips button')[0].click()")  # takes "suspect labels" back
    assert selected(browser) == "6"
    assert not browser.run("document.querySelector('[data-only=suspect]').checked")


def test_a_press_on_a_suspect_shows_it_on_the_map_and_a_row_of_the_map_in_the_table(open_page, page):
    browser, rows = open_page(), page[0].rows
    likeliest = int(np.nanargmax(rows.suspect))
    browser.run("document.querySelector('#suspects tbody tr').click()")
    browser.wait("document.querySelector('.facts')?.textContent.includes('label likely wrong')")
    assert map_data(browser, "row") == str(likeliest)
    assert browser.run("document.querySelector('#suspects tr.on').rowIndex") == 1
    other = int(np.flatnonzero(np.isfinite(rows.suspect))[0])
    browser.run(f"separatrix.table().then((table) => table.choose({other}))")
    browser.wait(f"document.querySelector('#suspects tr.on').textContent.includes('text {other}')")


def test_suspects_are_searched_and_sorted(browser, tmp_path):
    rows = [{"id": k, "label": "a", "suggested": "b", "score": -k / 10, "text": f"text {k}"} for k in range(12)]
    result = {"models": {}, "rows": 99, "suspects": 12, "estimated_noise": 0.1, "judged": "all", "warnings": []}
    browser.events.clear()
    browser.open(write_suspects(tmp_path / "suspects.html", rows, result).path.as_uri())
    browser.run("document.querySelectorAll('#suspects .sort')[3].click()")  # by score, the largest first
    first = "document.querySelector('#suspects tbody tr').cells[4].textContent"
    assert browser.run(first) == "text 0"
    browser.run("document.querySelectorAll('#suspects .sort')[3].click()")
    assert browser.run(first) == "text 11"
    box = "document.querySelector('#suspects .search')"
    browser.run(f"{box}.value = 'TEXT 11'; {box}.dispatchEvent(new Event('input'))")
    assert browser.run("document.getElementById('suspects').dataset.shown") == "1"
    assert browser.console == []


def test_suspects_of_points_are_shown_among_their_neighbors(browser, tmp_path):
    """The table has its own order, its rows are some of those on the map, and ids may occur twice."""
    ids = [f"id {k % 30}" for k in range(40)]  # some rows share one
    doubt = np.where(np.arange(40) % 10 == 3, 0.6 + np.arange(40) / 100, np.nan)
    predicted = np.where(np.isfinite(doubt), 1, 0)
    rows = PageRows([f"text {k}" for k in range(40)], ("a", "b"), np.zeros(40, int), predicted, ids, suspect=doubt)
    flat = RowMap("vectors", np.random.default_rng(0).normal(size=(1, 40, 2)), ("x", "y"), "a note")
    table = [
        {"id": ids[k], "label": "a", "suggested": "b", "score": 1 - doubt[k], "text": f"text {k}"}
        for k in (33, 23, 13, 3)
    ]
    result = {"models": {}, "rows": 40, "suspects": 4, "estimated_noise": 0.1, "judged": "all", "warnings": []}
    browser.events.clear()
    browser.open(write_suspects(tmp_path / "suspects.html", table, result, rows, flat).path.as_uri())
    browser.run("document.querySelectorAll('#suspects tbody tr')[1].click()")
    browser.wait("document.querySelector('.facts')?.textContent.includes('label likely wrong (0.830)')")
    assert map_data(browser, "row") == "23"
    for line, row in ((0, "33"), (3, "3")):  # both of id 3
        browser.run(f"document.querySelectorAll('#suspects tbody tr')[{line}].click()")
        assert map_data(browser, "row") == row
    browser.run("document.querySelector('[data-only=suspect]').click()")
    assert map_data(browser, "kept") == "4"
    browser.run("document.querySelector('#rows .search').value = 'text 13'")
    browser.run("document.querySelector('#rows .search').dispatchEvent(new Event('input'))")
    browser.wait("document.getElementById('suspects').dataset.shown === '1'")
    wide = browser.run("document.querySelector('.entry .text').getBoundingClientRect().width")
    assert wide > 300  # no empty column for a probability that is not known
    assert browser.console == []


def test_ticks_are_round(open_page):
    """Regression: the axis of the counts read 38, 76, 113, 151."""
    browser = open_page()
    for low, high in ((0, 1), (0, 151), (0.4792, 0.6562), (0, 3)):
        assert browser.run(f"separatrix.ticks({low}, {high})") == charts.ticks(low, high)
    ticks = browser.run("[...document.querySelectorAll('#certainty .histogram .tick')].map((one) => one.textContent)")
    assert all(float(one) == round(float(one), 3) for one in ticks)
