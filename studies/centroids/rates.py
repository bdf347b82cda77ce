"""Seed 001's experiments again, each at the rate that validation chooses: RATES.md of the sweep of GRID.toml.

separatrix sweep studies/centroids/GRID.toml --out starts
python studies/centroids/rates.py --study starts     RATES.md of it
python studies/centroids/rates.py --table            the same from the committed tables
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import markdown, run_study, spell, write_csv
from studies.sweep_tables import Figures, bring, read_csv, runs_of, verdict

from separatrix.geometry.resample import MeanInterval

HERE = Path(__file__).resolve().parent
NAME, WAYS = "rates", ("min", "oscillation")
TEST, DISTANCE, SWING = "test", "centroid_min", "centroid_oscillation"
# What the seed says: the claim, the figure, the experiment that has more of it, the others.
CLAIMS = (
    ("a representative start is vastly better than a random one", TEST, "2 representative start", ("1 random start",)),
    ("the prompt alone is better", TEST, "3 prompt only", ("2 representative start",)),
    ("faster centroids do not separate the classes", TEST, "5 attract and repel", ("6 fast centroids",)),
    ("cross-entropy is best", TEST, "7 cross-entropy",
     ("1 random start", "2 representative start", "3 prompt only", "5 attract and repel", "6 fast centroids",
      "8 calculated", "9 calculated, repulsion", "10 momentum")),
    ("calculated centroids merge without repulsion", DISTANCE, "7 cross-entropy", ("8 calculated",)),
    ("repulsion improves calculated centroids", TEST, "9 calculated, repulsion", ("8 calculated",)),
    ("momentum swings", SWING, "10 momentum", ("7 cross-entropy",)),
)  # fmt: skip
HEAD = """# Moving class centroids, each at its own rate

Written by `python studies/centroids/rates.py --table` from the tables beside it; not by hand. `README.md` says what was
asked; RESULTS.md has the same experiments at the seed's one rate. The rate of an experiment is the one that is best on
validation with the first seed. In brackets the 95 % t interval of the mean over seeds; a single run has none.
"""


def add_ways(study: Path, path: Path) -> None:
    """Add to each run what its centroids did by the end: distance of the two, oscillation of their way."""
    lines = []
    for run in read_csv(path):
        metrics = study / "runs" / run["run"] / "metrics.jsonl"
        last = json.loads(metrics.read_text().splitlines()[-1]) if metrics.is_file() else {}
        ways = {f"centroid_{name}": last["centroids"][name] for name in WAYS if name in last.get("centroids", {})}
        lines.append({**run, **{name: round(value, 6) for name, value in ways.items()}})
    write_csv(path, lines)


def claims(figures: Figures, model: str) -> list[dict[str, str]]:
    """A line for each comparison that a claim makes."""
    lines = []
    for claim, figure, more, others in CLAIMS:
        for less in others:
            pair = figures.chosen(row=more, model=model), figures.chosen(row=less, model=model)
            difference = figures.difference(*pair, figure)
            row = {"seed 001 says": claim, "compared": f"{more} less {less}", "figure": figure.replace("_", " ")}
            lines.append(row | {"difference": spell(difference), "verdict": verdict(difference)})
    return lines


def table(figures: Figures, model: str) -> list[dict[str, str]]:
    """A line for each experiment at its rate, then the baselines."""
    lines = []
    for name in dict.fromkeys(row["row"] for row in figures.table):
        row = figures.chosen(row=name, model=model) or figures.chosen(row=name, baseline="majority")
        if row is None:
            continue
        line = {"experiment": name, "rate": row.get("lr") or "-", "runs": runs_of(row)}
        line |= {part: spell(_as_share(figures.mean(row, part))) for part in ("test", "validation")}
        lines.append(line | {"distance of the centroids": spell(figures.mean(row, DISTANCE), 2)})
    return lines


def _as_share(mean: MeanInterval | None) -> MeanInterval | None:
    """An accuracy whose interval ends where accuracies do; that of two seeds is wide."""
    if mean is None or mean.low is None or mean.high is None:
        return mean
    return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high))


def write_tables(out: Path) -> None:
    """RATES.md from the tables in a folder."""
    figures = Figures.read(out, NAME)
    models = list(dict.fromkeys(row["model"] for row in figures.table if row["model"]))
    done = {row["model"] for row in figures.table if row["runs"] != "0" and not row.get("baseline")}
    parts = [HEAD]
    for model in models:
        parts.append(f"## {model}")
        if model in done:
            parts += [markdown(table(figures, model)), markdown(claims(figures, model))]
        else:
            parts.append("Not run here: every claim cannot be told.")
    (out / "RATES.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Bring the sweep's tables, or take those that are there, and write RATES.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--study", type=Path, help="folder of the sweep of GRID.toml")
    parser.add_argument("--table", action="store_true", help="from the tables that are there")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of RATES.md and the tables")
    options = parser.parse_args(arguments)
    if options.study:
        bring(options.study, options.out, NAME)
        add_ways(options.study, options.out / f"{NAME}_runs.csv")
    write_tables(options.out)
    print(f"wrote {options.out / 'RATES.md'}")
    return 0


if __name__ == "__main__":
    run_study(main)
