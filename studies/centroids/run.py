"""Seed 001's ten experiments with moving class centroids, with seeds and intervals, on a small causal model and sst2.

    python studies/centroids/run.py --model FOLDER --data FOLDER             every run that is missing
    python studies/centroids/run.py --table                                  RESULTS.md and results.csv from the lines

A run that stands in runs.jsonl already is not done again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.centroids.experiments import EXPERIMENTS, SEED_RECIPE, Experiment
from studies.centroids.tables import write_tables
from studies.common import (
    append_run,
    load_set,
    missing,
    plain_recipe,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    study_options,
    versions,
)

from separatrix import recipe as recipes
from separatrix.errors import SeparatrixError
from separatrix.recipe import TrainRecipe

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class CentroidPlan:
    """One run."""

    experiment: Experiment
    seed: int
    rows: int
    epochs: int

    @property
    def recipe(self) -> TrainRecipe:
        """The whole recipe; the model is put in later, since its folder differs from machine to machine."""
        changes = SEED_RECIPE | self.experiment.changes | {"epochs": self.epochs, "device": "cpu"}
        if self.experiment.boost is not None:
            changes["centroid_lr"] = SEED_RECIPE["lr"] * self.experiment.boost
        return recipes.replace(TrainRecipe(), **changes, seed=self.seed)

    @property
    def key(self) -> str:
        """What makes two runs the same."""
        return recipe_key(self.experiment.name, plain_recipe(self.recipe), self.rows)


def do_run(plan: CentroidPlan, model: Path, data: Path) -> dict[str, Any]:
    """Train, score, and give the line of the run; a training that a guard stops gives a line with its sentence."""
    from separatrix.geometry.score import classification, decide
    from separatrix.learn.job import Job
    from separatrix.learn.prompt import train_prompt
    from separatrix.texts import Classes
    from separatrix.training.evaluate import Evaluator

    splits = load_set(data, "sst2", plan.seed, plan.rows)
    labels = {part: texts.label for part, texts in splits.parts.items() if texts.label is not None}
    classes = Classes.of(labels["train"])
    targets = {part: classes.encode(values) for part, values in labels.items()}
    evaluator = Evaluator.of(targets["train"], classes.names, plan.seed)
    run: dict[str, Any] = {
        "key": plan.key,
        "experiment": plan.experiment.name,
        "seed": plan.seed,
        "model": model.name,
        "rows": {part: len(values) for part, values in labels.items()},
        "recipe": plain_recipe(plan.recipe) | {"backbone": {"model": model.name}},
        "versions": versions(),
    }
    begun = monotonic()
    try:
        trained = train_prompt(
            Job(splits.train, splits.validation, recipes.replace(plan.recipe, model=str(model)), evaluator.quick)
        )
    except SeparatrixError as error:
        return run | {"failed": str(error), "seconds": round(monotonic() - begun, 2)}
    run["seconds"] = round(monotonic() - begun, 2)
    kept = trained.fitted.metrics[trained.fitted.best_epoch - 1]
    run |= {"best_epoch": trained.fitted.best_epoch, "words": words(trained)}
    run |= rounded(
        {f"centroid_{name}": value for name, value in trained.fitted.metrics[-1].get("centroids", {}).items()}
    )
    run |= rounded({f"validation_{name}": kept["validation"][name] for name in ("accuracy", "macro_f1", "majority")})
    if splits.test is not None:
        predicted = decide(trained.model.answer(splits.test.text).scores, len(classes))
        found = classification(targets["test"], predicted, classes.names, resamples=1)
        figures = {"accuracy": found.accuracy, "macro_f1": found.macro_f1, "majority": found.majority}
        run |= rounded({f"test_{name}": value for name, value in figures.items()})
    return run


def words(trained: Any) -> list[str] | None:
    """The label words that `token` chose."""
    found = trained.model.words
    if found is None:
        return None
    return [trained.model.backbone.tokenizer.decode([int(word)]) for word in found]


def plans(options: argparse.Namespace) -> Iterator[CentroidPlan]:
    """The runs asked for, seed by seed, so that a stopped study has whole seeds."""
    wanted = [experiment for experiment in EXPERIMENTS if not options.only or experiment.name in options.only]
    for seed in range(options.seeds):
        yield from (CentroidPlan(experiment, seed, options.rows, options.epochs) for experiment in wanted)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a causal model")
    parser.add_argument("--data", type=Path, help="folder with sst2/{train,validation,test}.parquet")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--rows", type=int, default=2000, help="training rows (default 2000)")
    parser.add_argument(
        "--epochs", type=int, default=SEED_RECIPE["epochs"], help="passes over them (default: seed 001's)"
    )
    parser.add_argument("--only", nargs="+", choices=[experiment.name for experiment in EXPERIMENTS], metavar="NAME")
    options = study_options(parser, HERE, arguments)
    if options.model is None and not options.table:
        parser.error("--model is needed for runs (or --table, to write the tables only)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        write_tables(options.out, read_runs(lines))
        print(f"wrote {options.out / 'RESULTS.md'} and results.csv")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in missing(plans(options), lines):
        run = do_run(plan, options.model, options.data)
        append_run(lines, run)
        shown = {name: run.get(name) for name in ("validation_accuracy", "test_accuracy", "seconds", "failed")}
        print(plan.experiment.name, f"seed {plan.seed}", shown, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
