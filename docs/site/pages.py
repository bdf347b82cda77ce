"""Copies what the documentation site is built of to build/pages, where `zensical build --strict` reads it.

Pages keep their paths, so that a link means the same in the site, in the repository and on a forge. README.md becomes
the start page; files that a page links to (tables, figures, scripts) go along; notebooks become pages; the API's
pages are made from the docstrings. A link into nothing is left as it is: the strict build names it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md", "CHANGES.md", "CONTRIBUTING.md", "docs/**/*.md", "benchmarks/*.md", "examples/*.md",
    "studies/*/*.md", "src/**/*.md",
)  # fmt: skip
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def stage(target: Path) -> None:
    """Copy pages and what they link to; of an earlier call nothing is left."""
    shutil.rmtree(target, ignore_errors=True)
    for page in pages():
        put(page, target)
        for link in LINK.findall(page.read_text("utf-8")):
            linked = (page.parent / link[0]).resolve()
            if linked.is_file() and linked.suffix != ".md" and ROOT in linked.parents:
                put(linked, target)
    for notebook in (ROOT / "examples").glob("*.ipynb"):
        written = target / "examples" / f"{notebook.stem}.md"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text("\n".join(cells(notebook)), "utf-8")
    for name in ("site.css", "iframe-worker.js"):
        put(ROOT / "docs" / "site" / name, target)


def pages() -> list[Path]:
    """All Markdown pages of the site, in order of their paths."""
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern))


def put(path: Path, target: Path) -> None:
    """Copy a file of the repository to the same path below the target; README.md is the start page."""
    name = path.relative_to(ROOT)
    place = target / ("index.md" if name == Path("README.md") else name)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)


def cells(notebook: Path) -> Iterator[str]:
    """A notebook as Markdown: its texts, and its code in fences."""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
        yield ""


if __name__ == "__main__":
    from api import write

    stage(ROOT / "build" / "pages")
    write(ROOT / "build" / "pages" / "docs" / "api")
