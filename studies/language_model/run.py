"""Prompts behind a real language model: RESULTS.md of the sweeps of GRID, FLOAT32, SECONDS and IMDB.toml.

separatrix sweep studies/language_model/GRID.toml --out quality       and the others: --out float32, seconds, imdb
python studies/language_model/run.py --study quality [--float32 float32] [--seconds seconds] [--imdb imdb]   RESULTS.md
python studies/language_model/run.py --table                          the same from the committed tables
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import markdown, run_study, spell
from studies.sweep_tables import Figures, Row, bring, runs_of, verdict

from separatrix.geometry.resample import MeanInterval, paired_difference

HERE = Path(__file__).resolve().parent
GRIDS = {  # name of the tables -> what its command line calls the sweep
    "quality": "folder of the sweep of GRID.toml",
    "float32": "folder of the sweep of FLOAT32.toml",
    "seconds": "folder of the sweep of SECONDS.toml",
    "imdb": "folder of the sweep of IMDB.toml",
}
ON_SST2 = ("quality", "float32", "seconds")
CENTROIDS, WORDS, PROBE = "centroids", "label words of the data", "probe"
TUNED, PEFT = "fine-tuning", "PEFT's prompt"
TARGET, POINT = 0.90, 0.01
SEED = {"GPT-2 small, 20 tokens": 0.8704, "GPT-2 medium, 5 tokens": 0.8933}  # seed 003, on its validation rows
SEED_IMDB = 0.92
HEAD = """# Prompts behind SmolLM2-135M: results

Written by `python studies/language_model/run.py --table` from the tables beside it; not by hand. What was asked and how
to read this: `README.md`. All 6,920 training sentences, the epoch chosen on the 872 validation rows; accuracy on the
1,821 test rows, in brackets the 95 % t interval of the mean over seeds; a single run has none. Differences are paired:
the seeds that both sides have. The probe is one run: every seed has the same rows.
"""
ON_IMDB = (
    """1,000 reviews of imdb, cut to 256 tokens; the epoch chosen on 500 others, accuracy on the 2,000 test rows."""
)


def rows_table(every: dict[str, Figures], parts: tuple[str, ...]) -> list[dict[str, str]]:
    """A line for each setting and baseline."""
    lines = []
    for name in parts:
        figures = every[name]
        for row in figures.table:
            method = f"{row['label']}, float32" if name == "float32" else row["label"]
            lines.append({"method": method, "epochs": "1" if name == "seconds" else "-" if row.get("baseline") else "4",
                          "runs": runs_of(row), "test": spell(figures.mean(row)),
                          "validation": spell(figures.mean(row, "validation")),
                          "CPU seconds": figures.cost(row)})  # fmt: skip
    return lines


def claims(every: dict[str, Figures]) -> list[dict[str, str]]:
    """What was asked, the figure that answers it, and the verdict."""
    figures = every["quality"]
    own, words, probe = (_row(figures, name) for name in (CENTROIDS, WORDS, PROBE))
    mean = figures.mean(own)
    lines = [_above(f"above the seed's {name} ({value:.4f})", mean, value) for name, value in SEED.items()]
    lines.append(_above(f"{TARGET:.2f} or more", mean, TARGET))
    level = figures.mean(probe)
    if level is not None:
        lines.append(_above(f"the prompt is above the frozen probe ({level.mean:.4f})", mean, round(level.mean, 4)))
    gap = figures.difference(own, words)
    near = None if gap is None else _shifted(gap, POINT)
    lines.append(_claim("centroids are no more than a point behind label words", "less label words, plus 0.01", near))
    for name in (TUNED, PEFT):
        other = _between(figures, own, every["seconds"], name)
        lines.append(
            _claim(f"above {name.replace('prompt', 'prompt,')} stopped after one epoch", f"less {name}", other)
        )
    cost = _between(figures, own, every["float32"], CENTROIDS)
    kept = None if cost is None else _shifted(cost, POINT)
    lines.append(_claim("16 bits cost less than a point", "less float32, plus 0.01", kept))
    imdb = every["imdb"]
    lines.append(_above(f"imdb: the seed's {SEED_IMDB} or more", imdb.mean(_row(imdb, CENTROIDS)), SEED_IMDB))
    return lines


def _between(figures: Figures, row: Row | None, others: Figures, name: str) -> MeanInterval | None:
    """A row of one sweep less a row of another, over the seeds that both have."""
    own, their = figures.by_seed(row), others.by_seed(_row(others, name))
    seeds = [seed for seed in own if seed in their]
    return paired_difference([own[seed] for seed in seeds], [their[seed] for seed in seeds]) if seeds else None


def _row(figures: Figures, name: str) -> Row | None:
    return next((row for row in figures.table if row["row"] == name or row["label"] == name), None)


def _above(claim: str, mean: MeanInterval | None, value: float) -> dict[str, str]:
    return _claim(claim, f"centroids less {value}", None if mean is None else _shifted(mean, -value))


def _claim(claim: str, figure: str, difference: MeanInterval | None) -> dict[str, str]:
    return {"asked": claim, "figure": figure, "difference": spell(difference), "verdict": verdict(difference)}


def _shifted(mean: MeanInterval, by: float) -> MeanInterval:
    low, high = (None if end is None else end + by for end in (mean.low, mean.high))
    return replace(mean, mean=mean.mean + by, low=low, high=high)


def write_tables(out: Path) -> None:
    """RESULTS.md from the tables in a folder."""
    every = {name: Figures.read(out, name) for name in GRIDS}
    parts = [HEAD, "## Answers", markdown(claims(every)), "## Accuracy", markdown(rows_table(every, ON_SST2))]
    if every["imdb"].table:
        parts += ["## imdb", ON_IMDB, markdown(rows_table(every, ("imdb",)))]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Bring the sweeps' tables and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--study", dest="quality", type=Path, help=GRIDS["quality"])
    parser.add_argument("--float32", type=Path, help=GRIDS["float32"])
    parser.add_argument("--seconds", type=Path, help=GRIDS["seconds"])
    parser.add_argument("--imdb", type=Path, help=GRIDS["imdb"])
    parser.add_argument("--table", action="store_true", help="from the tables that are there")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of RESULTS.md and the tables")
    options = parser.parse_args(arguments)
    for name in GRIDS:
        if study := getattr(options, name):
            bring(study, options.out, name)
    write_tables(options.out)
    print(f"wrote {options.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    run_study(main)
