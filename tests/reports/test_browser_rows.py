"""The list of rows in a real browser: search, keys, what leaves the page, texts that are cut."""

import csv
import shutil

import numpy as np
import pytest

from browser_page import map_data, selected, wrong_rows
from separatrix.reports.page import render
from separatrix.reports.result import RunReport
from separatrix.reports.rows import TEXT_LIMIT, PageRows, RowMap
from separatrix.reports.sections import map_section, row_section
from separatrix.texts import load_texts

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]


def test_search_by_words_and_by_pattern_selects_in_all_views(open_page):
    browser = open_page()

    def search(typed, pattern=False):
        browser.run(
            f"document.querySelector('.regex').checked = {str(pattern).lower()}; "
            f"document.querySelector('.search').value = {typed!r}; "
            "document.querySelector('.search').dispatchEvent(new Event('input'))"
        )

    search("TEXT 2")
    browser.wait("document.body.dataset.selected === '11'")  # 12 and 20 to 29
    assert map_data(browser, "kept") == "11"
    search("^text 1[0-4]$", True)
    browser.wait("document.body.dataset.selected === '5'")
    search("\u6587")
    browser.wait("document.body.dataset.selected === '1'")
    search("(", True)
    browser.wait("document.querySelector('.wrong-pattern').textContent.startsWith('This is no regular expression')")
    browser.run("document.querySelector('.chips button').click()")
    assert selected(browser) == "30"
    assert browser.run("document.querySelector('.search').value") == ""


def test_keys_walk_through_rows_and_wrong_ones(open_page, page):
    browser = open_page()
    browser.run("document.querySelector('.plane').focus()")
    browser.key("w")
    first = int(wrong_rows(page[0])[0])
    browser.wait(f"document.getElementById('map').dataset.row === '{first}' && document.querySelector('.facts')")
    facts = browser.run("document.querySelector('.facts').textContent")
    assert facts.startswith(f"validation, row {first}, id id-{first} - ")
    assert facts.partition("; ")[0].endswith(", wrong")
    browser.key("ArrowRight")
    browser.wait(f"document.getElementById('map').dataset.row === '{first + 1}'")
    browser.run("document.querySelector('.list').focus()")
    browser.key("Home")
    browser.wait("document.querySelector('.entry[aria-selected=true]')?.getAttribute('aria-rowindex') === '1'")


def test_the_selection_comes_out_as_csv_and_back_into_python(open_page, page, tmp_path):
    browser, report = open_page(), page[0]
    browser.run("document.querySelectorAll('.pick')[0].click()")
    text = browser.run("separatrix.table().then((table) => separatrix.csv(table))")
    lines = list(csv.DictReader(text.splitlines(keepends=True)))
    own = np.flatnonzero(report.rows.labels == 0)
    assert [line["id"] for line in lines] == [f"id-{row}" for row in own]
    assert lines[0]["label"] == "<i>tilted</i>"
    assert lines[0]["text"] == report.rows.texts[0].replace("\ud800", "").replace("\u2028", " ")
    assert abs(float(lines[1]["probability"]) - report.rows.probabilities[own[1], report.rows.predicted[own[1]]]) < 1e-3
    (tmp_path / "selection.csv").write_text(text, encoding="utf-8", newline="")
    back = load_texts(tmp_path / "selection.csv")
    assert len(back) == len(own)
    assert [str(label) for label in back.label] == [line["label"] for line in lines]
    browser.run("document.querySelector('.out button').click()")  # a download that the policy lets through


def test_a_text_that_is_cut_says_so_where_it_is_read_searched_and_saved(browser, tmp_path):
    texts = ["short", "word " * 500 + "end", "x" * TEXT_LIMIT]
    rows = PageRows(texts, ("a",), np.zeros(3, int))
    flat = RowMap("rows", np.random.default_rng(0).normal(size=(1, 3, 2)), ("x", "y"), "")
    (tmp_path / "cut.html").write_text(render(RunReport("cut"), [map_section([flat], rows), row_section(rows)]))
    browser.events.clear()
    browser.open((tmp_path / "cut.html").as_uri())
    notice = "document.querySelector('.detail .cut')?.textContent"
    browser.run("separatrix.table().then((table) => table.choose(1))")
    browser.wait(f"{notice}?.startsWith('Cut: the text has 2,503 signs, this page holds the first 2,000.')")
    browser.run("separatrix.table().then((table) => table.choose(2))")
    browser.wait(f"document.querySelector('.detail .words').textContent.startsWith('xx') && {notice} === undefined")
    box = "document.querySelector('#rows .search')"
    for typed, said, columns in (("o", "; 1 text is cut here and in the CSV", ["", "2503"]), ("short", "", [None])):
        browser.run(f"{box}.value = {typed!r}; {box}.dispatchEvent(new Event('input'))")
        browser.wait(f"document.body.dataset.selected === '{len(columns)}'")
        note = browser.run("document.querySelector('.wrong-pattern').textContent")
        assert note == "Some texts are cut on this page; the search reads what is here."
        assert browser.run("document.querySelector('.selection p').textContent").endswith("rows selected" + said)
        text = browser.run("separatrix.table().then((table) => separatrix.csv(table))")
        lines = list(csv.DictReader(text.splitlines(keepends=True)))
        assert [line.get("cut_from_signs") for line in lines] == columns
    assert browser.console == []
