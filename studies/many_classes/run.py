"""Beyond fine-tuning with many classes: ideas on validation, then contenders on the test part.

    python studies/many_classes/run.py --data FOLDER --screen                       every idea once, 10 rows of a class
    python studies/many_classes/run.py --data FOLDER --screen --undrawn 5000 --seeds 3 --rows finetune rdrop
                                                                                    the better ones, told more exactly
    python studies/many_classes/run.py --data FOLDER --rows finetune joint --seeds 5        contenders, all rows
    python studies/many_classes/run.py --data FOLDER --folds 10 --rows finetune joint      trec's fine kinds, ten-fold
    python studies/many_classes/run.py --table                                      RESULTS.md from the lines

A run is a line of runs.jsonl; what is there is not done again. A screen never looks at the test part.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from studies.common import append_run, machine, missing, read_runs, recipe_key, run_study, study_options
from studies.many_classes.decisions import decisions
from studies.many_classes.ideas import IDEAS, fit, name_rows, recipe_of
from studies.many_classes.tables import write_tables

from separatrix import recipe as recipes
from separatrix.learn.trainables.encoder import start_encoder
from separatrix.models.load import load_backbone
from separatrix.recipe.align import AlignRecipe, EncoderRecipe
from separatrix.texts import Classes, Splits, Texts, load_splits
from separatrix.texts.table import few

HERE = Path(__file__).resolve().parent
SETS = {
    "banking77": ("banking77", "label"),
    "trec50": ("trec", "fine"),
    "trec6": ("trec", "coarse"),
    "sst5": ("sst5", "label"),
}
LOGISTIC = "logistic regression"
PENALTIES = (1.0, 10.0, 100.0)  # inverse, of the logistic regression; chosen on validation
# What all ideas share. The rate falls to zero and the last epoch stands: validation chooses k, weights and ideas only.
SHARED: dict[str, Any] = {"device": "cpu", "precision": "bfloat16", "epochs": 5, "batch_size": 64, "lr": 3e-4}
FEW_STEPS = {"batch_size": 32}  # of a training with so many rows of each class only
SCREEN_ROWS, UNDRAWN = 10, 500


@dataclass(frozen=True)
class ManyPlan:
    """One run."""

    row: str
    set: str
    seed: int
    per_class: int | None = None
    fold: int | None = None
    folds: int | None = None
    screen: bool = False
    undrawn: int = UNDRAWN  # training rows that a screen is judged on

    @property
    def recipe(self) -> AlignRecipe:
        """The whole recipe of the idea."""
        return recipe_of(IDEAS[self.row], SHARED | (FEW_STEPS if self.per_class else {}), self.seed)

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        changes = {} if self.row == LOGISTIC else IDEAS[self.row].changes
        own = {name: value for name, value in asdict(self).items() if (name, value) != ("undrawn", UNDRAWN)}
        return recipe_key(own, SHARED | (FEW_STEPS if self.per_class else {}) | dict(changes))


def load(data: Path, plan: ManyPlan) -> Splits:
    """Train, validation (a stratified tenth of it) and test: undrawn rows in a screen, a fold, or the set's own."""
    folder, label = SETS[plan.set]
    if plan.folds is not None and plan.fold is not None:
        read = load_splits(data / folder, label=label, seed=0, validation=0.1)
        whole = read.train.join(read.validation)
        assert whole.label is not None
        cut = StratifiedKFold(plan.folds, shuffle=True, random_state=plan.seed)
        rest, test = list(cut.split(np.zeros(len(whole)), whole.label.astype(str)))[plan.fold]
        train, validation = whole.take(rest).split(0.1, plan.seed)
        return Splits(train, validation, whole.take(test), ())
    read = load_splits(data / folder, label=label, seed=plan.seed, validation=0.1)
    train, test = read.train, read.test
    if plan.per_class is not None:
        train = few(read.train, plan.per_class, plan.seed)
    if plan.screen:
        rest = read.train.where(~np.isin(read.train.id, train.id))
        test = rest.split(plan.undrawn / len(rest), plan.seed)[1]
        return Splits(train, read.validation.split(UNDRAWN / len(read.validation), plan.seed)[1], test, ())
    return Splits(train, read.validation, test, ())


