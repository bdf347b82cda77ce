"""Stronger prompts, screened: which start, form and entry of a prompt pays, judged on rows that nothing was chosen by.

    python studies/prompts/run.py --data FOLDER [--lm NAME]     every run that is missing
    python studies/prompts/run.py --table                       RESULTS.md and results.csv

Training rows are few, 200 others choose the epoch, and 500 others again judge; all are drawn from the training part, so
no test row is read. A run is a data set, a model, a variant and a seed; seeds are paired.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import (
    append_run,
    load_set,
    machine,
    missing,
    plain_recipe,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    study_options,
)
from studies.prompts.tables import write_tables

from separatrix import recipe as recipes
from separatrix.recipe import TrainRecipe
from separatrix.texts import Splits, Texts

HERE = Path(__file__).resolve().parent
# A sentence of each class, written before any run.
DESCRIPTIONS = {
    "sst2": ("negative=the film is bad, dull and a waste of time", "positive=the film is good, moving and a delight"),
    "trec6": (
        "ABBR=what an abbreviation stands for", "DESC=a definition, a description or a reason",
        "ENTY=a thing, an animal, a product or a word", "HUM=a person or a group of people",
        "LOC=a place, a city or a country", "NUM=a number, a date or an amount",
    ),
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "mixture": {"init": "mixture"},
    "residual 64": {"residual": 64},
    "descriptions": {"init": "descriptions"},
    "instance 8": {"instance": 8},
    "late third": {"layer": 1 / 3},
    "late two thirds": {"layer": 2 / 3},
    "bfloat16": {"dtype": "bfloat16", "cache_dtype": "bfloat16"},  # text and steps; prompt and optimiser in float32
}
# Of a language model alone: label words chosen by the data, and by hand: those of the seeds.
WORDS: dict[str, dict[str, Any]] = {
    "words: chosen": {"loss": "token"},
    "words: good, bad": {"loss": "token", "words": (" bad", " good")},
    "words: relevant, irr": {"loss": "token", "words": (" irr", " relevant")},
}
LAYERS = {"minilm": 6, "lm": 30}


@dataclass(frozen=True)
class PromptPlan:
    """One prompt to train."""

    set: str
    model: str
    place: str | None
    variant: str
    seed: int
    rows: int
    judged: int
    epochs: int

    @property
    def recipe(self) -> TrainRecipe:
        """Every option of the training."""
        changes = dict((VARIANTS | WORDS)[self.variant])
        if "layer" in changes:
            changes["layer"] = round(changes["layer"] * LAYERS[self.model])
        if changes.get("init") == "descriptions":
            changes["descriptions"] = DESCRIPTIONS[self.set]
        model = {} if self.place is None else {"model": self.place}
        usual = {"epochs": self.epochs, "max_length": 64, "device": "cpu", "checkpoint_seconds": 1e6, "snapshots": 0}
        return recipes.replace(TrainRecipe(), **usual, **model, **changes, seed=self.seed)

    @property
    def key(self) -> str:
        """What makes two runs the same: not where the model lies."""
        plain = plain_recipe(self.recipe)
        del plain["backbone"]["model"]
        return recipe_key([self.set, self.model, self.variant, self.seed, self.rows, self.judged, plain])


def load_rows(plan: PromptPlan, data: Path) -> tuple[Splits, Texts]:
    """Training rows, 200 that choose the epoch, and those that judge: disjoint, of the training part."""
    whole = load_set(data, plan.set, plan.seed)
    order = np.random.default_rng([plan.seed, 5]).permutation(len(whole.train))
    train, chosen, judged = np.split(order[: plan.rows + 200 + plan.judged], [plan.rows, plan.rows + 200])
    parts = [whole.train.take(np.sort(rows)) for rows in (train, chosen, judged)]
    return Splits(parts[0], parts[1], None, ()), parts[2]


def do_run(plan: PromptPlan, data: Path) -> dict[str, Any]:
    """Train a prompt, and judge it."""
    from separatrix.training.verb import train

    splits, judged = load_rows(plan, data)
    begun, wall = process_time(), monotonic()
    with fast_products() if plan.recipe.backbone.dtype == "bfloat16" else nullcontext():
        result = train(splits, recipe=plan.recipe)
        seconds, wall = process_time() - begun, monotonic() - wall
        answers = np.asarray(result.predict(judged.text)["predicted"], dtype=object)
    gold = np.asarray(judged.label, dtype=object)
    values, counts = np.unique(gold.astype(str), return_counts=True)
    majority = str(values[counts.argmax()])
    return rounded(
        {
            "key": plan.key,
            "set": plan.set,
            "model": plan.model,
            "variant": plan.variant,
            "seed": plan.seed,
            "rows": plan.rows,
            "judged": len(judged),
            "accuracy": float((answers.astype(str) == gold.astype(str)).mean()),
            "majority": float((gold.astype(str) == majority).mean()),
            "validation": float(result.scores["validation"]["accuracy"]),
            "words": list(result.facts.get("words") or ()),
            "cpu_seconds": seconds,
            "seconds": wall,
            "machine": machine(1),
        }
    )


def fast_products() -> Any:
    """Products of bfloat16 as instructions for it make them: sums in float32, rounded once.

    A processor without these takes 10 to 50 times as long for it as for float32; so the numbers are widened first.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    aten, half = torch.ops.aten, torch.bfloat16
    products = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu)

    def widened(value: Any) -> Any:
        return value.float() if isinstance(value, torch.Tensor) and value.dtype == half else value

    class WideProducts(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if function.overloadpacket not in products or args[0].dtype != half:
                return function(*args, **given)
            result = function(*map(widened, args), **{name: widened(value) for name, value in given.items()})
            return (result[0].to(half), *result[1:]) if isinstance(result, tuple) else result.to(half)

    return WideProducts()


def plans(options: argparse.Namespace) -> list[PromptPlan]:
    """All prompts asked for, seed by seed, so that a stopped study has whole seeds."""
    places: dict[str, str | None] = {} if options.lm_only else {"minilm": None}
    places |= {"lm": options.lm} if options.lm else {}
    return [
        PromptPlan(name, model, place, variant, seed, options.rows, options.judged, options.epochs)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for model, place in places.items()
        for name in options.sets
        for variant in [*VARIANTS, *(WORDS if (model, name) == ("lm", "sst2") else ())]
        if not options.variants or variant in options.variants
    ]


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; the defaults are the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], epilog="See README.md beside this.")
    add = parser.add_argument
    add("--data", type=Path, help="folder with sst2 and trec, each with train.parquet")
    add("--lm", help="a causal language model; without it its prompts are left out")
    add("--lm-only", action="store_true", help="leave the prompts of MiniLM out")
    add("--seeds", type=int, default=3, help="how many seeds (default 3)")
    add("--first-seed", type=int, default=0, help="the first of them (default 0)")
    add("--sets", nargs="+", choices=list(DESCRIPTIONS), default=list(DESCRIPTIONS))
    add("--variants", nargs="+", choices=[*VARIANTS, *WORDS], help="only these (default all)")
    add("--rows", type=int, default=500, help="training rows (default 500)")
    add("--judged", type=int, default=500, help="rows that judge (default 500)")
    add("--epochs", type=int, default=5, help="default 5")
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    options = read_options(arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        write_tables(options.out, read_runs(lines))
        print(f"wrote RESULTS.md and results.csv in {options.out}")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in missing(plans(options), lines):
        run = do_run(plan, options.data)
        append_run(lines, run)
        shown = {name: run[name] for name in ("accuracy", "majority", "validation", "words", "cpu_seconds", "seconds")}
        print(plan.set, plan.model, plan.variant, f"seed {plan.seed}", shown, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
