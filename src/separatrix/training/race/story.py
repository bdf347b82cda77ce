"""A race as figures for `result.json`, two sentences among them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np

from separatrix.geometry.resample import bootstrap_mean
from separatrix.recipe import flag
from separatrix.training.race.candidates import ENTRIES
from separatrix.training.race.decide import CHANCE, Standing
from separatrix.training.race.rows import RaceRows

WAYS = {True: "cross-validation over {judged} rows", False: "{judged} held-out rows"}


def typed_entry(name: str) -> str:
    """A candidate as it is typed.

    >>> typed_entry("align_few")
    '--method align --temperature 0.2 --decision mean'
    """
    entry = ENTRIES[name]
    return " ".join(
        [f"--method {entry.method}", *(f"{flag(option)} {value}" for option, value in entry.options.items())]
    )


def race_figures(standing: Standing, rows: RaceRows, name: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """What `result.json` says of a race.

    Args:
        standing: at its end.
        rows: of the race.
        name: of the chosen candidate.
        more: what is known of the training after it, as `more_time` the budget in which others would take part, and as
            `epochs` how many it is trained for where they are fewer than usual.
    """
    lines = [_candidate(standing, each, name) for each in ENTRIES if each in (*standing.alive, *standing.out)]
    figures: dict[str, Any] = {
        "winner": name,
        "budget": standing.budget,
        "seconds": round(standing.seconds, 2),
        "held_out": {"rows": rows.judged, "folds": rows.folds},
        "rows": len(rows.texts),
        "tokens": round(standing.pilot.tokens, 1),
        "candidates": lines,
        "curve": curves(standing),
        **more,
    }
    rivals = [line for line in lines if line["difference"] is not None]
    nearest = max(rivals, key=lambda line: (line["rows"], line["accuracy"]), default=None)
    figures["second"] = None if nearest is None else nearest["name"]
    figures["why"] = [_first_sentence(figures, nearest) + _shorter(figures), _second_sentence(figures)]
    return figures


def _candidate(standing: Standing, name: str, chosen: str) -> dict[str, Any]:
    """A candidate's last trials: how many rows, how right, how it compares with the chosen one there."""
    state, why = standing.out.get(name, ("chosen", "") if name == chosen else ("behind", ""))
    own = [trial for trial in standing.trials if trial.candidate == name and trial.error is None]
    line: dict[str, Any] = {
        "name": name, "method": ENTRIES[name].method, "state": state, "why": why,
        "expected": standing.ahead.get(name, 0.0), "seconds": round(sum(trial.seconds for trial in own), 2),
        "rows": None, "judged": 0, "accuracy": None, "interval": None, "difference": None,
    }  # fmt: skip
    if not own:
        return line
    rows = max(trial.rows for trial in own)
    folds = [trial.fold for trial in own if trial.rows == rows]
    right = standing.answers(name, rows, folds)
    assert right is not None
    line |= {"rows": rows, **_accuracy(right, standing.seed)}
    best = standing.answers(chosen, rows, folds)
    if name != chosen and best is not None:
        line["difference"] = standing.difference(best, right).to_dict()
    return line


def _accuracy(right: np.ndarray, seed: int) -> dict[str, Any]:
    return {"judged": len(right), "accuracy": float(right.mean()), "interval": list(bootstrap_mean(right, seed=seed))}


def curves(standing: Standing) -> list[dict[str, Any]]:
    """Accuracy against rows of each candidate, and what the last doubling gained on the same judged rows."""
    result = []
    for name in ENTRIES:
        own = [trial for trial in standing.trials if trial.candidate == name and trial.error is None]
        folds = {rows: [trial.fold for trial in own if trial.rows == rows] for rows in {trial.rows for trial in own}}
        points, gain = [], None
        for rows in sorted(folds):
            right = standing.answers(name, rows, folds[rows])
            assert right is not None
            points.append({"rows": rows, **_accuracy(right, standing.seed)})
        if len(points) > 1:
            fewer, most = sorted(folds)[-2:]
            common = [fold for fold in folds[fewer] if fold in folds[most]]
            more, less = standing.answers(name, most, common), standing.answers(name, fewer, common)
            if more is not None and less is not None:
                gain = {"from": fewer, "to": most, **standing.difference(more, less).to_dict()}
        if points:
            result.append({"name": name, "points": points, "gain": gain})
    return result


