"""What a late entry costs: LATE.md of the sweep of LATE.toml.

separatrix sweep studies/language_model/LATE.toml --out late
python studies/language_model/late.py --study late     LATE.md of it
python studies/language_model/late.py --table          the same from the committed tables
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import markdown, run_study, spell
from studies.sweep_tables import Figures, Row, bring, runs_of, sweep_options

HERE = Path(__file__).resolve().parent
NAME = "late"
INPUT = "layer 0"
PAIRS = [("layer 15", INPUT), ("layer 18", INPUT), ("layer 20", INPUT)]
HEAD = """# Late prompts behind SmolLM2-135M on sst2: results

Written by `python studies/language_model/late.py --table` from the tables beside it; not by hand. What was asked and
how to read this: `README.md`. 1,000 training sentences, five tokens, three epochs, bfloat16; the epoch chosen on the
872 validation rows; accuracy on the 1,821 test rows, in brackets the 95 % t interval over seeds (a single run has
none). Differences are paired: the same rows in the same order.
"""


def accuracy(figures: Figures) -> list[dict[str, str]]:
    """A line for each setting."""
    return [
        {"prompt": row["label"], "runs": runs_of(row), "test": spell(figures.mean(row)),
         "validation": spell(figures.mean(row, "validation"))}
        for row in figures.table
    ]  # fmt: skip


def differences(figures: Figures) -> list[dict[str, str]]:
    """One setting less another, over the seeds that both have."""
    rows: dict[str, Row] = {row["label"]: row for row in figures.table}
    lines = []
    for name, other in PAIRS:
        own, their = rows.get(name), rows.get(other)
        shared = figures.by_seed(own).keys() & figures.by_seed(their).keys()
        lines.append({"difference": f"{name} less {other}", "seeds": str(len(shared)),
                      "test": spell(figures.difference(own, their)),
                      "validation": spell(figures.difference(own, their, "validation"))})  # fmt: skip
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Bring the sweep's tables and write LATE.md."""
    options = sweep_options(__doc__, "LATE.toml", HERE, arguments)
    if options.study:
        bring(options.study, options.out, NAME)
    figures = Figures.read(options.out, NAME)
    parts = [HEAD, "## Differences", markdown(differences(figures)), "## Accuracy", markdown(accuracy(figures))]
    (options.out / "LATE.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    print(f"wrote {options.out / 'LATE.md'}")
    return 0


if __name__ == "__main__":
    run_study(main)
