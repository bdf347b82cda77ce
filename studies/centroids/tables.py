"""RESULTS.md and results.csv of the study, from its lines alone; the sentences too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.centroids.experiments import EXPERIMENTS
from studies.common import gain, interval, markdown, spell, write_csv

from separatrix.geometry.runs import MeanInterval, mean_interval

Run = dict[str, Any]
Study = dict[str, list[Run]]  # experiment -> one line per seed, in the order of `EXPERIMENTS`

REFERENCE = EXPERIMENTS[0].name  # random start
HEAD = """# Moving class centroids: results

Written by `python studies/centroids/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Scores are fractions; in brackets the 95 % t interval of the mean over seeds. `min distance`: between
the two centroids after training; `moved`: how far they are from their start; `path`: length of their way;
`oscillation`: 1 - moved / path.
"""
FIGURES = {
    "test accuracy": ("test_accuracy", 4),
    "test macro-F1": ("test_macro_f1", 4),
    "validation accuracy": ("validation_accuracy", 4),
    "min distance": ("centroid_min", 3),
    "moved": ("centroid_moved", 3),
    "path": ("centroid_path", 3),
    "oscillation": ("centroid_oscillation", 3),
    "seconds": ("seconds", 0),
}


def write_tables(out: Path, runs: Sequence[Run]) -> None:
    """Write both files into a folder."""
    study = group(runs)
    parts = [HEAD, _base(study), markdown([_row(number, found) for number, found in _numbered(study)])]
    parts += ["## Ordering", ordering(study), markdown(_gains(study))]
    failures = [f"- {run['experiment']}, seed {run['seed']}: {run['failed']}" for run in runs if "failed" in run]
    parts += ["## Runs that a guard stopped", "\n".join(failures) or "None.", "## Versions", _versions(runs)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    write_csv(out / "results.csv", [_plain(experiment, found) for experiment, found in study.items()])


def group(runs: Sequence[Run]) -> Study:
    """The finished lines by experiment, one per seed (the last line of a seed counts)."""
    found: Study = {}
    for experiment in EXPERIMENTS:
        own = [run for run in runs if run["experiment"] == experiment.name]
        by_seed = {run["seed"]: run for run in own if "failed" not in run}
        if by_seed:
            found[experiment.name] = [by_seed[seed] for seed in sorted(by_seed)]
    return found


def against(study: Study, experiment: str, reference: str = REFERENCE) -> MeanInterval | None:
    """Paired difference of test accuracy, experiment less reference."""
    return gain(study.get(experiment, []), study.get(reference, []), "test_accuracy")


def ordering(study: Study) -> str:
    """Which experiments differ from the random start, as far as the intervals say."""
    above: list[tuple[float, str]] = []
    below: list[tuple[float, str]] = []
    undecided: list[tuple[float, str]] = []
    for experiment in study:
        found = against(study, experiment) if experiment != REFERENCE else None
        if found is None:
            continue
        sure = found.low is not None and found.high is not None
        side = above if sure and (found.low or 0) > 0 else below if sure and (found.high or 0) < 0 else undecided
        side.append((found.mean, experiment))
    if not (above or below or undecided):
        return "(no runs to compare yet)"
    sentences = [
        f"{_listed(above)} above {REFERENCE!r} by the 95 % interval of the paired difference",
        f"{_listed(below)} below it",
        f"{_listed(undecided)} not told apart from it",
    ]
    means = sorted(((_mean(runs), name) for name, runs in study.items()), reverse=True)
    order = " > ".join(f"{name} ({value:.4f})" for value, name in means)
    return "; ".join(sentences) + f".\n\nBy mean test accuracy: {order}."


def _listed(found: list[tuple[float, str]]) -> str:
    names = ", ".join(f"{name} ({mean:+.4f})" for mean, name in sorted(found, reverse=True))
    return f"{len(found)} experiments" + (f" ({names})" if names else "") + " are"


def _mean(runs: list[Run]) -> float:
    return mean_interval([run["test_accuracy"] for run in runs]).mean


def _numbered(study: Study) -> list[tuple[tuple[str, str], list[Run]]]:
    numbers = {experiment.name: experiment.number for experiment in EXPERIMENTS}
    return [((numbers[name], name), runs) for name, runs in study.items()]


def _row(label: tuple[str, str], runs: list[Run]) -> dict[str, str]:
    row = {"seed 001's": label[0], "experiment": label[1], "runs": str(len(runs))}
    return row | {title: spell(interval(runs, name), digits) for title, (name, digits) in FIGURES.items()}


def _base(study: Study) -> str:
    lines = [run for runs in study.values() for run in runs]
    if not lines:
        return ""
    majority = mean_interval([run["test_majority"] for run in lines]).mean
    rows = lines[0]["rows"]
    return (
        f"Model {lines[0]['model']}, sst2: {rows['train']} training rows, {rows['validation']} validation rows to "
        f"choose the epoch on, {rows['test']} test rows. Majority baseline {majority:.4f}."
    )


def _gains(study: Study) -> list[dict[str, str]]:
    found = {name: against(study, name) for name in study if name != REFERENCE}
    return [
        {"experiment": name, "seeds": str(value.runs), f"test accuracy less that of {REFERENCE!r}": spell(value)}
        for name, value in found.items()
        if value is not None
    ]


def _plain(experiment: str, runs: list[Run]) -> dict[str, Any]:
    line: dict[str, Any] = {"experiment": experiment, "runs": len(runs)}
    for name, _ in FIGURES.values():
        found = interval(runs, name)
        low, high = (None, None) if found is None else (found.low, found.high)
        line |= {name: None if found is None else found.mean, f"{name}_low": low, f"{name}_high": high}
    return line


def _versions(runs: Sequence[Run]) -> str:
    lines = {", ".join(f"{name} {number}" for name, number in run["versions"].items()) for run in runs}
    return "\n".join(f"- {line}" for line in sorted(lines)) or "(no runs yet)"
