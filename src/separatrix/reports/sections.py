"""The parts of the page. A part = one function that returns a `Section` (or None: nothing to show) + one entry below.

A section names a template in `assets`, gives it `view`, and may give a script `data`: the script of that name,
registered in `assets/*.js`, draws into the section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from separatrix.reports.pack import cut, data_uri, hover_text, pack_ids, pack_positions, setting
from separatrix.reports.result import PictureFile, RunReport
from separatrix.reports.tables import ruler, tabulate
from separatrix.reports.verdict import judge
from separatrix.view import Frames, panels, row_shares
from separatrix.view.data import flatten
from separatrix.view.palette import look

TEXT_LIMIT = 300  # signs of a text that the page keeps
AGAINST = "Predicted against true"  # the picture that stands in place of a confusion matrix where numbers are predicted
WRONG_SHOWN = 200  # wrong predictions listed under the map


@dataclass(frozen=True)
class Section:
    """One part of the page: anchor, heading, template and what fills it, and what a script draws into it."""

    id: str
    title: str
    template: str
    view: Mapping[str, Any]
    draw: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def verdict(report: RunReport) -> Section:
    """The answer in one line."""
    answer = judge(report.scores, report.method, report.interval)
    return Section("verdict", "Does it separate?", "verdict.html", {"verdict": answer})


def warnings(report: RunReport) -> Section:
    """Warnings of the guards, or that there are none."""
    return Section("warnings", "Warnings", "warnings.html", {"warnings": report.warnings})


def scores(report: RunReport) -> Section | None:
    """The trained method next to its baselines."""
    if not report.scores:
        return None
    shown = [{key: value for key, value in row.items() if key != "classes"} for row in report.scores]  # one for all
    table = tabulate(shown, [row.get("method") == report.method for row in report.scores])
    rulers = [ruler(row) for row in report.scores]
    view = {"table": table, "rulers": rulers if any(rulers) else [], "interval": report.interval}
    return Section("scores", "Scores", "scores.html", view)


def held_out_map(report: RunReport) -> Section | None:
    """The outputs in the plane, frame by frame."""
    return None if report.frames is None else _map("map", "Map of the outputs", report.frames)


def train_map(report: RunReport) -> Section | None:
    """The same of rows that were trained on."""
    return None if report.train_frames is None else _map("train-map", "Map of training rows", report.train_frames)


def _map(name: str, title: str, frames: Frames) -> Section:
    wrong = [
        {"row": row, "gold": frames.names[frames.labels[row]], "guess": frames.names[frames.predicted[-1, row]],
         "text": cut(frames.texts[row], TEXT_LIMIT)}
        for row in np.flatnonzero(frames.predicted[-1] != frames.labels).tolist()
    ]  # fmt: skip
    view = {"frames": frames, "last": len(frames.titles) - 1, "wrong": wrong[:WRONG_SHOWN], "wrong_count": len(wrong)}
    return Section(name, title, "map.html", view | {"train": name != "map"}, "map", _map_data(frames))


def _map_data(frames: Frames) -> dict[str, Any]:
    box = frames.limits
    return {
        "box": [box.left, box.right, box.bottom, box.top],
        "points": pack_positions(frames.points, box),
        "centroids": None if frames.centroids is None else pack_positions(frames.centroids, box),
        "labels": pack_ids(frames.labels),
        "predicted": pack_ids(frames.predicted),
        "names": frames.names,
        "hoverNames": [hover_text(name, limit=60) for name in frames.names],
        "looks": [[look(k).colour, look(k).symbol] for k in range(len(frames.names))],
        "titles": frames.titles,
        "scores": [frames.score(index) for index in range(len(frames.titles))],
        "texts": [cut(text, TEXT_LIMIT) for text in frames.texts],
        "hovers": [hover_text(text, limit=TEXT_LIMIT) for text in frames.texts],
        "axes": [hover_text(name, width=90) for name in frames.axes],
    }


def curves(report: RunReport) -> Section | None:
    """Loss, score with its baseline, centroid distance."""
    charts = panels(report.metrics)
    if not charts:
        return None
    drawn = [
        {"title": panel.title, "x": panel.x_label, "y": panel.y_label,
         "lines": [{"name": line.name, "x": line.x, "y": line.y, "baseline": line.baseline} for line in panel.lines]}
        for panel in charts
    ]  # fmt: skip
    return Section("curves", "Course of the training", "curves.html", {"panels": charts}, "curves", {"panels": drawn})


def confusion(report: RunReport) -> Section | None:
    """The confusion matrix."""
    if report.confusion is None:
        return None
    counts = np.asarray(report.confusion)
    off = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts > 0) if i != j]
    worst = sorted(off, key=lambda entry: (-entry[0], entry[1], entry[2]))[:3]
    view = {"worst": [(count, report.names[i], report.names[j]) for count, i, j in worst], "names": report.names}
    shares = row_shares(counts)
    data = {
        "counts": counts.tolist(),
        "shares": shares.tolist(),
        "rows": counts.sum(axis=1).tolist(),
        "names": [hover_text(name, limit=24) for name in report.names],
    }
    return Section("confusion", "Confusion", "confusion.html", view, "confusion", data)


def classes(report: RunReport) -> Section | None:
    """The per-class table."""
    if not report.per_class:
        return None
    return Section("classes", "Classes", "table.html", {"table": tabulate(report.per_class)})


def recipe(report: RunReport) -> Section | None:
    """All options of the run, by stage."""
    if not report.recipe:
        return None
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, value in flatten(report.recipe):
        stage, _, name = key.rpartition(".")
        groups.setdefault(stage.replace("_", " ") or "run", []).append((name.replace("_", " "), setting(value)))
    return Section("recipe", "Recipe", "recipe.html", {"groups": groups})


def numbers(report: RunReport) -> Section | None:
    """Predicted against true numbers."""
    return _files("numbers", AGAINST, "numbers.html", [one for one in report.pictures if one.title == AGAINST])


def pictures(report: RunReport) -> Section | None:
    """PictureFile files, put into the page."""
    return _files("pictures", "Pictures", "pictures.html", [one for one in report.pictures if one.title != AGAINST])


def _files(name: str, title: str, template: str, files: Sequence[PictureFile]) -> Section | None:
    shown = [(picture.title, data_uri(picture.path)) for picture in files]
    return Section(name, title, template, {"pictures": shown}) if shown else None


def notes(report: RunReport) -> Section | None:
    """What else is true of the run."""
    return Section("notes", "Notes", "notes.html", {"notes": report.notes}) if report.notes else None


# In the order of the page.
SECTIONS: dict[str, Callable[[RunReport], Section | None]] = {
    "verdict": verdict,
    "warnings": warnings,
    "scores": scores,
    "map": held_out_map,
    "train map": train_map,
    "curves": curves,
    "confusion": confusion,
    "numbers": numbers,
    "classes": classes,
    "pictures": pictures,
    "recipe": recipe,
    "notes": notes,
}
