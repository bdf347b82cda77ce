"""Seed 001's ten experiments with moving class centroids, with seeds and intervals, on a small causal model and sst2.

    python studies/centroids/run.py --model FOLDER --data FOLDER             both blocks, every run that is missing
    python studies/centroids/run.py --table                                  RESULTS.md and results.csv from the lines

Blocks: `seed` has the learning rate of seed 001; `screen` tries several on one seed and looks at validation only;
`chosen` takes for each experiment the rate that was best there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.centroids.experiments import EXPERIMENTS, RATES, SEED_BLOCK, SEED_LR, Experiment
from studies.centroids.tables import write_tables
from studies.common import append_run, load_set, plain_recipe, read_runs, rounded, run_study, study_options, versions

from separatrix import recipe as recipes
from separatrix.errors import SeparatrixError
from separatrix.recipe import TrainRecipe, digest

HERE = Path(__file__).resolve().parent
# The screen has a seed of its own, so that the rate is not chosen on runs of the table.
SCREEN_SEED = 1000


@dataclass(frozen=True)
class Plan:
    """One run."""

    block: str
    experiment: Experiment
    seed: int
    lr: float
    rows: int
    epochs: int

    @property
    def recipe(self) -> TrainRecipe:
        """The whole recipe; the model is put in later, since its folder differs from machine to machine."""
        changes = SEED_BLOCK | self.experiment.changes | {"lr": self.lr, "epochs": self.epochs, "device": "cpu"}
        if self.experiment.boost is not None:
            changes["centroid_lr"] = self.lr * self.experiment.boost
        return recipes.replace(TrainRecipe(), **changes, seed=self.seed)

    @property
    def key(self) -> str:
        """What makes two runs the same."""
        return digest(self.block, self.experiment.name, plain_recipe(self.recipe), self.rows)


def do_run(plan: Plan, model: Path, data: Path) -> dict[str, Any]:
    """Train, score, and give the line of the run; a training that a guard stops gives a line with its sentence."""
    from separatrix.geometry.score import classification, decide
    from separatrix.learn.job import Job
    from separatrix.learn.prompt import train_prompt
    from separatrix.study.judge import Yardstick
    from separatrix.texts import Classes

    splits = load_set(data, "sst2", plan.seed, plan.rows)
    labels = {part: texts.label for part, texts in splits.parts.items() if texts.label is not None}
    classes = Classes.of(labels["train"])
    targets = {part: classes.encode(values) for part, values in labels.items()}
    yardstick = Yardstick.of(targets["train"], classes.names, plan.seed)
    run: dict[str, Any] = {
        "key": plan.key,
        "block": plan.block,
        "experiment": plan.experiment.name,
        "seed": plan.seed,
        "lr": plan.lr,
        "model": model.name,
        "rows": {part: len(values) for part, values in labels.items()},
        "recipe": plain_recipe(plan.recipe) | {"backbone": {"model": model.name}},
        "versions": versions(),
    }
    begun = monotonic()
    try:
        trained = train_prompt(
            Job(splits.train, splits.validation, recipes.replace(plan.recipe, model=str(model)), yardstick.quick)
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
    if plan.block != "screen" and splits.test is not None:
        predicted = decide(trained.model.answer(splits.test.text).scores, len(classes))
        found = classification(
            targets["test"], predicted, classes.names, majority_class=yardstick.majority, resamples=1
        )
        figures = {"accuracy": found.accuracy, "macro_f1": found.macro_f1, "majority": found.majority}
        run |= rounded({f"test_{name}": value for name, value in figures.items()})
    return run


def words(trained: Any) -> list[str] | None:
    """The label words that `token` chose."""
    found = trained.model.anchors.words
    if found is None:
        return None
    return [trained.model.backbone.tokenizer.decode([int(word)]) for word in found]


def best_rate(experiment: Experiment, runs: Sequence[dict[str, Any]], rates: Sequence[float]) -> float | None:
    """The rate with the best validation accuracy on the screen (the lowest of equals); None if none was tried."""
    tried = {
        run["lr"]: run.get("validation_accuracy", 0.0)
        for run in runs
        if run["block"] == "screen" and run["experiment"] == experiment.name and run["lr"] in rates
    }
    return max(sorted(tried), key=lambda lr: tried[lr]) if tried else None


def plans(options: argparse.Namespace, lines: Path) -> Iterator[Plan]:
    """The runs asked for: the seed's block, the screen, then the chosen block, which reads the screen's lines."""
    wanted = [experiment for experiment in EXPERIMENTS if not options.only or experiment.name in options.only]
    rest = (options.rows, options.epochs)
    if "seed" in options.blocks:
        for seed in range(options.seeds):
            yield from (Plan("seed", experiment, seed, SEED_LR, *rest) for experiment in wanted)
    if "chosen" not in options.blocks:
        return
    for experiment in wanted:
        yield from (Plan("screen", experiment, SCREEN_SEED, lr, *rest) for lr in options.rates)
    for seed in range(options.seeds):
        for experiment in wanted:
            lr = best_rate(experiment, read_runs(lines), options.rates)
            if lr is not None:
                yield Plan("chosen", experiment, seed, lr, *rest)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a causal model")
    parser.add_argument("--data", type=Path, help="folder with sst2/{train,validation,test}.parquet")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--rows", type=int, default=2000, help="training rows (default 2000)")
    parser.add_argument(
        "--epochs", type=int, default=SEED_BLOCK["epochs"], help="passes over them (default: seed 001's)"
    )
    parser.add_argument("--blocks", nargs="+", choices=("seed", "chosen"), default=["seed", "chosen"])
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="rates that the screen tries")
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
    for plan in plans(options, lines):
        if plan.key in {run["key"] for run in read_runs(lines)}:
            continue
        run = do_run(plan, options.model, options.data)
        append_run(lines, run)
        shown = {name: run.get(name) for name in ("validation_accuracy", "test_accuracy", "seconds", "failed")}
        print(plan.block, plan.experiment.name, f"seed {plan.seed} lr {plan.lr:g}", shown, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
