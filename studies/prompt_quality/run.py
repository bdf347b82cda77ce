"""A suffix prompt on a frozen encoder beside PEFT's prefix prompt, a linear probe and k-NN.

    python studies/prompt_quality/run.py --data FOLDER                     every run that is missing
    python studies/prompt_quality/run.py --data FOLDER --methods suffix --sets trec6 --seeds 1 --set lr=0.03
                                                                            a screen: validation only, test not touched
    python studies/prompt_quality/run.py --table                            RESULTS.md and results.csv from the lines

`RECIPES` below is the study's choice, made on validation. A run with any change to it is a screen.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import (
    NO_FIGURE,
    SETS,
    append_run,
    load_set,
    plain_recipe,
    read_changes,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    study_options,
    versions,
)
from studies.prompt_quality.tables import write_tables

from separatrix import recipe as recipes
from separatrix.errors import choose
from separatrix.recipe import TrainRecipe
from separatrix.texts import Classes, Splits

HERE = Path(__file__).resolve().parent

# Changes to the defaults: for every set ("all"), then for one. Everything else is TrainRecipe's or PeftRecipe's own.
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "suffix": {
        "all": {"epochs": 6},
        "trec6": {"epochs": 10},
        "sst2": {"lr": 2e-2, "text_dropout": 0.15},
        "imdb": {"lr": 2e-2, "text_dropout": 0.15, "max_length": 128},
    },
    "peft": {"all": {"pool": "mean", "lr": 1e-2, "head_lr": 1e-2}},
    "probe": {"all": {"pool": "layer_mean"}},
    "knn": {"all": {"pool": "layer_mean"}},
}
# Room for the text cache of the largest set, imdb (4.7 GB); it decides speed, not figures.
CACHE_GIB = 8.0
# What our side must reach as a mean over five seeds.
TARGETS = {"trec6": 0.96, "trec50": 0.89, "sst2": 0.85}


@dataclasses.dataclass(frozen=True)
class MethodScores:
    """What a method gives: scores of a part, validation accuracy over the epochs, the epoch kept, training seconds."""

    scores: Callable[[str], np.ndarray]
    history: list[float]
    best_epoch: int | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class QualityPlan:
    """One run."""

    method: str
    set: str
    seed: int
    recipe: dict[str, Any]
    screen: bool
    rows: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs the same."""
        return (self.method, self.set, self.seed, recipe_key(self.recipe), self.screen, self.rows)


def key_of(run: dict[str, Any]) -> tuple[Any, ...]:
    """The key of a line."""
    return (run["method"], run["set"], run["seed"], recipe_key(run["recipe"]), run["screen"], run["asked_rows"])


