"""Which form of training suits few rows? Objectives, pairs, epochs and rates, judged by rows that were not drawn.

    python studies/few_rows/forms.py --data FOLDER --per-class 8 16 --seeds 3
    python studies/few_rows/forms.py --table                                    FORMS.md from the lines

A run is a line of forms.jsonl; what is there is not done again. No test row is read: by these tables choices are made.
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
import torch
from studies.auto.run import AutoPlan
from studies.auto.run import load as load_undrawn
from studies.common import do_missing, markdown, read_runs, recipe_key, run_study, spell, study_options
from studies.few_rows.run import heads
from studies.many_classes.ideas import Idea, TrainedParts, encode, fit, train

from separatrix import recipe as recipes
from separatrix.geometry.neighbors import unit_rows
from separatrix.geometry.resample import paired_difference
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Classes, Texts

HERE = Path(__file__).resolve().parent
SETS = ("trec6", "questions", "sst2", "sst5")
PAIRS = {"loss": "cosine_mse", "pairs": "batch", "sampler": "balanced"}  # all pairs of batches of even classes
SUPCON = {"loss": "supcon", "pairs": "batch", "sampler": "balanced", "temperature": 0.2}
BASE = "nca, 6 epochs"  # `align_few` of a race
FORMS: dict[str, dict[str, Any]] = {
    BASE: {"temperature": 0.2, "epochs": 6},
    "nca, 10 epochs": {"temperature": 0.2, "epochs": 10},
    "pairs, 6 epochs": PAIRS | {"epochs": 6},
    "pairs, 10 epochs": PAIRS | {"epochs": 10},
    "pairs, 20 epochs": PAIRS | {"epochs": 20},
    "pairs, 20 epochs, half the rate": PAIRS | {"epochs": 20, "lr": 1e-4},
    "pairs, 30 epochs, a quarter of the rate": PAIRS | {"epochs": 30, "lr": 5e-5},
    "supcon of balanced batches, 10 epochs": SUPCON | {"epochs": 10},
    "nca, 6 epochs, dropout": {"temperature": 0.2, "epochs": 6, "dropout": 0.1},
    "nca, 12 epochs, half the rate, dropout": {"temperature": 0.2, "epochs": 12, "lr": 1e-4, "dropout": 0.1},
    "nca, 24 epochs, a quarter of the rate, dropout": {
        "temperature": 0.2,
        "epochs": 24,
        "lr": 5e-5,
        "dropout": 0.1,
    },
    "pairs, 20 epochs, half the rate, dropout": PAIRS | {"epochs": 20, "lr": 1e-4, "dropout": 0.1},
}
# Several trainings of the base, with seeds of their own: means of their weights, or of the cosines to the class means.
SEVERAL: dict[str, tuple[int, str]] = {
    "mean weights of 3 trainings": (3, "weights"),
    "mean scores of 3 trainings": (3, "scores"),
}
ROWS = (*FORMS, *SEVERAL)
WAYS = ("mean", "logistic", "shrunk LDA")


@dataclass(frozen=True)
class FormPlan:
    """One run."""

    row: str
    set: str
    per_class: int
    seed: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key(asdict(self), FORMS.get(self.row, FORMS[BASE]))


def do_run(plan: FormPlan, data: Path) -> dict[str, Any]:
    """Train to the last epoch on all drawn rows and answer others of the training part."""
    splits = load_undrawn(data, AutoPlan("", plan.set, plan.per_class, plan.seed, "", "undrawn"))
    assert splits.test is not None
    assert splits.validation is not None
    parts = {"train": splits.train.join(splits.validation), "test": splits.test}
    classes = Classes.of(np.asarray(parts["train"].label), source=plan.set)
    labels = {part: classes.encode(np.asarray(texts.label)) for part, texts in parts.items()}
    recipe = recipes.replace(AlignRecipe(), **FORMS.get(plan.row, FORMS[BASE]), device="cpu", seed=plan.seed)
    cpu = process_time()
    if plan.row in SEVERAL:
        trained = fit_several(*SEVERAL[plan.row], recipe, parts, labels["train"], classes.names)
    else:
        trained = fit(Idea(plan.row), recipe, parts, labels["train"], classes.names)
    answers = heads(trained, labels["train"])
    seconds = round(process_time() - cpu, 1)
    accuracy = {way: round(float(np.mean(answers[way] == labels["test"])), 4) for way in WAYS}
    return {"key": plan.key, **asdict(plan), "accuracy": accuracy, "cpu_seconds": seconds}


def fit_several(
    count: int, mean: str, recipe: AlignRecipe, parts: Mapping[str, Texts], labels: np.ndarray, names: Sequence[str]
) -> TrainedParts:
    """Train with several seeds from the same weights, and encode all parts once by the mean of what was trained."""
    seeds = [recipe.loop.seed, *(1000 * (recipe.loop.seed + 1) + number for number in range(1, count))]
    trained = [train(Idea(mean), recipes.replace(recipe, seed=seed), parts, labels, names) for seed in seeds]
    if mean == "scores":  # unit vectors beside each other: their cosine is the mean of the cosines
        several = [encode(*each).vectors for each in trained]
        return TrainedParts({part: np.hstack([unit_rows(each[part]) for each in several]) for part in parts}, None, [])
    trainable, tensors, losses = trained[0]
    for name, own in tensors.items():
        if own.is_floating_point():
            tensors[name] = torch.stack([each[name] for _, each, _ in trained]).mean(dim=0)
    return encode(trainable, tensors, losses)


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """A table for each number of rows: each set's difference to what a race trains, and the mean over sets."""
    lines = [
        "# Forms of training with few rows: a screen\n",
        "Written by `python studies/few_rows/forms.py --table` from `forms.jsonl`; not by hand. Accuracy on rows of",
        f'the training part that were not drawn, less that of "{BASE}" on the same draws (its own in its line), class',
        "means decide; in brackets the number of draws. The last columns are of the draws that a form has of all sets:",
        "the mean over sets with its 95 % t interval over draws, the same where a logistic regression decides; and CPU",
        "seconds of a run.\n",
    ]
    for count in sorted({run["per_class"] for run in runs}):
        here = {(run["row"], run["set"], run["seed"]): run for run in runs if run["per_class"] == count}
        lines += [
            f"## {count} rows of each class\n",
            markdown([_line(row, here) for row in ROWS if _has(row, here)]),
            "",
        ]
    return "\n".join(lines)


