"""The table of a sweep: figures of runs -> one line a setting. The choice sees validation figures alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from separatrix.errors import OptionError, StoreError
from separatrix.geometry.resample import MeanInterval, holm, mean_interval, paired_difference, paired_p_value
from separatrix.sweeps.plan import Run, SweepLine
from separatrix.sweeps.settings import ROW, beside, written, written_all
from separatrix.sweeps.study import RunFigures, Study
from separatrix.training.request import predicts_numbers

VALIDATION, TEST = "validation", "test"
NEIGHBORS = "k-NN"  # as runs name the baseline
LOWER = ("rmse",)  # figures of which less is better
MAJORITY = {"accuracy": "majority", "macro_f1": "majority_macro_f1", "rmse": "baseline_rmse"}  # of always one answer


@dataclass(frozen=True, eq=False)
class LineFigures:
    """A line with the figures of its runs.

    Attributes:
        line: setting and runs.
        results: seed -> `result.json`, of the runs that are done.
        metric: accuracy; where numbers are predicted rmse, where rows have several labels macro_f1.
        sizes: trained numbers and their bytes of each of these runs.
        damage: run -> why it is left out, of those that are done and damaged.
    """

    line: SweepLine
    results: Mapping[int, Mapping[str, Any]]
    metric: str
    sizes: Sequence[tuple[int, int]] = ()
    damage: Mapping[str, str] = field(default_factory=dict)

    @property
    def coordinates(self) -> Mapping[str, Any]:
        """Columns of the table that say which setting it is, as they are written."""
        setting = self.line.setting
        return {name: written(value) for name, value in {**setting.coordinates, **setting.stage}.items()}

    @property
    def effort(self) -> tuple[int, int]:
        """How far rounds have brought it: the option that grows with them, and the number of seeds."""
        return sum(self.line.setting.stage.values()), len(self.line.runs)

    @property
    def is_whole(self) -> bool:
        """Whether every seed is done."""
        return bool(self.results) and len(self.results) == len(self.line.runs)

    def of(self, part: str) -> dict[int, float]:
        """Seed -> figure of a part, of those that have it."""
        figures = {seed: self._figure(result, part) for seed, result in self.results.items()}
        return {seed: value for seed, value in sorted(figures.items()) if value is not None}

    def mean(self, part: str) -> MeanInterval | None:
        """Mean over seeds with its interval, cut where the figure ends."""
        values = [*self.of(part).values()]
        if not values:
            return None
        mean = mean_interval(values)
        if mean.low is None or mean.high is None:
            return mean
        most = np.inf if self.metric in LOWER else 1.0
        return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, most))

    def _figure(self, result: Mapping[str, Any], part: str) -> float | None:
        baseline, scores = self.line.setting.baseline, result["scores"].get(part, {})
        if baseline == "majority":
            return scores.get(MAJORITY[self.metric])
        if baseline == "knn":
            named = (one for name, one in result.get("baselines", {}).items() if name.startswith(NEIGHBORS))
            of_parts: Mapping[str, Any] = next(named, {})
            scores = of_parts.get(part, {})
        return scores.get(self.metric)

    @cached_property
    def confusions(self) -> list[np.ndarray]:
        """Of the test rows of each run, or of its validation rows."""
        scores = [result["scores"].get(TEST, result["scores"].get(VALIDATION, {})) for result in self.results.values()]
        return [np.array(one["confusion"]) for one in scores if one.get("confusion")]

    def costs(self) -> dict[str, Any]:
        """Mean seconds of a run by the wall and of the processor, trained numbers and their bytes."""
        if self.line.setting.baseline in ("majority", "knn") or not self.results:
            return {}
        parameters, size = np.array(self.sizes).max(axis=0).tolist()
        means = {name: self._mean(name) for name in ("seconds", "cpu_seconds")}
        known = {name: mean for name, mean in means.items() if mean is not None}
        return {**known, "parameters": parameters, "bytes": size}

    def _mean(self, name: str) -> float | None:
        """Over all runs; None where one was written by a version that did not count it."""
        values = [float(result[name]) for result in self.results.values() if name in result]
        return round(float(np.mean(values)), 2) if len(values) == len(self.results) else None


def read_lines(lines: Sequence[SweepLine], runs: Mapping[str, Run], study: Study) -> list[LineFigures]:
    """The figures of all runs that are done; of those of them that are damaged, why they have none."""
    read, damage = dict[str, RunFigures](), dict[str, str]()
    for run in {run for line in lines for run in line.runs.values()}:
        if study.state(run) == "done":
            try:
                read[run] = study.figures(runs[run])
            except StoreError as error:
                damage[run] = study.sentence(runs[run], error)
    figures = []
    for line in lines:
        done = {seed: read[run] for seed, run in line.runs.items() if run in read}
        results = {seed: one.result for seed, one in done.items()}
        sizes = [(one.parameters, one.bytes) for one in done.values()]
        own = {run: damage[run] for run in line.runs.values() if run in damage}
        figures.append(LineFigures(line, results, metric_of(line), sizes, own))
    return figures


def metric_of(line: SweepLine) -> str:
    """Accuracy, rmse where numbers are predicted, macro_f1 where rows have several labels."""
    if predicts_numbers(line.setting.recipe):
        return "rmse"
    return "macro_f1" if line.sets else "accuracy"


def ranked(figures: Sequence[LineFigures]) -> list[LineFigures]:
    """Lines with all seeds, the best mean on validation first; of equal ones the first. No test figure is looked at.

    Of lines that rounds have dropped, which have fewer epochs, rows or seeds, none is in.
    """
    own = [one for one in figures if one.line.setting.baseline is None]
    most = max((one.effort for one in own), default=None)
    means = [(one, one.mean(VALIDATION)) for one in own if one.is_whole and one.effort == most]
    values = [(one, mean.mean) for one, mean in means if mean is not None]
    return [one for one, _ in sorted(values, key=lambda pair: pair[1] if pair[0].metric in LOWER else -pair[1])]


def best(figures: Sequence[LineFigures]) -> LineFigures | None:
    """The first of `ranked`, if there is one."""
    return next(iter(ranked(figures)), None)


def groups(figures: Sequence[LineFigures], tuned: Collection[str]) -> list[list[LineFigures]]:
    """Lines of one data set that differ in the tuned axes alone, and in how far rounds have brought them."""
    kept = dict[tuple[Any, ...], list[LineFigures]]()
    for one in figures:
        free = {*tuned, *one.line.setting.stage}
        values = ((name, value) for name, value in one.coordinates.items() if name not in free)
        key = (one.line.setting.data.name, *values)
        kept.setdefault(key, []).append(one)
    return [*kept.values()]


@dataclass(frozen=True)
class Reference:
    """A row by its name, or values of axes: what others are compared with, or what is trained."""

    fixed: Mapping[str, str]

    @classmethod
    def of(cls, text: str, figures: Sequence[LineFigures], what: str = "the reference") -> Reference:
        """Out of `probe`, `a row`, `tokens=1` or `a row, tokens=1`.

        Raises:
            OptionError: no line is that.
        """
        given, fixed = text, dict[str, str]()
        rows = {one.coordinates.get(ROW, "") for one in figures}
        if row := max((row for row in rows if row and f"{text},".startswith(f"{row},")), key=len, default=""):
            fixed[ROW], text = row, text[len(row) :]  # its name may hold a comma
        for part in filter(None, re.split(r",\s*", text)):
            name, equals, value = part.partition("=")
            fixed[name.strip() if equals else ROW] = value.strip() if equals else part
        reference = cls(fixed)
        if not fixed or not any(map(reference.is_one, figures)):
            names = list(dict.fromkeys(one.coordinates.get(ROW, one.line.setting.label) for one in figures))
            more = f" and {len(names) - 12} more" if len(names) > 12 else ""
            expected = f"a row ({', '.join(names[:12])}{more}) or an axis as tokens=1"
            raise OptionError(f"{what} names no row", got=repr(given), expected=expected)
        return reference

    def is_one(self, one: LineFigures) -> bool:
        """Whether a line is a reference."""
        return all(one.coordinates.get(name) == value for name, value in self.fixed.items())

    def of_line(self, one: LineFigures, figures: Sequence[LineFigures], tuned: Collection[str]) -> LineFigures | None:
        """What a line is compared with: the reference that has its other coordinates; None for a reference itself."""
        if self.is_one(one):
            return None
        free = {*self.fixed, *tuned, ROW}
        fits = [
            other
            for other in figures
            if self.is_one(other) and other.line.setting.data == one.line.setting.data and _agree(one, other, free)
        ]
        return fits[0] if len(fits) == 1 else None


def _agree(one: LineFigures, other: LineFigures, free: Collection[str]) -> bool:
    """Whether a line has the other coordinates of a reference; of a baseline, the options that it shares with rows."""
    setting, reference, own = one.line.setting, other.line.setting, one.coordinates
    if (name := reference.baseline) is not None:
        mine, theirs = (written_all(beside(name, each, setting.baseline)) for each in (setting, reference))
        if mine != theirs:
            return False
    return all(own.get(name, value) == value for name, value in other.coordinates.items() if name not in free)


@dataclass(frozen=True)
class SettingDifference:
    """A line less its reference, over the seeds that both have."""

    difference: MeanInterval
    p_value: float | None


def compare(one: LineFigures, other: LineFigures) -> SettingDifference | None:
    """Paired by seed, on the test rows, or on validation where there are none."""
    part = TEST if one.of(TEST) and other.of(TEST) else VALIDATION
    a, b = one.of(part), other.of(part)
    seeds = [seed for seed in a if seed in b]
    if not seeds:
        return None
    pair = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    return SettingDifference(paired_difference(*pair), paired_p_value(*pair))


def table_rows(figures: Sequence[LineFigures], tuned: Collection[str], reference: str | None) -> list[dict[str, Any]]:
    """One plain mapping a line, in the order of the grid; with tuned axes, `chosen` marks the lines that count."""
    whole = [(group, best(group)) for group in groups(figures, tuned)]
    chosen = {id(one) for _, one in whole if one is not None}
    counted = [one for one in figures if not tuned or id(one) in chosen or one.line.setting.baseline is not None]
    # A sweep that was stopped may not have chosen the reference's setting yet: then nothing is compared.
    named = None if reference is None else Reference.of(reference, figures)
    compared = {} if named is None else _compared(counted, tuned, named)
    rows = []
    for one in figures:
        group = next(group for group, _ in whole if one in group)
        counts = {"runs": len(one.results), "planned": len(one.line.runs)}
        setting = one.line.setting
        row: dict[str, Any] = {"label": setting.label, **one.coordinates, **counts}
        row |= {} if setting.baseline is None else {"baseline": setting.baseline}
        for part in (VALIDATION, TEST):
            row |= _interval(part, one.mean(part))
        if tuned:
            row |= {"chosen": id(one) in chosen, "tries": sum(other.is_whole for other in group)}
        rows.append(row | compared.get(id(one), {}))
    return rows


def run_rows(figures: Sequence[LineFigures]) -> list[dict[str, Any]]:
    """One plain mapping for each run that is done: its line, its seed, the name of its folder, its figures."""
    return [
        {"label": one.line.setting.label, **one.coordinates, "seed": seed, "run": one.line.runs[seed]}
        | {part: round(one.of(part)[seed], 6) for part in (VALIDATION, TEST) if seed in one.of(part)}
        for one in figures
        for seed in sorted(one.results)
    ]


def _compared(
    counted: Sequence[LineFigures], tuned: Collection[str], reference: Reference
) -> dict[int, dict[str, Any]]:
    """Differences to the reference, with p-values corrected for the number of lines that are compared."""
    rows, p_values = dict[int, dict[str, Any]](), dict[int, float]()
    for one in counted:
        other = reference.of_line(one, counted, tuned)
        comparison = None if other is None else compare(one, other)
        if comparison is None or other is None:
            continue
        rows[id(one)] = {"against": other.line.setting.label, **_interval("difference", comparison.difference)}
        if comparison.p_value is not None:
            p_values[id(one)] = comparison.p_value
    for key, corrected in zip(p_values, holm([*p_values.values()]), strict=True):
        rows[key] |= {"p_value": round(p_values[key], 6), "p_holm": round(float(corrected), 6)}
    return rows


def _interval(name: str, mean: MeanInterval | None) -> dict[str, Any]:
    """Mean and ends of its interval."""
    if mean is None:
        return {}
    whole = {name: round(mean.mean, 6)}
    if mean.low is None or mean.high is None:
        return whole
    return whole | {f"{name}_low": round(mean.low, 6), f"{name}_high": round(mean.high, 6)}


def suspicious(figures: Sequence[LineFigures]) -> Iterator[str]:
    """What looks as if nothing was learnt, over the whole sweep; see `geometry.guards` for a single run."""
    trained = [one for one in figures if one.line.setting.baseline is None and one.confusions]
    shares = [(one, share) for one in trained if (share := _class_share(one.confusions)) is not None]
    if shares:
        names = ", ".join(f"{one.line.setting.label} ({share:.4f})" for one, share in shares)
        yield (
            f"the accuracy of every run of {len(shares)} of {len(trained)} rows is exactly the share of a class: "
            f"{names}; nothing was learnt there, or the outputs do not fit the classes"
        )
    named = {id(one) for one, _ in shares}
    counts = Counter(
        confusion.tobytes() for one in trained for confusion in one.confusions if not _is_perfect(confusion)
    )
    same = [one for one in trained if id(one) not in named and _all_same(one.confusions, counts)]
    if same:
        names = ", ".join(one.line.setting.label for one in same)
        yield f"every run of {names} has the same answers, count by count: what differs between them has no effect"


def _class_share(confusions: Sequence[np.ndarray]) -> float | None:
    """The accuracy, where each run's is the share of a class, and nearly all of its answers are that class."""
    for confusion in confusions:
        right, rows = int(confusion.trace()), int(confusion.sum())
        top = int(confusion.sum(axis=0).argmax())
        if int(confusion.sum(axis=1)[top]) != right or int(confusion.sum(axis=0)[top]) < 0.95 * rows:
            return None
    return int(confusions[0].trace()) / int(confusions[0].sum())


def _is_perfect(confusion: np.ndarray) -> bool:
    return int(confusion.trace()) == int(confusion.sum())


def _all_same(confusions: Sequence[np.ndarray], counts: Mapping[bytes, int]) -> bool:
    """Whether all runs of a line, and at least three of the sweep, have one and the same confusion."""
    first = {confusion.tobytes() for confusion in confusions}
    return len(first) == 1 and counts.get(next(iter(first)), 0) >= max(3, len(confusions))
