"""Which colour and shape a class gets: ten colours that stay apart for colour-blind eyes, then the next shape.

The colours are those of M. Petroff, "Accessible color sequences for data visualization" (2021), in his order. With
more than ten classes the colours come again with another marker, then darker, then paler: 180 are all different.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
# The same shape under its name in matplotlib and on the page.
SHAPES = (
    ("o", "circle"), ("s", "square"), ("^", "triangle-up"), ("D", "diamond"), ("v", "triangle-down"), ("P", "cross"),
)  # fmt: skip

INK = "#1f2430"
MUTED = "#6b7280"
HAIR = "#e3e5ea"
ACCENT = "#0f6e72"
LEGIBLE = 4.5  # contrast that small writing needs
TONES = ((INK, 0.0), (INK, 0.45), ("#ffffff", 0.45))  # what colours are mixed with, after all shapes


@dataclass(frozen=True)
class ClassStyle:
    """How one class is drawn."""

    colour: str
    marker: str
    symbol: str


def look(class_id: int) -> ClassStyle:
    """Colour and shape of a class, by its number.

    >>> look(0), look(11).colour == look(1).colour, look(11).symbol
    (ClassStyle(colour='#3f90da', marker='o', symbol='circle'), True, 'square')
    """
    round_, number = divmod(class_id, len(COLOURS))
    marker, symbol = SHAPES[round_ % len(SHAPES)]
    other, share = TONES[round_ // len(SHAPES) % len(TONES)]
    return ClassStyle(mix(COLOURS[number], other, share), marker, symbol)


def group_look(group: int, position: int, size: int) -> ClassStyle:
    """Look of a class among classes that are alike: the colour of its group, shade and shape of its own.

    Args:
        group: its number.
        position: of the class in the group, alike ones side by side.
        size: classes of the group.

    >>> [group_look(0, position, 3).colour for position in range(3)], len({group_look(0, k, 60) for k in range(60)})
    (['#326596', '#3f90da', '#8cbce9'], 60)
    """
    steps = -(-size // len(SHAPES)) if size > 3 * len(SHAPES) else min(size, 3)
    shade, number = position * steps // size, position - -(-(position * steps // size) * size // steps)
    share = 0.4 * (2 * shade / (steps - 1) - 1) if steps > 1 else 0.0
    marker, symbol = SHAPES[number % len(SHAPES)]
    base = look(group)
    return ClassStyle(mix(base.colour, INK if share < 0 else "#ffffff", abs(share)), marker, symbol)


def mix(colour: str, other: str, share: float) -> str:
    """`colour` with a share of another one, both as #rrggbb.

    >>> mix("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = zip(rgb(colour), rgb(other), strict=True)
    return "#" + "".join(f"{round(own + share * (theirs - own)):02x}" for own, theirs in pairs)


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour, 0 to 255.

    >>> rgb("#3f90da")
    (63, 144, 218)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1), 0 black to 1 white."""
    parts = [part / 255 for part in rgb(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.1), 1 to 21.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((_luminance(colour), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(ground: str) -> str:
    """The colour of writing that is easier to read on a ground: ink or white, black where ink is too pale (WCAG 2.1).

    >>> ink_on("#ffa90e"), ink_on("#832db6"), ink_on("#a86ccc")
    ('#1f2430', '#ffffff', '#000000')
    """
    best = max((INK, "#ffffff"), key=lambda ink: contrast(ink, ground))
    return best if contrast(best, ground) >= LEGIBLE else "#000000"
