"""Draws the pictures of docs/page.md: pages of finished results, opened in headless Chromium.

    separatrix demo --out runs/demo
    separatrix heads questions.csv --text question --windows 60 --max-length 64 --out runs/atlas
    separatrix train data/banking77 --method probe --per-class 30 --out runs/many
    separatrix report runs/sweep --out sweep.html && separatrix report runs/demo runs/probe --out several.html
    python docs/site/screenshots.py run=runs/demo/report.html many=runs/many/report.html atlas=runs/atlas/atlas.html \
        sweep=sweep.html several=several.html

A picture is written for each page that is named; of data that are not ours no text is shown, class names alone.
"""

from __future__ import annotations

import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from PIL import Image

from accessibility import READY
from chromium import Chromium

COLOURS = 256  # of a picture: a page has few
MOST = 150_000  # bytes of a picture


@dataclass(frozen=True)
class Shot:
    """A picture: of which page, from which element on, how large, after which script."""

    page: str
    start: str  # the element whose top is the picture's
    height: int
    script: str = "0"
    width: int = 1100
    scheme: str = "light"


CLASS = "document.querySelectorAll('.legend button')[2].click()"
# A wrong row that the map shows
ROW = (
    "separatrix.table().then((table) => table.choose([...table.selection.numbers()]"
    ".find((row) => table.wrong(row) && separatrix.maps[0].to.present[row] >= 0) ?? 0))"
)
SHOTS = {
    "page_verdict": Shot("run", "header", 1420),
    "page_linked": Shot("run", "#map", 1560, f"({CLASS}, {ROW})"),
    "page_rows": Shot("run", "#rows", 1000, "document.querySelector('#confusion .pairs button')?.click() ?? 0"),
    "page_certainty": Shot("run", "#certainty", 620),
    "page_many": Shot("many", "#map", 1050),
    "page_many_classes": Shot("many", "#classes", 700),
    "page_atlas": Shot("atlas", "#atlas", 1150, "document.querySelectorAll('.words span')[3].click()"),
    "page_sweep": Shot("sweep", "main", 1000),
    "page_several": Shot("several", "main", 1000),
    "page_phone": Shot("run", "#map", 1000, f"({CLASS}, {ROW})", 400, "dark"),
}


def main(pages: dict[str, Path]) -> None:
    """Write the pictures whose page was named."""
    with tempfile.TemporaryDirectory() as folder, Chromium(Path(folder)) as browser:
        for name, shot in SHOTS.items():
            if shot.page not in pages:
                continue
            browser.media(prefers_color_scheme=shot.scheme, prefers_reduced_motion="reduce")
            browser.open(pages[shot.page].resolve().as_uri(), READY, width=shot.width)
            browser.run(f"Promise.resolve({shot.script}).then(() => new Promise((done) => setTimeout(done, 400)))")
            browser.size(shot.width, shot.height)
            browser.run(
                "new Promise((done) => { scrollTo({ behavior: 'instant', top: scrollY + "
                f"document.querySelector('{shot.start}').getBoundingClientRect().top }}); setTimeout(done, 300); }})"
            )
            target = ROOT / "docs" / "images" / f"{name}.png"
            target.write_bytes(small(browser.shot(Path(folder) / "shot.png").read_bytes()))
            print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")
            if target.stat().st_size > MOST:
                sys.exit(f"{target} is too large")


def small(picture: bytes) -> bytes:
    """The same picture in few colours."""
    stream = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main({name: Path(path) for name, _, path in (argument.partition("=") for argument in sys.argv[1:])})
