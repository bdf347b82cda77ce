"""The parts of the page. A part = one function that returns a `Section` (or None: nothing to show) + one entry below.

A section names a template in `assets`, gives it `view`, and may give a script `data`: the script of that name,
registered in `assets/*.js`, draws into the section. `columns` are packed and read by the script when it needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from separatrix.reports import charts
from separatrix.reports.columns import Column
from separatrix.reports.pack import cut, data_uri, setting
from separatrix.reports.race import race_curve, race_listing
from separatrix.reports.result import PictureFile, RunReport
from separatrix.reports.rows import PageRows, RowMap, class_looks
from separatrix.reports.tables import ORDINAL, answered_listing, calibration_text, ordinal_listing, ruler, tabulate
from separatrix.reports.verdict import judge
from separatrix.view import panels
from separatrix.view.data import flatten

TEXT_LIMIT = 300  # signs of a text in a table that stands without a script
AGAINST = "Predicted against true"  # the picture that stands in place of a confusion matrix where numbers are predicted
WRONG_SHOWN = 40  # wrong predictions that stand there without a script
NONE = ("#c4c8cf", "circle")  # look of a row in no cluster
FEW = 12  # classes up to which their table has their own order
SUSPECTS_SHOWN = 300  # suspects in their table; the list of rows has all
PAIRS = 12  # most confused pairs that are listed


@dataclass(frozen=True)
class Section:
    """One part of the page: anchor, heading, template and what fills it, and what a script draws into it."""

    id: str
    title: str
    template: str
    view: Mapping[str, Any]
    draw: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)  # packed; the script finds them under `columns`


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
    apart = {"classes", *ORDINAL.values()}  # one for all; in a table of their own
    shown = [{key: value for key, value in row.items() if key not in apart} for row in report.scores]
    table = tabulate(shown, [row.get("method") == report.method for row in report.scores])
    rulers = [line and charts.ruler(**vars(line)) for line in map(ruler, report.scores)]
    several = any("micro_f1" in row for row in report.scores)  # labels a row
    view = {"table": table, "rulers": rulers if any(rulers) else [], "interval": report.interval, "sets": several}
    return Section("scores", "Scores", "scores.html", view)


def ordered(report: RunReport) -> Section | None:
    """Errors in classes, where these have an order."""
    table = ordinal_listing(report.scores, report.method)
    if table is None:
        return None
    order = report.recipe.get("evaluation", {}).get("order")
    return Section("ordered", "Errors in classes", "ordinal.html", {"table": table, "order": order})


def race(report: RunReport) -> Section | None:
    """How the method was chosen: what was tried, and accuracy against rows."""
    if report.race is None:
        return None
    table, curve = race_listing(report.race["candidates"], report.scores), race_curve(report.race["curve"])
    view = {"why": report.race["why"], "table": table, "curve": curve}
    return Section("race", "Why this method", "race.html", view)


def maps(report: RunReport) -> Section | None:
    """The rows in the plane: one map or several, moment by moment."""
    return map_section(report.maps, report.rows) if report.maps and report.rows is not None else None


def map_section(drawings: Sequence[RowMap], rows: PageRows) -> Section:
    """The section of the maps of a page's rows."""
    columns: dict[str, Column] = {}
    plain = []
    for number, one in enumerate(drawings):
        header, own = one.plain(number)
        plain.append(header)
        columns |= own
    legend, looks = class_looks(rows.names, rows.groups)
    longest = max(drawings, key=lambda one: len(one.titles))
    view = {
        "maps": drawings, "rows": rows, "last": len(longest.titles) - 1, "judged": rows.predicted is not None,
        "centroids": any(one.centroids is not None for one in drawings),
    }  # fmt: skip
    for clusters in rows.clusterings:  # kinds behind the others; what is in no cluster has the look of the last
        legend = [*legend, *clusters.names, "no cluster"]
        looks = [*looks, *class_looks(clusters.names)[1][: len(clusters.names)], NONE]
    data = {"maps": plain, "legend": legend, "looks": looks, "first": first_map(drawings, rows)}
    data |= rows.groups.plain() if rows.groups else {}
    return Section("map", "Map of the rows", "map.html", view, "map", data, columns)


def first_map(drawings: Sequence[RowMap], rows: PageRows) -> int:
    """Number of the map that the page opens on: of several runs the first one of the run that is shown first."""
    return next((number for number, one in enumerate(drawings) if rows.answers and one.answers == rows.first), 0)


def rows(report: RunReport) -> Section | None:
    """The list of all rows."""
    return None if report.rows is None else row_section(report.rows)


def row_section(rows: PageRows) -> Section:
    """The list of a page's rows; the first wrong ones stand there without a script."""
    wrong = (
        []
        if rows.predicted is None
        else np.flatnonzero((rows.predicted != rows.labels) & (rows.predicted >= 0)).tolist()
    )
    shown = [
        {"row": row, "gold": rows.names[rows.labels[row]], "guess": rows.names[rows.predicted[row]],
         "text": cut(rows.texts[row], TEXT_LIMIT)}
        for row in wrong[:WRONG_SHOWN] if rows.predicted is not None
    ]  # fmt: skip
    data = {
        "rows": len(rows),
        "names": list(rows.names),
        "looks": class_looks(rows.names, rows.groups)[1],
        "splits": rows.split_names,
        "answers": [one.title for one in rows.answers],
        "first": rows.first,
        "clusterings": [{"title": one.title, "names": list(one.names)} for one in rows.clusterings],
    }
    view = {"wrong": shown, "wrong_count": len(wrong), "judged": rows.predicted is not None}
    title = "Rows" if rows.predicted is None or rows.answers else f"Rows ({len(wrong)} of {_counted(rows)} wrong)"
    return Section("rows", title, "rows.html", view, "rows", data, rows.columns())


