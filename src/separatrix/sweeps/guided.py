"""A guided search in a sweep: each row asks for its next combination when the last one is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from separatrix.sweeps.ask import GuidedSearch
from separatrix.sweeps.grid import Grid, Mistakes, Row
from separatrix.sweeps.plan import SweepLine
from separatrix.sweeps.settings import Setting, setting_of
from separatrix.sweeps.table import LOWER, VALIDATION, LineFigures, metric_of


@dataclass
class RowSearch:
    """The search of one row: its combinations by the name of their setting."""

    row: Row | None
    search: GuidedSearch
    waiting: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # not told yet
    tried: int = 0


@dataclass
class GuidedRounds:
    """The searches of all rows. Rounds after the first have one combination of each row."""

    grid: Grid
    rows: Sequence[RowSearch]

    @classmethod
    def of(cls, grid: Grid, lines: Sequence[SweepLine]) -> GuidedRounds:
        """Searches that have asked for the combinations of the first round, `lines`."""
        maximize = metric_of(lines[0]) not in LOWER
        rows: Sequence[Row | None] = grid.rows or [None]
        rounds = cls(grid, [RowSearch(row, GuidedSearch(grid.axes, grid.search, maximize)) for row in rows])
        for search in rounds.rows:
            rounds._ask(search, grid.search.drawn)
        return rounds

    def next(self, figures: Sequence[LineFigures], open_runs: Collection[str]) -> list[Setting]:
        """The settings of the next round.

        Args:
            figures: of the round before.
            open_runs: runs of it that are not done; their rows wait.
        """
        by_name = {one.line.setting.name: one for one in figures}
        settings = list[Setting]()
        for row in self.rows:
            done = {name: by_name[name] for name in row.waiting if name in by_name}
            if any({*one.line.runs.values()} & {*open_runs} for one in done.values()) or not done:
                continue
            for name, one in done.items():
                mean = one.mean(VALIDATION) if one.is_whole else None
                row.search.tell(row.waiting.pop(name), None if mean is None else mean.mean)
            settings += self._ask(row, 1)
        return settings

    def _ask(self, row: RowSearch, count: int) -> list[Setting]:
        """New settings of a row; a combination that cannot be trained is told as failed, and another asked for."""
        settings = list[Setting]()
        while len(settings) < count and (combinations := row.search.ask(count - len(settings))):
            for values in combinations:
                setting = setting_of(row.row, values, self.grid, Mistakes("", {}))
                if setting is None:
                    row.search.tell(values, None)
                else:
                    row.waiting[setting.name] = values
                    settings.append(setting)
        row.tried += len(settings)
        return settings

    def notes(self) -> list[str]:
        """How far the searches are."""
        samples = self.grid.search.samples
        return [
            f"{'' if row.row is None else f'{row.row.name}: '}{row.tried} of {samples} combinations are chosen so far"
            for row in self.rows
            if row.tried != samples
        ]
