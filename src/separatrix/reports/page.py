"""What every page is made with: templates that escape, styles and scripts of the package, a policy that loads nothing.

A page is one file. Its policy forbids every request, and names the one style sheet and the one script that it may use
by their hashes, so that a text in the data can neither run nor call home. The same content gives the same bytes: no
date, no random name.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from separatrix.reports.columns import ColumnPacker
from separatrix.reports.pack import data_json, show
from separatrix.reports.result import RunReport
from separatrix.reports.sections import SECTIONS, Section
from separatrix.store.files import write_bytes
from separatrix.store.result import Lines, Listing, Printed

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, repr=False)
class ReportFile(Printed):
    """Where a page is, and its size."""

    path: Path
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"out": str(self.path), "bytes": self.bytes}

    def parts(self) -> Sequence[Listing | Lines]:
        """The same, line by line."""
        return [list(self.to_dict().items())]


def fill(
    template: str, scripts: Sequence[str] = (), *, styles: Sequence[str] = ("page.css",), source: str = "", **parts: Any
) -> str:  # fmt: skip
    """A page as text: every text that is put in is escaped, and a name that nobody gave is an error.

    Args:
        template: of the package's assets; it places `style`, `script` and `policy`.
        scripts: of the assets, one behind the other.
        styles: style sheets of the assets.
        source: what the scripts may read beside the page: nothing, or 'self' of a page that a server shows.
        parts: what the template shows.
    """
    style, script = Markup("\n".join(map(_asset, styles))), inline_script("\n".join(map(_asset, scripts)))
    assets = {
        "policy": policy(style, script, source),
        "style": Markup("<style>{}</style>").format(style),
        "script": Markup("<script>{}</script>").format(script) if scripts else "",
    }
    return _templates().get_template(template).render(**assets, **parts)


def part(template: str, **parts: Any) -> str:
    """A part of a page as text, escaped as `fill` does."""
    return _templates().get_template(template).render(**parts)


def policy(style: str, script: str, source: str = "") -> str:
    """What a page may do: this style sheet, this script, pictures that stand in it, and to read from a source if named.

    >>> policy("", "")
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
    """
    named = {
        kind: base64.b64encode(hashlib.sha256(source.encode(errors="replace")).digest()).decode()
        for kind, source in (("style-src", style), ("script-src", script)) if source
    }  # fmt: skip
    allowed = "".join(f"; {kind} 'sha256-{digest}'" for kind, digest in named.items())
    allowed += f"; connect-src {source}" if source else ""
    return f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'{allowed}"


@cache
def _templates() -> Environment:
    """The package's templates; one that was used is kept, since reading it takes longer than to fill it."""
    loader = FileSystemLoader(ASSETS)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"data_json": lambda value: Markup(data_json(value)), "show": show}
    return pages


def inline_script(source: str) -> Markup:
    r"""A script that can stand between script tags: nothing in it ends the element or opens a comment.

    >>> print(inline_script("a = '</script>'; b = '<!--'"))
    a = '<\/script>'; b = '<\!--'
    """
    return Markup(re.sub(r"<(?=/script|!--)", r"<\\", source, flags=re.IGNORECASE))


def write_page(path: str | Path, text: str) -> ReportFile:
    """Write a page whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written.
    """
    # Half a surrogate pair, from a text in a broken encoding, has no bytes: it becomes a question mark.
    content = text.encode(errors="replace")
    write_bytes(Path(path), content)
    return ReportFile(Path(path), len(content))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


SCRIPTS = (
    "core.js", "columns.js", "selection.js", "table.js", "index.js", "camera.js", "painter.js", "flat.js",
    "gestures.js", "labels.js", "scatter.js", "map.js", "rows.js", "links.js", "certainty.js", "sweep.js",
    "start.js",
)  # fmt: skip


def write_report(path: str | Path, report: RunReport) -> ReportFile:
    """Write a report as one file that opens offline, whole or not at all; an older one is replaced in one step.

    Raises:
        StoreError: the place cannot be written, or a picture cannot be read.
    """
    return write_page(path, render(report))


def sections_of(report: RunReport) -> list[Section]:
    """The parts that `SECTIONS` makes of a report; warnings, if there are any, stand first."""
    sections = [section for make in SECTIONS.values() if (section := make(report)) is not None]
    return sorted(sections, key=lambda section: not (section.id == "warnings" and bool(report.warnings)))


def render(
    report: RunReport, sections: Sequence[Section] | None = None, packer: ColumnPacker | None = None
) -> str:  # fmt: skip
    """The page as text.

    Args:
        sections: its parts; those that `SECTIONS` makes of the report if absent.
        packer: takes the columns; one that puts all of them into the page if absent.
    """
    sections, packer = sections_of(report) if sections is None else sections, packer or ColumnPacker()
    data = [dict(section.data) | {"columns": packer.pack(section.columns)} for section in sections]
    drawn = any(section.draw for section in sections)
    return fill(
        "page.html", SCRIPTS if drawn else (), source=packer.source, served=bool(packer.source), report=report,
        sections=list(zip(sections, data, strict=True)), numbers=packer.numbers, texts=packer.texts,
    )  # fmt: skip
