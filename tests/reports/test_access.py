"""Pages for everybody: what axe-core finds, keys alone, a phone's width, texts of all kinds; one browser for all."""

import json
import shutil
import subprocess

import pytest
from matplotlib import image

from accessibility import FOCUSED, READY, axe_findings
from chromium import Chromium
from separatrix.reports.pack import cut
from separatrix.reports.rows import TEXT_LIMIT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
KINDS = ("run", "points", "atlas", "sweep", "comparison", "suspects")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("access")) as browser:
        yield browser


# What a reader has done when the page is judged again: a class selected, a row chosen, a head with its query
USED = """(async () => {
  document.querySelector(".legend button")?.click();
  document.querySelector(".thumbnails")?.scrollIntoView();
  document.querySelector(".words span")?.click();
  document.querySelector(".clusters button")?.click();
  document.querySelector(".sort")?.click();
  if (separatrix.table) (await separatrix.table())?.choose(4);
  await new Promise((done) => setTimeout(done, 150));
})()"""


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(browser, pages, kind):
    """As it opens and after use; light and dark, wide and narrow."""
    browser.media(prefers_reduced_motion="reduce")
    browser.open(pages[kind].as_uri(), READY, width=1400)
    findings = []
    for used, width, scheme in ((0, 1400, "light"), (0, 400, "dark"), (1, 400, "light"), (1, 1400, "dark")):
        if used and width == 400 and browser.run("typeof separatrix === 'object'"):
            browser.run(USED)
        browser.size(width)
        browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        wide = browser.run("document.documentElement.scrollWidth")
        lines = axe_findings(browser) + ([f"the page is {wide} pixels wide"] if wide != width else [])
        findings += [f"{'used' if used else 'open'}, {width}, {scheme}: {line}" for line in lines]
    browser.media()
    assert not findings, "\n".join(findings)


def tab_stops(browser):
    """What has the focus one after the other as Tab is pressed, from the top of the page to its end."""
    # From the body: a page goes on from where the last click was, even if nothing has the focus.
    browser.run("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    stops = []
    while len(stops) < 300:
        browser.key("Tab")
        one = browser.run(FOCUSED)
        if one is None or one in stops[:1]:
            break
        stops.append(one)
    return stops


# Classes of what can be used, of each kind of page: Tab must come to all of them.
CONTROLS = {
    "run": "colour labels dense rings time play plane nearer farther whole legend back next wrong-next detail"
    " search regex only order list from to cell pairs sort pick",
    "atlas": "measure heads clusters window nearer farther whole map nearest thumbnails deciles plain",
    "suspects": "search sort scroll",
    "sweep": "axis down across dot cell pressed tall",
    "comparison": "which colour answers search order",
}


@pytest.mark.parametrize("kind", CONTROLS)
def test_every_control_is_reached_by_keys_and_shows_the_focus(browser, pages, kind):
    browser.media(prefers_reduced_motion="reduce")
    browser.open(pages[kind].as_uri(), READY, width=1200)
    browser.run(USED)
    stops = tab_stops(browser)
    assert len(stops) < 300
    hidden = "Skip to"  # comes into the window as it gets the focus
    assert {*CONTROLS[kind].split()} - {name for one in stops for name in one["inside"]} == set()
    lost = [one for one in stops if not (one["marked"] and one["name"]) or not (one["seen"] or hidden in one["name"])]
    assert lost == []


def test_every_view_is_used_by_keys_alone(browser, pages):
    browser.media(prefers_reduced_motion="reduce")
    browser.open(pages["run"].as_uri(), READY, width=1200)

    def focus(selector):
        browser.run(f"document.querySelector('{selector}').focus({{ focusVisible: true }})")

    selected = "document.body.dataset.selected"
    focus(".time")
    browser.key("ArrowLeft")
    assert browser.run("document.getElementById('map').dataset.frame") == "2"
    assert browser.run("separatrix.maps[0].moment") == 1  # nothing glides for those who ask for calm
    focus('#confusion .cell[tabindex="0"]')
    browser.key("ArrowRight")
    browser.key("Enter")
    browser.wait(f"0 < {selected} && {selected} < 30")
    browser.key("Escape")
    assert browser.run(selected) == "30"
    focus(".legend button")
    browser.key(" ")
    assert browser.run(selected) == "10"
    focus("#classes .sort")
    browser.key("Enter")
    assert browser.run("document.querySelector('#classes thead th').getAttribute('aria-sort')") == "ascending"
    focus(".list")
    browser.key("ArrowDown")
    browser.key("ArrowDown")
    browser.wait("document.getElementById(document.querySelector('.list').getAttribute('aria-activedescendant'))")
    focus(".from")
    browser.key("ArrowUp")
    browser.wait("document.querySelector('.from').value === '0.05'")
    browser.open(pages["sweep"].as_uri(), READY, width=1200)
    focus(".curve-plot .dot")
    browser.key("Enter")
    assert browser.run("document.getElementById('part-1').dataset.marked") != ""
    assert browser.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    browser.open(pages["atlas"].as_uri(), READY, width=1200)
    focus(".map")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        browser.key(key)
    assert browser.run("document.getElementById('atlas').dataset.query") == "1"
    assert browser.run("document.querySelector('.readout').textContent").startswith("\u201cone\u201d (1) gives")
    browser.key("+")
    assert browser.run("document.getElementById('atlas').dataset.seen") == "4.0"
    focus(".heads button")
    browser.key("ArrowRight")
    assert browser.run("document.getElementById('atlas').dataset.head") == "1"
    assert browser.run("document.activeElement.tabIndex") == 0


def test_texts_of_all_kinds_stand_in_every_view(browser, pages, texts):
    """Chinese, right to left, 105 kB, script tags: as text, each in its direction."""
    browser.events.clear()
    browser.open(pages["run"].as_uri(), READY, width=400)
    for row, direction in ((0, "ltr"), (1, "ltr"), (2, "rtl"), (3, "rtl"), (4, "ltr")):
        text = cut(texts[row], TEXT_LIMIT).encode(errors="replace").decode()  # the row of 105 kB is shortened
        browser.run(f"separatrix.table().then((table) => table.choose({row}))")
        words = "document.querySelector('.detail .words')"
        browser.wait(f"{words}?.textContent === {json.dumps(text)}")
        assert browser.run(f"getComputedStyle({words}).direction") == direction
        assert browser.run("document.documentElement.scrollWidth") == 400
    assert browser.run("document.querySelector('.legend button:nth-child(2) span').matches(':dir(rtl)')")
    assert "evil" not in browser.run("Object.keys(document.body.dataset)")
    assert browser.console == []


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils) in PATH")
def test_pages_print_on_light_paper_and_nothing_is_cut(browser, pages, tmp_path):
    """Even for a reader whose screen is dark; tables whole, the verdict there, the map drawn for paper."""
    browser.media(prefers_color_scheme="dark")
    browser.open(pages["run"].as_uri(), READY, width=1200)
    browser.run("addEventListener('beforeprint', () => { window.paper = separatrix.theme().surface; })")
    text = printed_text(browser.pdf(tmp_path / "run.pdf"))
    assert "Yes - the classes separate" in text
    assert "of 30 rows right" in text
    assert "Skip to" not in text
    assert browser.run("[window.paper, separatrix.theme().surface]") == ["#ffffff", "#171c21"]
    browser.open(pages["suspects"].as_uri(), READY, width=1200)
    text = printed_text(browser.pdf(tmp_path / "suspects.pdf"))
    assert all(f"text {row}" in text for row in range(5, 30))
    browser.media()


