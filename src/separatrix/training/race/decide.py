"""What the trials so far say: who is out and why, what the rest would take, which candidate leads.

Everything here is a function of records that are kept on disk, seconds among them, so that a race that was killed and
goes on decides as it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log2
from typing import Any

import numpy as np

from separatrix.geometry.resample import PairedDifference, compare_answers
from separatrix.training.race.rows import Rung

CHANCE = 0.05  # p-value from which a lead may be chance
GROWTH = 0.01  # accuracy that a candidate may win back on the leader with each doubling of the rows
# What is expected beforehand weighs as much as so many judged rows. Two candidates differ on three rows of ten, and how
# far one is above another differs between data sets by some 0.12 (studies/auto): 0.3 / 0.12 ** 2 = 20. Twice that:
# a trial says what four fifths of the rows give with one draw, and by 20 two races of 16 rows in three fell to chance.
PRIOR_ROWS = 40
# Of the budget, for the training after the race with as many epochs as it is raced with. A third, so that a second rung
# fits: fewer epochs cost less (`studies/auto`, SHORTER.md) than a choice by few rows.
LAST_SHARE = 1 / 3
TICK = 1e-9  # seconds; a clock may stand still during a pass
UNTRIED = 0.1  # accuracy that must be expected of a method above the cheapest one for it to be trained without a race


@dataclass(frozen=True)
class Trial:
    """A candidate, trained once: on so many rows, judged by a fold."""

    candidate: str
    rows: int
    fold: int
    seconds: float
    right: tuple[int, ...] = ()  # 1 for each judged row that is answered right
    error: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two trials the same."""
        return (self.candidate, self.rows, self.fold)


@dataclass(frozen=True)
class Pilot:
    """What is measured before any trial."""

    load: float  # seconds in which the model is loaded
    forward: float  # seconds of a row in one pass of the model
    tokens: float  # of a text, on average
    seconds: float  # of the pilot


