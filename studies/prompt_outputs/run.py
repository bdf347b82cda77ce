"""Seed 000 once more: what PCA, t-SNE, UMAP and k-means see in the outputs of trained prompts.

    python studies/prompt_outputs/run.py --data FOLDER --lm FOLDER      every run that is missing, seed after seed
    python studies/prompt_outputs/run.py --data FOLDER --smollm2        prompts near the seed's quality
    python studies/prompt_outputs/run.py --table                        RESULTS.md, results.csv and the pictures

A run is one prompt: a data set, a model, a loss, a seed. Its line holds the prompt's own decision and what is left of
it after each way of looking, in each space, with and without scaling.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

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
from studies.prompt_outputs.look import GLANCES, SPACES, look_at, read_spaces, shape_of
from studies.prompt_outputs.tables import write_tables

from separatrix import recipe as recipes
from separatrix.recipe import TrainRecipe
from separatrix.texts import Splits, Texts

HERE = Path(__file__).resolve().parent
LOSSES = {
    "minilm": ("cosine", "distance", "centroid_ce"),
    "lm": ("token", "cosine", "distance", "centroid_ce"),
    "smollm2": ("token", "cosine", "distance", "centroid_ce"),
}
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
# Read at the last prompt position, as in the seed. Nothing here was chosen by looking at a test row.
CHANGES = {"tokens": 8, "positions": "last", "lr": 2e-2, "batch_size": 16, "device": "cpu", "checkpoint_seconds": 1e6}
MORE = {"smollm2": {"dtype": "bfloat16", "cache_dtype": "bfloat16", "batch_size": 32}}


@dataclass(frozen=True)
class Sizes:
    """Rows and lengths of a study."""

    train: dict[str, int]
    test: dict[str, int]
    validation: int
    looked_at: int
    epochs: int
    max_length: int


@dataclass(frozen=True)
class OutputPlan:
    """One prompt to train and to look at."""

    set: str
    model: str
    loss: str
    seed: int
    place: str | None
    sizes: Sizes

    @property
    def recipe(self) -> TrainRecipe:
        """Every option of the training."""
        changes = CHANGES | {"loss": self.loss, "epochs": self.sizes.epochs, "max_length": self.sizes.max_length}
        changes |= MORE.get(self.model, {})
        if self.place is not None:
            changes["model"] = self.place
        return recipes.replace(TrainRecipe(), **changes, seed=self.seed)

    @property
    def key(self) -> str:
        """What makes two runs the same: not where the model lies, and no seed twice."""
        plain = plain_recipe(self.recipe)
        del plain["backbone"]["model"]
        counts = [self.sizes.train[self.set], self.sizes.test[self.set], self.sizes.validation, self.sizes.looked_at]
        return recipe_key([self.set, self.model, self.loss, self.seed, plain, counts, sorted(GLANCES)])


def load_rows(plan: OutputPlan, data: Path) -> Splits:
    """Stratified samples of each part, drawn by the seed; an official part that is small enough is taken whole."""
    splits = load_set(data, plan.set, plan.seed, plan.sizes.train[plan.set])
    test, validation = splits.parts["test"], splits.validation
    return Splits(
        splits.train,
        sample(validation, plan.sizes.validation, plan.seed),
        sample(test, plan.sizes.test[plan.set], plan.seed),
        splits.notes,
    )


def sample(texts: Texts, rows: int, seed: int) -> Texts:
    """So many rows, class shares kept; all of them where there are no more."""
    return texts if rows >= len(texts) else texts.split(rows / len(texts), seed=seed)[1]


def do_run(plan: OutputPlan, data: Path, maps: Path) -> dict[str, Any]:
    """Train a prompt, read its outputs in each space, look at them in every way."""
    from separatrix.learn.job import Job
    from separatrix.learn.prompt import train_prompt
    from separatrix.texts import Classes
    from separatrix.training.evaluate import Evaluator

    begun = process_time()
    splits = load_rows(plan, data)
    classes = Classes.of(splits.train.label, source=splits.train.source)
    y = {part: classes.encode(texts.label) for part, texts in splits.parts.items()}
    evaluator = Evaluator.of(y["train"], classes.names, plan.seed)
    trained = train_prompt(Job(splits.train, splits.validation, plan.recipe, evaluator.quick))
    test = splits.parts["test"]
    own = classes.encode(trained.model.answer(test.text).labels)  # the prompt's own decision
    trained_seconds = process_time() - begun
    drawn = np.sort(np.random.default_rng(plan.seed).permutation(len(test))[: plan.sizes.looked_at])
    seen = test.take(drawn)
    spaces = read_spaces(trained.model, seen.text, SPACES[plan.model])
    gold = y["test"][drawn]
    cells, drawings = [], {}
    for space, outputs in spaces.items():
        for scaled in (False, True):
            found, places = look_at(outputs, gold, scaled=scaled, seed=plan.seed)
            cells += [{"space": space, "scaled": scaled, **cell} for cell in found]
            drawings[f"{space}{' scaled' * scaled}"] = places
    if plan.seed == 0:
        keep_maps(maps / f"{plan.set}-{plan.model}-{plan.loss}.parquet", seen, drawings)
    majority = int(np.bincount(y["train"]).argmax())
    return rounded(
        {
            "key": plan.key,
            "set": plan.set,
            "model": plan.model,
            "loss": plan.loss,
            "seed": plan.seed,
            "rows": {part: len(texts) for part, texts in splits.parts.items()} | {"looked_at": len(drawn)},
            "own_test": float((own == y["test"]).mean()),
            "own": float((own[drawn] == gold).mean()),
            "majority": float((gold == majority).mean()),
            "best_epoch": trained.fitted.best_epoch,
            "shape": {space: shape_of(outputs, gold) for space, outputs in spaces.items()},
            "cells": cells,
            "train_cpu_seconds": trained_seconds,
            "cpu_seconds": process_time() - begun,
            "versions": versions(),
        }
    )


def keep_maps(path: Path, texts: Texts, drawings: dict[str, dict[str, np.ndarray]]) -> None:
    """Places of the rows in each map (ids and labels, no text), for the picture."""
    import pandas as pd

    from separatrix.store.table import write_table

    columns: dict[str, Any] = {"id": texts.id, "label": texts.label}
    for space, places in drawings.items():
        for method, flat in places.items():
            columns |= {f"{space}/{method}/{axis}": flat[:, n].astype(np.float32) for n, axis in enumerate("xy")}
    write_table(path, pd.DataFrame(columns))


def plans(options: argparse.Namespace) -> list[OutputPlan]:
    """All prompts asked for, seed by seed, so that a stopped study has whole seeds."""
    sizes = Sizes(
        {"sst2": options.sst2_train, "imdb": options.imdb_train},
        {"sst2": options.sst2_test, "imdb": options.imdb_test},
        options.validation,
        options.look,
        options.epochs,
        options.max_length,
    )
    places = {"minilm": None} | ({"lm": str(options.lm)} if options.lm else {})
    places = {"smollm2": SMOLLM2} if options.smollm2 else places
    return [
        OutputPlan(name, model, loss, seed, place, sizes)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for name in options.sets
        for model, place in places.items()
        for loss in LOSSES[model]
        if not options.losses or loss in options.losses
    ]


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; the defaults are the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], epilog="See README.md beside this.")
    add = parser.add_argument
    add("--data", type=Path, help="folder with sst2 and imdb, each with train/test.parquet")
    add("--lm", type=Path, help="folder of a causal language model; without it its prompts are left out")
    add("--smollm2", action="store_true", help="prompts of SmolLM2 alone, in bfloat16")
    add("--seeds", type=int, default=3, help="how many seeds (default 3)")
    add("--first-seed", type=int, default=0, help="the first of them (default 0)")
    add("--sets", nargs="+", choices=["sst2", "imdb"], default=["sst2", "imdb"])
    add("--losses", nargs="+", choices=list(LOSSES["lm"]), help="only these (default all)")
    add("--sst2-train", type=int, default=400)
    add("--imdb-train", type=int, default=300)
    add("--sst2-test", type=int, default=400, help="test rows that the prompt's own decision is scored on")
    add("--imdb-test", type=int, default=300)
    add("--validation", type=int, default=100, help="rows that choose the epoch")
    add("--look", type=int, default=300, help="test rows, drawn by the seed, that are mapped and clustered")
    add("--epochs", type=int, default=4)
    add("--max-length", type=int, default=128)
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        write_tables(options.out, read_runs(lines))
        print(f"wrote RESULTS.md, results.csv and pictures in {options.out}")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in missing(plans(options), lines):
        run = do_run(plan, options.data, options.out / "maps")
        append_run(lines, run)
        shown = {name: run[name] for name in ("own_test", "own", "majority", "train_cpu_seconds", "cpu_seconds")}
        print(plan.set, plan.model, plan.loss, f"seed {plan.seed}", shown, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
