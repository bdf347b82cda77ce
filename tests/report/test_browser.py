"""The page in a real browser. Chromium prints the document after its scripts have run, and logs every request."""

import html
import json
import re
import shutil
import subprocess

import pytest

from separatrix.report import write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=4000",
]  # fmt: skip


class Visit:
    """What the browser had on the page, said on its console, and asked for."""

    def __init__(self, url, folder):
        log = folder / "net.json"
        place = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"]
        done = subprocess.run(
            ["chromium", *FLAGS, *place, "--dump-dom", url], capture_output=True, text=True, timeout=120, check=True
        )
        self.dom = done.stdout
        self.console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        told = [event.get("params") or {} for event in json.loads(log.read_text())["events"]]
        # A request of the browser itself (its clock, its updates) has no page as its initiator.
        own = ("not an origin", None)
        self.requests = [what["url"] for what in told if "url" in what and what.get("initiator") not in own]

    def attribute(self, name):
        return re.search(rf'<section id="map"[^>]* data-{name}="([^"]*)"', self.dom)[1]

    def points(self):
        return len(re.findall(r'<path class="point', self.dom))

    def box(self):
        """What the hover box says, tags taken off."""
        found = re.search(r'<g class="hovertext".*?</g>', self.dom, re.DOTALL)
        return html.unescape(re.sub("<[^>]*>", "", found[0])) if found else ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture
def page(make_report, make_frames, folder, evil):
    names = ("<i>tilted</i>", "b & c", "class 2")
    texts = (evil, *(f"text {row}" for row in range(1, 30)))
    return write_report(folder / "page.html", make_report(make_frames(names=names, texts=texts))).path.as_uri()


def test_page_draws_itself_and_asks_for_nothing(page, make_frames, folder):
    visit = Visit(page, folder)
    frames = make_frames()
    assert 'data-separatrix-ready="true"' in visit.dom
    assert visit.console == []
    assert visit.requests == []
    assert visit.attribute("frame") == "3"
    assert int(visit.attribute("wrong")) == 30 - frames.right[-1]
    # rows, a ring for each wrong one, the centroids, the points of the two curves
    assert visit.points() >= 30 + (30 - frames.right[-1]) + 3 + 2
    assert len(re.findall(r'<g class="trace scatter', visit.dom)) >= 8
    assert "hm" in visit.dom
    assert visit.box() == ""


def test_slider_shows_another_frame_and_hover_the_text_as_text(page, make_frames, folder):
    visit = Visit(page + "#frame=0&row=0", folder)
    frames = make_frames()
    assert visit.attribute("frame") == "0"
    assert visit.attribute("row") == "0"
    assert int(visit.attribute("wrong")) == 30 - frames.right[0]
    assert frames.right[0] < frames.right[-1]
    said = visit.box().replace(" ", "")
    assert '<imgsrc=xonerror="document.body.dataset.evil=1">' in said
    assert "<script>document.body" in said
    assert "<b>bold</b>&lt;&%{x}" in said
    assert "<i>tilted</i>,predicted" in said
    assert "data-evil" not in visit.dom
    assert visit.console == []
    assert visit.requests == []


def test_the_net_log_would_show_a_request(folder):
    """The control of the tests above: a page that does ask is caught."""
    (folder / "bad.html").write_text('<img src="http://example.invalid/pixel.png">')
    visit = Visit((folder / "bad.html").as_uri(), folder)
    assert "http://example.invalid/pixel.png" in visit.requests
