"""Political bias and publishers: what each way of group invariance does on seen and on unseen publishers.

    python studies/alignment/groups.py --data FOLDER [--seeds 3] [--rows nca reversal]
    python studies/alignment/groups.py --table

Training rows of the houses that are in other parts too (by domain) are dropped; validation decides, test is read once.
`probe` rows leave the encoder as it is: a linear probe on its vectors, which are computed once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic
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
    read_changes,
    read_runs,
    recipe_key,
    rounded,
    run_study,
    spell,
    study_options,
    versions,
)

from separatrix import codes
from separatrix import recipe as recipes
from separatrix.geometry.score import classification, decide
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.texts import Classes, Texts, load_splits

HERE = Path(__file__).resolve().parent
SHARED = ("cnn.com", "cbn.com", "wsj.com")  # domains of train that other parts have too (the data's own README)
SEEN = 0.1  # share of the training rows that is held out as seen publishers
COMMON = {"device": "cpu", "max_length": 128, "epochs": 1}
DRAWN = 5  # times as many rows as there are that a probe draws in cells
FROZEN = ("probe", "probe_cells")  # no encoder is trained
ROWS: dict[str, dict[str, Any]] = {
    "probe": {},
    "probe_cells": {"sampler": "cells"},
    "finetune": {"loss": "linear", "decision": "head"},
    "finetune_cells": {"loss": "linear", "decision": "head", "sampler": "cells"},
    "nca": {},
    "nca_cells": {"sampler": "cells"},
    "nca_ridge": {"invariance": "ridge"},
    "nca_pairs": {"invariance": "pairs"},
    "nca_cells_pairs": {"invariance": "pairs", "sampler": "cells"},
    "nca_reversal": {"invariance": "reversal"},
    "nca_flipped": {"invariance": "flipped"},
    "nca_inverse": {"invariance": "inverse"},
    # The seed's own: its loss on pairs of the batch, the group term with the same weight.
    "cosine": {"loss": "cosine_mse", "pairs": "batch"},
    "cosine_flipped": {"loss": "cosine_mse", "pairs": "batch", "invariance": "flipped"},
    "cosine_inverse": {"loss": "cosine_mse", "pairs": "batch", "invariance": "inverse"},
    "finetune_ridge": {"loss": "linear", "decision": "head", "invariance": "ridge"},
    "finetune_reversal": {"loss": "linear", "decision": "head", "invariance": "reversal"},
}


@cache
def read_set(data: Path) -> dict[str, Texts]:
    """The parts of the set, without the houses that stand in several."""
    read = load_splits(data / "allsides_media", label="label", group="publisher_domain", seed=0)
    assert read.train.group is not None
    assert read.test is not None
    kept = read.train.where(~np.isin(read.train.group, SHARED))
    return {"train": kept, "validation": read.validation, "test": read.test}


def load(data: Path, seed: int, most: int | None) -> dict[str, Texts]:
    """Train, seen publishers held out of it, validation and test with unseen ones."""
    read = read_set(data)
    kept = read["train"]
    if most is not None and most < len(kept):
        _, kept = kept.split(most / len(kept), seed=seed)
    train, seen = kept.split(SEEN, seed=seed)
    return {"train": train, "seen": seen, "validation": read["validation"], "test": read["test"]}


def full_recipe(row: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Every option of a row, as plain data without the seed."""
    start = FINETUNE if row.startswith("finetune") else AlignRecipe()
    return plain_recipe(recipes.replace(start, **(COMMON | ROWS[row] | changes)), NO_FIGURE)


