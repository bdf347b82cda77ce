"""Several results on one page: which of the runs is ahead, in plain words, and one table with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from separatrix.reports.pack import show
from separatrix.reports.sections import Section
from separatrix.reports.tables import tabulate
from separatrix.reports.verdict import Verdict, against_constant
from separatrix.store.result import p_words

Record = Mapping[str, Any]
SURE = 0.05  # corrected p-value from which on a difference is no chance
NOT_ABOVE = {"no": "Not above", "not known": "Not to be told, by these rows, from"}


@dataclass(frozen=True)
class Comparisons:
    """What was compared, as plain lines.

    `sources` have source, kind, method, rows, accuracy, low, high, majority and validation; `pairs` a, b, difference,
    interval, p_holm and rows; `recipes` and `recipe_pairs` are those of `analysis.seeds`.
    """

    sources: Sequence[Record]
    pairs: Sequence[Record] = ()
    recipes: Sequence[Record] = ()
    recipe_pairs: Sequence[Record] = ()
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def runs(self) -> list[Record]:
        """Sources with an accuracy."""
        return [line for line in self.sources if line.get("accuracy") is not None]

    @property
    def chosen(self) -> bool:
        """Whether validation figures say which run is held against the others."""
        return bool(self.runs) and all(line.get("validation") is not None for line in self.runs)

    @property
    def leader(self) -> Record | None:
        """The run that is highest on validation rows, or, where some have none, on their own rows; None of no run."""
        figure = "validation" if self.chosen else "accuracy"
        return max(self.runs, key=lambda line: line[figure], default=None)


def judge_several(given: Comparisons) -> Verdict | None:
    """Which run is ahead, whether the rows can tell, and which do not beat the largest class; None of no run.

    The one that is highest on validation rows is held against the others on test rows.

    >>> lines = [{"source": name, "accuracy": one, "validation": one, "low": one - 0.03, "high": one + 0.03,
    ...           "majority": 0.3, "rows": 500, "split": "test"} for name, one in (("a", 0.9), ("b", 0.8))]
    >>> pair = {"a": "a", "b": "b", "difference": 0.1, "interval": (0.05, 0.15), "p_holm": 0.001, "rows": 500}
    >>> judge_several(Comparisons(lines, [pair])).headline
    'a is ahead of b.'
    """
    runs, chosen, leader = given.runs, given.chosen, given.leader
    if leader is None or len(runs) < 2:
        return None
    name, others = str(leader["source"]), [line for line in runs if line is not leader]
    ahead, level, behind, apart = list[str](), list[str](), list[str](), list[str]()
    for other in others:
        pair = _pair(given.pairs, name, str(other["source"]))
        if pair is None:
            apart.append(str(other["source"]))
        else:
            side = level if pair["p_holm"] >= SURE else ahead if pair["difference"] > 0 else behind
            side.append(_phrase(str(other["source"]), pair))
    tone, headline = _headline(name, len(others), ahead, level, behind)
    first = f"{name} is highest on validation rows; differences are those of the same test rows."
    if len(apart) == len(others):  # a figure on other rows says nothing about which is better
        first = f"{name} has the highest figure, each on validation rows of its own."
    sentences = [first] if chosen else []
    sentences += [f"Ahead of {'; '.join(ahead)}."] if ahead else []
    sentences += [f"Not to be told from {'; '.join(level)}."] if level else []
    sentences += [f"Behind {'; '.join(behind)}."] if behind else []
    sentences += [f"Not compared with {', '.join(apart)}: they did not answer the same rows."] if apart else []
    sentences += [_recipes(given)] if given.recipe_pairs else []
    for against, what in NOT_ABOVE.items():
        low = [str(line["source"]) for line in runs if _against(line) == against]
        if low:
            tone = "no" if against == "no" and len(low) == len(runs) else "mixed"
            sentences.append(f"{what} always answering the largest class: {', '.join(low)}.")
    figures = [
        (str(line["source"]), f"{line['accuracy']:.3f}") for line in sorted(runs, key=lambda one: -one["accuracy"])[:4]
    ]
    return Verdict(tone, headline, " ".join(sentences), (*figures, ("largest class", show(leader.get("majority")))))


def _headline(
    name: str, others: int, ahead: Sequence[str], level: Sequence[str], behind: Sequence[str]
) -> tuple[str, str]:
    if behind:
        return "mixed", f"{name}, which validation prefers, is behind on test rows."
    if len(ahead) == others:
        return "yes", f"{name} is ahead of {'all others' if others > 1 or not ahead else ahead[0].partition(' (')[0]}."
    if ahead:
        return "mixed", f"{name} is ahead of {len(ahead)} of {others} others; the rest cannot be told apart."
    return "mixed", "These rows do not tell which is better." if level else "No two of them answered the same rows."


def _recipes(given: Comparisons) -> str:
    parts = []
    for pair in given.recipe_pairs:
        sign = f"{pair['difference']:+.3f}"
        span = "" if pair["low"] is None else f" ({pair['low']:+.3f} to {pair['high']:+.3f})"
        p = "" if pair.get("p_holm") is None else f", {p_words(pair['p_holm'])}"
        parts.append(f"{pair['a']} less {pair['b']} {sign}{span} over {pair['seeds']} shared seeds{p}")
    return f"Over seeds: {'; '.join(parts)}."


def _against(line: Record) -> str:
    """How a run stands against always answering the largest class, as `against_constant` says it."""
    low, high, majority = line.get("low"), line.get("high"), line.get("majority")
    return (
        "above" if low is None or majority is None else against_constant(low, low if high is None else high, majority)
    )


def _pair(pairs: Sequence[Record], name: str, other: str) -> dict[str, Any] | None:
    """The difference of two runs, the first less the second."""
    for pair in pairs:
        low, high = pair["interval"]
        if (pair["a"], pair["b"]) == (name, other):
            return dict(pair)
        if (pair["b"], pair["a"]) == (name, other):
            return {**pair, "difference": 0.0 - pair["difference"], "interval": (0.0 - high, 0.0 - low)}  # no -0.000
    return None


def _phrase(name: str, pair: Record) -> str:
    low, high = pair["interval"]
    difference = f"{pair['difference']:+.3f}, {low:+.3f} to {high:+.3f}"
    return f"{name} ({difference}, {p_words(pair['p_holm'])} on {pair['rows']} rows)"


COLUMNS = {
    "source": "result", "method": "method", "accuracy": "accuracy", "interval": "95 % interval",
    "less": "less the leader", "span": "paired interval", "p_holm": "p (Holm)", "validation": "on validation",
    "majority": "majority", "micro_f1": "micro-F1", "macro_f1": "macro-F1", "rmse": "RMSE",
    "trustworthiness": "trust", "knn_overlap": "k-NN overlap",
    "knn_after": "k-NN in the map", "rows": "rows", "split": "rows of", "kind": "kind", "loss": "loss",
    "model": "model", "seconds": "seconds",
}  # fmt: skip
RECIPE_COLUMNS = {
    "recipe": "recipe of",
    "part": "rows of",
    "runs": "seeds",
    "mean": "mean accuracy",
    "span": "95 % interval",
}


def comparison_sections(given: Comparisons) -> list[Section]:
    """Warnings where there are any, verdict, table; recipes over their seeds."""
    sections = []
    if given.warnings:
        sections.append(Section("warnings", "Warnings", "warnings.html", {"warnings": list(given.warnings)}))
    verdict = judge_several(given)
    if verdict is not None:
        sections.append(Section("verdict", "Which is ahead?", "verdict.html", {"verdict": verdict}))
    if given.sources:
        sets = any(line.get("micro_f1") is not None for line in given.sources)
        view = {"table": _table(given), "lead": " ".join([_LEAD] * bool(given.pairs) + [OF_SETS] * sets)}
        sections.append(Section("compared", "Side by side", "sorted_table.html", view, "sorted"))
    if given.recipes:
        lines = [{**line, "span": _span(line)} for line in given.recipes]
        view = {"table": tabulate(lines, columns=RECIPE_COLUMNS), "lead": _SEEDS}
        sections.append(Section("seeds", "Over seeds of one recipe", "sorted_table.html", view, "sorted"))
    return sections


def _span(line: Record) -> Any:
    return None if line.get("low") is None else (line["low"], line["high"])


def _table(given: Comparisons) -> Any:
    leader, lines = given.leader, []
    for line in given.sources:
        pair = None if leader is None else _pair(given.pairs, str(line["source"]), str(leader["source"]))
        more = {} if pair is None else {"less": pair["difference"], "span": pair["interval"], "p_holm": pair["p_holm"]}
        lines.append({**line, "interval": _span(line), **more})
    kept = {name: title for name, title in COLUMNS.items() if any(line.get(name) is not None for line in lines)}
    return tabulate(lines, [leader is not None and line["source"] == leader["source"] for line in given.sources], kept)


_LEAD = (
    "The marked line is the run that is highest on validation rows. Differences to it are paired: the same rows, with "
    "a bootstrap interval over them, and the p-value of McNemar's exact test, corrected for the number of pairs (Holm)."
)
OF_SETS = "Where a row has several labels, it counts as right if its whole set is; so does its majority."
_SEEDS = "Runs whose recipes differ in the seed alone: mean and t interval over seeds, differences over shared seeds."
