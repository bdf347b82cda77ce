"""A sweep as a live part of a page: its table, the curve against an axis and a heat map of two, all linked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from separatrix.reports.sections import Section
from separatrix.reports.sweep import MODEL, PARTS, ROW, setting_columns, sweep_lines, sweep_listing

Record = Mapping[str, Any]


def sweep_section(name: str, number: int, folder: Path, result: Record, beside: Path) -> Section:
    """The part of one sweep.

    Args:
        name: of the sweep.
        number: of the part, for its anchor.
        folder: of the study; pages of runs there are linked.
        result: its `result.json`.
        beside: the folder that the page will stand in.
    """
    lines, named = result["table"], result.get("columns") or setting_columns(result["table"])
    tuned, reference = list(result.get("tune", ())), result.get("reference")
    kept = sweep_lines(lines, result["costs"])
    shown = [line for line, _ in kept]
    states = ", ".join(f"{count} {state}" for state, count in result.get("states", {}).items())
    warnings = [*result.get("warnings", ()), *(f"failed: {line}" for line in result.get("failures", ()))]
    notes = list(result.get("notes", ()))
    if cache := result.get("cache"):
        notes.append(f"texts run {cache['built']} times for {cache['used']} uses, {cache['saved']:.0f} s saved")
    view = {
        "warnings": warnings, "best": list(result.get("best", ())), "notes": notes, "states": states, "tuned": tuned,
        "metric": result["metric"],
        "table": sweep_listing(shown, [cost for _, cost in kept], reference, named, metric=result["metric"]),
    }  # fmt: skip
    data = {
        "metric": result["metric"], "axes": _columns(shown, named, tuned),
        "lines": [_line(line, named) for line in shown], "runs": _runs(result, shown, folder, beside),
        "parts": [part for part in PARTS if any(part in line for line in shown)],
    }  # fmt: skip
    return Section(f"part-{number}", name, "sweep.html", view, "sweep", data)


def _columns(lines: Sequence[Record], named: Sequence[str], tuned: Sequence[str]) -> list[dict[str, Any]]:
    """Columns of settings with their values, numbers in their order."""
    columns = []
    for name in named:
        own = dict.fromkeys(line.get(name) for line in lines if "baseline" not in line)
        values = [str(one) for one in own if one is not None]
        numeric = bool(values) and all(map(_is_number, values))
        values = sorted(values, key=float) if numeric else values
        kind = "name" if name in (ROW, MODEL) else "axis"
        columns.append({"name": name, "values": values, "numeric": numeric, "tuned": name in tuned, "kind": kind})
    return columns


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line(line: Record, named: Sequence[str]) -> dict[str, Any]:
    """A setting as the script reads it: a value or None for each column, and mean, low and high of each part."""
    figures = {part: [line[part], line.get(f"{part}_low"), line.get(f"{part}_high")] for part in PARTS if part in line}
    label = line.get("label") or ", ".join(str(line[name]) for name in (ROW, MODEL) if name in line)
    plain = {"label": label, "at": [None if line.get(name) is None else str(line[name]) for name in named]}
    return plain | figures | {"chosen": bool(line.get("chosen", "label" in line)), "baseline": "baseline" in line}


def _runs(result: Record, lines: Sequence[Record], folder: Path, beside: Path) -> list[dict[str, Any]]:
    """Runs that are done: number of their line, seed, figures, and the address of their page where there is one."""
    numbers = {line["label"]: number for number, line in enumerate(lines) if "label" in line}
    runs = []
    for run in result.get("by_seed", ()):
        if run["label"] not in numbers:
            continue
        page = folder / "runs" / str(run["run"]) / "report.html"
        link = {"page": os.path.relpath(page, beside).replace(os.sep, "/")} if page.is_file() else {}
        figures = {part: run[part] for part in PARTS if part in run}
        runs.append({"line": numbers[run["label"]], "seed": run["seed"], "run": run["run"]} | figures | link)
    return runs
