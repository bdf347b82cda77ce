"""The small form of a result in a notebook: a sentence, a few lines, a picture. It takes the notebook's own colours."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

LINES, SIGNS = 12, 80  # of a table, and of a cell
SENTENCE = 300  # signs of a verdict, a warning, a note
BYTES = 10_000  # of all tables, and of the picture
WIDTHS = (360, 280, 200)  # pixels of a picture; the first that is small enough
COLOURS = 24


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], lines: int = LINES, signs: int = SIGNS) -> str:
    """A table of which the first lines are shown, every cell escaped and of at most so many signs.

    >>> table(["name"], [["a < b"], ["c"]], 1)
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>a &lt; b</td></tr></tbody></table><p>and 1 more</p>'
    """
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(short(cell, signs))}</td>' for cell in row)}</tr>" for row in rows[:lines]
    )
    more = f"<p>and {len(rows) - lines} more</p>" if len(rows) > lines else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def short(text: str, signs: int = SIGNS) -> str:
    """A text of at most so many signs."""
    return text if len(text) <= signs else text[: signs - 1] + "\u2026"


def picture(path: Path) -> str:
    """A picture file as a small one that stands in the page; nothing where it cannot be read or stays too large."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            whole = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    for width in WIDTHS:
        if width < whole.width:
            drawn = whole.resize((width, max(1, round(whole.height * width / whole.width))), Image.Resampling.LANCZOS)
        else:
            drawn = whole
        buffer = io.BytesIO()
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        coded = base64.b64encode(buffer.getvalue()).decode()
        if len(coded) <= BYTES:
            name = escape(path.stem.replace("_", " "))
            return f'<p><img alt="{name}" width="{drawn.width}" src="data:image/png;base64,{coded}"></p>'
    return ""