def _counted(rows: PageRows) -> str:
    """How many rows there are, and of which parts, since the scores stand by themselves for each part."""
    return f"{len(rows)} rows of {' + '.join(rows.split_names)}" if rows.splits else f"{len(rows)}"


def suspects(report: RunReport) -> Section | None:
    """Rows whose label is likely wrong, the likeliest first."""
    rows = report.rows
    if rows is None or rows.suspect is None or not np.isfinite(rows.suspect).any():
        return None
    order = np.argsort(np.where(np.isfinite(rows.suspect), -rows.suspect, np.inf), kind="stable")
    listed = order[: int(np.isfinite(rows.suspect).sum())]
    shown = [
        {"label": rows.names[rows.labels[row]], "suggested": rows.names[rows.predicted[row]],
         "label is right": 1 - rows.suspect[row], "split": rows.splits[row] if rows.splits else "",
         "text": cut(rows.texts[row], TEXT_LIMIT)}
        for row in listed[:SUSPECTS_SHOWN].tolist() if rows.predicted is not None
    ]  # fmt: skip
    left = f", the first {SUSPECTS_SHOWN} shown" if len(listed) > SUSPECTS_SHOWN else ""
    title = f"Suspect labels ({len(listed)} of {len(rows)} rows{left})"
    return Section(
        "suspects", title, "suspects.html", {"table": tabulate(shown)}, "table", {"rows": listed[: len(shown)].tolist()}
    )


def certainty(report: RunReport) -> Section | None:
    """How sure the answers are, how often they are right, and what leaving unsure rows out gains."""
    alive = report.rows is not None and report.rows.probabilities is not None
    figures = report.reliability
    if not alive and not figures:
        return None
    view: dict[str, Any] = {"alive": alive, "figures": figures, "part": report.reliability_part}
    if figures:
        lowest = min(one["accuracy"] for one in figures["coverage"])
        view["calibration"] = calibration_text(figures)
        view["answered"] = answered_listing(figures["coverage"])
        view["floor"] = max(0.0, np.floor(10 * lowest - 0.5) / 10)  # of the axis; a tenth, below every accuracy
    return Section("certainty", "How sure, and how right", "certainty.html", view, "certainty" if alive else "")


def curves(report: RunReport) -> Section | None:
    """Loss, score with its baseline, centroid distance."""
    drawn = curve_panels(report.metrics)
    return Section("curves", "Course of the training", "curves.html", {"panels": drawn}) if drawn else None


def curve_panels(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves of a training, of its lines an epoch, as its template takes them."""
    return [{"panel": panel, "chart": charts.line_chart(panel)} for panel in panels(metrics)]


def confusion(report: RunReport) -> Section | None:
    """The confusion matrix, and the pairs that are confused most."""
    if report.confusion is None:
        return None
    counts = np.asarray(report.confusion)
    off = [(int(counts[i, j]), int(i), int(j)) for i, j in np.argwhere(counts > 0) if i != j]
    pairs = sorted(off, key=lambda entry: (-entry[0], entry[1], entry[2]))[:PAIRS]
    view = {
        "matrix": charts.matrix(counts, report.names), "names": report.names, "part": report.confusion_part,
        "pairs": [(count, report.names[i], report.names[j], i, j, int(counts[i].sum())) for count, i, j in pairs],
        "left": len(off) - len(pairs),
    }  # fmt: skip
    return Section("confusion", "Confusion", "confusion.html", view, "confusion", {"split": report.confusion_part})


def classes(report: RunReport) -> Section | None:
    """The per-class table; of many classes those that are found worst stand first."""
    if not report.per_class:
        return None
    lines = list(report.per_class)
    if len(lines) > FEW and all("f1" in line for line in lines):
        lines.sort(key=lambda line: line["f1"])
    names = [str(next(iter(line.values()))) for line in lines]
    linked = "classes" if report.rows is not None and set(names) <= set(report.rows.names) else ""
    several = "threshold" in lines[0]  # labels a row
    view = {"table": tabulate(lines), "linked": bool(linked), "sets": several}
    return Section(
        "classes", "Labels" if several else "Classes", "classes.html", view, linked, {"names": names} if linked else {}
    )


def recipe(report: RunReport) -> Section | None:
    """The command that makes the run again, its seed, versions and hashes, and all options by stage."""
    if not report.recipe:
        return None
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, value in flatten(report.recipe):
        stage, _, name = key.rpartition(".")
        groups.setdefault(stage.replace("_", " ") or "run", []).append((name.replace("_", " "), setting(value)))
    view = {"groups": groups, "command": report.command, "origin": report.origin}
    return Section("recipe", "Recipe", "recipe.html", view)


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


# In the order of the page; warnings, where there are any, stand before the verdict.
SECTIONS: dict[str, Callable[[RunReport], Section | None]] = {
    "verdict": verdict,
    "warnings": warnings,
    "scores": scores,
    "ordered": ordered,
    "race": race,
    "map": maps,
    "rows": rows,
    "confusion": confusion,
    "classes": classes,
    "suspects": suspects,
    "certainty": certainty,
    "numbers": numbers,
    "curves": curves,
    "pictures": pictures,
    "recipe": recipe,
    "notes": notes,
}
