"""What an encoder loses that is trained for fewer epochs, and whether it stays above a probe and a prompt.

    python studies/auto/shorter.py --data FOLDER --sets trec6 sst2 banking77 --seeds 2
    python studies/auto/shorter.py --table                                    SHORTER.md from the lines

A race that has no time for all epochs of a method can leave it out or train it for fewer. 2,000 rows of the training
part are learnt from, a tenth of them chooses the epoch, 1,000 others judge. No test row is read: by this table choices
are made. A run is a line of shorter.jsonl; what is there is not done again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.auto.run import MANY_CLASSES, AutoPlan, load
from studies.common import do_missing, interval, markdown, read_runs, recipe_key, run_study, spell, study_options

from separatrix import recipe as recipes
from separatrix.recipe.auto import AutoRecipe
from separatrix.texts import Splits
from separatrix.training.race.candidates import ENTRIES
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training

HERE = Path(__file__).resolve().parent
SETS = ("trec6", "sst2", "sst5", "banking77")
LEARNT, JUDGED = 2000, 1000  # rows
EPOCHS: dict[str, tuple[int, ...]] = {
    "probe": (0,), "align": (1, 2, 3, 6), "align_many": (1, 2, 3, 6), "finetune": (1, 2, 3, 6), "prompt": (3, 10),
}  # fmt: skip


@dataclass(frozen=True)
class ShorterPlan:
    """One run; 0 epochs: as the method has it."""

    row: str
    epochs: int
    set: str
    seed: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key(asdict(self))


def draw(data: Path, plan: ShorterPlan) -> Splits:
    """Rows of the training part: so many to learn from, a tenth of them to choose by, and others that judge."""
    read = load(data, AutoPlan("", plan.set, None, plan.seed, ""))
    assert read.validation is not None
    whole = read.train.join(read.validation)
    drawn = whole.split((LEARNT + JUDGED) / len(whole), plan.seed)[1]  # of each class its share
    learnt, judged = drawn.split(JUDGED / len(drawn), plan.seed)
    train, validation = learnt.split(0.1, plan.seed)
    return Splits(train, validation, judged, ())


def do_run(plan: ShorterPlan, data: Path) -> dict[str, Any]:
    """Train and answer the rows that judge."""
    splits, entry = draw(data, plan), ENTRIES[plan.row]
    auto = recipes.replace(AutoRecipe(), seed=plan.seed, device="cpu", max_length=256)
    recipe = entry.recipe(auto, len(splits.train))
    if plan.epochs:
        recipe = recipes.replace(recipe, epochs=plan.epochs)
    cpu = process_time()
    answers = run_training(TrainingRequest(splits, recipe, entry.method, compare=False)).predictions["test"]
    right = np.asarray(answers["predicted"] == answers["label"], dtype=bool)
    seconds = round(process_time() - cpu, 1)
    return {"key": plan.key, **asdict(plan), "accuracy": round(float(right.mean()), 4), "cpu_seconds": seconds}


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """A line for each method and number of epochs, a column for each set."""
    lines = [
        "# Fewer epochs: a screen\n",
        "Written by `python studies/auto/shorter.py --table` from `shorter.jsonl`; not by hand. Accuracy on",
        f"{JUDGED:,} rows of the training part that were not among the {LEARNT:,} that were learnt from, with the",
        "95 % t interval over draws where there are several; in brackets the number of draws. CPU seconds of one",
        "training with its answers, one thread.\n",
    ]
    cells = []
    for row, several in EPOCHS.items():
        for epochs in several:
            own = [run for run in runs if (run["row"], run["epochs"]) == (row, epochs)]
            if not own:
                continue
            line: dict[str, Any] = {"method": row, "epochs": epochs or "-"}
            for name in SETS:
                here = [run for run in own if run["set"] == name]
                seconds = np.mean([run["cpu_seconds"] for run in here]) if here else 0.0
                line[name] = f"{spell(interval(here, 'accuracy'), 3)} ({len(here)})" if here else "-"
                line[f"{name}, s"] = f"{seconds:.0f}" if here else "-"
            cells.append(line)
    return "\n".join([*lines, markdown(cells), ""])


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec, sst2, sst5 and banking77")
    parser.add_argument("--rows", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=1, help="draws of the rows (default 1)")
    options = study_options(parser, HERE, arguments)
    lines = options.out / "shorter.jsonl"
    if options.table:
        (options.out / "SHORTER.md").write_text(table(read_runs(lines)), encoding="utf-8")
        print(f"wrote {options.out / 'SHORTER.md'}")
        return 0
    plans = [
        ShorterPlan(row, epochs, name, seed)
        for seed in range(options.seeds) for name in options.sets for row in options.rows for epochs in EPOCHS[row]
        if row != ("align" if name in MANY_CLASSES else "align_many")
    ]  # fmt: skip
    do_missing(plans, lines, options.threads, lambda plan: do_run(plan, options.data), _note)
    return 0


def _note(plan: ShorterPlan, run: Mapping[str, Any]) -> str:
    return f"{plan.row}, {plan.epochs} epochs, {plan.set} seed {plan.seed}: {run['accuracy']} {run['cpu_seconds']} s"


if __name__ == "__main__":
    run_study(main)
