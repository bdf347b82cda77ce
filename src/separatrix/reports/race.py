"""The race of `--method auto` as a table and as a curve of accuracy against rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from separatrix.store.result import Listing
from separatrix.view.palette import look

WIDTH, HEIGHT, MARGIN = 640, 260, 44  # of the curve, in units of its picture


def race_listing(candidates: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]] = ()) -> Listing:
    """The candidates as they are printed.

    Args:
        candidates: as a race tells them.
        scores: of the model that was trained; of several labels a row, a row counts where its whole set is right.
    """
    counted = "whole set right" if any("subset_accuracy" in row for row in scores) else "accuracy"
    headings = ["raced", "rows", f"{counted} (95 % interval)", "the chosen one's lead", "seconds", "outcome"]
    rows = []
    for line in candidates:
        lead = "-"
        if line["difference"] is not None:
            low, high = line["difference"]["interval"]
            lead = f"{line['difference']['difference']:.3f} ({low:.3f} to {high:.3f})"
        score = "-"
        if line["accuracy"] is not None:
            score = f"{line['accuracy']:.3f} ({line['interval'][0]:.3f} to {line['interval'][1]:.3f})"
        outcome = line["state"] + (f": {line['why']}" if line["why"] else "")
        count = "-" if line["rows"] is None else str(line["rows"])
        rows.append([line["name"], count, score, lead, f"{line['seconds']:.1f}", outcome])
    return Listing(headings, rows, [line["state"] == "chosen" for line in candidates])


@dataclass(frozen=True)
class CurveLine:
    """A candidate's line: where its points and the ends of their intervals lie in the picture."""

    name: str
    colour: str
    points: tuple[tuple[float, float, float, float], ...]  # x, y, and y of both ends of the interval
    path: str


@dataclass(frozen=True)
class CurvePicture:
    """Accuracy against the number of rows, by its logarithm."""

    lines: tuple[CurveLine, ...]
    rows: tuple[tuple[float, int], ...]  # ticks: x, rows
    scores: tuple[tuple[float, str], ...]  # ticks: y, accuracy
    width: int = WIDTH
    height: int = HEIGHT
    margin: int = MARGIN


def race_curve(curve: Sequence[Mapping[str, Any]]) -> CurvePicture | None:
    """The learning curves as a picture; None where no candidate was tried with two numbers of rows."""
    every = [point for line in curve for point in line["points"]]
    if not any(len(line["points"]) > 1 for line in curve):
        return None
    sizes = sorted({point["rows"] for point in every})
    low, high = min(point["interval"][0] for point in every), max(point["interval"][1] for point in every)
    first, span, height = log2(sizes[0]), log2(sizes[-1] / sizes[0]), high - low or 1.0

    def x(rows: int) -> float:
        return round(MARGIN + (log2(rows) - first) / span * (WIDTH - 2 * MARGIN), 1)

    def y(score: float) -> float:
        return round(HEIGHT - MARGIN - (score - low) / height * (HEIGHT - 2 * MARGIN), 1)

    lines = []
    for number, line in enumerate(curve):
        points = tuple(
            (x(one["rows"]), y(one["accuracy"]), y(one["interval"][0]), y(one["interval"][1])) for one in line["points"]
        )
        path = " ".join(f"{point[0]},{point[1]}" for point in points)
        lines.append(CurveLine(line["name"], look(number).colour, points, path))
    ticks = tuple((y(score), f"{score:.2f}") for score in (low, (low + high) / 2, high))
    return CurvePicture(tuple(lines), tuple((x(rows), rows) for rows in sizes), ticks)
