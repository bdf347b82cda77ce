"""The pictures of a sweep: a figure against each axis of numbers, two axes as a heat map, quality beside cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.store.result import digits
from separatrix.sweeps.settings import MODEL, ROW
from separatrix.view.canvas import save
from separatrix.view.cells import heatmap
from separatrix.view.sweep_plots import NAMED, MeanPoint, axis_curves, quality_by_cost

Record = Mapping[str, Any]
MOST_SERIES = 12  # lines of one picture


def draw(
    lines: Sequence[Record],
    costs: Sequence[Record],
    runs: Sequence[Record],
    columns: Sequence[str],
    tuned: Collection[str],
    metric: str,
    folder: Path,
) -> None:
    """Write the pictures that the axes allow; of tuned axes, the values that validation chose count.

    Args:
        lines, costs: of a `SweepResult`.
        runs: its figures by seed.
        columns: those that say which setting a line is.
        tuned: columns whose value is chosen.
        metric: accuracy, macro_f1 or rmse.
        folder: of the study.
    """
    part = "test" if any("test" in line for line in lines) else "validation"
    shown = [line for line in lines if part in line and (line.get("chosen", True) or "baseline" in line)]
    for column in columns:
        if column not in tuned and len(_numbers(lines, column)) > 1:
            rest = [name for name in columns if name != column and name not in tuned]
            _against(shown, column, rest, part, metric, folder)
    trained = [line for line in lines if "baseline" not in line]
    if (axes := _two_axes(trained, columns)) is not None:
        labels = {line["label"] for line in trained}
        _heat([run for run in runs if run["label"] in labels and "validation" in run], axes, metric, folder)
    pairs = zip(lines, costs, strict=True)
    priced = [(line, cost["seconds"]) for line, cost in pairs if part in line and "seconds" in cost]
    if len(priced) > NAMED:  # more dots than names: those that validation chose
        priced = [(line, seconds) for line, seconds in priced if line in shown]
    if len(priced) > 1:
        dots = {line["label"]: (seconds, line[part]) for line, seconds in priced}
        save(quality_by_cost(dots, f"{part} {metric}"), folder / "cost.png")


def _against(lines: Sequence[Record], column: str, rest: Sequence[str], part: str, metric: str, folder: Path) -> None:
    series, levels = dict[str, list[MeanPoint]](), dict[str, float]()
    for line in lines:
        name = ", ".join(str(line[key]) if key in (ROW, MODEL) else f"{key}={line[key]}" for key in rest if key in line)
        if column not in line:
            levels[name] = line[part]
            continue
        point = MeanPoint(float(line[column]), line[part], line.get(f"{part}_low"), line.get(f"{part}_high"))
        series.setdefault(name or metric, []).append(point)
    if series and len(series) <= MOST_SERIES:
        ordered = {name: sorted(points, key=lambda point: point.x) for name, points in series.items()}
        save(axis_curves(ordered, levels, (column, f"{part} {metric}")), folder / f"{metric}_by_{column}.png")


def _heat(runs: Sequence[Record], axes: tuple[str, str], metric: str, folder: Path) -> None:
    """The mean on validation over the seeds of every cell and whatever else differs; the best cell is framed.

    Where a value is chosen with fewer seeds than it is then run with, the others would compare unlike means.
    """
    seeds_of = dict[tuple[Any, ...], set[int]]()
    for run in runs:
        seeds_of.setdefault(tuple(run.get(axis) for axis in axes), set()).add(run["seed"])
    if not (seeds := set.intersection(*seeds_of.values()) if seeds_of else set[int]()):
        return
    names = tuple(_values(runs, axis) for axis in axes)
    cells = np.full((len(names[0]), len(names[1])), np.nan)
    for row, column in np.ndindex(cells.shape):
        wanted = (names[0][row], names[1][column])
        values = [
            run["validation"]
            for run in runs
            if run["seed"] in seeds and tuple(run.get(axis) for axis in axes) == wanted
        ]
        cells[row, column] = np.mean(values) if values else np.nan
    index = int(np.nanargmin(cells) if metric == "rmse" else np.nanargmax(cells))
    best = (index // cells.shape[1], index % cells.shape[1])
    labels = ([f"{axes[0]}={value}" for value in names[0]], [f"{axes[1]}={value}" for value in names[1]])
    note = f"mean over seeds that every cell has ({len(seeds)}) and whatever else differs; framed: the best"
    save(
        heatmap(cells, labels, title=f"validation {metric}", note=note, best=best, digits=digits(metric)),
        folder / f"{axes[0]}_by_{axes[1]}.png",
    )


def _two_axes(lines: Sequence[Record], columns: Sequence[str]) -> tuple[str, str] | None:
    """The two columns with the most values, rows and models left out."""
    counts = {name: len(_values(lines, name)) for name in columns if name not in (ROW, MODEL)}
    several = sorted((name for name in counts if counts[name] > 1), key=lambda name: -counts[name])
    return (several[0], several[1]) if len(several) > 1 else None


def _values(lines: Sequence[Record], column: str) -> list[str]:
    return list(dict.fromkeys(line[column] for line in lines if column in line))


def _numbers(lines: Sequence[Record], column: str) -> list[float]:
    """The values of a column as numbers; none where one is no number."""
    try:
        return [float(value) for value in _values(lines, column)]
    except ValueError:
        return []
