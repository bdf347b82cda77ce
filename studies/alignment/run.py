"""Fine-tuning and every way of alignment on the same encoder, splits, epochs and seeds.

    python studies/alignment/run.py --data FOLDER --sets trec50_bf16 --seeds 1   every row once
    python studies/alignment/run.py --data FOLDER --sets trec50 --rows finetune nca nca_perturbed
                                                                                the contenders
    python studies/alignment/run.py --data FOLDER --rows nca --sets trec50 --seeds 1 --set lr=1e-4 temperature=0.05
                                                                                a screen: validation only
    python studies/alignment/run.py --data FOLDER --rows finetune nca setfit --per-class 8 --seeds 10
    python studies/alignment/run.py --table                                     RESULTS.md and results.csv

`ROWS` and `CHOSEN` below are the study's choice, made on validation. A run with any change to them is a screen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.alignment.tables import SETFIT, Destination, write_tables
from studies.common import (
    NO_FIGURE,
    append_run,
    plain_recipe,
    read_changes,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    study_options,
    versions,
)
from studies.common import SETS as COMMON

from separatrix import recipe as recipes
from separatrix.geometry.score import classification, decide
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.texts import Classes, Splits, Texts, load_splits
from separatrix.texts.table import few

HERE = Path(__file__).resolve().parent
# name -> (folder, column of labels, training rows, or None for all): a whole training of sst2 takes 20 minutes a core
SETS = {
    "trec6": COMMON["trec6"],
    "trec50": COMMON["trec50"],
    # Training steps in 16 bits take half the time on processors that have them: what must be run often runs in them.
    "trec50_bf16": COMMON["trec50"],
    "trec6_bf16": COMMON["trec6"],
    "sst2_bf16": ("sst2", "label", 2000),
    "sst5_bf16": ("sst5", "label", 2000),
}
SCHEMES = ("batch", "memory", "mixed", "datapoint", "bank")

# What every row shares, for all sets ("all"), then for one; with few rows of each class `FEW_ROWS` takes its place.
CHOSEN: dict[str, dict[str, Any]] = {
    "all": {"device": "cpu"},
    **{name: {"precision": "bfloat16"} for name in SETS if name.endswith("_bf16")},
}
# Few rows are all learnt from in the end, those of validation too: SetFit learns from them as well.
FEW_ROWS = {"refit": True}
FEW_ALIGNED = {"temperature": 0.2, "decision": "mean"}  # a dozen rows cannot choose a vote; README.md has the trials
FEW_FINETUNED = {"epochs": 20}
FEW_HELD = 0.25  # share of the few rows that chooses the epoch and the vote before all are learnt from
UNDRAWN = 1000  # training rows that were not drawn, by which screens with few rows are judged: a dozen say little
PERTURBED = {"perturbation": 0.12}  # 0.06 was tried beside it on one seed
# Name of a row -> its own changes to AlignRecipe.
ROWS: dict[str, dict[str, Any]] = {
    "finetune": {"loss": "linear", "decision": "head"},
    "finetune_perturbed": {"loss": "linear", "decision": "head", **PERTURBED},
    "nca": {},
    "nca_perturbed": {**PERTURBED},
    "nca_head": {"head_weight": 0.5},
    "nca_weighted": {"pool": "layer_mix"},
    "nca_layer_mean": {"pool": "layer_mean"},
    "nca_batch": {"pairs": "batch"},
    "centroid_ce": {"loss": "centroid_ce"},
    "centroid_ce_head": {"loss": "centroid_ce", "head_weight": 0.5},
    "supcon_batch": {"loss": "supcon", "pairs": "batch"},
    "supcon_balanced": {"loss": "supcon", "pairs": "batch", "sampler": "balanced"},
    "supcon_bank": {"loss": "supcon"},
    # The seed's own loss with each of its schemes, one random pair and all pairs.
    **{
        f"cosine_{scheme}_{draw}": {"loss": "cosine_mse", "pairs": scheme, "pairs_per_row": draw}
        for scheme in SCHEMES
        for draw in ("one", "all")
    },
}
FEW = (8, 16, 64)


@dataclass(frozen=True)
class AlignmentPlan:
    """One run."""

    row: str
    set: str
    seed: int
    recipe: dict[str, Any]
    screen: bool
    per_class: int | None = None
    most: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs the same."""
        return (self.row, self.set, self.seed, recipe_key(self.recipe), self.screen, self.per_class, self.most)


def key_of(run: dict[str, Any]) -> tuple[Any, ...]:
    """The key of a line."""
    names = ("row", "set", "seed", "recipe", "screen", "per_class", "most")
    return tuple(recipe_key(run[name]) if name == "recipe" else run[name] for name in names)


