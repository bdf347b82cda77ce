"""Political bias and publishers: what each way of group invariance does on seen and on unseen publishers.

    python studies/alignment/groups.py --data FOLDER [--seeds 3] [--rows nca reversal]
    python studies/alignment/groups.py --table

Training rows of the houses that are in other parts too (by domain) are dropped; validation decides, test is read once.
"""

from __future__ import annotations

import argparse
import sys
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
    rounded,
    run_study,
    spell,
    versions,
)

from separatrix import recipe as recipes
from separatrix.geometry.score import classification, decide
from separatrix.recipe import digest
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.texts import Classes, Texts, load_splits

HERE = Path(__file__).resolve().parent
SHARED = ("cnn.com", "cbn.com", "wsj.com")  # domains of train that other parts have too (the data's own README)
SEEN = 0.1  # share of the training rows that is held out as seen publishers
MOST = 1500  # training rows, of both kinds together
COMMON = {"device": "cpu", "max_length": 128, "epochs": 3}
ROWS: dict[str, dict[str, Any]] = {
    "finetune": {"loss": "linear", "decision": "head"},
    "nca": {},
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


def load(data: Path, seed: int, most: int) -> dict[str, Texts]:
    """Train, seen publishers held out of it, validation and test with unseen ones."""
    read = load_splits(data / "allsides_media", label="label", group="publisher_domain", seed=seed)
    assert read.train.group is not None
    kept = read.train.where(~np.isin(read.train.group, SHARED))
    if most < len(kept):
        _, kept = kept.split(most / len(kept), seed=seed)
    train, seen = kept.split(SEEN, seed=seed)
    assert read.test is not None
    return {"train": train, "seen": seen, "validation": read.validation, "test": read.test}


def full_recipe(row: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Every option of a row, as plain data without the seed."""
    start = FINETUNE if row.startswith("finetune") else AlignRecipe()
    return plain_recipe(recipes.replace(start, **(COMMON | ROWS[row] | changes)), NO_FIGURE)


def key_of(run: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two runs the same."""
    return (run["row"], run["seed"], digest(run["recipe"]), run["most"], run["screen"])


def do_run(row: str, seed: int, recipe: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train, score seen and unseen publishers, probe for the publisher."""
    from separatrix.learn.align import train_encoder
    from separatrix.learn.job import Job
    from separatrix.study.encoders import probe_between
    from separatrix.study.judge import Yardstick

    parts = load(options.data, seed, options.most)
    labels = parts["train"].label
    assert labels is not None
    classes = Classes.of(labels)
    yardstick = Yardstick.of(classes.encode(labels), classes.names, seed)
    begun = monotonic()
    whole = recipes.replace(recipes.from_dict(AlignRecipe, recipe), seed=seed)
    # Macro-F1 chooses: validation is mostly one class.
    trained = train_encoder(Job(parts["train"], parts["validation"], whole, _by_f1(yardstick)))
    run: dict[str, Any] = {"row": row, "seed": seed, "recipe": recipe, "most": options.most, "screen": options.screen}
    run |= {"seconds": round(monotonic() - begun, 2), "versions": versions(), "rows": len(parts["train"])}
    learnt = (trained.model.encode(parts["train"].text), parts["train"].group)
    for part in ("seen", "validation") if options.screen else ("seen", "validation", "test"):
        texts = parts[part]
        vectors = trained.model.encode(texts.text)
        gold = classes.encode(texts.label if texts.label is not None else [])
        found = classification(gold, decide(trained.model.scores(vectors), len(classes)), classes.names)
        values = {"macro_f1": found.macro_f1, "accuracy": found.accuracy, "majority_f1": found.majority_macro_f1}
        run |= rounded({f"{part}_{name}": value for name, value in values.items()})
        run[f"{part}_interval"] = [round(value, 6) for value in found.macro_f1_interval]
        probe = probe_between(learnt, (vectors, texts.group), seed, label=gold) if part == "seen" else None
        if probe is not None:
            names = {"probe": "accuracy", "chance": "chance", "chance_by_class": "chance_by_class"}
            run |= rounded({f"{part}_{name}": probe[figure] for name, figure in names.items()})
    return run


def _by_f1(yardstick: Any) -> Any:
    def score(scores: np.ndarray, gold: np.ndarray) -> dict[str, float]:
        found = yardstick.quick(scores, gold)
        return found | {"accuracy": found["macro_f1"]}  # the loop keeps the epoch with the best "accuracy"

    return score


def _line(row: str, own: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    gaps = [run | {"gap": run["seen_macro_f1"] - run["test_macro_f1"]} for run in own]
    return {
        "row": row,
        "seeds": len(own),
        "macro-F1 seen": spell(interval(own, "seen_macro_f1")),
        "macro-F1 unseen": spell(interval(own, "test_macro_f1")),
        "gap": spell(interval(gaps, "gap")),
        "unseen, against fine-tuning": "-" if row == "finetune" else spell(gain(own, base, "test_macro_f1")),
        "bootstrap of the first seed": "{:.4f} to {:.4f}".format(*own[0]["test_interval"]),
        "publisher probe (seen)": spell(interval(own, "seen_probe")),
        "chance": spell(interval(own, "seen_chance")),
        "chance knowing the class": spell(interval(own, "seen_chance_by_class")),
    }


def write_table(out: Path, runs: list[dict[str, Any]]) -> None:
    """GROUPS.md from the lines of the study."""
    kept = [run for run in runs if not run["screen"] and digest(run["recipe"]) == digest(full_recipe(run["row"], {}))]
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
    parser.add_argument("--most", type=int, help=f"training rows, instead of {MOST} (for a trial; makes it a screen)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    lines = options.out / "groups.jsonl"
    if options.table:
        write_table(options.out, read_runs(lines))
        return 0
    if options.data is None:
        parser.error("--data is needed for runs (or --table)")
    import torch

    torch.set_num_threads(options.threads)
    changes = read_changes(options.set)
    options.screen = options.screen or bool(changes) or options.most is not None
    options.most = options.most or MOST
    for seed in range(options.seeds):
        for row in options.rows:
            recipe = full_recipe(row, changes)
            key = (row, seed, digest(recipe), options.most, options.screen)
            if key not in {key_of(run) for run in read_runs(lines)}:
                run = do_run(row, seed, recipe, options)
                append_run(lines, run)
                print(
                    row, f"seed {seed}", {name: run.get(f"{name}_macro_f1") for name in ("seen", "validation", "test")}
                )
    return 0


if __name__ == "__main__":
    run_study(main)
