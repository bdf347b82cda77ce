"""The page of a map beside other ways to draw: bytes, seconds to the first picture, frames a second while panning.

    python benchmarks/page.py [--rows 10000 50000 100000 1000000] [--ways ours regl-scatterplot ...] [--json]

Every way gets the same rows: a place, one of 20 classes, a text of 60 signs that is shown when a point is pointed at;
each writes one HTML file that needs no network. Chromium opens it from disk, headless, in software rendering
(SwiftShader), and the mouse drags it for some seconds. A frame counts when the view has changed; at the end one pixel
is read, so that frames which were only queued are waited for. A way that draws fewer points while it moves says so.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

import numpy as np
from studies.common import machine, markdown

from chromium import Chromium
from separatrix.reports.map_page import render_map_page
from separatrix.view.maps import Drawing

CLASSES, SIGNS, SEED = 20, 60, 0
SECONDS = 6.0  # of panning
PATIENCE = 100.0  # seconds after which a first picture is no longer waited for
TARGETS = {"bytes": 60e6, "first_picture": 10.0, "frames": 20.0, "first_picture_50k": 2.0}  # of a million points
NPM = ("regl-scatterplot@1.16.0", "regl@2.1.1", "pub-sub-es@3.0.0")  # all MIT
WIDTH, HEIGHT = 1000, 640
WORDS = "the what who when city river name first year man war world film book state long many music game water".split()  # noqa: SIM905


def rows_of(count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Places (rows, 2) float32 in heaps, classes (rows,), and a text of `SIGNS` signs for each."""
    generator = np.random.default_rng(SEED)
    labels = generator.integers(CLASSES, size=count)
    places = generator.normal(size=(CLASSES, 2))[labels] * 4 + generator.normal(size=(count, 2))
    draws = generator.integers(len(WORDS), size=(count, 12))
    texts = [
        (f"{row} " + " ".join(WORDS[word] for word in line))[:SIGNS].ljust(SIGNS, ".") for row, line in enumerate(draws)
    ]
    return places.astype(np.float32), labels, texts


def ours(_: Path, places: np.ndarray, labels: np.ndarray, texts: list[str]) -> str:
    """`separatrix project --page`."""
    names = tuple(f"class {k}" for k in range(CLASSES))
    return render_map_page(Drawing(places, labels, names, ("x", "y"), "rows", "drawn at random"), texts)


def plotly(_: Path, places: np.ndarray, labels: np.ndarray, texts: list[str]) -> str:
    """`scattergl`, one trace a class, texts on hover, as plotly.py writes it."""
    import plotly.graph_objects as go

    words, look = np.array(texts, dtype=object), {"mode": "markers", "marker": {"size": 3}, "hoverinfo": "text"}
    traces = [
        go.Scattergl(x=places[own, 0], y=places[own, 1], text=words[own], **look)
        for own in (np.flatnonzero(labels == k) for k in range(CLASSES))
    ]
    layout = go.Layout(width=WIDTH, height=HEIGHT, dragmode="pan", showlegend=False)
    script = "var g = document.getElementById('{plot_id}'); window.drawnOnce = true; window.moves = 0;"
    script += "g.on('plotly_relayouting', function () { window.moves += 1; });"
    return str(go.Figure(traces, layout).to_html(include_plotlyjs=True, post_script=script))


DATA = """<!doctype html><meta charset="utf-8"><style>body{margin:0}canvas{width:%(w)dpx;height:%(h)dpx}</style>
<canvas id="c" width="%(w)d" height="%(h)d"></canvas><script>
const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const xy = new Float32Array(bytes("%(places)s").buffer), kinds = bytes("%(labels)s"), texts = %(texts)s;
const rows = kinds.length;
const canvas = document.getElementById("c");
const colour = (k) => "hsl(" + k * 18 + " 60%% 45%%)";
window.moves = 0;
</script>"""


def data_of(places: np.ndarray, labels: np.ndarray, texts: list[str]) -> str:
    """A page with its rows as float32 in base64 and JSON, scaled to -1 to 1."""
    span = np.abs(places).max()
    packed = (
        base64.b64encode(part.tobytes()).decode() for part in ((places / span).astype("<f4"), labels.astype(np.uint8))
    )
    return DATA % {
        "w": WIDTH, "h": HEIGHT, "places": next(packed), "labels": next(packed),
        "texts": json.dumps(texts, separators=(",", ":")),
    }  # fmt: skip


