"""What the rows of `metrics.jsonl` have to say, as lines in panels: loss, score with its baseline, centroids, shape.

The same panels are drawn by matplotlib (`curves`) and by the report. A panel without any number is left out, a number
that is missing is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line: x and y of the same length, NaN where a number is missing. A baseline is drawn dashed."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    baseline: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines that share two axes."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


# title, y axis, (name, path into the row, is a baseline)
PANELS: tuple[tuple[str, str, tuple[tuple[str, tuple[str, ...], bool], ...]], ...] = (
    ("Loss", "loss", (("train", ("loss",), False), ("validation", ("validation", "loss"), False))),
    (
        "Validation score",
        "score (fraction)",
        (
            ("accuracy", ("validation", "accuracy"), False),
            ("macro F1", ("validation", "macro_f1"), False),
            ("majority", ("validation", "majority"), True),
        ),
    ),
    (
        "Validation error",
        "root mean square error",
        (("model", ("validation", "rmse"), False), ("mean of train", ("validation", "baseline_rmse"), True)),
    ),
    (
        "Centroids",
        "Euclidean distance",
        (
            ("mean pair", ("centroids", "mean"), False),
            ("nearest pair", ("centroids", "min"), False),
            ("moved", ("centroids", "moved"), False),
        ),
    ),
    (
        "Shape of the validation vectors",
        "0 when collapsed",
        (
            ("alignment", ("validation", "alignment"), False),
            ("NC1: within over between", ("validation", "nc1"), False),
            ("NC2: angles", ("validation", "nc2_angle"), False),
            ("NC2: lengths", ("validation", "nc2_norm"), False),
            ("NC4: other than nearest mean", ("validation", "nc4"), False),
        ),
    ),
)


def panels(metrics: Sequence[Row]) -> tuple[Panel, ...]:
    """Collect the panels for which there are numbers.

    Args:
        metrics: rows of `metrics.jsonl`; any key may be missing.

    >>> [panel.title for panel in panels([{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.5}])]
    ['Loss']
    >>> panels([{"epoch": 1, "loss": 0.9}, {"epoch": 2}])[0].lines[0]
    Line(name='train', x=(1.0, 2.0), y=(0.9, nan), baseline=False)
    """
    x_label, x = _moments(metrics)
    found = []
    for title, y_label, specs in PANELS:
        lines = [Line(name, x, tuple(number(row, path) for row in metrics), dashed) for name, path, dashed in specs]
        lines = [line for line in lines if any(math.isfinite(value) for value in line.y)]
        if lines:
            found.append(Panel(title, x_label, y_label, tuple(lines)))
    return tuple(found)


def _moments(metrics: Sequence[Row]) -> tuple[str, tuple[float, ...]]:
    """Find the first of epoch, step and row number that every row has."""
    for key in ("epoch", "step"):
        values = tuple(number(row, (key,)) for row in metrics)
        if values and all(math.isfinite(value) for value in values):
            return key, values
    return "row", tuple(float(place) for place in range(1, len(metrics) + 1))


def number(row: Row, path: tuple[str, ...]) -> float:
    """Read the finite number at a path of a nested row, or NaN.

    >>> number({"validation": {"loss": 0.5}}, ("validation", "loss")), number({"validation": None}, ("loss",))
    (0.5, nan)
    """
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return math.nan
    return float(value)