@dataclass
class Standing:
    """The state of a race.

    Attributes:
        names: candidates in their order.
        cost: passes forward of each row in a training of a candidate with so many rows and time for so many passes; of
            its shortest training where that is less.
        pilot: what was measured beforehand.
        budget: seconds, of the race and of the training after it.
        rows: rows that the chosen candidate is trained on.
        answered: rows that are read once more at the end, for figures and baselines.
        seed: of intervals.
        ahead: candidate -> accuracy that it is expected to be ahead by, before any trial; 0 where it is not named.
        refits: the chosen candidate is trained twice whatever time is left: few rows are all learnt from.
        trials: so far.
        out: candidate -> (state, why).
    """

    names: Sequence[str]
    cost: Callable[[str, int, float], float]
    pilot: Pilot
    budget: float
    rows: int
    answered: int
    seed: int = 0
    ahead: Mapping[str, float] = field(default_factory=dict)
    refits: bool = False
    trials: list[Trial] = field(default_factory=list)
    out: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def alive(self) -> list[str]:
        """Candidates that are not out."""
        return [name for name in self.names if name not in self.out]

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.pilot.seconds + sum(trial.seconds for trial in self.trials)

    @property
    def left(self) -> float:
        """Seconds that are left of the budget."""
        return self.budget - self.seconds

    @property
    def _left(self) -> str:
        return f"{max(self.left, 0):.0f} s are left"

    def answers(self, name: str, rows: int, folds: Iterable[int]) -> np.ndarray | None:
        """Whether each judged row of these folds was answered right, (judged,) bool; None where a fold is missing."""
        known = {trial.fold: trial.right for trial in self.trials if trial.candidate == name and trial.rows == rows}
        folds = list(folds)
        if not folds or any(not known.get(fold) for fold in folds):
            return None
        return np.concatenate([np.asarray(known[fold], dtype=bool) for fold in folds])

    @property
    def trainings(self) -> int:
        """How often the chosen candidate is trained whatever time is left."""
        return 2 if self.refits else 1

    @property
    def passes(self) -> float:
        """Passes forward of one row for which a training after the race has time: no trial has more.

        So a trial with fewer rows has more of its epochs than the training after the race.
        """
        return max(LAST_SHARE * self.budget / self.trainings - self.pilot.load, 0.0) / max(self.pilot.forward, TICK)

    def passes_left(self, name: str) -> float:
        """Passes forward of each row for which the training after the race has time."""
        seconds = (self.left - self.answered * self.pilot.forward) / self.trainings - self.pilot.load
        return max(seconds, 0.0) / max(self.pass_seconds(name) * self.rows, TICK)

    def pass_seconds(self, name: str) -> float:
        """What a pass forward of a row takes: by the candidate's last trial, else by the slowest of the others."""
        speed, own = self.pilot.forward, None
        for trial in self.trials:
            cost = self.cost(trial.candidate, trial.rows, self.passes / trial.rows)
            measured = max(trial.seconds - self.pilot.load, 0.01 * trial.seconds) / (trial.rows * cost)
            if trial.candidate == name and trial.error is None:
                own = measured
            elif cost > 1:  # another one that is trained: steps take more than passes alone
                speed = max(speed, measured)
        return speed if own is None else own

    def training_seconds(self, name: str, rows: int, passes: float | None = None) -> float:
        """What a training with so many rows takes: as it is raced, or with time for so many passes of each row."""
        passes = self.passes / rows if passes is None else passes
        return self.pilot.load + self.pass_seconds(name) * rows * self.cost(name, rows, passes)

    def final_seconds(self, name: str, passes: float | None = None, *, refit: bool = False) -> float:
        """What the training after the race takes: once, or with `refit` twice; and the answers at its end."""
        trainings = 2 if refit else self.trainings
        return self.training_seconds(name, self.rows, passes) * trainings + self.answered * self.pilot.forward

    def reserve(self, names: Iterable[str]) -> float:
        """What is kept for the training of the dearest of these: for both of `refit`, if both fit with all epochs."""
        twice = {name: self.final_seconds(name, inf, refit=True) for name in names}
        return max(both if both <= self.left else self.final_seconds(name) for name, both in twice.items())

    def rung_seconds(self, rung: Rung) -> float:
        """What a rung takes of all candidates that are not out."""
        return sum(self.training_seconds(name, rung.rows) * len(rung.folds) for name in self.alive)

    def leave_out(self, leader: str | None = None) -> None:
        """Leave out what is not trained on all rows in the time that is left, however few its epochs.

        The leader, or one, stays.
        """
        for name in sorted(self.alive, key=self.final_seconds, reverse=True):
            needs = self.final_seconds(name, 0.0)
            if name != leader and len(self.alive) > 1 and needs > self.left:
                shortest = "shortest " if needs < self.final_seconds(name, inf) else ""
                self.out[name] = (
                    "left out",
                    f"its {shortest}training on all {self.rows} rows would take about {needs:.0f} s, {self._left}",
                )

    def affords(self, rung: Rung, *, first: bool, leader: str | None = None) -> bool:
        """Whether a rung fits into the budget beside the training after it.

        For the first rung candidates are left out until it does, or one is left: those of which least is expected, and
        of equal ones the dearest. The cheapest one, the probe, which is fitted as a baseline anyway, stays, unless one
        other is left of which far more is expected. A later rung takes no time from the second training of `refit`:
        few rows are better learnt from than judged by.
        """
        self.leave_out(leader)
        while True:
            reserve = max(map(self.final_seconds, self.alive)) if first else self.reserve(self.alive)
            needs = self.rung_seconds(rung) + reserve
            if needs <= self.left:
                return True
            if not first or len(self.alive) == 1:
                return False
            expected = {name: self.ahead.get(name, 0.0) for name in self.alive}
            cheapest = min(self.alive, key=self.final_seconds)
            others = [name for name in self.alive if name != cheapest]
            if len(others) == 1 and expected[others[0]] - expected[cheapest] >= UNTRIED:
                others.append(cheapest)
            given_up = max(reversed(others), key=lambda name: (-expected[name], self.final_seconds(name)))
            level = len({expected[name] for name in others}) == 1
            why = "this one takes longest" if level else "with so few rows least is expected of this one"
            self.out[given_up] = (
                "left out",
                f"the trials of {len(self.alive)} candidates and a training on all {self.rows} rows would take about "
                f"{needs:.0f} s, {self._left}; {why}",
            )

    def too_dear(self, name: str, rung: Rung) -> bool:
        """Leave a candidate out before its first trials where they would take the time for the training of the best."""
        tried = {trial.candidate for trial in self.trials if trial.error is None} - {*self.out}
        if not tried or name in tried:
            return False
        reserve = self.reserve(tried)
        needs = self.training_seconds(name, rung.rows) * len(rung.folds)
        if needs + reserve <= self.left:
            return False
        why = f"its trials would take about {needs:.0f} s and the training after the race {reserve:.0f} s"
        self.out[name] = ("left out", f"{why}, {self._left}")
        return True

    def stop(self, rows: int, folds: Sequence[int]) -> None:
        """Stop what cannot win: the lower end of the leader's lead is above what more rows may win back.

        Of a dozen judged rows an interval drawn from them is too short, so the exact test must tell both apart too.
        """
        leader = self.leader(rows, folds)
        best = self.answers(leader, rows, folds)
        assert best is not None
        allowed = GROWTH * max(0.0, log2(self.rows / rows))
        for name in self.alive:
            own = self.answers(name, rows, folds)
            if name == leader or own is None:
                continue
            gap = self.difference(best, own)
            if gap.interval[0] > allowed and gap.p_value < CHANCE:
                self.out[name] = ("stopped", f"below {leader} by {interval_text(gap)} with {rows} rows")

    def leader(self, rows: int, folds: Sequence[int]) -> str:
        """The candidate with most right answers, those expected of it among them; of equal ones the first."""
        answers = {name: self.answers(name, rows, folds) for name in self.alive}
        scores = {name: self._expected(name, own) for name, own in answers.items() if own is not None}
        return max(scores, key=lambda name: scores[name])

    def _expected(self, name: str, right: np.ndarray) -> float:
        """Right answers as a share, with as many rows more as what is known beforehand is worth."""
        return float(right.sum() + PRIOR_ROWS * self.ahead.get(name, 0.0)) / (len(right) + PRIOR_ROWS)

    def difference(self, a: np.ndarray, b: np.ndarray) -> PairedDifference:
        """Accuracy of a less that of b on the same rows."""
        return compare_answers(a, b, seed=self.seed)


def interval_text(difference: PairedDifference) -> str:
    """A paired difference with its interval."""
    low, high = difference.interval
    return f"{difference.difference:.3f} ({low:.3f} to {high:.3f})"


def trial_of(plain: dict[str, Any]) -> Trial:
    """A trial as its line says."""
    return Trial(**plain | {"right": tuple(plain["right"])})