Runs = Mapping[tuple[str, str, int], Mapping[str, Any]]


def _has(row: str, runs: Runs) -> bool:
    return any(key[0] == row and (BASE, *key[1:]) in runs for key in runs)


def _line(row: str, runs: Runs) -> dict[str, Any]:
    """One form beside the base."""

    def right(form: str, name: str, seed: int, way: str = "mean") -> float:
        return float(runs[form, name, seed]["accuracy"][way])

    cells: dict[str, Any] = {"form": row}
    shared = {name: [key[2] for key in runs if key[:2] == (row, name) and (BASE, *key[1:]) in runs] for name in SETS}
    for name, seeds in shared.items():
        gains = [right(row, name, seed) - (0.0 if row == BASE else right(BASE, name, seed)) for seed in seeds]
        cells[name] = f"{np.mean(gains):{'' if row == BASE else '+'}.3f} ({len(seeds)})" if seeds else "-"
    whole = sorted(set.intersection(*map(set, shared.values())))
    for way in ("mean", "logistic"):
        cells["mean over sets" if way == "mean" else way] = "-"
        if whole and (row, way) != (BASE, "mean"):
            own, base = (
                [float(np.mean([right(form, name, seed, kind) for name in SETS])) for seed in whole]
                for form, kind in ((row, way), (BASE, "mean"))
            )
            cells["mean over sets" if way == "mean" else way] = spell(paired_difference(own, base), 3)
    seconds = [runs[row, name, seed]["cpu_seconds"] for name, seeds in shared.items() for seed in seeds]
    return cells | {"CPU seconds": f"{np.mean(seconds):.0f}"}


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec, sst2 and sst5")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--per-class", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--seeds", type=int, default=3, help="draws of the few rows (default 3)")
    options = study_options(parser, HERE, arguments)
    lines = options.out / "forms.jsonl"
    if options.table:
        (options.out / "FORMS.md").write_text(table(read_runs(lines)), encoding="utf-8")
        print(f"wrote {options.out / 'FORMS.md'}")
        return 0
    plans = [
        FormPlan(row, name, count, seed)
        for seed in range(options.seeds) for name in options.sets for count in options.per_class for row in options.rows
    ]  # fmt: skip
    do_missing(plans, lines, options.threads, lambda plan: do_run(plan, options.data), _note)
    return 0


def _note(plan: FormPlan, run: Mapping[str, Any]) -> str:
    return f"{plan.row}, {plan.set} {plan.per_class} seed {plan.seed}: {run['accuracy']} {run['cpu_seconds']} s"


if __name__ == "__main__":
    run_study(main)