def test_small_maps_are_printed_on_light_paper_and_dark_again_afterwards(browser, pages, tmp_path):
    browser.media(prefers_color_scheme="dark")
    browser.open(pages["atlas"].as_uri(), READY, width=1200)
    browser.run("document.querySelector('.thumbnails').scrollIntoView()")
    drawn, layers = "document.querySelector('.thumbnails').toDataURL()", "document.querySelector('[data-thumbnails]')"
    browser.wait(f"Number({layers}?.dataset.thumbnails) > 0")
    screen = browser.run(f"new Promise((done) => setTimeout(() => done({drawn}), 300))")
    browser.run(f"addEventListener('beforeprint', () => {{ window.paper = {drawn}; }})")
    browser.pdf(tmp_path / "atlas.pdf")
    assert browser.run("window.paper") not in (None, screen)
    browser.wait(f"{drawn} === {json.dumps(screen)}", 20)
    browser.media()


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="no pdftoppm (poppler-utils) in PATH")
def test_the_points_of_a_map_are_on_paper_beneath_its_names(browser, pages, tmp_path):
    browser.open(pages["run"].as_uri(), READY, width=1200)
    browser.run("document.body.replaceChildren(document.querySelector('.plane'))")
    names = coloured(browser.pdf(tmp_path / "whole.pdf"))
    browser.run("document.querySelector('.over').remove()")
    points = coloured(browser.pdf(tmp_path / "points.pdf"))
    assert points.sum() > 100
    assert (names & points).sum() > 0.6 * points.sum()  # some lie below a name or a centroid


def coloured(path):
    """Where the first page of a PDF file has a colour that is no grey."""
    subprocess.run(["pdftoppm", "-r", "60", "-png", "-singlefile", str(path), str(path.with_suffix(""))], check=True)
    picture = image.imread(path.with_suffix(".png"))[..., :3]
    return picture.max(axis=2) - picture.min(axis=2) > 0.2


def printed_text(path):
    return subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True).stdout.decode()
