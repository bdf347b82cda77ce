"""RESULTS.md and results.csv of the study, from its lines alone; the sentences too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.centroids.experiments import EXPERIMENTS
from studies.common import gain, interval, markdown, spell, write_csv

from separatrix.geometry.resample import MeanInterval, mean_interval

Run = dict[str, Any]
Study = dict[str, list[Run]]  # experiment -> one line per seed, in the order of `EXPERIMENTS`

REFERENCE = EXPERIMENTS[0].name  # random start
HEAD = """# Moving class centroids: results

Written by `python studies/centroids/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Scores are fractions; in brackets the 95 % t interval of the mean over seeds, cut where a figure
ends (seconds at 0). `min distance`: between the two centroids after training; `moved`: how far they are from their
start; `path`: length of their way; `oscillation`: 1 - moved / path.
"""
# What seed 001 says of its experiments: the statement, the figure, the experiment that has more of it, the others.
ACCURACY, DISTANCE, SWING = "test_accuracy", "centroid_min", "centroid_oscillation"
STATEMENTS = (
    ("a start from outputs is vastly better than a random one", ACCURACY, "2", ("1",)),
    ("the prompt alone, centroids fixed, is better", ACCURACY, "3", ("2",)),
    ("faster centroids do not separate the classes", ACCURACY, "2", ("6",)),
    ("faster centroids get closer to each other", DISTANCE, "5", ("6",)),
    ("distance cross-entropy is best of all", ACCURACY, "7", ("1", "2", "3", "5", "6", "8", "9", "10")),
    ("calculated centroids merge", DISTANCE, "7", ("8",)),
    ("repulsion improves calculated centroids", ACCURACY, "9", ("8",)),
    ("momentum swings", SWING, "10", ("7",)),
)
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
    parts += ["## Does the seed's ordering hold?", answer(study), markdown(statements(study))]
    parts += ["## Against the random start", chosen(study), ordering(study), markdown(_gains(study))]
    failures = [f"- {run['experiment']}, seed {run['seed']}: {run['failed']}" for run in runs if "failed" in run]
    parts += ["## Runs that a guard stopped", "\n".join(failures) or "None.", "## Versions", _versions(runs)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    write_csv(out / "results.csv", [_plain(study, experiment, found) for experiment, found in study.items()])


def group(runs: Sequence[Run]) -> Study:
    """The finished lines by experiment, one per seed (the last line of a seed counts)."""
    found: Study = {}
    for experiment in EXPERIMENTS:
        own = [run for run in runs if run["experiment"] == experiment.name]
        by_seed = {run["seed"]: run for run in own if "failed" not in run}
        if by_seed:
            found[experiment.name] = [by_seed[seed] for seed in sorted(by_seed)]
    return found


def against(study: Study, experiment: str, reference: str = REFERENCE, figure: str = ACCURACY) -> MeanInterval | None:
    """Paired difference of one figure, experiment less reference."""
    return gain(study.get(experiment, []), study.get(reference, []), figure)


def statements(study: Study) -> list[dict[str, str]]:
    """A line for each comparison that a statement of the seed makes: the paired difference, and whether it holds."""
    names = {experiment.number: experiment.name for experiment in EXPERIMENTS}
    rows = []
    for statement, figure, more, others in STATEMENTS:
        for less in others:
            found = against(study, names[more], names[less], figure)
            if found is not None:
                row = {"seed 001 says": statement, "compared": f"{names[more]} less {names[less]}"}
                row |= {"figure": figure.replace("_", " "), "difference": spell(found)}
                rows.append(row | {"answer": judged(found)})
    return rows


def judged(found: MeanInterval) -> str:
    """What the interval of a difference says of the statement that it is above 0.

    >>> judged(mean_interval([0.1, 0.2, 0.3])), judged(mean_interval([-0.1, 0.2])), judged(mean_interval([0.1]))
    ('not told apart', 'not told apart', 'not told apart')
    """
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "not told apart"
    return "holds" if found.low > 0 else "the other way round"


def answer(study: Study) -> str:
    """How many of the seed's comparisons hold, by the intervals."""
    rows = statements(study)
    if not rows:
        return "(no runs to compare yet)"
    counts = {name: sum(row["answer"] == name for row in rows) for name in ("holds", "the other way round")}
    held, turned = counts.values()
    whole = "The ordering holds" if held == len(rows) else "The ordering does not hold"
    return (
        f"{whole} as a whole: of the {len(rows)} comparisons that the seed's statements make, {held} hold by the 95 % "
        f"interval of the paired difference over seeds, {turned} are the other way round and "
        f"{len(rows) - held - turned} are not told apart. Each interval stands for itself, and it covers the choice of "
        "training rows and starts, not that of the test rows."
    )


def chosen(study: Study) -> str:
    """The experiment that is best on validation, and what it reaches on the test part."""
    if len(study) < 2 or REFERENCE not in study:
        return ""
    best = max(study, key=lambda name: _mean(study[name], "validation_accuracy"))
    return (
        f"Best of {len(study)} on validation: {best}, test accuracy {spell(interval(study[best], ACCURACY))}, "
        f"{spell(against(study, best))} more than {REFERENCE!r}."
    )


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
    return "; ".join(sentences) + "."


def _listed(found: list[tuple[float, str]]) -> str:
    names = ", ".join(f"{name} ({mean:+.4f})" for mean, name in sorted(found, reverse=True))
    return f"{len(found)} experiments" + (f" ({names})" if names else "") + " are"


def _mean(runs: list[Run], name: str) -> float:
    return mean_interval([run[name] for run in runs]).mean


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
    majority = _mean(lines, "test_majority")
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


def _plain(study: Study, experiment: str, runs: list[Run]) -> dict[str, Any]:
    line: dict[str, Any] = {"experiment": experiment, "runs": len(runs)}
    for name, _ in FIGURES.values():
        found = interval(runs, name)
        low, high = (None, None) if found is None else (found.low, found.high)
        line |= {name: None if found is None else found.mean, f"{name}_low": low, f"{name}_high": high}
    return line | {"against_random_start": spell(against(study, experiment)) if experiment != REFERENCE else ""}


def _versions(runs: Sequence[Run]) -> str:
    lines = {", ".join(f"{name} {number}" for name, number in run["versions"].items()) for run in runs}
    return "\n".join(f"- {line}" for line in sorted(lines)) or "(no runs yet)"
