"""RESULTS.md of the study, from its lines alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from studies.common import interval, markdown, spell

from separatrix.geometry.resample import paired_difference

Run = dict[str, Any]
CONDITIONS = ("before", "after", "causal", "features")
ATLASES = CONDITIONS[:3]
HEAD = """# Attention heads, clustered: results

Written by `python studies/head_atlas/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Means over seeds; in brackets their 95 % t interval.
"""


def table(runs: Sequence[Run]) -> str:
    """The whole file."""
    newest = {(run["condition"], run["seed"]): run for run in sorted(runs, key=_reading)}
    by_condition = {name: [run for (condition, _), run in newest.items() if condition == name] for name in CONDITIONS}
    parts = [HEAD, markdown([_about(name, own) for name, own in by_condition.items() if own])]
    parts += ["## What counting the question's tokens changed", MOVES, markdown(move_rows(runs))]
    parts += ["## The seed's claims", CLAIMS, markdown(claim_rows(by_condition))]
    parts += ["## Clusters and where a map comes from", ASSOCIATION, markdown(association_rows(by_condition))]
    parts += ["## The same on other rows", CONTROLS, markdown(control_rows(by_condition))]
    parts += ["## Noise by layer", NOISE, markdown(noise_rows(by_condition))]
    parts += ["## Does a cluster say which heads may go?", IMPORTANCE, markdown(importance_rows(by_condition))]
    parts += ["## Features", FEATURES, markdown(feature_rows(by_condition))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


MOVES = """Before, a question had no segment where it and its context fitted into one window; since, segments are
counted from the lengths of the texts. Claims on the same windows (condition and seed) before and since. What is not
listed was not run again; "run again" above says how many seeds were. One claim counts the cells of the grid of radii,
and the grid has grown meanwhile from 10 cells to the 18 of `cluster --choose` (of the runs since, causal has it): where
its verdict moved, the grid may have moved it and not the segments."""
CLAIMS = """The chance and p are those that decide the verdict; "p over heads" permutes the heads of the model, the same
in every window, where a claim is about layers or heads. The largest p of the seeds is shown."""
ASSOCIATION = """Adjusted mutual information (AMI), and the mutual information itself (nats) beside what is left of it
when layers or heads are permuted over the heads of the model."""
CONTROLS = "Adjusted mutual information of clusters and (layer, head)."
NOISE = "Share of rows that DBSCAN leaves out."
IMPORTANCE = """Share of the variance of a head's importance that its cluster explains, beside clusters shuffled over
heads."""
FEATURES = """How well k-means with as many clusters as heads tells heads apart (AMI), and milliseconds a map (of the
quickest run: some had a busy machine). The ResNet-50 has random weights."""


def _reading(run: Run) -> int:
    return int(run.get("reading", 1))


def move_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Figure and verdict of each claim in both readings, where a condition and seed was run in both."""
    first = {(run["condition"], run["seed"]): run for run in runs if _reading(run) == 1}
    again = {(run["condition"], run["seed"]): run for run in runs if _reading(run) > 1}
    rows = []
    for name in CONDITIONS:
        seeds = sorted(seed for condition, seed in again if condition == name and (name, seed) in first)
        for claim in dict.fromkeys(each["claim"] for seed in seeds for each in again[name, seed].get("claims", [])):
            found: list[list[dict[str, Any]]] = [
                [next((each for each in run[name, seed]["claims"] if each["claim"] == claim), {}) for seed in seeds]
                for run in (first, again)
            ]
            told = [", ".join(str(each.get("verdict", "-")) for each in own) for own in found]
            row = {"claim": claim, "condition": name, "seeds": ", ".join(map(str, seeds))}
            row |= {title: _over(own, "figure") for title, own in zip(("figure before", "since"), found, strict=True)}
            rows.append(row | {"verdicts": told[0] if told[0] == told[1] else f"{told[0]} -> {told[1]}"})
    return rows


def _about(name: str, own: Sequence[Run]) -> dict[str, str]:
    row = {"condition": name, "seeds": str(len(own)), "run again": str(sum(_reading(run) > 1 for run in own))}
    row |= {"windows": str(own[0]["windows"]), "maps": str(own[0]["maps"])}
    row |= {"contexts": _mean([run["contexts"] for run in own], 0)}
    row |= {"clusters": ", ".join(str(run["clusters"]["count"]) for run in own)}
    told = [run["qa"] for run in own if "qa" in run]
    for title, figure in (("exact", "exact"), ("F1", "f1"), ("never answering", "baseline_exact")):
        row[title] = _mean([each[figure] for each in told]) if told else "-"
    return row


def claim_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """A line for each claim and condition: figure and null over the seeds, and how often each verdict fell."""
    rows = []
    for claim, condition, found in _each(by_condition, "claims", "claim"):
        verdicts = [each["verdict"] for each in found]
        counts = {name: verdicts.count(name) for name in dict.fromkeys(verdicts)}
        row = {"claim": claim, "condition": condition, "figure": _over(found, "figure"), "chance": _over(found, "null")}
        row |= {"p": _over(found, "p_value", np.max), "p over heads": _over(found, "p_heads", np.max)}
        rows.append(row | {"verdict": ", ".join(f"{name} {count}/{len(found)}" for name, count in counts.items())})
    return rows


def association_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """Clusters beside layer, head, both, length, context; the difference after less before is paired by seed."""
    rows = []
    for what, condition, found in _each(by_condition, "association", "with"):
        row = {"with": what, "condition": condition, "AMI": _interval(found, "adjusted_mutual_information")}
        row |= {"MI": _over(found, "mutual_information"), "chance": _over(found, "null_mean")}
        row |= {"p": _over(found, "p_value", np.max), "chance over heads": _over(found, "null_heads")}
        row |= {"p over heads": _over(found, "p_heads", np.max), "after less before": "-"}
        if condition == "after":
            name = "adjusted_mutual_information"
            first = {run["seed"]: each[name] for run, each in _pick(by_condition["before"], "association", what)}
            then = {run["seed"]: each[name] for run, each in _pick(by_condition["after"], "association", what)}
            both = [(then[seed], first[seed]) for seed in then if seed in first]
            row["after less before"] = spell(paired_difference(*zip(*both, strict=True))) if both else "-"
        rows.append(row)
    return rows


def control_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """Length-matched and context-held-out re-runs; rows are told apart by what stands before a colon."""
    rows = []
    for condition in ATLASES:
        groups: dict[str, list[float]] = {}
        for run in by_condition[condition]:
            for each in run.get("controls", []):
                groups.setdefault(each["rows"].partition(":")[0], []).append(each["ami"])
        rows += [{"rows": name, "condition": condition, "AMI": _mean(values)} for name, values in groups.items()]
    return rows


def noise_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """Noise of each layer, a column a condition."""
    layers: dict[int, dict[str, list[float]]] = {}
    for condition in ATLASES:
        for run in by_condition[condition]:
            for each in run.get("noise_by_layer", {}).get("dbscan", []):
                layers.setdefault(each["layer"], {}).setdefault(condition, []).append(each["noise"])
    return [
        {"layer": str(layer), **{name: _mean(found[name]) if name in found else "-" for name in ATLASES}}
        for layer, found in sorted(layers.items())
    ]


def importance_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """Gradient and ablation scores against the clusters."""
    rows = []
    for condition in ATLASES:
        told = [run["importance"] for run in by_condition[condition] if run.get("importance")]
        for score in ("gradient", "ablation"):
            found = [each[score] for each in told if score in each]
            if found:
                row = {
                    "score": score,
                    "condition": condition,
                    "loss": told[0]["loss"],
                    "explained": _over(found, "observed"),
                }
                rows.append(row | {"chance": _over(found, "mean"), "p": _over(found, "p_value", np.max)})
    return rows


def feature_rows(by_condition: dict[str, list[Run]]) -> list[dict[str, str]]:
    """How well each feature tells heads apart, and what it costs."""
    rows = []
    for what, condition, found in _each(by_condition, "features", "feature", CONDITIONS):
        row = {"feature": what, "condition": condition, "rows": _over(found, "rows", np.mean, 0)}
        cost = [1000 * each["seconds_per_map"] for each in found if each["seconds_per_map"] is not None]
        rows.append(
            row | {"AMI with the head": _interval(found, "ami_head"), "ms a map": _mean([min(cost)] if cost else [])}
        )
    return rows


def _each(by_condition: dict[str, list[Run]], name: str, label: str, conditions: Sequence[str] = ATLASES) -> Any:
    """Every entry of a table of the runs, with its condition and the lines of all seeds."""
    kept = {condition: by_condition[condition] for condition in conditions}
    for what in dict.fromkeys(each[label] for runs in kept.values() for run in runs for each in run.get(name, [])):
        for condition, runs in kept.items():
            if found := [each for run in runs for each in run.get(name, []) if each[label] == what]:
                yield str(what), condition, found


def _pick(runs: Sequence[Run], name: str, what: str) -> list[tuple[Run, dict[str, Any]]]:
    return [(run, each) for run in runs for each in run.get(name, []) if each["with"] == what]


def _interval(found: Sequence[dict[str, Any]], name: str) -> str:
    return spell(interval(found, name), 3)


def _over(found: Sequence[dict[str, Any]], name: str, how: Callable[..., Any] = np.mean, digits: int = 3) -> str:
    return _mean([each[name] for each in found if each.get(name) is not None], digits, how)


def _mean(values: Sequence[float], digits: int = 3, how: Callable[..., Any] = np.mean) -> str:
    return f"{how(values):.{digits}f}" if len(values) else "-"
