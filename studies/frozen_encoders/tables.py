"""RESULTS.md and results.csv of the study, from its lines alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from studies.common import markdown

Line = Mapping[str, Any]

ESTIMATORS = ("knn_loo", "logme", "h_score", "silhouette", "effective_rank")
RESAMPLES, SEED = 1000, 0
FEWEST_PAIRS = 5  # of fewer a rank correlation says nothing
HEAD = """# Layers and poolings of frozen encoders: results

Written by `python studies/frozen_encoders/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to
read this: `README.md`. Scores are fractions; in brackets 95 % bootstrap intervals.
"""


def write_tables(out: Path, lines: Sequence[Line], finetuned: Sequence[Line] = ()) -> list[dict[str, Any]]:
    """Write RESULTS.md; give the rows of results.csv."""
    parts = [HEAD, "## Rank correlation of each figure with the probe's test accuracy, over layers and poolings"]
    parts += [markdown(correlations(lines)), "## What choosing by each figure costs (probe's test accuracy)"]
    parts += [markdown(_choices(lines)), "## The best layer and pooling of each model and set", markdown(_best(lines))]
    parts += ["## Rank correlation of each figure with the accuracy after fine-tuning", _tuned(lines, finetuned)]
    parts += ["## Seconds", markdown(_seconds(lines)), "## All lines", "`results.csv`", "## Versions", _versions(lines)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return [_plain(line) for line in lines]


def spearman(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Rank correlation of two figures over options, with its 95 % bootstrap interval over the options.

    >>> spearman([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0])
    (1.0, 1.0, 1.0)
    """
    pairs = np.stack([np.asarray(a, dtype=float), np.asarray(b, dtype=float)])
    drawn = np.random.default_rng(SEED).integers(pairs.shape[1], size=(RESAMPLES, pairs.shape[1]))
    low, high = np.nanpercentile(_rank_correlation(pairs[:, drawn]), (2.5, 97.5))
    return round(float(_rank_correlation(pairs)), 12), round(float(low), 12), round(float(high), 12)


def _rank_correlation(pairs: np.ndarray) -> np.ndarray:
    """Of two figures (2, ..., options): Pearson's of their ranks, NaN where one of them is constant."""
    one, other = rankdata(pairs, axis=-1) - (pairs.shape[-1] + 1) / 2
    norm = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.divide((one * other).sum(axis=-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)


def correlations(lines: Sequence[Line]) -> list[dict[str, str]]:
    """A row for each set and model, and one for all models of a set together."""
    rows = []
    for (name, model), group in _groups(lines).items():
        row = {"set": name, "model": model, "options": str(len(group))}
        for figure in ESTIMATORS:
            rho, low, high = spearman([line[figure] for line in group], [line["probe_test"] for line in group])
            row[figure] = f"{rho:.2f} [{low:.2f}, {high:.2f}]"
        rows.append(row)
    return rows


def _groups(lines: Sequence[Line]) -> dict[tuple[str, str], list[Line]]:
    """Lines by set and model; `all` where a set has several models."""
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line["set"], line["model"]), []).append(line)
    for name in dict.fromkeys(line["set"] for line in lines):
        if sum(place[0] == name for place in found) > 1:
            found[name, "all"] = [line for line in lines if line["set"] == name]
    return dict(sorted(found.items()))


def _choices(lines: Sequence[Line]) -> list[dict[str, str]]:
    """The probe's accuracy of the option that each figure likes best, beside the best one there was."""
    rows = []
    for (name, model), group in _groups(lines).items():
        row = {"set": name, "model": model, "best there is": f"{max(line['probe_test'] for line in group):.4f}"}
        mean = float(np.mean([line["probe_test"] for line in group]))
        row |= {"mean of all": f"{mean:.4f}", "majority": f"{group[0]['majority']:.4f}"}
        for figure in ESTIMATORS[:-1]:
            chosen = int(np.argmax([line[figure] for line in group]))
            row[f"by {figure}"] = f"{group[chosen]['probe_test']:.4f}"
        rows.append(row)
    return rows


def _best(lines: Sequence[Line]) -> list[dict[str, str]]:
    rows = []
    for (name, model), group in _groups(lines).items():
        if model == "all":
            continue
        probe = max(group, key=lambda line: line["probe_test"])
        knn = max(group, key=lambda line: line["knn_loo"])
        rows.append(
            {
                "set": name,
                "model": model,
                "best probe": f"{probe['probe_test']:.4f} [{probe['probe_low']:.4f}, {probe['probe_high']:.4f}]",
                "at": _place(probe),
                "best k-NN leave-one-out": f"{knn['knn_loo']:.4f}",
                "its test": f"{knn['knn_test']:.4f}",
                "at ": _place(knn),
                "majority": f"{probe['majority']:.4f}",
            }
        )
    return rows


def _place(line: Line) -> str:
    return line["pool"] if line["layer"] is None else f"{line['pool']}, layer {line['layer']}"


def _tuned(lines: Sequence[Line], finetuned: Sequence[Line]) -> str:
    """What was said of frozen options against their accuracy after fine-tuning, for each set over all its options."""
    said = {_option(line): line for line in lines}
    rows = []
    for name in dict.fromkeys(line["set"] for line in finetuned):
        tuned = [line for line in finetuned if line["set"] == name and _option(line) in said]
        row = {"set": name, "options": str(len(tuned))}
        if len(tuned) < FEWEST_PAIRS:
            continue
        scores = [line["accuracy"] for line in tuned]
        row["fine-tuned"] = f"{min(scores):.4f} to {max(scores):.4f}"
        for figure in (*ESTIMATORS[:-1], "probe_test"):
            rho, low, high = spearman([said[_option(line)][figure] for line in tuned], scores)
            row[figure] = f"{rho:.2f} [{low:.2f}, {high:.2f}]"
        rows.append(row)
    return markdown(rows)


def _option(line: Line) -> tuple[Any, ...]:
    return (line["set"], line["model"], line["pool"], line["layer"])


def _seconds(lines: Sequence[Line]) -> list[dict[str, str]]:
    """Processor seconds: one extraction for all options, and each figure on an option."""
    rows = []
    for (name, model), group in _groups(lines).items():
        if model == "all":
            continue
        row = {"set": name, "model": model, "rows": str(sum(group[0]["rows"].values()))}
        row["extraction"] = f"{group[0]['extraction_seconds']:.0f}"
        for figure in group[0]["seconds"]:
            row[figure] = f"{np.mean([line['seconds'][figure] for line in group]):.2f}"
        rows.append(row)
    return rows


def _plain(line: Line) -> dict[str, Any]:
    left_out = ("versions", "seconds", "rows", "weights", "asked_rows")
    kept = {name: value for name, value in line.items() if name not in left_out}
    return {"train_rows": line["rows"]["train"], "test_rows": line["rows"]["test"]} | kept


def _versions(lines: Sequence[Line]) -> str:
    seen = {", ".join(f"{name} {number}" for name, number in line["versions"].items()) for line in lines}
    return "\n".join(f"- {one}" for one in sorted(seen)) or "(no runs yet)"
