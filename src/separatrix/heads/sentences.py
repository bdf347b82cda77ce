"""What heads do, in a sentence made from their numbers; where nothing stands out it says so.

A trait is claimed only where its mean reaches an absolute level (`TRAITS`). One that also lies in the upper quarter of
all heads of the model leads; one that does not is said to be common. Levels are choices, not findings: a share of 0.3
on one fixed place is many times what even attention puts there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_PATTERN = "no clear pattern"
NOT_MEASURED = "not described: its descriptors were not measured"
MOST_TRAITS = 2
SAME = 0.8  # of the attention on special tokens, from which on the first token alone explains it


@dataclass(frozen=True)
class Trait:
    """What a number of a head says once it reaches a level."""

    column: str
    level: float
    words: str
    shape: bool = False  # how the attention lies, not where: said behind the places


TRAITS = (
    Trait("previous", 0.3, "looks at the previous token"),
    Trait("next", 0.3, "looks at the next token"),
    Trait("self", 0.3, "looks at the token itself"),
    Trait("diagonal", 0.4, "looks at tokens nearby"),
    Trait("first", 0.3, "looks at the first token"),
    Trait("special", 0.4, "looks at special tokens"),
    Trait("punctuation", 0.25, "looks at punctuation"),
    Trait("block", 0.2, "stays in its own segment"),
    Trait("induction", 0.3, "looks at what followed the same token before (induction)"),
    Trait("duplicate", 0.3, "looks at the same token before (duplicate token)"),
    Trait("entropy", 0.8, "spreads its attention evenly", shape=True),
    Trait("confidence", 0.7, "is sharp on one token", shape=True),
    Trait("distance", 0.4, "looks far away", shape=True),
)
DESCRIPTORS = ("entropy", "confidence")  # without them nothing was measured but the repeats, if those

HeadColumns = Mapping[str, NDArray[Any]]  # of all heads: name -> (heads,)


def describe(means: Mapping[str, float], columns: HeadColumns) -> str:
    """One or two leading traits of a head, or of the mean of some, against all heads of the model.

    >>> every = {"entropy": np.array([0.9, 0.5, 0.2]), "confidence": np.zeros(3), "previous": np.array([0, 0.1, 0.8])}
    >>> describe({"entropy": 0.2, "confidence": 0.0, "previous": 0.8}, every)
    'looks at the previous token'
    >>> describe({"entropy": 0.5, "confidence": 0.0, "previous": 0.1}, every)
    'no clear pattern'
    """
    if not set(DESCRIPTORS) <= columns.keys():
        return NOT_MEASURED
    reached = [trait for trait in TRAITS if trait.column in columns and means[trait.column] >= trait.level]
    reached = _distinct(reached, means)
    high = {trait.column: np.quantile(columns[trait.column], 0.75) for trait in reached}
    leading = [trait for trait in reached if means[trait.column] >= high[trait.column]]
    chosen = sorted(leading or reached, key=lambda trait: (trait.shape, -_strength(trait, means)))[:MOST_TRAITS]
    if not chosen:
        return NO_PATTERN
    first, *rest = (trait.words for trait in chosen)
    words = " and ".join([first, *(each.removeprefix("looks ") for each in rest)])
    return words if leading else f"{words}, as many heads do"


def _strength(trait: Trait, means: Mapping[str, float]) -> float:
    """How far above its level a trait lies, as a share of what is left up to 1."""
    return (means[trait.column] - trait.level) / (1 - trait.level)


def _distinct(traits: list[Trait], means: Mapping[str, float]) -> list[Trait]:
    """Without what another trait says already: the first token is a special one in many models."""
    columns, without = {trait.column for trait in traits}, set[str]()
    if {"previous", "next", "self"} & columns:
        without.add("diagonal")
    if {"first", "special"} <= columns:
        without.add("special" if means["first"] >= SAME * means["special"] else "first")
    if any(not trait.shape for trait in traits):
        without.add("confidence")
    return [trait for trait in traits if trait.column not in without]


def head_sentences(columns: HeadColumns) -> list[str]:
    """The sentence of each head."""
    numbers = [trait.column for trait in TRAITS if trait.column in columns]
    return [
        describe({name: float(columns[name][head]) for name in numbers}, columns)
        for head in range(len(columns["layer"]))
    ]


def cluster_lines(columns: HeadColumns, labels: NDArray[np.integer]) -> list[dict[str, Any]]:
    """A line for each cluster: number (-1 noise), sentence, layers, heads, share of rows; the largest share first.

    Args:
        columns: of all heads: `layer`, `cluster` (the one it is mostly in), descriptors.
        labels: (rows,) cluster of each row that was clustered.
    """
    numbers, lines = [trait.column for trait in TRAITS if trait.column in columns], []
    for cluster in np.unique(labels).tolist():
        inside = columns["cluster"] == cluster
        layers, share = np.unique(columns["layer"][inside]).tolist(), float(np.mean(labels == cluster))
        what = "no head is mostly in it"
        if layers:
            what = describe({name: float(columns[name][inside].mean()) for name in numbers}, columns)
        parts = [what, *([ranges("layer", layers)] if layers else []), count(int(inside.sum()))]
        sentence = "; ".join([*parts, f"{100 * share:.0f} % of rows" if share >= 0.005 else "under 1 % of rows"])
        line = {"cluster": cluster, "sentence": sentence, "layers": layers, "heads": int(inside.sum()), "share": share}
        lines.append(line)
    return sorted(lines, key=lambda line: (line["cluster"] < 0, -line["share"]))


def count(heads: int) -> str:
    """A number of heads, in words."""
    return f"{heads} head{'' if heads == 1 else 's'}"


def ranges(name: str, numbers: list[int]) -> str:
    """Rising whole numbers with their name, neighbors as a range.

    >>> ranges("layer", [0, 1, 2, 5]), ranges("layer", [3]), ranges("layer", [3, 4])
    ('layers 0 to 2 and 5', 'layer 3', 'layers 3 and 4')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    most = ", ".join(parts[:-1])
    return f"{name}{'s' if len(numbers) > 1 else ''} " + (f"{most} and {parts[-1]}" if most else parts[-1])