def _first_sentence(figures: Mapping[str, Any], nearest: Mapping[str, Any] | None) -> str:
    """What was tried and how sure the choice is."""
    own = next(line for line in figures["candidates"] if line["name"] == figures["winner"])
    tried = [line for line in figures["candidates"] if line["rows"] is not None]
    if all(line is own or (line["state"] == "left out" and line["rows"] is None) for line in figures["candidates"]):
        return f"{own['name']} is trained without a race: it is the only method that is left{_more_time(figures)}."
    way = WAYS[figures["held_out"]["folds"] > 1].format(judged=own["judged"])
    text = (
        f"{own['name']} was chosen of {len(tried)} methods by {way} in {figures['seconds']:.0f} s: accuracy "
        f"{own['accuracy']:.3f} ({own['interval'][0]:.3f} to {own['interval'][1]:.3f}) with {own['rows']} rows"
    )
    if nearest is None:
        return text + "."
    gap, (low, high) = nearest["difference"]["difference"], nearest["difference"]["interval"]
    if gap == 0:
        return f"{text}, level with {nearest['name']}."
    if gap < 0:  # what was expected of it weighs more than so few judged rows
        lead = f"{-gap:.3f} ({-high:.3f} to {-low:.3f})"
        return f"{text}; {nearest['name']} was {lead} above it, but with so few rows more is expected of {own['name']}."
    sure = "which is real" if low > 0 and nearest["difference"]["p_value"] < CHANCE else "which may be chance"
    return f"{text}, {gap:.3f} ({low:.3f} to {high:.3f}) above {nearest['name']}, {sure}."


def _shorter(figures: Mapping[str, Any]) -> str:
    """That the winner has fewer epochs than it usually has, a sentence with the space before it; else nothing."""
    epochs = figures["epochs"]
    if epochs is None:
        return ""
    trained = f"{epochs['trained']} epoch{'s' if epochs['trained'] > 1 else ''}"
    return f" It is trained for {trained}; time does not reach for its usual {epochs['usual']}."


def _more_time(figures: Mapping[str, Any]) -> str:
    """The budget in which others would take part, where time left one method."""
    given = figures["more_time"]
    if given is None:
        return ""
    others = [name for name in given["names"] if name != figures["winner"]]
    return f"; with --budget {given['budget']} {', '.join(others)} would take part"


def _second_sentence(figures: Mapping[str, Any]) -> str:
    """What more rows would bring, and whether fine-tuning overtakes."""
    named = {line["name"]: line for line in figures["curve"]}
    gain = named.get(figures["winner"], {}).get("gain")
    if gain is None:
        text = "What more rows would bring was not measured"
    else:
        low, high = gain["interval"]
        sure = "more rows would help" if low > 0 else "whether more rows would help cannot be told"
        if high < 0.01:
            sure = "more rows would hardly help"
        gained = f"{gain['difference']:.3f} ({low:.3f} to {high:.3f})"
        text = f"From {gain['from']} to {gain['to']} rows it gained {gained}: {sure}"
    return f"{text}; {overtaking(figures)}." if figures["winner"] != "finetune" else f"{text}."


def overtaking(figures: Mapping[str, Any]) -> str:
    """Where fine-tuning overtakes the winner, by the lines between numbers of rows that were tried, never beyond."""
    named = {line["name"]: {point["rows"]: point["accuracy"] for point in line["points"]} for line in figures["curve"]}
    own, other = named.get(figures["winner"], {}), named.get("finetune", {})
    common = sorted(set(own) & set(other))
    if not common:
        return "fine-tuning was not tried beside it"
    gaps = [own[rows] - other[rows] for rows in common]
    for (rows, gap), (more, later) in pairwise(zip(common, gaps, strict=True)):
        if gap > 0 >= later:
            where = 2 ** (log2(rows) + (log2(more) - log2(rows)) * gap / (gap - later))
            return f"fine-tuning overtakes it at about {where:.0f} rows"
    where = f"with {common[0]} rows" if len(common) == 1 else f"from {common[0]} to {common[-1]} rows"
    return f"fine-tuning stayed {'below' if gaps[-1] > 0 else 'level with'} it {where}"