def canvas(_: Path, places: np.ndarray, labels: np.ndarray, texts: list[str]) -> str:
    """One `fillRect` a point, class by class."""
    return (
        data_of(places, labels, texts)
        + """<script>
const pen = canvas.getContext("2d", { willReadFrequently: true });  // the processor draws: the faster way here
let left = 0, top_ = 0, last = null;
const order = Array.from({ length: 20 }, (_, k) => [...kinds.keys()].filter((row) => kinds[row] === k));
const draw = () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  order.forEach((own, k) => {
    pen.fillStyle = colour(k);
    for (const row of own) pen.fillRect(left + (xy[2 * row] + 1) * 320 + 180, top_ + (1 - xy[2 * row + 1]) * 320, 2, 2);
  });
  window.drawnOnce = true;
};
let waits = false;
const soon = () => {
  if (waits) return;
  waits = true;
  requestAnimationFrame(() => { waits = false; draw(); window.moves += 1; });
};
canvas.onmousedown = (e) => { last = [e.clientX, e.clientY]; };
onmouseup = () => { last = null; };
onmousemove = (e) => {
  if (!last) return;
  left += e.clientX - last[0]; top_ += e.clientY - last[1]; last = [e.clientX, e.clientY];
  soon();
};
draw();
</script>"""
    )


def regl(folder: Path, places: np.ndarray, labels: np.ndarray, texts: list[str]) -> str:
    """regl-scatterplot as its own page describes it; its files stand in the page."""
    parts = []
    for name, file in zip(NPM, ("dist/regl-scatterplot.js", "dist/regl.min.js", "dist/index.js"), strict=True):
        bare, _, version = name.rpartition("@")
        with tarfile.open(folder / f"{bare}-{version}.tgz") as archive:
            parts.append((archive.extractfile(f"package/{file}") or sys.exit(file)).read().decode())  # type: ignore[union-attr]
    plot, engine, events = parts
    events = events.replace("export { globalPubSub, createPubSub };", "").replace("export default createPubSub;", "")
    libraries = (
        f"window.createPubSub = (() => {{ {events} return createPubSub; }})();</script><script>{engine}</script>"
    )
    libraries += f"<script>window.createREGL = window.createREGL || createREGL;</script><script>{plot}</script>"
    return (
        data_of(places, labels, texts)
        + f"<script>{libraries}"
        + """<script>
const hex = (k) => "#" + (0x3f6090 + k * 0x0a1507).toString(16).padStart(6, "0").slice(-6);
// From 1,000,000 points on it builds its index in a worker, whose source lacks a helper of the bundle (_createClass):
// no picture ever comes. Told not to, it builds the index in the page, as below that number.
const plot = (createScatterplot.default || createScatterplot)({ canvas, width: canvas.width, height: canvas.height,
  spatialIndexUseWorker: false, pointSize: 2, colorBy: "valueA",
  pointColor: Array.from({ length: 20 }, (_, k) => hex(k)) });
const column = (at) => Float32Array.from({ length: rows }, (_, row) => xy[2 * row + at]);
plot.subscribe("draw", () => { window.moves += 1; });
plot.draw({ x: column(0), y: column(1), valueA: kinds }).then(() => { window.drawnOnce = true; });
</script>"""
    )


WEBGL = "ours, WebGL2"  # what a graphics card would get
WAYS = {"plotly scattergl": plotly, "regl-scatterplot": regl, "plain canvas": canvas, WEBGL: ours, "ours": ours}
# When the first picture stands, and how many pictures of another view there were since
READY = (
    "window.drawnOnce === true || (typeof separatrix === 'object' && separatrix.maps && separatrix.maps[0].frames > 0)"
)
MOVES = "window.moves ?? separatrix.maps[0].frames"
STEP = "typeof separatrix === 'object' ? separatrix.maps[0].step : 1"
WATCH = f"""(() => {{
  const note = () => {{ window.firstPicture = performance.now(); }};
  const look = () => requestAnimationFrame({READY} ? note : look);
  requestAnimationFrame(look);
}})()"""
SYNC = """(() => { for (const one of document.querySelectorAll("canvas")) {
  const gl = one.getContext("webgl2") || one.getContext("webgl");
  if (gl) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  else { const pen = one.getContext("2d"); if (pen) pen.getImageData(0, 0, 1, 1); } } return performance.now(); })()"""
