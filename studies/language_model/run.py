"""Prompts behind a real language model: RESULTS.md of the sweep of GRID.toml.

separatrix sweep studies/language_model/GRID.toml --out quality
python studies/language_model/run.py --study quality     RESULTS.md of it
python studies/language_model/run.py --table             the same from the committed tables
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import markdown, run_study, spell
from studies.sweep_tables import Figures, Row, bring, runs_of, verdict

from separatrix.geometry.resample import MeanInterval

HERE = Path(__file__).resolve().parent
NAME = "quality"
CENTROIDS, WORDS, PROBE = "centroids", "label words of the data", "probe"
TARGET, POINT = 0.90, 0.01
SEED = {"GPT-2 small, 20 tokens": 0.8704, "GPT-2 medium, 5 tokens": 0.8933}  # seed 003, on its validation rows
HEAD = """# Prompts behind SmolLM2-135M on sst2: results

Written by `python studies/language_model/run.py --table` from the tables beside it; not by hand. What was asked and how
to read this: `README.md`. All 6,920 training sentences, the epoch chosen on the 872 validation rows; accuracy on the
1,821 test rows, in brackets the 95 % t interval of the mean over seeds; a single run has none.
"""


def rows_table(figures: Figures) -> list[dict[str, str]]:
    """A line for each setting and baseline."""
    return [
        {"method": row["label"], "runs": runs_of(row), "test": spell(figures.mean(row)),
         "validation": spell(figures.mean(row, "validation"))}
        for row in figures.table
    ]  # fmt: skip


def claims(figures: Figures) -> list[dict[str, str]]:
    """What was asked, the figure that answers it, and the verdict."""
    own, words, probe = (_row(figures, name) for name in (CENTROIDS, WORDS, PROBE))
    mean = figures.mean(own)
    lines = [_above(f"above the seed's {name} ({value:.4f})", mean, value) for name, value in SEED.items()]
    lines.append(_above(f"{TARGET:.2f} or more", mean, TARGET))
    lines.append(_claim("the prompt is above the frozen probe", "less the probe", figures.difference(own, probe)))
    gap = figures.difference(own, words)
    near = None if gap is None else _shifted(gap, POINT)
    lines.append(_claim("centroids are no more than a point behind label words", "less label words, plus 0.01", near))
    return lines


def _row(figures: Figures, name: str) -> Row | None:
    return next((row for row in figures.table if row["row"] == name or row["label"] == name), None)


def _above(claim: str, mean: MeanInterval | None, value: float) -> dict[str, str]:
    return _claim(claim, f"centroids, test, less {value}", None if mean is None else _shifted(mean, -value))


def _claim(claim: str, figure: str, difference: MeanInterval | None) -> dict[str, str]:
    return {"asked": claim, "figure": figure, "difference": spell(difference), "verdict": verdict(difference)}


def _shifted(mean: MeanInterval, by: float) -> MeanInterval:
    low, high = (None if end is None else end + by for end in (mean.low, mean.high))
    return replace(mean, mean=mean.mean + by, low=low, high=high)


def write_tables(out: Path) -> None:
    """RESULTS.md from the tables in a folder."""
    figures = Figures.read(out, NAME)
    parts = [HEAD, "## Answers", markdown(claims(figures)), "## Accuracy", markdown(rows_table(figures))]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Bring the sweep's tables and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--study", type=Path, help="folder of the sweep of GRID.toml")
    parser.add_argument("--table", action="store_true", help="from the tables that are there")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of RESULTS.md and the tables")
    options = parser.parse_args(arguments)
    if options.study:
        bring(options.study, options.out, NAME)
    write_tables(options.out)
    print(f"wrote {options.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    run_study(main)
