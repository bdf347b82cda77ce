"""Publishers planted into the shipped questions: what each way of group invariance takes out, where the truth is known.

    python studies/alignment/planted.py [--seeds 3] [--rows nca nca_pairs]    every run that is missing
    python studies/alignment/planted.py --table                               PLANTED.md from the lines

Every question is signed by a publisher. In training and validation rows six publishers sign, and each prefers one of
the six kinds (`LEAN`); so a model may take the signature for the kind. In the test parts no publisher prefers anything:
`fair` is signed by the same six, `unseen` by others. The lean is the only difference, so what `unseen` and `fair` lose
against a model trained on rows `without` a lean is what the signature cost.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.common import (
    NO_FIGURE,
    append_run,
    gain,
    interval,
    markdown,
    plain_recipe,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    spell,
    versions,
)

from separatrix import recipe as recipes
from separatrix.geometry.score import classification, decide
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.texts import Classes, Texts, load_demo

HERE = Path(__file__).resolve().parent
LEAN = 0.9  # share of a kind's training rows that its own publisher signs, beside an equal part of the rest
SEEN = ("Harbour Post", "Morning Ledger", "Northern Echo Chamber", "Valley Wire", "Old Quay Weekly", "Tin Whistle")
UNSEEN = ("Copper Kettle", "Seven Hills Review", "Lantern Daily", "Gull and Anchor")
COMMON = {"device": "cpu", "epochs": 4}
RIDGE: dict[str, Any] = {"invariance": "ridge"}
REVERSAL: dict[str, Any] = {"invariance": "reversal"}
CELLS: dict[str, Any] = {"sampler": "cells"}
LIGHT = {"group_weight": 0.1}
ROWS: dict[str, dict[str, Any]] = {
    "finetune": {},
    "finetune_ridge": RIDGE,
    "finetune_ridge_light": RIDGE | LIGHT,
    "finetune_reversal": REVERSAL,
    "finetune_reversal_light": REVERSAL | LIGHT,
    "finetune_cells": CELLS,
    "finetune_cells_ridge": CELLS | RIDGE,
    "finetune_without": {},  # no lean in the training rows: what could be reached
    "nca": {},
    "nca_ridge": RIDGE,
    "nca_ridge_light": RIDGE | LIGHT,
    "nca_reversal": REVERSAL,
    "nca_reversal_light": REVERSAL | LIGHT,
    "nca_flipped": {"invariance": "flipped"},
    "nca_inverse": {"invariance": "inverse"},
    "nca_pairs": {"invariance": "pairs"},
    "nca_cells": CELLS,
    "nca_cells_ridge": CELLS | RIDGE,
    "nca_cells_pairs": CELLS | {"invariance": "pairs"},
    "nca_without": {},
}
HEAD = f"""# Planted publishers: results

Written by `python studies/alignment/planted.py --table` from `planted.jsonl`; not by hand. The shipped questions, each
signed by a publisher; in training and validation rows a publisher signs {LEAN:.0%} of one kind's rows, and its share of
the rest. Test accuracy on rows signed without any preference by the same publishers (`fair`) and by others (`unseen`),
mean over seeds with its 95 % t interval, and the paired difference to the row without invariance; a linear probe for
the publisher, learnt from the vectors of half of the questions that were held out and tested on the other half. `light`
is `--group-weight 0.1`, `cells` is `--sampler cells`, `without` has training rows without a preference.
"""


def sign(texts: Texts, names: tuple[str, ...], seed: int, *, lean: float = 0.0) -> Texts:
    """The questions, each signed by a publisher, who becomes its group."""
    assert texts.label is not None
    generator = np.random.default_rng([seed, len(texts), len(names)])
    place = generator.integers(len(names), size=len(texts))
    own = Classes.of(texts.label).encode(texts.label) % len(names)
    place = np.where(generator.random(len(texts)) < lean, own, place)
    group = np.array(names)[place]
    signed = [f"{name}: {text}" for name, text in zip(group, texts.text, strict=True)]
    return replace(Texts.of(signed, texts.label, group), source=texts.source)


def recipe_of(row: str, seed: int) -> AlignRecipe:
    """The recipe of a row."""
    start = FINETUNE if row.startswith("finetune") else AlignRecipe()
    return recipes.replace(start, **(COMMON | ROWS[row]), seed=seed)


def key_of(row: str, seed: int) -> str:
    """What makes two runs the same."""
    return recipe_key(row, seed, LEAN, plain_recipe(recipe_of(row, seed), NO_FIGURE))


def do_run(row: str, seed: int) -> dict[str, Any]:
    """Train on signed questions; score both test parts, probe for the publisher."""
    from separatrix.learn.align import train_encoder
    from separatrix.learn.job import Job
    from separatrix.training.evaluate import Evaluator
    from separatrix.training.groups import probe_between

    demo = load_demo()
    assert demo.test is not None
    lean = 0.0 if row.endswith("_without") else LEAN
    train, validation = (sign(part, SEEN, seed, lean=lean) for part in (demo.train, demo.validation))
    labels = train.label
    assert labels is not None
    classes = Classes.of(labels)
    begun = process_time()
    evaluator = Evaluator.of(classes.encode(labels), classes.names, seed)
    model = train_encoder(Job(train, validation, recipe_of(row, seed), evaluator.quick)).model
    run: dict[str, Any] = {"row": row, "seed": seed, "key": key_of(row, seed), "cpu_seconds": process_time() - begun}
    held = demo.test.join(demo.validation)  # new questions; validation has chosen by other signatures
    for part, names in {"fair": SEEN, "unseen": UNSEEN}.items():
        texts = sign(demo.test, names, seed + 1000)
        gold = classes.encode(texts.label if texts.label is not None else [])
        found = classification(gold, decide(model.scores(model.encode(texts.text)), len(classes)), classes.names)
        run[part] = found.accuracy
    known, asked = sign(held, SEEN, seed + 2000).split(0.5, seed=seed)
    probe = probe_between((model.encode(known.text), known.group), (model.encode(asked.text), asked.group), seed)
    run |= {"probe": probe["accuracy"], "chance": probe["chance"]} if probe is not None else {}
    return rounded(run) | {"versions": versions()}


def table(runs: list[dict[str, Any]]) -> str:
    """What PLANTED.md says."""
    kept = [run for run in runs if run["key"] == key_of(run["row"], run["seed"])]
    lines = []
    for row in ROWS:
        own = [run for run in kept if run["row"] == row]
        base = [run for run in kept if run["row"] == row.partition("_")[0]]
        if own:
            lines.append(
                {
                    "row": row,
                    "seeds": len(own),
                    "fair": spell(interval(own, "fair")),
                    "against no invariance": "-" if own == base else spell(gain(own, base, "fair")),
                    "unseen": spell(interval(own, "unseen")),
                    "against none": "-" if own == base else spell(gain(own, base, "unseen")),
                    "publisher probe": spell(interval(own, "probe")),
                    "chance": spell(interval(own, "chance")),
                    "CPU seconds": round(float(np.mean([run["cpu_seconds"] for run in own])), 1),
                }
            )
    return HEAD + "\n" + markdown(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    lines = options.out / "planted.jsonl"
    if options.table:
        (options.out / "PLANTED.md").write_text(table(read_runs(lines)), encoding="utf-8")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for seed in range(options.seeds):
        for row in options.rows:
            if key_of(row, seed) not in {run["key"] for run in read_runs(lines)}:
                run = do_run(row, seed)
                append_run(lines, run)
                print(row, seed, {name: run.get(name) for name in ("fair", "unseen", "probe")}, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
