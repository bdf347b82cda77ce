"""The page of a training that is not finished: how far it is, its curves, trials of a race. It asks for what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from separatrix.reports.page import fill, part
from separatrix.reports.sections import curve_panels
from separatrix.reports.tables import tabulate
from separatrix.store.result import digits

TRAINING, STOPPED, FINISHED = "training", "stopped", "finished"
LOSS = {"loss": "loss (validation)"}
SHOWN = 20  # last epochs, and last trials, of the tables


@dataclass(frozen=True)
class LiveTraining:
    """What a run's folder says while another process writes it."""

    title: str  # name of the folder
    state: str
    method: str = ""
    epochs: int = 0  # planned; 0: the method has none
    summary: tuple[tuple[str, object], ...] = ()
    metrics: Sequence[Mapping[str, Any]] = ()  # rows of `metrics.jsonl` so far
    trials: Sequence[Mapping[str, Any]] = field(default_factory=tuple)  # of a race so far
    line: str = ""  # what goes on now: stage, steps done of all, rate, time left, loss
    steps: tuple[int, int] = (0, 0)  # done of all, of that stage; 0: not known

    @property
    def seen(self) -> str:
        """Differs when there is something new to show."""
        return f"{self.state}-{len(self.metrics)}-{len(self.trials)}-{self.line}"

    @property
    def sentence(self) -> str:
        """How far it is.

        >>> LiveTraining("run", "training", epochs=5, metrics=[{"epoch": 2, "loss": 0.5}]).sentence
        'Epoch 2 of 5 is done.'
        """
        done = int(self.metrics[-1].get("epoch", 0)) if self.metrics else 0
        figures = self.metrics[-1].get("validation", {}) if self.metrics else {}
        score = next(
            (
                f"; {name} {figures[name]:{digits(name)}} on validation rows"
                for name in ("accuracy", "rmse")
                if name in figures
            ),
            "",
        )
        score += f" (majority {figures['majority']:.3f})" if score and "majority" in figures else ""
        if self.state == FINISHED:
            return "The training is finished: its page comes."
        if self.state == STOPPED:
            after = f" after epoch {done}" if done else ""
            return f"The training was stopped{after}{score}. The same command with --resume goes on."
        if not done and self.trials:
            return f"The methods are raced: {len(self.trials)} trials are done."
        if not done:
            return "The training has begun: no epoch is done yet."
        return f"Epoch {done}{f' of {self.epochs}' if self.epochs else ''} is done{score}."


def live_part(training: LiveTraining) -> str:
    """What changes while a training goes on, as HTML."""
    drawn = curve_panels(training.metrics)
    lines = [
        {"epoch": line.get("epoch"), "loss (train)": line.get("loss")}
        | {LOSS.get(name, name): value for name, value in line.get("validation", {}).items() if name != "majority"}
        for line in training.metrics[-SHOWN:]
    ]  # fmt: skip
    trials = [
        {"method": trial["candidate"], "rows learnt from": trial["rows"], "seconds": float(trial["seconds"])}
        | {"accuracy": sum(trial["right"]) / len(trial["right"]) if trial["right"] else None}
        for trial in training.trials[-SHOWN:]
    ]  # fmt: skip
    done = int(training.metrics[-1].get("epoch", 0)) if training.metrics else 0
    tables = {"lines": tabulate(lines[::-1]) if lines else None, "trials": tabulate(trials[::-1]) if trials else None}
    return part("live_part.html", training=training, view={"panels": drawn}, done=done, **tables)


def live_page(training: LiveTraining) -> str:
    """The page as text; it asks for `progress` beside it, and loads itself again when the training is finished."""
    return fill(
        "live.html",
        ("live.js",),
        source="'self'",
        title=training.title,
        training=training,
        part=Markup(live_part(training)),
    )
