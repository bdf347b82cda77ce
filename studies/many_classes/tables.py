"""RESULTS.md of the study from its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from studies.common import interval, markdown, spell

from separatrix.geometry.resample import MeanInterval, paired_difference

BASE = "finetune"
WAYS = ("head", "head balanced", "knn", "knn balanced", "mean", "head and votes", "head and means")
HEAD = """# Many classes, beyond fine-tuning: results

Written by `python studies/many_classes/run.py --table` from `runs.jsonl`; not by hand. What was tried and how to read
this: [README.md](README.md). Accuracies; in brackets the 95 % t interval of the mean over seeds (or folds), where there
are several. "Chosen" is the way to decide that has most validation rows right in that run. "Against" is the mean of the
differences from fine-tuning's head in the same seeds (or folds).
"""
Run = Mapping[str, Any]
Destination = tuple[str, int | None, int | None, bool, int]


def write_tables(out: Path, runs: Sequence[Run], ideas: Mapping[str, Any]) -> None:
    """One table for each set, number of rows and kind of run."""
    lines = [HEAD]
    sections = sorted(
        {destination(run) for run in runs}, key=lambda one: (not one[3], one[0], one[1] or 10**6, one[2] or 0, one[4])
    )
    for one in sections:
        here = [run for run in runs if destination(run) == one]
        lines += [f"## {_title(one)}\n", _facts(here), markdown(section(here, ideas)), ""]
    (out / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")


def destination(run: Run) -> Destination:
    """The table of a run."""
    undrawn = run["rows"]["test"] if run["screen"] else 0
    return run["set"], run["per_class"], run["folds"], run["screen"], undrawn


def _title(one: Destination) -> str:
    name, per_class, folds, screen, undrawn = one
    rows = "all rows" if per_class is None else f"{per_class} rows of a class"
    judged = f"{folds} folds of its training part" if folds else "test part"
    return f"Screen: {name}, {rows}, judged on {undrawn}" if screen else f"{name}, {rows}, {judged}"


def _facts(here: Sequence[Run]) -> str:
    rows = here[0]["rows"]
    what = "undrawn training rows" if here[0]["screen"] else "rows of the test part"
    shift = np.mean([run["prior_shift"] for run in here])
    cores = sorted({run["machine"]["cpu"] for run in here})
    counts = f"{rows['train']} training rows, {rows['validation']} of validation, judged on {rows['test']} {what}"
    return (
        f"{counts}; prior shift (total variation of the label shares, training to judged rows) {shift:.3f}.\n"
        f"One thread of {', '.join(cores)}, shared with other work.\n"
    )


def section(here: Sequence[Run], ideas: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows of one table, fine-tuning first, then by what the chosen way has on validation."""
    by_row: dict[str, dict[tuple[int, int | None], Run]] = {}
    for run in here:
        by_row.setdefault(run["row"], {})[run["seed"], run["fold"]] = run
    base = by_row.get(BASE, {})
    order = sorted(by_row, key=lambda row: (row != BASE, -np.mean([_chosen(run)[1] for run in by_row[row].values()])))
    return [_line(row, by_row[row], base, ideas) for row in order]


def _chosen(run: Run) -> tuple[str, float]:
    ways = {way: run["accuracy"][way]["validation"] for way in WAYS if way in run["accuracy"]}
    return max(ways.items(), key=lambda pair: pair[1])


def _line(row: str, own: Mapping[Any, Run], base: Mapping[Any, Run], ideas: Mapping[str, Any]) -> dict[str, str]:
    runs, pairs = [*own.values()], sorted(set(own) & set(base), key=str)
    chosen = {key: run["accuracy"][_chosen(run)[0]]["test"] for key, run in own.items()}
    against = paired_difference([chosen[key] for key in pairs], [_head(base[key]) for key in pairs]) if pairs else None
    each = {way: [run["accuracy"][way]["test"] for run in runs if way in run["accuracy"]] for way in WAYS}
    names = [_chosen(run)[0] for run in runs]
    return {
        "row": row,
        "what": ideas[row].what if row in ideas else "on the untrained encoder's vectors",
        "runs": str(len(runs)),
        "validation, chosen": f"{np.mean([_chosen(run)[1] for run in runs]):.4f}",
        **{way: spell(_interval(values)) if values else "-" for way, values in each.items()},
        "chosen": spell(_interval([*chosen.values()])) + f" ({', '.join(dict.fromkeys(names))})",
        "against": "-" if against is None else ("+" if against.mean >= 0 else "") + spell(against),
        "CPU seconds": f"{np.mean([run['cpu_seconds'] for run in runs]):.0f}",
    }


def _interval(values: Sequence[float]) -> MeanInterval | None:
    return interval([{"accuracy": value} for value in values], "accuracy")


def _head(run: Run) -> float:
    return float(run["accuracy"]["head"]["test"])