PLACE = """(() => { const one = document.querySelector(".plane, .nsewdrag, canvas");
  one.scrollIntoView({ block: "center", behavior: "instant" });
  const box = one.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; })()"""


def measure(way: str, count: int, folder: Path) -> dict[str, Any]:
    """Write the page of a way, open it, drag it."""
    page = folder / "page.html"
    begun = time.perf_counter()
    page.write_text(WAYS[way](folder, *rows_of(count)), encoding="utf-8")
    line: dict[str, Any] = {
        "way": way,
        "rows": count,
        "bytes": page.stat().st_size,
        "written": time.perf_counter() - begun,
    }
    with Chromium(Path(tempfile.mkdtemp(dir=folder))) as browser:
        browser.size(1200)
        browser.send("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        browser.send("Page.navigate", url=page.as_uri() + ("?draw=webgl2" if way == WEBGL else ""))
        try:
            browser.wait("window.firstPicture > 0", PATIENCE)
        except TimeoutError as error:
            return line | {"failed": str(error)[:200]}
        line["first_picture"] = browser.run("window.firstPicture") / 1000
        browser.wait("document.readyState === 'complete'")
        line |= pan(browser)
        line["console"] = [text[:120] for text in browser.console][:3]
    return line


def pan(browser: Chromium) -> dict[str, Any]:
    """Drag for `SECONDS`: pictures of another view a second, and every which row they had."""
    x, y = browser.run(PLACE)
    browser.mouse("mouseMoved", x, y)
    browser.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    for warm in range(3):
        browser.mouse("mouseMoved", x + 6 * warm, y, button="left", buttons=1)
    start, before, moved = browser.run(SYNC), browser.run(MOVES), 0
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        moved += 1
        angle = moved / 6
        browser.mouse("mouseMoved", x + 120 * np.sin(angle), y + 60 * np.cos(angle), button="left", buttons=1)
    frames, step = browser.run(MOVES) - before, browser.run(STEP)
    seconds = (browser.run(SYNC) - start) / 1000
    browser.mouse("mouseReleased", x, y, button="left", buttons=0, clickCount=1)
    return {"frames": frames / seconds, "every": step}


def shown(line: dict[str, Any]) -> dict[str, str]:
    """A line of the table."""
    head = {"points": f"{line['rows']:,}", "way": line["way"], "megabytes": f"{line.get('bytes', 0) / 1e6:.1f}"}
    if "first_picture" not in line:
        return head | {"first picture, s": "-", "frames/s": line.get("failed", "-").split(";")[0]}
    frames = f"{line['frames']:.1f}" + (f" (one point in {line['every']} while it moves)" if line["every"] > 1 else "")
    return head | {"first picture, s": f"{line['first_picture']:.2f}", "frames/s": frames}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options, lines = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as name:
        folder, npm = Path(name), shutil.which("npm")
        if npm and "regl-scatterplot" in options.ways:
            subprocess.run([npm, "pack", "--silent", *NPM], cwd=folder, check=False, capture_output=True)
        for count in options.rows:
            for way in options.ways:
                if way == "regl-scatterplot" and not list(folder.glob("regl-scatterplot*.tgz")):
                    lines.append({"way": way, "rows": count, "failed": "needs npm and its registry"})
                    continue
                lines.append(measure(way, count, folder))
                print(lines[-1], file=sys.stderr, flush=True)
    if options.json:
        print(
            json.dumps(
                {
                    "command": "python benchmarks/page.py --json",
                    "lines": lines,
                    "targets": TARGETS,
                    "machine": machine(machine(0)["cores"]),
                },
                indent=1,
            )
        )
    else:
        print(markdown([shown(line) for line in lines]))


if __name__ == "__main__":
    main()
