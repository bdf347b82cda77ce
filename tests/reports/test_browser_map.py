"""The map in a real browser: how it is drawn, moved and played, what is selected on it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from browser_page import PAINTED, box_of, map_data, point_of, selected, wrong_rows
from chromium import FLAT, Chromium
from separatrix.reports import write_report
from separatrix.reports.map_page import write_map_page
from separatrix.reports.rows import ClassOrder, group_titles
from separatrix.view.maps import Drawing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]


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


@pytest.mark.parametrize("draw", ["webgl2", "flat"])
def test_points_density_and_names_are_switched_apart(open_page, draw):
    browser = open_page(f"?draw={draw}")

    def painted(*switched):
        for name in switched:
            browser.run(f"document.querySelector('.tools .{name}').click()")
        return browser.run(PAINTED)

    points = painted()
    dense = painted("dots", "dense")
    both = painted("dots")
    assert dense > points > 0
    assert both >= dense
    assert painted("dots", "dense") == 0
    assert browser.run("separatrix.maps[0].shownLabels") >= 2
    assert painted("dots") == points


def test_a_lost_context_comes_back(open_page):
    browser = open_page("?draw=webgl2")
    browser.run("window.loss = separatrix.maps[0].painter.gl.getExtension('WEBGL_lose_context'); loss.loseContext()")
    browser.wait("separatrix.maps[0].painter.gl.isContextLost()")
    browser.run("new Promise((done) => setTimeout(done, 50)).then(() => loss.restoreContext())")
    browser.wait("!separatrix.maps[0].painter.gl.isContextLost()")
    browser.wait(f"{PAINTED} > 600")
    browser.events[:] = [one for one in browser.events if "CONTEXT_LOST" not in str(one)]


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
    assert browser.run("document.querySelector('.elsewhere').textContent") == "Show it on the map: outputs"
    browser.run("document.querySelector('.elsewhere').click()")
    browser.wait(
        "document.getElementById('map').dataset.map === '0' && document.querySelectorAll('.near button').length === 8"
    )
    assert map_data(browser, "row") == "1"
    assert not browser.run("document.querySelector('.elsewhere')")


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


@pytest.mark.parametrize("width", [400, 1400])
def test_a_long_name_of_a_class_is_cut_and_its_number_is_seen(browser, tmp_path, width):
    """Regression: the button of a class was as wide as its name, and the count stood outside of the window."""
    drawing = Drawing(np.zeros((4, 2), np.float32), np.arange(4) % 2, ("y" * 200, "b"), ("a", "b"), "rows", "drawn")
    browser.open(write_map_page(tmp_path / "map.html", drawing, list("abcd")).as_uri(), width=width)
    ends = "[...document.querySelectorAll('.legend b')].map((one) => one.getBoundingClientRect().right)"
    assert max(browser.run(ends)) < width
    assert browser.run("document.querySelector('.legend').scrollWidth <= document.querySelector('.legend').clientWidth")
    assert browser.run("document.querySelector('.legend button').title") == "y" * 200
    browser.run("document.querySelector('.legend button').click()")
    chip = "document.querySelector('.chips button').getBoundingClientRect()"
    assert browser.run(f"{chip}.right") < width
    assert browser.run(f"{chip}.height") < 40  # one line


def test_escape_on_the_map_takes_the_area_back_and_then_all(open_page):
    """Regression: with the focus on the map it did nothing where no area was selected."""
    browser = open_page()
    browser.run("document.querySelector('.legend button').click(); document.querySelector('.plane').focus()")
    left, top, wide, high = box_of(browser, ".plane")
    browser.drag(
        [
            (left + 5, top + 5),
            (left + wide - 80, top + 5),
            (left + wide - 80, top + high - 5),
            (left + 5, top + high - 5),
        ],
        8,
    )
    browser.run("document.querySelector('.plane').focus()")
    chips = "[...document.querySelectorAll('.chips button')].length"
    assert browser.run(chips) == 2
    browser.key("Escape")
    assert browser.run(chips) == 1
    browser.key("Escape")
    assert browser.run(chips) == 0