def do_run(plan: ManyPlan, data: Path) -> dict[str, Any]:
    """Train, decide in every way, and give the line of the run."""
    splits = load(data, plan)
    classes = Classes.of(np.asarray(splits.train.label), source=splits.train.source)
    parts = dict(splits.parts)
    if plan.row != LOGISTIC and IDEAS[plan.row].names:
        parts["train"] = splits.train.join(name_rows(splits.train))
    labels = {part: classes.encode(np.asarray(texts.label)) for part, texts in parts.items()}
    begun, cpu = monotonic(), process_time()
    if plan.row == LOGISTIC:
        predicted, losses = {"head": _logistic(parts, labels)}, list[float]()
    else:
        idea = IDEAS[plan.row]
        trained = fit(idea, plan.recipe, parts, labels["train"], classes.names)
        predicted, losses = decisions(trained, labels, len(classes)), trained.losses
    right = {
        way: {part: float(np.mean(values == labels[part])) for part, values in by.items()}
        for way, by in predicted.items()
    }
    return {
        "key": plan.key,
        **asdict(plan),
        "accuracy": {way: {part: round(value, 6) for part, value in by.items()} for way, by in right.items()},
        "losses": [round(value, 5) for value in losses],
        "rows": {part: len(texts) for part, texts in splits.parts.items()},
        "prior_shift": round(prior_shift(labels["train"], labels["test"], len(classes)), 4),
        "seconds": round(monotonic() - begun, 1),
        "cpu_seconds": round(process_time() - cpu, 1),
        "machine": machine(1),
    }


def _logistic(parts: dict[str, Texts], labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """scikit-learn's logistic regression on the untrained encoder's vectors of length 1."""
    backbone = load_backbone(recipes.ModelRecipe(device="cpu"))
    encoder = start_encoder(backbone, EncoderRecipe())
    vectors = {part: encoder.encode(backbone.tokenize(texts.text)) for part, texts in parts.items()}
    vectors = {part: values / np.linalg.norm(values, axis=1, keepdims=True) for part, values in vectors.items()}
    models = [LogisticRegression(C=c, max_iter=1000).fit(vectors["train"], labels["train"]) for c in PENALTIES]
    chosen = max(models, key=lambda model: model.score(vectors["validation"], labels["validation"]))
    return {part: chosen.predict(values) for part, values in vectors.items() if part != "train"}


def prior_shift(train: np.ndarray, test: np.ndarray, classes: int) -> float:
    """Total variation between the label shares of two parts."""
    one, two = (np.bincount(y, minlength=classes) / len(y) for y in (train, test))
    return float(np.abs(one - two).sum() / 2)


def plans(options: argparse.Namespace) -> list[ManyPlan]:
    """All runs asked for."""
    rows = options.rows or [*IDEAS, LOGISTIC]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.folds:
        folds = range(options.first_fold, options.folds)
        return [
            ManyPlan(row, "trec50", seed, fold=fold, folds=options.folds)
            for seed in seeds
            for fold in folds
            for row in rows
        ]
    per_class = options.per_class or (SCREEN_ROWS if options.screen else None)
    return [
        ManyPlan(row, name, seed, per_class, screen=options.screen, undrawn=options.undrawn)
        for seed in seeds
        for name in options.sets
        for row in rows
    ]


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with banking77 and trec")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["banking77"])
    parser.add_argument("--rows", nargs="+", choices=[*IDEAS, LOGISTIC], help="which (default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (default 1)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--per-class", type=int, help="training rows of each class at most")
    parser.add_argument("--folds", type=int, help="folds over trec's training part, its fine kinds")
    parser.add_argument("--first-fold", type=int, default=0, help="the first fold (default 0)")
    parser.add_argument("--screen", action="store_true", help=f"{SCREEN_ROWS} rows of a class, no test part")
    parser.add_argument(
        "--undrawn", type=int, default=UNDRAWN, help=f"rows that a screen is judged on (default {UNDRAWN})"
    )
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        write_tables(options.out, read_runs(lines), IDEAS)
        print(f"wrote {options.out / 'RESULTS.md'}")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in missing(plans(options), lines):
        run = do_run(plan, options.data)
        append_run(lines, run)
        print(plan.row, plan.set, f"seed {plan.seed}", run["accuracy"], run["cpu_seconds"], run["seconds"], flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
