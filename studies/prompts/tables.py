"""RESULTS.md and results.csv of the study, from its lines alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.common import gain, interval, markdown, spell, write_csv

from separatrix.geometry.resample import holm, paired_p_value

Run = dict[str, Any]
PLAIN, CHOSEN, NONE = "plain", "words: chosen", "none: centroids"
HEAD = """# Stronger prompts, screened: results

Written by `python studies/prompts/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read this:
`README.md`. Accuracy is on rows of the training part that neither trained nor chose an epoch; in brackets the 95 % t
interval of the mean over seeds. Differences are paired by seed, p-values corrected for the variants of a table (Holm).
"""


def write_tables(out: Path, runs: Sequence[Run]) -> None:
    """Write the tables; of two lines with one key the later counts."""
    kept = list({run["key"]: run for run in runs}.values())
    parts = [HEAD]
    for model, name in sorted({(run["model"], run["set"]) for run in kept}):
        own = [run for run in kept if (run["model"], run["set"]) == (model, name)]
        words = [run for run in own if run["variant"].startswith("words")]
        others = [run for run in own if run not in words]
        if others:
            parts += [f"## {model}, {name}", markdown(rows_of(others, PLAIN)), verdict(others)]
        if words:  # beside the plain prompt, which has centroids in the place of words
            words += [run | {"variant": NONE} for run in own if run["variant"] == PLAIN]
            parts += [f"## {model}, {name}: label words", markdown(rows_of(words, CHOSEN))]
    parts += ["## Machine", machines(kept)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    write_csv(out / "results.csv", [{k: v for k, v in run.items() if k not in ("key", "machine")} for run in kept])


def by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of each variant, in the order of their first lines."""
    return {name: [run for run in runs if run["variant"] == name] for name in dict.fromkeys(r["variant"] for r in runs)}


def rows_of(runs: Sequence[Run], base: str) -> list[dict[str, str]]:
    """A line for each variant, beside the difference to one of them."""
    groups, p_values = by_variant(runs), corrected(runs, base)
    rows = []
    for name, own in groups.items():
        row = {"variant": name, "seeds": str(len(own)), "accuracy": spell(interval(own, "accuracy"))}
        row |= {"less " + base: "-", "p": "-"}
        if name != base and base in groups:
            row |= {"less " + base: spell(gain(own, groups[base], "accuracy")), "p": p_values.get(name, "-")}
        row |= {"majority": spell(interval(own, "majority")), "CPU seconds": spell(interval(own, "cpu_seconds"), 0)}
        if any(run["words"] for run in runs):
            row["words"] = "; ".join(dict.fromkeys(" / ".join(run["words"]) or "-" for run in own))
        rows.append(row)
    return rows


def corrected(runs: Sequence[Run], base: str) -> dict[str, str]:
    """p-values of the differences to one variant, by variant; of one seed there are none."""
    groups = by_variant(runs)
    values: dict[str, Any] = {}
    for name, own in groups.items():
        other = {run["seed"]: run["accuracy"] for run in groups.get(base, ())}
        pairs = [(run["accuracy"], other[run["seed"]]) for run in own if run["seed"] in other]
        p_value = paired_p_value(*zip(*pairs, strict=True)) if name != base and len(pairs) > 1 else None
        values |= {} if p_value is None else {name: p_value}
    return {name: f"{p:.3g}" for name, p in zip(values, holm(list(values.values())), strict=True)} if values else {}


def verdict(runs: Sequence[Run]) -> str:
    """What pays: variants whose whole interval of the difference to the plain prompt is above 0, or below."""
    groups = by_variant(runs)
    gains = {name: gain(own, groups.get(PLAIN, ()), "accuracy") for name, own in groups.items() if name != PLAIN}
    told = {name: found for name, found in gains.items() if found is not None and found.low is not None}
    better = [name for name, found in told.items() if (found.low or 0) > 0]
    worse = [name for name, found in told.items() if found.high is not None and found.high < 0]
    if not gains:
        return "(no other form of the prompt has run)"
    if not told:
        return "(one seed: nothing can be told)"
    rest = len(told) - len(better) - len(worse)
    return (
        f"Above the plain prompt, before correction: {', '.join(better) or 'none'}; below it: "
        f"{', '.join(worse) or 'none'}; not told apart: {rest} of {len(told)}."
    )


def machines(runs: Sequence[Run]) -> str:
    """Processors, threads and versions behind the lines."""
    lines = set()
    for run in runs:
        info = run["machine"]
        packages = ", ".join(f"{name} {value}" for name, value in sorted(info["versions"].items()))
        lines.add(f"- {info['cpu']}, {info['threads']} thread; {packages}")
    return "\n".join(sorted(lines)) or "(no runs yet)"
