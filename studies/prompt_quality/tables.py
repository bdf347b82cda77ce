"""RESULTS.md and results.csv of the study, from its lines alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.common import changed, gain, interval, markdown, spell, write_csv

from separatrix.geometry.resample import mean_interval
from separatrix.recipe import digest

Run = dict[str, Any]
Study = Mapping[tuple[str, str], list[Run]]  # (set, method) -> one line per seed
Standard = Mapping[tuple[str, str], dict[str, Any]]  # (set, method) -> recipe

NAMES = {
    "suffix": "suffix prompt",
    "refit": "suffix prompt, refit",
    "peft": "PEFT prefix prompt",
    "probe": "linear probe",
    "knn": "k-NN",
}
MOST_SCREENS = 40
TIMED = {"cpu_seconds"}
HEAD = """# Suffix prompt, PEFT prefix prompt, linear probe and k-NN: results

Written by `python studies/prompt_quality/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Scores are fractions; in brackets the 95 % t interval of the mean over seeds, cut where a figure
ends (seconds at 0, shares at 1).
"""

RACE = """## Time until PEFT's best validation accuracy is reached

Processor seconds of a training, in proportion to its epochs, up to the epoch where the accuracy is reached. The last
column is what could be gained at most: ours after a single epoch. "Ours with" is what differs from the study's recipe:
nothing, and then whatever reached PEFT's best on the most seeds and soonest among the screens below.
"""


def write_tables(
    out: Path,
    study: Study,
    screens: Sequence[Run],
    targets: Mapping[str, float],
    standard: Mapping[tuple[str, str], Any],
) -> None:
    """Write both files.

    Args:
        out: their folder.
        study: the lines of the study.
        screens: all other lines: of screens, and of recipes that were the study's choice before. Only their validation
            figures are shown.
        targets: test accuracy that the suffix prompt must reach, by set.
        standard: the recipe of each (set, method) as it stands now, to show what a screen changed.
    """
    parts = [HEAD, "## Test part", markdown([_row(*place, runs, targets) for place, runs in study.items()])]
    parts += ["## Differences of test accuracy to the suffix prompt, over the seeds that both have"]
    parts += [markdown(_differences(study)), RACE, markdown(races(study, screens, standard))]
    parts += ["## Screens and former choices (validation only; the best of each set and method first)"]
    parts += [markdown(_screens(screens, standard)), "## Versions", _versions(study)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    write_csv(out / "results.csv", [_plain(*place, study) for place in study])


def _row(name: str, method: str, runs: list[Run], targets: Mapping[str, float]) -> dict[str, str]:
    accuracy = interval(runs, "test_accuracy")
    target = targets.get(name) if method in ("suffix", "refit") else None
    verdict = "-"
    if target is not None and accuracy is not None:
        verdict = f"{target:.4f}: {'reached' if accuracy.mean >= target else 'not reached'}"
    return {
        "set": name,
        "method": NAMES[method],
        "runs": str(len(runs)),
        "train rows": str(runs[0]["rows"]["train"]),
        "test accuracy": spell(accuracy),
        "test macro-F1": spell(interval(runs, "test_macro_f1")),
        "majority": f"{mean_interval([run['test_majority'] for run in runs]).mean:.4f}",
        "validation accuracy": spell(interval(runs, "validation_accuracy")),
        "seconds": spell(interval(runs, "seconds"), 0),
        "CPU seconds": spell(interval(runs, "cpu_seconds"), 0),
        "target": verdict,
    }


def _plain(name: str, method: str, study: Study) -> dict[str, Any]:
    runs = study[name, method]
    line: dict[str, Any] = {"set": name, "method": method, "runs": len(runs), "train_rows": runs[0]["rows"]["train"]}
    for figure in ("test_accuracy", "test_macro_f1", "test_majority", "validation_accuracy", "seconds", "cpu_seconds"):
        found = interval(runs, figure)
        three = (None, None, None) if found is None else (found.mean, found.low, found.high)
        line |= dict(zip((figure, f"{figure}_low", f"{figure}_high"), three, strict=True))
    return line | {"suffix_less_this": spell(gain(study.get((name, "suffix"), []), runs, "test_accuracy"))}


def _differences(study: Study) -> list[dict[str, str]]:
    rows = []
    for (name, method), runs in study.items():
        ours = {run["seed"]: run for run in study.get((name, "suffix"), [])}
        shared = [(ours[run["seed"]], run) for run in runs if run["seed"] in ours]
        if method == "suffix" or not shared:
            continue
        # Wall time depends on what else ran at the time; early lines have no other.
        times = [
            other["cpu_seconds"] / own["cpu_seconds"] for own, other in shared if own.keys() & other.keys() >= TIMED
        ]
        row = {
            "set": name,
            "suffix prompt less": NAMES[method],
            "seeds": str(len(shared)),
            "difference": spell(gain(study[name, "suffix"], runs, "test_accuracy")),
        }
        rows.append(row | {"its CPU seconds / ours": f"{mean_interval(times).mean:.1f}" if times else "-"})
    return rows


def races(study: Study, screens: Sequence[Run], standard: Standard) -> list[dict[str, str]]:
    """Lines for each set: when PEFT is at its best, and when ours is as good - as the study has it, and the fastest."""
    rows = []
    for (name, method), runs in study.items():
        if method != "peft":
            continue
        theirs = {run["seed"]: run for run in runs if run.keys() >= TIMED}
        ours: dict[str, dict[int, Run]] = {}
        for run in (*study.get((name, "suffix"), []), *screens):
            if (run["set"], run["method"]) == (name, "suffix") and run["seed"] in theirs and run.keys() >= TIMED:
                what = changed(run["recipe"], standard[name, "suffix"]) or "-"
                ours.setdefault(what, {}).setdefault(run["seed"], run)
        full = {what: found for what, found in ours.items() if len(found) == len(theirs)}
        fastest = min(full, key=lambda what: _handicap(full[what], theirs), default="-")
        for what in dict.fromkeys(("-", fastest)):
            rows += [_race(name, what, own, theirs[seed]) for seed, own in sorted(ours.get(what, {}).items())]
    return rows


def _handicap(ours: Mapping[int, Run], theirs: Mapping[int, Run]) -> tuple[int, float]:
    """How often ours is never as good as PEFT's best, then the seconds it takes where it is."""
    found = [_seconds_to(own, max(theirs[seed]["history"])) for seed, own in ours.items()]
    return found.count(None), sum(seconds for seconds in found if seconds is not None)


def _race(name: str, what: str, own: Run, other: Run) -> dict[str, str]:
    best = max(other["history"])
    theirs, mine = _seconds_to(other, best), _seconds_to(own, best)
    assert theirs is not None
    first = own["cpu_seconds"] / len(own["history"])
    return {
        "set": name,
        "seed": str(other["seed"]),
        "PEFT's best": f"{best:.4f}",
        "its seconds": f"{theirs:.0f}",
        "ours with": what,
        "ours": f"{max(own['history']):.4f}",
        "seconds": "never" if mine is None else f"{mine:.0f}",
        "ratio": "-" if mine is None else f"{theirs / mine:.1f}",
        "at most": f"{theirs / first:.1f}",
    }


def _seconds_to(run: Run, accuracy: float) -> float | None:
    """Seconds until a run is as good as this on validation; None if it never is."""
    epoch = next((place + 1 for place, found in enumerate(run["history"]) if found >= accuracy), None)
    return None if epoch is None else run["cpu_seconds"] * epoch / len(run["history"])


def _screens(screens: Sequence[Run], standard: Standard) -> list[dict[str, str]]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in screens:
        groups.setdefault((run["set"], run["method"], digest([run["recipe"], run["rows"]["train"]])), []).append(run)
    found = []
    for (name, method, _), runs in groups.items():
        accuracy = interval(runs, "validation_accuracy")
        assert accuracy is not None
        row = {"set": name, "method": NAMES[method], "changed": changed(runs[0]["recipe"], standard[name, method])}
        row |= {"runs": str(len(runs)), "validation accuracy": spell(accuracy)}
        found.append((name, method, -accuracy.mean, row | {"seconds": spell(interval(runs, "seconds"), 0)}))
    return [row for *_, row in sorted(found, key=lambda line: line[:3])][:MOST_SCREENS]


def _versions(study: Study) -> str:
    seen = [run["versions"] for runs in study.values() for run in runs]
    lines = {", ".join(f"{name} {number}" for name, number in found.items()) for found in seen}
    return "\n".join(f"- {line}" for line in sorted(lines)) or "(no runs yet)"
