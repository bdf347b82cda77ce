"""The pages in Firefox, where there is one: drawn, linked, silent, without a request, on a phone; one browser."""

import pytest

import firefox
from accessibility import READY
from firefox import Firefox

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(firefox.BINARY is None, reason="no firefox-esr or firefox in PATH to open the page with"),
]
SELECTED = "document.body.dataset.selected"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Firefox(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture
def open_page(browser, pages):
    """A page, opened afresh; it said nothing on its console and asked for nothing when the test ends."""

    def go(kind, width=1200):
        browser.events.clear()
        browser.open(pages[kind].as_uri(), READY, width=width)
        return browser

    yield go
    assert browser.console == []
    assert browser.requests == []


def test_the_views_of_a_run_are_drawn_and_linked(open_page):
    browser = open_page("run")
    assert browser.run("document.getElementById('map').dataset.rows") == "30"
    assert browser.run("document.querySelectorAll('.entry').length") > 5
    browser.run("document.querySelectorAll('.pick')[1].click()")
    assert browser.run(SELECTED) == browser.run("document.getElementById('map').dataset.kept") == "10"
    assert browser.run("document.getElementById('rows').dataset.listed") == "10"
    browser.key("Escape")
    assert browser.run(SELECTED) == "30"
    box = "document.querySelector('.search')"
    browser.run(f"({box}.value = 'text 1', {box}.dispatchEvent(new Event('input')))")
    browser.wait(f"{SELECTED} === '11'")  # 10 to 19, and 21
    browser.run("document.querySelector('.chips button').click()")
    browser.run("(document.querySelector('.plane').scrollIntoView({ block: 'center', behavior: 'instant' }), 0)")
    left, top, wide, high = browser.run("(({ left, top, width, height }) => [left, top, width, height])"
                                        "(document.querySelector('.plane').getBoundingClientRect())")  # fmt: skip
    half = [(0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99)]
    browser.drag([(left + x * wide, top + y * high) for x, y in half], keys="Shift")
    own = "separatrix.maps[0].place(row)[0] < separatrix.maps[0].camera.width / 2"
    inside = browser.run(f"[...Array(30).keys()].filter((row) => {own}).length")
    browser.wait(f"Math.abs({SELECTED} - {inside}) <= 1")
    assert 0 < inside < 30


def test_keys_and_the_slider_work(open_page):
    browser = open_page("run")
    browser.run("document.querySelector('.plane').focus()")
    browser.key("ArrowRight")
    browser.wait("document.querySelector('.detail .facts')")
    browser.run("document.querySelector('.time').focus()")
    browser.key("ArrowLeft")
    browser.wait("document.getElementById('map').dataset.frame === '2'")


def test_a_click_on_a_head_shows_its_map(open_page):
    browser = open_page("atlas")
    browser.run("document.querySelectorAll('.heads button')[4].click()")
    assert browser.run("document.getElementById('atlas').dataset.head") == "4"
    ink = "new Set(document.querySelector('.map').getContext('2d').getImageData(100, 300, 400, 1).data).size"
    assert browser.run(ink) > 3


@pytest.mark.parametrize("kind", ["run", "points", "atlas", "sweep", "comparison", "suspects"])
def test_a_phone_shows_the_page_without_scrolling_sideways(open_page, kind, tmp_path):
    browser = open_page(kind, width=400)
    widths = browser.run("[innerWidth, document.documentElement.scrollWidth - document.documentElement.clientWidth]")
    assert widths == [400, 0]
    assert browser.shot(tmp_path / "page.png").stat().st_size > 5000
    assert not browser.run(
        "[...document.querySelectorAll('.alarm')].some((one) => /could not be/.test(one.textContent))"
    )
