"""A time that work may take, as it is typed."""

from __future__ import annotations

import re

from separatrix.errors import OptionError

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def read_budget(text: str) -> float:
    """Seconds of a budget as `30min`, `2h` or `90s`.

    Raises:
        OptionError: another form.

    >>> read_budget("30min"), read_budget("1.5h")
    (1800.0, 5400.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if match is None:
        raise OptionError("--budget cannot be this", got=repr(text), expected="a time as 30min, 2h or 90s")
    return float(match[1]) * _UNITS[match[2]]