def full_recipe(row: str, name: str, changes: dict[str, Any], per_class: int | None = None) -> dict[str, Any]:
    """Every option of a row on a set (with as many rows of each class), as plain data without the seed."""
    if row == SETFIT:
        # 20 rounds of pairs, as in its paper: all pairs, its package's default, would take hours at 64 rows a class.
        return {"model": recipes.DEFAULT_MODEL, "epochs": 1, "batch_size": 16, "num_iterations": 20} | changes
    start = FINETUNE if row.startswith("finetune") else AlignRecipe()
    # A row's own options come last: what all rows share must not undo what a row is.
    few_rows = FEW_ROWS | (FEW_FINETUNED if row.startswith("finetune") else FEW_ALIGNED)
    own = few_rows if per_class else CHOSEN.get(name, {})
    every = CHOSEN["all"] | own | ROWS[row] | changes
    return plain_recipe(recipes.replace(start, **every), NO_FIGURE)


def load(data: Path, plan: AlignmentPlan) -> Splits:
    """The parts of a set; a few rows of each class on both sides where the plan says so.

    A screen has no test part; with few rows of each class, training rows that were not drawn stand in for it.
    """
    folder, label, rows = SETS[plan.set]
    most = min((count for count in (rows, plan.most) if count is not None), default=None)
    read = load_splits(data / folder, label=label, seed=plan.seed, validation=0.1)
    train, validation, test = read.train, read.validation, None if plan.screen else read.test
    if plan.per_class is not None:
        whole = train.join(validation)
        drawn = few(whole, plan.per_class, plan.seed)
        train, validation = drawn.split(FEW_HELD, plan.seed)
        test = undrawn(whole, drawn, plan.seed) if plan.screen else test
    if most is not None and most < len(train):
        _, train = train.split(most / len(train), seed=plan.seed)
    return Splits(train, validation, test, read.notes)


def undrawn(whole: Texts, drawn: Texts, seed: int) -> Texts:
    """A sample of the rows whose text is not among those drawn."""
    rest = whole.where(~np.isin(np.asarray(whole.text, dtype=object), np.asarray(drawn.text, dtype=object)))
    return rest.split(UNDRAWN / len(rest), seed)[1] if len(rest) > UNDRAWN else rest


@dataclass(frozen=True)
class RowScores:
    """What a row gives: scores of texts by each way of deciding, the first one its own; accuracy over the epochs."""

    scores: Callable[[str, Texts], dict[str, np.ndarray]]  # name and texts of a part
    history: list[float]
    best_epoch: int | None
    extra: dict[str, Any]


def run_ours(plan: AlignmentPlan, splits: Splits) -> RowScores:
    """The library's own training."""
    from separatrix.learn.align import train_encoder
    from separatrix.learn.job import Job
    from separatrix.training.evaluate import Evaluator

    recipe = recipes.replace(recipes.from_dict(AlignRecipe, plan.recipe), seed=plan.seed)
    classes, targets = encode(splits)
    evaluator = Evaluator.of(targets["train"], classes.names, plan.seed)
    trained = train_encoder(Job(splits.train, splits.validation, recipe, evaluator.quick))
    models = {"validation": trained.judge, "test": trained.model}
    model = trained.model
    ways = [recipe.answers.decision]
    ways += [way for way in ("knn", "mean", "head") if way not in ways and (way != "head" or model.head is not None)]

    def scores(part: str, texts: Texts) -> dict[str, np.ndarray]:
        own = models[part]
        vectors = own.encode(texts.text)
        return {way: replace(own, recipe=recipes.replace(recipe, decision=way)).scores(vectors) for way in ways}

    history = [line["validation"]["accuracy"] for line in trained.fitted.metrics]
    extra = {"k": model.vote.k, "weights": model.vote.weights, "parts": rounded(_plain(trained.fitted.metrics[-1]))}
    return RowScores(scores, history, trained.fitted.best_epoch, extra)


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    names = ("alignment", "uniformity")
    return {**line["parts"], **{name: line["validation"][name] for name in names if name in line["validation"]}}


