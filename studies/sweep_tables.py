"""What studies share that are made by `separatrix sweep`: their figures in the study's folder, differences, verdicts.

`bring` takes the tables of a sweep over, so that RESULTS.md can be made again without the runs.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from separatrix.errors import StoreError
from separatrix.geometry.resample import MeanInterval, mean_interval, paired_difference

TABLES = ("table.csv", "runs.csv")
COSTS = "costs.csv"
Row = Mapping[str, str]


def bring(study: Path, out: Path, name: str) -> None:
    """Take over the tables of a sweep, `table.csv`, `runs.csv` and `costs.csv`, under names of the study's own.

    Settings that this sweep has not run stay as an earlier one left them: a study may be done piece by piece, on
    several machines.

    Raises:
        StoreError: the folder holds no sweep.
    """
    for table in TABLES:
        if not (study / table).is_file():
            raise StoreError(f"{study} holds no sweep", expected=table, hint="type separatrix sweep first")
    brought = {row["label"] for row in read_csv(study / "table.csv") if int(row["runs"])}
    for table in (*TABLES, COSTS):
        path, lines = out / f"{name}_{table}", read_csv(study / table)
        if table == COSTS:
            lines = [line for line in lines if line["label"] in brought]  # of the others there is nothing
        _write(path, joined(read_csv(path), lines, brought))


def joined(earlier: Sequence[Row], later: Sequence[Row], brought: Collection[str]) -> list[Row]:
    """Lines of two tables, in the order of the later one: its own of the settings that it brings, else the earlier.

    >>> joined([{"label": "a", "runs": "3"}], [{"label": "a", "runs": "0"}, {"label": "b", "runs": "1"}], {"b"})
    [{'label': 'a', 'runs': '3'}, {'label': 'b', 'runs': '1'}]
    """
    planned = {row["label"] for row in later}
    kept = [row for row in earlier if row["label"] not in brought]
    kept = [row for row in kept if row.get("runs") != "0" or row["label"] in planned]  # no longer asked, never run
    have = {row["label"] for row in kept}
    order = list(dict.fromkeys(row["label"] for row in (*later, *kept)))
    lines = [*kept, *(row for row in later if row["label"] not in have)]
    return sorted(lines, key=lambda row: order.index(row["label"]))


def _write(path: Path, lines: Sequence[Row]) -> None:
    if not lines:
        return
    columns = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def read_csv(path: Path) -> list[Row]:
    """The lines of a table; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@dataclass(frozen=True)
class Figures:
    """The tables of a sweep: a line for each setting, a line for each run."""

    table: Sequence[Row]
    runs: Sequence[Row]
    costs: Sequence[Row] = ()

    @classmethod
    def read(cls, folder: Path, name: str) -> Figures:
        """What `bring` left."""
        return cls(*(read_csv(folder / f"{name}_{table}") for table in (*TABLES, COSTS)))

    def chosen(self, **columns: str) -> Row | None:
        """The setting with these columns that validation chose, whether all of its runs are done or not yet."""
        own = [row for row in self.table if all(row.get(name) == value for name, value in columns.items())]
        most = max((int(row["planned"]) for row in own), default=0)  # a setting that was dropped has fewer seeds
        kept = [row for row in own if row.get("chosen") == "True"] or [
            row for row in own if int(row["planned"]) == most
        ]
        return kept[0] if len(kept) == 1 else None

    def by_seed(self, row: Row | None, figure: str = "test") -> dict[str, float]:
        """Seed -> a figure of a setting's runs."""
        own = [run for run in self.runs if row is not None and run["label"] == row["label"]]
        return {run["seed"]: float(run[figure]) for run in own if run.get(figure)}

    def mean(self, row: Row | None, figure: str = "test") -> MeanInterval | None:
        """Mean over seeds with its interval."""
        values = [*self.by_seed(row, figure).values()]
        return mean_interval(values) if values else None

    def cost(self, row: Row, name: str = "cpu_seconds") -> str:
        """What a run of a setting costs on average, where all of its runs counted it."""
        costs = (cost.get(name) for cost in self.costs if cost["label"] == row["label"])
        return next((f"{float(value):.0f}" for value in costs if value), "-")

    def difference(self, row: Row | None, other: Row | None, figure: str = "test") -> MeanInterval | None:
        """One setting less another, over the seeds that both have."""
        a, b = self.by_seed(row, figure), self.by_seed(other, figure)
        seeds = [seed for seed in a if seed in b]
        return paired_difference([a[seed] for seed in seeds], [b[seed] for seed in seeds]) if seeds else None


def sweep_options(about: str | None, grid: str, out: Path, arguments: list[str] | None) -> argparse.Namespace:
    """The command line of a study that is one sweep: `--study`, `--table`, `--out`.

    Args:
        about: the docstring of its module.
        grid: name of the grid file.
        out: folder of the page and the tables.
        arguments: the words; those of this process if absent.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n\n")[0])
    parser.add_argument("--study", type=Path, help=f"folder of the sweep of {grid}")
    parser.add_argument("--table", action="store_true", help="from the tables that are there")
    parser.add_argument("--out", type=Path, default=out, help="folder of the page and the tables")
    return parser.parse_args(arguments)


def verdict(difference: MeanInterval | None) -> str:
    """What the interval of a difference says of the claim that it is above 0.

    >>> verdict(mean_interval([0.1, 0.2, 0.3])), verdict(mean_interval([-0.3, -0.3, -0.31])), verdict(None)
    ('cannot be told', 'does not hold', 'cannot be told')
    """
    if difference is None or difference.low is None or difference.high is None:
        return "cannot be told"
    return "holds" if difference.low > 0 else "does not hold" if difference.high < 0 else "cannot be told"


def runs_of(*rows: Row) -> str:
    """How many runs settings have, of how many.

    >>> runs_of({"runs": "1", "planned": "3"}, {"runs": "3", "planned": "3"}), runs_of({"runs": "0", "planned": "0"})
    ('4 of 6', 'not run here')
    """
    done, planned = (sum(int(row[name]) for row in rows) for name in ("runs", "planned"))
    return "not run here" if not planned else str(done) if done == planned else f"{done} of {planned}"
