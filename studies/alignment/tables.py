"""RESULTS.md and results.csv of the study, from its lines alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.common import changed, gain, interval, markdown, recipe_key, spell, write_csv

Run = dict[str, Any]
Destination = tuple[str, int | None, str]  # set, rows per class, row
Standard = Mapping[Destination, Mapping[str, Any]]  # recipes
SETFIT = "setfit"
BASES = {"finetune": "fine-tuning", SETFIT: "SetFit"}  # rows that the others are held against -> the column's name
HEAD = """# Alignment and fine-tuning: results

Written by `python studies/alignment/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Scores are fractions of the test part; in brackets the 95 % t interval of the mean over seeds;
"against" is the mean of the differences of runs with one seed.
"""


def write_tables(out: Path, study: Mapping[Destination, list[Run]], screens: Sequence[Run], standard: Standard) -> None:
    """Write both files: a table for each set and number of rows per class, then the screens.

    Args:
        out: their folder.
        study: the lines of the study.
        screens: the lines of screens.
        standard: the recipe of each (set, row) as it stands now, rows in the order of the table.
    """
    order = tuple(dict.fromkeys(row for *_, row in standard))
    parts, lines = [HEAD], []
    for name, per_class in dict.fromkeys((place[0], place[1]) for place in study):
        found = {row: study[name, per_class, row] for row in order if (name, per_class, row) in study}
        rows = [_line(row, runs, found) for row, runs in found.items()]
        title = name if per_class is None else f"{name}, {per_class} rows of each class"
        first = next(iter(found.values()))[0]
        about = f"{first['training_rows']} training rows; majority class: {first['test_majority']:.4f}."
        parts.append(f"## {title}\n\n{about}\n\n{markdown(rows)}\n")
        lines += [{"set": name, "per_class": per_class or "all", **row} for row in rows]
    parts.append(_screens(screens, standard))
    (out / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")
    write_csv(out / "results.csv", lines)


def _line(row: str, runs: list[Run], found: Mapping[str, list[Run]]) -> dict[str, Any]:
    bases = {base: name for base, name in BASES.items() if base in found}
    against = {f"against {name}": "-" if row == base else _against(runs, found[base]) for base, name in bases.items()}
    return {
        "row": row,
        "seeds": len(runs),
        "accuracy": spell(interval(runs, "test_accuracy")),
        **against,
        "macro-F1": spell(interval(runs, "test_macro_f1")),
        "k-NN": spell(interval(runs, "test_knn")),
        "class mean": spell(interval(runs, "test_mean")),
        "head": spell(interval(runs, "test_head")),
        "validation": spell(interval(runs, "validation_accuracy")),
        "validation, against fine-tuning": "-"
        if row == "finetune"
        else _against(runs, found.get("finetune", []), "validation_accuracy"),
        "CPU seconds": f"{sum(run['cpu_seconds'] for run in runs) / len(runs):.0f}",
    }


def _against(runs: list[Run], base: list[Run], figure: str = "test_accuracy") -> str:
    """Paired difference over the seeds that both have."""
    found = gain(runs, base, figure)
    return ("+" if found is not None and found.mean >= 0 else "") + spell(found)


def _screens(screens: Sequence[Run], standard: Standard) -> str:
    """Runs with a change to the study's choices, the best of each set first."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in screens:
        kind = (run["set"], run["per_class"], run["row"], recipe_key([run["recipe"], run["most"]]))
        groups.setdefault(kind, []).append(run)
    found = []
    for (name, per_class, row, _), runs in groups.items():
        accuracy = interval(runs, "validation_accuracy")
        assert accuracy is not None
        line = {"set": name, "rows of a class": per_class or "all", "row": row}
        line |= {"changed": changed(runs[0]["recipe"], standard[name, per_class, row]) or "-", "seeds": len(runs)}
        line |= {"validation": spell(accuracy), "undrawn rows": spell(interval(runs, "undrawn_accuracy"))}
        line |= {"CPU seconds": spell(interval(runs, "cpu_seconds"), 0)}
        found.append(((name, per_class or 0), -accuracy.mean, line))
    rows = [line for *_, line in sorted(found, key=lambda one: one[:2])]
    about = "`undrawn rows`: training rows that were not among the few. The test part is never looked at."
    return f"## Screens (validation only)\n\n{about}\n\n{markdown(rows)}\n"