def run_setfit(plan: AlignmentPlan, splits: Splits) -> RowScores:
    """SetFit by its own package. It chooses nothing on validation, so these rows are added to its training rows."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from separatrix.models.source import resolve

    classes, targets = encode(splits)
    texts = [*splits.train.text, *splits.validation.text]
    labels = np.concatenate([targets["train"], targets["validation"]]).tolist()
    model = SetFitModel.from_pretrained(str(resolve(recipes.ModelRecipe(model=plan.recipe["model"])).folder))
    with TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder, save_strategy="no", num_epochs=plan.recipe["epochs"], seed=plan.seed, report_to="none",
            batch_size=plan.recipe["batch_size"], num_iterations=plan.recipe["num_iterations"],
        )  # fmt: skip
        Trainer(model=model, args=options, train_dataset=Dataset.from_dict({"text": texts, "label": labels})).train()

    def scores(_part: str, asked: Texts) -> dict[str, np.ndarray]:
        return {"head": np.asarray(model.predict_proba(list(asked.text)))}

    assert len(classes) == len(set(labels))
    return RowScores(scores, [], None, {})


def encode(splits: Splits) -> tuple[Classes, dict[str, np.ndarray]]:
    """The classes of the training rows, and class numbers of each part."""
    labels = {part: np.empty(0) if texts.label is None else texts.label for part, texts in splits.parts.items()}
    classes = Classes.of(labels["train"], source=splits.train.source)
    return classes, {part: classes.encode(values) for part, values in labels.items()}


def do_run(plan: AlignmentPlan, data: Path) -> dict[str, Any]:
    """Train, score, and give the line of the run. A screen never looks at the test part."""
    splits = load(data, plan)
    classes, targets = encode(splits)
    if plan.row == SETFIT:
        import setfit  # noqa: F401  imported here, so that no run's seconds hold it
    begun, cpu = monotonic(), process_time()
    scored = (run_setfit if plan.row == SETFIT else run_ours)(plan, splits)
    run: dict[str, Any] = {name: getattr(plan, name) for name in vars(plan)}
    run |= {
        "seconds": round(monotonic() - begun, 2),
        "cpu_seconds": round(process_time() - cpu, 2),
        "training_rows": len(splits.train),
        "history": [round(value, 6) for value in scored.history],
        "best_epoch": scored.best_epoch,
        "extra": scored.extra,
        "versions": versions(),
    }
    for part in sorted(set(splits.parts) - {"train"}, reverse=True):
        name = "undrawn" if plan.screen and part == "test" else part
        for place, (way, scores) in enumerate(scored.scores(part, splits.parts[part]).items()):
            found = figures(scores, targets[part], classes)
            run |= {f"{name}_{figure}": value for figure, value in found.items()} if place == 0 else {}
            run[f"{name}_{way}"] = found["accuracy"]
    return run


def figures(scores: np.ndarray, targets: np.ndarray, classes: Classes) -> dict[str, Any]:
    """Accuracy, macro-F1 and majority baseline."""
    predicted = decide(scores, len(classes))
    found = classification(targets, predicted, classes.names, resamples=1)
    return rounded({"accuracy": found.accuracy, "macro_f1": found.macro_f1, "majority": found.majority})


def plans(options: argparse.Namespace) -> list[AlignmentPlan]:
    """All runs asked for, seed by seed, so that a stopped study has whole seeds."""
    changes = read_changes(options.set)
    screen, few_ = bool(changes) or options.most is not None or options.screen, options.per_class
    return [
        AlignmentPlan(row, name, seed, full_recipe(row, name, changes, few_), screen, few_, options.most)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for name in options.sets
        for row in options.rows
    ]


def standard_recipes() -> dict[Destination, dict[str, Any]]:
    """The study's recipes as they stand now, rows in the order of the table."""
    return {
        (name, count, row): full_recipe(row, name, {}, count)
        for name in SETS
        for count in (None, *FEW)
        for row in (*ROWS, SETFIT)
    }


def study_runs(runs: list[dict[str, Any]]) -> dict[Destination, list[dict[str, Any]]]:
    """The lines that belong to the study as it stands now, by (set, rows per class, row), one per seed."""
    wanted = {place: recipe_key(recipe) for place, recipe in standard_recipes().items()}
    kept: dict[Destination, dict[int, dict[str, Any]]] = {}
    for run in runs:
        if not run["screen"] and recipe_key(run["recipe"]) == wanted.get((run["set"], run["per_class"], run["row"])):
            kept.setdefault((run["set"], run["per_class"], run["row"]), {})[run["seed"]] = run
    return {place: list(dict(sorted(found.items())).values()) for place, found in kept.items()}


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec, sst2 and sst5, each with train/test.parquet")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, SETFIT], default=list(ROWS))
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="makes it a screen")
    parser.add_argument("--screen", action="store_true", help="do not touch the test part")
    parser.add_argument("--per-class", type=int, choices=FEW, help="few examples: labelled rows of each class in all")
    parser.add_argument("--most", type=int, help="training rows at most (for a trial of the script; makes it a screen)")
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        runs = read_runs(lines)
        write_tables(options.out, study_runs(runs), [run for run in runs if run["screen"]], standard_recipes())
        print(f"wrote {options.out / 'RESULTS.md'} and results.csv")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in plans(options):
        if plan.key in map(key_of, read_runs(lines)):
            continue
        try:
            run = do_run(plan, options.data)
        except ImportError as error:
            print(f"{plan.row} is skipped: {error}", file=sys.stderr)
            continue
        append_run(lines, run)
        shown = {name: run.get(name) for name in ("validation_accuracy", "test_accuracy", "best_epoch", "seconds")}
        print(plan.row, plan.set, f"seed {plan.seed}", "screen" if plan.screen else "", shown, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
