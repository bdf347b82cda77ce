"""Ways through a grid: every combination, some that are drawn or asked for, and successive halving."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from separatrix.errors import OptionError, choose
from separatrix.recipe import canonical, checked
from separatrix.recipe.core import shown

MOST = 100_000  # rows of a grid, with all of their seeds
SEEDS = "seeds"
HALVED = ("epochs", "per_class", SEEDS)
RANDOM, TPE = "random", "tpe"
DRAWN = 10  # combinations at most that are drawn at random before `tpe` learns from them


@dataclass(frozen=True)
class Distribution:
    """Values from `low` to `high`, evenly or by their logarithm; whole numbers where both ends are."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Distribution:
        """Out of `{low = 1e-3, high = 1e-1, log = true}`.

        Raises:
            OptionError: an unknown key, no number, or ends in the wrong order.
        """
        for key in plain:
            choose(key, [spec.name for spec in fields(cls)], "key of a range")
        if not {"low", "high"} <= {*plain}:
            raise OptionError("a range needs both ends", got=shown(dict(plain)), expected="low and high")
        low, high = (checked(key, plain[key], int | float) for key in ("low", "high"))
        log = checked("log", plain.get("log", False), bool)
        if low >= high or (log and low <= 0):
            what = "above 0, and " if log else ""
            raise OptionError(
                "the ends of a range do not fit", got=f"{low} to {high}", expected=f"{what}low below high"
            )
        return cls(low, high, log)

    def draw(self, generator: np.random.Generator) -> float:
        """One value: whole, or of three significant digits."""
        half = 0.5 if self.is_whole else 0.0  # the ends are rounded to from one side as the others are from both
        low, high = self.low - half, self.high + half
        ends = (math.log(low), math.log(high)) if self.log else (low, high)
        value = float(generator.uniform(*ends))
        return self.rounded(math.exp(value) if self.log else value)

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def rounded(self, value: float) -> float:
        """A value as runs have it: whole, or of three significant digits, between the ends."""
        return min(max(round(value) if self.is_whole else float(f"{value:.3g}"), self.low), self.high)


@dataclass(frozen=True)
class Search:
    """How the combinations are gone through.

    Attributes:
        samples: combinations that are tried; None: all of them.
        sampler: who chooses these: `random`, or `tpe`, Optuna, which learns from those that are done.
        seed: of the draw.
        halving: what grows from round to round while combinations are dropped, an option or the seeds; None: no rounds.
        factor: of each round the best of so many stay.
        least: value of `halving` in the first round.
    """

    samples: int | None = None
    sampler: str = RANDOM
    seed: int = 0
    halving: str | None = None
    factor: int = 3
    least: int = 1

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Search:
        """Out of the table [search]. Raises `OptionError`: an unknown key, or a value out of range."""
        for key in plain:
            choose(key, [spec.name for spec in fields(cls)], "key of a search")
        lows = {"samples": 1, "seed": 0, "factor": 2, "least": 1}
        highs = {"samples": MOST}
        whole = {
            key: checked(key, plain[key], int, low=low, high=highs.get(key))
            for key, low in lows.items()
            if key in plain
        }
        if (halving := plain.get("halving")) is not None:
            choose(halving, HALVED, "option to halve by")
        elif {"factor", "least"} & {*whole}:
            raise OptionError("factor and least belong to halving", hint='add halving = "epochs"')
        sampler = plain.get("sampler", RANDOM)
        choose(sampler, (RANDOM, TPE), "sampler")
        if "sampler" in plain and "samples" not in plain:
            raise OptionError("a sampler needs to know how many it may try", hint="add samples = 20")
        if sampler == TPE and halving is not None:
            raise OptionError("tpe learns from whole trainings", hint=f"leave halving away, or sampler = {TPE!r}")
        return cls(**whole, sampler=sampler, halving=halving)

    @property
    def is_guided(self) -> bool:
        """Whether combinations are chosen by what earlier ones reached."""
        return self.sampler == TPE

    @property
    def drawn(self) -> int:
        """Combinations that are drawn at random before a guided search learns from them."""
        return min(DRAWN, math.ceil((self.samples or 0) / 2))

    def rounds(self, most: int) -> list[int]:
        """Values of `halving`, round by round, up to that of the grid.

        >>> Search(halving="epochs", factor=3).rounds(10)
        [1, 3, 10]
        >>> Search(halving="epochs", factor=2, least=4).rounds(16)
        [4, 8, 16]
        """
        values = [most]
        while values[0] // self.factor >= self.least:
            values.insert(0, values[0] // self.factor)
        return values

    def stay(self, count: int) -> int:
        """How many of so many combinations the next round has."""
        return max(1, math.ceil(count / self.factor))


def drawn_settings(axes: Mapping[str, Sequence[Any] | Distribution], samples: int, seed: int) -> list[dict[str, Any]]:
    """Combinations drawn from the axes, each once; a list gives each of its values with the same chance.

    >>> drawn_settings({"lr": Distribution(0.001, 0.1, log=True), "tokens": [1, 2]}, 2, 0)
    [{'lr': 0.0188, 'tokens': 1}, {'lr': 0.00121, 'tokens': 1}]
    """
    generator, settings = np.random.default_rng(seed), dict[str, dict[str, Any]]()
    for _ in range(20 * samples):  # of a few values, some are drawn again
        one = {
            name: values.draw(generator)
            if isinstance(values, Distribution)
            else values[int(generator.integers(len(values)))]
            for name, values in axes.items()
        }
        settings.setdefault(canonical(one), one)
        if len(settings) == samples:
            break
    return [*settings.values()]
