"""RESULTS.md of the study from its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from studies.common import interval, markdown, spell

from separatrix.geometry.resample import paired_difference

BASE = ("setfit", "logistic")
HEAD = """# Few rows of each class: results

Written by `python studies/few_rows/run.py --table` from `runs.jsonl`; not by hand. What was compared and how to read
this: [README.md](README.md). Accuracy on test rows; in brackets the 95 % t interval of the mean over splits, where
there are several; "against SetFit" is the mean of the differences on the same splits; so is the share of its CPU
seconds.
"""
Run = Mapping[str, Any]
Row = tuple[str, str]  # name and way to decide


def write_tables(out: Path, runs: Sequence[Run]) -> None:
    """A table for each set and number of rows, and one of the mean over sets."""
    lines = [HEAD]
    for per_class in sorted({run["per_class"] for run in runs}):
        here = [run for run in runs if run["per_class"] == per_class]
        names = sorted({run["set"] for run in here})
        of_sets = {name: _scores([run for run in here if run["set"] == name]) for name in names}
        for name in names:
            rows = next(run["rows"] for run in here if run["set"] == name)
            lines += [
                f"## {name}, {per_class} rows of each class\n",
                f"{rows['train']} labelled rows, {rows['test']} test rows.\n",
            ]
            lines += [markdown(section(of_sets[name])), ""]
        if len(names) > 1:
            lines += [f"## Mean of {', '.join(names)}, {per_class} rows of each class\n"]
            lines += ["Splits that all of these sets have.\n", markdown(section(mean_of_sets(of_sets))), ""]
    (out / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")


Scores = dict[Row, dict[int, tuple[float, float]]]  # row -> split -> accuracy and CPU seconds


def _scores(runs: Sequence[Run]) -> Scores:
    scores: Scores = {}
    for run in runs:
        for way, value in run["accuracy"].items():
            scores.setdefault((run["row"], way), {})[run["split"]] = (value, run["cpu_seconds"])
    return scores


def mean_of_sets(of_sets: Mapping[str, Scores]) -> Scores:
    """Accuracy and CPU seconds as means over the sets, of the rows and splits that all sets have.

    >>> mean_of_sets({"a": {("x", "y"): {0: (0.5, 1.0), 1: (1.0, 1.0)}}, "b": {("x", "y"): {0: (1.0, 3.0)}}})
    {('x', 'y'): {0: (0.75, 2.0)}}
    """
    rows = set.intersection(*(set(scores) for scores in of_sets.values()))
    means: Scores = {}
    for row in sorted(rows):
        splits = set.intersection(*(set(scores[row]) for scores in of_sets.values()))
        for split in sorted(splits):
            values = np.mean([scores[row][split] for scores in of_sets.values()], axis=0)
            means.setdefault(row, {})[split] = (float(values[0]), float(values[1]))
    return means


def section(scores: Scores) -> list[dict[str, str]]:
    """The rows of one table, best first."""
    order = sorted(scores, key=lambda row: -np.mean([value for value, _ in scores[row].values()]))
    return [_line(row, scores[row], scores.get(BASE, {})) for row in order]


def _line(row: Row, own: Mapping[int, tuple[float, float]], base: Mapping[int, tuple[float, float]]) -> dict[str, str]:
    splits = sorted(set(own) & set(base))
    less = paired_difference([own[s][0] for s in splits], [base[s][0] for s in splits]) if splits else None
    share = np.mean([own[s][1] for s in splits]) / np.mean([base[s][1] for s in splits]) if splits else None
    return {
        "row": row[0],
        "decided by": row[1],
        "splits": str(len(own)),
        "accuracy": spell(interval([{"accuracy": value} for value, _ in own.values()], "accuracy")),
        "against SetFit": "-" if less is None or row == BASE else ("+" if less.mean >= 0 else "") + spell(less),
        "CPU seconds": f"{np.mean([seconds for _, seconds in own.values()]):.1f}",
        "of SetFit's": "-" if share is None else f"{share:.2f}",
    }
