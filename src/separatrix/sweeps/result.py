"""The result of a sweep: one line a setting, with what it costs beside it, as Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix.reports.sweep import setting_columns, sweep_listing
from separatrix.store.files import Schema, write_bytes
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.table import write_table

if TYPE_CHECKING:
    import pandas as pd

MARKDOWN, TABLE, COSTS, RUNS = "table.md", "table.csv", "costs.csv", "runs.csv"


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(Result):
    """Trainings compared: a line for each setting, a mean over paired seeds with its interval."""

    kind: ClassVar[str] = "sweep"
    schema: ClassVar[Schema] = {
        "table": [dict],
        "costs": [dict],
        "metric": str,
        "runs": int,
        "done": int,
        "failed": int,
    }
    verified: ClassVar[Sequence[str]] = (TABLE, COSTS, RUNS, MARKDOWN, "result.json")

    lines: Sequence[Mapping[str, Any]]  # label, columns of the setting, runs, validation, test, difference, ...
    costs: Sequence[Mapping[str, Any]]  # label, seconds, cpu_seconds, parameters, bytes
    metric: str  # accuracy or rmse
    runs: int  # all of them, each counted once
    done: int
    failed: int
    by_seed: Sequence[Mapping[str, Any]] = ()  # of every run that is done: label, columns, seed, run, validation, test
    states: Mapping[str, int] = field(default_factory=dict)  # state -> runs
    best: Sequence[str] = ()  # sentences: which row validation chose, of how many, and its test figure
    reference: str | None = None
    columns: Sequence[str] = ()  # that say which setting a line is
    tune: Sequence[str] = ()  # those whose value validation chose
    cache: Mapping[str, Any] = field(default_factory=dict)  # text caches: built, used, seconds, saved, ratio
    failures: Sequence[str] = ()
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    seconds: float = 0.0  # of this command
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def stored(cls, _folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The lines, which `result.json` calls the table."""
        return {"lines": plain["table"]}

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        plain = super().figures()
        return {"table": plain.pop("lines")} | plain

    @property
    def table(self) -> pd.DataFrame:
        """A line for each setting; intervals are two columns."""
        import pandas as pd

        return pd.DataFrame([dict(line) for line in self.lines])

    def parts(self) -> list[Listing | Lines]:
        """The table, then what was chosen, warnings, and where it is."""
        lines: list[tuple[str, object]] = [("metric", self.metric)]
        lines += [("best", line) for line in self.best]
        lines += [("runs", ", ".join(f"{count} {state}" for state, count in self.states.items()))]
        lines += [("cache", line) for line in cache_lines(self.cache)]
        lines += [("failed", line) for line in self.failures]
        lines += [("warning", line) for line in self.warnings]
        lines += [("note", line) for line in self.notes]
        return [self._listing(costs=True), [*lines, *out_line(self.folder)]]

    @property
    def _named(self) -> Sequence[str]:
        return self.columns or setting_columns(self.lines)  # earlier versions did not keep their order

    def _listing(self, *, costs: bool) -> Listing:
        shown = self.costs if costs else ()
        return sweep_listing(self.lines, shown, self.reference, self._named, metric=self.metric)

    def _picture(self) -> Path | None:
        """The figure against the first axis that was drawn, before what is of every folder."""
        drawn = (self.folder / f"{self.metric}_by_{name}.png" for name in self.columns) if self.folder else ()
        return next((path for path in drawn if path.is_file()), None) or super()._picture()

    def write_files(self, folder: Path) -> None:
        """Write the table as Markdown and CSV, costs apart from figures, and the pictures."""
        import pandas as pd

        from separatrix.sweeps.pictures import draw

        write_table(folder / TABLE, self.table)
        write_table(folder / RUNS, pd.DataFrame([dict(one) for one in self.by_seed]))
        write_table(folder / COSTS, pd.DataFrame([dict(one) for one in self.costs]).convert_dtypes())
        write_bytes(folder / MARKDOWN, self.markdown().encode())
        for path in folder.glob("*.png"):
            path.unlink()
        draw(self.lines, self.costs, self.by_seed, self._named, self.tune, self.metric, folder)

    def markdown(self) -> str:
        """Figures and what was chosen, without anything that another machine or a stop would change."""
        lines = [f"- best: {line}" for line in self.best]
        lines += [f"- failed: {line}" for line in self.failures]
        lines += [f"- warning: {line}" for line in self.warnings]
        lines += [f"- {line}" for line in self.notes]
        return "\n".join([f"Figures: {self.metric}.", "", as_markdown(self._listing(costs=False)), "", *lines]) + "\n"


def as_markdown(listing: Listing) -> str:
    r"""A table in Markdown; strong rows are bold in their first cell.

    >>> print(as_markdown(Listing(["row", "test"], [["a|b", "0.9"]], [True])))
    | row | test |
    |---|---:|
    | **a\|b** | 0.9 |
    """
    ends = ["---:" if numeric else "---" for numeric in listing.numeric]
    rows = [[text.replace("|", "\\|") for text in row] for row in listing.rows]
    strong = listing.strong or [False] * len(rows)
    rows = [[f"**{row[0]}**", *row[1:]] if bold else row for row, bold in zip(rows, strong, strict=True)]
    return "\n".join(["| " + " | ".join(listing.headings) + " |", "|" + "|".join(ends) + "|",
                      *("| " + " | ".join(row) + " |" for row in rows)])  # fmt: skip


def cache_lines(cache: Mapping[str, Any]) -> list[str]:
    """What sharing the text caches saved, in words."""
    if not cache.get("used"):
        return []
    saved = f"{cache['saved']:.1f} s saved, {cache['ratio']:.1f} times the {cache['seconds']:.1f} s spent"
    return [f"texts run {cache['built']} times for {cache['used']} uses: {saved}"]
