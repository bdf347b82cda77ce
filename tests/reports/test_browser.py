"""The page as a whole in a real browser: links to it, foreign texts, names, contrast, a phone, and no request."""

import shutil

import pytest

from browser_page import PALE, UNNAMED, map_data
from chromium import Chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]


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
    assert browser.run("document.querySelectorAll('.near button').length") == 8
    assert browser.run("document.body.dataset.evil") is None
    assert browser.run("document.querySelectorAll('main i:not(.answers i), main img').length") == 0


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


def test_a_page_that_asks_for_something_is_caught(tmp_path):
    """The browser of each file of tests is looked at so when it has ended (`conftest.py`)."""
    (tmp_path / "asking.html").write_text('<img src="http://example.invalid/pixel.png">')
    with Chromium(tmp_path) as browser:
        browser.open((tmp_path / "asking.html").as_uri(), "document.images[0]?.complete")
        browser.close()
        assert set(browser.requests) == {"http://example.invalid/pixel.png"}


def test_without_scripts_there_are_no_controls_and_no_empty_map(browser, page):
    """Regression: buttons without effect, and a frame with nothing in it."""
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.send("Page.navigate", url=page[1].as_uri())
        browser.wait("document.readyState === 'complete'")
        controls = (
            "[...document.querySelectorAll('main :is(button, input, select, .plane):not(.pairs *)')]"  # pairs are read
        )
        assert browser.run(f"{controls}.filter((one) => one.checkVisibility()).map((one) => one.outerHTML)") == []
        assert browser.run("document.querySelector('#classes table').checkVisibility()")
        assert browser.run("document.querySelector('#map').innerText").endswith("is missing.")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
