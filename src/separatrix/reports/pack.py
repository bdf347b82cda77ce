"""Numbers and texts on their way into the page: small, exact enough, and harmless.

Foreign text reaches the page in three ways, each harmless: jinja2 escapes what stands in HTML, `data_json` what stands
in a script element (numbers keep four significant digits), and blocks of columns are base64. The scripts write all of
it with `textContent`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import StoreError, choose

JOINERS = "\u200c\u200d"  # how Persian, the scripts of India and emoji join their signs
MEDIA = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg"}


def data_json(value: Any) -> str:
    r"""JSON that can stand inside a script element: no sign of it can end the element or the line.

    >>> print(data_json({"text": "</script> & more", "loss": float("nan"), "rate": 0.123456}))
    {"text":"\u003c/script\u003e \u0026 more","loss":null,"rate":0.1235}
    """
    text = json.dumps(_rounded(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda sign: f"\\u{ord(sign[0]):04x}", text)


def _rounded(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(part) for part in value]
    return value


def cut(text: str, limit: int) -> str:
    """At most `limit` signs of a text, without control signs; line ends stay.

    >>> cut("one two three", 10)
    'one two...'
    """
    text = printable(text)
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


def printable(text: str) -> str:
    r"""A text without control signs; line ends stay, and other white space is a space, so that no words grow together.

    >>> printable("one\ttwo\r\n1\u00a0000\x00")
    'one two\n1 000'
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text.replace("\r\n", "\n")))


def _printable(sign: str) -> str:
    if sign == "\n" or sign in JOINERS or sign.isprintable():
        return sign
    return " " if sign.isspace() else ""


def data_uri(path: Path) -> str:
    """A picture file as text that stands in the page. Raises `OptionError`: not a kind of picture that can be shown."""
    kind = choose(path.suffix.lower(), MEDIA, "kind of picture")
    try:
        return f"data:{MEDIA[kind]};base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise StoreError(f"cannot read the picture {path}", got=error.strerror) from error


def setting(value: Any) -> str:
    """An option as it would be typed.

    >>> setting(0.01), setting(1.0), setting(None), setting(True), setting(1e-5)
    ('0.01', '1', '-', 'yes', '1e-05')
    """
    return f"{value:g}" if isinstance(value, float) else show(value)


def show(value: Any, digits: str | None = None) -> str:
    """A value as the page shows it: scores as fractions with three digits, intervals as "low to high".

    Args:
        value: anything that a table holds.
        digits: format of floats, where they are no scores.

    >>> show(0.95432), show((0.9, 0.97)), show(171), show(None), show(12345.678), show(True), show(-0.0001)
    ('0.954', '0.900 to 0.970', '171', '-', '12346', 'yes', '0.000')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if digits is not None:
            return f"{value:{digits}}"
        return f"{value:z.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        numbers = len(value) == 2 and all(isinstance(part, (int, float)) for part in value)
        return (" to " if numbers else ", ").join(show(part, digits) for part in value)
    return str(value)
