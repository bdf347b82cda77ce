"""Pages for everybody: what axe-core finds, keys alone, a phone's width, texts of all kinds; one browser for all."""

import json
import shutil

import numpy as np
import pytest
from matplotlib import image

from accessibility import FOCUSED, axe_findings
from atlas_pages import page_of
from chromium import Chromium
from separatrix.reports import PictureFile, write_report
from separatrix.reports.atlas import write_atlas
from separatrix.reports.collect import Sheet, write_collection
from separatrix.reports.map_page import write_map_page
from separatrix.reports.pack import cut
from separatrix.reports.rows import TEXT_LIMIT, RowMap
from separatrix.reports.suspects import write_suspects
from separatrix.reports.sweep import sweep_listing
from separatrix.view.maps import Drawing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
ARABIC, CHINESE, HEBREW = (
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645",
    "\u4e2d\u6587\u6587\u672c",
    "\u05e9\u05dc\u05d5\u05dd 12",
)
LONG = "endless" * 15_000  # 105 kB without a place to break
KINDS = ("run", "points", "atlas", "sweep", "comparison", "suspects")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def browser(folder):
    with Chromium(folder) as browser:
        yield browser


@pytest.fixture(scope="module")
def texts(evil):
    return (evil, CHINESE, HEBREW, ARABIC, LONG, *(f"text {row}" for row in range(5, 30)))


@pytest.fixture(scope="module")
def pages(folder, make_report, make_frames, texts):
    """One page of each kind, by its name."""
    frames = make_frames(names=(CHINESE, ARABIC, "third"), texts=texts)
    report = make_report(frames, maps=[RowMap.of_frames("outputs", frames)], warnings=(f"of {ARABIC}",))
    places = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    drawing = Drawing(places, np.arange(30) % 2, ("no", HEBREW), ("a", "b"), "rows", "drawn at random")
    rows = [
        {"id": k, "label": CHINESE, "suggested": "b", "score": -k / 9, "reason": "far", "text": text}
        for k, text in enumerate(texts)
    ]
    counts = {
        "models": {"probe": {"accuracy": 0.9}},
        "rows": 99,
        "suspects": 30,
        "estimated_noise": 0.1,
        "judged": "all",
    }
    image.imsave(folder / "picture.png", np.zeros((4, 900, 3)))
    pictures = (PictureFile("map", folder / "picture.png"),)
    line = {"tokens": 1, "runs": 2, "planned": 2, "chosen": True, "validation": 0.9, "test": 0.8}
    listing = sweep_listing([line, line | {"tokens": 2, "chosen": False}], [], None, ["tokens"])
    sweep = Sheet("studies/s", "sweep", (("metric", "accuracy"),), listing, warnings=("loud",), pictures=pictures)
    table = [{"method": name, "accuracy": 0.95, "interval": [0.9, 0.97]} for name in ("prompt", ARABIC)]
    sheets = [Sheet("runs/a", "run", (("model", CHINESE),), table, (True, False)), sweep]
    return {
        "run": write_report(folder / "run.html", report).path,
        "points": write_map_page(folder / "points.html", drawing, texts),
        "atlas": write_atlas(folder / "atlas.html", page_of()).path,
        "sweep": write_collection(folder / "sweep.html", "sweep", [sweep]).path,
        "comparison": write_collection(folder / "comparison.html", "both", sheets).path,
        "suspects": write_suspects(folder / "suspects.html", rows, counts | {"warnings": []}).path,
    }


READY = (
    "document.readyState === 'complete' && (!document.querySelector('[data-draw]') || window.separatrixReady === true)"
)
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
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
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
