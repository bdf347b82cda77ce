"""The page in a real browser. Chromium prints the document after its scripts have run, and logs every request."""

import html
import json
import re
import shutil
import subprocess

import pytest

from separatrix.reports import write_report

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
        self.log = folder / "net.json"
        place = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={self.log}", "--dump-dom", url]
        self.browser = subprocess.Popen(
            ["chromium", *FLAGS, *place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait(self):
        self.dom, said = self.browser.communicate()
        assert self.browser.returncode == 0
        self.console = [line for line in said.splitlines() if "CONSOLE" in line]
        told = [event.get("params") or {} for event in json.loads(self.log.read_text())["events"]]
        # A request of the browser itself (its clock, its updates) has no page as its initiator.
        own = ("not an origin", None)
        self.requests = [what["url"] for what in told if "url" in what and what.get("initiator") not in own]
        return self

    def attribute(self, name):
        return re.search(rf'<section id="map"[^>]* data-{name}="([^"]*)"', self.dom)[1]

    def points(self):
        return len(re.findall(r'<path class="point', self.dom))

    def box(self):
        """What the hover box says, tags taken off."""
        found = re.search(r'<g class="hovertext".*?</g>', self.dom, re.DOTALL)
        return html.unescape(re.sub("<[^>]*>", "", found[0])) if found else ""


# Appended to the page: a reader who plays the film, hides a class, and walks by keyboard to a wrong row.
READER = """<script>
const seen = [], say = (name, value) => { document.body.dataset[name] = value; };
const map = document.getElementById("map"), button = (name) => map.querySelector("." + name);
const count = () => map.querySelectorAll("path.point").length;
const wait = async (ready) => { while (!ready()) await new Promise((done) => setTimeout(done, 20)); };
const watch = new MutationObserver(() => seen.push(map.dataset.frame));
wait(() => window.separatrixReady).then(async () => {
  watch.observe(map, { attributeFilter: ["data-frame"] });
  button("play").click();
  say("playing", button("play").textContent);
  await wait(() => button("play").textContent === "Play");
  say("seen", [...new Set(seen)].join());
  say("before", count());
  map.querySelector(".legend button").click();
  await wait(() => count() < Number(document.body.dataset.before));
  say("after", count());
  button("plane").focus();
  button("plane").dispatchEvent(new KeyboardEvent("keydown", { key: "w" }));
  await wait(() => map.dataset.row !== "-1");
  say("facts", button("facts").textContent);
});
</script>"""


@pytest.fixture(scope="module")
def visits(make_report, make_frames, evil, tmp_path_factory):
    """All visits at once: a browser mostly waits."""
    folder = tmp_path_factory.mktemp("browser")
    names, texts = ("<i>tilted</i>", "b & c", "class 2"), (evil, *(f"text {row}" for row in range(1, 30)))
    page = write_report(folder / "page.html", make_report(make_frames(names=names, texts=texts))).path
    (folder / "reader.html").write_text(page.read_text(encoding="utf-8") + READER, encoding="utf-8")
    (folder / "asking.html").write_text('<img src="http://example.invalid/pixel.png">')
    urls = {
        "plain": page.as_uri(),
        "linked": page.as_uri() + "#frame=0&row=0",
        "reader": (folder / "reader.html").as_uri(),
        "asking": (folder / "asking.html").as_uri(),
    }
    started = {name: Visit(url, tmp_path_factory.mktemp(name)) for name, url in urls.items()}
    try:
        return {name: visit.wait() for name, visit in started.items()}
    finally:
        for visit in started.values():
            visit.browser.kill()


def test_page_draws_itself_and_asks_for_nothing(visits, make_frames):
    visit, frames = visits["plain"], make_frames()
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


def test_slider_shows_another_frame_and_hover_the_text_as_text(visits, make_frames):
    visit, frames = visits["linked"], make_frames()
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


def test_reader_plays_hides_a_class_and_walks_by_keyboard(visits, make_frames):
    visit, frames = visits["reader"], make_frames()
    said = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", visit.dom)[0]))
    assert said["playing"] == "Pause"
    assert said["seen"] == "0,1,2,3"
    wrong = frames.predicted[-1] != frames.labels
    assert int(said["before"]) == 30 + wrong.sum() + 3
    assert int(said["before"]) - int(said["after"]) == 10 + (wrong & (frames.labels == 0)).sum() + 1
    first = int(wrong.argmax())
    assert said["facts"].startswith(f"row {first} - label ")
    assert said["facts"].endswith(", wrong")


def test_the_net_log_would_show_a_request(visits):
    """The control of the tests above: a page that does ask is caught."""
    assert "http://example.invalid/pixel.png" in visits["asking"].requests
