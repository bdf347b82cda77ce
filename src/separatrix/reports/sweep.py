"""The table of a sweep as it is printed, written and put on a page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from separatrix.store.result import Listing, cell, digits, p_cell

Record = Mapping[str, Any]
ROW, MODEL = "row", "model"
PARTS = ("validation", "test")
FIGURES = (*PARTS, "difference")
PLAIN = {"label", "baseline", "runs", "planned", "chosen", "tries", "against", "p_value", "p_holm"}
ENDS = {f"{name}_{end}" for name in FIGURES for end in ("low", "high")}
COSTS = ("seconds", "cpu_seconds", "parameters", "bytes")
MIB = 2**20


def sweep_lines(lines: Sequence[Record], costs: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Lines with their costs, in the order of `sweep_listing`: what no run was done of stands once, or not at all."""
    return _once_without_runs(list(zip(lines, costs or [{}] * len(lines), strict=True)))


def setting_columns(lines: Sequence[Record]) -> list[str]:
    """Columns that say which setting a line is, the name of its row first."""
    known = PLAIN | {*FIGURES} | ENDS
    names = list(dict.fromkeys(name for line in lines for name in line if name not in known))
    return sorted(names, key=lambda name: name != ROW) or ["label"]


def sweep_listing(
    lines: Sequence[Record],
    costs: Sequence[Record],
    reference: str | None,
    named: Sequence[str],
    tuned: Sequence[str] = (),
    *,
    metric: str,
) -> Listing:
    """Settings with their figures and what they cost.

    Args:
        lines: of a sweep's table.
        costs: a mapping for each line, or none.
        reference: the row that others are compared with.
        named: columns that say which setting a line is.
        metric: what the figures are.
        tuned: those whose value validation chose: other values, and settings without a run, are left out.
    """
    pairs = list(zip(lines, costs or [{}] * len(lines), strict=True))
    if tuned:
        done = {_untuned(line, named, tuned) for line in lines if line.get("chosen")}
        pairs = [(line, cost) for line, cost in pairs if _is_shown(line, done, _untuned(line, named, tuned))]
    own = {name for line in lines if "baseline" not in line for name in line}
    pairs = [(_folded(line, named, own), cost) for line, cost in _once_without_runs(pairs)]
    named = [name for name in named if name in own or name in (ROW, "label")]
    figures = [name for name in FIGURES if any(name in line for line in lines)]
    more = [name for name in ("p_holm", "tries") if any(name in line for line in lines)]
    of_cost = [name for name in COSTS if any(name in cost for cost in costs)]
    heads = {"difference": f"less {reference}", "p_holm": "p (Holm)", "bytes": "MiB", "cpu_seconds": "CPU seconds"}
    headings = [*named, "runs", *(heads.get(name, name) for name in (*figures, *more, *of_cost))]
    rows = []
    for line, cost in pairs:
        cells = [str(line.get(name, "-")) for name in named] + [_runs(line)]
        cells += [_with_interval(line, name, digits(metric, ".4f")) for name in figures]
        cells += [(p_cell if name == "p_holm" else cell)(line.get(name)) for name in more]
        rows.append(cells + [_cost(cost, name) for name in of_cost])
    return Listing(headings, rows, [bool(line.get("chosen")) for line, _ in pairs])


def _folded(line: Record, named: Sequence[str], own: Collection[str]) -> Record:
    """A baseline with what tells it from others of its name behind it, where rows have no such column."""
    if "baseline" not in line:
        return line
    apart = [name for name in named if name in line and name not in {*own, ROW}]
    more = (line[name] if name == MODEL else f"{name} {line[name]}" for name in apart)
    return {**line, ROW: ", ".join([line["baseline"], *more])}


def _untuned(line: Record, named: Sequence[str], tuned: Sequence[str]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in named if name not in tuned)


def _is_shown(line: Record, done: Collection[tuple[Any, ...]], setting: tuple[Any, ...]) -> bool:
    """Whether a line is what validation chose, a baseline, or all that there is of its setting."""
    return bool(line.get("chosen")) or "baseline" in line or setting not in done


def _once_without_runs(pairs: Sequence[tuple[Record, Record]]) -> list[tuple[Record, Record]]:
    """A row of which there is no run stands once, not for every combination of the axes; a baseline does not stand."""
    left, seen = list[tuple[Record, Record]](), set[tuple[Any, ...]]()
    for line, cost in pairs:
        kept = {name: line[name] for name in (ROW, MODEL) if name in line}
        if line["runs"] or (not kept and "baseline" not in line):
            left.append((line, cost))
        elif "baseline" not in line and (key := (*kept.items(), not _planned(line))) not in seen:
            seen.add(key)
            left.append((kept | {name: line[name] for name in ("runs", "planned") if name in line}, {}))
    return left


def _planned(line: Record) -> int:
    return int(line.get("planned", 1))


def _runs(line: Record) -> str:
    """How many runs a line has, of how many.

    >>> _runs({"runs": 5, "planned": 5}), _runs({"runs": 1, "planned": 5}), _runs({"runs": 0, "planned": 0})
    ('5', '1 of 5', 'not run here')
    """
    done, planned = line["runs"], _planned(line)
    if not done:
        return "none done" if planned else "not run here"
    return str(done) if done >= planned else f"{done} of {planned}"


def _with_interval(line: Record, name: str, shown: str) -> str:
    if name not in line:
        return "-"
    sign = "+" if name == "difference" else ""
    if f"{name}_low" not in line:
        return f"{line[name]:{sign}{shown}}"
    return f"{line[name]:{sign}{shown}} ({line[f'{name}_low']:{shown}} to {line[f'{name}_high']:{shown}})"


def _cost(cost: Record, name: str) -> str:
    if name not in cost:
        return "-"
    return f"{cost[name] / MIB:.2f}" if name == "bytes" else str(cost[name])
