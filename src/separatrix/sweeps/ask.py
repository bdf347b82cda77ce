"""A search that learns as it goes: Optuna is asked for combinations, and told what each reached on validation.

Optuna keeps nothing: what was told is on disk as runs. The same seed and the same figures give the same questions, so a
sweep that was stopped is gone on with by asking all of them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from separatrix.errors import MissingExtra
from separatrix.recipe import canonical
from separatrix.sweeps.search import Distribution, Search

INSTALL = 'type: pip install "separatrix[search]"'
TRIES = 20  # questions for each new combination: of a few values, some are asked again


def check_installed() -> None:
    """Raise `MissingExtra` where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise MissingExtra("optuna is not installed", hint=INSTALL)


@dataclass
class GuidedSearch:
    """Combinations of the axes by Optuna's tree of Parzen estimators (Bergstra et al. 2011).

    Attributes:
        axes: option -> its values, or a range.
        search: how many combinations, the seed, and how many are drawn at random before.
        maximize: whether more is better.
    """

    axes: Mapping[str, Sequence[Any] | Distribution]
    search: Search
    maximize: bool
    study: Any = field(init=False, repr=False)
    open: dict[str, Any] = field(default_factory=dict, repr=False)  # combination -> its trial, not told yet
    scores: dict[str, float | None] = field(default_factory=dict, repr=False)  # combination -> what was told

    def __post_init__(self) -> None:
        check_installed()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.search.seed, n_startup_trials=self.search.drawn)
        self.study = optuna.create_study(direction="maximize" if self.maximize else "minimize", sampler=sampler)
        self.distributions = {name: _distribution(values) for name, values in self.axes.items()}

    def ask(self, count: int) -> list[dict[str, Any]]:
        """So many new combinations; fewer where the axes have no more, or all are asked for."""
        new = list[dict[str, Any]]()
        for _ in range(TRIES * count):
            if len(new) == count or len(self.open) + len(self.scores) == self.search.samples:
                break
            trial = self.study.ask(self.distributions)
            values = {name: _value(self.axes[name], drawn) for name, drawn in trial.params.items()}
            key = canonical(values)
            if key in self.scores:
                self._tell(trial, self.scores[key])
            elif key in self.open:
                self._tell(trial, None)
            else:
                self.open[key] = trial
                new.append(values)
        return new

    def tell(self, values: Mapping[str, Any], score: float | None) -> None:
        """What a combination that was asked reached on validation; None where it failed, or cannot be trained."""
        key = canonical(dict(values))
        self._tell(self.open.pop(key), score)
        self.scores[key] = score

    def _tell(self, trial: Any, score: float | None) -> None:
        from optuna.trial import TrialState

        if score is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)


def _distribution(values: Sequence[Any] | Distribution) -> Any:
    """Of a list the number of its value: Optuna takes no lists as values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Distribution):
        return CategoricalDistribution(range(len(values)))
    if values.is_whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _value(values: Sequence[Any] | Distribution, drawn: Any) -> Any:
    return values.rounded(drawn) if isinstance(values, Distribution) else values[drawn]