def full_recipe(method: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Every option of a method on a set, as plain data without the seed."""
    if method in ("suffix", "refit"):
        return _suffix_recipe(name, ({"refit": True} if method == "refit" else {}) | changes)
    chosen = RECIPES[method].get("all", {}) | RECIPES[method].get(name, {})
    if method == "peft":
        from studies.peft_side import PeftRecipe

        ours = _suffix_recipe(name, {})
        same = {"model": ours["backbone"]["model"], "max_length": ours["backbone"]["max_length"]}
        same |= {"tokens": ours["prompt"]["tokens"]}
        same |= {option: ours["loop"][option] for option in ("epochs", "batch_size", "warmup", "clip")}
        return dataclasses.asdict(recipes.from_dict(PeftRecipe, same | chosen | changes))
    for option in changes:
        choose(option, ("pool", "model", "max_length"), f"option of {method}")
    ours = _suffix_recipe(name, {})["backbone"]
    return {"model": ours["model"], "max_length": ours["max_length"]} | chosen | changes


def _suffix_recipe(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    chosen = RECIPES["suffix"].get("all", {}) | RECIPES["suffix"].get(name, {}) | changes
    plain = plain_recipe(recipes.replace(TrainRecipe(), **{"device": "cpu"} | chosen), NO_FIGURE)
    # Where the cache is kept changes no figure, so it tells no runs apart.
    return plain | {"text_cache": {"cache_dtype": plain["text_cache"]["cache_dtype"]}}


def run_suffix(plan: QualityPlan, splits: Splits) -> MethodScores:
    """Our side: the library's own training."""
    from separatrix.learn.job import Job
    from separatrix.learn.prompt import train_prompt
    from separatrix.training.evaluate import Evaluator

    begun = monotonic()
    recipe = recipes.replace(recipes.from_dict(TrainRecipe, plan.recipe), seed=plan.seed, memory_gib=CACHE_GIB)
    classes, targets = encode(splits)
    evaluator = Evaluator.of(targets["train"], classes.names, plan.seed)
    trained = train_prompt(Job(splits.train, splits.validation, recipe, evaluator.quick))
    seconds = monotonic() - begun
    history = [line["validation"]["accuracy"] for line in trained.fitted.metrics]
    models = {"validation": trained.judge, "test": trained.model}
    return MethodScores(
        lambda part: models[part].answer(splits.parts[part].text).scores, history, trained.fitted.best_epoch, seconds
    )


def run_peft(plan: QualityPlan, splits: Splits) -> MethodScores:
    """PEFT's side."""
    from studies.peft_side import PeftRecipe, tokenize, train_peft

    begun = monotonic()
    recipe = PeftRecipe(**plan.recipe)
    classes, targets = encode(splits)
    rows = {part: tokenize(texts.text, targets[part], recipe) for part, texts in splits.parts.items()}
    trained = train_peft(rows["train"], rows["validation"], len(classes), recipe, seed=plan.seed)
    seconds = monotonic() - begun
    history = [check.accuracy for check in trained.checks]
    return MethodScores(lambda part: trained.scores(rows[part]), history, round(trained.best.epoch), seconds)


def run_frozen(plan: QualityPlan, splits: Splits) -> MethodScores:
    """Linear probe or k-NN on the frozen model's vectors; their options are chosen on validation."""
    from separatrix.geometry.baselines import Part, fit_nearest
    from separatrix.geometry.probe import fit_probe
    from separatrix.models.extract import extract
    from separatrix.models.load import load_backbone

    begun = monotonic()
    options = dict(plan.recipe)
    pool = options.pop("pool")
    backbone = load_backbone(recipes.ModelRecipe(**options, device="cpu"))
    classes, targets = encode(splits)
    parts = {
        part: Part(extract(backbone, splits.parts[part].text, pool=pool).values, targets[part])
        for part in ("train", "validation")
    }
    train, held = parts["train"], parts["validation"]
    if plan.method == "knn":
        fitted: Any = fit_nearest(train, held, len(classes))
    else:
        validation = (held.vectors, held.targets)
        fitted = fit_probe(train.vectors, train.targets, len(classes), seed=plan.seed, validation=validation)
    seconds = monotonic() - begun

    def scores(part: str) -> np.ndarray:
        vectors = parts[part].vectors if part in parts else extract(backbone, splits.parts[part].text, pool=pool).values
        return fitted.scores(vectors)

    return MethodScores(scores, [], None, seconds)


METHODS: dict[str, Callable[[QualityPlan, Splits], MethodScores]] = {
    "suffix": run_suffix,
    "refit": run_suffix,
    "peft": run_peft,
    "probe": run_frozen,
    "knn": run_frozen,
}


def encode(splits: Splits) -> tuple[Classes, dict[str, np.ndarray]]:
    """The classes of the training rows, and class numbers of each part."""
    labels = {part: np.empty(0) if texts.label is None else texts.label for part, texts in splits.parts.items()}
    classes = Classes.of(labels["train"], source=splits.train.source)
    return classes, {part: classes.encode(values) for part, values in labels.items()}


def do_run(plan: QualityPlan, data: Path) -> dict[str, Any]:
    """Train, score, and give the line of the run. A screen never looks at the test part."""
    splits = load_set(data, plan.set, plan.seed, plan.rows)
    classes, targets = encode(splits)
    begun = process_time()
    scored = METHODS[plan.method](plan, splits)
    spent = process_time() - begun
    run: dict[str, Any] = {
        "method": plan.method,
        "set": plan.set,
        "seed": plan.seed,
        "screen": plan.screen,
        "recipe": plan.recipe,
        "asked_rows": plan.rows,
        "rows": {part: len(texts) for part, texts in splits.parts.items()},
        "seconds": round(scored.seconds, 2),
        "cpu_seconds": round(spent, 2),
        "history": [round(value, 6) for value in scored.history],
        "best_epoch": scored.best_epoch,
        "versions": versions(),
    }
    for part in ("validation",) if plan.screen else ("validation", "test"):
        run |= figures(part, scored.scores(part), targets[part], classes)
    return run


def figures(part: str, scores: np.ndarray, targets: np.ndarray, classes: Classes) -> dict[str, Any]:
    """Accuracy, macro-F1 and majority baseline of a part, under names that carry the part's."""
    from separatrix.geometry.score import classification, decide

    predicted = decide(scores, len(classes))
    found = classification(targets, predicted, classes.names, resamples=1)
    named = {"accuracy": found.accuracy, "macro_f1": found.macro_f1, "majority": found.majority}
    return rounded({f"{part}_{name}": value for name, value in named.items()})


def plans(options: argparse.Namespace) -> list[QualityPlan]:
    """All runs asked for, seed by seed, so that a stopped study has whole seeds."""
    changes = {method: read_changes(options.set) for method in options.methods}
    if options.epochs is not None:
        for method in {"suffix", "refit", "peft"} & set(options.methods):
            changes[method]["epochs"] = options.epochs

    def screen(method: str) -> bool:
        return bool(changes[method]) or options.rows is not None

    return [
        QualityPlan(method, name, seed, full_recipe(method, name, changes[method]), screen(method), options.rows)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for name in options.sets
        for method in options.methods
    ]


def study_runs(runs: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The lines that belong to the study as `RECIPES` and the defaults stand now, by (set, method), one per seed."""
    kept: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    wanted = {(name, method): recipe_key(full_recipe(method, name, {})) for name in SETS for method in METHODS}
    for run in runs:
        place = (run["set"], run["method"])
        if not run["screen"] and recipe_key(run["recipe"]) == wanted[place]:
            kept.setdefault(place, {})[run["seed"]] = run
    return {place: list(dict(sorted(found.items())).values()) for place, found in sorted(kept.items())}


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0], epilog="See README.md beside this file."
    )
    parser.add_argument("--data", type=Path, help="folder with trec, sst2 and imdb, each with train/test.parquet")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(METHODS),
        default=list(METHODS),
        help="refit: the suffix prompt, trained once more on training and validation rows",
    )
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="makes it a screen")
    parser.add_argument("--epochs", type=int, help="as --set epochs=N, for both prompts; makes it a screen")
    parser.add_argument("--rows", type=int, help="training rows (for a trial of the script; makes it a screen)")
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if not options.table:
        import peft  # noqa: F401  imported here, so that no run's seconds hold it
        import torch

        torch.set_num_threads(options.threads)
        for plan in plans(options):
            if plan.key in map(key_of, read_runs(lines)):
                continue
            run = do_run(plan, options.data)
            append_run(lines, run)
            shown = {name: run.get(name) for name in ("validation_accuracy", "test_accuracy", "best_epoch", "seconds")}
            print(plan.method, plan.set, f"seed {plan.seed}", "screen" if plan.screen else "", shown, flush=True)
        return 0
    runs = read_runs(lines)
    standard = {(name, method): full_recipe(method, name, {}) for name in SETS for method in METHODS}
    study = study_runs(runs)
    kept = [run for own in study.values() for run in own]
    write_tables(options.out, study, [run for run in runs if run not in kept], TARGETS, standard)
    print(f"wrote {options.out / 'RESULTS.md'} and results.csv")
    return 0


if __name__ == "__main__":
    run_study(main)
