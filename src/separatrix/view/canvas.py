"""The sheet that every picture is drawn on: size, text colours, quiet axes, and saving with the same bytes each time.

Figures are made by the object interface of matplotlib with the Agg canvas. pyplot is never imported: it keeps every
figure in a global list and picks a window system.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from separatrix.errors import PictureWarning, choose
from separatrix.figures import writes_svg
from separatrix.store.files import write_bytes
from separatrix.view.palette import HAIR, INK, MUTED

DPI = 150
MOST_SHAPES = 20_000
MISSING = re.compile(r"Glyph (\d+) ")
# Fonts with the signs of Chinese, Japanese, Korean and others, in the order in which they are tried.
FALLBACKS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans", "WenQuanYi Zen Hei",
             "WenQuanYi Micro Hei", "Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Microsoft YaHei",
             "Yu Gothic", "Malgun Gothic", "Arial Unicode MS", "Unifont")  # fmt: skip


def new_figure(width: float, height: float, dpi: int = DPI) -> Figure:
    """Make an empty white figure, in inches, that belongs to no window."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def quiet(axes: Axes) -> None:
    """Take away what is not data: two spines, ticks, loud grid lines."""
    axes.set_facecolor("white")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(HAIR)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(visible=True, color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(MUTED)
        label.set_fontsize(8.5)


def headline(axes: Axes, text: str) -> None:
    """Write the title of a panel at its left edge."""
    axes.set_title(plain(text, 80), loc="left", fontsize=10.5, fontweight="bold", color=INK)


def plain(text: str, limit: int = 28) -> str:
    r"""Show a foreign text as it is, in one line: cut to `limit` signs, and a dollar sign starts no formula.

    >>> plain("price in $ or $$", 14)
    'price in \\$...'
    """
    line = re.sub(r"\s+", " ", text).strip()
    return (line if len(line) <= limit else line[: limit - 3].rstrip() + "...").replace("$", r"\$")


@contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Draw a character that the font lacks as a box; a `PictureWarning` says which, the rest is good."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Glyph .* missing from", category=UserWarning)
        yield
    numbers = set()
    for line in caught:
        if glyph := MISSING.match(str(line.message)):
            numbers.add(int(glyph[1]))
        else:
            warnings.warn_explicit(line.message, line.category, line.filename, line.lineno)
    if numbers:
        listed = ", ".join(f"U+{number:04X}" for number in sorted(numbers)[:3])
        what = f"pictures show {len(numbers)} characters as boxes, which no font here has ({listed})"
        warnings.warn(f"{what}; install one that has them, such as Noto Sans CJK", PictureWarning, stacklevel=4)


def use_installed_fonts(figure: Figure) -> None:
    """Let texts that the usual font cannot write fall back on the fonts for other scripts that are installed."""
    foreign = [text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()]
    if not foreign:
        return
    installed = set(font_manager.get_font_names())
    families = ["DejaVu Sans", *(name for name in FALLBACKS if name in installed)]
    for text in foreign:
        text.set_fontfamily(families)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure of this folder as PNG, whole or not at all; the same figure gives the same bytes.

    Inside `separatrix.figures.figures("svg")` an SVG file is written beside it. Layers of more than `MOST_SHAPES` marks
    are pixels there, since no program opens so many shapes.

    Raises:
        OptionError: another ending.
        StoreError: the place cannot be written.
    """
    choose(Path(path).suffix.lower(), [".png"], "kind of picture")
    use_installed_fonts(figure)
    buffer = io.BytesIO()
    with missing_glyphs_allowed():
        # matplotlib would write its own version into the file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(Path(path), buffer.getvalue())
    if writes_svg():
        write_bytes(Path(path).with_suffix(".svg"), _as_svg(figure))
    return Path(path)


def _as_svg(figure: Figure) -> bytes:
    """A figure as SVG without date, version or random names; letters are outlines, the same on every machine."""
    for axes in figure.axes:
        for marks in axes.collections:
            if len(np.asarray(marks.get_offsets())) > MOST_SHAPES:
                marks.set_rasterized(True)
    buffer = io.BytesIO()
    with missing_glyphs_allowed(), rc_context({"svg.hashsalt": "separatrix", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()