def key_of(run: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two runs the same."""
    return (run["row"], run["seed"], recipe_key(run["recipe"]), run["most"], run["screen"])


Encode = Callable[[Texts], np.ndarray]
Decide = Callable[[np.ndarray], np.ndarray]


def train_row(recipe: AlignRecipe, parts: dict[str, Texts], classes: Classes) -> tuple[Encode, Decide]:
    """Train an encoder: vectors (rows, width) of texts, scores (rows, classes) of vectors."""
    from separatrix.learn.align import train_encoder
    from separatrix.learn.job import Job
    from separatrix.training.evaluate import Evaluator

    evaluator = Evaluator.of(gold_of(parts["train"], classes), classes.names, recipe.loop.seed)
    # Macro-F1 chooses: validation is mostly one class.
    model = train_encoder(Job(parts["train"], parts["validation"], recipe, _by_f1(evaluator))).model
    return lambda texts: model.encode(texts.text), model.scores


def probe_row(recipe: AlignRecipe, parts: dict[str, Texts], classes: Classes, data: Path) -> tuple[Encode, Decide]:
    """A linear probe on frozen vectors; its penalty is chosen on as many validation rows of each class."""
    from separatrix.geometry.probe import fit_probe

    known = frozen_vectors(data)

    def encode(texts: Texts) -> np.ndarray:
        return np.stack([known[text] for text in texts.text])

    train, held = parts["train"], parts["validation"]
    y, held_y = gold_of(train, classes), gold_of(held, classes)
    rows = np.arange(len(y))
    if recipe.pairing.sampler == "cells":
        group = codes.encode(np.asarray(train.group, dtype=str))[0]
        rows = drawn_rows(y, recipe, group)
    picked = drawn_rows(held_y, recipe)
    x, held_x = encode(train), encode(held)
    probe = fit_probe(
        x[rows], y[rows], len(classes), seed=recipe.loop.seed, validation=(held_x[picked], held_y[picked])
    )
    return encode, probe.scores


def drawn_rows(y: np.ndarray, recipe: AlignRecipe, group: np.ndarray | None = None) -> np.ndarray:
    """Places of rows in which classes, and within them groups, come alike: those that training would see in batches."""
    from separatrix.learn.schedule import balanced

    loop, rows = recipe.loop, recipe.pairing.class_rows
    return np.concatenate(
        [batch for epoch in range(DRAWN) for batch in balanced(y, loop.batch_size, rows, loop.seed, epoch, group)]
    )


@cache
def frozen_vectors(data: Path) -> dict[str, np.ndarray]:
    """The untrained encoder's vector of every text of the set."""
    from separatrix.models.extract import extract
    from separatrix.models.load import load_backbone

    backbone = load_backbone(recipes.replace(AlignRecipe(), **COMMON).backbone)
    found: dict[str, np.ndarray] = {}
    for texts in read_set(data).values():
        found |= dict(zip(texts.text, extract(backbone, texts.text).values, strict=True))
    return found


def gold_of(texts: Texts, classes: Classes) -> np.ndarray:
    """Class numbers (rows,)."""
    return classes.encode(texts.label if texts.label is not None else [])


def do_run(row: str, seed: int, recipe: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train, score seen and unseen publishers, probe for the publisher."""
    from separatrix.training.groups import probe_between

    parts = load(options.data, seed, options.most)
    assert parts["train"].label is not None
    classes = Classes.of(parts["train"].label)
    begun = monotonic()
    whole = recipes.replace(recipes.from_dict(AlignRecipe, recipe), seed=seed)
    made = probe_row(whole, parts, classes, options.data) if row in FROZEN else train_row(whole, parts, classes)
    encode, scores = made
    run: dict[str, Any] = {"row": row, "seed": seed, "recipe": recipe, "most": options.most, "screen": options.screen}
    run |= {"seconds": round(monotonic() - begun, 2), "versions": versions(), "rows": len(parts["train"])}
    learnt = (encode(parts["train"]), parts["train"].group)
    for part in ("seen", "validation") if options.screen else ("seen", "validation", "test"):
        texts = parts[part]
        vectors, gold = encode(texts), gold_of(texts, classes)
        found = classification(gold, decide(scores(vectors), len(classes)), classes.names)
        values = {"macro_f1": found.macro_f1, "accuracy": found.accuracy, "majority_f1": found.majority_macro_f1}
        run |= rounded({f"{part}_{name}": value for name, value in values.items()})
        run[f"{part}_interval"] = [round(value, 6) for value in found.macro_f1_interval]
        probe = probe_between(learnt, (vectors, texts.group), seed, label=gold) if part == "seen" else None
        if probe is not None:
            names = {"probe": "accuracy", "chance": "chance", "chance_by_class": "chance_by_class"}
            run |= rounded({f"{part}_{name}": probe[figure] for name, figure in names.items()})
    return run


def _by_f1(evaluator: Any) -> Any:
    def score(scores: np.ndarray, gold: np.ndarray) -> dict[str, float]:
        found = evaluator.quick(scores, gold)
        return found | {"accuracy": found["macro_f1"]}  # the loop keeps the epoch with the best "accuracy"

    return score


def _line(row: str, own: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    gaps = [run | {"gap": run["seen_macro_f1"] - run["test_macro_f1"]} for run in own]
    return {
        "row": row,
        "seeds": len(own),
        "macro-F1 seen": spell(interval(own, "seen_macro_f1")),
        "macro-F1 unseen": spell(interval(own, "test_macro_f1")),
        "macro-F1 unseen (validation)": spell(interval(own, "validation_macro_f1")),
        "gap": spell(interval(gaps, "gap")),
        "unseen, against fine-tuning": "-" if row == "finetune" else spell(gain(own, base, "test_macro_f1")),
        "bootstrap of the first seed": "{:.4f} to {:.4f}".format(*own[0]["test_interval"]),
        "publisher probe (seen)": spell(interval(own, "seen_probe")),
        "chance": spell(interval(own, "seen_chance")),
        "chance knowing the class": spell(interval(own, "seen_chance_by_class")),
    }


def write_table(out: Path, runs: list[dict[str, Any]]) -> None:
    """GROUPS.md from the lines of the study."""
    kept = [
        run
        for run in runs
        if not run["screen"] and recipe_key(run["recipe"]) == recipe_key(full_recipe(run["row"], {}))
    ]
    by_row = {row: [run for run in kept if run["row"] == row] for row in ROWS}
    rows = [_line(row, own, by_row["finetune"]) for row, own in by_row.items() if own]
    text = "# Publishers\n\nWritten by `python studies/alignment/groups.py --table`; not by hand.\n\n"
    (out / "GROUPS.md").write_text(text + markdown(rows) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with allsides_media")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="makes it a screen")
    parser.add_argument("--screen", action="store_true", help="do not touch the test part")
    parser.add_argument("--most", type=int, help="training rows, instead of all (for a trial; makes it a screen)")
    options = study_options(parser, HERE, arguments)
    lines = options.out / "groups.jsonl"
    if options.table:
        write_table(options.out, read_runs(lines))
        return 0
    import torch

    torch.set_num_threads(options.threads)
    changes = read_changes(options.set)
    options.screen = options.screen or bool(changes) or options.most is not None
    for seed in range(options.seeds):
        for row in options.rows:
            recipe = full_recipe(row, changes)
            key = (row, seed, recipe_key(recipe), options.most, options.screen)
            if key not in {key_of(run) for run in read_runs(lines)}:
                run = do_run(row, seed, recipe, options)
                append_run(lines, run)
                print(
                    row, f"seed {seed}", {name: run.get(f"{name}_macro_f1") for name in ("seen", "validation", "test")}
                )
    return 0


if __name__ == "__main__":
    run_study(main)
