"""The page in a real browser, used as a reader would: one browser for all tests, its console and requests watched."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest

from chromium import FLAT, Chromium
from separatrix.geometry.reliability import reliability
from separatrix.reports import write_report
from separatrix.reports.map_page import write_map_page
from separatrix.reports.page import render
from separatrix.reports.result import RunReport
from separatrix.reports.rows import TEXT_LIMIT, ClassOrder, PageRows, RowMap, group_titles
from separatrix.reports.sections import map_section, row_section
from separatrix.reports.suspects import write_suspects
from separatrix.texts import load_texts
from separatrix.view.maps import Drawing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
NAMES = ("<i>tilted</i>", "b & c", "class 2")


@pytest.fixture(scope="module")
def page(make_report, make_frames, evil, tmp_path_factory):
    texts = (evil, "\u4e2d\u6587\u6587\u672c", "\u05e9\u05dc\u05d5\u05dd", *(f"text {row}" for row in range(3, 30)))
    frames = make_frames(names=NAMES, texts=texts)
    half = RowMap("every other row", frames.points[-1:, ::2][:, :, ::-1], ("a", "b"), "a note", np.arange(0, 30, 2))
    report = make_report(frames, maps=[RowMap.of_frames("outputs", frames), half])
    return report, write_report(tmp_path_factory.mktemp("page") / "page.html", report).path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def open_page(browser, page):
    """The page, opened afresh at a place; its console was silent when the test ends."""

    def go(place="", **size):
        browser.events.clear()
        browser.open(page[1].as_uri() + place, **size)
        return browser

    yield go
    assert browser.console == []


def map_data(browser, name):
    return browser.run(f"document.getElementById('map').dataset.{name}")


def selected(browser):
    return browser.run("document.body.dataset.selected")


def box_of(browser, selector):
    """Left, top, width and height of an element that is scrolled into the window."""
    return browser.run(
        f"(() => {{ const one = document.querySelector('{selector}'); one.scrollIntoView({{ block: 'center', "
        "behavior: 'instant' }); const box = one.getBoundingClientRect(); "
        "return [box.left, box.top, box.width, box.height]; })()"
    )


def wrong_rows(report):
    return np.flatnonzero(report.rows.predicted != report.rows.labels)


def point_of(browser, row):
    """Where a row lies in the window."""
    left, top, *_ = box_of(browser, ".plane")
    x, y = browser.run(f"separatrix.maps[0].place({row})")
    return left + 1 + x, top + 1 + y


# Pixels that are not empty, of a canvas of either kind
PAINTED = """(() => {
  const { points } = separatrix.maps[0], copy = document.createElement("canvas");
  separatrix.maps[0].draw();  // a picture of WebGL can be read in the same turn only
  [copy.width, copy.height] = [points.width, points.height];
  const pen = copy.getContext("2d");
  pen.drawImage(points, 0, 0);
  const { data } = pen.getImageData(0, 0, copy.width, copy.height), ground = String(data.slice(0, 4));
  return data.filter((_, at) => at % 4 === 0 && String(data.slice(at, at + 4)) !== ground).length;
})()"""
# Elements whose own text has too little contrast with the ground below it
PALE = """(() => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const part = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
  const ground = (one) => {
    for (let up = one; up; up = up.parentElement) {
      const colour = rgb(getComputedStyle(up).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const written = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const aside = "script, noscript, svg, .hidden", shown = (one) => one.checkVisibility() && !one.closest(aside);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return [...document.querySelectorAll("main *, header *, .selection *")].filter((one) => written(one) && shown(one))
    .filter((one) => contrast(light(rgb(getComputedStyle(one).color)), light(ground(one))) < 4.5)
    .map((one) => one.tagName + "." + one.className + ": " + one.textContent.slice(0, 30));
})()"""
UNNAMED = """[...document.querySelectorAll('button, input, select, [role=button], [role=img], [role=grid], [tabindex]')]
  .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.title))
  .map((one) => one.outerHTML.slice(0, 80))"""


def test_the_page_draws_itself_on_webgl_at_its_last_moment(open_page, page):
    browser = open_page("?draw=webgl2")
    assert map_data(browser, "frame") == "3"
    assert int(map_data(browser, "wrong")) == len(wrong_rows(page[0])) > 0
    assert browser.run("separatrix.maps[0].painter.constructor === separatrix.GlPainter")
    assert browser.run(PAINTED) > 30 * 20
    assert browser.run("separatrix.maps[0].shownLabels") >= 2


def test_where_webgl_runs_on_the_processor_the_map_is_drawn_without_it(open_page, page):
    """It draws every point of 100,000 while the map moves (docs/report.md). Both pictures show the same."""
    browser = open_page()
    assert browser.run("separatrix.maps[0].painter.constructor === separatrix.FlatPainter")
    flat = browser.run(PAINTED)
    browser.open(page[1].as_uri() + "?draw=webgl2")
    assert abs(flat / browser.run(PAINTED) - 1) < 0.2


def test_without_webgl_the_map_is_drawn_flat_and_says_so(page, tmp_path):
    with Chromium(tmp_path, *FLAT) as browser:
        browser.open(page[1].as_uri())
        assert browser.run("separatrix.maps[0].painter.constructor === separatrix.FlatPainter")
        assert "No graphics card is in use" in browser.run("document.querySelector('.flat').textContent")
        assert browser.run(PAINTED) > 30 * 20


def test_a_link_opens_a_moment_and_a_row_and_foreign_text_is_text(open_page, page, evil):
    browser = open_page("#frame=0&row=0")
    browser.wait("document.querySelector('.detail .words')")
    assert map_data(browser, "frame") == "0"
    assert map_data(browser, "row") == "0"
    frames = page[0].maps[0]
    assert int(map_data(browser, "wrong")) == (frames.predicted[0] != page[0].rows.labels).sum()
    shown = browser.run("document.querySelector('.detail').innerText")
    assert '<img src=x onerror="document.body.dataset.evil=1">' in shown
    assert "<b>bold</b> &lt; & %{x}" in shown
    assert "<i>tilted</i>" in shown
    assert browser.run("document.querySelectorAll('.answers li').length") == 3
    assert browser.run("document.querySelectorAll('.near li').length") == 8
    assert browser.run("document.body.dataset.evil") is None
    assert browser.run("document.querySelectorAll('main i:not(.answers i), main img').length") == 0


def test_the_film_plays_through_every_moment(open_page):
    browser = open_page()
    browser.run("window.seen = []; new MutationObserver(() => seen.push(document.getElementById('map').dataset.frame))"
                ".observe(document.getElementById('map'), { attributeFilter: ['data-frame'] });"
                "document.querySelector('.play').click(); true")  # fmt: skip
    assert browser.run("document.querySelector('.play').textContent") == "Pause"
    browser.wait("document.querySelector('.play').textContent === 'Play'")
    assert browser.run("[...new Set(seen)].join()") == "0,1,2,3"
    browser.run(
        "document.querySelector('.time').value = 1; document.querySelector('.time').dispatchEvent(new Event('input'))"
    )
    assert map_data(browser, "frame") == "1"
    assert browser.run("document.querySelector('.moment').textContent") == "epoch 1"


def test_pointing_shows_a_text_and_a_click_chooses_the_row(open_page, page):
    browser = open_page()
    row = 5
    x, y = point_of(browser, row)
    browser.mouse("mouseMoved", x, y)
    browser.wait("!document.querySelector('.tip').hidden")
    assert "text 5" in browser.run("document.querySelector('.tip').textContent")
    browser.click(x, y)
    browser.wait("document.querySelector('.detail .words')")
    assert map_data(browser, "row") == "5"
    browser.wait("document.querySelector('.entry[aria-selected=true]')")
    assert browser.run("document.querySelector('.entry[aria-selected=true]').dataset.row") == "5"


def test_a_lasso_selects_what_lies_in_it_and_escape_takes_it_back(open_page, page):
    browser = open_page()
    left, top, wide, high = box_of(browser, ".plane")
    half = [
        (left + 3, top + 3),
        (left + wide / 2, top + 3),
        (left + wide / 2, top + high - 3),
        (left + 3, top + high - 3),
    ]
    browser.drag(half, modifiers=8)
    left_of = "separatrix.maps[0].place(row)[0] < separatrix.maps[0].camera.width / 2 - 1"
    inside = browser.run(f"[...Array(30).keys()].filter((row) => {left_of}).length")
    assert 0 < inside < 30
    assert abs(int(selected(browser)) - inside) <= 1
    assert map_data(browser, "kept") == selected(browser)
    assert browser.run("document.getElementById('rows').dataset.listed") == selected(browser)
    assert browser.run("document.getElementById('certainty').dataset.rows") == selected(browser)
    browser.key("Escape")
    assert selected(browser) == "30"
    assert browser.run("document.querySelector('.selection').hidden")


def test_drag_moves_wheel_zooms_where_the_map_has_the_focus_and_0_shows_all(open_page):
    browser = open_page()
    camera = "[separatrix.maps[0].camera.x, separatrix.maps[0].camera.zoom]"
    left, top, *_ = box_of(browser, ".plane")
    browser.drag([(left + 90, top + 90), (left + 120, top + 90), (left + 150, top + 90)])
    assert browser.run(camera)[0] < 0
    browser.run("document.querySelector('.plane').focus({preventScroll: true})")
    browser.mouse("mouseWheel", left + 90, top + 90, deltaX=0, deltaY=-200)
    browser.wait(f"{camera}[1] > 1.1")
    browser.key("0")
    assert browser.run(camera) == [0, 1]
    browser.run("document.querySelector('.plane').blur()")
    browser.mouse("mouseWheel", left + 90, top + 90, deltaX=0, deltaY=-200)  # scrolls the page
    assert browser.run(camera) == [0, 1]


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


def test_a_heading_sorts_the_classes(open_page):
    browser = open_page()
    names = "[...document.querySelectorAll('#classes tbody th')].map((cell) => cell.textContent).join('|')"
    before = browser.run(names)
    browser.run("document.querySelector('#classes .sort').click()")
    assert browser.run("document.querySelector('#classes thead th').getAttribute('aria-sort')") == "ascending"
    browser.run("document.querySelector('#classes .sort').click()")
    assert browser.run(names) == "|".join(reversed(before.split("|")))


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


def test_many_classes_are_named_by_their_groups_until_one_looks_closer(browser, make_report, make_frames, tmp_path):
    names = tuple(f"{'card' if k < 15 else 'loan'} {k}" for k in range(30))
    frames = make_frames(classes=30, rows=300, names=names)
    group = [int(k >= 15) for k in range(30)]
    alike = ClassOrder(list(range(29, -1, -1)), group, group_titles(names, group, [0, 15]))
    browser.events.clear()
    report = make_report(frames)
    page = write_report(tmp_path / "page.html", replace(report, rows=replace(report.rows, groups=alike)))
    browser.open(page.path.as_uri())
    browser.wait("separatrix.maps[0].far === true && separatrix.maps[0].shownLabels > 0")
    assert browser.run("separatrix.maps[0].shownLabels") <= 2
    assert browser.run("document.querySelector('.legend button span').textContent") == "loan 29"  # alike ones together
    browser.run("document.querySelector('.nearer').click(); document.querySelector('.nearer').click()")
    browser.wait("separatrix.maps[0].far === false && separatrix.maps[0].shownLabels > 2")
    assert browser.console == []


def test_rows_glide_to_another_map_and_those_without_a_place_are_hidden(open_page):
    browser = open_page()
    which = "document.querySelector('.which')"
    browser.run(f"{which}.value = 1; {which}.dispatchEvent(new Event('change'))")
    browser.wait("document.getElementById('map').dataset.map === '1' && separatrix.maps[0].moment === 1")
    assert map_data(browser, "kept") == map_data(browser, "rows") == "15"
    assert browser.run("document.querySelector('.fidelity').textContent") == "a note"
    assert not browser.run("document.querySelector('.training').checkVisibility()")
    browser.run("separatrix.table().then((table) => table.choose(1))")
    browser.wait("document.querySelector('.facts')?.textContent.includes('not on this map')")


def test_a_lost_context_comes_back(open_page):
    browser = open_page("?draw=webgl2")
    browser.run("window.loss = separatrix.maps[0].painter.gl.getExtension('WEBGL_lose_context'); loss.loseContext()")
    browser.wait("separatrix.maps[0].painter.gl.isContextLost()")
    browser.run("new Promise((done) => setTimeout(done, 50)).then(() => loss.restoreContext())")
    browser.wait("!separatrix.maps[0].painter.gl.isContextLost()")
    browser.wait(f"{PAINTED} > 600")
    browser.events[:] = [one for one in browser.events if "CONTEXT_LOST" not in str(one)]


def test_a_map_in_three_dimensions_turns(browser, tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    drawing = Drawing(points, np.arange(40) % 2, ("no", "yes"), ("a", "b", "c"), "rows", "drawn at random")
    browser.events.clear()
    browser.open(write_map_page(tmp_path / "map.html", drawing, [f"text {row}" for row in range(40)]).as_uri())
    before = browser.run("separatrix.maps[0].place(0)")
    left, top, *_ = box_of(browser, ".plane")
    browser.drag([(left + 200, top + 200), (left + 240, top + 220), (left + 300, top + 240)])
    after = browser.run("separatrix.maps[0].place(0)")
    assert np.abs(np.subtract(before, after)).max() > 5
    assert browser.console == []


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_every_text_its_contrast(open_page, scheme):
    browser = open_page()
    browser.media(prefers_color_scheme=scheme)
    browser.run("document.querySelector('.pick').click()")
    assert browser.run(UNNAMED) == []
    assert browser.run(PALE) == []
    browser.media(prefers_color_scheme="light")


def test_a_phone_shows_everything_without_scrolling_sideways(open_page):
    browser = open_page(width=400)
    assert browser.run("document.documentElement.scrollWidth") == 400
    assert browser.run("document.querySelector('.plane').clientWidth") > 330


def test_nothing_was_requested(browser, page, tmp_path):
    """Last: the browser's log of the network is complete when it has ended. A page that does ask is caught by it."""
    (tmp_path / "asking.html").write_text('<img src="http://example.invalid/pixel.png">')
    browser.open((tmp_path / "asking.html").as_uri(), "document.images[0]?.complete")
    browser.close()
    assert set(browser.requests) == {"http://example.invalid/pixel.png"}
